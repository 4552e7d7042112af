//! What was done here before, in words.

use std::fmt::Write as _;

use serde::{Deserialize, Serialize};

use super::errors::printable;
use crate::model::count::counted;
use crate::model::name::AtomName;
use crate::plan::Plan;
use crate::validate::problem::{Bytes, Milliseconds};

/// An operation, as its journal has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Past {
    /// Names the journal, the kept database and the archive.
    pub id: String,
    /// What was asked for, as `join_as_master ejabberd@foo.bar`; empty where the journal cannot be read.
    pub operation: String,
    /// When it began, UTC.
    pub begun: Option<String>,
    /// When it ended, UTC.
    pub ended: Option<String>,
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
    /// Bytes of the rows that it has archived, if they are there.
    #[serde(default)]
    pub archived: Option<u64>,
    /// When the database that was kept was given up, UTC.
    pub dropped: Option<String>,
    /// What is wrong with the journal.
    pub damage: Option<String>,
}

/// A record of a journal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// When, UTC.
    pub at: String,
    /// What, as Erlang prints it.
    pub what: String,
}

/// Two lines each, as they were given.
#[must_use]
pub fn words(past: &[Past]) -> String {
    let mut text: String = past.iter().map(summary).collect();
    match past {
        [] => text.push_str("nothing was done here yet\n"),
        [.., last] => {
            let _ = writeln!(text, "more of one: easy_cluster:history(\"{}\")", printable(&last.id));
        }
    }
    text
}

/// One operation: the plan that it had, and each record of its journal.
#[must_use]
pub fn operation(past: &Past, plan: Option<&Plan>, events: &[Event]) -> String {
    let mut text = summary(past);
    if past.kept.is_some() {
        let id = printable(&past.id);
        text.push_str(
            "  to have the kept database back, while nothing was done after it: easy_cluster:rollback()\n",
        );
        let _ = writeln!(text, "  to give it up: easy_cluster:drop_kept(\"{id}\", #{{confirm => \"{id}\"}})");
    }
    if past.archived.is_some() {
        let id = printable(&past.id);
        let _ = writeln!(
            text,
            "  to give the archived rows up: easy_cluster:drop_archive(\"{id}\", #{{confirm => \"{id}\"}})"
        );
    }
    if let Some(plan) = plan {
        text.push_str(&super::plan::plan(plan));
    }
    for event in events {
        let _ = writeln!(text, "  {}  {}", printable(&event.at), printable(&event.what));
    }
    text
}

fn summary(past: &Past) -> String {
    let operation = if past.operation.is_empty() { "?" } else { &past.operation };
    let mut text = format!("{}\n  {}: {}", printable(&past.id), printable(operation), past.outcome);
    if past.steps > 0 {
        let _ = write!(text, ", {} of {}", past.done, counted(past.steps, "step"));
    }
    if let Some(milliseconds) = past.milliseconds {
        let _ = write!(text, " in {}", Milliseconds(milliseconds));
    }
    if let Some(begun) = &past.begun {
        let _ = write!(text, "; begun {begun}");
    }
    if let Some(ended) = &past.ended {
        let _ = write!(text, ", ended {ended}");
    }
    if let Some(bytes) = past.kept {
        let _ = write!(text, "; {} are kept", Bytes(bytes));
    }
    if let Some(bytes) = past.archived {
        let _ = write!(text, "; rows of {} are archived", Bytes(bytes));
    }
    if let Some(dropped) = &past.dropped {
        let _ = write!(text, "; what was kept was given up {dropped}");
    }
    if let Some(damage) = &past.damage {
        let _ = write!(text, "\n  the journal cannot be read: {}", printable(damage));
    }
    text.push('\n');
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn past() -> Past {
        Past {
            id: "20260101T000000.000000Z-join".into(),
            operation: "join ejabberd@foo.bar".into(),
            begun: Some("2026-01-01 00:00:00".into()),
            ended: Some("2026-01-01 00:00:01".into()),
            milliseconds: Some(1_500),
            outcome: "undone".into(),
            done: 1,
            steps: 20,
            kept: Some(2_000),
            archived: Some(300),
            dropped: None,
            damage: None,
        }
    }

    #[test]
    fn an_operation_is_two_lines_with_what_came_of_it() {
        assert_eq!(
            words(&[past()]),
            "20260101T000000.000000Z-join\n  \
             join ejabberd@foo.bar: undone, 1 of 20 steps in 1.5 s; begun 2026-01-01 00:00:00, ended 2026-01-01 00:00:01; \
             2.0 kB are kept; rows of 300 bytes are archived\n\
             more of one: easy_cluster:history(\"20260101T000000.000000Z-join\")\n"
        );
        assert_eq!(words(&[]), "nothing was done here yet\n");
    }

    #[test]
    fn a_journal_that_cannot_be_read_and_a_kept_database_that_went_are_told() {
        let damaged = Past {
            operation: String::new(),
            begun: None,
            ended: None,
            milliseconds: None,
            outcome: "unreadable".into(),
            steps: 0,
            kept: None,
            archived: None,
            dropped: Some("2026-01-02 00:00:00".into()),
            damage: Some("bad_record".into()),
            ..past()
        };
        let text = summary(&damaged);
        assert!(text.contains("?: unreadable; what was kept was given up 2026-01-02 00:00:00\n"), "{text}");
        assert!(text.ends_with("the journal cannot be read: bad_record\n"), "{text}");
    }

    #[test]
    fn one_operation_tells_its_records_and_what_to_do_with_what_is_kept() {
        let event = Event { at: "2026-01-01 00:00:00".into(), what: "{intent,1,dump_log}".into() };
        let text = operation(&past(), None, &[event]);
        let id = "20260101T000000.000000Z-join";
        assert!(text.contains(&format!("drop_kept(\"{id}\", #{{confirm => \"{id}\"}})\n")), "{text}");
        assert!(text.contains(&format!("drop_archive(\"{id}\", #{{confirm => \"{id}\"}})\n")), "{text}");
        assert!(text.ends_with("  2026-01-01 00:00:00  {intent,1,dump_log}\n"), "{text}");
    }
}
