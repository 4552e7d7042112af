//! Problems in words, one by one and as a catalogue.

use std::fmt::Write as _;

use crate::validate::problem::Problem;

/// One paragraph a problem: code, layer, severity, evidence, cause, fix, link.
#[must_use]
pub fn problems(problems: &[Problem]) -> String {
    let mut text = String::new();
    for problem in problems {
        let (layer, severity) = (problem.layer().as_str(), problem.severity().as_str());
        let _ = writeln!(text, "{} ({layer}, {severity})", problem.code());
        let _ = writeln!(text, "  evidence  {}", printable(&problem.to_string()));
        let _ = writeln!(text, "  cause     {}", problem.cause());
        let _ = writeln!(text, "  fix       {}", printable(&problem.fix()));
        let _ = writeln!(text, "  see       {}", problem.link());
    }
    text
}

/// Files and peers can say anything; what moves the cursor of a terminal is not repeated.
#[must_use]
pub fn printable(text: &str) -> String {
    let shown = |c: char| match c {
        '\n' | '\t' => ' ',
        c if c.is_control() => '?',
        c => c,
    };
    text.chars().map(shown).collect()
}

/// The whole catalogue as `docs/errors.md`.
#[must_use]
pub fn catalogue() -> String {
    let mut text = String::from(
        "# Errors\n\n\
         Every refusal and failure is `{error, {Code, Details}}`: an atom that stays the same from release to release, \
         and a map with the evidence. `easy_cluster:format_error/1` renders it as below. Where several things are \
         wrong, `Details` has them all under `problems`, and `Code` is that of the outermost layer.\n\n\
         This page is made from the catalogue in `src/validate/problem.rs`; a test holds them equal.\n",
    );
    for entry in Problem::catalogue() {
        let _ = write!(
            text,
            "\n## `{}`\n\n{}\n\n- layer: {}\n- severity: {}\n- evidence: {}\n- fix: {}\n",
            entry.code,
            entry.cause,
            entry.layer.as_str(),
            entry.severity.as_str(),
            placeholders(entry.evidence),
            placeholders(entry.fix),
        );
        for fix in entry.with_facts {
            let _ = writeln!(text, "- fix where more is known: {}", placeholders(fix));
        }
    }
    text
}

/// `{node}` becomes `NODE`; doubled braces become single ones.
fn placeholders(template: &str) -> String {
    let mut text = String::with_capacity(template.len());
    let mut chars = template.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '{' | '}' if chars.peek() == Some(&c) => {
                chars.next();
                text.push(c);
            }
            '{' => {
                let name: String = chars.by_ref().take_while(|c| *c != '}').collect();
                text.push_str(&name.to_uppercase());
            }
            _ => text.push(c),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placeholders_read_as_names() {
        assert_eq!(placeholders("{node} wants #{{yes => true}}"), "NODE wants #{yes => true}");
    }

    #[test]
    fn a_problem_says_code_evidence_and_fix() {
        let text = problems(&[Problem::WrongCookie { node: "ejabberd@foo.bar".into() }]);
        assert!(text.starts_with("wrong_cookie (distribution, error)\n"), "{text}");
        assert!(text.contains("ejabberd@foo.bar does not accept"), "{text}");
        assert!(text.contains("fix       copy .erlang.cookie"), "{text}");
        assert!(text.ends_with("see       docs/errors.md#wrong_cookie\n"), "{text}");
    }

    #[test]
    fn a_terminal_is_not_sent_what_moves_its_cursor() {
        let text = problems(&[Problem::ConfigMissing { path: "/a\x1b[2J\nb".into() }]);
        assert!(text.contains("there is no /a?[2J b\n"), "{text:?}");
    }

    #[test]
    fn the_documentation_is_the_catalogue() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/errors.md");
        if std::env::var_os("UPDATE_DOCS").is_some() {
            assert!(std::fs::write(path, catalogue()).is_ok());
        }
        let page = std::fs::read_to_string(path).unwrap_or_default();
        assert_eq!(page, catalogue(), "run UPDATE_DOCS=1 cargo test the_documentation_is_the_catalogue");
    }
}
