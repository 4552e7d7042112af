//! After a total outage: which node was last, in which order to start, and which tables wait for whom.
//!
//! The rules are Mnesia's own (`mnesia_controller:last_consistent_replica/2`, `orphan_tables/5`): a node loads a table from its
//! disc if it saw every other holder go down; if nobody did, the first of the holders by name does once all of them are up; the
//! others take it from there. Master nodes override that.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::model::name::{NodeName, TableName};
pub use crate::model::store::Reason;
use crate::model::store::Store;
use crate::validate::problem::{Nodes, Problem, Tables};

/// Tables that wait.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wait {
    /// Why.
    pub reason: Reason,
    /// For whom. Of those with a copy on disc, one is enough if it loads the table.
    pub nodes: Vec<NodeName>,
    /// Which.
    pub tables: Vec<TableName>,
}

/// A node that is to be started.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Start {
    /// The node.
    pub node: NodeName,
    /// Its directory.
    pub directory: String,
    /// Nodes that it saw go down, and when, by its clock and in its time zone.
    pub saw: Vec<(NodeName, Option<String>)>,
    /// Tables that it loads by itself, whoever else is up.
    pub loads: Vec<TableName>,
    /// Tables that wait as long as it is the only one.
    pub waits: Vec<Wait>,
}

/// The order to start in, and what comes of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Order {
    /// All nodes that a directory lists.
    pub members: Vec<NodeName>,
    /// Those whose directory was not given.
    pub missing: Vec<NodeName>,
    /// The last one first.
    pub start: Vec<Start>,
    /// Tables that still wait on a node when all of them are up.
    pub waiting: BTreeMap<NodeName, Vec<TableName>>,
    /// What is in the way.
    pub problems: Vec<Problem>,
}

/// The order for these databases.
#[must_use]
pub fn order(stores: &[Store]) -> Order {
    let (cluster, mut problems) = one_cluster(stores);
    let listed =
        cluster.iter().flat_map(|store| &store.schema.members).chain(cluster.iter().map(|s| &s.node));
    let members: BTreeSet<&NodeName> = listed.collect();
    let missing: Vec<NodeName> = members
        .iter()
        .filter(|node| !cluster.iter().any(|s| s.node == ***node))
        .map(|node| (*node).clone())
        .collect();
    let sequence = newest_first(&cluster);
    let together = together(&cluster);
    problems.extend(ran_apart(&sequence));
    problems.extend(dead_masters(&sequence, &missing));
    problems.extend(missing_ones(&sequence, &missing, &together));
    problems.extend(ran_since(&sequence));
    problems.extend(nobody_last(&sequence, &together));
    problems.extend(unclear(&sequence));
    Order {
        members: members.into_iter().cloned().collect(),
        missing,
        start: sequence.iter().map(|store| start(store)).collect(),
        waiting: waiting(&cluster, &together),
        problems,
    }
}

fn start(store: &Store) -> Start {
    let mut waits: BTreeMap<(Reason, Vec<NodeName>), Vec<TableName>> = BTreeMap::new();
    let mut loads = Vec::new();
    for (table, holders) in store.held() {
        match store.loads(table, holders) {
            Ok(()) => loads.push(table.clone()),
            Err((reason, nodes)) => waits.entry((reason, nodes)).or_default().push(table.clone()),
        }
    }
    Start {
        node: store.node.clone(),
        directory: store.directory.clone(),
        saw: store.gone().map(|(node, seen)| (node.clone(), seen.down.clone())).collect(),
        loads,
        waits: waits.into_iter().map(|((reason, nodes), tables)| Wait { reason, nodes, tables }).collect(),
    }
}

/// What becomes of a table when all databases are up.
#[derive(Debug, Clone, PartialEq, Eq)]
enum End {
    /// These load it, each by itself.
    Loaded(Vec<NodeName>),
    /// Nobody saw all others go; this one loads it as the first by name.
    Adopted(NodeName),
    /// It waits.
    Waits,
}

fn together(cluster: &[&Store]) -> BTreeMap<TableName, End> {
    let tables: BTreeSet<&TableName> = cluster.iter().flat_map(|store| store.schema.tables.keys()).collect();
    tables.into_iter().map(|table| (table.clone(), end(cluster, table))).collect()
}

fn end(cluster: &[&Store], table: &TableName) -> End {
    let holds = |store: &&&Store| store.held().any(|(name, _)| name == table);
    let loading: Vec<NodeName> = cluster
        .iter()
        .filter(holds)
        .filter(|store| store.schema.tables.get(table).is_some_and(|h| store.loads(table, h).is_ok()))
        .map(|store| store.node.clone())
        .collect();
    if !loading.is_empty() {
        return End::Loaded(loading);
    }
    let of = |node: &NodeName| cluster.iter().find(|store| store.node == *node);
    // Holders as the newest of them knows them: the first one that has the table.
    let Some(disc) = cluster.iter().find_map(|store| store.schema.tables.get(table)).map(|h| &h.disc) else {
        return End::Waits;
    };
    let Some(first) = disc.iter().min().filter(|_| disc.iter().all(|node| of(node).is_some())) else {
        return End::Waits;
    };
    let masters = of(first).map_or(&[][..], |store| store.masters(table));
    let asked = |node: &&NodeName| {
        disc.contains(node)
            && of(node).is_some_and(|s| s.masters(table).is_empty() || s.masters(table).contains(node))
    };
    match masters {
        [] => End::Adopted(first.clone()),
        some => some.iter().find(asked).map_or(End::Waits, |node| End::Adopted(node.clone())),
    }
}

/// Tables that wait on a node although all databases are up: nobody loads them, or only nodes that are not among its master
/// nodes.
fn waiting(cluster: &[&Store], together: &BTreeMap<TableName, End>) -> BTreeMap<NodeName, Vec<TableName>> {
    let mut waiting: BTreeMap<NodeName, Vec<TableName>> = BTreeMap::new();
    for (table, end) in together {
        let holds = |store: &&Store| store.held().any(|(name, _)| name == table);
        let mut left: Vec<&Store> = cluster.iter().copied().filter(holds).collect();
        let mut loaded: Vec<&NodeName> = match end {
            End::Loaded(nodes) => nodes.iter().collect(),
            End::Adopted(node) => vec![node],
            End::Waits => Vec::new(),
        };
        // Who has the table gives it on.
        loop {
            let takes = |store: &&Store| {
                let masters = store.masters(table);
                let given = loaded.iter().any(|node| masters.is_empty() || masters.contains(node));
                given || loaded.contains(&&store.node)
            };
            let (taking, rest): (Vec<&Store>, Vec<&Store>) = left.into_iter().partition(takes);
            left = rest;
            if taking.is_empty() {
                break;
            }
            loaded.extend(taking.iter().map(|store| &store.node));
        }
        for store in left {
            waiting.entry(store.node.clone()).or_default().push(table.clone());
        }
    }
    waiting
}

/// Who went later comes first. Where the records go round in a circle, the name decides.
fn newest_first<'s>(cluster: &[&'s Store]) -> Vec<&'s Store> {
    let mut left: Vec<&Store> = cluster.to_vec();
    left.sort_by(|one, other| one.node.cmp(&other.node));
    let mut sequence = Vec::new();
    while !left.is_empty() {
        let newest = |store: &&Store| !left.iter().any(|other| other.is_newer_than(store));
        // Of several the one that outlived most, as it has the least to wait for.
        let free = left.iter().enumerate().filter(|(_, store)| newest(store));
        let at =
            free.min_by_key(|(_, store)| std::cmp::Reverse(store.gone().count())).map_or(0, |(at, _)| at);
        sequence.push(left.remove(at));
    }
    sequence
}

/// The databases that belong together, and what is wrong with the others.
fn one_cluster(stores: &[Store]) -> (Vec<&Store>, Vec<Problem>) {
    let mut problems = Vec::new();
    let mut cluster: Vec<&Store> = Vec::new();
    for store in stores {
        if let Some(same) = cluster.iter().find(|other| other.node == store.node) {
            let (directory, other) = (store.directory.clone(), same.directory.clone());
            problems.push(Problem::DatabaseTwice { node: store.node.clone(), directory, other });
            continue;
        }
        let lists = |one: &Store, other: &Store| one.schema.members.contains(&other.node);
        let related = cluster.iter().find(|other| lists(store, other) || lists(other, store));
        match (related, cluster.first()) {
            (None, Some(first)) => problems.push(Problem::ForeignDatabase {
                directory: store.directory.clone(),
                node: store.node.clone(),
                lists: Nodes(store.schema.members.clone()),
                other: first.node.clone(),
            }),
            (Some(_), _) | (None, None) => {
                for other in &cluster {
                    let (here, there) = if lists(store, other) { (store, *other) } else { (*other, store) };
                    if lists(here, there) != lists(there, here) {
                        let (one, node) = (here.node.clone(), there.node.clone());
                        problems.push(if here.schema.shares_with(&there.schema) {
                            Problem::ForgottenHere { here: one, node }
                        } else {
                            Problem::MemberLeft { here: one, node }
                        });
                    }
                }
                cluster.push(store);
            }
        }
    }
    (cluster, problems)
}

fn ran_apart(sequence: &[&Store]) -> Vec<Problem> {
    let mut problems = Vec::new();
    for (at, one) in sequence.iter().enumerate() {
        for other in sequence.iter().skip(at + 1) {
            if one.outlived(&other.node) && other.outlived(&one.node) {
                problems.push(Problem::BothOutlived {
                    node: one.node.clone(),
                    other: other.node.clone(),
                    down: when(one, &other.node),
                    other_down: when(other, &one.node),
                });
            }
        }
    }
    problems
}

fn when(store: &Store, node: &NodeName) -> String {
    let seen = store.decisions.seen.get(node).and_then(|seen| seen.down.clone());
    seen.unwrap_or_else(|| "an unknown time".into())
}

/// Master nodes of which none has a directory here.
fn dead_masters(sequence: &[&Store], missing: &[NodeName]) -> Vec<Problem> {
    let mut problems = Vec::new();
    for store in sequence {
        let mut dead: BTreeMap<&[NodeName], Vec<TableName>> = BTreeMap::new();
        for (table, holders) in store.held() {
            let masters = store.masters(table);
            let counts = !holders.local_content && holders.all().any(|node| *node != store.node);
            if counts && !masters.is_empty() && masters.iter().all(|node| missing.contains(node)) {
                dead.entry(masters).or_default().push(table.clone());
            }
        }
        problems.extend(dead.into_iter().map(|(masters, tables)| Problem::DeadMasterNodes {
            node: store.node.clone(),
            masters: Nodes(masters.to_vec()),
            tables: Tables(tables),
        }));
    }
    problems
}

/// Tables that wait for a node without a directory here.
fn missing_ones(
    sequence: &[&Store],
    missing: &[NodeName],
    together: &BTreeMap<TableName, End>,
) -> Vec<Problem> {
    let mut newer: BTreeMap<(Vec<NodeName>, NodeName), Vec<TableName>> = BTreeMap::new();
    let mut only: BTreeMap<Vec<NodeName>, Vec<TableName>> = BTreeMap::new();
    for table in together.iter().filter(|(_, end)| **end == End::Waits).map(|(table, _)| table) {
        let Some(holders) = sequence.iter().find_map(|store| store.schema.tables.get(table)) else {
            continue;
        };
        let absent = |node: &&NodeName| missing.contains(node);
        let has_it = |store: &&&Store| {
            store.schema.tables.get(table).is_some_and(|holders| holders.disc.contains(&store.node))
        };
        // The newest copy that is at hand.
        if let Some(best) = sequence.iter().find(has_it) {
            let nodes = holders.disc.iter().filter(absent).filter(|node| !best.outlived(node));
            // Master nodes that are missing are a matter of their own.
            if best.masters(table).is_empty() {
                newer.entry((nodes.cloned().collect(), best.node.clone())).or_default().push(table.clone());
            }
        } else {
            let nodes = holders.disc.iter().filter(absent).cloned().collect();
            only.entry(nodes).or_default().push(table.clone());
        }
    }
    let newer =
        newer.into_iter().filter(|((nodes, _), _)| !nodes.is_empty()).map(|((nodes, best), tables)| {
            Problem::LastNodeMissing { nodes: Nodes(nodes), tables: Tables(tables), best }
        });
    let only = only.into_iter().filter(|(nodes, _)| !nodes.is_empty());
    let only =
        only.map(|(nodes, tables)| Problem::OnlyCopyMissing { nodes: Nodes(nodes), tables: Tables(tables) });
    newer.chain(only).collect()
}

/// Nodes that ran again after another one had seen them go, and that this one does not wait for.
fn ran_since(sequence: &[&Store]) -> Vec<Problem> {
    let mut problems = Vec::new();
    for store in sequence {
        for other in sequence.iter().filter(|other| other.is_newer_than(store)) {
            let down = when(other, &store.node);
            if let Some(ran) = store.last_record().filter(|ran| *ran > down.as_str()) {
                let (node, other, ran) = (store.node.clone(), other.node.clone(), ran.to_owned());
                problems.push(Problem::RanSince { node, other, down, ran });
            }
        }
    }
    problems
}

/// Tables that nobody was last with.
fn nobody_last(sequence: &[&Store], together: &BTreeMap<TableName, End>) -> Option<Problem> {
    let adopted: Vec<(&TableName, &NodeName)> = together
        .iter()
        .filter_map(|(table, end)| match end {
            End::Adopted(node) => Some((table, node)),
            End::Loaded(_) | End::Waits => None,
        })
        .collect();
    let (_, from) = adopted.first()?;
    let has_one = |store: &&&Store| adopted.iter().any(|(table, _)| store.schema.tables.contains_key(*table));
    let nodes: Vec<&Store> = sequence.iter().filter(has_one).copied().collect();
    let last =
        nodes.iter().filter_map(|store| Some((store.last_record()?, *store))).max_by_key(|(at, _)| *at);
    Some(Problem::NobodyLast {
        nodes: Nodes(nodes.iter().map(|store| store.node.clone()).collect()),
        tables: Tables(adopted.iter().map(|(table, _)| (*table).clone()).collect()),
        from: (*from).clone(),
        hint: last.map_or_else(String::new, |(at, store)| {
            format!("; the latest record, of {at}, is that of {}", store.node)
        }),
    })
}

fn unclear(sequence: &[&Store]) -> Vec<Problem> {
    let asking = sequence.iter().filter(|store| !store.decisions.unclear.is_empty());
    asking
        .map(|store| Problem::UnclearTransaction {
            node: store.node.clone(),
            nodes: Nodes(store.decisions.unclear.clone()),
        })
        .collect()
}
