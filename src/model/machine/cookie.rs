//! The cookie file: what Erlang reads in it, and what it refuses.

use std::fmt;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// Atoms hold no more.
const MAX_LENGTH: usize = 255;
/// Erlang makes cookies of twenty letters itself.
const SHORT: usize = 12;
/// Cookies of tutorials, images and packages.
const KNOWN: [&[u8]; 12] = [
    b"ejabberd_cookie",
    b"erlang_cookie",
    b"erlang-cookie",
    b"secretcookie",
    b"secret_cookie",
    b"dummycookie123",
    b"dummycookie",
    b"rabbitmqcookie",
    b"mongooseim",
    b"monstercookie",
    b"thisisacookie",
    b"changemechangeme",
];

/// A cookie. It can be used, and neither shown nor written.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// The cookie itself, for the probe and for nothing else.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Eight digits by which two cookies can be told apart, and nobody learns either.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        let digest =
            Sha256::new().chain_update(b"easy_cluster cookie").chain_update(self.0.as_bytes()).finalize();
        digest.iter().take(4).map(|byte| format!("{byte:02x}")).collect()
    }
}

impl From<&str> for Secret {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// What may be told of a cookie.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CookieFacts {
    /// Characters, line ends not counted.
    pub length: u64,
    /// [`Secret::fingerprint`], where Erlang accepts the cookie.
    pub fingerprint: Option<String>,
    /// A character that Erlang refuses, and where.
    pub refused: Option<String>,
    /// A blank at the beginning or the end, which is part of the cookie.
    pub blank: Option<String>,
    /// The end of line that follows, in words.
    pub line_end: Option<String>,
    /// Why it could be guessed.
    pub weak: Option<String>,
}

/// Reads a cookie file as Erlang's `auth` does: printable ASCII and spaces, then ends of lines.
#[must_use]
pub fn parse(bytes: &[u8]) -> (CookieFacts, Option<Secret>) {
    let printable = bytes.iter().take_while(|byte| (b' '..=b'~').contains(*byte)).count();
    let (cookie, rest) = bytes.split_at_checked(printable).unwrap_or((bytes, &[]));
    let refused = rest.iter().position(|byte| !matches!(byte, b'\n' | b'\r' | b' '));
    let refused = match refused {
        None => None,
        // Something follows on another line: the line's end is what should not be there.
        Some(at) if at > 0 => Some(describe(rest.first().copied().unwrap_or_default(), printable)),
        Some(_) => rest.first().map(|byte| describe(*byte, printable)),
    };
    let text = String::from_utf8_lossy(cookie).into_owned();
    let accepted = refused.is_none() && !cookie.is_empty() && cookie.len() <= MAX_LENGTH;
    let secret = accepted.then_some(Secret(text));
    let facts = CookieFacts {
        length: if refused.is_some() { bytes.len() } else { cookie.len() } as u64,
        fingerprint: secret.as_ref().map(Secret::fingerprint),
        blank: secret.as_ref().and_then(|secret| blank(secret.expose())).map(str::to_owned),
        line_end: if refused.is_some() { None } else { line_end(rest).map(str::to_owned) },
        weak: if accepted { weak(cookie) } else { None },
        refused,
    };
    (facts, secret)
}

/// Whether an atom can hold a cookie of that length.
#[must_use]
pub fn fits(length: u64) -> bool {
    length <= MAX_LENGTH as u64
}

fn describe(byte: u8, at: usize) -> String {
    let what = match byte {
        b'\t' => "a tab".to_owned(),
        b'\n' => "a newline".to_owned(),
        b'\r' => "a carriage return".to_owned(),
        0xef if at == 0 => "a byte order mark or another character that is not ASCII".to_owned(),
        0x80.. => "a character that is not ASCII".to_owned(),
        _ => format!("the control character 0x{byte:02x}"),
    };
    format!("{what} at byte {}", at + 1)
}

fn blank(cookie: &str) -> Option<&'static str> {
    match (cookie.starts_with(' '), cookie.ends_with(' ')) {
        (true, true) => Some("begins and ends with a space"),
        (true, false) => Some("begins with a space"),
        (false, true) => Some("ends with a space"),
        (false, false) => None,
    }
}

fn line_end(rest: &[u8]) -> Option<&'static str> {
    match (rest.contains(&b'\r'), rest.contains(&b'\n')) {
        (true, true) => Some("a carriage return and a newline"),
        (true, false) => Some("a carriage return"),
        (false, true) => Some("a newline"),
        (false, false) => None,
    }
}

fn weak(cookie: &[u8]) -> Option<String> {
    let lower = cookie.to_ascii_lowercase();
    if KNOWN.contains(&lower.as_slice()) {
        return Some("it stands in tutorials".into());
    }
    if cookie.len() < SHORT {
        return Some(format!("it has {} characters only", cookie.len()));
    }
    let first = cookie.first()?;
    cookie.iter().all(|byte| byte == first).then(|| "it is one character repeated".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "QWERTYUIOPASDFGHJKLZ";

    fn told(text: &str) -> CookieFacts {
        parse(text.as_bytes()).0
    }

    #[test]
    fn a_good_cookie_has_a_fingerprint_and_nothing_else() {
        let (facts, secret) = parse(GOOD.as_bytes());
        assert_eq!(facts.fingerprint, secret.as_ref().map(Secret::fingerprint));
        assert_eq!(facts.fingerprint.as_ref().map(String::len), Some(8));
        let expected =
            CookieFacts { length: 20, fingerprint: facts.fingerprint.clone(), ..CookieFacts::default() };
        assert_eq!(facts, expected);
        assert!(!format!("{secret:?}{facts:?}").contains("QWERTY"));
    }

    #[test]
    fn ends_of_lines_are_not_part_of_the_cookie() {
        for end in ["\n", "\r\n", "\r", "\n\n"] {
            let facts = told(&format!("{GOOD}{end}"));
            assert_eq!(facts.fingerprint, told(GOOD).fingerprint, "{end:?}");
            assert!(facts.line_end.is_some(), "{end:?}");
        }
    }

    #[test]
    fn spaces_around_it_are_part_of_the_cookie() {
        for text in [format!(" {GOOD}"), format!("{GOOD} "), format!("{GOOD} \n")] {
            let facts = told(&text);
            assert_ne!(facts.fingerprint, told(GOOD).fingerprint, "{text:?}");
            assert!(facts.blank.is_some(), "{text:?}");
        }
    }

    #[test]
    fn the_character_that_erlang_refuses_is_named() {
        for (text, what) in [
            (format!("a\t{GOOD}"), "a tab at byte 2"),
            (format!("{GOOD}\n{GOOD}"), "a newline at byte 21"),
            (format!("\u{feff}{GOOD}"), "a byte order mark or another character that is not ASCII at byte 1"),
            (format!("{GOOD}\u{e9}"), "a character that is not ASCII at byte 21"),
            (format!("{GOOD}\0"), "the control character 0x00 at byte 21"),
        ] {
            let (facts, secret) = parse(text.as_bytes());
            assert_eq!((facts.refused.as_deref(), secret), (Some(what), None), "{text:?}");
        }
    }

    #[test]
    fn what_is_empty_or_too_long_is_no_cookie() {
        for text in ["", "\n", "\r\n"] {
            assert_eq!((told(text).length, told(text).fingerprint), (0, None), "{text:?}");
        }
        let long = told(&"ab".repeat(128));
        assert_eq!((long.length, long.fingerprint.is_none(), fits(long.length)), (256, true, false));
        assert!(told(&"abc".repeat(85)).fingerprint.is_some());
    }

    #[test]
    fn a_cookie_that_can_be_guessed_is_weak() {
        for text in ["secret", "dummycookie123", "aaaaaaaaaaaaaaaaaaaa"] {
            assert!(told(text).weak.is_some(), "{text:?}");
        }
        assert_eq!(told(GOOD).weak, None);
    }
}
