//! YAML as values with their lines. What an alias refers to is not followed: it may be larger than the file.

use saphyr_parser::{Event, Parser, ScalarStyle};

use super::broken::Broken;

/// Deeper files are none of ejabberd's.
const MAX_DEPTH: usize = 64;
/// More values than a megabyte of sensible text has.
const MAX_NODES: usize = 200_000;

/// A value and where it begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// The line, from 1.
    pub line: u32,
    /// What stands there.
    pub value: Value,
}

/// What a value is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// A text or a number; empty where nothing stands.
    Scalar(String),
    /// Values in order.
    List(Vec<Node>),
    /// Keys and values in order.
    Map(Vec<(Key, Node)>),
    /// `*name`.
    Alias,
}

/// A key of a mapping and where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Key {
    /// The line, from 1.
    pub line: u32,
    /// The key; empty where it is no text.
    pub text: String,
}

impl Node {
    /// The text, or the texts of a list.
    pub(crate) fn scalars(&self) -> Vec<String> {
        match &self.value {
            Value::Scalar(text) => vec![text.clone()],
            Value::Alias => vec![String::new()],
            Value::List(nodes) => nodes
                .iter()
                .filter_map(|node| match &node.value {
                    Value::Scalar(text) => Some(text.clone()),
                    Value::Alias => Some(String::new()),
                    Value::List(_) | Value::Map(_) => None,
                })
                .collect(),
            Value::Map(_) => Vec::new(),
        }
    }

    /// The keys of a mapping.
    pub(crate) fn keys(&self) -> Vec<String> {
        self.entries().iter().map(|(key, _)| key.text.clone()).collect()
    }

    /// The entries of a mapping.
    pub(crate) fn entries(&self) -> &[(Key, Self)] {
        match &self.value {
            Value::Map(entries) => entries,
            Value::Scalar(_) | Value::List(_) | Value::Alias => &[],
        }
    }

    /// What stands under a key.
    pub(crate) fn get(&self, name: &str) -> Option<&Self> {
        self.entries().iter().find(|(key, _)| key.text == name).map(|(_, value)| value)
    }
}

/// A list or mapping that is still open, and where it began.
enum Open {
    List(u32, Vec<Node>),
    Map(u32, Vec<(Key, Node)>, Option<Key>),
}

/// Reads the first document.
///
/// # Errors
/// The first place that is not YAML, or where it nests too deep or has too many values.
pub fn read(text: &str) -> Result<Option<Node>, Broken> {
    // The parser counts one more line than there is where a file ends too early, and counts carriage returns.
    let lines = text.lines().count().max(1);
    let line_in = |line: usize| u32::try_from(line.min(lines)).unwrap_or(u32::MAX);
    let mut open: Vec<Open> = Vec::new();
    let mut count = 0_usize;
    for event in Parser::new_from_str(text) {
        let (event, span) = event.map_err(|error| Broken {
            line: line_in(error.marker().line()),
            reason: error.info().to_owned(),
        })?;
        count += 1;
        let line = line_in(span.start.line());
        if open.len() > MAX_DEPTH || count > MAX_NODES {
            return Err(Broken { line, reason: "it nests too deep or has too many values".into() });
        }
        let closed = match event {
            Event::SequenceStart(..) => {
                open.push(Open::List(line, Vec::new()));
                continue;
            }
            Event::MappingStart(..) => {
                open.push(Open::Map(line, Vec::new(), None));
                continue;
            }
            Event::SequenceEnd | Event::MappingEnd => open.pop().map(|ended| match ended {
                Open::List(line, nodes) => Node { line, value: Value::List(nodes) },
                Open::Map(line, entries, _) => Node { line, value: Value::Map(entries) },
            }),
            Event::Scalar(value, style, ..) => {
                let text = if style == ScalarStyle::Plain && value == "~" { "".into() } else { value };
                Some(Node { line, value: Value::Scalar(text.into_owned()) })
            }
            Event::Alias(_) => Some(Node { line, value: Value::Alias }),
            Event::Nothing
            | Event::StreamStart
            | Event::StreamEnd
            | Event::DocumentStart(_)
            | Event::DocumentEnd => continue,
        };
        let Some(node) = closed else { continue };
        match open.last_mut() {
            None => return Ok(Some(node)),
            Some(Open::List(_, nodes)) => nodes.push(node),
            Some(Open::Map(_, entries, key)) => match key.take() {
                Some(name) => entries.push((name, node)),
                None => *key = Some(Key { line: node.line, text: key_text(node) }),
            },
        }
    }
    Ok(None)
}

/// The line where a second document begins, which [`read`] does not read. The text before it is known to be YAML.
#[must_use]
pub fn second_document(text: &str) -> Option<u32> {
    let events = Parser::new_from_str(text).map_while(Result::ok);
    let mut begun = events.filter(|(event, _)| matches!(event, Event::DocumentStart(_)));
    begun.nth(1).map(|(_, span)| u32::try_from(span.start.line()).unwrap_or(u32::MAX))
}

fn key_text(node: Node) -> String {
    match node.value {
        Value::Scalar(text) => text,
        Value::List(_) | Value::Map(_) | Value::Alias => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_has_its_line() {
        let root = read("# a\na: 1\nb:\n  - x\n  - c: 2\n    d:\ne: [p,\n  q]\n").unwrap().unwrap();
        let lines: Vec<_> = root.entries().iter().map(|(key, value)| (key.line, value.line)).collect();
        assert_eq!(lines, [(2, 2), (3, 4), (7, 7)]);
        let Some(Node { value: Value::List(list), .. }) = root.get("b") else { unreachable!("a list") };
        assert_eq!(list.iter().map(|node| node.line).collect::<Vec<_>>(), [4, 5]);
        let empty = list.last().and_then(|node| node.get("d")).unwrap();
        assert_eq!(empty.value, Value::Scalar(String::new()));
        let Some(Node { value: Value::List(list), .. }) = root.get("e") else { unreachable!("a list") };
        assert_eq!(list.iter().map(|node| node.line).collect::<Vec<_>>(), [7, 8]);
    }
}
