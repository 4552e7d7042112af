//! How long the core takes from the bytes of a request to the bytes of its answer, for clusters of any size.
//!
//! `cargo bench --bench plan`; the columns to read are `median` and `slowest`.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a bench")]

mod support;

use std::collections::BTreeMap;

use divan::{Bencher, black_box};
use easy_cluster::model::name::{AtomName, NodeName};
use easy_cluster::model::request::{Operation, Options};
use easy_cluster::model::snapshot::{Answer, Beside, FORMAT, Facts, Member, Running, Snapshot};
use easy_cluster::model::table::SetIndex;
use easy_cluster::model::table::{AccessMode, Table, TableType};
use easy_cluster::operation;
use easy_cluster::plan::{Inputs, Plan};
use easy_cluster_wire::{answer, from_bytes, to_bytes};
use serde::{Deserialize, Serialize};
use support::{Random, Sets, Size};

const HERE: &str = "ejabberd@joiner.example.org";
/// As many as a fresh ejabberd has.
const TABLES_HERE: usize = 40;
const COPIES: usize = 3;

const LARGE: [Size; 1] = [Size(1_000, 10_000)];
const GROWING: [Size; 4] = [Size(100, 100), Size(100, 1_000), Size(100, 10_000), Size(100, 100_000)];

#[derive(Serialize)]
#[serde(rename_all = "snake_case")]
enum Request<'a> {
    Plan(&'a Inputs),
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Outcome {
    Ok(Box<Plan>),
}

fn main() {
    divan::main();
}

#[divan::bench(args = LARGE.iter().chain(&GROWING).copied(), sample_count = 20, sample_size = 1)]
fn request_to_answer(bencher: Bencher<'_, '_>, size: Size) {
    let request = to_bytes(&Request::Plan(&inputs(size))).unwrap();
    let plan = from_bytes::<Outcome>(&answer(&request)).map(|Outcome::Ok(plan)| plan).expect("a plan");
    assert!(plan.steps.len() > size.1, "every table is copied");
    bencher.counter(divan::counter::BytesCount::new(request.len())).bench(|| answer(black_box(&request)));
}

/// A member is down, so that nobody's view is the whole cluster and each has to be compared name by name.
#[divan::bench(args = LARGE, sample_count = 10, sample_size = 1)]
fn request_to_refusal(bencher: Bencher<'_, '_>, size: Size) {
    let request = to_bytes(&Request::Plan(&with_one_down(inputs(size)))).unwrap();
    assert!(from_bytes::<Outcome>(&answer(&request)).is_err(), "it is refused");
    bencher.counter(divan::counter::BytesCount::new(request.len())).bench(|| answer(black_box(&request)));
}

#[divan::bench(args = LARGE, sample_count = 20, sample_size = 1)]
fn part_1_decode(bencher: Bencher<'_, '_>, size: Size) {
    let bytes = to_bytes(&inputs(size)).unwrap();
    bencher.bench(|| from_bytes::<Inputs>(black_box(&bytes)).unwrap());
}

#[divan::bench(args = LARGE, sample_count = 20, sample_size = 1)]
fn part_2_plan(bencher: Bencher<'_, '_>, size: Size) {
    let inputs = inputs(size);
    bencher.bench(|| operation::make(black_box(&inputs)).unwrap());
}

#[divan::bench(args = LARGE, sample_count = 20, sample_size = 1)]
fn part_3_encode(bencher: Bencher<'_, '_>, size: Size) {
    let plan = operation::make(&inputs(size)).unwrap();
    bencher.bench(|| to_bytes(black_box(&plan)).unwrap());
}

/// A join of a fresh node to a healthy cluster whose tables are spread at random, the same at each run.
fn inputs(Size(nodes, tables): Size) -> Inputs {
    let names: Vec<NodeName> = (0..nodes).map(node).collect();
    let mut sets = Sets::default();
    let none = sets.index(Vec::new());
    let here = sets.index(vec![HERE.into()]);
    let all = sets.index(names.clone());
    let mut members = vec![member(HERE.into(), here, none)];
    members.extend(names.iter().map(|name| member(name.clone(), all, none)));
    let mut all_tables: Vec<Table> =
        (0..TABLES_HERE).map(|number| table(&format!("here_{number}"), here, here, none)).collect();
    let mut random = Random(7);
    all_tables.extend((0..tables).map(|number| {
        let mut holders: Vec<NodeName> = Vec::with_capacity(COPIES);
        while holders.len() < COPIES {
            let holder = names.get(random.below(nodes)).expect("below the number of nodes");
            if !holders.contains(holder) {
                holders.push(holder.clone());
            }
        }
        table(&format!("table_{number}"), all, sets.index(holders), none)
    }));
    Inputs {
        operation: Operation::JoinAsMaster(node(0)),
        options: Options { yes: true, ..Options::default() },
        snapshot: Snapshot {
            format: FORMAT,
            node: HERE.into(),
            members,
            tables: all_tables,
            node_sets: sets.in_order,
            ways: Vec::new(),
            kept: Vec::new(),
            copied: Vec::new(),
        },
        rows: Vec::new(),
        at: "20260101T000000.000000Z".into(),
    }
}

/// One member does not answer, and none of the others sees it.
fn with_one_down(mut inputs: Inputs) -> Inputs {
    let snapshot = &mut inputs.snapshot;
    let down = snapshot.members.last_mut().expect("a member");
    down.answer = Answer::Silent("timeout".into());
    let up: Vec<NodeName> =
        snapshot.members.iter().skip(1).rev().skip(1).rev().map(|m| m.node.clone()).collect();
    let index = SetIndex::try_from(snapshot.node_sets.len()).expect("few sets");
    snapshot.node_sets.push(up);
    for member in snapshot.members.iter_mut().skip(1) {
        if let Answer::Facts(facts) = &mut member.answer {
            facts.running_db_nodes = index;
        }
    }
    inputs
}

fn node(number: usize) -> NodeName {
    format!("ejabberd@node-{number:05}.chat.example.org").into()
}

fn member(node: NodeName, cluster: SetIndex, none: SetIndex) -> Member {
    let is_here = node.as_str() == HERE;
    let facts = Facts {
        otp_release: "27".into(),
        versions: BTreeMap::from([
            ("mnesia".into(), "4.23.5".into()),
            ("ejabberd".into(), "26.01".into()),
            ("easy_cluster".into(), "0.1.0".into()),
        ]),
        applications: if is_here { vec![AtomName::from("ejabberd")] } else { Vec::new() },
        running_applications: Vec::new(),
        operating: false,
        mnesia: Running::Yes,
        awaits: Vec::new(),
        use_dir: true,
        fallback: false,
        schema_cookie: None,
        db_nodes: cluster,
        running_db_nodes: cluster,
        extra_db_nodes: none,
        connected: cluster,
        master_nodes: none,
        tick_time: 60,
        clock_offset: 3,
        memory_free: is_here.then_some(u64::MAX >> 1),
        disk_free: is_here.then_some(u64::MAX >> 1),
        directory: "/var/lib/ejabberd".into(),
        directory_writable: is_here.then_some(true),
        obstacles: Vec::new(),
        configuration: None,
        unfinished: None,
        beside: Beside::default(),
    };
    Member { node, answer: Answer::Facts(Box::new(facts)) }
}

fn table(name: &str, seen_by: SetIndex, holders: SetIndex, none: SetIndex) -> Table {
    Table {
        name: name.into(),
        seen_by,
        table_type: TableType::Set,
        ram_copies: none,
        disc_copies: holders,
        disc_only_copies: none,
        external_copies: none,
        active: holders,
        attributes: ["us", "jid", "name", "subscription", "ask", "groups"].map(AtomName::from).to_vec(),
        record_name: name.into(),
        index: "[]".into(),
        local_content: false,
        majority: false,
        access_mode: AccessMode::ReadWrite,
        load_order: 0,
        cookie: "{{1719233843987654321,-576460752303423485,1},'ejabberd@node-00000.chat.example.org'}".into(),
        version: "{{12,3},{'ejabberd@node-00000.chat.example.org',{1719,233843,987654}}}".into(),
        properties: "[[],[],[]]".into(),
        size: 12_345,
        memory: 1_234_567,
    }
}
