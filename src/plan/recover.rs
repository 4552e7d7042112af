//! What becomes of an operation that was interrupted: the VM was killed, or the machine lost its power.
//!
//! The journal says how far it came, the directory whether the switch was made. Until clients were let in, both ways are
//! open: back while the node is the old one, or when the members cannot be reached; forward otherwise. Afterwards there is
//! only the way forward, as the way back would lose what clients have written since. A journal whose end is torn may have lost
//! the record that they were let in.
//!
//! What is done in place, while everything runs, has nothing half done here that could not wait: it goes on under the lock of
//! the cluster only.

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
    /// Whether bytes at the end of the journal are no record.
    #[serde(default)]
    pub torn: bool,
    /// Whether the staging folder holds files of Mnesia, or says who is about to list this node.
    #[serde(default)]
    pub staged: bool,
    /// Whether files are kept, and the directory still has them.
    #[serde(default)]
    pub kept: bool,
}

/// Where an interrupted operation goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// To the end that was planned.
    Forward,
    /// To what was before.
    Back,
    /// It ends where it is; what is left is planned anew.
    Nowhere,
}

/// Whether the rest waits for the lock of the cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Lock {
    /// Whoever has it may be at the same tables.
    Needed,
    /// It has to end whatever else is going on. Where the lock is free, nobody begins anything beside it.
    IfFree,
}

/// How an interrupted operation ends.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recovery {
    /// Where it goes.
    pub direction: Direction,
    /// What has to be done while Mnesia is stopped; where it runs, with the stop before and the start after it.
    pub offline: Vec<Action>,
    /// The steps that are left when Mnesia runs.
    pub online: Vec<Step>,
    /// What these are done under.
    pub lock: Lock,
}

/// The way that an interrupted operation takes, unless it has one of its own; `alone` is whether this node is to belong to no
/// cluster.
pub(crate) fn recovery(interrupted: &Interrupted, alone: bool) -> Recovery {
    let Interrupted { plan, undoing, committed, reached, running, .. } = interrupted;
    let (begun, lost) = begun(interrupted);
    if plan.undo.is_empty() {
        return Recovery { lock: Lock::Needed, ..forward(plan, begun, false, alone) };
    }
    let open = plan.steps.iter().any(|step| is_opening(&step.action) && step.number <= begun);
    let reached = *reached || lost || alone;
    if open || (*committed && reached && !*undoing) {
        forward(plan, begun, *running, alone)
    } else {
        Recovery {
            direction: Direction::Back,
            offline: back(plan, begun, *running),
            online: rows_back(plan, begun),
            lock: Lock::IfFree,
        }
    }
}

/// The last step that was begun, and whether the journal has lost records of it: its end is torn, or the directory is further.
/// Then each step that may have been begun counts, as all can be run and taken back again.
pub(crate) fn begun(interrupted: &Interrupted) -> (u32, bool) {
    let Interrupted { plan, begun, committed, torn, staged, kept, .. } = interrupted;
    let last = |shows: &dyn Fn(&Action) -> bool| {
        plan.steps.iter().filter(|step| shows(&step.action)).map(|step| step.number).max().unwrap_or(0)
    };
    let shown = last(&|action| {
        *staged && matches!(action, Action::OpenStaging | Action::BuildDatabase { .. })
            || *kept && matches!(action, Action::KeepDatabase)
            || *committed && matches!(action, Action::CommitSchema)
    });
    if !torn && shown <= *begun {
        return (*begun, false);
    }
    let possible = last(&|action| {
        *staged && matches!(action, Action::JoinSchema { .. })
            || *kept && matches!(action, Action::DeleteLogs)
    });
    (shown.max(possible).max(*begun), true)
}

/// From here on clients may write, or the former members count on this node no more.
fn is_opening(action: &Action) -> bool {
    matches!(action, Action::StartApplication { .. } | Action::ForgetHere { .. } | Action::Verify)
}

fn forward(plan: &Plan, begun: u32, running: bool, alone: bool) -> Recovery {
    let switched = plan.steps.iter().find(|step| matches!(step.action, Action::ReplaceFiles));
    let needed = |step: &&Step| {
        matches!(step.action, Action::ReplaceFiles) && begun <= step.number
            || matches!(step.action, Action::ForgetHere { .. })
    };
    let files = plan.steps.iter().filter(needed).map(|step| step.action.clone()).collect();
    let offline = around(plan, running, files, || {
        if alone { Action::ReopenMnesia } else { Action::StartMnesia { members: plan.members.clone() } }
    });
    let after = switched.map_or(0, |step| step.number);
    let online = plan.steps.iter().filter(|step| step.number > after && is_left(&step.action)).cloned();
    let online = online.map(|step| match step.on_failure {
        OnFailure::Undo => Step { on_failure: OnFailure::Keep, ..step },
        OnFailure::Keep | OnFailure::Resume => step,
    });
    let online = online.collect();
    Recovery { direction: Direction::Forward, offline, online, lock: Lock::IfFree }
}

/// Applications are on their way up by themselves; to start them waits for that. What was done before Mnesia started is done.
fn is_left(action: &Action) -> bool {
    !matches!(action, Action::StopApplication { .. } | Action::ForgetHere { .. })
}

/// The parts of the plan's way back that concern files and members; the rest is what the start of the VM does by itself.
fn back(plan: &Plan, begun: u32, running: bool) -> Vec<Action> {
    let needed = |undo: &&UndoStep| {
        undo.since <= begun
            && matches!(
                undo.action,
                Action::ForgetHere { .. }
                    | Action::RestoreDatabase
                    | Action::DropStaging
                    | Action::DropBackUp { .. }
            )
    };
    let files = plan.undo.iter().filter(needed).map(|undo| undo.action.clone()).collect();
    around(plan, running, files, || Action::ReopenMnesia)
}

/// Rows of tables in memory went with the VM; once they are archived, they are written back when Mnesia runs again.
fn rows_back(plan: &Plan, begun: u32) -> Vec<Step> {
    let archived = plan.steps.iter().find(|step| matches!(step.action, Action::ArchiveRows { .. }));
    let Some(archived) = archived.filter(|step| step.number <= begun) else { return Vec::new() };
    plan.undo
        .iter()
        .filter(|undo| matches!(undo.action, Action::RestoreRows { .. }))
        .map(|undo| Step { action: undo.action.clone(), on_failure: OnFailure::Keep, ..archived.clone() })
        .collect()
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
