//! A plan as data: steps in order, their way back, and the price.
//!
//! [`crate::operation`] makes plans, [`crate::explain`] shows them. What the operations share stands here: how steps
//! become a plan (`draft.rs`), how an interrupted plan ends ([`recover`]), and whether it reached its goal (`goal.rs`).

pub(crate) mod archive;
pub mod backup;
pub mod boot;
pub(crate) mod copy;
pub mod diff;
pub(crate) mod draft;
pub mod estimate;
pub mod fingerprint;
pub(crate) mod goal;
pub mod marks;
pub mod recover;
pub mod step;

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::model::catalogue::Class;
use crate::model::name::{NodeName, TableName};
use crate::model::request::{Operation, Options};
use crate::model::rows::RowDifference;
use crate::model::snapshot::Snapshot;
use crate::validate::problem::Problem;
use estimate::Estimate;
use fingerprint::Fingerprint;
use step::{Step, UndoStep};

/// Everything that a plan is made from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Inputs {
    /// What is wanted.
    pub operation: Operation,
    /// How.
    pub options: Options,
    /// The facts.
    pub snapshot: Snapshot,
    /// Rows here against the cluster's, for the tables that [`crate::operation::ask::Need::Rows`] names.
    pub rows: Vec<RowDifference>,
    /// A name for the plan that no other has: a time in UTC.
    pub at: String,
}

/// What will be done, for which cluster, and at what price.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// Names the journal, the kept database and the archive.
    pub id: String,
    /// What was asked for.
    pub operation: Operation,
    /// How.
    pub options: Options,
    /// The node whose steps these are.
    pub node: NodeName,
    /// The members of the cluster that it is about, without this node.
    pub members: Vec<NodeName>,
    /// What it was made for.
    pub fingerprint: Fingerprint,
    /// In order.
    pub steps: Vec<Step>,
    /// The way back, in order.
    pub undo: Vec<UndoStep>,
    /// What should be known before.
    pub warnings: Vec<Problem>,
    /// What the old database holds that is kept; `None` when none is replaced.
    pub kept: Option<Kept>,
    /// Rows that the cluster lacks or has differently.
    pub rows: Vec<RowDifference>,
    /// Tables that are deleted.
    #[serde(default)]
    pub lost: Vec<LostTable>,
    /// The price.
    pub estimate: Estimate,
}

/// The database that is moved aside.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kept {
    /// The folder, below the Mnesia directory.
    pub directory: String,
    /// Its tables.
    pub tables: u64,
    /// Their rows on disc.
    pub rows: u64,
}

/// A table that is deleted with a forgotten node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LostTable {
    /// The table.
    pub table: TableName,
    /// What it is for.
    pub class: Class,
    /// How it was stored there.
    pub storage: String,
    /// Older copies of it in kept databases.
    pub kept: Vec<String>,
}

impl fmt::Display for LostTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({}, {})", self.table, self.class.as_str(), self.storage)?;
        if self.kept.is_empty() { Ok(()) } else { write!(f, "; an older copy is {}", self.kept.join(", ")) }
    }
}

impl Plan {
    /// Refuses the plan where something has changed, named in words.
    ///
    /// # Errors
    /// [`Problem::PlanChanged`].
    pub(crate) fn unless(&self, changed: Option<String>) -> Result<(), Vec<Problem>> {
        match changed {
            None => Ok(()),
            Some(changed) => Err(vec![Problem::PlanChanged { id: self.id.clone(), changed }]),
        }
    }
}
