//! Mending the drift of one table, and what the background scrub compares.

#![expect(clippy::unwrap_used, reason = "helpers of tests")]

mod support;

use easy_cluster::explain;
use easy_cluster::explain::status::Drifted;
use easy_cluster::model::policy::Policy;
use easy_cluster::model::request::{CopyDrift, Drift, Operation, TableRepair};
use easy_cluster::model::snapshot::Running;
use easy_cluster::model::table::{AccessMode, Storage};
use easy_cluster::operation;
use easy_cluster::operation::ask::{self, Answers, Need, Next, Wish};
use easy_cluster::operation::past::{Kept, Outcome, Past};
use easy_cluster::operation::rollback::takes_back;
use easy_cluster::plan::Plan;
use easy_cluster::plan::diff::{Comparison, Turn, scrub};
use easy_cluster::plan::recover::{Direction, Interrupted};
use easy_cluster::plan::step::{Action, OnFailure};
use easy_cluster::validate::problem::Problem;
use support::{HERE, Lab, THERE, THIRD};

const ALL: [&str; 3] = [HERE, THERE, THIRD];

/// Three members; a table with two copies, and some that cannot be repaired.
fn lab() -> Lab {
    let mut lab = Lab::joined(&[THERE, THIRD]);
    lab.table("users", Storage::DiscCopies, &ALL, &[HERE, THERE], 1000);
    lab.table("lonely", Storage::DiscCopies, &ALL, &[THERE], 10);
    lab.table("session", Storage::RamCopies, &ALL, &ALL, 10);
    lab.table("own", Storage::DiscCopies, &ALL, &ALL, 10).local_content = true;
    for node in ALL {
        lab.facts(node).versions.insert("easy_cluster".into(), "0.1.0".into());
    }
    lab
}

fn drift() -> Drift {
    let copy = CopyDrift { node: HERE.into(), missing: 1, foreign: 2, different: 3 };
    Drift { keys: 6, copies: vec![copy], more: false, left_out: 0, digest: "d".into() }
}

fn wish(drift: Drift) -> Operation {
    Operation::RepairTable(TableRepair { table: "users".into(), winner: THERE.into(), drift })
}

fn codes(problems: &[Problem]) -> Vec<&'static str> {
    problems.iter().map(Problem::code).collect()
}

fn refused(lab: &Lab, table: &str, winner: &str) -> Vec<&'static str> {
    codes(&asked(lab, table, winner).err().unwrap_or_default())
}

fn asked(lab: &Lab, table: &str, winner: &str) -> Result<Next, Vec<Problem>> {
    lab.ask(Wish::RepairTable { table: table.into(), winner: winner.into() }, lab.answers())
}

fn comparison(lab: &Lab) -> Option<Comparison> {
    let needed = match asked(lab, "users", THERE) {
        Ok(Next::Need(mut needs)) => needs.pop(),
        Ok(_) | Err(_) => None,
    };
    let Some(Need::Drift { comparison, .. }) = needed else { return None };
    Some(comparison)
}

fn planned(lab: &Lab) -> Plan {
    operation::make(&lab.inputs(wish(drift()))).unwrap()
}

#[test]
fn the_copies_of_one_table_are_compared_whatever_its_name_is() {
    let lab = lab();
    let found = comparison(&lab).unwrap();
    assert_eq!((found.table.as_str(), found.nodes), ("users", vec![THERE.into(), HERE.into()]));
    assert_eq!(refused(&lab, "no such table", THERE), ["unknown_table"]);
}

#[test]
fn what_need_not_be_the_same_or_has_no_second_copy_is_refused() {
    let mut lab = lab();
    lab.table("read", Storage::DiscCopies, &ALL, &ALL, 10).access_mode = AccessMode::ReadOnly;
    assert_eq!(refused(&lab, "read", THERE), ["read_only_tables"]);
    assert_eq!(refused(&lab, "own", THERE), ["not_repairable"]);
    assert_eq!(refused(&lab, "session", THERE), ["not_repairable"]);
    assert_eq!(refused(&lab, "lonely", THERE), ["no_other_copy"]);
}

#[test]
fn the_winner_has_to_be_a_member_with_a_copy() {
    let lab = lab();
    assert_eq!(refused(&lab, "users", THIRD), ["winner_without_copy"]);
    assert_eq!(refused(&lab, "users", "x@nowhere.else"), ["not_a_member"]);
}

#[test]
fn every_holder_has_to_be_there_with_its_copy_loaded() {
    let mut down = lab();
    down.kill(THERE);
    assert_eq!(refused(&down, "users", HERE), ["member_down"]);
    assert_eq!(refused(&down, "users", THERE), ["member_down"]);
    let mut without_copy = lab();
    without_copy.kill(THIRD);
    assert_eq!(refused(&without_copy, "users", HERE), [""; 0]);
    let mut stopped = lab();
    stopped.facts(THERE).mnesia = Running::No;
    assert_eq!(refused(&stopped, "users", HERE), ["member_down"]);
    let mut waiting = Lab::joined(&[THERE]);
    let here = waiting.set(&[HERE]);
    waiting.table("users", Storage::DiscCopies, &ALL, &[HERE, THERE], 1).active = here;
    assert_eq!(refused(&waiting, "users", HERE), ["copy_not_loaded"]);
}

#[test]
fn what_was_found_decides_whether_there_is_anything_to_mend() {
    let lab = lab();
    let of = |drift: Drift| codes(&operation::make(&lab.inputs(wish(drift))).err().unwrap_or_default());
    assert_eq!(of(drift()), [""; 0]);
    assert_eq!(of(Drift { keys: 0, ..drift() }), ["nothing_differs"]);
    assert_eq!(of(Drift { more: true, ..drift() }), ["too_many_differ"]);
    assert_eq!(of(Drift { left_out: 1, ..drift() }), ["rows_not_comparable"]);
}

#[test]
fn rows_are_archived_before_they_are_written_and_compared_after() {
    let plan = planned(&lab());
    let names: Vec<_> = plan.steps.iter().map(|step| step.action.name()).collect();
    assert_eq!(names, ["archive_drift", "mend_rows", "compare_copies"]);
    assert!(plan.steps.iter().all(|step| step.on_failure == OnFailure::Keep) && plan.undo.is_empty());
    assert_eq!(plan.members, [THERE.into(), THIRD.into()]);
    let text = explain::plan::plan(&plan);
    assert!(
        text.starts_with(&format!("repair_table: all copies of users get what {THERE} has of 6 keys\n")),
        "{text}"
    );
    assert!(
        text.contains(&format!("differs     {HERE}: 3 keys different, 1 missing there, 2 only there\n")),
        "{text}"
    );
}

#[test]
fn a_table_that_grew_meanwhile_is_the_same_and_other_differences_are_not() {
    let mut lab = lab();
    let plan = planned(&lab);
    let Action::CompareCopies { copies } = &plan.steps[2].action else { panic!("{:?}", plan.steps) };
    lab.grow("users", 1_000_000);
    let later = comparison(&lab).unwrap();
    assert_ne!(*copies, later);
    let again = |drift| ask::again(&plan, &Answers { drift, ..lab.answers() });
    let need = Need::Drift { comparison: later, winner: THERE.into() };
    assert_eq!(again(None), Ok(Next::Need(vec![need])));
    assert_eq!(again(Some(drift())), Ok(Next::Fits));
    let other = Drift { digest: "e".into(), ..drift() };
    assert_eq!(codes(&again(Some(other)).unwrap_err()), ["plan_changed"]);
}

/// Nothing of it has to wait for Mnesia to stop, and each step can be run again.
#[test]
fn after_a_kill_all_steps_are_run_again() {
    let plan = planned(&lab());
    for begun in 0..4 {
        let interrupted = Interrupted {
            plan: plan.clone(),
            begun,
            undoing: false,
            committed: false,
            reached: true,
            running: false,
            torn: false,
            staged: false,
            kept: false,
        };
        let found = operation::recovery(&interrupted);
        assert_eq!((found.direction, found.offline.len(), found.online.len()), (Direction::Forward, 0, 3));
    }
}

#[test]
fn what_was_mended_is_not_taken_back() {
    let past = Past {
        id: "1".into(),
        outcome: Outcome::Done,
        plan: Some(planned(&lab())),
        begun: vec![1, 2, 3],
        kept: Kept::Missing,
        archive_dropped: false,
    };
    assert_eq!(codes(&takes_back(&[past]).unwrap_err()), ["nothing_to_roll_back"]);
}

#[test]
fn the_first_of_those_that_have_easy_cluster_scrubs() {
    let mut lab = lab();
    // foo.bar comes before hello.world.
    assert_eq!(scrub(&lab.snapshot(), &Policy::default()).unwrap(), Turn::Of(THERE.into()));
    lab.facts(THERE).versions.remove("easy_cluster");
    let Turn::Compare(compared) = scrub(&lab.snapshot(), &Policy::default()).unwrap() else {
        panic!("it is its turn")
    };
    assert!(
        compared.is_empty(),
        "of the only table with two copies one holder cannot be asked: {compared:?}"
    );
    lab.table("rooms", Storage::DiscCopies, &ALL, &ALL, 1000);
    let Turn::Compare(compared) = scrub(&lab.snapshot(), &Policy::default()).unwrap() else {
        panic!("it is its turn")
    };
    let names: Vec<_> =
        compared.iter().map(|each| (each.table.as_str(), each.nodes.len(), each.piece)).collect();
    assert_eq!(names, [("rooms", 2, 100)]);
}

#[test]
fn nothing_is_scrubbed_while_something_is_wrong_or_under_way() {
    let waits = |lab: &Lab| matches!(scrub(&lab.snapshot(), &Policy::default()).unwrap(), Turn::Wait(_));
    let mut down = lab();
    down.kill(THIRD);
    let mut busy = lab();
    busy.facts(HERE).unfinished = Some("1".into());
    let mut loading = lab();
    loading.facts(THERE).versions.clear();
    let here = loading.set(&[HERE]);
    loading.table("rooms", Storage::DiscCopies, &ALL, &ALL, 1).active = here;
    assert!([down, busy, loading].iter().all(waits));
}

#[test]
fn the_status_tells_what_the_scrub_has_seen() {
    let seen = Drifted {
        table: "users".into(),
        keys: 2,
        nodes: vec![HERE.into(), THERE.into()],
        seen: "2026-01-01 00:00:00".into(),
    };
    let status = explain::status::status(&lab().snapshot(), &[seen]).unwrap();
    assert_eq!(codes(&status.problems), ["copies_differ"]);
    assert!(status.text.contains("at least 2 keys of users differ"), "{}", status.text);
    let partners = status.text.lines().filter_map(|line| line.split_once("replicates with "));
    assert!(
        partners.clone().count() > 1
            && partners.clone().all(|(of, with)| !with.contains(of.trim().split(' ').next().unwrap()))
    );
}

#[test]
fn a_node_that_is_alone_replicates_with_nobody_and_need_not() {
    let status = explain::status::status(&Lab::new(&[]).snapshot(), &[]).unwrap();
    assert!(status.text.contains("alone") && !status.text.contains("replicates"), "{}", status.text);
}
