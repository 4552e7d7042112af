//! JSON objects, one a line: the string that carries what a program wrote.

use std::ops::Range;

use super::column::{OBJECT, has_time};

/// Under these keys, in this order, collectors and loggers have it.
const KEYS: [&str; 16] = [
    "log",
    "message",
    "msg",
    "@message",
    "full_message",
    "short_message",
    "textpayload",
    "text",
    "line",
    "body",
    "content",
    "output",
    "raw",
    "_raw",
    "original",
    "event",
];
/// An object begins so far into its line at most, bytes.
const HEAD: usize = 256;
/// A longer string with blanks in it is a text, too, and the object is left as it is.
const LONG: usize = 80;

/// The line with what the object carries in the object's place; nothing where there is none, or more than one text in it.
/// `key` is where the object before had it.
pub(super) fn carried(line: &str, key: &mut String) -> Option<String> {
    let object = Object::of(line, key)?;
    object.text(&object.name).clone_into(key);
    let mut carried = object.before.to_owned();
    carried.push(OBJECT);
    unescape(&mut carried, object.text(&object.value));
    carried.truncate(carried.trim_ascii_end().len());
    Some(carried)
}

/// What an object has beside its text that may tell where it is from: short words without a time. `says_nothing` of a
/// word: it differs from line to line of one program.
pub(super) fn source(line: &str, says_nothing: impl Fn(&str) -> bool) -> Option<String> {
    let object = Object::of(line, "")?;
    let values = object.strings.iter().filter(|(_, value)| *value != object.value);
    let words = values
        .map(|(_, value)| object.text(value))
        .filter(|word| word.len() <= LONG && !word.contains(' ') && !has_time(word) && !says_nothing(word));
    let source = words.collect::<Vec<_>>().join(" ");
    (!source.is_empty()).then_some(source)
}

/// An object that carries one text.
struct Object<'a> {
    /// What stands before it on its line.
    before: &'a str,
    object: &'a str,
    strings: Vec<(Range<usize>, Range<usize>)>,
    /// The key of the text, and the text.
    name: Range<usize>,
    value: Range<usize>,
}

impl<'a> Object<'a> {
    fn of(line: &'a str, key: &str) -> Option<Self> {
        let end = line.trim_ascii_end().trim_end_matches([',', ']']);
        if !end.ends_with('}') {
            return None;
        }
        let at = line.get(..line.floor_char_boundary(HEAD))?.find("{\"")?;
        let object = end.get(at..)?;
        let strings = strings(object)?;
        let text = |range: &Range<usize>| object.get(range.clone()).unwrap_or_default();
        let known = |wanted: &str| strings.iter().find(|(name, _)| text(name).eq_ignore_ascii_case(wanted));
        let (name, value) = KEYS
            .iter()
            .find_map(|wanted| known(wanted))
            .or_else(|| if key.is_empty() { None } else { known(key) })
            .or_else(|| strings.iter().max_by_key(|(_, value)| value.len()))?
            .clone();
        let is_text = |other: &Range<usize>| other.len() > LONG && text(other).contains(' ');
        let another = strings.iter().any(|(_, other)| *other != value && is_text(other));
        (!another).then_some(Self { before: line.get(..at)?, object, strings, name, value })
    }

    fn text(&self, range: &Range<usize>) -> &'a str {
        self.object.get(range.clone()).unwrap_or_default()
    }
}

/// The strings of an object with their keys; nothing where it is not one whole object.
fn strings(object: &str) -> Option<Vec<(Range<usize>, Range<usize>)>> {
    let bytes = object.as_bytes();
    let mut strings = Vec::new();
    let (mut key, mut at, mut depth) = (None, 0, 0_usize);
    while let Some(byte) = bytes.get(at) {
        at += 1;
        match byte {
            b'{' | b'[' => depth += 1,
            b'}' | b']' => {
                depth = depth.checked_sub(1)?;
                if depth == 0 && at < bytes.len() {
                    return None;
                }
            }
            b'"' => {
                let from = at;
                while *bytes.get(at)? != b'"' {
                    at += if bytes.get(at) == Some(&b'\\') { 2 } else { 1 };
                }
                let string = from..at;
                at += 1;
                let is_key = bytes.get(at..)?.trim_ascii_start().first() == Some(&b':');
                match &key {
                    _ if is_key => key = Some(string),
                    Some(key) => strings.push((Range::clone(key), string)),
                    // `{"init terminating in do_boot", ...}` is no JSON.
                    None => return None,
                }
            }
            _ => {}
        }
    }
    (depth == 0).then_some(strings)
}

fn unescape(out: &mut String, text: &str) {
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        if c != '\\' {
            out.push(c);
            continue;
        }
        match chars.next() {
            Some('n' | 'r') => out.push('\n'),
            Some('t') => out.push('\t'),
            Some('b' | 'f') => {}
            Some('u') => {
                let digits: String = chars.by_ref().take(4).collect();
                let code = u32::from_str_radix(&digits, 16).ok();
                out.push(code.and_then(char::from_u32).unwrap_or('\u{fffd}'));
            }
            Some(c) => out.push(c),
            None => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> Option<String> {
        carried(line, &mut String::new())
    }

    #[test]
    fn the_string_that_a_program_wrote_stands_for_the_object() {
        for line in [
            r#"{"log": "** a \"b\" **\n", "stream": "stdout", "time": "2026-11-25T07:10:29.1Z"}"#,
            r#"{"time":"x","attrs":{"tag":"t"},"log":"** a \"b\" **"}"#,
            r#"{"MESSAGE":"** a \u0022b\" **"}"#,
            r#"{"n":1,"x":{"whatever":"** a \"b\" **"}}"#,
        ] {
            assert_eq!(read(line).as_deref(), Some("\u{1}** a \"b\" **"), "{line}");
        }
        assert_eq!(read(r#"a | {"msg":"b"}"#).as_deref(), Some("a | \u{1}b"));
    }

    #[test]
    fn what_is_no_object_or_has_two_texts_is_left_as_it_is() {
        let two = format!(r#"{{"msg":"a b","reason":"{}"}}"#, "x y ".repeat(30));
        for line in [r#"{"a",b,"c"}"#, r#"{"a":"b"} c"#, r#"{"a":"b"#, "{}", "x}", &two] {
            assert_eq!(read(line), None, "{line}");
        }
    }
}
