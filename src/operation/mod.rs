//! The operations: a file for each, with its plan, its goal, how it recovers, and its words.
//!
//! [`ask::ask`] says which facts an operation needs, and then its [`Plan`] or everything that forbids one; [`ask::again`] refuses a plan
//! when the cluster is no longer the one that it was made for; [`goal`] says whether it reached its goal, [`recovery`] how an interrupted one
//! ends.
//! The table in `room` is the one place that lists the operations. A new operation is a variant of
//! [`Operation`] and of [`ask::Wish`], a file here, and a line in that table.

mod alone;
pub mod aside;
pub mod ask;
mod force_boot;
mod forget;
mod join;
mod join_as_master;
mod leave;
pub mod past;
#[cfg(test)]
mod recovery_tests;
pub mod rename;
pub mod repair;
pub mod repair_table;
mod reset;
mod restore;
pub mod rollback;
mod sync_node;

use crate::model::name::NodeName;
use crate::model::request::{Operation, Options, Way};
use crate::model::rows::RowDifference;
use crate::model::snapshot::Snapshot;
use crate::plan::copy::Shape;
use crate::plan::recover::{self, Interrupted, Recovery};
use crate::plan::{Inputs, Plan, goal as shared};
use crate::validate::problem::Problem;
use crate::validate::view::View;
use ask::{Answers, Look, Need};
use past::Past;

/// What this node is after an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Becomes {
    /// A member that reads the tables where they are.
    Slave,
    /// A member with a copy of every table.
    FullReplica,
    /// A member of no cluster.
    Alone,
    /// What it was before.
    TheSame,
}

/// What distinguishes an operation from the others.
trait Room {
    /// What this node is afterwards.
    fn becomes(&self) -> Becomes;

    /// The member of another cluster, or of its own, that this node asks; `None` where it asks all.
    fn contact(&self) -> Option<&NodeName> {
        None
    }

    /// The look at the members that a plan needs.
    fn members(&self, _options: &Options) -> Need {
        Need::Members {
            contacts: self.contact().into_iter().cloned().collect(),
            nodes: Vec::new(),
            look: Look::Preflight,
        }
    }

    /// What [`Room::plan`] needs compared beside it.
    ///
    /// # Errors
    /// What forbids the operation whatever the rows are.
    fn comparison(&self, _view: &View<'_>, _answers: &Answers) -> Result<Option<Need>, Vec<Problem>> {
        Ok(None)
    }

    /// What [`Room::still_fits`] needs beside it, and what no look at the members shows.
    ///
    /// # Errors
    /// [`Problem::PlanChanged`], or what forbids the operation.
    fn again(
        &self,
        _plan: &Plan,
        _snapshot: &Snapshot,
        _answers: &Answers,
    ) -> Result<Option<Need>, Vec<Problem>> {
        Ok(None)
    }

    /// The plan.
    ///
    /// # Errors
    /// Everything that forbids it.
    fn plan(&self, view: &View<'_>, inputs: &Inputs) -> Result<Plan, Vec<Problem>>;

    /// Whether a plan still does what a plan for these facts would do.
    ///
    /// # Errors
    /// What forbids it now, or [`Problem::PlanChanged`].
    fn still_fits(&self, plan: &Plan, view: &View<'_>, inputs: &Inputs) -> Result<(), Vec<Problem>> {
        let now = self.plan(view, inputs)?;
        let same = Shape::of(&plan.steps, &plan.undo) == Shape::of(&now.steps, &now.undo);
        let steps = || (!same).then(|| "what has to be done".to_owned());
        plan.unless(plan.fingerprint.changed(&now.fingerprint).or_else(steps))
    }

    /// Everything that is not as the plan promised.
    fn goal(&self, view: &View<'_>, plan: &Plan) -> Vec<Problem> {
        shared::of_cluster(view, plan, self.becomes() == Becomes::Alone)
    }

    /// How the operation ends after an interruption.
    fn recovery(&self, interrupted: &Interrupted) -> Recovery {
        recover::recovery(interrupted, self.becomes() == Becomes::Alone)
    }

    /// What takes the operation back.
    ///
    /// # Errors
    /// Why nothing does.
    fn way_back(&self, past: &Past, plan: &Plan) -> Result<Way, Problem>;

    /// The first line of the plan in words.
    fn headline(&self, plan: &Plan) -> String;

    /// Lines below it that only this operation has: what they are about, and what they say.
    fn details(&self) -> Vec<(&'static str, String)> {
        Vec::new()
    }
}

/// The table of all operations.
fn room(operation: &Operation) -> Box<dyn Room + '_> {
    match operation {
        Operation::Join(contact) => Box::new(join::Join { contact }),
        Operation::JoinAsMaster(contact) => Box::new(join_as_master::JoinAsMaster { contact }),
        Operation::SyncNode(contact) => Box::new(sync_node::SyncNode { contact }),
        Operation::Forget(node) => Box::new(forget::Forget { node }),
        Operation::Reset => Box::new(reset::Reset),
        Operation::Leave => Box::new(leave::Leave),
        Operation::Rollback(rollback) => Box::new(rollback::TakeBack { rollback }),
        Operation::Restore(backup) => Box::new(restore::Restore { backup }),
        Operation::Rename(rename) => Box::new(rename::Renaming { rename }),
        Operation::Reenter(_) => Box::new(aside::Aside { stays: false }),
        Operation::Overridden(_) => Box::new(aside::Aside { stays: true }),
        Operation::ForceBoot(force) => Box::new(force_boot::Force { force }),
        Operation::Repair(repair) => Box::new(repair::ByPolicy { repair }),
        Operation::RepairTable(repair) => Box::new(repair_table::OfTable { repair }),
    }
}

/// Makes the plan from facts that are all there.
///
/// # Errors
/// Every problem that forbids it, outermost layer first.
pub fn make(inputs: &Inputs) -> Result<Plan, Vec<Problem>> {
    room(&inputs.operation).plan(&view(&inputs.snapshot)?, inputs)
}

/// Whether a plan still fits the cluster. `rows` are compared anew where what is done depends on them, and the plan's own
/// otherwise.
///
/// # Errors
/// What forbids it now, or [`Problem::PlanChanged`].
pub fn fits(plan: &Plan, snapshot: &Snapshot, rows: Option<&[RowDifference]>) -> Result<(), Vec<Problem>> {
    let inputs = Inputs {
        operation: plan.operation.clone(),
        options: plan.options.clone(),
        snapshot: snapshot.clone(),
        rows: rows.unwrap_or(&plan.rows).to_vec(),
        at: String::new(),
    };
    room(&plan.operation).still_fits(plan, &view(snapshot)?, &inputs)
}

/// Whether a plan has reached its goal.
///
/// # Errors
/// [`Problem::BadRequest`] for a snapshot that contradicts itself, [`Problem::VerifyFailed`] for each difference.
pub fn goal(plan: &Plan, snapshot: &Snapshot) -> Result<(), Vec<Problem>> {
    let problems = room(&plan.operation).goal(&view(snapshot)?, plan);
    if problems.is_empty() { Ok(()) } else { Err(problems) }
}

/// The way that an interrupted operation takes.
#[must_use]
pub fn recovery(interrupted: &Interrupted) -> Recovery {
    room(&interrupted.plan.operation).recovery(interrupted)
}

/// The first line of a plan in words, and the lines below it that only its operation has.
#[must_use]
pub(crate) fn words(plan: &Plan) -> (String, Vec<(&'static str, String)>) {
    let room = room(&plan.operation);
    (room.headline(plan), room.details())
}

fn view(snapshot: &Snapshot) -> Result<View<'_>, Vec<Problem>> {
    View::new(snapshot).map_err(|problem| vec![problem])
}
