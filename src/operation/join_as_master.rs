//! A join that copies every table here: the steps are those of a [`join`](super::join), with the copies.

use super::join;
use super::rollback::{self, Past};
use super::{Becomes, Room};
use crate::model::name::{NodeName, TableName};
use crate::model::request::Way;
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

    fn rows_to_compare(&self, view: &View<'_>) -> Result<Vec<TableName>, Vec<Problem>> {
        join::allowed(view, self.contact, &copies::missing(view, self.contact), 0)?;
        Ok(join::on_both_sides(view, self.contact))
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
