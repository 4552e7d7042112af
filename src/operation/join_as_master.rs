//! A join that copies every table here: the steps are those of a [`join`](super::join), with the copies.

use super::ask::{Answers, Need};
use super::join;
use super::past::Past;
use super::rollback;
use super::{Becomes, Room};
use crate::model::name::NodeName;
use crate::model::request::{LocalRows, Way};
use crate::model::snapshot::Snapshot;
use crate::plan::{Inputs, Plan, archive};
use crate::validate::copies;
use crate::validate::problem::{Nodes, Problem};
use crate::validate::view::View;

/// This node becomes a member with a copy of every table.
pub(super) struct JoinAsMaster<'a> {
    /// A member of the cluster.
    pub contact: &'a NodeName,
}

impl Room for JoinAsMaster<'_> {
    fn becomes(&self) -> Becomes {
        Becomes::FullReplica
    }

    fn contact(&self) -> Option<&NodeName> {
        Some(self.contact)
    }

    fn comparison(&self, view: &View<'_>, answers: &Answers) -> Result<Option<Need>, Vec<Problem>> {
        join::allowed(view, self.contact, &copies::missing(view, self.contact), 0)?;
        Ok(join::rows(view, self.contact, answers))
    }

    /// Which tables are merged depends on the rows that there are now.
    fn again(
        &self,
        plan: &Plan,
        snapshot: &Snapshot,
        answers: &Answers,
    ) -> Result<Option<Need>, Vec<Problem>> {
        match plan.options.local_rows {
            LocalRows::Archive => Ok(None),
            LocalRows::Merge => self.comparison(&super::view(snapshot)?, answers),
        }
    }

    fn plan(&self, view: &View<'_>, inputs: &Inputs) -> Result<Plan, Vec<Problem>> {
        let wanted = copies::missing(view, self.contact);
        let rows = join::row_differences(view, self.contact, inputs);
        join::allowed(view, self.contact, &wanted, archive::bytes(view, &rows, &inputs.options))?;
        join::draft(view, self.contact, &wanted, rows, inputs)?.plan(view, inputs)
    }

    fn way_back(&self, past: &Past, plan: &Plan) -> Result<Way, Problem> {
        rollback::kept(past, plan)
    }

    fn headline(&self, plan: &Plan) -> String {
        let members = Nodes(plan.members.clone());
        format!("join_as_master: {} becomes a full replica of the cluster of {members}", plan.node)
    }
}
