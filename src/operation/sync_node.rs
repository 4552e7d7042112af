//! Copying what is missing, with everything running.

use super::join::not_itself;
use super::past::Past;
use super::rollback;
use super::{Becomes, Room};
use crate::model::name::NodeName;
use crate::model::request::Way;
use crate::plan::draft::{Draft, members, numbered};
use crate::plan::step::{Action, OnFailure};
use crate::plan::{Inputs, Plan, copy};
use crate::validate::problem::{Nodes, Problem};
use crate::validate::view::View;
use crate::validate::{copies, forget, operation as validate};

/// This node gets every table of the cluster that it lacks.
pub(super) struct SyncNode<'a> {
    /// Another member of the cluster.
    pub contact: &'a NodeName,
}

impl Room for SyncNode<'_> {
    fn becomes(&self) -> Becomes {
        Becomes::FullReplica
    }

    fn contact(&self) -> Option<&NodeName> {
        Some(self.contact)
    }

    /// The copies, and the fence for all members where one lacks it. A copy that was made is good in itself, so nothing is taken back.
    fn plan(&self, view: &View<'_>, inputs: &Inputs) -> Result<Plan, Vec<Problem>> {
        not_itself(view, self.contact)?;
        let wanted = copies::missing(view, self.contact);
        let problems = validate::sync(view, self.contact, &wanted);
        if !problems.is_empty() {
            return Err(problems);
        }
        let fence = (!forget::is_fenced(view)).then_some(Action::EnsureFence);
        let actions = copy::actions(&wanted).into_iter().chain(fence).chain([Action::Verify]);
        let steps = numbered(actions.map(|action| (action, OnFailure::Keep)));
        Draft::new(self.contact, members(view, self.contact), steps, Vec::new()).plan(view, inputs)
    }

    fn way_back(&self, past: &Past, plan: &Plan) -> Result<Way, Problem> {
        rollback::copies(past, plan)
    }

    fn headline(&self, plan: &Plan) -> String {
        let members = Nodes(plan.members.clone());
        format!("sync_node: {} gets the copies that it lacks of the tables of {members}", plan.node)
    }
}
