//! What becomes of an operation that was interrupted: the VM was killed, or the machine lost its power.
//!
//! The journal says how far it came, the directory whether the switch was made. Until clients were let in, both ways are
//! open: back while the node is the old one, or when the members cannot be reached; forward otherwise. Afterwards there is
//! only the way forward, as the way back would lose what clients have written since.

use serde::{Deserialize, Serialize};

use super::Plan;
use super::step::{Action, OnFailure, Step, UndoStep};
use crate::model::name::AtomName;

/// How far an operation came, and what surrounds it now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Interrupted {
    /// The plan that was under way.
    pub plan: Plan,
    /// The last step whose intent is in the journal; 0 when there is none.
    pub begun: u32,
    /// Whether the way back had begun.
    pub undoing: bool,
    /// Whether the directory's schema is that of the cluster.
    pub committed: bool,
    /// Whether the contact node answers, and its Mnesia runs.
    pub reached: bool,
    /// Whether Mnesia runs here already.
    pub running: bool,
}

/// Where an interrupted operation goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// To the end that was planned.
    Forward,
    /// To what was before.
    Back,
}

/// How an interrupted operation ends.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recovery {
    /// Where it goes.
    pub direction: Direction,
    /// What has to be done while Mnesia is stopped; where it runs, with the stop before and the start after it.
    pub offline: Vec<Action>,
    /// The steps of the plan that are left when Mnesia runs.
    pub online: Vec<Step>,
}

/// The way that an interrupted operation takes.
#[must_use]
pub fn recovery(interrupted: &Interrupted) -> Recovery {
    let Interrupted { plan, begun, undoing, committed, reached, running } = interrupted;
    if plan.undo.is_empty() {
        return forward(plan, *begun, false);
    }
    let open = plan.steps.iter().any(|step| is_opening(&step.action) && step.number <= *begun);
    if open || (*committed && *reached && !*undoing) {
        forward(plan, *begun, *running)
    } else {
        Recovery { direction: Direction::Back, offline: back(plan, *begun, *running), online: Vec::new() }
    }
}

/// From here on clients may write.
fn is_opening(action: &Action) -> bool {
    matches!(action, Action::StartApplication { .. } | Action::Verify)
}

fn forward(plan: &Plan, begun: u32, running: bool) -> Recovery {
    let switched = plan.steps.iter().find(|step| matches!(step.action, Action::ReplaceFiles));
    let offline = match switched {
        Some(step) if begun <= step.number => around(plan, running, vec![Action::ReplaceFiles], || {
            Action::StartMnesia { members: plan.members.clone() }
        }),
        Some(_) | None => Vec::new(),
    };
    let after = switched.map_or(0, |step| step.number);
    let online = plan.steps.iter().filter(|step| step.number > after && is_left(&step.action)).cloned();
    let online = online.map(|step| Step { on_failure: OnFailure::Keep, ..step }).collect();
    Recovery { direction: Direction::Forward, offline, online }
}

/// What the start of the VM does by itself is not done again.
fn is_left(action: &Action) -> bool {
    !matches!(action, Action::StopApplication { .. } | Action::StartApplication { .. })
}

/// The parts of the plan's way back that concern files and members; the rest is what the start of the VM does by itself.
fn back(plan: &Plan, begun: u32, running: bool) -> Vec<Action> {
    let needed = |undo: &&UndoStep| {
        undo.since <= begun
            && matches!(
                undo.action,
                Action::ForgetHere { .. } | Action::RestoreDatabase | Action::DropStaging
            )
    };
    let files = plan.undo.iter().filter(needed).map(|undo| undo.action.clone()).collect();
    around(plan, running, files, || Action::ReopenMnesia)
}

/// `actions` with the stop of what runs before them and its start after them.
fn around(plan: &Plan, running: bool, actions: Vec<Action>, start: impl Fn() -> Action) -> Vec<Action> {
    if !running || actions.is_empty() {
        return actions;
    }
    let applications: Vec<&AtomName> = plan
        .steps
        .iter()
        .filter_map(|step| {
            let Action::StopApplication { application } = &step.action else { return None };
            Some(application)
        })
        .collect();
    let stop = applications.iter().map(|name| Action::StopApplication { application: (*name).clone() });
    let restart =
        applications.iter().rev().map(|name| Action::StartApplication { application: (*name).clone() });
    stop.chain([Action::StopMnesia])
        .chain(actions)
        .chain([start(), Action::ClearCaches])
        .chain(restart)
        .collect()
}
