//! Which facts each operation asks for, and in which order.

#![expect(clippy::unwrap_used, reason = "helpers of tests")]

mod support;

use easy_cluster::model::request::{Awaited, AwaitedNode, ForceBoot, LocalRows, Operation, Repair};
use easy_cluster::model::store::Reason;
use easy_cluster::model::table::Storage;
use easy_cluster::operation;
use easy_cluster::operation::ask::{self, Answers, Ask, Look, Need, Next, Wish};
use easy_cluster::validate::problem::Problem;
use support::{HERE, Lab, THERE, THIRD, only_here};

fn members(contacts: &[&str], nodes: &[&str], look: Look) -> Need {
    let named = |names: &[&str]| names.iter().map(|name| (*name).into()).collect();
    Need::Members { contacts: named(contacts), nodes: named(nodes), look }
}

fn first(lab: &Lab, wish: Wish) -> Need {
    one(lab, wish, Answers::default())
}

fn one(lab: &Lab, wish: Wish, answers: Answers) -> Need {
    let needed = match lab.ask(wish, answers) {
        Ok(Next::Need(needs)) if needs.len() == 1 => needs.into_iter().next(),
        Ok(_) | Err(_) => None,
    };
    needed.unwrap()
}

/// The operation of the plan that came of it, or the first problem.
fn names_of(found: Result<Next, Vec<Problem>>) -> &'static str {
    match found {
        Ok(Next::Plan(plan)) => plan.operation.name(),
        Ok(Next::Need(_) | Next::Fits) => "no plan",
        Err(problems) => problems.first().map_or("", Problem::code),
    }
}

#[test]
fn what_stops_ejabberd_asks_whether_it_could_start_again_and_what_runs_on_does_not() {
    let lab = Lab::joined(&[THERE]);
    for wish in [Wish::Join, Wish::JoinAsMaster, Wish::SyncNode] {
        assert_eq!(first(&lab, wish(THERE.into())), members(&[THERE], &[], Look::Preflight));
    }
    for wish in [Wish::Reset, Wish::Leave] {
        assert_eq!(first(&lab, wish), members(&[], &[], Look::Preflight));
    }
    let table = Wish::RepairTable { table: "users".into(), winner: THERE.into() };
    for wish in [Wish::ForceBoot, table] {
        assert_eq!(first(&lab, wish), members(&[], &[], Look::Facts));
    }
}

#[test]
fn forgetting_looks_at_all_nodes_that_are_to_be_forgotten() {
    let mut ask = Ask {
        wish: Wish::Forget(THIRD.into()),
        options: easy_cluster::model::request::Options::default(),
        here: HERE.into(),
        at: String::new(),
    };
    ask.options.also = vec!["c@x.y".into()];
    let expected = members(&[], &[THIRD, "c@x.y"], Look::Forgetting);
    assert_eq!(ask::ask(&ask, Answers::default()), Ok(Next::Need(vec![expected])));
}

#[test]
fn nobody_is_looked_at_for_a_join_with_oneself() {
    let lab = Lab::new(&[THERE]);
    for wish in [Wish::Join, Wish::JoinAsMaster, Wish::SyncNode] {
        assert_eq!(names_of(lab.ask(wish(HERE.into()), Answers::default())), "cannot_join_itself");
    }
}

#[test]
fn a_join_compares_only_tables_that_both_sides_have_rows_of() {
    let mut lab = Lab::new(&[THERE]);
    assert_eq!(names_of(lab.ask(Wish::Join(THERE.into()), lab.answers())), "join");
    lab.table("passwd", Storage::DiscCopies, &[HERE], &[HERE], 3);
    lab.table("passwd", Storage::DiscCopies, &[THERE], &[THERE], 5);
    let rows = Need::Rows { tables: vec!["passwd".into()], node: THERE.into() };
    assert_eq!(one(&lab, Wish::Join(THERE.into()), lab.answers()), rows);
    let compared = Answers { rows: Some(vec![only_here("passwd", 1)]), ..lab.answers() };
    assert_eq!(names_of(lab.ask(Wish::Join(THERE.into()), compared)), "join");
}

#[test]
fn under_the_lock_rows_are_compared_again_only_where_they_are_merged() {
    let mut lab = Lab::new(&[THERE]);
    lab.table("passwd", Storage::DiscCopies, &[HERE], &[HERE], 3);
    lab.table("passwd", Storage::DiscCopies, &[THERE], &[THERE], 5);
    let mut inputs = lab.inputs(Operation::JoinAsMaster(THERE.into()));
    inputs.rows = vec![only_here("passwd", 1)];
    let archived = operation::make(&inputs).unwrap();
    assert_eq!(
        ask::again(&archived, &Answers::default()),
        Ok(Next::Need(vec![members(&[THERE], &[], Look::Preflight)]))
    );
    assert_eq!(ask::again(&archived, &lab.answers()), Ok(Next::Fits));
    inputs.options.local_rows = LocalRows::Merge;
    let merged = operation::make(&inputs).unwrap();
    let rows = Need::Rows { tables: vec!["passwd".into()], node: THERE.into() };
    assert_eq!(ask::again(&merged, &lab.answers()), Ok(Next::Need(vec![rows])));
    let same = Answers { rows: Some(inputs.rows), ..lab.answers() };
    assert_eq!(ask::again(&merged, &same), Ok(Next::Fits));
}

#[test]
fn a_rollback_asks_for_the_history_and_then_for_whoever_can_take_it_back() {
    let lab = Lab::new(&[THERE, THIRD]);
    assert_eq!(first(&lab, Wish::Rollback), Need::History);
    let nothing = Answers { history: Some(Vec::new()), ..Answers::default() };
    assert_eq!(names_of(lab.ask(Wish::Rollback, nothing)), "nothing_to_roll_back");
}

#[test]
fn a_restore_reads_the_backup_before_anybody_is_looked_at() {
    let lab = Lab::new(&[]);
    assert_eq!(first(&lab, Wish::Restore("/b".into())), Need::Backup { folder: "/b".into() });
}

#[test]
fn a_repair_asks_for_the_policy_first() {
    let lab = Lab::joined(&[THERE]);
    assert_eq!(first(&lab, Wish::Repair), Need::Policy);
    let repair = Repair { policy: "copies: all".into(), minute: 0, lately: Vec::new(), refused: Vec::new() };
    let policy = Answers { policy: Some(repair), ..Answers::default() };
    assert_eq!(one(&lab, Wish::Repair, policy), members(&[], &[], Look::Facts));
}

#[test]
fn force_boot_asks_what_waits_once_the_members_were_looked_at() {
    let mut lab = Lab::joined(&[THERE]);
    lab.table("users", Storage::DiscCopies, &[HERE, THERE], &[], 3);
    lab.kill(THERE);
    assert_eq!(one(&lab, Wish::ForceBoot, lab.answers()), Need::Waiting);
    let node = AwaitedNode { node: THERE.into(), seen: None, outlived_here: true };
    let wait = Awaited { tables: vec!["users".into()], reason: Reason::Newer, nodes: vec![node] };
    let waiting = ForceBoot { waits: vec![wait], signs: Vec::new() };
    let answers = Answers { waiting: Some(waiting), ..lab.answers() };
    assert_eq!(names_of(lab.ask(Wish::ForceBoot, answers)), "newer_rows_given_up");
}
