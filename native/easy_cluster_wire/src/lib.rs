//! The contract between Erlang and the core: external term format ⇄ serde, and which request calls what.
//!
//! The codec is ours because the one that was measured (`erltf_serde` 0.16) needs 53 ms to decode and 85 ms to encode
//! the snapshot of 10,000 tables that has to be planned within 100 ms, recurses as deep as its input says, which takes
//! the Erlang VM down, and reserves memory by lengths that nobody has checked. This one reads and writes as it goes.
//!
//! | Erlang | Rust |
//! |---|---|
//! | map with atom or binary keys | struct, map |
//! | atom, binary, list of characters | string; a newtype struct named `$atom` is written as an atom |
//! | list | sequence |
//! | tuple | tuple |
//! | `Tag`, `{Tag, Value}`, `{Tag, #{...}}` | unit, newtype, struct variant of an enum |
//! | `true`, `false` | bool |
//! | `undefined` | `None` |
//! | integer, float | integers up to 64 bits, `f64` |
//!
//! Anything else may stand under a key that is not asked for, and is passed over. Compressed terms are refused.

mod boot;
mod decode;
mod dispatch;
mod encode;
mod encoded;

use std::fmt::{self, Write as _};

pub use decode::from_bytes;
pub use dispatch::answer;
pub use encode::to_bytes;

/// Terms that nest deeper are refused: the stack of a scheduler thread is small.
pub const MAX_DEPTH: u32 = 64;
/// Terms that are larger are refused, bytes.
pub const MAX_SIZE: usize = 64 << 20;

/// The tags of the external term format that are read or written.
mod tag {
    pub(crate) const VERSION: u8 = 131;
    pub(crate) const NEW_FLOAT: u8 = 70;
    pub(crate) const BIT_BINARY: u8 = 77;
    pub(crate) const NEW_PID: u8 = 88;
    pub(crate) const NEW_PORT: u8 = 89;
    pub(crate) const NEWER_REFERENCE: u8 = 90;
    pub(crate) const SMALL_INTEGER: u8 = 97;
    pub(crate) const INTEGER: u8 = 98;
    pub(crate) const OLD_FLOAT: u8 = 99;
    pub(crate) const ATOM: u8 = 100;
    pub(crate) const REFERENCE: u8 = 101;
    pub(crate) const PORT: u8 = 102;
    pub(crate) const PID: u8 = 103;
    pub(crate) const SMALL_TUPLE: u8 = 104;
    pub(crate) const LARGE_TUPLE: u8 = 105;
    pub(crate) const NIL: u8 = 106;
    pub(crate) const STRING: u8 = 107;
    pub(crate) const LIST: u8 = 108;
    pub(crate) const BINARY: u8 = 109;
    pub(crate) const SMALL_BIG: u8 = 110;
    pub(crate) const LARGE_BIG: u8 = 111;
    pub(crate) const FUN: u8 = 112;
    pub(crate) const EXPORT: u8 = 113;
    pub(crate) const NEW_REFERENCE: u8 = 114;
    pub(crate) const SMALL_ATOM: u8 = 115;
    pub(crate) const MAP: u8 = 116;
    pub(crate) const ATOM_UTF8: u8 = 118;
    pub(crate) const SMALL_ATOM_UTF8: u8 = 119;
    pub(crate) const V4_PORT: u8 = 120;
}

/// Why bytes are not what was expected, and where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The term ends too early.
    #[error("the term ends at byte {0}, in the middle")]
    Truncated(usize),
    /// Something follows the term.
    #[error("the term ends at byte {0}, and more follows")]
    Trailing(usize),
    /// Larger than [`MAX_SIZE`].
    #[error("the term has {0} bytes; {MAX_SIZE} are the most")]
    TooLarge(usize),
    /// Deeper than [`MAX_DEPTH`].
    #[error("the term nests deeper than {MAX_DEPTH} at byte {0}")]
    TooDeep(usize),
    /// A type of term that is not part of the contract.
    #[error("a term with tag {tag} at byte {at} is not part of the contract")]
    Unexpected {
        /// The tag of the external term format.
        tag: u8,
        /// Where.
        at: usize,
    },
    /// A text that is not UTF-8, or an atom that is too long.
    #[error("the text at byte {0} is not UTF-8 or too long")]
    Text(usize),
    /// The shape is fine and the contents do not fit.
    #[error("{0}")]
    Message(String),
}

impl Error {
    /// serde does not say where; this is where reading stopped.
    fn before(self, at: usize) -> Self {
        match self {
            Self::Message(reason) => Self::Message(format!("{reason}, before byte {at}")),
            placed @ (Self::Truncated(_)
            | Self::Trailing(_)
            | Self::TooLarge(_)
            | Self::TooDeep(_)
            | Self::Unexpected { .. }
            | Self::Text(_)) => placed,
        }
    }
}

impl serde::de::Error for Error {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self::Message(Excerpt::of(&message))
    }
}

impl serde::ser::Error for Error {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self::Message(Excerpt::of(&message))
    }
}

/// The beginning of a text. serde repeats what it did not like, be it a megabyte.
struct Excerpt(String);

impl Excerpt {
    const MAX_BYTES: usize = 1024;

    fn of(text: &dyn fmt::Display) -> String {
        let mut excerpt = Self(String::new());
        // It fails when the excerpt is full.
        let _ = write!(excerpt, "{text}");
        excerpt.0
    }
}

impl fmt::Write for Excerpt {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let space = Self::MAX_BYTES - self.0.len();
        if text.len() <= space {
            self.0.push_str(text);
            return Ok(());
        }
        let fitting = text.char_indices().take_while(|(at, c)| at + c.len_utf8() <= space);
        self.0.extend(fitting.map(|(_, c)| c));
        self.0.push('…');
        Err(fmt::Error)
    }
}
