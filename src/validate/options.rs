//! From an options map to [`Options`].

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::problem::Problem;
use crate::model::request::{Data, LocalRows, Lose, Options};

/// The options that exist, as they are listed to whoever asks for another.
const KNOWN: &str = "dry_run, timeout, local_rows, data, yes, also, lose, quorum";
/// A day; more is a mistake.
const MAX_TIMEOUT: u64 = 86_400_000;

/// The value of an option before it is known whether it fits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Value {
    /// `true` or `false`.
    Flag(bool),
    /// A whole number.
    Number(i64),
    /// An atom, a string, or any other term in print.
    Text(String),
    /// Names.
    List(Vec<String>),
}

impl std::fmt::Display for Value {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Flag(flag) => flag.fmt(f),
            Self::Number(number) => number.fmt(f),
            Self::Text(text) => text.fmt(f),
            Self::List(names) => names.join(", ").fmt(f),
        }
    }
}

/// Reads a map of options.
///
/// # Errors
/// One [`Problem::UnknownOption`] or [`Problem::BadOption`] for each that does not fit.
pub fn parse(map: &BTreeMap<String, Value>) -> Result<Options, Vec<Problem>> {
    let mut options = Options::default();
    let problems: Vec<Problem> =
        map.iter().filter_map(|(key, value)| set(&mut options, key, value).err()).collect();
    if problems.is_empty() { Ok(options) } else { Err(problems) }
}

fn set(options: &mut Options, key: &str, value: &Value) -> Result<(), Problem> {
    let bad = |expected: &str| Problem::BadOption {
        option: key.into(),
        value: value.to_string(),
        expected: expected.into(),
    };
    let flag = || match value {
        Value::Flag(flag) => Ok(*flag),
        Value::Number(_) | Value::Text(_) | Value::List(_) => Err(bad("true or false")),
    };
    match key {
        "dry_run" => options.dry_run = flag()?,
        "yes" => options.yes = flag()?,
        "timeout" => {
            options.timeout = match value {
                Value::Number(n) => u64::try_from(*n).ok().filter(|n| (1..=MAX_TIMEOUT).contains(n)),
                Value::Flag(_) | Value::Text(_) | Value::List(_) => None,
            }
            .ok_or_else(|| bad("milliseconds from 1 to 86400000"))?;
        }
        "local_rows" => {
            options.local_rows = match value {
                Value::Text(text) if text == "archive" => LocalRows::Archive,
                Value::Text(text) if text == "merge" => LocalRows::Merge,
                Value::Flag(_) | Value::Number(_) | Value::Text(_) | Value::List(_) => {
                    return Err(bad("archive or merge"));
                }
            }
        }
        "quorum" => options.quorum = flag()?,
        "lose" => {
            options.lose = match value {
                Value::Text(text) if text == "all" => Lose::All,
                Value::List(tables) => Lose::Tables(tables.clone()),
                Value::Flag(_) | Value::Number(_) | Value::Text(_) => {
                    return Err(bad("all, or a list of tables"));
                }
            }
        }
        // What was typed has been through `node_name::parse`.
        "also" => {
            options.also = match value {
                Value::List(nodes) => nodes.iter().map(|node| node.as_str().into()).collect(),
                Value::Flag(_) | Value::Number(_) | Value::Text(_) => return Err(bad("a list of nodes")),
            }
        }
        "data" => {
            options.data = match value {
                Value::Text(text) if text == "keep" => Data::Keep,
                Value::Text(text) if text == "empty" => Data::Empty,
                Value::Flag(_) | Value::Number(_) | Value::Text(_) | Value::List(_) => {
                    return Err(bad("keep or empty"));
                }
            }
        }
        _ => return Err(Problem::UnknownOption { option: key.into(), known: KNOWN.into() }),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn codes(map: &[(&str, Value)]) -> Vec<&'static str> {
        let map = map.iter().map(|(k, v)| ((*k).to_owned(), v.clone())).collect();
        parse(&map).err().unwrap_or_default().iter().map(Problem::code).collect()
    }

    #[test]
    fn every_option_that_does_not_fit_is_told() {
        let map =
            [("dry_run", Value::Number(1)), ("colour", Value::Flag(true)), ("timeout", Value::Number(0))];
        assert_eq!(codes(&map), ["unknown_option", "bad_option", "bad_option"]);
    }

    #[test]
    fn good_options_are_taken() {
        let map = BTreeMap::from([
            ("local_rows".to_owned(), Value::Text("merge".into())),
            ("timeout".to_owned(), Value::Number(1)),
            ("data".to_owned(), Value::Text("empty".into())),
            ("yes".to_owned(), Value::Flag(true)),
            ("quorum".to_owned(), Value::Flag(false)),
            ("lose".to_owned(), Value::List(vec!["t".into()])),
            ("also".to_owned(), Value::List(vec!["c@third.host".into()])),
        ]);
        let options = parse(&map).unwrap_or_default();
        assert_eq!((options.local_rows, options.timeout, options.yes), (LocalRows::Merge, 1, true));
        assert_eq!(options.data, Data::Empty);
        assert_eq!((options.quorum, options.lose), (false, Lose::Tables(vec!["t".into()])));
        assert_eq!(options.also, ["c@third.host".into()]);
    }
}
