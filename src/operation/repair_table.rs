//! Making the copies of one table what one node has, key by key.
//!
//! What differs is not in the plan: rows may be many and large, and change. The plan has their number and a digest, by which it is
//! refused when other rows differ than those that were shown; the steps look themselves.

use super::ask::{Answers, Need, facts};
use super::past::Past;
use super::{Becomes, Room};
use crate::model::count::counted;
use crate::model::name::NodeName;
use crate::model::request::{CopyDrift, Options, TableRepair, Way};
use crate::model::snapshot::Snapshot;
use crate::plan::diff::{self, Comparison};
use crate::plan::draft::in_place;
use crate::plan::step::Action;
use crate::plan::{Inputs, Plan};
use crate::validate::problem::Problem;
use crate::validate::view::View;
use crate::validate::{membership, repair_table as validate};

/// All copies of a table get what one node has.
pub(super) struct OfTable<'a> {
    /// The table, the node, and how the copies differ.
    pub repair: &'a TableRepair,
}

impl Room for OfTable<'_> {
    fn becomes(&self) -> Becomes {
        Becomes::TheSame
    }

    fn members(&self, _options: &Options) -> Need {
        facts()
    }

    /// What is repaired has to be what was shown.
    fn again(
        &self,
        plan: &Plan,
        snapshot: &Snapshot,
        answers: &Answers,
    ) -> Result<Option<Need>, Vec<Problem>> {
        let winner = &self.repair.winner;
        let comparison = comparison(snapshot, self.repair.table.as_str(), winner)?;
        let Some(drift) = &answers.drift else {
            return Ok(Some(Need::Drift { comparison, winner: winner.clone() }));
        };
        plan.unless((self.repair.drift != *drift).then(|| "what differs".to_owned()))?;
        Ok(None)
    }

    fn plan(&self, view: &View<'_>, inputs: &Inputs) -> Result<Plan, Vec<Problem>> {
        let repair = self.repair;
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

    fn way_back(&self, _past: &Past, _plan: &Plan) -> Result<Way, Problem> {
        let reason =
            "copies that were made the same stay so; what the others had is in the archive of the repair";
        Err(Problem::NothingToRollBack { reason: reason.into() })
    }

    fn headline(&self, _plan: &Plan) -> String {
        let keys = counted(self.repair.drift.keys, "key");
        format!(
            "repair_table: all copies of {} get what {} has of {keys}",
            self.repair.table, self.repair.winner
        )
    }

    fn details(&self) -> Vec<(&'static str, String)> {
        self.repair.drift.copies.iter().map(|copy| ("differs", differing(copy))).collect()
    }
}

/// How a copy differs from the winner's.
fn differing(copy: &CopyDrift) -> String {
    let different = counted(copy.different, "key");
    format!(
        "{}: {different} different, {} missing there, {} only there",
        copy.node, copy.missing, copy.foreign
    )
}

/// Which copies of the table of that name are compared before it is repaired.
///
/// # Errors
/// What forbids it whatever the rows are.
pub(super) fn comparison(
    snapshot: &Snapshot,
    table: &str,
    winner: &NodeName,
) -> Result<Comparison, Vec<Problem>> {
    let view = View::new(snapshot).map_err(|problem| vec![problem])?;
    let (table, nodes) = validate::table(&view, table, winner)?;
    Ok(diff::comparison(table, nodes))
}
