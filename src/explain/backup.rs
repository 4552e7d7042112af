//! What a backup takes, in words.

use std::fmt::Write as _;

use super::errors::printable;
use crate::model::count::counted;
use crate::plan::backup::{Backup, Reason};
use crate::validate::problem::Bytes;

/// What is going to be taken, what not, and what should be known.
#[must_use]
pub fn words(backup: &Backup, path: &str) -> String {
    let mut text = String::new();
    let (tables, rows) = (counted(backup.tables.len() as u64, "table"), counted(backup.rows, "row"));
    let _ = writeln!(text, "backup: {tables} ({rows}, about {}) go to {path}", Bytes(backup.bytes));
    let reasons = [
        (Reason::OfProcesses, "rows of processes"),
        (Reason::OfEachStart, "made anew at each start"),
        (Reason::OfOtherNodes, "rows of other nodes only"),
        (Reason::External, "stored by an external backend"),
    ];
    for (reason, why) in reasons {
        let names: Vec<_> = backup
            .left_out
            .iter()
            .filter(|left| left.reason == reason)
            .map(|left| left.name.to_string())
            .collect();
        if !names.is_empty() {
            let _ = writeln!(text, "  left out    {} ({why})", names.join(", "));
        }
    }
    for warning in &backup.warnings {
        let _ = writeln!(text, "  warning     {}", printable(&warning.to_string()));
    }
    text
}
