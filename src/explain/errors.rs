//! Problems in words, one by one and as a catalogue.

use std::fmt::Write as _;

use super::known::Paths;
use crate::validate::problem::Problem;

/// One paragraph a problem: code, layer, severity, evidence, cause, fix, link.
#[must_use]
pub fn problems(problems: &[Problem]) -> String {
    problems_of(problems, &Paths::default())
}

/// The same, with fixes for an installation whose paths are known.
#[must_use]
pub fn problems_of(problems: &[Problem], paths: &Paths) -> String {
    let mut text = String::new();
    for problem in problems {
        let (layer, severity) = (problem.layer().as_str(), problem.severity().as_str());
        let _ = writeln!(text, "{} ({layer}, {severity})", problem.code());
        let _ = writeln!(text, "  evidence  {}", printable(&problem.to_string()));
        let _ = writeln!(text, "  cause     {}", problem.cause());
        let _ = writeln!(text, "  fix       {}", printable(&paths.put_into(&problem.fix())));
        let _ = writeln!(text, "  see       easy-cluster explain {}", problem.code());
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

/// The entry of one code, as a page of its own.
#[must_use]
pub fn entry(code: &str) -> Option<String> {
    let entry = Problem::catalogue().into_iter().find(|entry| entry.code == code)?;
    let mut text = format!("{} ({}, {})\n", entry.code, entry.layer.as_str(), entry.severity.as_str());
    let _ = writeln!(text, "  evidence  {}", placeholders(entry.evidence));
    let _ = writeln!(text, "  cause     {}", entry.cause);
    for fix in entry.with_facts.iter().chain([&entry.fix]) {
        let _ = writeln!(text, "  fix       {}", placeholders(fix));
    }
    Some(text)
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
        assert!(text.ends_with("see       easy-cluster explain wrong_cookie\n"), "{text}");
    }

    #[test]
    fn a_terminal_is_not_sent_what_moves_its_cursor() {
        let text = problems(&[Problem::ConfigMissing { path: "/a\x1b[2J\nb".into() }]);
        assert!(text.contains("there is no /a?[2J b\n"), "{text:?}");
    }

    #[test]
    fn no_fix_leads_to_a_command_that_deletes_the_database() {
        let fixes = Problem::catalogue().into_iter().map(|entry| (entry.code, entry.fix));
        let bad: Vec<_> =
            fixes.filter(|(_, fix)| fix.contains("leave_cluster") || fix.contains("join_cluster")).collect();
        assert_eq!(bad, []);
    }

    #[test]
    fn a_code_has_an_entry_and_what_is_no_code_has_none() {
        let text = entry("name_in_use").unwrap_or_default();
        assert!(text.starts_with("name_in_use (names, error)\n") && text.contains("NAME already"), "{text}");
        assert_eq!(entry("no_such_code"), None);
    }

    #[test]
    fn nothing_that_is_pasted_holds_a_control_character() {
        for entry in Problem::catalogue() {
            let texts =
                [entry.evidence, entry.cause, entry.fix].into_iter().chain(entry.with_facts.iter().copied());
            for text in texts {
                assert!(!text.contains(char::is_control), "{}: {text:?}", entry.code);
            }
        }
        let path = "/a\u{1b}[2J\r\nb".to_owned();
        for problem in [
            Problem::CookieMode { path: path.clone(), mode: "644".into() },
            Problem::NoConnection { node: "a@b\r".into(), reason: "x".into() },
            Problem::TableFile { path, why: "eacces".into() },
        ] {
            assert!(!problem.fix().contains(char::is_control), "{:?}", problem.fix());
        }
    }

    #[test]
    fn a_file_that_may_be_a_link_is_not_replaced_by_one() {
        for entry in Problem::catalogue() {
            for fix in entry.with_facts.iter().copied().chain([entry.fix]) {
                assert_eq!(
                    fix.matches("sed -i").count(),
                    fix.matches("sed -i --follow-symlinks").count(),
                    "{fix}"
                );
            }
        }
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
