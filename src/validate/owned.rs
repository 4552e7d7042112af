//! Whether another program makes clusters of this Mnesia.

use super::problem::Problem;
use super::view::View;
use crate::model::name::{AtomName, NodeName};
use crate::model::owners::{self, Owner};

/// The program whose own tools are to be used for a join of this node to the cluster of `contact`.
#[must_use]
pub fn of_join(view: &View<'_>, contact: &NodeName) -> Option<Problem> {
    warning(view, |owner| owner.join.replace("NODE", contact.as_str()))
}

/// The program whose own tools are to be used where this node shall go on with another database.
#[must_use]
pub fn of_leaver(view: &View<'_>) -> Option<Problem> {
    warning(view, |owner| owner.leave.replace("NODE", view.here().as_str()))
}

fn warning(view: &View<'_>, tool: impl Fn(&Owner) -> String) -> Option<Problem> {
    let owner = owners::owner(&view.here_facts().running_applications)?;
    Some(Problem::OwnClusterTools {
        application: AtomName::from(owner.application),
        here: view.here().clone(),
        tool: tool(owner),
    })
}
