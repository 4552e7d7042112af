//! Going on without nodes that are gone for good, after a total outage.

use super::ask::{Need, facts};
use super::past::Past;
use super::{Becomes, Room};
use crate::model::name::TableName;
use crate::model::request::{ForceBoot, Options, Way};
use crate::model::table::Table;
use crate::plan::draft::in_place;
use crate::plan::goal::failed;
use crate::plan::step::Action;
use crate::plan::{Inputs, Plan};
use crate::validate::problem::Problem;
use crate::validate::view::View;
use crate::validate::waiting;

/// This node loads what waits here.
pub(super) struct Force<'a> {
    /// What waits, and for whom.
    pub force: &'a ForceBoot,
}

impl Room for Force<'_> {
    fn becomes(&self) -> Becomes {
        Becomes::TheSame
    }

    /// The tables of ejabberd are not there yet: whether it could start again is no question.
    fn members(&self, _options: &Options) -> Need {
        facts()
    }

    fn plan(&self, view: &View<'_>, inputs: &Inputs) -> Result<Plan, Vec<Problem>> {
        let problems = waiting::of_force(view, self.force);
        if !problems.is_empty() {
            return Err(problems);
        }
        let warnings = waiting::given_up(view, self.force);
        if !warnings.is_empty() && !inputs.options.yes && !inputs.options.dry_run {
            return Err(warnings);
        }
        let here = view.here();
        let tables = self.force.waits.iter().flat_map(|wait| &wait.tables);
        let tables = tables.map(|table| (table.clone(), here.clone())).collect();
        // Each table that is loaded is good in itself, and the next start would wait again.
        Ok(in_place(view, inputs, [Action::ForceLoad { tables }, Action::Verify], warnings))
    }

    /// The tables are loaded here. Members that are gone are no concern of it.
    fn goal(&self, view: &View<'_>, plan: &Plan) -> Vec<Problem> {
        let forced: Vec<&TableName> = plan.steps.iter().flat_map(|step| forced(&step.action)).collect();
        let waits = |table: &&Table| forced.contains(&&table.name) && !view.has_here(table.active);
        let waiting = view.tables_of(&plan.node).filter(waits);
        waiting.map(|table| failed(format!("{} to be loaded here", table.name), "it waits".into())).collect()
    }

    fn way_back(&self, _past: &Past, _plan: &Plan) -> Result<Way, Problem> {
        let reason = "tables that were loaded without the others stay; nothing was replaced here".into();
        Err(Problem::NothingToRollBack { reason })
    }

    fn headline(&self, plan: &Plan) -> String {
        format!("force_boot: {} goes on with what it has, without the nodes that it waits for", plan.node)
    }
}

fn forced(action: &Action) -> impl Iterator<Item = &TableName> {
    let tables = if let Action::ForceLoad { tables } = action { tables.as_slice() } else { &[] };
    tables.iter().map(|(table, _)| table)
}
