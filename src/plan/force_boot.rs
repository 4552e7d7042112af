//! Going on without nodes that are gone for good, after a total outage.

use super::step::Action;
use super::{Inputs, Plan, in_place};
use crate::model::request::ForceBoot;
use crate::validate::problem::Problem;
use crate::validate::view::View;
use crate::validate::waiting;

/// Makes the plan to load what waits here.
///
/// # Errors
/// Everything that forbids it; what is given up, where that was not agreed to.
pub(super) fn make(view: &View<'_>, force: &ForceBoot, inputs: &Inputs) -> Result<Plan, Vec<Problem>> {
    let problems = waiting::of_force(view, force);
    if !problems.is_empty() {
        return Err(problems);
    }
    let warnings = waiting::given_up(view, force);
    if !warnings.is_empty() && !inputs.options.yes && !inputs.options.dry_run {
        return Err(warnings);
    }
    let here = view.here();
    let tables = force.waits.iter().flat_map(|wait| &wait.tables);
    let tables = tables.map(|table| (table.clone(), here.clone())).collect();
    // Each table that is loaded is good in itself, and the next start would wait again.
    Ok(in_place(view, inputs, [Action::ForceLoad { tables }, Action::Verify], warnings))
}
