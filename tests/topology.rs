//! Where a policy wants the tables, and the way there: against all placements of small clusters, and step by step.

#![expect(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, reason = "helpers of tests")]

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use easy_cluster::explain::{picture, tables, topology as words};
use easy_cluster::model::catalogue::Class;
use easy_cluster::model::name::{NodeName, TableName};
use easy_cluster::model::policy::{Policy, Role};
use easy_cluster::model::request::{Operation, Repair};
use easy_cluster::model::snapshot::Snapshot;
use easy_cluster::model::table::{AccessMode, Storage, Table, TableType};
use easy_cluster::operation;
use easy_cluster::topology::{self, Action, Topology, Waits};

use easy_cluster::validate::policy::{lines, parse};
use easy_cluster::validate::problem::{Bytes, Problem};
use proptest::prelude::*;
use support::{HERE, Lab, THERE, THIRD};

const FOURTH: &str = "ejabberd@x.fourth";
/// In the order of the alphabet, as everything that is planned is.
const NODES: [&str; 4] = [THERE, HERE, THIRD, FOURTH];
const MB: u64 = 1_000_000;

fn cluster(nodes: &[&str]) -> Lab {
    let others: Vec<&str> = nodes.iter().copied().filter(|node| *node != HERE).collect();
    let mut lab = Lab::joined(&others);
    for node in nodes {
        let facts = lab.facts(node);
        (facts.memory_free, facts.disk_free) = (None, None);
    }
    lab
}

fn table<'l>(lab: &'l mut Lab, nodes: &[&str], name: &str, holders: &[&str], bytes: u64) -> &'l mut Table {
    let table = lab.table(name, Storage::DiscCopies, nodes, holders, bytes / 100);
    table.memory = bytes;
    table
}

fn planned(policy: &str, snapshot: &Snapshot) -> Topology {
    topology::make(&parse(policy).expect("a policy"), snapshot).expect("a plan")
}

fn refused(policy: &str, snapshot: &Snapshot) -> Vec<Problem> {
    topology::make(&parse(policy).expect("a policy"), snapshot).expect_err("no plan")
}

fn codes(problems: &[Problem]) -> Vec<(&'static str, Vec<u32>)> {
    problems.iter().map(|problem| (problem.code(), lines(problem).to_vec())).collect()
}

fn wanted<'t>(topology: &'t Topology, table: &str) -> Vec<&'t str> {
    let found = topology.tables.iter().find(|t| t.table.as_str() == table).expect("the table");
    found.wanted.iter().map(|copy| copy.node.as_str()).collect()
}

/// As one line each.
fn told(topology: &Topology) -> Vec<String> {
    let line = |step: &topology::Step| match &step.action {
        Action::Add { storage, source } => {
            format!("add {} {} {} from {source}", step.table, step.node, storage.as_str())
        }
        Action::Remove { .. } => format!("remove {} {}", step.table, step.node),
    };
    topology.steps.iter().map(line).collect()
}

#[test]
fn every_class_has_its_places() {
    let mut lab = cluster(&NODES);
    let nodes = NODES;
    table(&mut lab, &nodes, "passwd", &[HERE], 100);
    lab.table("session", Storage::RamCopies, &nodes, &[HERE, FOURTH], 1);
    lab.table("vcard_search", Storage::DiscCopies, &nodes, &[HERE], 1);
    lab.table("bosh", Storage::RamCopies, &nodes, &[HERE], 1).local_content = true;
    lab.table("easy_cluster_fence", Storage::DiscCopies, &nodes, &[HERE], 0).local_content = true;
    let policy = format!("copies: 2\nnodes:\n  {THIRD}: {{role: slave}}\n  {FOURTH}: {{role: witness}}\n");
    let topology = planned(&policy, &lab.snapshot());
    assert_eq!(wanted(&topology, "passwd"), [THERE, HERE]);
    assert_eq!(wanted(&topology, "session"), [THERE, HERE, THIRD]);
    assert_eq!(wanted(&topology, "vcard_search"), [THERE, HERE, THIRD]);
    assert_eq!(wanted(&topology, "bosh"), [HERE]);
    assert_eq!(wanted(&topology, "easy_cluster_fence"), NODES);
    let classes: Vec<Class> = topology.tables.iter().map(|table| table.class).collect();
    assert_eq!(classes, [Class::Local, Class::Local, Class::Durable, Class::OwnerKeyed, Class::Derived]);
    assert_eq!(topology.warnings.iter().map(Problem::code).collect::<Vec<_>>(), ["policy_ejabberd_copies"]);
}

#[test]
fn a_slave_holds_what_is_pinned_to_it() {
    let mut lab = cluster(&NODES[..3]);
    table(&mut lab, &NODES[..3], "passwd", &[HERE, THIRD], 100);
    table(&mut lab, &NODES[..3], "roster", &[HERE, THIRD], 100);
    let policy =
        format!("copies: 2\nnodes:\n  {THIRD}: {{role: slave}}\ntables:\n  passwd: {{pins: {THIRD}}}\n");
    let topology = planned(&policy, &lab.snapshot());
    assert_eq!(
        (wanted(&topology, "passwd"), wanted(&topology, "roster")),
        (vec![HERE, THIRD], vec![THERE, HERE])
    );
    assert_eq!(
        told(&topology),
        [format!("add roster {THERE} disc_copies from {HERE}"), format!("remove roster {THIRD}")]
    );
}

#[test]
fn copies_go_to_different_zones_first() {
    let mut lab = cluster(&NODES);
    table(&mut lab, &NODES, "passwd", &[THERE, HERE], 100 * MB);
    let zones = format!(
        "copies: 2\nnodes:\n  {THERE}: {{zone: east}}\n  {HERE}: {{zone: east}}\n  {THIRD}: {{zone: west}}\n  \
         {FOURTH}: {{zone: west}}\n"
    );
    let topology = planned(&zones, &lab.snapshot());
    assert_eq!(wanted(&topology, "passwd"), [THERE, THIRD]);
    assert_eq!(topology.quality.moved, Bytes(100 * MB));
    assert_eq!(topology.quality.moved_at_least, Bytes(100 * MB));

    // Where the other zone is no choice, both stay in one, and that is told.
    let excluded = format!("{zones}tables:\n  passwd:\n    exclusions: [{THIRD}, {FOURTH}]\n");
    let topology = planned(&excluded, &lab.snapshot());
    assert_eq!((wanted(&topology, "passwd"), topology.steps.len()), (vec![THERE, HERE], 0));
    assert_eq!(codes(&topology.warnings), [("policy_fewer_zones", vec![3, 4, 5, 6])]);
}

#[test]
fn small_tables_come_before_large_ones_and_what_has_one_copy_before_the_rest() {
    let mut lab = cluster(&NODES[..3]);
    table(&mut lab, &NODES[..3], "archive", &[HERE], 500 * MB);
    table(&mut lab, &NODES[..3], "roster", &[HERE, THIRD], 10);
    table(&mut lab, &NODES[..3], "vcard", &[HERE], 3_000);
    table(&mut lab, &NODES[..3], "passwd", &[HERE], 2_000).load_order = -1;
    let steps = told(&planned("copies: all\n", &lab.snapshot()));
    let tables: Vec<&str> = steps.iter().map(|step| step.split(' ').nth(1).unwrap()).collect();
    assert_eq!(tables, ["vcard", "vcard", "passwd", "passwd", "roster", "archive", "archive"]);
}

#[test]
fn what_stalls_for_long_waits_for_its_window_or_for_somebody_who_agrees() {
    let mut lab = cluster(&NODES[..2]);
    table(&mut lab, &NODES[..2], "archive", &[HERE], 500 * MB);
    table(&mut lab, &NODES[..2], "passwd", &[HERE], 10);
    let waits =
        |policy: &str| planned(policy, &lab.snapshot()).steps.iter().map(|s| s.waits).collect::<Vec<_>>();
    assert_eq!(waits("copies: all\n"), [Waits::Nothing, Waits::Nothing]);
    assert_eq!(waits("max_stall: 2 s\n"), [Waits::Nothing, Waits::Consent]);
    assert_eq!(waits("max_stall: 2 s\nwindow: 02:00-03:00\n"), [Waits::Nothing, Waits::Window]);
    assert_eq!(waits("max_stall: infinity\n"), [Waits::Nothing, Waits::Nothing]);
}

#[test]
fn the_storage_type_follows_the_policy_and_else_what_is_usual() {
    let mut lab = cluster(&NODES[..2]);
    table(&mut lab, &NODES[..2], "archive", &[HERE], 50);
    table(&mut lab, &NODES[..2], "passwd", &[HERE], 10);
    let policy =
        "classes:\n  durable:\n    storage: ram_copies\ntables:\n  archive:\n    storage: disc_only_copies\n";
    assert_eq!(
        told(&planned(policy, &lab.snapshot())),
        [
            format!("add passwd {THERE} ram_copies from {HERE}"),
            format!("remove passwd {HERE}"),
            format!("add passwd {HERE} ram_copies from {THERE}"),
            format!("add archive {THERE} disc_only_copies from {HERE}"),
            format!("remove archive {HERE}"),
            format!("add archive {HERE} disc_only_copies from {THERE}"),
        ]
    );
    lab.table("list", Storage::DiscCopies, &NODES[..2], &[HERE], 1).table_type = TableType::OrderedSet;
    table(&mut lab, &NODES[..2], "large", &[HERE], 2_000 * MB);
    lab.facts(THERE).use_dir = false;
    let policy = format!(
        "tables:\n  list:\n    storage: disc_only_copies\n  large:\n    storage: disc_only_copies\n    \
                          pins: {THERE}\n"
    );
    assert_eq!(
        codes(&refused(&policy, &lab.snapshot())),
        [("policy_storage", vec![5]), ("dets_limit", vec![]), ("policy_storage", vec![3]),]
    );
}

const IN_DETS: &str = "copies: 1\nclasses: {durable: {storage: disc_only_copies}}\n";

#[test]
fn another_node_has_a_copy_while_the_only_one_is_made_anew() {
    let mut lab = cluster(&NODES[..2]);
    table(&mut lab, &NODES[..2], "passwd", &[HERE], 10);
    let topology = planned(IN_DETS, &lab.snapshot());
    assert_eq!(
        told(&topology),
        [
            format!("add passwd {THERE} disc_only_copies from {HERE}"),
            format!("remove passwd {HERE}"),
            format!("add passwd {HERE} disc_only_copies from {THERE}"),
            format!("remove passwd {THERE}"),
        ]
    );
    assert_eq!(topology.warnings, [], "ejabberd had nothing there");
    for (nodes, policy) in [
        (&NODES[1..2], IN_DETS.to_owned()),
        (&NODES[..2], format!("{IN_DETS}tables:\n  passwd:\n    exclusions: {THERE}\n")),
    ] {
        let mut lab = cluster(nodes);
        table(&mut lab, nodes, "passwd", &[HERE], 10);
        let topology = planned(&policy, &lab.snapshot());
        assert_eq!(told(&topology), [""; 0], "nobody else may have one");
        assert_eq!(topology.warnings.iter().map(Problem::code).collect::<Vec<_>>(), ["policy_not_movable"]);
    }
}

/// A table with a copy on a disc here, and one in memory there.
fn half_in_memory(nodes: &[&str], bytes: u64) -> Lab {
    let mut lab = cluster(nodes);
    let (here, there) = (lab.set(&[HERE]), lab.set(&[THERE]));
    let passwd = table(&mut lab, nodes, "passwd", &[HERE, THERE], bytes);
    (passwd.disc_copies, passwd.ram_copies) = (here, there);
    lab
}

#[test]
fn the_last_copy_on_disc_does_not_go() {
    let mut lab = half_in_memory(&NODES[..2], 10);
    table(&mut lab, &NODES[..2], "roster", &[HERE], 1_000);
    assert_eq!(told(&planned("copies: 1", &lab.snapshot())), [format!("remove passwd {THERE}")]);
    let elsewhere = format!("copies: 1\ntables:\n  passwd:\n    exclusions: {HERE}\n");
    assert_eq!(
        told(&planned(&elsewhere, &lab.snapshot())),
        [
            format!("remove passwd {THERE}"),
            format!("add passwd {THERE} disc_copies from {HERE}"),
            format!("remove passwd {HERE}")
        ]
    );
    // Made anew here, it would be in memory only for as long.
    let pinned = format!("copies: 1\ntables:\n  passwd: {{storage: disc_only_copies, pins: {HERE}}}\n");
    let topology = planned(&pinned, &half_in_memory(&NODES[..2], 10).snapshot());
    assert_eq!(told(&topology), [format!("remove passwd {THERE}")]);
    assert_eq!(
        topology.warnings.iter().map(Problem::code).collect::<Vec<_>>(),
        ["policy_not_movable", "policy_ejabberd_copies"]
    );
}

#[test]
fn members_without_a_disc_get_nothing_that_needs_one() {
    let mut lab = cluster(&NODES[..3]);
    lab.facts(THIRD).use_dir = false;
    table(&mut lab, &NODES[..3], "passwd", &[HERE, THERE], 10);
    lab.table("vcard_search", Storage::DiscCopies, &NODES[..3], &[HERE, THERE], 1);
    lab.table("session", Storage::RamCopies, &NODES[..3], &[HERE, THERE], 1);
    lab.table("easy_cluster_fence", Storage::DiscCopies, &NODES[..3], &[HERE, THERE], 0).local_content = true;
    assert_eq!(
        told(&planned("copies: all", &lab.snapshot())),
        [format!("add session {THIRD} ram_copies from {THERE}")]
    );
    assert_eq!(codes(&refused("copies: 3", &lab.snapshot())), [("policy_too_few_nodes", vec![1])]);
    let pinned = format!("tables:\n  passwd:\n    pins: {THIRD}\n");
    assert_eq!(codes(&refused(&pinned, &lab.snapshot())), [("policy_storage", vec![])]);
}

#[test]
fn thousands_of_tables_are_planned_for_on_the_stack_of_a_dirty_scheduler() {
    let mut lab = cluster(&NODES[..2]);
    for number in 0..5_000 {
        table(&mut lab, &NODES[..2], &format!("t{number}"), &[HERE], 1_000);
    }
    let snapshot = lab.snapshot();
    let plan =
        std::thread::Builder::new().stack_size(320 * 1024).spawn(move || planned("copies: all", &snapshot));
    assert_eq!(plan.unwrap().join().unwrap().steps.len(), 5_000);
}

#[test]
fn impossible_wishes_are_all_told_with_their_lines() {
    let mut lab = cluster(&NODES[..3]);
    for name in ["passwd", "roster", "vcard"] {
        table(&mut lab, &NODES[..3], name, &[HERE], 600);
    }
    table(&mut lab, &NODES[..3], "session_like", &[HERE], 900);
    let policy = format!(
        "copies: 3\nnodes:\n  {THIRD}:\n    role: slave\n  {THERE}:\n    memory: 1 kB\n    disk: 100\ntables:\n  vcard:\n    \
         copies: 1\n    exclusions:\n      - {HERE}\n      - {THERE}\n  passwd:\n    pins: {THERE}\n  session_like:\n    class: derived\n"
    );
    let problems = refused(&policy, &lab.snapshot());
    assert_eq!(
        codes(&problems),
        [
            ("policy_too_few_nodes", vec![1, 4]),
            ("policy_too_few_nodes", vec![4, 10, 12, 13]),
            ("policy_no_memory", vec![1, 6]),
            ("policy_no_disk", vec![1, 7]),
        ]
    );
    assert_eq!(
        problems[0].to_string(),
        format!(
            "lines 1 and 4: 3 copies are wanted of 2 tables (passwd, roster), and these nodes may hold them: {THERE}, {HERE}"
        )
    );
}

#[test]
fn more_data_than_there_is_room_for_is_told() {
    let mut lab = cluster(&NODES[..2]);
    table(&mut lab, &NODES[..2], "archive", &[HERE], 900);
    table(&mut lab, &NODES[..2], "passwd", &[HERE], 300);
    let policy = format!("copies: 2\nnodes:\n  {THERE}:\n    memory: 1000\n");
    assert_eq!(codes(&refused(&policy, &lab.snapshot())), [("policy_no_place", vec![1, 4])]);
    // With one copy, the larger part fits there.
    let one = planned(&policy.replace("copies: 2", "copies: 1"), &lab.snapshot());
    assert_eq!(one.quality.moved, Bytes(0));
}

#[test]
fn what_is_free_is_a_limit_too() {
    let mut lab = cluster(&NODES[..2]);
    table(&mut lab, &NODES[..2], "archive", &[HERE], 900);
    lab.facts(THERE).memory_free = Some(899);
    assert_eq!(codes(&refused("copies: 2\n", &lab.snapshot())), [("policy_no_place", vec![1])]);
    lab.facts(THERE).memory_free = Some(900);
    assert_eq!(planned("copies: 2\n", &lab.snapshot()).steps.len(), 1);
}

#[test]
fn empty_tables_stay_where_they_are() {
    let mut lab = cluster(&NODES);
    for name in ["a", "b", "c", "d", "e", "f"] {
        table(&mut lab, &NODES, name, &[THIRD, FOURTH], 0);
        assert_eq!(planned("copies: 2\n", &lab.snapshot()).steps, []);
    }
}

#[test]
fn nodes_that_are_down_keep_what_they_have_and_get_nothing() {
    let mut lab = cluster(&NODES);
    table(&mut lab, &NODES, "passwd", &[HERE, FOURTH], 10);
    table(&mut lab, &NODES, "roster", &[HERE], 10);
    table(&mut lab, &NODES, "vcard", &[FOURTH], 10);
    lab.kill(FOURTH);
    let running = lab.set(&NODES[..3]);
    let mut snapshot = lab.snapshot();
    let none = lab.set(&[]);
    for table in &mut snapshot.tables {
        table.active = if table.name.as_str() == "vcard" { none } else { running };
    }
    let here = lab.set(&[HERE]);
    snapshot.tables.iter_mut().filter(|t| t.active == running).for_each(|t| t.active = here);
    snapshot.node_sets = lab.snapshot().node_sets;
    let topology = planned("copies: 3\n", &snapshot);
    assert_eq!(wanted(&topology, "passwd"), [THERE, HERE, FOURTH]);
    assert_eq!(wanted(&topology, "roster"), [THERE, HERE, THIRD]);
    assert_eq!(wanted(&topology, "vcard"), [FOURTH]);
    let told: Vec<&str> = topology.warnings.iter().map(Problem::code).collect();
    assert_eq!(told, ["policy_not_movable", "policy_waits"]);
    // Mnesia takes no copy away while one is on a node that is down.
    let topology = planned("copies: 1\n", &snapshot);
    assert_eq!(wanted(&topology, "passwd"), [HERE, FOURTH]);
}

#[test]
fn tables_that_are_left_alone_and_names_that_nobody_knows() {
    let mut lab = cluster(&NODES[..2]);
    table(&mut lab, &NODES[..2], "passwd", &[HERE], 10);
    let policy = format!("leave_alone: [passwd, pasword]\nnodes:\n  {FOURTH}: {{role: slave}}\n");
    let topology = planned(&policy, &lab.snapshot());
    assert_eq!(topology.steps, []);
    assert_eq!(
        codes(&topology.warnings),
        [("policy_unknown_node", vec![3]), ("policy_unknown_table", vec![1])]
    );
}

#[test]
fn two_nodes_that_are_full_change_places_by_way_of_a_third() {
    let mut lab = cluster(&NODES[..3]);
    table(&mut lab, &NODES[..3], "a", &[THERE], 10);
    table(&mut lab, &NODES[..3], "b", &[HERE], 10);
    let full = format!(
        "copies: 1\ntables:\n  a: {{pins: {HERE}}}\n  b: {{pins: {THERE}}}\nnodes:\n  {THERE}: {{memory: 10}}\n  \
                        {HERE}: {{memory: 10}}\n  {THIRD}: {{memory: 10}}\n"
    );
    assert_eq!(
        told(&planned(&full, &lab.snapshot())),
        [
            format!("add a {THIRD} disc_copies from {THERE}"),
            format!("remove a {THERE}"),
            format!("add b {THERE} disc_copies from {HERE}"),
            format!("remove b {HERE}"),
            format!("add a {HERE} disc_copies from {THIRD}"),
            format!("remove a {THIRD}"),
        ]
    );
    let no_way = refused(
        &full.replace(&format!("{THIRD}: {{memory: 10}}"), &format!("{THIRD}: {{memory: 9}}")),
        &lab.snapshot(),
    );
    assert_eq!(no_way.iter().map(Problem::code).collect::<Vec<_>>(), ["policy_no_way"]);
}

#[test]
fn a_cluster_that_is_not_whole_is_not_planned_for() {
    let mut lab = cluster(&NODES[..3]);
    table(&mut lab, &NODES[..3], "passwd", &[HERE], 10);
    lab.facts(THIRD).running_db_nodes = lab.set(&[THIRD]);
    let alone = lab.set(&[THIRD]);
    lab.facts(THIRD).running_db_nodes = alone;
    assert!(refused("copies: 2\n", &lab.snapshot()).iter().any(|problem| problem.code() == "partitioned"));
}

// What follows compares with all placements there are.

/// A small cluster: who holds what, sizes, and what is wanted.
#[derive(Debug, Clone)]
struct Small {
    nodes: usize,
    /// Holders as bits, bytes, copies, pins and exclusions as bits.
    tables: Vec<(u32, u64, u32, u32, u32)>,
    zones: Vec<u8>,
    limits: Vec<Option<u64>>,
}

fn bits(set: u32, nodes: usize) -> Vec<&'static str> {
    (0..nodes).filter(|node| (set >> node) & 1 == 1).map(|node| NODES[node]).collect()
}

impl Small {
    fn snapshot(&self) -> Snapshot {
        let nodes = &NODES[..self.nodes];
        let mut lab = cluster(nodes);
        for (number, (holders, bytes, ..)) in self.tables.iter().enumerate() {
            table(&mut lab, nodes, &format!("t{number}"), &bits(*holders, self.nodes), *bytes);
        }
        lab.snapshot()
    }

    fn policy(&self) -> String {
        let mut text = String::from("nodes:\n");
        for (node, zone) in self.zones.iter().enumerate() {
            let _ = writeln!(text, "  {}:\n    zone: z{zone}", NODES[node]);
            if let Some(limit) = self.limits[node] {
                let _ = writeln!(text, "    memory: {limit}");
            }
        }
        text.push_str("tables:\n");
        for (number, (_, _, copies, pins, exclusions)) in self.tables.iter().enumerate() {
            let list = |set: u32| bits(set, self.nodes).join(", ");
            let _ = writeln!(text, "  t{number}:\n    copies: {copies}\n    pins: [{}]", list(*pins));
            let _ = writeln!(text, "    exclusions: [{}]", list(*exclusions));
        }
        text
    }

    fn zones_of(&self, set: u32) -> u64 {
        let zones: BTreeSet<u8> =
            (0..self.nodes).filter(|n| (set >> n) & 1 == 1).map(|n| self.zones[n]).collect();
        zones.len() as u64
    }

    /// The least that any placement costs: zones, bytes moved, squares; nothing where none is possible.
    fn optimum(&self) -> Option<(u64, u64, u128)> {
        let all = 1_u32 << self.nodes;
        let options: Vec<Vec<u32>> = self
            .tables
            .iter()
            .map(|(_, _, copies, pins, out)| {
                (0..all)
                    .filter(|set| set.count_ones() == *copies && set & pins == *pins && set & out == 0)
                    .collect()
            })
            .collect();
        let mut best = None;
        let mut picked = vec![0_usize; options.len()];
        if options.iter().any(Vec::is_empty) {
            return None;
        }
        loop {
            let sets: Vec<u32> = picked.iter().zip(&options).map(|(pick, sets)| sets[*pick]).collect();
            best = best.into_iter().chain(self.cost(&sets, &options)).min();
            let Some(next) = (0..picked.len()).find(|at| picked[*at] + 1 < options[*at].len()) else {
                return best;
            };
            picked[next] += 1;
            picked[..next].fill(0);
        }
    }

    fn cost(&self, sets: &[u32], options: &[Vec<u32>]) -> Option<(u64, u64, u128)> {
        let mut loads = vec![0_u64; self.nodes];
        let (mut zones, mut moved) = (0, 0);
        for (((holders, bytes, ..), set), options) in self.tables.iter().zip(sets).zip(options) {
            let most = options.iter().map(|option| self.zones_of(*option)).max()?;
            zones += most - self.zones_of(*set);
            moved += bytes * u64::from((set & !holders).count_ones());
            (0..self.nodes).filter(|node| (set >> node) & 1 == 1).for_each(|node| loads[node] += bytes);
        }
        let fits =
            loads.iter().zip(&self.limits).all(|(load, limit)| limit.is_none_or(|limit| *load <= limit));
        fits.then(|| (zones, moved, loads.iter().map(|load| u128::from(*load).pow(2)).sum()))
    }

    /// What the plan's placement costs.
    fn cost_of(&self, topology: &Topology) -> Option<(u64, u64, u128)> {
        let number = |node: &NodeName| NODES.iter().position(|known| *known == node.as_str()).unwrap();
        let sets: Vec<u32> = topology
            .tables
            .iter()
            .map(|table| table.wanted.iter().map(|copy| 1 << number(&copy.node)).sum())
            .collect();
        let all = 1_u32 << self.nodes;
        let options: Vec<Vec<u32>> = self
            .tables
            .iter()
            .map(|(_, _, copies, pins, out)| {
                (0..all)
                    .filter(|set| set.count_ones() == *copies && set & pins == *pins && set & out == 0)
                    .collect()
            })
            .collect();
        for (set, allowed) in sets.iter().zip(&options) {
            assert!(allowed.contains(set), "{set:b} is not allowed in {self:?}");
        }
        self.cost(&sets, &options)
    }

    fn check(&self) {
        let policy = parse(&self.policy()).unwrap();
        let optimum = self.optimum();
        match topology::make(&policy, &self.snapshot()) {
            Ok(topology) => {
                let cost = self.cost_of(&topology).expect("no limit is broken");
                assert_eq!(Some(cost), optimum, "{self:?}");
                assert_eq!(topology.quality.moved, Bytes(cost.1), "{self:?}");
                assert!(topology.quality.moved_at_least.0 <= cost.1, "{:?} of {self:?}", topology.quality);
                if self.limits.iter().all(Option::is_none) {
                    assert_eq!(topology.quality.moved_at_least.0, cost.1, "{self:?}");
                    let root = u64::try_from(cost.2.isqrt()).unwrap();
                    assert!(
                        topology.quality.unevenness_at_least <= root,
                        "{:?} of {self:?}",
                        topology.quality
                    );
                    assert!(topology.quality.fullest_at_least.0 <= topology.quality.fullest.0, "{self:?}");
                }
                walk(&policy, &self.snapshot(), &topology);
            }
            Err(problems) => {
                let codes: Vec<&str> = problems.iter().map(Problem::code).collect();
                let no_way = codes == ["policy_no_way"];
                assert!(optimum.is_none() || no_way, "{codes:?} of {self:?}");
            }
        }
    }
}

/// Carries a plan out on paper and looks at each step. The cluster that comes of it.
fn walk(policy: &Policy, before: &Snapshot, topology: &Topology) -> Snapshot {
    let key = |table: &TableName, node: &NodeName| (table.clone(), node.clone());
    let mut copies: BTreeMap<(TableName, NodeName), Storage> = BTreeMap::new();
    for table in &topology.tables {
        copies.extend(table.now.iter().map(|copy| (key(&table.table, &copy.node), copy.storage)));
    }
    let count = |copies: &BTreeMap<(TableName, NodeName), Storage>, table: &TableName| {
        copies.keys().filter(|(name, _)| name == table).count()
    };
    let floor: BTreeMap<&TableName, usize> = topology
        .tables
        .iter()
        .map(|table| (&table.table, table.now.len().min(table.wanted.len()).max(1)))
        .collect();
    let bytes: BTreeMap<&TableName, u64> = topology.tables.iter().map(|t| (&t.table, t.bytes.0)).collect();
    let room = |storage: Storage, bytes: u64| match storage {
        Storage::RamCopies => (bytes, 0),
        Storage::DiscCopies => (bytes, bytes),
        Storage::DiscOnlyCopies => (0, bytes),
    };
    let used = |copies: &BTreeMap<(TableName, NodeName), Storage>, node: &NodeName| {
        let on_node = copies.iter().filter(|((_, holder), _)| holder == node);
        on_node.fold((0, 0), |(memory, disk), ((table, _), storage)| {
            let (more_memory, more_disk) = room(*storage, bytes[table]);
            (memory + more_memory, disk + more_disk)
        })
    };
    let start: BTreeMap<&NodeName, (u64, u64)> =
        topology.nodes.iter().map(|node| (&node.node, used(&copies, &node.node))).collect();
    for (number, step) in topology.steps.iter().enumerate() {
        let at = key(&step.table, &step.node);
        let mut meanwhile = used(&copies, &step.node);
        match &step.action {
            Action::Add { storage, source } => {
                assert!(copies.contains_key(&key(&step.table, source)), "no copy on {source}: {step:?}");
                assert_eq!(copies.insert(at, *storage), None, "{step:?}");
                meanwhile = used(&copies, &step.node);
            }
            Action::Remove { storage } => assert_eq!(copies.remove(&at), Some(*storage), "{step:?}"),
        }
        // What is stored otherwise is made anew, with one fewer for as long only where nobody else could hold one.
        let next = topology.steps.get(number + 1);
        let anew = next.is_some_and(|next| {
            (&next.table, &next.node) == (&step.table, &step.node)
                && matches!(next.action, Action::Add { .. })
        });
        let least = floor[&step.table];
        let least =
            if anew && !could_stand_in(policy, topology, &copies, step) { (least - 1).max(1) } else { least };
        assert!(count(&copies, &step.table) >= least, "too few copies after {step:?}");
        let limits = topology.nodes.iter().find(|node| node.node == step.node).unwrap();
        let limit = |limit: Option<Bytes>, start: u64| limit.map_or(u64::MAX, |limit| limit.0.max(start));
        let (memory, disk) = start[&step.node];
        if !matches!(step.action, Action::Remove { .. }) {
            assert!(meanwhile.0 <= limit(limits.memory_limit, memory), "{step:?} {meanwhile:?} {limits:?}");
            assert!(meanwhile.1 <= limit(limits.disk_limit, disk), "{step:?} {meanwhile:?} {limits:?}");
        }
    }
    for table in &topology.tables {
        let there: Vec<(&NodeName, Storage)> = copies
            .iter()
            .filter(|((name, _), _)| *name == table.table)
            .map(|((_, node), storage)| (node, *storage))
            .collect();
        let wanted: Vec<(&NodeName, Storage)> =
            table.wanted.iter().map(|copy| (&copy.node, copy.storage)).collect();
        assert_eq!(there, wanted, "{}", table.table);
    }
    let after = with_copies(before, &copies);
    let again = topology::make(policy, &after).expect("what is reached can be planned for");
    let stays = topology.warnings.iter().any(|warning| warning.code() == "policy_not_movable");
    let mixed =
        |table: &topology::TableTopology| table.now.windows(2).any(|two| two[0].storage != two[1].storage);
    if !again.steps.is_empty() && (stays || topology.tables.iter().any(mixed)) {
        // What had no room to be made anew has it now, or comes back stored otherwise.
        let last = walk(policy, &after, &again);
        assert_eq!(
            told(&topology::make(policy, &last).unwrap()),
            Vec::<String>::new(),
            "planned a third time"
        );
        return last;
    }
    assert_eq!(told(&again), Vec::<String>::new(), "planned again");
    after
}

/// Whether a node without limits could hold a copy of the step's table, and neither does nor shall.
fn could_stand_in(
    policy: &Policy,
    topology: &Topology,
    copies: &BTreeMap<(TableName, NodeName), Storage>,
    step: &topology::Step,
) -> bool {
    let excluded: Vec<&NodeName> = policy
        .tables
        .iter()
        .filter(|wish| wish.table.value == step.table)
        .flat_map(|wish| wish.exclusions.iter().map(|at| &at.value))
        .collect();
    let wanted = &topology.tables.iter().find(|table| table.table == step.table).unwrap().wanted;
    topology.nodes.iter().filter(|node| node.running && node.role == Role::Master).any(|node| {
        node.memory_limit.is_none()
            && node.disk_limit.is_none()
            && node.node != step.node
            && !excluded.contains(&&node.node)
            && !copies.contains_key(&(step.table.clone(), node.node.clone()))
            && !wanted.iter().any(|copy| copy.node == node.node)
    })
}

/// A snapshot with other copies, all of them loaded.
fn with_copies(before: &Snapshot, copies: &BTreeMap<(TableName, NodeName), Storage>) -> Snapshot {
    let mut after = before.clone();
    let mut sets = after.node_sets.clone();
    let mut index = |set: Vec<NodeName>| {
        sets.push(set);
        u32::try_from(sets.len() - 1).unwrap()
    };
    for table in &mut after.tables {
        let of = |wanted: Option<Storage>| -> Vec<NodeName> {
            let mine = copies.iter().filter(|((name, _), _)| *name == table.name);
            mine.filter(|(_, storage)| wanted.is_none_or(|wanted| wanted == **storage))
                .map(|((_, node), _)| node.clone())
                .collect()
        };
        let kinds =
            [Some(Storage::RamCopies), Some(Storage::DiscCopies), Some(Storage::DiscOnlyCopies), None]
                .map(of);
        let [ram, disc, only, all] = kinds.map(&mut index);
        (table.ram_copies, table.disc_copies, table.disc_only_copies, table.active) = (ram, disc, only, all);
    }
    after.node_sets = sets;
    after
}

#[test]
fn three_nodes_and_two_tables_in_every_way_are_planned_as_well_as_can_be() {
    let mut tried = 0;
    for holders in 0..49_u32 {
        for copies in 1..=3 {
            for sizes in [[1, 1], [1, 2], [3, 2], [0, 5]] {
                for zones in [[0, 0, 0], [0, 0, 1], [0, 1, 2]] {
                    for limit in [None, Some(3), Some(4)] {
                        let of = |number: usize, holders: u32| (holders + 1, sizes[number], copies, 0, 0);
                        let small = Small {
                            nodes: 3,
                            tables: vec![of(0, holders % 7), of(1, holders / 7)],
                            zones: zones.to_vec(),
                            limits: vec![None, limit, limit],
                        };
                        small.check();
                        tried += 1;
                    }
                }
            }
        }
    }
    assert_eq!(tried, 49 * 3 * 4 * 3 * 3);
}

fn small() -> impl Strategy<Value = Small> {
    (2..=4_usize).prop_flat_map(|nodes| {
        let all = 1_u32 << nodes;
        let table = (1..all, prop_oneof![0..4_u64, 0..1_000_u64], 0..all, 0..all, any::<u32>()).prop_map(
            move |(holders, bytes, pins, exclusions, copies)| {
                // Few pins and exclusions, none of them both, and as many copies as there can be.
                let exclusions = exclusions & exclusions.rotate_left(1) & (all - 1);
                let pins = pins & (pins >> 1) & !exclusions;
                let (least, most) = (pins.count_ones().max(1), ((all - 1) & !exclusions).count_ones());
                let exclusions = if most == 0 { 0 } else { exclusions };
                let most = ((all - 1) & !exclusions).count_ones();
                (holders, bytes, least + copies % (most - least + 1), pins, exclusions)
            },
        );
        let limits = prop_oneof![3 => Just(None), 1 => (0..2_000_u64).prop_map(Some)];
        (
            prop::collection::vec(table, 1..=5),
            prop::collection::vec(0..3_u8, nodes),
            prop::collection::vec(limits, nodes),
        )
            .prop_map(move |(tables, zones, limits)| Small {
                nodes,
                tables,
                zones,
                limits: limits.into_iter().map(|limit| limit.map(|bytes| bytes.max(1))).collect(),
            })
    })
}

/// A cluster too large to try everything: nodes in zones, tables of all kinds.
#[derive(Debug, Clone)]
struct Large {
    zones: Vec<u8>,
    /// Holders, bytes and storage type; those of the first holder may differ.
    tables: Vec<(Vec<usize>, u64, Storage, Storage)>,
    copies: u32,
    limit: Option<u64>,
    change: Option<Storage>,
}

impl Large {
    fn node(number: usize) -> String {
        if number == 0 { HERE.into() } else { format!("ejabberd@n{number:02}.example") }
    }

    fn snapshot(&self, nodes: usize) -> Snapshot {
        let names: Vec<String> = (0..nodes).map(Self::node).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let mut lab = cluster(&names);
        for (number, (holders, bytes, storage, of_first)) in self.tables.iter().enumerate() {
            let mut holders: Vec<&str> =
                holders.iter().filter(|holder| **holder < nodes).map(|holder| names[*holder]).collect();
            if holders.is_empty() {
                holders.push(HERE);
            }
            let name = format!("t{number}");
            let (first, rest) = holders.split_at(1);
            let (first, rest, none) = (lab.set(first), lab.set(rest), lab.set(&[]));
            let on = |kind: Storage, all| match (*of_first == kind, *storage == kind) {
                (true, true) => all,
                (true, false) => first,
                (false, true) => rest,
                (false, false) => none,
            };
            let table = lab.table(&name, Storage::DiscCopies, &names, &holders, bytes / 100);
            table.memory = *bytes;
            let all = table.disc_copies;
            table.ram_copies = on(Storage::RamCopies, all);
            table.disc_copies = on(Storage::DiscCopies, all);
            table.disc_only_copies = on(Storage::DiscOnlyCopies, all);
        }
        lab.snapshot()
    }

    fn policy(&self) -> Policy {
        parse(&self.text()).unwrap()
    }

    fn text(&self) -> String {
        let mut text = format!("copies: {}\nnodes:\n", self.copies);
        for (node, zone) in self.zones.iter().enumerate() {
            let _ = writeln!(text, "  {}:\n    zone: z{zone}", Self::node(node));
            if let Some(limit) = self.limit {
                let _ = writeln!(text, "    memory: {limit}\n    disk: {}", limit * 2);
            }
        }
        if let Some(storage) = self.change {
            let _ = writeln!(text, "classes:\n  durable:\n    storage: {}", storage.as_str());
        }
        text
    }
}

fn storage() -> impl Strategy<Value = Storage> {
    prop::sample::select(vec![Storage::RamCopies, Storage::DiscCopies, Storage::DiscOnlyCopies])
}

fn large() -> impl Strategy<Value = Large> {
    (5..9_usize).prop_flat_map(|nodes| {
        let table = (
            prop::collection::btree_set(0..nodes, 1..4),
            0..5_000_u64,
            storage(),
            prop::option::of(storage()),
        )
            .prop_map(|(holders, bytes, storage, of_first)| {
                (holders.into_iter().collect(), bytes, storage, of_first.unwrap_or(storage))
            });
        (
            prop::collection::vec(0..3_u8, nodes),
            prop::collection::vec(table, 5..30),
            1..4_u32,
            prop_oneof![Just(None), (8_000..60_000_u64).prop_map(Some)],
            prop_oneof![2 => Just(None), 1 => storage().prop_map(Some)],
        )
            .prop_map(
                |(zones, mut tables, copies, limit, change): (_, Vec<(_, _, Storage, Storage)>, _, _, _)| {
                    // Between limits that are tight, what comes back stored otherwise can need a third look.
                    if limit.is_some() {
                        tables.iter_mut().for_each(|(_, _, storage, of_first)| *of_first = *storage);
                    }
                    Large { zones, tables, copies, limit, change }
                },
            )
    })
}

fn shuffled(snapshot: &Snapshot, seed: u64) -> Snapshot {
    let mut other = snapshot.clone();
    let mut state = seed | 1;
    let mut next = |limit: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        usize::try_from(state % limit as u64).unwrap()
    };
    for at in (1..other.tables.len()).rev() {
        other.tables.swap(at, next(at + 1));
    }
    for at in (2..other.members.len()).rev() {
        other.members.swap(at, 1 + next(at));
    }
    other
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]

    #[test]
    fn small_clusters_are_planned_as_well_as_can_be(small in small()) {
        small.check();
    }

    #[test]
    fn every_step_of_a_larger_plan_keeps_copies_and_limits(large in large()) {
        let (policy, snapshot) = (large.policy(), large.snapshot(large.zones.len()));
        if let Ok(topology) = topology::make(&policy, &snapshot) {
            walk(&policy, &snapshot, &topology);
            prop_assert!(topology.quality.moved_at_least.0 <= topology.quality.moved.0, "{:?}", topology.quality);
            if large.limit.is_none() {
                // Without limits, no more is moved than has to be.
                prop_assert_eq!(topology.quality.moved_at_least, topology.quality.moved);
            }
        } else {
            prop_assert!(large.limit.is_some(), "without limits there is always a way");
        }
    }

    #[test]
    fn the_order_of_what_comes_in_does_not_matter(large in large(), seed in any::<u64>()) {
        let (policy, snapshot) = (large.policy(), large.snapshot(large.zones.len()));
        let mut other_policy = policy.clone();
        other_policy.nodes.reverse();
        let other = topology::make(&other_policy, &shuffled(&snapshot, seed));
        prop_assert_eq!(topology::make(&policy, &snapshot), other);
    }

    #[test]
    fn a_node_more_or_less_moves_at_most_its_fair_share(large in large()) {
        let large = Large { limit: None, change: None, ..large };
        let nodes = large.zones.len();
        let policy = large.policy();
        // What the policy wants of all but the last node.
        let fewer = large.snapshot(nodes - 1);
        let reached = walk(&policy, &fewer, &topology::make(&policy, &fewer).unwrap());
        // That node comes, and is of a zone that there is, or all tables would have to come for the zone's sake.
        let is_known_zone = large.zones[..nodes - 1].contains(&large.zones[nodes - 1]);
        let more = with_a_member(&reached, &large.snapshot(nodes));
        let plan = topology::make(&policy, &more).unwrap();
        let all: u64 = large.tables.iter().map(|(_, bytes, _, _)| bytes).sum();
        let wanted = usize::try_from(large.copies).unwrap();
        if is_known_zone && nodes > wanted {
            let share = all * u64::from(large.copies) / nodes as u64;
            prop_assert!(plan.quality.moved.0 <= share, "{:?} of {share}", plan.quality);
        } else {
            prop_assert!(plan.quality.moved.0 <= all, "{:?} of {all}", plan.quality);
        }
        // It goes: what it held is made anew elsewhere, and nothing else.
        let full = large.snapshot(nodes);
        let reached = walk(&policy, &full, &topology::make(&policy, &full).unwrap());
        let gone = without_a_member(&reached, &fewer, &Large::node(nodes - 1).as_str().into());
        let before = topology::make(&policy, &reached).unwrap();
        let held = before.nodes.iter().find(|node| node.node.as_str() == Large::node(nodes - 1)).unwrap();
        let plan = topology::make(&policy, &gone).unwrap();
        let held = held.now.memory.0.max(held.now.disk.0).max(
            before.tables.iter().filter(|t| t.now.iter().any(|c| c.node == held.node)).map(|t| t.bytes.0).sum());
        prop_assert!(plan.quality.moved.0 <= held, "{:?} of {held}", plan.quality);
    }
}

proptest! {
    // Each plans several times over.
    #![proptest_config(ProptestConfig::with_cases(150))]

    #[test]
    fn a_repair_is_checked_by_what_it_leads_to(large in large()) {
        let snapshot = large.snapshot(large.zones.len());
        let mut inputs = cluster(&[HERE]).inputs(Operation::Repair(Repair { policy: large.text(), minute: 0, lately: Vec::new(), refused: Vec::new() }));
        inputs.snapshot = snapshot.clone();
        let (Ok(plan), Ok(topology)) = (operation::make(&inputs), topology::make(&large.policy(), &snapshot)) else { return Ok(()) };
        prop_assert_eq!(operation::fits(&plan, &snapshot, None), Ok(()));
        let reached = walk(&large.policy(), &snapshot, &topology);
        prop_assert_eq!(operation::goal(&plan, &reached), Ok(()));
        prop_assert!(plan.steps.len() <= 2 || operation::goal(&plan, &snapshot).is_err());
    }

    #[test]
    fn a_repair_fits_for_as_long_as_it_leads_to_what_is_wanted_however_the_tables_have_grown(
        large in large(), sizes in prop::collection::vec(0..5_000_u64, 30), missed in any::<prop::sample::Index>(),
    ) {
        let large = Large { limit: None, ..large };
        let snapshot = large.snapshot(large.zones.len());
        let repair = Repair { policy: large.text(), minute: 0, lately: Vec::new(), refused: Vec::new() };
        let mut inputs = cluster(&[HERE]).inputs(Operation::Repair(repair));
        inputs.snapshot = snapshot.clone();
        let plan = operation::make(&inputs).unwrap();
        let mut now = snapshot;
        for table in &mut now.tables {
            table.memory = sizes[table.name.as_str()[1..].parse::<usize>().unwrap()];
        }
        prop_assert_eq!(operation::fits(&plan, &now, None), Ok(()));
        let mut short = plan.clone();
        short.steps.remove(missed.index(plan.steps.len() - 1));
        let refused = operation::fits(&short, &now, None);
        prop_assert!(plan.steps.len() == 1 || refused.is_err_and(|problems| codes(&problems)[0].0 == "plan_changed"));
    }
}

/// The tables of one snapshot with the members of another, which are more.
fn with_a_member(tables: &Snapshot, members: &Snapshot) -> Snapshot {
    let mut snapshot = members.clone();
    let offset = u32::try_from(snapshot.node_sets.len()).unwrap();
    snapshot.node_sets.extend(tables.node_sets.iter().cloned());
    let everybody = snapshot.tables[0].seen_by;
    snapshot.tables = tables.tables.clone();
    for table in &mut snapshot.tables {
        for set in [
            &mut table.ram_copies,
            &mut table.disc_copies,
            &mut table.disc_only_copies,
            &mut table.external_copies,
            &mut table.active,
        ] {
            *set += offset;
        }
        table.seen_by = everybody;
    }
    snapshot
}

/// The tables of one snapshot with the members of another, which are fewer; copies that are left nowhere are at home.
fn without_a_member(tables: &Snapshot, members: &Snapshot, gone: &NodeName) -> Snapshot {
    let mut tables = tables.clone();
    tables.node_sets.iter_mut().for_each(|set| set.retain(|node| node != gone));
    let home = u32::try_from(tables.node_sets.len()).unwrap();
    tables.node_sets.push(vec![HERE.into()]);
    for table in &mut tables.tables {
        if tables.node_sets[table.active as usize].is_empty() {
            (table.disc_copies, table.active) = (home, home);
        }
    }
    with_a_member(&tables, members)
}

// What is shown of it.

/// A cluster with names that no XML file may have as they are.
fn odd() -> (Policy, Snapshot) {
    let mut lab = cluster(&NODES);
    table(&mut lab, &NODES, "<b>&\"'\u{1b}[2J", &[HERE, THERE], 40 * MB);
    table(&mut lab, &NODES, "archive", &[HERE], 90 * MB);
    for number in 0..200 {
        table(&mut lab, &NODES, &format!("small{number:03}"), &[HERE, THIRD], 10 + number);
    }
    lab.table("session", Storage::RamCopies, &NODES, &[HERE], 3);
    let policy = format!(
        "copies: 2\nnodes:\n  {HERE}: {{zone: 'a<b & \"c\"', memory: 100 MB}}\n  {THERE}: {{zone: west, role: slave}}\n  {FOURTH}: {{role: witness}}\n\
         tables:\n  archive: {{storage: disc_only_copies}}\n"
    );
    (parse(&policy).unwrap(), lab.snapshot())
}

#[test]
fn the_picture_is_well_formed_whatever_the_names_are() {
    let (policy, snapshot) = odd();
    let topology = topology::make(&policy, &snapshot).unwrap();
    let svg = picture::svg(&topology);
    let document = roxmltree::Document::parse(&svg).unwrap_or_else(|error| panic!("{error}\n{svg}"));
    let titles: Vec<&str> = document
        .descendants()
        .filter(|node| node.has_tag_name(("http://www.w3.org/2000/svg", "title")))
        .filter_map(|node| node.text())
        .collect();
    let has =
        |words: &str| assert!(titles.iter().any(|title| title.contains(words)), "no {words:?} in {titles:?}");
    has("<b>&\"'\\x{1b}[2J (durable): disc_copies");
    has("archive (durable): disc_only_copies, 900000 rows, 90.0 MB; comes");
    has("archive (durable): disc_only_copies, 900000 rows, 90.0 MB; is stored in another way");
    has("small tables of");
    // However many small ones move, each kind of them is one part.
    assert!(titles.len() < 60, "{} parts", titles.len());
    assert!(document.descendants().any(|node| node.text() == Some("zone a<b & \"c\"")), "{svg}");
    // Everything lies on the page, nodes and zones one below the other.
    let number = |node: &roxmltree::Node<'_, '_>, name: &str| -> f64 {
        node.attribute(name).map_or(0.0, |text| text.parse().unwrap())
    };
    let page = document.root_element();
    for rectangle in document.descendants().filter(|node| node.tag_name().name() == "rect") {
        let right = number(&rectangle, "x") + number(&rectangle, "width");
        let bottom = number(&rectangle, "y") + number(&rectangle, "height");
        assert!(right <= number(&page, "width") && bottom <= number(&page, "height"), "{rectangle:?}");
    }
}

#[test]
fn the_matrix_shows_what_is_and_what_is_wanted() {
    let (policy, snapshot) = odd();
    let matrix = tables::matrix(&snapshot, Some(&policy)).unwrap();
    let row = |name: &str| {
        let line = matrix.text.lines().find(|line| line.trim_start().starts_with(name)).unwrap_or_default();
        line.split_whitespace().collect::<Vec<_>>().join(" ")
    };
    assert_eq!(
        row("archive"),
        "archive durable 900000 90.0 MB . disc>only +only . 1 missing, 1 stored otherwise"
    );
    assert_eq!(row("session"), "session rows of processes 3 450 bytes +ram ram +ram . 2 missing");
    assert_eq!(row("small000"), "small000 durable 0 10 bytes . disc disc . -");
    assert!(
        matrix.text.starts_with("203 tables on 4 nodes: 3 are not as the policy wants them\n"),
        "{}",
        matrix.text
    );
    let text: String = matrix.text.lines().take(5).map(|line| format!("{line}\n")).collect();
    assert!(text.contains(&format!("   1 = {THERE}\n   2 = {HERE}\n")), "{text}");

    // Without a policy nothing is wanted, and what is not loaded can be seen.
    let mut snapshot = snapshot;
    let nobody = u32::try_from(snapshot.node_sets.iter().position(Vec::is_empty).unwrap()).unwrap();
    snapshot.tables.iter_mut().for_each(|table| table.active = nobody);
    let matrix = tables::matrix(&snapshot, None).unwrap();
    let archive = matrix.text.lines().find(|line| line.contains("archive")).unwrap();
    assert!(
        archive
            .split_whitespace()
            .rev()
            .eq([".", ".", "disc?", ".", "MB", "90.0", "900000", "durable", "archive"]),
        "{archive}"
    );
    assert_eq!(matrix.drifted, None);
}

#[test]
fn a_wide_cluster_is_summed_up() {
    let names: Vec<String> = (0..20).map(Large::node).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let mut lab = cluster(&names);
    table(&mut lab, &names, "passwd", &names[..3], 10);
    lab.table("session", Storage::RamCopies, &names, &[], 0);
    let text = tables::matrix(&lab.snapshot(), None).unwrap().text;
    let line = |name: &str| text.lines().find(|line| line.contains(name)).unwrap().to_owned();
    assert!(line("passwd").ends_with("3 disc") && line("session").ends_with("none"), "{text}");
}

#[test]
fn the_plan_reads_as_it_is_done() {
    let (policy, snapshot) = odd();
    let text = words::words(&topology::make(&policy, &snapshot).unwrap());
    for line in [
        "4 nodes with 203 tables: ".to_owned(),
        format!("add archive on {THIRD} as disc_only_copies, from {HERE} (900000 rows, 90.0 MB)"),
        format!("remove archive from {HERE} (disc_copies)"),
        format!("add archive on {HERE} as disc_only_copies, from {THIRD}"),
        "; at most 100.0 MB in memory".into(),
        "  copied      ".into(),
    ] {
        assert!(text.contains(&line), "no {line:?} in\n{text}");
    }
}

#[test]
fn a_read_only_table_stays_where_it_is() {
    let mut lab = cluster(&NODES[..2]);
    table(&mut lab, &NODES[..2], "passwd", &[HERE], 10).access_mode = AccessMode::ReadOnly;
    let topology = planned("copies: 2\n", &lab.snapshot());
    assert_eq!(told(&topology), [""; 0]);
    assert!(topology.warnings.iter().any(|warning| warning.code() == "policy_not_movable"));
}
