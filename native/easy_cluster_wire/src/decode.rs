//! External term format → serde, without a copy of the term in between.

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
    let value = T::deserialize(&mut decoder)?;
    match bytes.len() - decoder.at {
        0 => Ok(value),
        rest => Err(Error::Trailing(rest)),
    }
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

    fn enter(&mut self) -> Result<(), Error> {
        self.depth += 1;
        if self.depth > MAX_DEPTH { Err(Error::TooDeep(self.at)) } else { Ok(()) }
    }

    /// Reads what follows a tag of a scalar, or says that it is none.
    fn scalar(&mut self, tag: u8, at: usize) -> Result<Scalar<'de>, Error> {
        Ok(match tag {
            tag::SMALL_ATOM_UTF8 | tag::SMALL_ATOM => {
                let length = self.byte()?.into();
                Scalar::Atom(self.text(length)?)
            }
            tag::ATOM_UTF8 | tag::ATOM => {
                let length = self.length16()?;
                Scalar::Atom(self.text(length)?)
            }
            tag::BINARY => {
                let length = self.length32()?;
                Scalar::Binary(self.take(length)?)
            }
            tag::SMALL_INTEGER => Scalar::Signed(self.byte()?.into()),
            tag::INTEGER => Scalar::Signed(i32::from_be_bytes(self.array()?).into()),
            tag::SMALL_BIG => self.big(at)?,
            tag::NEW_FLOAT => Scalar::Float(f64::from_be_bytes(self.array()?)),
            other => return Err(Error::Unexpected { tag: other, at }),
        })
    }

    fn big(&mut self, at: usize) -> Result<Scalar<'de>, Error> {
        let length = usize::from(self.byte()?);
        let negative = self.byte()? != 0;
        let digits = self.take(length)?;
        let too_large = || Error::Message(format!("the integer at byte {at} does not fit into 64 bits"));
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
                let mut text = String::with_capacity(length);
                for _ in 0..length {
                    let (tag, at) = (self.byte()?, self.at);
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
            return Err(Error::Message(format!(
                "{} elements too many before byte {}",
                elements.left, self.at
            )));
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

    /// Passes over any term of the contract, for keys that this version does not know.
    fn skip(&mut self) -> Result<(), Error> {
        let at = self.at;
        match self.byte()? {
            tag::NIL => Ok(()),
            tag::STRING => {
                let length = self.length16()?;
                self.take(length).map(|_| ())
            }
            tag::BIT_BINARY => {
                let length = self.length32()?;
                self.take(length + 1).map(|_| ())
            }
            tag @ (tag::LIST | tag::MAP | tag::SMALL_TUPLE | tag::LARGE_TUPLE) => {
                let count = match tag {
                    tag::SMALL_TUPLE => self.byte()?.into(),
                    tag::LIST => self.length32()? + 1,
                    tag::MAP => self.length32()? * 2,
                    _ => self.length32()?,
                };
                self.enter()?;
                for _ in 0..count {
                    self.skip()?;
                }
                self.depth -= 1;
                Ok(())
            }
            tag::COMPRESSED => Err(Error::Unexpected { tag: tag::COMPRESSED, at }),
            other => self.scalar(other, at).map(|_| ()),
        }
    }
}

/// A term without parts.
enum Scalar<'de> {
    Atom(&'de str),
    Binary(&'de [u8]),
    Signed(i64),
    Unsigned(u64),
    Float(f64),
}

impl<'de> de::Deserializer<'de> for &mut Decoder<'de> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.peek()? {
            tag::LIST | tag::NIL | tag::STRING => self.list(visitor),
            tag::MAP => self.map(visitor),
            tag::SMALL_TUPLE | tag::LARGE_TUPLE => {
                let arity = self.tuple_arity()?;
                self.elements(arity, |elements| visitor.visit_seq(elements))
            }
            _ => {
                let at = self.at;
                let tag = self.byte()?;
                match self.scalar(tag, at)? {
                    Scalar::Atom("true") => visitor.visit_bool(true),
                    Scalar::Atom("false") => visitor.visit_bool(false),
                    Scalar::Atom("undefined") => visitor.visit_none(),
                    Scalar::Atom(text) => visitor.visit_borrowed_str(text),
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
            Scalar::Atom(text) => visitor.visit_borrowed_str(text),
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
            if let Scalar::Atom("undefined") = self.scalar(tag, start)? {
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

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 u8 u16 u32 u64 f32 f64 char bytes byte_buf unit unit_struct
        seq tuple tuple_struct map struct
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
        let at = self.decoder.at;
        self.next(seed)?.ok_or_else(|| Error::Message(format!("the tuple at byte {at} is too short")))
    }
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
        let at = self.decoder.at;
        let left = self.left.checked_sub(1);
        self.left = left.ok_or_else(|| Error::Message(format!("the tuple at byte {at} is too short")))?;
        self.decoder.map(visitor)
    }
}
