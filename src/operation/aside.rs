//! What a node does with its own database before its Mnesia starts: a forgotten one that shall come in again moves it aside and starts empty;
//! one that others have gone on without copies it aside, as theirs replaces it. Nothing of this comes from a snapshot.

use super::past::Past;
use super::{Becomes, Room};
use crate::model::name::NodeName;
use crate::model::request::{Operation, Options, Way};
use crate::plan::draft::{numbered, total};
use crate::plan::fingerprint::Fingerprint;
use crate::plan::recover::{Direction, Interrupted, Lock, Recovery};
use crate::plan::step::{Action, OnFailure};
use crate::plan::{Inputs, Kept, Plan};
use crate::validate::problem::Problem;
use crate::validate::view::View;

/// The database of a stopped node goes aside.
pub(super) struct Aside {
    /// Whether it stays in its place, too.
    pub stays: bool,
}

impl Room for Aside {
    fn becomes(&self) -> Becomes {
        if self.stays { Becomes::TheSame } else { Becomes::Alone }
    }

    /// [`reenter`] and [`overridden`] do, from a directory instead of a snapshot.
    fn plan(&self, _view: &View<'_>, _inputs: &Inputs) -> Result<Plan, Vec<Problem>> {
        Err(vec![Problem::BadRequest { reason: "a node that goes aside has no snapshot".into() }])
    }

    /// Forward, whatever has become of what asked for it: half a database is none.
    fn recovery(&self, interrupted: &Interrupted) -> Recovery {
        let offline = interrupted.plan.steps.iter().map(|step| step.action.clone()).collect();
        Recovery { direction: Direction::Forward, offline, online: Vec::new(), lock: Lock::IfFree }
    }

    fn way_back(&self, _past: &Past, _plan: &Plan) -> Result<Way, Problem> {
        let reason = if self.stays {
            "the other members went on without this node, and what was kept is older than what they have"
        } else {
            "the cluster has forgotten this node, and what was kept belongs to a member"
        };
        Err(Problem::NothingToRollBack { reason: reason.into() })
    }

    fn headline(&self, plan: &Plan) -> String {
        let here = &plan.node;
        if self.stays {
            format!("overridden: {here} keeps a copy of its database before the other members' replaces it")
        } else {
            format!("reenter: {here} moves its database aside and starts with an empty one")
        }
    }
}

/// The plan of a forgotten node that shall come in again.
#[must_use]
pub fn reenter(id: String, here: NodeName, directory: &str) -> Plan {
    aside(id, Operation::Reenter(here.clone()), here, directory, Action::SetAside)
}

/// The plan of a node without which the others have gone on.
#[must_use]
pub fn overridden(id: String, here: NodeName, directory: &str) -> Plan {
    aside(id, Operation::Overridden(here.clone()), here, directory, Action::CopyAside)
}

fn aside(id: String, operation: Operation, node: NodeName, directory: &str, action: Action) -> Plan {
    let steps = numbered([(action, OnFailure::Resume)]);
    let estimate = total(&steps);
    Plan {
        kept: Some(Kept { directory: format!("{directory}/easy_cluster/kept/{id}"), tables: 0, rows: 0 }),
        id,
        node,
        operation,
        options: Options::default(),
        members: Vec::new(),
        fingerprint: Fingerprint::default(),
        steps,
        undo: Vec::new(),
        warnings: Vec::new(),
        estimate,
        rows: Vec::new(),
        lost: Vec::new(),
    }
}
