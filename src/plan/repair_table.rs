//! Making the copies of one table what one node has, key by key.
//!
//! What differs is not in the plan: rows may be many and large, and change. The plan has their number and a digest, by which it is
//! refused when other rows differ than those that were shown; the steps look themselves.

use super::diff::{self, Comparison};
use super::step::Action;
use super::{Inputs, Plan, in_place};
use crate::model::name::NodeName;
use crate::model::request::{Drift, Operation, TableRepair};
use crate::model::snapshot::Snapshot;
use crate::validate::problem::Problem;
use crate::validate::view::View;
use crate::validate::{membership, repair_table as validate};

/// Which copies of the table of that name are compared before it is repaired.
///
/// # Errors
/// What forbids it whatever the rows are.
pub fn comparison(snapshot: &Snapshot, table: &str, winner: &NodeName) -> Result<Comparison, Vec<Problem>> {
    let view = View::new(snapshot).map_err(|problem| vec![problem])?;
    let (table, nodes) = validate::table(&view, table, winner)?;
    Ok(diff::comparison(table, nodes))
}

/// Makes the plan to repair a table.
///
/// # Errors
/// Everything that forbids it.
pub(super) fn make(view: &View<'_>, repair: &TableRepair, inputs: &Inputs) -> Result<Plan, Vec<Problem>> {
    let (table, nodes) = validate::table(view, repair.table.as_str(), &repair.winner)?;
    let problems = validate::drift(repair, &nodes);
    if !problems.is_empty() {
        return Err(problems);
    }
    let (keys, winner) = (repair.drift.keys, repair.winner.clone());
    let copies = diff::comparison(table, nodes.clone());
    let mend = Action::MendRows { table: table.name.clone(), winner: winner.clone(), nodes, keys };
    let actions = [
        Action::ArchiveDrift { winner, copies: copies.clone(), keys },
        mend,
        Action::CompareCopies { copies },
    ];
    // Each key that is mended is good in itself.
    Ok(in_place(view, inputs, actions, membership::of_own_cluster(view)))
}

/// Whether what differs is still what the plan was made for.
///
/// # Errors
/// [`Problem::PlanChanged`] where it is not.
pub fn recheck(plan: &Plan, drift: &Drift) -> Result<(), Problem> {
    let same = matches!(&plan.operation, Operation::RepairTable(repair) if repair.drift == *drift);
    let changed = || Problem::PlanChanged { id: plan.id.clone(), changed: "what differs".into() };
    if same { Ok(()) } else { Err(changed()) }
}
