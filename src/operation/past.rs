//! What was done on a node before, as its journals have it.

use serde::{Deserialize, Serialize};

use crate::plan::Plan;

/// An operation that was begun here, as its journal has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Past {
    /// Names the journal and the kept database.
    pub id: String,
    /// What came of it.
    pub outcome: Outcome,
    /// What it was; `None` where the journal cannot be read.
    pub plan: Option<Plan>,
    /// The numbers of the steps that were begun.
    pub begun: Vec<u32>,
    /// What became of the database that it has kept.
    pub kept: Kept,
    /// Whether rows that it has archived were given up since.
    #[serde(default)]
    pub archive_dropped: bool,
}

/// What came of an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It reached its goal.
    Done,
    /// It was taken back when a step failed.
    Undone,
    /// A step failed, and what was done before stayed.
    Stopped,
    /// It has not ended.
    Unfinished,
    /// Nobody can tell.
    Unreadable,
}

/// The state of a kept database.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kept {
    /// Every file is there with its size.
    Whole {
        /// Their bytes.
        bytes: u64,
    },
    /// There is none.
    Missing,
    /// A file is not what it was.
    Damaged {
        /// Which one.
        path: String,
        /// What is wrong with it.
        reason: String,
    },
}
