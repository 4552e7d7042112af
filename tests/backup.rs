//! What a backup takes and what forbids it, on made-up clusters.

#![expect(clippy::unwrap_used, reason = "helpers of tests")]

mod support;

use easy_cluster::explain::{self, backup::words};
use easy_cluster::model::request::{BackedUp, Backup, Changes, Operation, Options};
use easy_cluster::model::table::Storage::{DiscCopies, DiscOnlyCopies, RamCopies};
use easy_cluster::model::table::TableType;
use easy_cluster::operation::ask::{Answers, Need, Next, Wish};
use easy_cluster::operation::{self, recovery, rename};
use easy_cluster::plan::Plan;
use easy_cluster::plan::backup::{Folder, LeftOut, Reason, make};
use easy_cluster::plan::recover::{Interrupted, Recovery};
use easy_cluster::plan::step::Action;
use easy_cluster::validate::problem::Problem;
use support::{HERE, Lab, THERE, THIRD};

fn folder() -> Folder {
    Folder { path: "/backups/today".into(), found: None, free: Some(1 << 30) }
}

fn codes(lab: Lab, folder: &Folder) -> Vec<&'static str> {
    make(&lab.snapshot(), folder).unwrap_err().iter().map(Problem::code).collect()
}

#[test]
fn it_takes_all_that_is_somebodys_data_wherever_it_lies() {
    let mut lab = Lab::joined(&[THERE]);
    let both = [HERE, THERE];
    lab.table("passwd", DiscCopies, &both, &both, 3);
    lab.table("only_there", DiscOnlyCopies, &both, &[THERE], 4);
    lab.table("in_memory", RamCopies, &both, &[THERE], 5);
    lab.table("vcard_search", DiscCopies, &both, &both, 1);
    lab.table("session", RamCopies, &both, &both, 9);
    lab.table("mqtt_session", DiscCopies, &both, &both, 6);
    lab.table("ejabberd_commands", RamCopies, &both, &both, 9).local_content = true;
    lab.table("caps_features", DiscCopies, &both, &both, 2).local_content = true;
    lab.table("theirs", DiscCopies, &both, &[THERE], 9).local_content = true;

    let backup = make(&lab.snapshot(), &folder()).unwrap();

    let taken: Vec<_> = backup.tables.iter().map(|name| name.as_str()).collect();
    assert_eq!(taken, ["caps_features", "in_memory", "mqtt_session", "only_there", "passwd", "vcard_search"]);
    assert_eq!(backup.rows, 21);
    let left = |name: &str, reason| LeftOut { name: name.into(), reason };
    assert_eq!(
        backup.left_out,
        [
            left("ejabberd_commands", Reason::OfEachStart),
            left("session", Reason::OfProcesses),
            left("theirs", Reason::OfOtherNodes)
        ]
    );
    let text = words(&backup, "/backups/today");
    assert!(text.starts_with("backup: 6 tables (21 rows, about "), "{text}");
    assert!(text.contains("  left out    session (rows of processes)\n"), "{text}");
}

#[test]
fn a_member_that_is_down_is_told_and_does_no_harm_where_others_have_its_tables() {
    let mut lab = Lab::joined(&[THERE, THIRD]);
    let all = [HERE, THERE, THIRD];
    lab.table("passwd", DiscCopies, &all, &all, 3);
    lab.silence(THIRD);
    let backup = make(&lab.snapshot(), &folder()).unwrap();
    assert_eq!(backup.warnings.iter().map(Problem::code).collect::<Vec<_>>(), ["member_down"]);
}

#[test]
fn a_table_that_nobody_has_loaded_forbids_it() {
    let mut lab = Lab::joined(&[THERE]);
    let none = lab.set(&[]);
    lab.table("gone", DiscCopies, &[HERE, THERE], &[THERE], 3).active = none;
    assert_eq!(codes(lab, &folder()), ["table_not_loaded"]);
}

#[test]
fn a_split_cluster_has_no_one_state_to_back_up() {
    let mut lab = Lab::joined(&[THERE]);
    let (here, there) = (lab.set(&[HERE]), lab.set(&[THERE]));
    lab.facts(HERE).running_db_nodes = here;
    lab.facts(THERE).running_db_nodes = there;
    assert_eq!(codes(lab, &folder()), ["partitioned", "partitioned"]);
}

#[test]
fn a_folder_with_something_in_it_and_a_full_disk_forbid_it_together() {
    let mut lab = Lab::joined(&[THERE]);
    lab.table("passwd", DiscCopies, &[HERE, THERE], &[HERE], 1_000);
    let folder = Folder { found: Some("passwd.rows".into()), free: Some(10), ..folder() };
    assert_eq!(codes(lab, &folder), ["backup_folder_not_empty", "no_room_for_backup"]);
}

#[test]
fn a_node_whose_mnesia_is_stopped_has_nothing_to_back_up() {
    let mut lab = Lab::new(&[]);
    lab.facts(HERE).mnesia = easy_cluster::model::snapshot::Running::No;
    assert_eq!(codes(lab, &folder()), ["mnesia_not_running"]);
}

#[test]
fn a_cluster_without_tables_has_nothing_to_back_up_whatever_the_disk() {
    let mut lab = Lab::joined(&[THERE]);
    lab.table("session", RamCopies, &[HERE, THERE], &[HERE], 9);
    let problems = make(&lab.snapshot(), &folder()).unwrap_err();
    assert_eq!(problems, [Problem::NothingToBackUp { here: HERE.into(), left_out: 1 }]);
    assert!(!explain::errors::problems(&problems).contains("disk"));
}

fn table(name: &str, rows: u64) -> BackedUp {
    BackedUp {
        name: name.into(),
        table_type: TableType::Set,
        storage: DiscCopies,
        attributes: vec!["key".into(), "value".into()],
        record_name: name.into(),
        index: "[]".into(),
        rows,
        bytes: rows * 100,
        changes: None,
    }
}

fn backup_of(tables: Vec<BackedUp>) -> Backup {
    Backup {
        path: "/backups/today".into(),
        node: THIRD.into(),
        at: "2026-01-01T00:00:00Z".into(),
        tables,
        left_out: vec!["session".into()],
    }
}

fn restoring(lab: &Lab, tables: Vec<BackedUp>) -> Result<Plan, Vec<&'static str>> {
    operation::make(&lab.inputs(Operation::Restore(backup_of(tables))))
        .map_err(|problems| problems.iter().map(Problem::code).collect())
}

#[test]
fn a_restore_tells_what_vanishes_what_is_defined_otherwise_and_how_rows_change() {
    let mut lab = Lab::new(&[]);
    lab.table("gone", DiscCopies, &[HERE], &[HERE], 4);
    lab.table("session", RamCopies, &[HERE], &[HERE], 4);
    lab.table("roster", DiscCopies, &[HERE], &[HERE], 4).attributes = vec!["other".into(), "value".into()];
    let passwd = lab.table("passwd", DiscCopies, &[HERE], &[HERE], 3);
    passwd.attributes = vec!["key".into(), "value".into()];
    passwd.record_name = "passwd".into();
    passwd.index = "[]".into();
    let changes = Changes { here: 3, only_here: 1, only_in_backup: 2, different: 0 };
    let changed = BackedUp { changes: Some(changes), ..table("passwd", 4) };
    let operation = Operation::Restore(backup_of(vec![changed.clone(), table("roster", 1)]));

    let Operation::Restore(backup) = operation else { panic!("{operation:?}") };
    let manifest = Answers { backup: Some(backup.clone()), ..lab.answers() };
    let need = Need::BackupRows { backup, tables: vec!["passwd".into()] };
    assert_eq!(lab.ask(Wish::Restore("/var/backups/b".into()), manifest), Ok(Next::Need(vec![need])));
    let plan = restoring(&lab, vec![changed, table("roster", 1), table("new", 5)]).unwrap();

    let warned: Vec<_> = plan.warnings.iter().map(ToString::to_string).collect();
    assert!(
        warned.iter().any(|text| text.starts_with("table gone (4 rows) is not in the backup")),
        "{warned:?}"
    );
    assert!(
        warned.iter().any(|text| text.starts_with("table roster has attributes other, value here")),
        "{warned:?}"
    );
    assert!(!warned.iter().any(|text| text.contains("session") || text.contains("passwd")), "{warned:?}");
    let text = explain::plan::plan(&plan);
    let line = "passwd: 4 rows instead of 3; 1 only here, 2 only in the backup, 0 different";
    assert!(text.contains(line) && text.contains("comes back  new with 5 rows"), "{text}");
    assert!(plan.kept.is_some());
}

#[test]
fn rows_that_come_back_into_memory_are_not_loaded_at_each_start() {
    let in_memory = BackedUp { storage: RamCopies, ..table("online", 2) };
    let plan = restoring(&Lab::new(&[]), vec![table("passwd", 1), in_memory]).unwrap();
    let names: Vec<_> = plan.steps.iter().map(|step| step.action.name()).collect();
    let at = names.iter().position(|name| *name == "keep_in_memory").unwrap();
    assert_eq!(plan.steps[at].action, Action::KeepInMemory { tables: vec!["online".into()] });
    assert_eq!(names[at + 1..], ["verify"], "when everything serves");
    let plan = restoring(&Lab::new(&[]), vec![table("passwd", 1)]).unwrap();
    assert!(plan.steps.iter().all(|step| step.action.name() != "keep_in_memory"));
}

#[test]
fn a_member_and_a_full_disk_forbid_a_restore() {
    assert_eq!(restoring(&Lab::joined(&[THERE]), vec![table("passwd", 1)]).unwrap_err(), ["still_a_member"]);
    let mut lab = Lab::new(&[]);
    lab.facts(HERE).disk_free = Some(99);
    assert_eq!(restoring(&lab, vec![table("passwd", 1)]).unwrap_err(), ["not_enough_disk"]);
    lab.facts(HERE).disk_free = Some(100);
    assert!(restoring(&lab, vec![table("passwd", 1)]).is_ok());
}

fn wish() -> rename::Wish {
    rename::Wish {
        from: HERE.into(),
        to: "ejabberd@new.host".into(),
        directory: "/var/lib/ejabberd".into(),
        options: Options::default(),
        at: "now".into(),
        members: vec![HERE.into()],
        tables: 3,
        bytes: 100,
        free: Some(100),
        owner: 7,
        runs_as: 7,
        user: None,
        fallback: false,
        unfinished: None,
        obstacles: Vec::new(),
    }
}

#[test]
fn a_rename_is_undone_before_its_commit_and_ended_after_it() {
    let plan = rename::make(&wish()).unwrap();
    let interrupted = |begun, committed| Interrupted {
        plan: plan.clone(),
        begun,
        undoing: false,
        committed,
        torn: false,
        staged: false,
        kept: false,
        reached: true,
        running: false,
    };
    let names = |recovery: Recovery| -> Vec<&str> { recovery.offline.iter().map(Action::name).collect() };
    assert_eq!(names(recovery(&interrupted(1, false))), ["drop_staging"]);
    assert_eq!(names(recovery(&interrupted(4, false))), ["restore_database", "drop_staging"]);
    assert_eq!(names(recovery(&interrupted(4, true))), ["replace_files"]);
    assert!(recovery(&interrupted(5, true)).online.is_empty());
}

#[test]
fn what_forbids_a_rename_has_a_code_each() {
    let cases = [
        (rename::Wish { to: "new.host".into(), ..wish() }, "bad_node_name"),
        (rename::Wish { to: HERE.into(), ..wish() }, "bad_node_name"),
        (rename::Wish { members: vec![THERE.into()], ..wish() }, "database_of_other"),
        (rename::Wish { members: vec![THERE.into(), HERE.into()], ..wish() }, "cannot_rename_member"),
        (rename::Wish { runs_as: 0, ..wish() }, "wrong_user"),
        (rename::Wish { user: Some(42), ..wish() }, "directory_in_use"),
        (rename::Wish { fallback: true, ..wish() }, "fallback_installed"),
        (rename::Wish { unfinished: Some("x".into()), ..wish() }, "unfinished_operation"),
        (rename::Wish { free: Some(99), ..wish() }, "not_enough_disk"),
    ];
    for (wish, code) in cases {
        let codes: Vec<_> = rename::make(&wish).unwrap_err().iter().map(Problem::code).collect();
        assert_eq!(codes, [code]);
    }
}
