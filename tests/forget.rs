//! Forgetting members: what forbids it, what goes with them, in which order it is done.

mod support;

use easy_cluster::explain;
use easy_cluster::model::reach::ReachFailure;
use easy_cluster::model::request::{Lose, Operation};
use easy_cluster::model::snapshot::Running;
use easy_cluster::model::table::{AccessMode, Storage};
use easy_cluster::operation;
use easy_cluster::plan::step::{Action, OnFailure};
use easy_cluster::plan::{Inputs, Plan};
use easy_cluster::validate::problem::Problem;
use support::{HERE, Lab, THERE, THIRD};

const FENCE: &str = "easy_cluster_fence";
const ALL: [&str; 3] = [HERE, THERE, THIRD];

/// Three members with a fence, of which the third is dead.
fn lab() -> Lab {
    let mut lab = Lab::joined(&[THERE, THIRD]);
    lab.kill(THIRD);
    lab.table(FENCE, Storage::DiscCopies, &[HERE, THERE], &ALL, 0).local_content = true;
    lab
}

fn forget(lab: &Lab) -> Inputs {
    lab.inputs(Operation::Forget(THIRD.into()))
}

fn problems(inputs: &Inputs) -> Vec<Problem> {
    operation::make(inputs).err().unwrap_or_default()
}

fn codes(inputs: &Inputs) -> Vec<&'static str> {
    problems(inputs).iter().map(Problem::code).collect()
}

fn actions(plan: &Plan) -> Vec<&'static str> {
    plan.steps.iter().map(|step| step.action.name()).collect()
}

#[expect(clippy::expect_used, reason = "it is a part of tests")]
fn planned(inputs: &Inputs) -> Plan {
    operation::make(inputs).expect("a plan")
}

#[test]
fn a_dead_member_is_kept_out_while_the_fence_is_made_anew() {
    let plan = planned(&forget(&lab()));
    assert_eq!(actions(&plan), ["connect", "bar", "forget_node", "renew_fence", "unbar", "verify"]);
    assert_eq!(plan.members, [THERE.into()]);
    assert_eq!(plan.warnings, []);
    let undone: Vec<_> = plan.steps.iter().filter(|step| step.on_failure == OnFailure::Undo).collect();
    assert_eq!(undone.len(), 3, "from the schema on there is only the way forward");
    assert!(plan.undo.iter().map(|undo| (undo.since, undo.action.name())).eq([(2, "unbar")]));
    let words = explain::plan::plan(&plan);
    assert!(
        words.starts_with(&format!("forget: {THERE}, {HERE} forget {THIRD}")),
        "members in their order: {words}"
    );
}

#[test]
fn a_node_that_anybody_sees_is_alive() {
    let healthy = Lab::joined(&[THERE, THIRD]);
    let found = problems(&forget(&healthy));
    assert_eq!(found.iter().map(Problem::code).collect::<Vec<_>>(), ["node_is_alive"]);
    let how = found.first().map(ToString::to_string).unwrap_or_default();
    assert!(how.contains(&format!("it answers {HERE}")) && how.contains("replicates with it"), "{how}");

    let mut seen_elsewhere = lab();
    let all = seen_elsewhere.set(&ALL);
    seen_elsewhere.facts(THERE).connected = all;
    assert_eq!(codes(&forget(&seen_elsewhere)), ["node_is_alive"]);

    let mut without_mnesia = Lab::joined(&[THERE, THIRD]);
    without_mnesia.facts(THIRD).mnesia = Running::No;
    assert_eq!(codes(&forget(&without_mnesia)), ["node_is_alive"]);
}

#[test]
fn a_node_that_a_member_reaches_or_whose_epmd_knows_it_is_alive() {
    let address = || "192.0.2.3:4370".to_owned();
    for failure in [None, Some(ReachFailure::PeerSilent { address: address() })] {
        let mut lab = lab();
        lab.way(THERE, THIRD, failure);
        assert_eq!(codes(&forget(&lab)), ["node_is_alive"]);
    }
    let mut dead = lab();
    dead.way(THERE, THIRD, Some(ReachFailure::EpmdSilent { address: address(), reason: "timeout".into() }));
    dead.way(HERE, THIRD, Some(ReachFailure::NotRegistered { address: address(), alive: "e".into() }));
    dead.way(HERE, THERE, None);
    assert_eq!(codes(&forget(&dead)), [""; 0]);
}

#[test]
fn itself_and_strangers_are_not_forgotten() {
    assert_eq!(codes(&lab().inputs(Operation::Forget(HERE.into()))), ["cannot_forget_itself"]);
    let healthy = Lab::joined(&[THERE]);
    assert_eq!(codes(&healthy.inputs(Operation::Forget("e@x.y".into()))), ["no_such_member"]);
}

#[test]
fn nobody_is_forgotten_while_another_member_is_down_unless_both_are() {
    let mut lab = Lab::joined(&[THERE, THIRD, "e@fourth.host", "e@fifth.host"]);
    lab.kill("e@fourth.host").kill(THIRD);
    let mut inputs = forget(&lab);
    let found = problems(&inputs);
    assert_eq!(found.iter().map(Problem::code).collect::<Vec<_>>(), ["other_member_down"]);
    assert!(found.iter().any(|problem| problem.fix().contains("also => ['e@fourth.host']")), "{found:?}");
    inputs.options.also = vec!["e@fourth.host".into()];
    let plan = planned(&inputs);
    let forgotten: Vec<_> = plan
        .steps
        .iter()
        .filter_map(|step| {
            let Action::ForgetNode { node } = &step.action else { return None };
            Some((node.as_str(), step.on_failure))
        })
        .collect();
    assert_eq!(
        forgotten,
        [(THIRD, OnFailure::Undo), ("e@fourth.host", OnFailure::Resume)],
        "half of it cannot be taken back"
    );
}

#[test]
fn less_than_a_majority_forgets_only_when_it_says_so() {
    let mut lab = Lab::joined(&[THERE]);
    lab.kill(THERE);
    let mut inputs = lab.inputs(Operation::Forget(THERE.into()));
    inputs.options.yes = true;
    assert_eq!(codes(&inputs), ["no_quorum"]);
    inputs.options.quorum = false;
    assert!(actions(&planned(&inputs)).contains(&"forget_node"));
}

#[test]
fn a_split_and_views_that_disagree_forbid_it() {
    let mut split = lab();
    let alone = split.set(&[THERE]);
    split.facts(THERE).running_db_nodes = alone;
    assert_eq!(codes(&forget(&split)), ["partitioned"]);
    let alone = split.set(&[HERE]);
    split.facts(HERE).running_db_nodes = alone;
    assert_eq!(codes(&forget(&split)), ["partitioned", "partitioned"]);
    let mut disagree = lab();
    let two = disagree.set(&[HERE, THERE]);
    disagree.facts(THERE).db_nodes = two;
    assert_eq!(codes(&forget(&disagree)), ["members_disagree"]);
    let mut forgotten = lab();
    let two = forgotten.set(&[THERE, THIRD]);
    forgotten.facts(THERE).db_nodes = two;
    assert_eq!(codes(&forget(&forgotten)), ["forgotten_here"]);
    let alone = forgotten.set(&[HERE]);
    forgotten.facts(HERE).running_db_nodes = alone;
    assert_eq!(
        codes(&forget(&forgotten)),
        ["forgotten_here"],
        "it does not have to see who has forgotten it"
    );
}

#[test]
fn an_operation_that_has_not_ended_comes_first() {
    let mut lab = lab();
    lab.facts(HERE).unfinished = Some("1".into());
    assert_eq!(codes(&forget(&lab)), ["unfinished_operation"]);
}

#[test]
fn tables_that_would_go_are_told_and_given_up_by_name() {
    let mut lab = lab();
    let seen = [HERE, THERE];
    lab.table("roster", Storage::DiscCopies, &seen, &[THIRD], 0);
    lab.table("session", Storage::RamCopies, &seen, &[THIRD], 0);
    lab.table("caps_features", Storage::DiscCopies, &seen, &ALL, 0).local_content = true;
    lab.table("own", Storage::DiscCopies, &seen, &[THIRD], 0).local_content = true;
    lab.kept(THERE, "/var/lib/ejabberd/easy_cluster/kept/1/roster.DCD");
    let mut inputs = forget(&lab);
    let found = problems(&inputs);
    let [Problem::OnlyCopyOnDeadNode { tables, known, kept, .. }] = found.as_slice() else {
        panic!("{found:?}");
    };
    assert_eq!(tables.to_string(), "3 tables (roster, session, own)");
    assert!(
        known.contains("roster: durable, disc_copies; session: rows of processes, ram_copies"),
        "{known}"
    );
    assert!(kept.contains("/kept/1/roster.DCD on ejabberd@foo.bar"), "{kept}");

    inputs.options.lose = Lose::Tables(vec!["roster".into(), "session".into()]);
    let found = problems(&inputs);
    assert!(
        matches!(found.as_slice(), [Problem::OnlyCopyOnDeadNode { tables, .. }] if tables.to_string() == "1 table (own)"),
        "{found:?}"
    );
    inputs.options.lose = Lose::All;
    let plan = planned(&inputs);
    assert_eq!(plan.lost.len(), 3);
    assert!(
        explain::plan::plan(&plan).contains("lost        roster (durable, disc_copies); an older copy is ")
    );
}

#[test]
fn tables_that_wait_for_the_dead_are_loaded_with_consent() {
    let mut lab = lab();
    let none = lab.set(&[]);
    lab.table("passwd", Storage::DiscCopies, &[HERE, THERE], &ALL, 0).active = none;
    lab.table("roster", Storage::DiscCopies, &[HERE, THERE], &[THERE, THIRD], 0).active = none;
    let mut inputs = forget(&lab);
    let found = problems(&inputs);
    assert_eq!(found.iter().map(Problem::code).collect::<Vec<_>>(), ["force_load_needed"]);
    inputs.options.yes = true;
    let plan = planned(&inputs);
    assert_eq!(actions(&plan).get(2), Some(&"force_load"));
    let loaded = plan.steps.iter().find_map(|step| {
        let Action::ForceLoad { tables } = &step.action else { return None };
        Some(tables.clone())
    });
    assert_eq!(
        loaded,
        Some(vec![("passwd".into(), HERE.into()), ("roster".into(), THERE.into())]),
        "this node's copy where it has one"
    );
}

/// Three members without a fence, of which the third is dead.
fn unfenced() -> Lab {
    let mut lab = Lab::joined(&[THERE, THIRD]);
    lab.kill(THIRD);
    lab
}

const WITHOUT_FENCE: [&str; 7] =
    ["connect", "bar", "forget_node", "renew_schema", "renew_fence", "unbar", "verify"];

#[test]
fn a_node_that_died_before_there_was_a_fence_is_kept_out_by_the_schema() {
    let mut lab = unfenced();
    let plan = planned(&forget(&lab));
    assert_eq!(actions(&plan), WITHOUT_FENCE);
    assert_eq!(plan.steps[3].on_failure, OnFailure::Resume);
    assert_eq!(plan.warnings, []);
    let words = explain::plan::plan(&plan);
    assert!(words.contains(&format!("a new cookie, so that Mnesia turns away {THIRD}")), "{words}");

    lab.table(FENCE, Storage::DiscCopies, &[HERE, THERE], &[HERE, THERE], 0);
    assert_eq!(actions(&planned(&forget(&lab))), WITHOUT_FENCE, "it was made while the node was down");
}

#[test]
fn master_nodes_of_the_schema_come_back_but_for_the_forgotten() {
    let mut lab = unfenced();
    lab.facts(THERE).master_nodes = lab.set(&[HERE, THIRD]);
    lab.facts(HERE).master_nodes = lab.set(&[THIRD]);
    let plan = planned(&forget(&lab));
    let masters = plan.steps.iter().find_map(|step| {
        let Action::RenewSchema { masters, .. } = &step.action else { return None };
        Some(masters.clone())
    });
    assert_eq!(masters, Some(vec![(THERE.into(), vec![HERE.into()])]));
}

#[test]
fn the_goal_is_another_cookie_of_the_schema_on_all_members() {
    let plan = planned(&forget(&unfenced()));
    let mut after = Lab::joined(&[THERE]);
    let two = [HERE, THERE];
    after.table(FENCE, Storage::DiscCopies, &two, &two, 0);
    let goal = |lab: &Lab| operation::goal(&plan, &lab.snapshot()).err().unwrap_or_default();
    assert_eq!(goal(&after), [Problem::NotFenced { node: THIRD.into() }], "it is the old one everywhere");
    after.facts(HERE).schema_cookie = Some("new".into());
    assert_eq!(goal(&after), [Problem::NotFenced { node: THIRD.into() }], "it is the old one on a member");
    after.facts(THERE).schema_cookie = Some("another".into());
    assert_eq!(goal(&after).iter().map(Problem::code).collect::<Vec<_>>(), ["verify_failed"]);
    after.facts(THERE).schema_cookie = Some("new".into());
    assert_eq!(goal(&after), []);
}

#[test]
fn the_goal_is_a_cluster_without_it_and_with_another_fence() {
    let plan = planned(&forget(&lab()));
    let mut after = Lab::joined(&[THERE]);
    let two = [HERE, THERE];
    after.table(FENCE, Storage::DiscCopies, &two, &two, 0).cookie = "another".into();
    assert_eq!(operation::goal(&plan, &after.snapshot()), Ok(()));

    let mut old = Lab::joined(&[THERE]);
    old.table(FENCE, Storage::DiscCopies, &two, &two, 0);
    old.table("roster", Storage::DiscCopies, &two, &ALL, 0);
    let found = operation::goal(&plan, &old.snapshot()).unwrap_err();
    let found: Vec<String> = found.iter().map(ToString::to_string).collect();
    assert!(found.iter().any(|problem| problem.contains("no copy of roster")), "{found:?}");
    assert!(found.iter().any(|problem| problem.contains("the old one on ejabberd@foo.bar")), "{found:?}");

    let back = Lab::joined(&[THERE, THIRD]);
    assert!(operation::goal(&plan, &back.snapshot()).is_err());
}

#[test]
fn a_plan_to_forget_is_refused_when_the_node_is_back() {
    let plan = planned(&forget(&lab()));
    let mut same = lab();
    same.facts(HERE).memory_free = Some(1);
    assert_eq!(operation::fits(&plan, &same.snapshot(), None), Ok(()));
    let back = Lab::joined(&[THERE, THIRD]);
    assert!(operation::fits(&plan, &back.snapshot(), None).is_err());
}

#[test]
fn copies_of_tables_that_mnesia_does_not_lock_go_before_their_node() {
    let mut lab = lab();
    lab.table("two", Storage::DiscCopies, &[HERE, THERE], &[HERE, THIRD], 5).majority = true;
    lab.table("three", Storage::DiscCopies, &[HERE, THERE], &ALL, 5).majority = true;
    lab.table("other", Storage::DiscCopies, &[HERE, THERE], &[HERE, THIRD], 5);
    lab.table("here", Storage::DiscCopies, &[HERE, THERE], &[HERE], 5).majority = true;
    lab.table("read", Storage::DiscCopies, &[HERE, THERE], &ALL, 5).access_mode = AccessMode::ReadOnly;
    lab.table("here_read", Storage::DiscCopies, &[HERE, THERE], &[HERE], 5).access_mode =
        AccessMode::ReadOnly;
    let plan = planned(&forget(&lab));
    let deleted: Vec<_> = plan
        .steps
        .iter()
        .filter_map(|step| {
            let Action::DeleteDeadCopies { tables, nodes } = &step.action else { return None };
            Some((tables.clone(), nodes.clone()))
        })
        .collect();
    assert_eq!(deleted, [(vec!["two".into(), "read".into()], vec![THIRD.into()])]);
    let expected = ["connect", "bar", "delete_dead_copies", "forget_node", "renew_fence", "unbar", "verify"];
    assert_eq!(actions(&plan), expected);
    let words = explain::plan::plan(&plan);
    assert!(words.contains(&format!("delete the copies of two, read on {THIRD}")), "{words}");
}

#[test]
fn a_copy_that_is_loaded_first_counts_for_the_majority_and_is_one() {
    let mut lab = lab();
    let nobody = lab.set(&[]);
    let table = lab.table("waits", Storage::DiscCopies, &[HERE, THERE], &ALL, 5);
    (table.majority, table.active) = (true, nobody);
    let mut inputs = forget(&lab);
    inputs.options.yes = true;
    let plan = planned(&inputs);
    let expected = [
        "connect",
        "bar",
        "force_load",
        "delete_dead_copies",
        "forget_node",
        "renew_fence",
        "unbar",
        "verify",
    ];
    assert_eq!(actions(&plan), expected, "one of three copies is loaded");
}
