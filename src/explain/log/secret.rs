//! What a log must not hand on: the cookie, where somebody wrote it on a command line or into the environment.

use std::iter;
use std::ops::Range;
use std::sync::LazyLock;

use regex::{Captures, Regex};

/// `-setcookie X`, `{setcookie,["X"]}`, `set_cookie(Node, 'X')`, `ERLANG_COOKIE=X`, `"cookie": "X"`.
static COOKIE: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(concat!(
        r"(?i)(?P<call>set_?cookie ?\()[^)\n]*",
        r#"|(?P<option>setcookie['"]?[ ,=\[(]{1,3}['"]?)[^'" ,\])}]+"#,
        r#"|(?P<file>\.erlang\.)?(?P<key>cookie['"]? ?[=:,] ?['"]?)[A-Za-z0-9_+/=!.@#$%^&*-]+"#,
    ))
    .ok()
});

/// What stands for a cookie.
pub(super) const HIDDEN: &str = "***";

/// The text with cookies replaced.
pub(super) fn hidden(text: &str) -> String {
    let mut told = String::with_capacity(text.len());
    let mut from = 0;
    for cookie in cookies(text) {
        told.push_str(text.get(from..cookie.start).unwrap_or_default());
        told.push_str(HIDDEN);
        from = cookie.end;
    }
    told + text.get(from..).unwrap_or_default()
}

/// Where cookies stand in a text, in order.
pub(super) fn cookies(text: &str) -> Vec<Range<usize>> {
    if !mentions_cookie(text) {
        return Vec::new();
    }
    let Some(cookie) = COOKIE.as_ref() else { return iter::once(0..text.len()).collect() };
    let place = |found: Captures<'_>| {
        let group = |name| found.name(name);
        let key = group("call").or(group("option")).or(group("key"))?;
        // `.erlang.cookie: eacces` has no cookie in it.
        group("file").is_none().then_some(key.end()..found.get(0)?.end())
    };
    cookie.captures_iter(text).filter_map(place).collect()
}

fn mentions_cookie(text: &str) -> bool {
    text.as_bytes().windows(6).any(|word| word.eq_ignore_ascii_case(b"cookie"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cookie_is_never_quoted() {
        for text in [
            "erl -name a@b -setcookie SECRET -noinput",
            "[{setcookie,[\"SECRET\"]}]",
            "erlang:set_cookie('a@b', 'SECRET')",
            "ERLANG_COOKIE=SECRET ./run",
            r#"{"cookie":"SECRET"}"#,
            "Cookie: SECRET",
            "--erl '-setcookie=SECRET'",
        ] {
            let hidden = hidden(text);
            assert!(!hidden.contains("SECRET") && hidden.contains("***"), "{hidden}");
        }
    }

    #[test]
    fn the_word_alone_is_no_cookie() {
        for text in
            ["Bad cookie in table definition foo: a = b", "Error when reading /root/.erlang.cookie: eacces"]
        {
            assert_eq!(hidden(text), text);
        }
    }
}
