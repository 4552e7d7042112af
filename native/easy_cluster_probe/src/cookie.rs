//! The secret of the distribution, kept from every text that might be logged.

use std::fmt;

use serde::Deserialize;

/// A cookie of the distribution. It can be read and used, and neither shown nor written.
#[derive(Clone, Deserialize)]
pub struct Cookie(Box<str>);

impl Cookie {
    /// What Erlang digests: `atom_to_list/1` gives one byte a character up to U+00FF. Beyond that Erlang itself
    /// fails, so any bytes do.
    pub(super) fn bytes(&self) -> Vec<u8> {
        let latin1: Option<Vec<u8>> = self.0.chars().map(|c| u8::try_from(c).ok()).collect();
        latin1.unwrap_or_else(|| self.0.as_bytes().to_vec())
    }
}

impl From<&str> for Cookie {
    fn from(text: &str) -> Self {
        Self(text.into())
    }
}

impl fmt::Debug for Cookie {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cookie_is_not_shown() {
        assert_eq!(format!("{:?}", Cookie::from("secret")), "***");
    }

    #[test]
    fn characters_of_latin_1_are_one_byte_each() {
        assert_eq!(Cookie::from("a\u{f6}").bytes(), [b'a', 0xf6]);
        assert_eq!(Cookie::from("\u{20ac}").bytes(), "\u{20ac}".as_bytes());
    }
}
