//! serde → external term format.

use serde::Serialize;
use serde::ser;

use crate::{Error, tag};

/// The name of a newtype struct that is written as an atom.
const ATOM: &str = "$atom";

/// The external term of a value.
///
/// # Errors
/// [`Error::Text`] for an atom of more than 255 characters, [`Error::Message`] for a float that is not a number, and from
/// a `Serialize` implementation.
pub fn to_bytes<T: Serialize>(value: &T) -> Result<Vec<u8>, Error> {
    let mut out = vec![tag::VERSION];
    value.serialize(Encoder { out: &mut out, atom: false })?;
    Ok(out)
}

struct Encoder<'a> {
    out: &'a mut Vec<u8>,
    atom: bool,
}

impl Encoder<'_> {
    fn write_atom(self, text: &str) -> Result<(), Error> {
        write_atom(self.out, text)
    }

    fn write_length(&mut self, tag: u8, length: usize) -> Result<(), Error> {
        self.out.push(tag);
        self.out.extend_from_slice(&length32(length)?.to_be_bytes());
        Ok(())
    }
}

fn length32(length: usize) -> Result<u32, Error> {
    u32::try_from(length).map_err(|_| Error::TooLarge(length))
}

fn write_atom(out: &mut Vec<u8>, text: &str) -> Result<(), Error> {
    if text.chars().count() > 255 {
        return Err(Error::Text(out.len()));
    }
    if let Ok(length) = u8::try_from(text.len()) {
        out.extend_from_slice(&[tag::SMALL_ATOM_UTF8, length]);
    } else {
        let length = u16::try_from(text.len()).map_err(|_| Error::Text(out.len()))?;
        out.push(tag::ATOM_UTF8);
        out.extend_from_slice(&length.to_be_bytes());
    }
    out.extend_from_slice(text.as_bytes());
    Ok(())
}

fn write_big(out: &mut Vec<u8>, negative: bool, magnitude: u64) {
    let bytes = magnitude.to_le_bytes();
    let used = 8 - magnitude.leading_zeros() as usize / 8;
    #[expect(clippy::cast_possible_truncation, reason = "at most 8")]
    out.extend_from_slice(&[tag::SMALL_BIG, used as u8, u8::from(negative)]);
    out.extend(bytes.iter().take(used));
}

impl<'a> ser::Serializer for Encoder<'a> {
    type Ok = ();
    type Error = Error;
    type SerializeSeq = Elements<'a>;
    type SerializeTuple = Elements<'a>;
    type SerializeTupleStruct = Elements<'a>;
    type SerializeTupleVariant = Elements<'a>;
    type SerializeMap = Elements<'a>;
    type SerializeStruct = Elements<'a>;
    type SerializeStructVariant = Elements<'a>;

    fn serialize_bool(self, v: bool) -> Result<(), Error> {
        self.write_atom(if v { "true" } else { "false" })
    }

    fn serialize_i8(self, v: i8) -> Result<(), Error> {
        self.serialize_i64(v.into())
    }

    fn serialize_i16(self, v: i16) -> Result<(), Error> {
        self.serialize_i64(v.into())
    }

    fn serialize_i32(self, v: i32) -> Result<(), Error> {
        self.serialize_i64(v.into())
    }

    fn serialize_i64(self, v: i64) -> Result<(), Error> {
        if let Ok(small) = u8::try_from(v) {
            self.out.extend_from_slice(&[tag::SMALL_INTEGER, small]);
        } else if let Ok(integer) = i32::try_from(v) {
            self.out.push(tag::INTEGER);
            self.out.extend_from_slice(&integer.to_be_bytes());
        } else {
            write_big(self.out, v < 0, v.unsigned_abs());
        }
        Ok(())
    }

    fn serialize_u8(self, v: u8) -> Result<(), Error> {
        self.serialize_i64(v.into())
    }

    fn serialize_u16(self, v: u16) -> Result<(), Error> {
        self.serialize_i64(v.into())
    }

    fn serialize_u32(self, v: u32) -> Result<(), Error> {
        self.serialize_i64(v.into())
    }

    fn serialize_u64(self, v: u64) -> Result<(), Error> {
        if let Ok(signed) = i64::try_from(v) {
            return self.serialize_i64(signed);
        }
        write_big(self.out, false, v);
        Ok(())
    }

    fn serialize_f32(self, v: f32) -> Result<(), Error> {
        self.serialize_f64(v.into())
    }

    fn serialize_f64(self, v: f64) -> Result<(), Error> {
        if !v.is_finite() {
            return Err(Error::Message(format!("Erlang has no float {v}")));
        }
        self.out.push(tag::NEW_FLOAT);
        self.out.extend_from_slice(&v.to_be_bytes());
        Ok(())
    }

    fn serialize_char(self, v: char) -> Result<(), Error> {
        self.serialize_str(v.encode_utf8(&mut [0; 4]))
    }

    fn serialize_str(mut self, v: &str) -> Result<(), Error> {
        if self.atom {
            return self.write_atom(v);
        }
        self.write_length(tag::BINARY, v.len())?;
        self.out.extend_from_slice(v.as_bytes());
        Ok(())
    }

    fn serialize_bytes(mut self, v: &[u8]) -> Result<(), Error> {
        self.write_length(tag::BINARY, v.len())?;
        self.out.extend_from_slice(v);
        Ok(())
    }

    fn serialize_none(self) -> Result<(), Error> {
        self.write_atom("undefined")
    }

    fn serialize_some<T: ?Sized + Serialize>(self, value: &T) -> Result<(), Error> {
        value.serialize(self)
    }

    fn serialize_unit(self) -> Result<(), Error> {
        self.write_atom("undefined")
    }

    fn serialize_unit_struct(self, name: &'static str) -> Result<(), Error> {
        self.write_atom(name)
    }

    fn serialize_unit_variant(self, _: &'static str, _: u32, variant: &'static str) -> Result<(), Error> {
        self.write_atom(variant)
    }

    fn serialize_newtype_struct<T: ?Sized + Serialize>(
        self,
        name: &'static str,
        value: &T,
    ) -> Result<(), Error> {
        value.serialize(Encoder { out: self.out, atom: name == ATOM })
    }

    fn serialize_newtype_variant<T: ?Sized + Serialize>(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        value: &T,
    ) -> Result<(), Error> {
        self.out.extend_from_slice(&[tag::SMALL_TUPLE, 2]);
        write_atom(self.out, variant)?;
        value.serialize(Encoder { out: self.out, atom: false })
    }

    fn serialize_seq(self, _: Option<usize>) -> Result<Elements<'a>, Error> {
        Ok(Elements::open(self.out, Kind::List))
    }

    fn serialize_tuple(self, _: usize) -> Result<Elements<'a>, Error> {
        Ok(Elements::open(self.out, Kind::Tuple))
    }

    fn serialize_tuple_struct(self, _: &'static str, _: usize) -> Result<Elements<'a>, Error> {
        Ok(Elements::open(self.out, Kind::Tuple))
    }

    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<Elements<'a>, Error> {
        let mut elements = Elements::open(self.out, Kind::Tuple);
        write_atom(elements.out, variant)?;
        elements.count = 1;
        Ok(elements)
    }

    fn serialize_map(self, _: Option<usize>) -> Result<Elements<'a>, Error> {
        Ok(Elements::open(self.out, Kind::Map))
    }

    fn serialize_struct(self, _: &'static str, _: usize) -> Result<Elements<'a>, Error> {
        Ok(Elements::open(self.out, Kind::Map))
    }

    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<Elements<'a>, Error> {
        self.out.extend_from_slice(&[tag::SMALL_TUPLE, 2]);
        write_atom(self.out, variant)?;
        Ok(Elements::open(self.out, Kind::Map))
    }
}

#[derive(PartialEq, Eq)]
enum Kind {
    List,
    Tuple,
    Map,
}

/// A container whose length is written when it is known.
struct Elements<'a> {
    out: &'a mut Vec<u8>,
    kind: Kind,
    length_at: usize,
    count: usize,
}

impl<'a> Elements<'a> {
    fn open(out: &'a mut Vec<u8>, kind: Kind) -> Self {
        out.push(match kind {
            Kind::List => tag::LIST,
            Kind::Tuple => tag::LARGE_TUPLE,
            Kind::Map => tag::MAP,
        });
        let length_at = out.len();
        out.extend_from_slice(&[0; 4]);
        Self { out, kind, length_at, count: 0 }
    }

    fn element<T: ?Sized + Serialize>(&mut self, value: &T) -> Result<(), Error> {
        self.count += 1;
        value.serialize(Encoder { out: self.out, atom: false })
    }

    fn field<T: ?Sized + Serialize>(&mut self, key: &'static str, value: &T) -> Result<(), Error> {
        write_atom(self.out, key)?;
        self.element(value)
    }

    fn close(self) -> Result<(), Error> {
        let length = length32(self.count)?;
        if self.kind == Kind::List && length == 0 {
            self.out.truncate(self.length_at - 1);
            self.out.push(tag::NIL);
            return Ok(());
        }
        if let Some(place) = self.out.get_mut(self.length_at..self.length_at + 4) {
            place.copy_from_slice(&length.to_be_bytes());
        }
        if self.kind == Kind::List {
            self.out.push(tag::NIL);
        }
        Ok(())
    }
}

macro_rules! element_wise {
    ($trait:ident, $method:ident) => {
        impl ser::$trait for Elements<'_> {
            type Ok = ();
            type Error = Error;

            fn $method<T: ?Sized + Serialize>(&mut self, value: &T) -> Result<(), Error> {
                self.element(value)
            }

            fn end(self) -> Result<(), Error> {
                self.close()
            }
        }
    };
}

element_wise!(SerializeSeq, serialize_element);
element_wise!(SerializeTuple, serialize_element);
element_wise!(SerializeTupleStruct, serialize_field);
element_wise!(SerializeTupleVariant, serialize_field);

macro_rules! field_wise {
    ($trait:ident) => {
        impl ser::$trait for Elements<'_> {
            type Ok = ();
            type Error = Error;

            fn serialize_field<T: ?Sized + Serialize>(
                &mut self,
                key: &'static str,
                value: &T,
            ) -> Result<(), Error> {
                self.field(key, value)
            }

            fn end(self) -> Result<(), Error> {
                self.close()
            }
        }
    };
}

field_wise!(SerializeStruct);
field_wise!(SerializeStructVariant);

impl ser::SerializeMap for Elements<'_> {
    type Ok = ();
    type Error = Error;

    fn serialize_key<T: ?Sized + Serialize>(&mut self, key: &T) -> Result<(), Error> {
        key.serialize(Encoder { out: self.out, atom: false })
    }

    fn serialize_value<T: ?Sized + Serialize>(&mut self, value: &T) -> Result<(), Error> {
        self.element(value)
    }

    fn end(self) -> Result<(), Error> {
        self.close()
    }
}
