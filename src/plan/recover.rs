//! What becomes of an operation that was interrupted: the VM was killed, or the machine lost its power.
//!
//! The journal says how far it came, the directory whether the switch was made. Until clients were let in, both ways are
//! open: back while the node is the old one, or when the members cannot be reached; forward otherwise. Afterwards there is
//! only the way forward, as the way back would lose what clients have written since. A journal whose end is torn may have lost
//! the record that they were let in.
//!
//! What is done in place, while everything runs, has nothing half done here that could not wait: it goes on under the lock of
//! the cluster only. A repair does not go on at all. Its policy is that of another day, and each of its changes is good in itself.

use serde::{Deserialize, Serialize};

use super::Plan;
use super::step::{Action, OnFailure, Step, UndoStep};
use crate::model::name::AtomName;
use crate::model::request::Operation;

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

/// The way that an interrupted operation takes.
#[must_use]
pub fn recovery(interrupted: &Interrupted) -> Recovery {
    let Interrupted { plan, undoing, committed, reached, running, .. } = interrupted;
    let (begun, lost) = begun(interrupted);
    let begun = &begun;
    if matches!(plan.operation, Operation::Repair(_)) {
        return Recovery {
            direction: Direction::Nowhere,
            offline: Vec::new(),
            online: Vec::new(),
            lock: Lock::IfFree,
        };
    }
    if plan.undo.is_empty() {
        return Recovery { lock: Lock::Needed, ..forward(plan, *begun, false) };
    }
    if matches!(plan.operation, Operation::Forget(_)) {
        return of_forgetting(plan, *begun, *undoing);
    }
    let open = plan.steps.iter().any(|step| is_opening(&step.action) && step.number <= *begun);
    let reached = *reached || lost || plan.operation.ends_alone();
    if open || (*committed && reached && !*undoing) {
        forward(plan, *begun, *running)
    } else {
        Recovery {
            direction: Direction::Back,
            offline: back(plan, *begun, *running),
            online: rows_back(plan, *begun),
            lock: Lock::IfFree,
        }
    }
}

/// The last step that was begun, and whether the journal has lost records of it: its end is torn, or the directory is further.
/// Then each step that may have been begun counts, as all can be run and taken back again.
fn begun(interrupted: &Interrupted) -> (u32, bool) {
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

/// Once a node may be out, the rest has to know it. The members refuse its connections as they did; the VM that does so here
/// is new.
fn of_forgetting(plan: &Plan, begun: u32, undoing: bool) -> Recovery {
    let is_out = |step: &Step| matches!(step.action, Action::ForgetNode { .. }) && step.number <= begun;
    if undoing || !plan.steps.iter().any(is_out) {
        let undo = plan.undo.iter().filter(|undo| undo.since <= begun);
        let offline = undo.map(|undo| undo.action.clone()).collect();
        return Recovery { direction: Direction::Back, offline, online: Vec::new(), lock: Lock::IfFree };
    }
    let bar = plan.steps.iter().find_map(|step| {
        let Action::Bar { nodes, .. } = &step.action else { return None };
        Some(Action::Bar { nodes: nodes.clone(), members: vec![plan.node.clone()] })
    });
    let online = plan.steps.iter().cloned().map(|step| match step.on_failure {
        OnFailure::Undo => Step { on_failure: OnFailure::Resume, ..step },
        OnFailure::Keep | OnFailure::Resume => step,
    });
    Recovery {
        direction: Direction::Forward,
        offline: bar.into_iter().collect(),
        online: online.collect(),
        lock: Lock::IfFree,
    }
}

/// From here on clients may write, or the former members count on this node no more.
fn is_opening(action: &Action) -> bool {
    matches!(action, Action::StartApplication { .. } | Action::ForgetHere { .. } | Action::Verify)
}

fn forward(plan: &Plan, begun: u32, running: bool) -> Recovery {
    let switched = plan.steps.iter().find(|step| matches!(step.action, Action::ReplaceFiles));
    let needed = |step: &&Step| {
        matches!(step.action, Action::ReplaceFiles) && begun <= step.number
            || matches!(step.action, Action::ForgetHere { .. })
    };
    let files = plan.steps.iter().filter(needed).map(|step| step.action.clone()).collect();
    let offline = around(plan, running, files, || {
        if plan.operation.ends_alone() {
            Action::ReopenMnesia
        } else {
            Action::StartMnesia { members: plan.members.clone() }
        }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::request::{Options, Repair};
    use crate::plan::estimate::Estimate;
    use crate::plan::fingerprint::Fingerprint;

    const ACTIONS: [&str; 7] = [
        "stop_application",
        "open_staging",
        "commit_schema",
        "replace_files",
        "wait_for_tables",
        "start_application",
        "verify",
    ];

    fn interrupted(begun: &str) -> Interrupted {
        let ejabberd = AtomName::from("ejabberd");
        let actions = [
            Action::StopApplication { application: ejabberd.clone() },
            Action::OpenStaging,
            Action::CommitSchema,
            Action::ReplaceFiles,
            Action::WaitForTables { tables: Vec::new() },
            Action::StartApplication { application: ejabberd },
            Action::Verify,
        ];
        let steps = actions
            .into_iter()
            .zip(1..)
            .map(|(action, number)| Step {
                number,
                action,
                on_failure: OnFailure::Undo,
                milliseconds: 0,
                stall: 0,
            })
            .collect();
        let undo = [
            (2, Action::ForgetHere { members: Vec::new() }),
            (3, Action::RestoreDatabase),
            (2, Action::DropStaging),
        ]
        .map(|(since, action)| UndoStep { since, action })
        .to_vec();
        let plan = Plan {
            id: "1".into(),
            operation: Operation::Join("b@x".into()),
            options: Options::default(),
            node: "a@x".into(),
            members: Vec::new(),
            fingerprint: Fingerprint {
                membership: String::new(),
                software: String::new(),
                tables: String::new(),
            },
            steps,
            undo,
            warnings: Vec::new(),
            kept: None,
            rows: Vec::new(),
            lost: Vec::new(),
            estimate: Estimate::default(),
        };
        let begun = ACTIONS.iter().zip(1..).find(|(name, _)| **name == begun).map_or(0, |(_, number)| number);
        let committed = begun >= 3;
        Interrupted {
            plan,
            begun,
            undoing: false,
            committed,
            reached: true,
            running: false,
            torn: false,
            staged: false,
            kept: false,
        }
    }

    fn names(recovery: &Recovery) -> (Direction, Vec<&'static str>, Vec<&'static str>) {
        let online = recovery.online.iter().map(|step| step.action.name()).collect();
        (recovery.direction, recovery.offline.iter().map(Action::name).collect(), online)
    }

    #[test]
    fn before_the_switch_it_goes_back_as_far_as_it_came() {
        let found = recovery(&interrupted("stop_application"));
        assert_eq!(names(&found), (Direction::Back, vec![], vec![]));
        let found = recovery(&interrupted("open_staging"));
        assert_eq!(names(&found), (Direction::Back, vec!["forget_here", "drop_staging"], vec![]));
    }

    #[test]
    fn after_the_switch_it_goes_on_and_waits_for_ejabberd_before_it_verifies() {
        let found = recovery(&interrupted("commit_schema"));
        let online = vec!["wait_for_tables", "start_application", "verify"];
        assert_eq!(names(&found), (Direction::Forward, vec!["replace_files"], online));
        assert!(found.online.iter().all(|step| step.on_failure == OnFailure::Keep));
    }

    #[test]
    fn without_the_others_or_on_its_way_back_it_goes_back() {
        let alone = Interrupted { reached: false, ..interrupted("replace_files") };
        let undoing = Interrupted { undoing: true, ..interrupted("replace_files") };
        for found in [alone, undoing].map(|each| recovery(&each)) {
            assert_eq!(names(&found).1, ["forget_here", "restore_database", "drop_staging"]);
        }
    }

    #[test]
    fn a_torn_end_may_hide_that_clients_were_let_in() {
        let torn = Interrupted { reached: false, torn: true, ..interrupted("replace_files") };
        assert_eq!(recovery(&torn).direction, Direction::Forward);
        let uncommitted = Interrupted { torn: true, ..interrupted("open_staging") };
        assert_eq!(recovery(&uncommitted).direction, Direction::Back);
        let undoing = Interrupted { undoing: true, torn: true, ..interrupted("replace_files") };
        assert_eq!(recovery(&undoing).direction, Direction::Back);
    }

    #[test]
    fn a_directory_that_is_further_than_the_journal_is_believed() {
        let committed = Interrupted { begun: 0, reached: false, ..interrupted("replace_files") };
        assert_eq!(names(&recovery(&committed)).1, ["replace_files"]);
        let staged = Interrupted { begun: 0, staged: true, ..interrupted("stop_application") };
        assert_eq!(names(&recovery(&staged)).1, ["forget_here", "drop_staging"]);
    }

    #[test]
    fn rows_in_memory_come_back_once_they_were_archived() {
        let mut archiving = interrupted("open_staging");
        archiving.plan.steps[0].action = Action::ArchiveRows { tables: Vec::new(), rows: 0, bytes: 0 };
        let restore = Action::RestoreRows { tables: vec!["online".into()] };
        archiving.plan.undo.push(UndoStep { since: 2, action: restore });
        for begun in [1, 2] {
            let found = recovery(&Interrupted { begun, ..archiving.clone() });
            assert_eq!(names(&found).2, ["restore_rows"], "{begun}");
        }
        assert!(recovery(&Interrupted { begun: 0, ..archiving }).online.is_empty());
    }

    #[test]
    fn once_clients_were_let_in_there_is_only_the_way_forward() {
        let alone = Interrupted { reached: false, ..interrupted("start_application") };
        assert_eq!(recovery(&alone).direction, Direction::Forward);
    }

    /// A plan to forget a node, of which so many steps have begun.
    fn forgetting(begun: u32) -> Interrupted {
        let (nodes, members) = (vec!["c@x".into()], vec!["a@x".into(), "b@x".into()]);
        let actions = [
            (Action::Bar { nodes: nodes.clone(), members: members.clone() }, OnFailure::Undo),
            (Action::ForgetNode { node: "c@x".into() }, OnFailure::Undo),
            (Action::RenewFence { members: members.clone(), old: None }, OnFailure::Resume),
            (Action::Verify, OnFailure::Keep),
        ];
        let mut interrupted = interrupted("");
        let plan = &mut interrupted.plan;
        plan.operation = Operation::Forget("c@x".into());
        plan.steps = super::super::numbered(actions);
        plan.undo = vec![UndoStep { since: 1, action: Action::Unbar { nodes, members } }];
        Interrupted { begun, reached: false, ..interrupted }
    }

    #[test]
    fn forgetting_goes_back_until_a_node_may_be_out_and_only_forward_then() {
        assert_eq!(names(&recovery(&forgetting(0))), (Direction::Back, vec![], vec![]));
        assert_eq!(names(&recovery(&forgetting(1))), (Direction::Back, vec!["unbar"], vec![]));
        let undoing = Interrupted { undoing: true, ..forgetting(2) };
        assert_eq!(names(&recovery(&undoing)), (Direction::Back, vec!["unbar"], vec![]));
        for begun in [2, 3, 4] {
            let found = recovery(&forgetting(begun));
            let online = vec!["bar", "forget_node", "renew_fence", "verify"];
            assert_eq!(names(&found), (Direction::Forward, vec!["bar"], online));
            assert!(
                matches!(found.offline.as_slice(), [Action::Bar { members, .. }] if *members == ["a@x".into()]),
                "whoever does not answer keeps nobody from starting: {found:?}"
            );
            let kinds: Vec<_> = found.online.iter().map(|step| step.on_failure).collect();
            assert_eq!(kinds[..3], [OnFailure::Resume; 3], "until it is whole, it goes on");
        }
    }

    /// A plan that is carried out in place, of which the first step has begun.
    fn in_place(operation: Operation) -> Interrupted {
        let mut interrupted = interrupted("");
        let actions = [Action::EnsureFence, Action::Verify].map(|action| (action, OnFailure::Keep));
        let plan = &mut interrupted.plan;
        plan.operation = operation;
        plan.steps = super::super::numbered(actions);
        plan.undo = Vec::new();
        Interrupted { begun: 1, ..interrupted }
    }

    #[test]
    fn what_is_done_in_place_goes_on_under_the_lock_of_the_cluster_and_everything_else_in_any_case() {
        let found = recovery(&in_place(Operation::SyncNode("b@x".into())));
        assert_eq!(names(&found), (Direction::Forward, vec![], vec!["ensure_fence", "verify"]));
        assert_eq!(found.lock, Lock::Needed);
        for begun in ["open_staging", "start_application"] {
            assert_eq!(recovery(&interrupted(begun)).lock, Lock::IfFree, "{begun}");
        }
        for begun in [1, 2] {
            assert_eq!(recovery(&forgetting(begun)).lock, Lock::IfFree, "{begun}");
        }
    }

    #[test]
    fn a_repair_ends_where_it_is() {
        let repair =
            Repair { policy: "copies: all".into(), minute: 0, lately: Vec::new(), refused: Vec::new() };
        for torn in [false, true] {
            let found = recovery(&Interrupted { torn, ..in_place(Operation::Repair(repair.clone())) });
            assert_eq!(names(&found), (Direction::Nowhere, vec![], vec![]));
        }
    }

    #[test]
    fn a_mnesia_that_runs_already_is_stopped_around_it() {
        let running = Interrupted { running: true, ..interrupted("open_staging") };
        let expected = [
            "stop_application",
            "stop_mnesia",
            "forget_here",
            "drop_staging",
            "reopen_mnesia",
            "clear_caches",
            "start_application",
        ];
        assert_eq!(names(&recovery(&running)).1, expected);
    }
}
