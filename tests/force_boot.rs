//! Tables that wait on a node that runs: for whom, what forbids to go on without these, what is given up.

#![expect(clippy::unwrap_used, reason = "helpers of tests")]

mod support;

use std::collections::BTreeMap;

use easy_cluster::model::machine::decisions::{Decisions, Sighting};
use easy_cluster::model::machine::schema::Schema;
use easy_cluster::model::reach::{Reach, ReachFailure};
use easy_cluster::model::request::{ForceBoot, Operation};
use easy_cluster::model::snapshot::Running;
use easy_cluster::model::store::Store;
use easy_cluster::model::table::Storage;
use easy_cluster::operation;
use easy_cluster::plan::Inputs;
use easy_cluster::plan::step::Action;
use easy_cluster::validate::problem::Problem;
use easy_cluster::validate::view::View;
use easy_cluster::validate::{reach, returning, waiting};
use support::{HERE, Lab, THERE, THIRD};

const ALL: [&str; 3] = [HERE, THERE, THIRD];

/// Three members with a table each on disc and in memory, of which none is loaded; the third is dead.
fn lab() -> Lab {
    let mut lab = Lab::joined(&[THERE, THIRD]);
    lab.silence(THIRD);
    let nobody = lab.set(&[]);
    lab.table("users", Storage::DiscCopies, &ALL, &ALL, 0).active = nobody;
    lab.table("online", Storage::RamCopies, &ALL, &ALL, 0);
    lab
}

fn seen(down: Option<&str>, up: Option<&str>) -> Sighting {
    Sighting { is_down: down > up, down: down.map(Into::into), up: up.map(Into::into) }
}

/// This node's directory, with what it saw of the others.
fn store(seen: &[(&str, Sighting)]) -> Store {
    Store {
        directory: "/database".into(),
        node: HERE.into(),
        schema: Schema::default(),
        decisions: decisions(seen),
    }
}

fn decisions(seen: &[(&str, Sighting)]) -> Decisions {
    let seen = seen.iter().map(|(node, sighting)| ((*node).into(), sighting.clone())).collect();
    Decisions { seen, ..Decisions::default() }
}

fn force(lab: &Lab, here: &Store, there: &[(&str, Sighting)]) -> ForceBoot {
    let snapshot = lab.snapshot();
    let others = BTreeMap::from([(THERE.into(), decisions(there))]);
    let waits = waiting::awaited(&View::new(&snapshot).unwrap(), &["users".into()], here, &others);
    ForceBoot { waits, signs: Vec::new() }
}

fn inputs(lab: &Lab, force: ForceBoot, yes: bool) -> Inputs {
    let mut inputs = lab.inputs(Operation::ForceBoot(force));
    inputs.options.yes = yes;
    inputs
}

fn codes(inputs: &Inputs) -> Vec<&'static str> {
    operation::make(inputs).err().unwrap_or_default().iter().map(Problem::code).collect()
}

fn awaited(force: &ForceBoot) -> Vec<&str> {
    force.waits.iter().flat_map(|wait| &wait.nodes).map(|awaited| awaited.node.as_str()).collect()
}

/// Stopped in the order here, there, third: this one has seen nobody go.
#[test]
fn who_went_first_waits_for_all_and_is_told_who_is_newer() {
    let lab = lab();
    let force = force(&lab, &store(&[]), &[(HERE, seen(Some("1"), Some("2")))]);
    assert_eq!(awaited(&force), [THERE, THIRD]);
    assert_eq!(codes(&inputs(&lab, force, true)), ["awaited_is_there"]);
}

/// Stopped in the order there, here, third: the record that the other one went was taken away when it came up again.
#[test]
fn one_that_was_outlived_before_the_start_is_not_waited_for() {
    let lab = lab();
    let force = force(&lab, &store(&[(THERE, seen(Some("1"), Some("2")))]), &[]);
    assert_eq!(awaited(&force), [THIRD]);
    assert_eq!(codes(&inputs(&lab, force.clone(), false)), ["newer_rows_given_up"]);
    let plan = operation::make(&inputs(&lab, force, true)).unwrap();
    let [load, verify] = &plan.steps[..] else { panic!("{:?}", plan.steps) };
    assert_eq!(load.action, Action::ForceLoad { tables: vec![("users".into(), HERE.into())] });
    assert_eq!((verify.action.clone(), plan.members), (Action::Verify, vec![THERE.into()]));
    assert_eq!(plan.warnings.iter().map(Problem::code).collect::<Vec<_>>(), ["newer_rows_given_up"]);
}

/// Killed at once: neither knows, and the operator has to.
#[test]
fn where_nobody_knows_who_was_last_it_can_be_agreed_to() {
    let lab = lab();
    let force = force(&lab, &store(&[]), &[]);
    assert_eq!(awaited(&force), [THERE, THIRD]);
    assert_eq!(codes(&inputs(&lab, force.clone(), false)), ["newer_rows_given_up"]);
    assert!(operation::make(&inputs(&lab, force, true)).is_ok());
}

#[test]
fn a_node_that_is_there_is_not_gone_for_good() {
    let mut lab = lab();
    lab.facts(THERE).mnesia = Running::No;
    let waits = force(&lab, &store(&[]), &[]);
    assert_eq!(codes(&inputs(&lab, waits, true)), ["awaited_is_there"]);
    let mut signs = force(&lab, &store(&[(THERE, seen(Some("1"), None))]), &[]);
    assert!(operation::make(&inputs(&lab, signs.clone(), true)).is_ok());
    signs.signs = vec![(THIRD.into(), "it does not accept this node's cookie".into())];
    assert_eq!(codes(&inputs(&lab, signs, true)), ["awaited_is_there"]);
}

#[test]
fn what_only_a_node_that_lives_can_have_done_is_a_sign_of_life() {
    let sign = |failure: Option<ReachFailure>| {
        let mut reach = Reach::new(THIRD.into(), HERE.into());
        reach.failure = failure;
        reach::sign_of_life(&reach).is_some()
    };
    let address = || "10.0.0.1:4369".to_owned();
    assert!(sign(None) && sign(Some(ReachFailure::WrongCookie)));
    assert!(sign(Some(ReachFailure::DistributionPortSilent { address: address() })));
    assert!(!sign(Some(ReachFailure::EpmdSilent { address: address(), reason: "timeout".into() })));
    assert!(!sign(Some(ReachFailure::NotRegistered { address: address(), alive: "ejabberd".into() })));
}

#[test]
fn without_tables_that_wait_there_is_nothing_to_force() {
    let mut lab = Lab::joined(&[THERE, THIRD]);
    lab.table("users", Storage::DiscCopies, &ALL, &ALL, 0);
    // Served there: it is on its way.
    let force = force(&lab, &store(&[]), &[]);
    assert_eq!(codes(&inputs(&lab, force, true)), ["nothing_waits"]);
}

#[test]
fn master_nodes_that_are_gone_are_told_and_cost_nothing_to_overcome() {
    let lab = lab();
    let mut here = store(&[(THERE, seen(Some("1"), None)), (THIRD, seen(Some("2"), None))]);
    here.decisions.masters = BTreeMap::from([("users".into(), vec![THIRD.into()])]);
    let force = force(&lab, &here, &[]);
    let snapshot = lab.snapshot();
    let told = waiting::problems(&View::new(&snapshot).unwrap(), &["users".into()], &force.waits);
    assert_eq!(told.iter().map(Problem::code).collect::<Vec<_>>(), ["dead_master_nodes"]);
    assert!(operation::make(&inputs(&lab, force, false)).is_ok());
}

/// The fixtures' c outlived a and b; users is on all three, only_c on it alone, own is everybody's own.
#[test]
fn what_others_serve_of_which_this_node_has_the_newest_is_kept() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/boot/otp27");
    let of =
        |node: &str| easy_cluster_probe::machine::store(format!("{folder}/{node}").as_ref(), None).unwrap().0;
    let served = vec![("a@localhost".into(), ["users", "own", "online", "log"].map(Into::into).to_vec())];
    assert_eq!(returning::overridden(&of("c"), &served), (vec!["users".into()], vec!["a@localhost".into()]));
    assert_eq!(returning::overridden(&of("b"), &served).0, ["log".into()]);
    assert_eq!(returning::overridden(&of("a"), &served), (vec![], vec![]));
    assert_eq!(returning::newest(&of("c")), ["users".into()]);
}
