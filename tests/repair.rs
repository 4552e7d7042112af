//! Plans that bring a cluster to its policy: what they do, and what they leave for later.

#![expect(clippy::expect_used, reason = "helpers of tests")]

mod support;

use easy_cluster::model::catalogue::Class;
use easy_cluster::model::request::{Lately, Operation, Options, Repair};
use easy_cluster::model::snapshot::Copied;
use easy_cluster::model::table::Storage;
use easy_cluster::operation::{self, repair};
use easy_cluster::plan::step::Action;
use easy_cluster::plan::{Inputs, Plan};
use easy_cluster::validate::problem::Problem;
use support::{HERE, Lab, THERE, THIRD};

const NODES: [&str; 3] = [THERE, HERE, THIRD];

fn cluster() -> Lab {
    let mut lab = Lab::joined(&[THERE, THIRD]);
    for node in NODES {
        let facts = lab.facts(node);
        (facts.memory_free, facts.disk_free) = (None, None);
    }
    lab
}

fn inputs(lab: &Lab, policy: &str) -> Inputs {
    lab.inputs(Operation::Repair(Repair {
        policy: policy.into(),
        minute: 0,
        lately: Vec::new(),
        refused: Vec::new(),
    }))
}

fn repair_of(inputs: &mut Inputs) -> &mut Repair {
    let Operation::Repair(repair) = &mut inputs.operation else { unreachable!("it is one") };
    repair
}

/// The changes in a line each, and the codes of the warnings.
fn told(plan: &Plan) -> (Vec<String>, Vec<&'static str>) {
    let change = |action: &Action| {
        if let Action::CopyTableTo { table, node, storage, .. } = action {
            return Some(format!("copy {table} {node} {}", storage.as_str()));
        }
        if let Action::DeleteCopyOn { table, node, others, .. } = action {
            return Some(format!("delete {table} {node} {others}"));
        }
        (*action != Action::EnsureFence && *action != Action::Verify).then(|| action.name().to_owned())
    };
    let steps = plan.steps.iter().filter_map(|step| change(&step.action)).collect();
    (steps, plan.warnings.iter().map(Problem::code).collect())
}

fn planned(inputs: &Inputs) -> (Vec<String>, Vec<&'static str>) {
    told(&operation::make(inputs).expect("a plan"))
}

#[test]
fn copies_come_before_others_go_and_are_stored_as_wanted() {
    let mut lab = cluster();
    lab.table("passwd", Storage::DiscCopies, &NODES, &[HERE, THERE], 10);
    let policy =
        format!("copies: 2\ntables:\n  passwd:\n    exclusions: {HERE}\n    storage: disc_only_copies\n");
    let inputs = inputs(&lab, &policy);
    let plan = operation::make(&inputs).expect("a plan");
    let expected = [
        format!("copy passwd {THIRD} disc_only_copies"),
        format!("delete passwd {THERE} 2"),
        format!("copy passwd {THERE} disc_only_copies"),
        format!("delete passwd {HERE} 2"),
    ];
    assert_eq!(told(&plan), (expected.to_vec(), vec!["policy_ejabberd_copies"]));
    assert_eq!((plan.estimate.rows, plan.members.len()), (20, 2));
    let problems = operation::goal(&plan, &inputs.snapshot).expect_err("nothing was done");
    assert_eq!(problems.len(), 3, "each of the changes is missed: {problems:?}");
}

#[test]
fn what_is_as_wanted_is_left_alone() {
    let mut lab = cluster();
    lab.table("passwd", Storage::DiscCopies, &NODES, &NODES, 10);
    let inputs = inputs(&lab, "copies: all");
    let plan = operation::make(&inputs).expect("a plan");
    assert_eq!(told(&plan), (Vec::new(), Vec::new()));
    assert_eq!(operation::goal(&plan, &inputs.snapshot), Ok(()));
}

#[test]
fn a_table_that_stalls_for_long_waits_for_its_window_or_for_consent() {
    let mut lab = cluster();
    lab.table("archive_msg", Storage::DiscCopies, &NODES, &[HERE], 10_000_000).memory = 2_000_000_000;
    lab.table("passwd", Storage::DiscCopies, &NODES, &[HERE, THERE], 10);
    let both = ["archive_msg", "archive_msg", "passwd"];
    let tables = |inputs: &Inputs| -> Vec<String> {
        let (changes, _) = planned(inputs);
        let mut tables: Vec<_> =
            changes.iter().filter_map(|change| change.split(' ').nth(1)).map(str::to_owned).collect();
        tables.sort();
        tables
    };
    let mut asked = inputs(&lab, "max_stall: 1 s");
    assert_eq!(planned(&asked), (vec![format!("copy passwd {THIRD} disc_copies")], vec!["policy_stalls"]));
    asked.options.yes = true;
    assert_eq!(tables(&asked), both);
    let mut windowed = inputs(&lab, "max_stall: 1 s\nwindow: 23:00-01:30");
    for (minute, open) in [(23 * 60, true), (0, true), (89, true), (90, false), (12 * 60, false)] {
        repair_of(&mut windowed).minute = minute;
        let expected = if open { &both[..] } else { &both[2..] };
        assert_eq!(tables(&windowed), expected, "at {minute}");
    }
}

#[test]
fn what_waits_may_be_what_fills_a_node_and_keeps_nothing_else_from_being_done() {
    let mut lab = cluster();
    lab.table("archive_msg", Storage::DiscCopies, &NODES, &[HERE], 10_000_000).memory = 500_000_000;
    lab.table("passwd", Storage::DiscCopies, &NODES, &[HERE], 10).memory = 1_000;
    let policy = format!(
        "max_stall: 1 s\nwindow: 02:00-03:00\nnodes:\n  {HERE}: {{memory: 100 MB}}\ncopies: 1\ntables:\n  passwd: {{copies: 2}}\n"
    );
    let changes = [
        format!("copy passwd {THERE} disc_copies"),
        format!("copy passwd {THIRD} disc_copies"),
        format!("delete passwd {HERE} 2"),
    ];
    assert_eq!(
        planned(&inputs(&lab, &policy)),
        (changes.to_vec(), vec!["policy_ejabberd_copies", "policy_stalls"])
    );
}

#[test]
fn a_step_is_not_begun_behind_the_window_or_the_policy() {
    let mut lab = cluster();
    lab.table("archive_msg", Storage::DiscCopies, &NODES, &[HERE, THERE], 10_000_000).memory = 2_000_000_000;
    lab.table("passwd", Storage::DiscCopies, &NODES, &[HERE, THERE], 10);
    let policy = "max_stall: 1 s\nwindow: 23:00-01:30";
    let plan = operation::make(&inputs(&lab, policy)).expect("a plan");
    let begins = |step: usize, minute: u16, options: &Options, policy: Option<&str>| {
        let Operation::Repair(repair) = plan.operation.clone() else { unreachable!("it is one") };
        let step = plan.steps.get(step).expect("a step").clone();
        let (options, policy) = (options.clone(), policy.map(str::to_owned));
        let next = repair::Next { repair, options, step, node: HERE.into(), policy, minute };
        repair::may_begin(&next).map_err(|problems| problems.iter().map(Problem::code).collect::<Vec<_>>())
    };
    let (asked, agreed) = (&plan.options, &Options { yes: true, ..plan.options.clone() });
    assert_eq!(begins(0, 90, asked, Some(policy)), Ok(()), "a small one");
    assert_eq!(begins(1, 89, asked, Some(policy)), Ok(()));
    assert_eq!(begins(1, 90, asked, Some(policy)), Err(vec!["no_longer_open"]));
    assert_eq!(begins(1, 90, agreed, Some(policy)), Ok(()));
    assert_eq!(begins(0, 0, asked, Some("copies: 1")), Err(vec!["other_policy"]));
    assert_eq!(begins(0, 0, agreed, None), Err(vec!["other_policy"]));
}

#[test]
fn what_is_undone_again_and_again_is_left_to_whoever_does_so() {
    let mut lab = cluster();
    lab.table("passwd", Storage::DiscCopies, &NODES, &NODES, 10);
    let mut inputs = inputs(&lab, &format!("copies: 2\ntables:\n  passwd:\n    exclusions: {THIRD}\n"));
    let change = Lately { table: "passwd".into(), node: THIRD.into() };
    repair_of(&mut inputs).lately = vec![change.clone(); 2];
    assert_eq!(planned(&inputs).0, [format!("delete passwd {THIRD} 2")]);
    repair_of(&mut inputs).lately.push(change);
    assert_eq!(planned(&inputs), (Vec::new(), vec!["policy_undone"]));
    inputs.options.yes = true;
    assert_eq!(planned(&inputs).0, [format!("delete passwd {THIRD} 2")]);
}

#[test]
fn what_was_refused_just_now_is_left_and_the_others_are_planned() {
    let mut lab = cluster();
    lab.table("passwd", Storage::DiscCopies, &NODES, &NODES, 10);
    lab.table("roster", Storage::DiscCopies, &NODES, &NODES, 10);
    let excluded = |table: &str| format!("  {table}:\n    exclusions: {THIRD}\n");
    let mut inputs =
        inputs(&lab, &format!("copies: 2\ntables:\n{}{}", excluded("passwd"), excluded("roster")));
    let deleted = |table: &str| format!("delete {table} {THIRD} 2");
    assert_eq!(planned(&inputs).0, [deleted("passwd"), deleted("roster")]);
    repair_of(&mut inputs).refused = vec!["passwd".into()];
    assert_eq!(planned(&inputs).0, [deleted("roster")]);
}

#[test]
fn whether_a_copy_is_compared_before_it_goes_the_policy_says() {
    let mut lab = cluster();
    lab.table("passwd", Storage::DiscCopies, &NODES, &NODES, 10);
    let class = |said: &str| {
        let policy = format!("nodes:\n  {THIRD}: {{role: witness}}\ntables:\n  passwd: {{{said}}}\n");
        let plan = operation::make(&inputs(&lab, &policy)).expect("a plan");
        plan.steps.iter().find_map(|step| {
            let Action::DeleteCopyOn { class, .. } = step.action else { return None };
            Some(class)
        })
    };
    assert_eq!(class(""), Some(Class::Durable));
    assert_eq!(class("class: derived"), Some(Class::Derived));
}

#[test]
fn a_node_that_is_down_keeps_what_it_has_and_the_others_go_on() {
    let mut lab = cluster();
    lab.table("passwd", Storage::DiscCopies, &NODES, &[HERE, THIRD], 10);
    lab.kill(THIRD);
    let inputs = inputs(&lab, "copies: all");
    let plan = operation::make(&inputs).expect("a plan");
    assert_eq!(told(&plan), (vec![format!("copy passwd {THERE} disc_copies")], vec!["policy_waits"]));
    assert_eq!(plan.members, [THERE.into()]);
}

#[test]
fn a_plan_is_refused_when_what_has_grown_since_does_not_fit_any_more() {
    let mut lab = cluster();
    lab.table("passwd", Storage::DiscCopies, &NODES, &[HERE, THERE], 10).memory = 1_000;
    lab.table("roster", Storage::DiscCopies, &NODES, &[HERE, THERE], 10).memory = 2_000;
    let policy = format!("nodes:\n  {THIRD}: {{memory: 5000}}\n");
    let plan = operation::make(&inputs(&lab, &policy)).expect("a plan");
    let resized = |bytes: u64| {
        let mut snapshot = lab.snapshot();
        snapshot.tables.iter_mut().filter(|t| t.name.as_str() == "passwd").for_each(|t| t.memory = bytes);
        operation::fits(&plan, &snapshot, None)
            .map_err(|problems| problems.iter().map(Problem::code).collect())
    };
    assert_eq!(resized(3_000), Ok(()), "it would come last now");
    assert_eq!(resized(3_001), Err(vec!["policy_no_place"]));
}

#[test]
fn a_plan_is_refused_when_only_another_order_has_room_now() {
    let mut lab = cluster();
    lab.table("passwd", Storage::DiscCopies, &NODES, &[HERE, THERE], 10).memory = 1_000;
    lab.table("roster", Storage::DiscCopies, &NODES, &NODES, 10).memory = 3_500;
    let policy = format!("nodes:\n  {THIRD}: {{memory: 5000}}\ntables:\n  roster: {{exclusions: {THIRD}}}\n");
    let mut inputs = inputs(&lab, &policy);
    let plan = operation::make(&inputs).expect("a plan");
    let changes = [format!("copy passwd {THIRD} disc_copies"), format!("delete roster {THIRD} 2")];
    assert_eq!(told(&plan).0, changes);
    inputs.snapshot.tables.iter_mut().filter(|t| t.name.as_str() == "passwd").for_each(|t| t.memory = 2_000);
    assert_eq!(planned(&inputs).0, [changes[1].clone(), changes[0].clone()]);
    let refused = operation::fits(&plan, &inputs.snapshot, None).expect_err("no room at first");
    assert_eq!(refused.iter().map(Problem::code).collect::<Vec<_>>(), ["plan_changed"]);
}

#[test]
fn nothing_is_stored_otherwise_while_a_member_is_down_that_knows_the_old_type() {
    let mut lab = cluster();
    lab.table("passwd", Storage::DiscCopies, &NODES, &[HERE], 10);
    lab.kill(THIRD);
    let inputs = inputs(&lab, "classes: {durable: {storage: disc_only_copies}}");
    assert_eq!(planned(&inputs), (vec![format!("copy passwd {THERE} disc_copies")], vec!["policy_waits"]));
}

#[test]
fn a_policy_that_is_none_is_refused() {
    let inputs = inputs(&cluster(), "copies: none of it");
    let problems = operation::make(&inputs).expect_err("no plan");
    assert_eq!(problems.iter().map(Problem::code).collect::<Vec<_>>(), ["policy_bad_value"]);
}

#[test]
fn what_copies_took_here_decides_whether_a_table_waits() {
    let mut lab = cluster();
    lab.table("archive_msg", Storage::DiscCopies, &NODES, &[HERE, THERE], 100_000).memory = 15_000_000;
    let mut inputs = inputs(&lab, "max_stall: 2 s");
    assert_eq!(planned(&inputs).1, [""; 0]);
    let took = |milliseconds| Copied {
        table: "archive_msg".into(),
        storage: Storage::DiscCopies,
        rows: 50_000,
        bytes: 7_500_000,
        milliseconds,
    };
    inputs.snapshot.copied = vec![took(3_000)];
    assert_eq!(planned(&inputs), (Vec::new(), vec!["policy_stalls"]));
    // What was there already says nothing.
    inputs.snapshot.copied = vec![took(6)];
    assert_eq!(planned(&inputs).1, [""; 0]);
    inputs.snapshot.copied = vec![took(3_000)];
    inputs.options.yes = true;
    let plan = operation::make(&inputs).expect("a plan");
    assert!((5_500..6_500).contains(&plan.estimate.milliseconds), "{:?}", plan.estimate);
}
