//! Leaving the cluster and going on alone, with the cluster's data or without.

use super::alone::{Alone, keeping};
use super::past::Past;
use super::rollback;
use super::{Becomes, Room};
use crate::model::request::{Data, Way};
use crate::plan::draft::members;
use crate::plan::step::Source;
use crate::plan::{Inputs, Plan, archive};
use crate::validate::problem::{Nodes, Problem};
use crate::validate::view::View;
use crate::validate::{copies, operation as validate};

/// This node leaves its cluster.
pub(super) struct Leave;

impl Room for Leave {
    fn becomes(&self) -> Becomes {
        Becomes::Alone
    }

    fn plan(&self, view: &View<'_>, inputs: &Inputs) -> Result<Plan, Vec<Problem>> {
        let data = inputs.options.data;
        let tables = copies::of_cluster(view);
        let problems = |archived| validate::leave(view, &members(view, view.here()), &tables, data, archived);
        let backed_up = match data {
            Data::Keep => tables.clone(),
            Data::Empty => Vec::new(),
        };
        let source = if backed_up.is_empty() {
            Source::Empty
        } else {
            Source::BackedUp { rows: archive::sum(&backed_up, |table| table.size) }
        };
        keeping(view, inputs, problems, Alone { backed_up, ..Alone::with(source) })?.plan(view, inputs)
    }

    fn way_back(&self, past: &Past, plan: &Plan) -> Result<Way, Problem> {
        rollback::kept(past, plan)
    }

    fn headline(&self, plan: &Plan) -> String {
        let members = Nodes(plan.members.clone());
        let with = match plan.options.data {
            Data::Keep => "a copy of the cluster's data",
            Data::Empty => "an empty database",
        };
        format!("leave: {} leaves the cluster of {members} and goes on alone with {with}", plan.node)
    }
}
