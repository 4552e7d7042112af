//! Erlang terms as text, as far as `inetrc` and `.app` files use them.

use std::iter::Peekable;
use std::str::Chars;

use super::Broken;

/// Deeper terms are none of ours.
const MAX_DEPTH: u32 = 32;

/// A term.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Term {
    /// `atom`, `'Atom'`, and numbers that are no integers.
    Atom(String),
    /// `"text"`.
    Text(String),
    /// `42`.
    Integer(i64),
    /// `{a, b}`.
    Tuple(Vec<Term>),
    /// `[a, b]`.
    List(Vec<Term>),
}

impl Term {
    /// The characters of an atom or a text.
    #[must_use]
    pub fn text(&self) -> Option<&str> {
        match self {
            Self::Atom(text) | Self::Text(text) => Some(text),
            Self::Integer(_) | Self::Tuple(_) | Self::List(_) => None,
        }
    }

    /// The parts of a tuple.
    #[must_use]
    pub fn tuple(&self) -> Option<&[Self]> {
        match self {
            Self::Tuple(parts) => Some(parts),
            Self::Atom(_) | Self::Text(_) | Self::Integer(_) | Self::List(_) => None,
        }
    }

    /// The elements of a list.
    #[must_use]
    pub fn list(&self) -> Option<&[Self]> {
        match self {
            Self::List(elements) => Some(elements),
            Self::Atom(_) | Self::Text(_) | Self::Integer(_) | Self::Tuple(_) => None,
        }
    }
}

/// Reads terms, each with a full stop behind it.
///
/// # Errors
/// The first place that cannot be read.
pub fn parse(text: &str) -> Result<Vec<Term>, Broken> {
    let mut reader = Reader { chars: text.chars().peekable(), line: 1 };
    let mut terms = Vec::new();
    while reader.peek().is_some() {
        terms.push(reader.term(0)?);
        match reader.peek() {
            Some('.') => drop(reader.chars.next()),
            Some(c) => return Err(reader.broken(format!("a full stop was expected before '{c}'"))),
            None => return Err(reader.broken("the full stop at the end is missing".into())),
        }
    }
    Ok(terms)
}

struct Reader<'t> {
    chars: Peekable<Chars<'t>>,
    line: u32,
}

impl Reader<'_> {
    /// What comes next, behind blanks and comments.
    fn peek(&mut self) -> Option<char> {
        loop {
            match self.chars.peek().copied()? {
                '\n' => {
                    self.line = self.line.saturating_add(1);
                    self.chars.next();
                }
                '%' => while self.chars.next_if(|c| *c != '\n').is_some() {},
                c if c.is_whitespace() => drop(self.chars.next()),
                c => return Some(c),
            }
        }
    }

    fn term(&mut self, depth: u32) -> Result<Term, Broken> {
        if depth > MAX_DEPTH {
            return Err(self.broken("it nests too deep".into()));
        }
        match self.peek() {
            None => Err(self.broken("the file ends in the middle of a term".into())),
            Some('{') => self.parts('}', depth).map(Term::Tuple),
            Some('[') => self.parts(']', depth).map(Term::List),
            Some('"') => self.quoted('"').map(Term::Text),
            Some('\'') => self.quoted('\'').map(Term::Atom),
            Some(c) if c.is_ascii_digit() || c == '-' => Ok(self.number()),
            Some(c) if c.is_lowercase() => {
                Ok(Term::Atom(self.bare(|c| c.is_alphanumeric() || "_@".contains(c))))
            }
            Some(c) => Err(self.broken(format!("'{c}' begins no term that is expected here"))),
        }
    }

    fn parts(&mut self, close: char, depth: u32) -> Result<Vec<Term>, Broken> {
        self.chars.next();
        let mut parts = Vec::new();
        if self.peek() == Some(close) {
            self.chars.next();
            return Ok(parts);
        }
        loop {
            parts.push(self.term(depth + 1)?);
            match self.peek() {
                Some(',') => drop(self.chars.next()),
                Some(c) if c == close => {
                    self.chars.next();
                    return Ok(parts);
                }
                Some(c) => return Err(self.broken(format!("a comma or '{close}' was expected before '{c}'"))),
                None => return Err(self.broken(format!("a '{close}' is missing"))),
            }
        }
    }

    fn quoted(&mut self, close: char) -> Result<String, Broken> {
        let opened = self.line;
        self.chars.next();
        let mut text = String::new();
        loop {
            match self.chars.next() {
                None => return Err(Broken { line: opened, reason: format!("a {close} is not closed") }),
                Some('\\') => text.extend(self.chars.next()),
                Some(c) if c == close => return Ok(text),
                Some(c) => {
                    self.line = self.line.saturating_add(u32::from(c == '\n'));
                    text.push(c);
                }
            }
        }
    }

    fn number(&mut self) -> Term {
        let mut text = self.bare(|c| c.is_ascii_alphanumeric() || "-#".contains(c));
        let mut ahead = self.chars.clone();
        // A dot between digits is a float's, and the full stop otherwise.
        if ahead.next() == Some('.') && ahead.next().is_some_and(|c| c.is_ascii_digit()) {
            text.extend(self.chars.next());
            text += &self.bare(|c| c.is_ascii_alphanumeric() || c == '-');
        }
        text.parse().map_or(Term::Atom(text), Term::Integer)
    }

    fn bare(&mut self, belongs: impl Fn(char) -> bool) -> String {
        let mut text = String::new();
        while let Some(c) = self.chars.next_if(|c| belongs(*c)) {
            text.push(c);
        }
        text
    }

    fn broken(&self, reason: String) -> Broken {
        Broken { line: self.line, reason }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn terms_are_read_with_comments_between_them() {
        let terms = parse("%% x\n{a, 'B c', \"d\\\"e\", [1, -2, 3.5e-3], {}, []}.\nb.\r\n").unwrap();
        assert_eq!(terms.len(), 2);
        assert_eq!(
            terms[0],
            Term::Tuple(vec![
                Term::Atom("a".into()),
                Term::Atom("B c".into()),
                Term::Text("d\"e".into()),
                Term::List(vec![Term::Integer(1), Term::Integer(-2), Term::Atom("3.5e-3".into())]),
                Term::Tuple(vec![]),
                Term::List(vec![]),
            ])
        );
    }

    #[test]
    fn the_line_of_a_mistake_is_told() {
        for (text, line) in [
            ("a.\n{b, c\n", 3),
            ("{a b}.", 1),
            ("\n\"a\n\n", 2),
            ("a.\nb\n", 3),
            ("\nFoo.", 2),
            (&format!("\n{}", "[".repeat(100_000)), 2),
        ] {
            assert_eq!(parse(text).map_err(|broken| broken.line), Err(line), "{text:.20}");
        }
    }
}
