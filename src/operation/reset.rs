//! Going on alone with an empty database.

use super::alone::{Alone, keeping};
use super::past::Past;
use super::rollback;
use super::{Becomes, Room};
use crate::model::request::Way;
use crate::plan::step::Source;
use crate::plan::{Inputs, Plan};
use crate::validate::operation as validate;
use crate::validate::problem::Problem;
use crate::validate::view::View;

/// This node goes on with an empty database.
pub(super) struct Reset;

impl Room for Reset {
    fn becomes(&self) -> Becomes {
        Becomes::Alone
    }

    fn plan(&self, view: &View<'_>, inputs: &Inputs) -> Result<Plan, Vec<Problem>> {
        let problems = |archived| validate::reset(view, archived);
        keeping(view, inputs, problems, Alone::with(Source::Empty))?.plan(view, inputs)
    }

    fn way_back(&self, past: &Past, plan: &Plan) -> Result<Way, Problem> {
        rollback::kept(past, plan)
    }

    fn headline(&self, plan: &Plan) -> String {
        format!("reset: {} goes on alone with an empty database", plan.node)
    }
}
