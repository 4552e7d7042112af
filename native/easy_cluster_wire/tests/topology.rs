//! Policies, topologies and matrices of tables, on the wire: what a real Erlang has recorded goes in.

#![expect(clippy::expect_used, reason = "helpers of tests")]

use easy_cluster::explain::tables::Matrix;
use easy_cluster::model::policy::{Copies, Policy};
use easy_cluster::model::snapshot::Snapshot;
use easy_cluster::topology::{Action, Topology};
use easy_cluster::validate::problem::Problem;
use easy_cluster_wire::{answer, from_bytes, to_bytes};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// `easy_cluster:snapshot/1` on one of three real nodes wrote it.
const SNAPSHOT: &[u8] = include_bytes!("../../../tests/fixtures/snapshots/three_nodes.etf");

#[derive(Serialize)]
#[serde(rename_all = "snake_case")]
enum Request<'a> {
    Policy { text: &'a str },
    Topology { snapshot: &'a Snapshot, policy: &'a str },
    Tables { snapshot: &'a Snapshot, policy: Option<&'a str> },
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Outcome<T> {
    Ok(T),
    Error(Vec<Problem>),
}

#[derive(Debug, Deserialize)]
struct Planned {
    topology: Topology,
    text: String,
}

fn snapshot() -> Snapshot {
    from_bytes(SNAPSHOT).expect("a snapshot")
}

fn asked<T: DeserializeOwned>(request: &Request<'_>) -> Result<T, Vec<Problem>> {
    let bytes = answer(&to_bytes(request).expect("a request can be written"));
    // Read while the bytes are there: nothing of the answer borrows from them.
    match from_bytes::<Outcome<T>>(&bytes).expect("an answer can be read") {
        Outcome::Ok(answer) => Ok(answer),
        Outcome::Error(problems) => Err(problems),
    }
}

#[test]
fn a_recorded_snapshot_comes_back_as_it_was() {
    let snapshot = snapshot();
    assert_eq!(snapshot.tables.len(), 8);
    assert_eq!(from_bytes::<Snapshot>(&to_bytes(&snapshot).unwrap()), Ok(snapshot));
}

#[test]
fn a_policy_is_read_or_told_what_is_wrong_with_it() {
    let text = "copies: 2\nmax_stall: infinity\nnodes:\n  a@localhost:\n    memory: 1 GB\n    zone: east\n";
    let policy: Policy = asked(&Request::Policy { text }).unwrap();
    assert_eq!(policy.copies.map(|at| at.value), Some(Copies::Exactly(2)));
    assert_eq!(policy.max_stall(), u64::MAX);
    let problems = asked::<Policy>(&Request::Policy { text: "copis: 2\nsync: on\n" }).unwrap_err();
    assert_eq!(
        problems.iter().map(Problem::code).collect::<Vec<_>>(),
        ["policy_unknown_key", "policy_bad_value"]
    );
}

#[test]
fn a_topology_is_planned() {
    let planned: Planned =
        asked(&Request::Topology { snapshot: &snapshot(), policy: "copies: 2\n" }).unwrap();
    let steps = &planned.topology.steps;
    assert!(steps.iter().any(|step| {
        step.table.as_str() == "passwd"
            && matches!(&step.action, Action::Add { source, .. } if source.as_str() == "a@localhost")
    }));
    assert!(planned.text.starts_with("3 nodes with 8 tables: "), "{}", planned.text);
    let again: Topology = from_bytes(&to_bytes(&planned.topology).unwrap()).unwrap();
    assert_eq!(again, planned.topology);

    let refused = asked::<Planned>(&Request::Topology { snapshot: &snapshot(), policy: "copies: 9\n" });
    assert_eq!(refused.unwrap_err().first().map(Problem::code), Some("policy_too_few_nodes"));
}

#[test]
fn the_tables_are_shown_with_a_policy_and_without() {
    let without: Matrix = asked(&Request::Tables { snapshot: &snapshot(), policy: None }).unwrap();
    assert_eq!((without.tables.len(), without.drifted), (8, None));
    let with: Matrix =
        asked(&Request::Tables { snapshot: &snapshot(), policy: Some("copies: all\n") }).unwrap();
    assert!(with.drifted > Some(0) && with.text.contains("missing"), "{}", with.text);
    assert_eq!(from_bytes::<Matrix>(&to_bytes(&with).unwrap()), Ok(with));
    // What cannot be is told, and the tables are there all the same.
    let impossible: Matrix =
        asked(&Request::Tables { snapshot: &snapshot(), policy: Some("copies: 9\n") }).unwrap();
    assert_eq!((impossible.tables.len(), impossible.drifted), (8, None));
    assert_eq!(impossible.problems.first().map(Problem::code), Some("policy_too_few_nodes"));
}
