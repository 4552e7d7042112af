//! One line of a log made plain: no escapes, no colours, no column of a log collector, single spaces.

/// A line that was made plain.
pub(super) struct Line {
    text: String,
    /// What stands before what the program itself wrote: the time and name that a log collector adds.
    column: usize,
    indented: bool,
}

impl Line {
    pub(super) fn of(raw: &str) -> Self {
        let column = collectors_column(raw);
        let own = raw.get(column..).unwrap_or_default();
        let indented = own.starts_with([' ', '\t']);
        let mut text = String::with_capacity(raw.len());
        append(&mut text, raw.get(..column).unwrap_or_default());
        if !text.is_empty() && !text.ends_with(' ') {
            text.push(' ');
        }
        let column = text.len();
        append(&mut text, own);
        Self { text, column, indented }
    }

    /// Nothing that a program wrote.
    pub(super) fn is_empty(&self) -> bool {
        self.own().trim().is_empty()
    }

    fn own(&self) -> &str {
        self.text.get(self.column..).unwrap_or_default()
    }

    /// Puts the line behind `window`, and tells where it begins there.
    pub(super) fn join(&self, window: &mut String, boundary: bool) -> usize {
        let own = self.own();
        window.truncate(window.trim_end_matches(' ').len());
        if boundary || !self.goes_on(window) {
            if !window.is_empty() {
                window.push('\n');
            }
            let start = window.len();
            window.push_str(&self.text);
            return start;
        }
        // A long string is printed in pieces, each in quotes.
        if let (true, Some(rest)) = (window.ends_with('"'), own.strip_prefix('"')) {
            window.pop();
            let start = window.len();
            window.push_str(rest);
            return start;
        }
        window.push(' ');
        let start = window.len();
        window.push_str(own);
        start
    }

    fn goes_on(&self, window: &str) -> bool {
        if window.is_empty() {
            return false;
        }
        if self.column > 0 {
            return self.indented || self.own().starts_with("**") && window.ends_with("**");
        }
        !begins_record(self.own())
    }
}

/// Puts a text behind `out` and makes it plain on the way.
pub(super) fn append(out: &mut String, raw: &str) {
    let odd = |byte: u8| {
        byte < 0x20 || byte == b'\\' || byte == b'~' || byte == 0x7f || byte == 0xc2 || byte == 0xe2
    };
    if raw.bytes().any(odd) {
        push_words(out, &without_controls(&unescape(raw)));
    } else {
        push_words(out, raw);
    }
}

/// Appends with single spaces; a space at the end stays, as more of the line may come.
fn push_words(out: &mut String, text: &str) {
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
            '\u{1b}' if chars.next_if_eq(&'[').is_some() => {
                while chars.next_if(|c| (' '..='?').contains(c)).is_some() {}
                chars.next_if(|c| ('@'..='~').contains(c));
            }
            '\t' | '\r' | '\n' | '\u{a0}' => out.push(' '),
            c if c.is_control()
                || ('\u{200b}'..='\u{200f}').contains(&c)
                || ('\u{2028}'..='\u{202e}').contains(&c) => {}
            c => out.push(c),
        }
    }
    out
}

/// How many bytes at the beginning are of syslog, the journal, a container's log or docker compose.
fn collectors_column(raw: &str) -> usize {
    let head = raw.get(..raw.floor_char_boundary(160)).unwrap_or_default();
    syslog(head).or_else(|| container(head)).or_else(|| compose(head)).unwrap_or(0)
}

/// `Nov 25 07:10:29 host ejabberdctl[123]: `
fn syslog(head: &str) -> Option<usize> {
    let end = head.find("]: ")?;
    let before = head.get(..end)?;
    let (program, pid) = before.rsplit_once('[')?;
    let numbered = !pid.is_empty() && pid.bytes().all(|byte| byte.is_ascii_digit());
    let words = program.split(' ').count();
    (numbered && (3..=6).contains(&words)).then_some(end + 3)
}

/// `2026-11-25T07:10:29.123Z stderr F `
fn container(head: &str) -> Option<usize> {
    let (time, rest) = head.split_once(" std")?;
    let column = ["out F ", "err F ", "out P ", "err P "].iter().find(|stream| rest.starts_with(**stream))?;
    (!time.contains(' ')).then_some(time.len() + " std".len() + column.len())
}

/// `ejabberd_1  | `
fn compose(head: &str) -> Option<usize> {
    let at = head.find("| ")?;
    let name = head.get(..at)?;
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.');
    let trimmed = name.trim_end();
    (trimmed.len() < name.len() && !trimmed.is_empty() && trimmed.bytes().all(plain)).then_some(at + 2)
}

/// A record of a log begins with its time, its title, or a JSON object.
fn begins_record(own: &str) -> bool {
    let bytes = own.as_bytes();
    let digit = |at: usize| bytes.get(at).is_some_and(u8::is_ascii_digit);
    let is = |at: usize, byte: u8| bytes.get(at) == Some(&byte);
    let date = |at: usize| digit(at) && digit(at + 1) && digit(at + 2) && digit(at + 3) && is(at + 4, b'-');
    let time = digit(0) && digit(1) && is(2, b':') && digit(3) && digit(4) && is(5, b':');
    date(0)
        || is(0, b'[') && date(1)
        || time
        || is(0, b'=') && own.contains("REPORT====")
        || own.starts_with("{\"")
            && own.get(..own.floor_char_boundary(48)).is_some_and(|head| head.contains("\":"))
        || own.starts_with("Mnesia(")
        || own.starts_with("Protocol ")
}
