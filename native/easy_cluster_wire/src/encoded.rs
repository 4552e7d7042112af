//! A part of a request that is an external term of its own: whoever asks several times encodes it once.

use std::fmt;
use std::marker::PhantomData;

use serde::de::{Deserialize, Deserializer, Error, Visitor};

use crate::from_bytes;

/// What a binary holds as an external term.
#[derive(Debug)]
pub(crate) struct Encoded<T>(pub T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Encoded<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_bytes(Bytes(PhantomData)).map(Self)
    }
}

struct Bytes<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for Bytes<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a binary with an external term")
    }

    fn visit_borrowed_bytes<E: Error>(self, bytes: &'de [u8]) -> Result<T, E> {
        from_bytes(bytes).map_err(E::custom)
    }

    // A binary that happens to be text.
    fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<T, E> {
        self.visit_borrowed_bytes(text.as_bytes())
    }
}
