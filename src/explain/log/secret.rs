//! What a log must not hand on: the cookie, where somebody wrote it on a command line or into the environment.

use std::iter;
use std::ops::Range;
use std::sync::LazyLock;

use aho_corasick::AhoCorasick;
use regex::Regex;

/// `-setcookie X`, `{setcookie,["X"]}`, `set_cookie(Node, 'X')`, `ERLANG_COOKIE=X`, `"cookie": "X"`.
static COOKIE: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(concat!(
        r"(?i)(?P<call>set_?cookie ?\()[^)\n]*",
        r#"|(?P<option>setcookie['"]?[ \n,=\[(]{1,4}['"]?)[^'" \n,\])}]+"#,
        r#"|(?P<file>\.erlang\.)?(?P<key>cookie['"]? ?[=:,] ?['"]?)[A-Za-z0-9_+/=!.@#$%^&*-]+"#,
    ))
    .ok()
});

/// Most texts do not have it.
static WORD: LazyLock<Option<AhoCorasick>> =
    LazyLock::new(|| AhoCorasick::builder().ascii_case_insensitive(true).build(["cookie"]).ok());

/// Erlang refuses longer cookies, bytes.
const LONGEST: usize = 255;

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
    let Some(pattern) = COOKIE.as_ref() else { return iter::once(0..text.len()).collect() };
    let mut cookies: Vec<Range<usize>> = Vec::new();
    let mut from = 0;
    while let Some(found) = pattern.captures_at(text, from) {
        let group = |name| found.name(name).map(|group| group.range());
        let all = found.get(0).map_or(text.len()..text.len(), |all| all.range());
        let key = group("call").or(group("option")).or(group("key")).unwrap_or(all.clone());
        from = all.end;
        // `.erlang.cookie: eacces` has no cookie in it.
        if group("file").is_some() {
            continue;
        }
        // What looks like a cookie may be the key of one: `no_setcookie,"cookie":"X"`.
        if group("call").is_none() && all.end - key.end <= LONGEST {
            from = key.end;
        }
        match cookies.last_mut() {
            Some(last) if key.end <= last.end => last.end = last.end.max(all.end),
            Some(_) | None => cookies.push(key.end..all.end),
        }
    }
    cookies
}

fn mentions_cookie(text: &str) -> bool {
    WORD.as_ref().is_none_or(|word| word.is_match(text))
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
            "[{auth,init_no_setcookie,\"cookie\":\"SECRET\"}]",
            "cookie: cookie: SECRET",
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
