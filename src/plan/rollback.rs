//! Which operation takes the last one back.

use serde::{Deserialize, Serialize};

use super::Plan;
use super::step::Action;
use crate::model::name::TableName;
use crate::model::request::{Operation, Rollback, Way};
use crate::validate::problem::Problem;

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

/// The operations that would take back what was done here last, the best first: the others do the same with another member of
/// the former cluster. `history` is oldest first.
///
/// A database that was a member's is never put back: with its old schema it would enter the cluster uninvited and bring deleted
/// tables back. This node joins again instead.
///
/// # Errors
/// Why it cannot be taken back.
pub fn takes_back(history: &[Past]) -> Result<Vec<Operation>, Vec<Problem>> {
    one_of(history).map_err(|problem| vec![problem])
}

/// Whether a plan would still take back what was done here last.
///
/// # Errors
/// Why not.
pub fn recheck(plan: &Plan, history: &[Past]) -> Result<(), Vec<Problem>> {
    if takes_back(history)?.contains(&plan.operation) {
        return Ok(());
    }
    let changed = "what was done here last".into();
    Err(vec![Problem::PlanChanged { id: plan.id.clone(), changed }])
}

fn one_of(history: &[Past]) -> Result<Vec<Operation>, Problem> {
    let nothing = |reason: &str| Problem::NothingToRollBack { reason: reason.into() };
    let mut newest_first = history.iter().rev();
    // What was undone has changed nothing.
    let Some(last) = newest_first.find(|past| past.outcome != Outcome::Undone) else {
        return Err(nothing("nothing was done here yet"));
    };
    let plan = match (&last.plan, last.outcome) {
        (Some(plan), Outcome::Done | Outcome::Stopped) => plan,
        _ => return Err(Problem::UnfinishedOperation { id: last.id.clone() }),
    };
    if has_left(plan) {
        let join = if was_slave(newest_first) { Operation::Join } else { Operation::JoinAsMaster };
        return Ok(plan.members.iter().cloned().map(join).collect());
    }
    let way = match &plan.operation {
        Operation::Join(_)
        | Operation::JoinAsMaster(_)
        | Operation::Reset
        | Operation::Leave
        | Operation::Restore(_) => kept(last, plan)?,
        Operation::Rename(_) => {
            return Err(nothing("what is kept has the former name; to take it back, rename it again"));
        }
        Operation::SyncNode(_) => Way::Copies { tables: copied(last, plan) },
        Operation::ForceBoot(_) => {
            return Err(nothing(
                "tables that were loaded without the others stay; nothing was replaced here",
            ));
        }
        Operation::RepairTable(_) => {
            return Err(nothing(
                "copies that were made the same stay so; what the others had is in the archive of the repair",
            ));
        }
        Operation::Repair(_) => {
            return Err(nothing(
                "a repair has brought copies to where the policy wants them; change the policy",
            ));
        }
        Operation::Forget(_) => return Err(nothing("of a node that was forgotten, nothing is kept here")),
        Operation::Rollback(rollback) => match rollback.way {
            Way::Kept { .. } => kept(last, plan)?,
            Way::Copies { .. } => {
                return Err(nothing(
                    "it was a rollback that deleted copies; sync_node brings them here again",
                ));
            }
        },
    };
    if matches!(&way, Way::Copies { tables } if tables.is_empty()) {
        return Err(nothing("the last operation has copied nothing"));
    }
    Ok(vec![Operation::Rollback(Rollback { id: last.id.clone(), way })])
}

/// Whether members have forgotten this node by it.
fn has_left(plan: &Plan) -> bool {
    plan.steps.iter().any(|step| matches!(step.action, Action::ForgetHere { .. }))
}

/// What this node was in the cluster that it has left, by what was done before; a full replica where nobody knows.
fn was_slave<'a>(newest_first: impl Iterator<Item = &'a Past>) -> bool {
    let did = |past: &&Past| matches!(past.outcome, Outcome::Done | Outcome::Stopped);
    let before = newest_first.filter(did).filter_map(|past| past.plan.as_ref()).map(|plan| &plan.operation);
    let joined = |operation: &&Operation| operation.target().is_some() || operation.ends_alone();
    matches!(before.into_iter().find(joined), Some(Operation::Join(_)))
}

fn kept(past: &Past, plan: &Plan) -> Result<Way, Problem> {
    match &past.kept {
        Kept::Whole { bytes } => {
            let rows = if past.archive_dropped { Vec::new() } else { in_memory(plan) };
            Ok(Way::Kept { bytes: *bytes, rows, merged: merged(past, plan) })
        }
        Kept::Missing => Err(Problem::KeptDatabaseGone { id: past.id.clone() }),
        Kept::Damaged { path, reason } => Err(Problem::KeptDatabaseDamaged {
            id: past.id.clone(),
            path: path.clone(),
            reason: reason.clone(),
        }),
    }
}

/// The tables in memory whose rows it has archived: its own way back would have written them back.
fn in_memory(plan: &Plan) -> Vec<TableName> {
    let rows = plan.undo.iter().filter_map(|undo| {
        let Action::RestoreRows { tables } = &undo.action else { return None };
        Some(tables.clone())
    });
    rows.flatten().collect()
}

fn merged(past: &Past, plan: &Plan) -> Vec<TableName> {
    let merged = actions_begun(past, plan).filter_map(|action| {
        let Action::MergeRows { tables, .. } = action else { return None };
        Some(tables.clone())
    });
    merged.flatten().collect()
}

fn copied(past: &Past, plan: &Plan) -> Vec<TableName> {
    actions_begun(past, plan).flat_map(|action| action.copies()).map(|copy| copy.table.clone()).collect()
}

fn actions_begun<'a>(past: &'a Past, plan: &'a Plan) -> impl Iterator<Item = &'a Action> {
    plan.steps.iter().filter(|step| past.begun.contains(&step.number)).map(|step| &step.action)
}
