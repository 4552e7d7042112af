//! External term format → serde, without a copy of the term in between.

use std::borrow::Cow;

use serde::Deserialize;
use serde::de::{
    self, DeserializeSeed, EnumAccess, IntoDeserializer, MapAccess, SeqAccess, VariantAccess, Visitor,
};
use serde::forward_to_deserialize_any;

use crate::{Error, MAX_DEPTH, MAX_SIZE, tag};

/// Reads a value from an external term.
///
/// # Errors
/// Every way in which the bytes can be wrong has a variant of [`Error`]; none of them panics or recurses deeper than
/// [`MAX_DEPTH`].
pub fn from_bytes<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Result<T, Error> {
    if bytes.len() > MAX_SIZE {
        return Err(Error::TooLarge(bytes.len()));
    }
    let mut decoder = Decoder { bytes, at: 0, depth: 0 };
    match decoder.byte()? {
        tag::VERSION => {}
        other => return Err(Error::Unexpected { tag: other, at: 0 }),
    }
    let value = T::deserialize(&mut decoder).map_err(|error| error.before(decoder.at))?;
    if decoder.at == bytes.len() { Ok(value) } else { Err(Error::Trailing(decoder.at)) }
}

struct Decoder<'de> {
    bytes: &'de [u8],
    at: usize,
    depth: u32,
}

impl<'de> Decoder<'de> {
    fn take(&mut self, length: usize) -> Result<&'de [u8], Error> {
        let end = self.at.checked_add(length).ok_or(Error::Truncated(self.bytes.len()))?;
        let taken = self.bytes.get(self.at..end).ok_or(Error::Truncated(self.bytes.len()))?;
        self.at = end;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Error> {
        let at = self.at;
        self.take(N)?.try_into().map_err(|_| Error::Truncated(at))
    }

    fn byte(&mut self) -> Result<u8, Error> {
        self.array().map(|[byte]| byte)
    }

    fn length16(&mut self) -> Result<usize, Error> {
        self.array().map(|bytes| usize::from(u16::from_be_bytes(bytes)))
    }

    /// A length that the rest of the input can hold: each element takes a byte at least.
    fn length32(&mut self) -> Result<usize, Error> {
        let length =
            usize::try_from(u32::from_be_bytes(self.array()?)).map_err(|_| Error::Truncated(self.at))?;
        if length > self.bytes.len() - self.at {
            return Err(Error::Truncated(self.bytes.len()));
        }
        Ok(length)
    }

    fn peek(&self) -> Result<u8, Error> {
        self.bytes.get(self.at).copied().ok_or(Error::Truncated(self.bytes.len()))
    }

    fn text(&mut self, length: usize) -> Result<&'de str, Error> {
        let at = self.at;
        std::str::from_utf8(self.take(length)?).map_err(|_| Error::Text(at))
    }

    /// Before OTP 26 an atom is Latin-1 where it can be.
    fn latin1(&mut self, length: usize) -> Result<Cow<'de, str>, Error> {
        let bytes = self.take(length)?;
        Ok(match std::str::from_utf8(bytes) {
            Ok(text) if text.is_ascii() => Cow::Borrowed(text),
            _ => Cow::Owned(bytes.iter().copied().map(char::from).collect()),
        })
    }

    fn enter(&mut self) -> Result<(), Error> {
        self.depth += 1;
        if self.depth > MAX_DEPTH { Err(Error::TooDeep(self.at)) } else { Ok(()) }
    }

    /// Reads what follows a tag of a scalar, or says that it is none.
    fn scalar(&mut self, tag: u8, at: usize) -> Result<Scalar<'de>, Error> {
        Ok(match tag {
            tag::SMALL_ATOM_UTF8 => {
                let length = self.byte()?.into();
                Scalar::Atom(self.text(length)?.into())
            }
            tag::ATOM_UTF8 => {
                let length = self.length16()?;
                Scalar::Atom(self.text(length)?.into())
            }
            tag::SMALL_ATOM => {
                let length = self.byte()?.into();
                Scalar::Atom(self.latin1(length)?)
            }
            tag::ATOM => {
                let length = self.length16()?;
                Scalar::Atom(self.latin1(length)?)
            }
            tag::BINARY => {
                let length = self.length32()?;
                Scalar::Binary(self.take(length)?)
            }
            tag::SMALL_INTEGER => Scalar::Signed(self.byte()?.into()),
            tag::INTEGER => Scalar::Signed(i32::from_be_bytes(self.array()?).into()),
            tag::SMALL_BIG => self.big()?,
            tag::NEW_FLOAT => Scalar::Float(f64::from_be_bytes(self.array()?)),
            other => return Err(Error::Unexpected { tag: other, at }),
        })
    }

    fn big(&mut self) -> Result<Scalar<'de>, Error> {
        let length = usize::from(self.byte()?);
        let negative = self.byte()? != 0;
        let digits = self.take(length)?;
        let too_large = || Error::Message("the integer does not fit into 64 bits".into());
        let magnitude = digits
            .iter()
            .rev()
            .try_fold(0_u64, |sum, digit| sum.checked_mul(256).map(|sum| sum + u64::from(*digit)))
            .ok_or_else(too_large)?;
        if negative {
            0_i64.checked_sub_unsigned(magnitude).map(Scalar::Signed).ok_or_else(too_large)
        } else {
            Ok(i64::try_from(magnitude).map_or(Scalar::Unsigned(magnitude), Scalar::Signed))
        }
    }

    /// A list of code points as a string, as Erlang's `"text"` is.
    fn characters(&mut self) -> Result<String, Error> {
        let at = self.at;
        match self.byte()? {
            tag::NIL => Ok(String::new()),
            tag::STRING => {
                let length = self.length16()?;
                Ok(self.take(length)?.iter().copied().map(char::from).collect())
            }
            tag::LIST => {
                let length = self.length32()?;
                let mut text = String::new();
                for _ in 0..length {
                    let at = self.at;
                    let tag = self.byte()?;
                    let Scalar::Signed(code) = self.scalar(tag, at)? else { return Err(Error::Text(at)) };
                    text.push(u32::try_from(code).ok().and_then(char::from_u32).ok_or(Error::Text(at))?);
                }
                self.nil()?;
                Ok(text)
            }
            other => Err(Error::Unexpected { tag: other, at }),
        }
    }

    fn nil(&mut self) -> Result<(), Error> {
        let at = self.at;
        match self.byte()? {
            tag::NIL => Ok(()),
            other => Err(Error::Unexpected { tag: other, at }),
        }
    }

    /// Calls `read` with the elements of the container that is opened here.
    fn elements<T>(
        &mut self,
        count: usize,
        read: impl FnOnce(&mut Elements<'_, 'de>) -> Result<T, Error>,
    ) -> Result<T, Error> {
        self.enter()?;
        let mut elements = Elements { decoder: self, left: count };
        let value = read(&mut elements)?;
        if elements.left > 0 {
            return Err(Error::Message(format!("{} elements too many", elements.left)));
        }
        self.depth -= 1;
        Ok(value)
    }

    fn list<V: Visitor<'de>>(&mut self, visitor: V) -> Result<V::Value, Error> {
        let at = self.at;
        match self.byte()? {
            tag::NIL => visitor.visit_seq(de::value::SeqDeserializer::new(std::iter::empty::<u8>())),
            tag::STRING => {
                let length = self.length16()?;
                visitor.visit_seq(de::value::SeqDeserializer::new(self.take(length)?.iter().copied()))
            }
            tag::LIST => {
                let count = self.length32()?;
                let value = self.elements(count, |elements| visitor.visit_seq(elements))?;
                self.nil()?;
                Ok(value)
            }
            other => Err(Error::Unexpected { tag: other, at }),
        }
    }

    fn tuple_arity(&mut self) -> Result<usize, Error> {
        let at = self.at;
        match self.byte()? {
            tag::SMALL_TUPLE => Ok(self.byte()?.into()),
            tag::LARGE_TUPLE => self.length32(),
            other => Err(Error::Unexpected { tag: other, at }),
        }
    }

    fn map<V: Visitor<'de>>(&mut self, visitor: V) -> Result<V::Value, Error> {
        let at = self.at;
        match self.byte()? {
            tag::MAP => {
                let count = self.length32()?;
                self.elements(count, |elements| visitor.visit_map(elements))
            }
            other => Err(Error::Unexpected { tag: other, at }),
        }
    }

    fn tuple<V: Visitor<'de>>(&mut self, visitor: V) -> Result<V::Value, Error> {
        let arity = self.tuple_arity()?;
        self.elements(arity, |elements| visitor.visit_seq(elements))
    }

    /// Reads this one atom.
    fn word(&mut self, word: &str) -> Result<(), Error> {
        let at = self.at;
        let tag = self.byte()?;
        match self.scalar(tag, at)? {
            Scalar::Atom(text) if text == word => Ok(()),
            Scalar::Atom(_)
            | Scalar::Binary(_)
            | Scalar::Signed(_)
            | Scalar::Unsigned(_)
            | Scalar::Float(_) => Err(Error::Unexpected { tag, at }),
        }
    }

    /// Passes over any term, also over those that are not part of the contract: they stand under keys that this version
    /// does not know. Without recursion, so that the depth does not matter.
    fn skip(&mut self) -> Result<(), Error> {
        let mut terms = 1_u64;
        while let Some(left) = terms.checked_sub(1) {
            terms = left + self.skip_head()?;
        }
        Ok(())
    }

    /// Passes over a term without its parts and returns how many they are.
    fn skip_head(&mut self) -> Result<u64, Error> {
        let at = self.at;
        let (bytes, parts) = match self.byte()? {
            tag::NIL => (0, 0),
            tag::SMALL_INTEGER => (1, 0),
            tag::INTEGER => (4, 0),
            tag::NEW_FLOAT => (8, 0),
            tag::OLD_FLOAT => (31, 0),
            tag::SMALL_ATOM_UTF8 | tag::SMALL_ATOM => (self.byte()?.into(), 0),
            tag::ATOM_UTF8 | tag::ATOM | tag::STRING => (self.length16()?, 0),
            tag::BINARY => (self.length32()?, 0),
            // One more for the number of bits in the last byte, for the sign.
            tag::BIT_BINARY | tag::LARGE_BIG => (self.length32()? + 1, 0),
            tag::SMALL_BIG => (usize::from(self.byte()?) + 1, 0),
            tag::SMALL_TUPLE => (0, self.byte()?.into()),
            tag::LARGE_TUPLE => (0, self.length32()? as u64),
            // The tail is a term, too.
            tag::LIST => (0, self.length32()? as u64 + 1),
            tag::MAP => (0, self.length32()? as u64 * 2),
            tag::EXPORT => (0, 3),
            tag::FUN => (self.fun_length()?, 0),
            tag::PORT | tag::REFERENCE => (self.after_node(5)?, 0),
            tag::NEW_PORT => (self.after_node(8)?, 0),
            tag::PID => (self.after_node(9)?, 0),
            tag::NEW_PID | tag::V4_PORT => (self.after_node(12)?, 0),
            tag::NEW_REFERENCE => (self.length16()? * 4 + self.after_node(1)?, 0),
            tag::NEWER_REFERENCE => (self.length16()? * 4 + self.after_node(4)?, 0),
            other => return Err(Error::Unexpected { tag: other, at }),
        };
        self.take(bytes)?;
        Ok(parts)
    }

    /// The size of a fun counts the four bytes of itself.
    fn fun_length(&mut self) -> Result<usize, Error> {
        let size = usize::try_from(u32::from_be_bytes(self.array()?)).ok();
        size.and_then(|size| size.checked_sub(4)).ok_or(Error::Truncated(self.at))
    }

    /// Passes over the node of a pid, a port or a reference, which `bytes` follow.
    fn after_node(&mut self, bytes: usize) -> Result<usize, Error> {
        let at = self.at;
        let tag = self.byte()?;
        match self.scalar(tag, at)? {
            Scalar::Atom(_) => Ok(bytes),
            Scalar::Binary(_) | Scalar::Signed(_) | Scalar::Unsigned(_) | Scalar::Float(_) => {
                Err(Error::Unexpected { tag, at })
            }
        }
    }
}

/// A term without parts.
enum Scalar<'de> {
    Atom(Cow<'de, str>),
    Binary(&'de [u8]),
    Signed(i64),
    Unsigned(u64),
    Float(f64),
}

fn visit_text<'de, V: Visitor<'de>>(text: Cow<'de, str>, visitor: V) -> Result<V::Value, Error> {
    match text {
        Cow::Borrowed(text) => visitor.visit_borrowed_str(text),
        Cow::Owned(text) => visitor.visit_string(text),
    }
}

impl<'de> de::Deserializer<'de> for &mut Decoder<'de> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.peek()? {
            tag::LIST | tag::NIL | tag::STRING => self.list(visitor),
            tag::MAP => self.map(visitor),
            tag::SMALL_TUPLE | tag::LARGE_TUPLE => self.tuple(visitor),
            _ => {
                let at = self.at;
                let tag = self.byte()?;
                match self.scalar(tag, at)? {
                    Scalar::Atom(text) => match &*text {
                        "true" => visitor.visit_bool(true),
                        "false" => visitor.visit_bool(false),
                        "undefined" => visitor.visit_none(),
                        _ => visit_text(text, visitor),
                    },
                    Scalar::Binary(bytes) => match std::str::from_utf8(bytes) {
                        Ok(text) => visitor.visit_borrowed_str(text),
                        Err(_) => visitor.visit_borrowed_bytes(bytes),
                    },
                    Scalar::Signed(number) => visitor.visit_i64(number),
                    Scalar::Unsigned(number) => visitor.visit_u64(number),
                    Scalar::Float(number) => visitor.visit_f64(number),
                }
            }
        }
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        if matches!(self.peek()?, tag::NIL | tag::STRING | tag::LIST) {
            return visitor.visit_string(self.characters()?);
        }
        let at = self.at;
        let tag = self.byte()?;
        match self.scalar(tag, at)? {
            Scalar::Atom(text) => visit_text(text, visitor),
            Scalar::Binary(bytes) => {
                visitor.visit_borrowed_str(std::str::from_utf8(bytes).map_err(|_| Error::Text(at))?)
            }
            Scalar::Signed(_) | Scalar::Unsigned(_) | Scalar::Float(_) => Err(Error::Unexpected { tag, at }),
        }
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.deserialize_str(visitor)
    }

    fn deserialize_identifier<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.deserialize_str(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        let start = self.at;
        if matches!(self.peek()?, tag::SMALL_ATOM_UTF8 | tag::SMALL_ATOM | tag::ATOM_UTF8 | tag::ATOM) {
            let tag = self.byte()?;
            if matches!(self.scalar(tag, start)?, Scalar::Atom(text) if text == "undefined") {
                return visitor.visit_none();
            }
            self.at = start;
        }
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        match self.peek()? {
            tag::SMALL_TUPLE | tag::LARGE_TUPLE => {
                let arity = self.tuple_arity()?;
                self.elements(arity, |elements| visitor.visit_enum(elements))
            }
            _ => {
                let at = self.at;
                let tag = self.byte()?;
                match self.scalar(tag, at)? {
                    Scalar::Atom(text) => visitor.visit_enum(text.into_deserializer()),
                    Scalar::Binary(_) | Scalar::Signed(_) | Scalar::Unsigned(_) | Scalar::Float(_) => {
                        Err(Error::Unexpected { tag, at })
                    }
                }
            }
        }
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.skip()?;
        visitor.visit_unit()
    }

    // serde would take a list for a struct, and a tuple for a list.
    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.map(visitor)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.map(visitor)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.list(visitor)
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, Error> {
        self.tuple(visitor)
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: usize,
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.tuple(visitor)
    }

    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.word("undefined")?;
        visitor.visit_unit()
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.word(name)?;
        visitor.visit_unit()
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 u8 u16 u32 u64 f32 f64 char bytes byte_buf
    }
}

/// The rest of a list, a tuple or a map.
struct Elements<'a, 'de> {
    decoder: &'a mut Decoder<'de>,
    left: usize,
}

impl<'de> Elements<'_, 'de> {
    fn next<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, Error> {
        let Some(left) = self.left.checked_sub(1) else { return Ok(None) };
        self.left = left;
        seed.deserialize(&mut *self.decoder).map(Some)
    }

    fn required<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, Error> {
        self.next(seed)?.ok_or_else(too_short)
    }
}

fn too_short() -> Error {
    Error::Message("the tuple is too short".into())
}

impl<'de> SeqAccess<'de> for &mut Elements<'_, 'de> {
    type Error = Error;

    fn next_element_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, Error> {
        self.next(seed)
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.left)
    }
}

impl<'de> MapAccess<'de> for &mut Elements<'_, 'de> {
    type Error = Error;

    fn next_key_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, Error> {
        self.next(seed)
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, Error> {
        seed.deserialize(&mut *self.decoder)
    }
}

impl<'de> EnumAccess<'de> for &mut Elements<'_, 'de> {
    type Error = Error;
    type Variant = Self;

    fn variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<(S::Value, Self), Error> {
        let tag = self.required(seed)?;
        Ok((tag, self))
    }
}

impl<'de> VariantAccess<'de> for &mut Elements<'_, 'de> {
    type Error = Error;

    fn unit_variant(self) -> Result<(), Error> {
        Ok(())
    }

    fn newtype_variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<S::Value, Error> {
        self.required(seed)
    }

    fn tuple_variant<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_seq(self)
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.left = self.left.checked_sub(1).ok_or_else(too_short)?;
        self.decoder.map(visitor)
    }
}
