//! What a log must not hand on: the cookie, where somebody wrote it on a command line or into the environment.

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

/// The text with cookies replaced.
pub(super) fn hidden(text: &str) -> String {
    if !mentions_cookie(text) {
        return text.to_owned();
    }
    let Some(cookie) = COOKIE.as_ref() else { return "***".into() };
    cookie
        .replace_all(text, |found: &Captures<'_>| {
            let group = |name| found.name(name).map(|group| group.as_str());
            match (group("file"), group("call").or(group("option")).or(group("key"))) {
                (None, Some(key)) => format!("{key}***"),
                // `.erlang.cookie: eacces` has no cookie in it.
                (Some(_), _) | (None, None) => found.get(0).map_or("", |whole| whole.as_str()).to_owned(),
            }
        })
        .into_owned()
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
