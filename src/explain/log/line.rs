//! One line of a log made plain: no escapes, no colours, straight quotes, single spaces.

use std::borrow::Cow;
use std::iter::Peekable;
use std::str::Chars;

use super::column::OBJECT;

/// How wide terminals are, characters.
const WIDTHS: [usize; 10] = [72, 78, 79, 80, 100, 120, 132, 140, 160, 200];
/// Narrower lines are short, not cut.
const NARROWEST: usize = 40;

/// The line without what moves a terminal's cursor or sets its colours, which may stand before and inside of columns.
pub(super) fn bare(raw: &str) -> Cow<'_, str> {
    if is_plain(raw) {
        return Cow::Borrowed(raw);
    }
    let written = raw.contains("^[[") || raw.contains("#033[");
    let raw =
        if written { raw.replace("^[[", "\u{1b}[").replace("#033[", "\u{1b}[") } else { raw.to_owned() };
    let mut out = String::with_capacity(raw.len());
    let mut chars = raw.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\u{1b}' => skip_sequence(&mut chars),
            '\t' => out.push('\t'),
            '\r' | '\n' => out.push(' '),
            c if c.is_control() => {}
            c => out.push(c),
        }
    }
    Cow::Owned(out)
}

/// What follows an escape: colours, or the title of a terminal.
fn skip_sequence(chars: &mut Peekable<Chars<'_>>) {
    if chars.next_if_eq(&'[').is_some() {
        while chars.next_if(|c| (' '..='?').contains(c)).is_some() {}
        chars.next_if(|c| ('@'..='~').contains(c));
    }
}

/// A line that an object carried: without escapes again, and marked still as that.
pub(super) fn within(line: &str) -> String {
    match line.split_once(OBJECT) {
        Some((before, own)) => format!("{before}{OBJECT}{}", bare(own)),
        None => bare(line).into_owned(),
    }
}

/// `{error_logger,Time,"Format",[Arguments]}`, which Erlang prints before its logger runs, with the arguments in their places.
pub(super) fn formatted(line: &str) -> Option<String> {
    let (before, rest) = line.split_once("{error_logger,{{")?;
    let (time, rest) = rest.split_once("}},\"")?;
    let (format, rest) = rest.split_once("\",[")?;
    let end = rest.rfind("]}")?;
    let mut arguments = arguments(rest.get(..end)?).into_iter();
    let mut text = format!("{before}{{error_logger,{{{{{time}}}}}: ");
    let mut chars = format.chars().peekable();
    while let Some(c) = chars.next() {
        if c != '~' {
            text.push(c);
            continue;
        }
        while chars.next_if(|c| c.is_ascii_digit() || matches!(c, '.' | '-' | '*' | 't' | 'l')).is_some() {}
        match chars.next() {
            Some('n') => text.push(' '),
            Some('~') => text.push('~'),
            Some(_) => text.push_str(arguments.next().unwrap_or("?")),
            None => {}
        }
    }
    Some(text)
}

/// The elements of a list as they are written, cut where a comma stands outside of brackets and quotes.
fn arguments(list: &str) -> Vec<&str> {
    let (mut found, mut from, mut depth, mut quote) = (Vec::new(), 0, 0_i32, None);
    for (at, c) in list.char_indices() {
        match (c, quote) {
            (c, Some(open)) if c == open => quote = None,
            (_, Some(_)) => {}
            ('"' | '\'', None) => quote = Some(c),
            ('[' | '{' | '(', None) => depth += 1,
            (']' | '}' | ')', None) => depth -= 1,
            (',', None) if depth == 0 => {
                found.push(list.get(from..at).unwrap_or_default());
                from = at + 1;
            }
            (_, None) => {}
        }
    }
    found.push(list.get(from..).unwrap_or_default());
    found
}

/// Whether a terminal cut the line before inside of a word: it was as wide as terminals are, or as the one before it.
pub(super) fn is_cut((last_but_one, last): (usize, usize), this: usize, ended: &str, own: &str) -> bool {
    let width = WIDTHS.contains(&last) || last >= NARROWEST && (last == last_but_one || last == this);
    let in_word = |c: char| c.is_alphanumeric() || "_@.-".contains(c);
    width && ended.ends_with(in_word) && own.starts_with(in_word)
}

/// What a line has inside of quotes that its column opens; those that the line before closed are taken off, too.
pub(super) fn inside<'l>(window: &mut String, column: &str, own: &'l str) -> &'l str {
    let Some(quote) = column.chars().last().filter(|c| matches!(c, '"' | '\'')) else { return own };
    if window.trim_ascii_end().ends_with(quote) {
        window.truncate(window.trim_ascii_end().len() - 1);
    }
    own.trim_ascii_end().strip_suffix(quote).unwrap_or(own)
}

/// Puts a line that goes on behind `window`, and tells where it begins there. `glued`: it was cut inside of a word.
pub(super) fn join(window: &mut String, own: &str, glued: bool) -> usize {
    let blank = window.ends_with(' ') || own.starts_with(' ');
    window.truncate(window.trim_end_matches(' ').len());
    let own = own.trim_ascii_start();
    // A long string is printed in pieces, each in quotes.
    if let (true, Some(rest)) = (window.ends_with('"'), own.strip_prefix('"')) {
        window.pop();
        let start = window.len();
        append(window, rest);
        return start;
    }
    if !glued || blank {
        window.push(' ');
    }
    let start = window.len();
    append(window, own);
    start
}

/// Puts a line behind `window` that begins a record, and tells where it begins there.
pub(super) fn begin(window: &mut String, line: &str) -> usize {
    window.truncate(window.trim_end_matches(' ').len());
    if !window.is_empty() {
        window.push('\n');
    }
    let start = window.len();
    append(window, line);
    start
}

/// Puts a text behind `out` and makes it plain on the way.
pub(super) fn append(out: &mut String, raw: &str) {
    let tagged = raw.ends_with('>') && raw.contains('<') || raw.starts_with('<');
    if is_plain(raw) && !(tagged && has_tags(raw)) {
        push_words(out, raw);
    } else {
        push_words(out, &without_controls(&unescape(&of_a_page(raw))));
    }
}

/// The tags that stand between the lines of a page's source.
const TAGS: [&str; 13] = [
    "<br", "<p>", "</p>", "<pre", "</pre>", "<code", "</code>", "<span", "</span>", "<div", "</div>", "<li>",
    "</li>",
];

fn has_tags(text: &str) -> bool {
    TAGS.iter().any(|tag| text.contains(tag))
}

/// A line of a page's source as the page shows it.
fn of_a_page(raw: &str) -> Cow<'_, str> {
    if !raw.contains('&') && !has_tags(raw) {
        return Cow::Borrowed(raw);
    }
    let mut text = raw.to_owned();
    for tag in TAGS {
        while let Some(start) = text.find(tag) {
            let Some(length) = text.get(start..).and_then(|rest| rest.find('>')) else { break };
            text.replace_range(start..=start + length, " ");
        }
    }
    let mut out = String::with_capacity(text.len());
    let mut rest = text.as_str();
    while let Some((before, after)) = rest.split_once('&') {
        out.push_str(before);
        match after.split_once(';').and_then(|(name, after)| Some((entity(name)?, after))) {
            Some((c, after)) => {
                out.push(c);
                rest = after;
            }
            None => {
                out.push('&');
                rest = after;
            }
        }
    }
    out.push_str(rest);
    Cow::Owned(out)
}

/// `&quot;`, `&#39;` and `&#x27;` without their signs.
fn entity(name: &str) -> Option<char> {
    if let Some(number) = name.strip_prefix('#') {
        let hexadecimal = number.strip_prefix(['x', 'X']).map(|digits| u32::from_str_radix(digits, 16));
        return char::from_u32(hexadecimal.unwrap_or_else(|| number.parse()).ok()?);
    }
    Some(match name {
        "quot" | "ldquo" | "rdquo" => '"',
        "apos" | "lsquo" | "rsquo" => '\'',
        "lt" => '<',
        "gt" => '>',
        "amp" => '&',
        "nbsp" => ' ',
        _another => return None,
    })
}

/// Nothing in it has to be undone.
fn is_plain(raw: &str) -> bool {
    let odd =
        |byte: &u8| *byte < 0x20 || matches!(byte, b'\\' | b'~' | b'&' | b'^' | b'#' | 0x7f | 0xc2 | 0xe2);
    // Without a way out of a chunk, the processor compares many bytes at once.
    !raw.as_bytes().chunks(64).any(|chunk| chunk.iter().fold(false, |found, byte| found | odd(byte)))
}

/// Appends with single spaces; a space at the end stays, as more of the line may come.
fn push_words(out: &mut String, text: &str) {
    if !text.starts_with(' ') && !text.contains("  ") {
        out.push_str(text);
        return;
    }
    for (i, word) in text.split(' ').enumerate() {
        if i > 0 && !out.is_empty() && !out.ends_with([' ', '\n']) {
            out.push(' ');
        }
        out.push_str(word);
    }
}

/// Undoes what JSON and Erlang's `~p` do to a text inside a text, however often: `\"`, `\n`, `\u001b`, and `~n`.
fn unescape(raw: &str) -> String {
    let mut out = String::with_capacity(raw.len());
    let mut chars = raw.chars().peekable();
    while let Some(c) = chars.next() {
        if c == '~' && chars.peek() == Some(&'n') {
            chars.next();
            out.push(' ');
            continue;
        }
        if c != '\\' {
            out.push(c);
            continue;
        }
        while chars.next_if_eq(&'\\').is_some() {}
        match chars.peek() {
            Some('n') => {
                let mut ahead = chars.clone().skip(1).skip_while(|c| matches!(c, ' ' | '\\'));
                // A long string is printed in pieces, each in quotes.
                if out.ends_with('"') && ahead.next() == Some('"') {
                    out.pop();
                    while chars.next_if(|c| *c != '"').is_some() {}
                } else {
                    out.push(' ');
                }
            }
            Some('r' | 't') => out.push(' '),
            Some('e') => out.push('\u{1b}'),
            Some('"' | '\'' | '/') => continue,
            Some('u') => {
                let digits: String = chars.clone().skip(1).take(4).collect();
                let code = u32::from_str_radix(&digits, 16).ok().filter(|_| digits.len() == 4);
                let Some(decoded) = code.and_then(char::from_u32) else {
                    out.push('\\');
                    continue;
                };
                out.push(decoded);
                chars.nth(3);
            }
            Some(_) | None => {
                out.push('\\');
                continue;
            }
        }
        chars.next();
    }
    out
}

/// Drops ANSI sequences and whatever else moves a terminal's cursor; other white space becomes a space.
fn without_controls(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\u{1b}' => skip_sequence(&mut chars),
            // Word processors and wikis have quotes of their own.
            '‘' | '’' | '‚' | '‛' | '′' | '‹' | '›' => out.push('\''),
            '“' | '”' | '„' | '‟' | '″' | '«' | '»' => out.push('"'),
            '\t' | '\r' | '\n' | '\u{a0}' => out.push(' '),
            c if c.is_control()
                || ('\u{200b}'..='\u{200f}').contains(&c)
                || ('\u{2028}'..='\u{202e}').contains(&c) => {}
            c => out.push(c),
        }
    }
    out
}
