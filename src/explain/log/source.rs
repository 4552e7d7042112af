//! Which of several programs wrote a line, where a collector has put their lines among one another.
//!
//! No tool is known here. If every line of a text's beginning carries one of few words, behind a time or before one, then
//! these words are names of sources, and each source has its own records.

use std::collections::BTreeMap;

use super::column::{begins_own, has_time};
use super::json;

/// So many lines decide.
const SAMPLE: usize = 64;
/// A longer line ends what decides, bytes.
const LONGEST: usize = 64 << 10;
/// More sources are none.
const MOST: usize = 16;
/// So far into a line its source is named, bytes.
const HEAD: usize = 256;
/// What loggers put there themselves: it says nothing of where a line is from.
const OWN_WORDS: [&str; 18] = [
    "debug",
    "dbg",
    "info",
    "notice",
    "note",
    "warning",
    "warn",
    "error",
    "err",
    "eror",
    "critical",
    "crit",
    "alert",
    "emergency",
    "emerg",
    "fatal",
    "stdout",
    "stderr",
];

/// The sources of a text, once its beginning has told whether there are any.
#[derive(Debug)]
pub(super) enum Sources {
    /// Not told yet: the lines so far.
    Sampling(Vec<String>),
    /// All lines are one program's.
    One,
    /// The names of several.
    Named(Vec<String>),
}

impl Default for Sources {
    fn default() -> Self {
        Self::Sampling(Vec::new())
    }
}

impl Sources {
    /// Keeps a line of the beginning; the lines are given back when there are enough of them.
    pub(super) fn sample(&mut self, line: &str) -> Option<Vec<String>> {
        let Self::Sampling(lines) = self else { return None };
        lines.push(line.to_owned());
        (lines.len() >= SAMPLE).then(|| self.decide())
    }

    /// Puts a piece of a long line behind the last one; whether that is more than should be kept.
    pub(super) fn lengthen(&mut self, piece: &str) -> bool {
        let Self::Sampling(lines) = self else { return false };
        let Some(line) = lines.last_mut() else { return false };
        line.push_str(piece);
        line.len() > LONGEST
    }

    /// Whether it is not told yet.
    pub(super) fn is_sampling(&self) -> bool {
        matches!(self, Self::Sampling(_))
    }

    /// Tells from the lines that were kept, and gives them back.
    pub(super) fn decide(&mut self) -> Vec<String> {
        let Self::Sampling(lines) = self else { return Vec::new() };
        let lines = std::mem::take(lines);
        *self = if are_named(&lines) { Self::Named(Vec::new()) } else { Self::One };
        lines
    }

    /// The number of the source that a line is from, the one before it where the line names none.
    pub(super) fn of(&mut self, line: &str, before: usize) -> usize {
        let Self::Named(names) = self else { return 0 };
        let Some(name) = name(line) else { return before };
        if let Some(known) = names.iter().position(|known| *known == name.text) {
            return known;
        }
        if names.len() >= MOST || !(names.is_empty() || name.is_marked) {
            return before;
        }
        names.push(name.text);
        names.len() - 1
    }
}

/// The name of a source, and whether something beside it says that it is one.
struct Name {
    text: String,
    is_marked: bool,
}

/// Whether these lines name their sources: all of them do, and there are few.
fn are_named(lines: &[String]) -> bool {
    let mut seen: BTreeMap<String, (usize, bool)> = BTreeMap::new();
    for line in lines.iter().filter(|line| !line.trim_ascii().is_empty()) {
        let Some(name) = name(line) else { return false };
        let (count, is_marked) = seen.entry(name.text).or_default();
        *count += 1;
        *is_marked |= name.is_marked;
    }
    let often = seen.values().filter(|(count, _)| *count > 1).count();
    (2..=MOST).contains(&seen.len()) && often > 1 && seen.values().all(|(_, is_marked)| *is_marked)
}

/// The first word that is no time, or what a JSON object has beside its text.
fn name(line: &str) -> Option<Name> {
    let head = line.get(..line.floor_char_boundary(HEAD))?;
    if head.starts_with("{\"") {
        return json::source(line, is_own_word).map(|text| Name { text, is_marked: true });
    }
    if head.starts_with([' ', '\t']) {
        return None;
    }
    let words: Vec<&str> = head.split([' ', '\t']).filter(|word| !word.is_empty()).take(8).collect();
    // Behind the time that the line begins with, as `Nov 25 07:10:29` or `2026-11-25 07:10:29`.
    let of_time = words.iter().take_while(|word| is_time(word) || is_of_a_time(word));
    let first = if of_time.clone().any(|word| is_time(word)) { of_time.count() } else { 0 };
    let word = words.get(first)?;
    if let Some(labels) = labels(head, word) {
        return Some(Name { text: labels.to_owned(), is_marked: true });
    }
    let plain = word.trim_matches(['[', ']', '|', ':']);
    if plain.is_empty() || is_own_word(plain) || !plain.contains(|c: char| c.is_ascii_alphabetic()) {
        return None;
    }
    if word.contains(['<', '{', '(', '*', '"', '\'', '=']) || has_time(word) {
        return None;
    }
    let next = words.get(first + 1).copied().unwrap_or_default();
    let behind = head.split_once(word).map_or("", |(_, behind)| behind).trim_ascii_start();
    let behind = behind.trim_start_matches(['|', ' ']);
    let is_marked = first > 0 || word.ends_with('|') || next.starts_with('|') || begins_own(behind);
    // Programs share the log of a machine, and each has its own name there, with a number or without.
    let program =
        next.strip_suffix(':').filter(|_| first > 0).map(|tag| tag.split('[').next().unwrap_or(tag));
    let text = program.map_or_else(|| plain.to_owned(), |program| format!("{plain} {program}"));
    Some(Name { text, is_marked })
}

/// `{app="ejabberd", pod="a"}`, where a line's first word begins such a set.
fn labels<'a>(head: &'a str, word: &str) -> Option<&'a str> {
    if !word.starts_with('{') || !word.contains("=\"") {
        return None;
    }
    let from = head.find(word)?;
    let end = head.get(from..)?.find("\"}")?;
    head.get(from..from + end + 2)
}

fn is_time(word: &str) -> bool {
    has_time(word) && word.starts_with(|c: char| c.is_ascii_digit() || matches!(c, '[' | '@' | '<'))
}

/// A month, a day, a date, or the priority that a system log begins with.
fn is_of_a_time(word: &str) -> bool {
    let is_month = word.len() == 3 && word.starts_with(|c: char| c.is_ascii_uppercase());
    is_month || word.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'-' | b'<' | b'>' | b'/' | b'['))
}

fn is_own_word(word: &str) -> bool {
    OWN_WORDS.iter().any(|own| word.eq_ignore_ascii_case(own))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sources(lines: &[&str]) -> Vec<usize> {
        let mut sources = Sources::default();
        for line in lines {
            let _ = sources.sample(line);
        }
        let lines = sources.decide();
        let mut before = 0;
        lines
            .iter()
            .map(|line| {
                before = sources.of(line, before);
                before
            })
            .collect()
    }

    #[test]
    fn a_word_on_every_line_is_the_name_of_a_source() {
        for [a, b] in [
            ["a-1  | ", "b-1  | "],
            ["a-1 | ", "b-12 | "],
            ["[pod/a/ejabberd] ", "[pod/b/ejabberd] "],
            ["Nov 25 07:10:29 a ejabberd[812]: ", "Nov 25 07:10:30 b ejabberd[9]: "],
            ["2026-11-25T07:10:29Z a ", "2026-11-25T07:10:30Z b "],
            ["Nov 25 07:10:29 a ejabberd[812]: ", "Nov 25 07:10:30 a systemd[1]: "],
            ["2026-11-25T07:10:29Z {app=\"x\", pod=\"a\"} ", "2026-11-25T07:10:30Z {app=\"x\", pod=\"b\"} "],
            [
                "<165>1 2026-11-25T07:10:29Z a ejabberd 812 - - ",
                "<165>1 2026-11-25T07:10:30Z b ejabberd 9 - - ",
            ],
            ["{\"pod\":\"a\",\"log\":\"", "{\"pod\":\"b\",\"log\":\""],
        ] {
            let end = if a.starts_with('{') { "\"}" } else { "" };
            let line = |source: &str, text: &str| format!("{source}{text}{end}");
            let time = "2026-11-25 07:10:29.123456+00:00 [error] <0.1.0> ";
            let lines = [line(a, time), line(b, time), line(a, "** x **"), line(b, "** y **")];
            let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
            assert_eq!(sources(&lines), [0, 1, 0, 1], "{a}");
        }
    }

    #[test]
    fn what_loggers_write_themselves_is_none() {
        for lines in [
            ["2026-11-25 07:10:29.1 [info] <0.1.0> a", "2026-11-25 07:10:29.1 [error] <0.2.0> b"],
            ["2026-11-25T07:10:29Z stdout F a", "2026-11-25T07:10:29Z stderr F b"],
            ["Error: a", "Failed RPC connection to the node a: nodedown"],
        ] {
            assert_eq!(sources(&[lines, lines].concat()), [0, 0, 0, 0], "{lines:?}");
        }
        // What a program says is no name of a source, even if the lines of its machine begin alike.
        let one = ["Nov 25 07:10:29 a b[1]: x: y", "Nov 25 07:10:29 a b[2]: z: u"];
        assert_eq!(sources(&[one, one].concat()), [0, 0, 0, 0]);
        let with_rest = ["a | 2026-11-25 07:10:29 x", "b | y", "a | z", "no source", "b | u"];
        assert_eq!(sources(&with_rest), [0; 5]);
    }
}
