//! What was done here before, in words.

use std::fmt::Write as _;

use serde::{Deserialize, Serialize};

use super::plan::counted;
use crate::model::name::AtomName;
use crate::validate::problem::{Bytes, Milliseconds};

/// An operation, as its journal has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Past {
    /// Names the journal, the kept database and the archive.
    pub id: String,
    /// What was asked for, as `join_as_master ejabberd@foo.bar`; empty where the journal cannot be read.
    pub operation: String,
    /// Milliseconds from its beginning to its end.
    pub milliseconds: Option<u64>,
    /// `done`, `undone`, `stopped`, `unfinished` or `unreadable`.
    pub outcome: AtomName,
    /// Steps that were done.
    pub done: u64,
    /// Steps of the plan.
    pub steps: u64,
    /// Bytes of the database that is kept since, if one is.
    pub kept: Option<u64>,
}

/// One line each, as they were given.
#[must_use]
pub fn words(past: &[Past]) -> String {
    let mut text = String::new();
    for each in past {
        let took = each.milliseconds.map_or_else(String::new, |ms| format!(" in {}", Milliseconds(ms)));
        let kept = each.kept.map_or_else(String::new, |bytes| format!("; {} are kept", Bytes(bytes)));
        let operation = if each.operation.is_empty() { "?" } else { &each.operation };
        let steps = format!("{} of {}", each.done, counted(each.steps, "step"));
        let _ = writeln!(text, "{}  {operation}: {}, {steps}{took}{kept}", each.id, each.outcome);
    }
    if past.is_empty() {
        text.push_str("nothing was done here yet\n");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_operation_is_a_line_with_what_came_of_it() {
        let past = Past {
            id: "20260101T000000.000000Z-join".into(),
            operation: "join ejabberd@foo.bar".into(),
            milliseconds: Some(1_500),
            outcome: "undone".into(),
            done: 1,
            steps: 20,
            kept: Some(2_000),
        };
        assert_eq!(
            words(&[past]),
            "20260101T000000.000000Z-join  join ejabberd@foo.bar: undone, 1 of 20 steps in 1.5 s; 2.0 kB are kept\n"
        );
        assert_eq!(words(&[]), "nothing was done here yet\n");
    }
}
