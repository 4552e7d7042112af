//! The order of a start after an outage, held against a model of Mnesia that runs the events one by one.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "helpers of tests")]

use std::collections::{BTreeMap, BTreeSet};

use easy_cluster::model::machine::decisions::{Decisions, Sighting};
use easy_cluster::model::machine::schema::{Holders, Schema};
use easy_cluster::model::name::{NodeName, TableName};
use easy_cluster::model::store::Store;
use easy_cluster::plan::boot::{Order, order};
use easy_cluster::validate::problem::Problem;
use proptest::prelude::*;

const NODES: usize = 3;

fn name(node: usize) -> NodeName {
    NodeName::from(["a@host", "b@host", "c@host"][node])
}

#[derive(Debug, Clone, Default)]
struct Table {
    ram: BTreeSet<usize>,
    disc: BTreeSet<usize>,
    local: bool,
    /// For each node, those it prefers.
    masters: [BTreeSet<usize>; NODES],
}

impl Table {
    fn holders(&self) -> BTreeSet<usize> {
        &self.ram | &self.disc
    }
}

/// A table as it is on a node.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
struct Copy {
    loaded: bool,
    /// How many writes it has; on disc, they stay.
    writes: u32,
}

/// When a node was seen to go and to come.
type Seen = (Option<u32>, Option<u32>);

/// Mnesia's rules, one event after another.
#[derive(Debug, Clone)]
struct Model {
    tables: Vec<Table>,
    up: BTreeSet<usize>,
    /// Whom each node has a record of.
    downs: [BTreeSet<usize>; NODES],
    /// The times of these, and of those that were taken away.
    seen: [BTreeMap<usize, Seen>; NODES],
    clock: u32,
    copies: Vec<[Copy; NODES]>,
}

impl Model {
    fn new(tables: Vec<Table>) -> Self {
        let all = 0..NODES;
        let copy = |table: &Table, node| Copy { loaded: table.holders().contains(&node), writes: 0 };
        let copies = tables.iter().map(|table| [0, 1, 2].map(|node| copy(table, node))).collect();
        Self {
            tables,
            up: all.collect(),
            downs: Default::default(),
            seen: Default::default(),
            clock: 0,
            copies,
        }
    }

    fn write(&mut self) {
        for (table, copies) in self.tables.iter().zip(&mut self.copies) {
            for node in table.holders() {
                copies[node].writes += u32::from(copies[node].loaded && self.up.contains(&node));
            }
        }
    }

    fn stop(&mut self, node: usize) {
        self.up.remove(&node);
        self.clock += 1;
        for other in &self.up {
            self.downs[*other].insert(node);
            self.seen[*other].entry(node).or_default().0 = Some(self.clock);
        }
        self.vanish(node);
    }

    fn kill_all(&mut self) {
        for node in std::mem::take(&mut self.up) {
            self.vanish(node);
        }
    }

    fn vanish(&mut self, node: usize) {
        for (table, copies) in self.tables.iter().zip(&mut self.copies) {
            copies[node].loaded = false;
            if table.ram.contains(&node) {
                copies[node].writes = 0;
            }
        }
    }

    fn start(&mut self, node: usize) {
        self.up.insert(node);
        for table in 0..self.tables.len() {
            if self.loads_by_itself(node, table) {
                self.load(node, table);
            }
        }
        let others: Vec<usize> = self.up.iter().copied().filter(|other| *other != node).collect();
        self.clock += 1;
        for other in &others {
            for (one, two) in [(node, *other), (*other, node)] {
                self.downs[one].remove(&two);
                self.seen[one].entry(two).or_default().1 = Some(self.clock);
            }
        }
        self.adopt();
        self.spread();
    }

    fn loads_by_itself(&self, node: usize, table: usize) -> bool {
        let t = &self.tables[table];
        let holders = t.holders();
        if !holders.contains(&node) {
            return false;
        }
        let masters = &t.masters[node];
        if holders.len() == 1 || t.local || masters.contains(&node) {
            return true;
        }
        if !masters.is_empty() {
            return false;
        }
        if t.ram.contains(&node) {
            return t.disc.is_empty();
        }
        t.disc.iter().all(|other| *other == node || self.downs[node].contains(other))
    }

    /// From where it is loaded, or from one's own disc.
    fn load(&mut self, node: usize, table: usize) {
        let t = &self.tables[table];
        let masters = &t.masters[node];
        let active = (0..NODES).find(|other| {
            *other != node
                && !t.local
                && self.copies[table][*other].loaded
                && (masters.is_empty() || masters.contains(other))
        });
        if let Some(source) = active {
            self.copies[table][node].writes = self.copies[table][source].writes;
        }
        self.copies[table][node].loaded = true;
    }

    /// All holders on disc are up and nobody has the table: the first of them takes it, or its masters do.
    fn adopt(&mut self) {
        for table in 0..self.tables.len() {
            let t = &self.tables[table];
            let active = t.holders().iter().any(|node| self.copies[table][*node].loaded);
            if active || t.local || t.disc.is_empty() || !t.disc.is_subset(&self.up) {
                continue;
            }
            let first = *t.disc.iter().next().unwrap();
            let takes = |node: &usize| {
                t.disc.contains(node) && (t.masters[*node].is_empty() || t.masters[*node].contains(node))
            };
            let taker = match t.masters[first].is_empty() {
                true => Some(first),
                false => t.masters[first].iter().copied().find(takes),
            };
            if let Some(node) = taker {
                self.load(node, table);
            }
        }
    }

    /// Who has a table gives it to who waits and takes it from there, again and again.
    fn spread(&mut self) {
        for _ in 0..NODES {
            for table in 0..self.tables.len() {
                self.give(table);
            }
        }
    }

    fn give(&mut self, table: usize) {
        let t = self.tables[table].clone();
        for node in t.holders() {
            let masters = &t.masters[node];
            let accepts = |other: usize| {
                self.copies[table][other].loaded && (masters.is_empty() || masters.contains(&other))
            };
            let waits = self.up.contains(&node) && !self.copies[table][node].loaded && !t.local;
            if waits && (0..NODES).any(accepts) {
                self.load(node, table);
            }
        }
    }

    fn stores(&self) -> Vec<Store> {
        (0..NODES).map(|node| self.store(node)).collect()
    }

    fn store(&self, node: usize) -> Store {
        let names = |nodes: &BTreeSet<usize>| nodes.iter().map(|node| name(*node)).collect::<Vec<_>>();
        let tables = self.tables.iter().enumerate().map(|(number, t)| {
            let holders = Holders {
                ram: names(&t.ram),
                disc: names(&t.disc),
                local_content: t.local,
                read_only: false,
            };
            (table(number), holders)
        });
        let at = |time: Option<u32>| time.map(|time| format!("2026-01-01 00:00:{time:02}"));
        let seen = self.seen[node].iter().map(|(other, (down, up))| {
            let is_down = self.downs[node].contains(other);
            (name(*other), Sighting { is_down, down: at(*down), up: at(*up) })
        });
        let masters = self.tables.iter().enumerate().filter(|(_, t)| !t.masters[node].is_empty());
        Store {
            directory: format!("/{node}"),
            node: name(node),
            schema: Schema {
                members: (0..NODES).map(name).collect(),
                tables: tables.collect(),
                cookies: [("schema".into(), "1".into())].into(),
            },
            decisions: Decisions {
                owner: Some(name(node)),
                seen: seen.collect(),
                masters: masters.map(|(number, t)| (table(number), names(&t.masters[node]))).collect(),
                ..Decisions::default()
            },
        }
    }

    /// Tables that a node that runs holds and has not loaded.
    fn waiting(&self) -> BTreeMap<NodeName, Vec<TableName>> {
        let mut waiting: BTreeMap<NodeName, Vec<TableName>> = BTreeMap::new();
        for node in &self.up {
            for (number, t) in self.tables.iter().enumerate() {
                if t.holders().contains(node) && !self.copies[number][*node].loaded {
                    waiting.entry(name(*node)).or_default().push(table(number));
                }
            }
        }
        waiting
    }
}

fn table(number: usize) -> TableName {
    TableName::from(format!("t{number}"))
}

#[derive(Debug, Clone, Copy)]
enum Event {
    Write,
    Stop(usize),
    Start(usize),
    KillAll,
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    let event = prop_oneof![
        3 => Just(Event::Write),
        4 => (0..NODES).prop_map(Event::Stop),
        3 => (0..NODES).prop_map(Event::Start),
        1 => Just(Event::KillAll),
    ];
    prop::collection::vec(event, 0..12)
}

fn some_nodes() -> impl Strategy<Value = BTreeSet<usize>> {
    prop::collection::btree_set(0..NODES, 0..=NODES)
}

fn tables(masters: bool) -> impl Strategy<Value = Vec<Table>> {
    let preferred = if masters {
        prop_oneof![3 => Just(BTreeSet::new()), 1 => some_nodes()].boxed()
    } else {
        Just(BTreeSet::new()).boxed()
    };
    let one = (
        some_nodes(),
        some_nodes(),
        prop::bool::weighted(0.1),
        [preferred.clone(), preferred.clone(), preferred],
    );
    let one = one.prop_map(|(ram, disc, local, masters)| Table { ram: &ram - &disc, disc, local, masters });
    prop::collection::vec(one.prop_filter("nobody holds it", |table| !table.holders().is_empty()), 1..5)
}

/// All are down in the end, in the order of their names where they were not.
fn outage(tables: Vec<Table>, events: &[Event]) -> Model {
    let mut model = Model::new(tables);
    for event in events {
        match *event {
            Event::Write => model.write(),
            Event::Stop(node) if model.up.contains(&node) => model.stop(node),
            Event::Start(node) if !model.up.contains(&node) => model.start(node),
            Event::KillAll => model.kill_all(),
            Event::Stop(_) | Event::Start(_) => {}
        }
    }
    for node in 0..NODES {
        if model.up.contains(&node) {
            model.write();
            model.stop(node);
        }
    }
    model
}

fn number(node: &NodeName) -> usize {
    (0..NODES).find(|number| name(*number) == *node).unwrap()
}

fn permutation() -> impl Strategy<Value = Vec<usize>> {
    Just((0..NODES).collect::<Vec<_>>()).prop_shuffle()
}

fn given(model: &Model, nodes: &[usize]) -> Order {
    let stores = model.stores();
    order(&nodes.iter().map(|node| stores[*node].clone()).collect::<Vec<_>>())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    /// Whatever was started, in whatever order, the tables that wait are those that were told.
    #[test]
    fn the_tables_that_wait_are_told(tables in tables(true), events in events(), sequence in permutation(), count in 1..=NODES) {
        let mut model = outage(tables, &events);
        let started = &sequence[..count];
        let told = given(&model, started);
        for node in started {
            model.start(*node);
        }
        prop_assert_eq!(told.waiting, model.waiting());
    }

    /// Who waits alone, and for whom: one of them is a cure, or it is not told that they may be newer.
    #[test]
    fn a_node_that_is_started_alone_waits_for_what_was_told(tables in tables(true), events in events(), node in 0..NODES) {
        let mut model = outage(tables, &events);
        let told = given(&model, &[node]);
        model.start(node);
        let waits: BTreeSet<TableName> = told.start[0].waits.iter().flat_map(|wait| wait.tables.clone()).collect();
        let really: BTreeSet<TableName> = model.waiting().into_values().flatten().collect();
        prop_assert_eq!(waits, really);
    }

    /// In the order that is told, no write is lost, unless that was said.
    #[test]
    fn in_the_order_that_is_told_the_newest_rows_stay(tables in tables(false), events in events()) {
        let mut model = outage(tables, &events);
        let told = given(&model, &[0, 1, 2]);
        let newest: Vec<u32> = model.copies.iter().map(|copies| copies.iter().map(|copy| copy.writes).max().unwrap()).collect();
        for start in &told.start {
            model.start(number(&start.node));
        }
        let mut doubtful = BTreeSet::new();
        for problem in &told.problems {
            if let Problem::NobodyLast { tables, .. } = problem {
                doubtful.extend(tables.0.iter().cloned());
            } else {
                prop_assert!(["both_outlived", "ran_since"].contains(&problem.code()), "{}", problem);
                doubtful.extend((0..model.tables.len()).map(table));
            }
        }
        for (number, t) in model.tables.iter().enumerate() {
            if t.local || t.disc.is_empty() || doubtful.contains(&table(number)) {
                continue;
            }
            for node in t.holders() {
                prop_assert!(model.copies[number][node].loaded);
                prop_assert_eq!(model.copies[number][node].writes, newest[number], "{:?} on {}", table(number), node);
            }
        }
    }
}

#[test]
fn stopped_one_after_another_the_last_one_is_first() {
    for stopped in [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
        let disc = (0..NODES).collect();
        let mut model = Model::new(vec![Table { disc, ..Table::default() }]);
        for node in stopped {
            model.stop(node);
        }
        let told = given(&model, &[0, 1, 2]);
        let nodes: Vec<usize> = told.start.iter().rev().map(|start| number(&start.node)).collect();
        assert_eq!((nodes, told.problems), (stopped.to_vec(), vec![]));
        let without_last = given(&model, &stopped[..2]);
        let [Problem::LastNodeMissing { nodes, best, .. }] = without_last.problems.as_slice() else {
            panic!("{:?}", without_last.problems)
        };
        assert_eq!((nodes.0.clone(), best.clone()), (vec![name(stopped[2])], name(stopped[1])));
    }
}

#[test]
fn killed_at_once_they_load_from_the_first_when_all_are_up() {
    let disc = (0..NODES).collect();
    let mut model = Model::new(vec![Table { disc, ..Table::default() }]);
    model.kill_all();
    let told = given(&model, &[2, 1, 0]);
    let expected = Problem::NobodyLast {
        nodes: easy_cluster::validate::problem::Nodes((0..NODES).map(name).collect()),
        tables: easy_cluster::validate::problem::Tables(vec![table(0)]),
        from: name(0),
        hint: String::new(),
    };
    assert_eq!((told.problems, told.waiting.len()), (vec![expected], 0));
    assert_eq!(given(&model, &[2, 1]).waiting.len(), 2);
}

#[test]
fn a_master_node_that_is_missing_is_told_even_to_the_last_one() {
    let disc: BTreeSet<usize> = (0..NODES).collect();
    let masters = [BTreeSet::new(), BTreeSet::new(), BTreeSet::from([0])];
    let mut model = Model::new(vec![Table { disc, masters, ..Table::default() }]);
    for node in [0, 1, 2] {
        model.stop(node);
    }
    let told = given(&model, &[1, 2]);
    assert!(
        told.problems
            .iter()
            .any(|problem| matches!(problem, Problem::DeadMasterNodes { node, .. } if *node == name(2)))
    );
    assert!(told.waiting.contains_key(&name(2)));
}

#[test]
fn directories_of_other_clusters_and_copies_are_left_aside() {
    let disc: BTreeSet<usize> = (0..NODES).collect();
    let model = Model::new(vec![Table { disc, ..Table::default() }]);
    let [a, b, c] = <[Store; 3]>::try_from(model.stores()).unwrap();
    let mut foreign = a.clone();
    foreign.node = "x@host".into();
    foreign.schema.members = vec!["x@host".into(), "y@host".into()];
    let mut forgotten = c;
    forgotten.schema.members = vec![name(2)];
    let told = order(&[a.clone(), foreign.clone(), a.clone(), b.clone(), forgotten.clone()]);
    let codes: Vec<&str> = told.problems.iter().map(Problem::code).collect();
    assert_eq!(codes[..4], ["foreign_database", "database_twice", "forgotten_here", "forgotten_here"]);
    // One that has left has a database of its own: nobody is told to give the cluster's up.
    forgotten.schema.cookies = [("schema".into(), "2".into())].into();
    let told = order(&[a.clone(), foreign, a, b, forgotten]);
    let codes: Vec<&str> = told.problems.iter().map(Problem::code).collect();
    assert_eq!(codes[..4], ["foreign_database", "database_twice", "member_left", "member_left"]);
    assert_eq!(told.start.len(), 3);
}
