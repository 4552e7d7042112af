//! How interrupted operations end.

use super::recovery;
use crate::model::name::AtomName;
use crate::model::request::{Operation, Options, Repair};
use crate::plan::Plan;
use crate::plan::draft::numbered;
use crate::plan::estimate::Estimate;
use crate::plan::fingerprint::Fingerprint;
use crate::plan::recover::{Direction, Interrupted, Lock, Recovery};
use crate::plan::step::{Action, OnFailure, Step, UndoStep};

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
    plan.steps = numbered(actions);
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
    plan.steps = numbered(actions);
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
    let repair = Repair { policy: "copies: all".into(), minute: 0, lately: Vec::new(), refused: Vec::new() };
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
