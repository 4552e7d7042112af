//! Tables that wait on a node that runs: for whom, and what forbids to go on without these.

use std::collections::{BTreeMap, HashSet};

use super::membership::not_running;
use super::problem::{Nodes, Problem, Tables};
use super::view::View;
use crate::model::machine::decisions::{Decisions, Sighting};
use crate::model::machine::schema::Holders;
use crate::model::name::{NodeName, TableName};
use crate::model::request::{Awaited, AwaitedNode, ForceBoot};
use crate::model::snapshot::Running;
use crate::model::store::{Reason, Store};
use crate::model::table::Table;

/// What waits here, by whom it waits for. `here` is this node's own database, `others` what the logs of running members say.
///
/// A start takes the records of nodes away that come up after it. What they said is in the logs still.
#[must_use]
pub fn awaited(
    view: &View<'_>,
    waiting: &[TableName],
    here: &Store,
    others: &BTreeMap<NodeName, Decisions>,
) -> Vec<Awaited> {
    let waiting: HashSet<&TableName> = waiting.iter().collect();
    let mut groups: BTreeMap<(Reason, Vec<NodeName>), Vec<TableName>> = BTreeMap::new();
    for table in view.tables_of(view.here()).filter(|table| waiting.contains(&table.name)) {
        if view.is_copied_here(table)
            && !is_on_its_way(view, here, table)
            && let Err((reason, nodes)) = here.loads(&table.name, &holders(view, table))
        {
            groups.entry((reason, narrowed(view, here, reason, nodes))).or_default().push(table.name.clone());
        }
    }
    let outlived = |node: &NodeName| {
        others
            .get(node)
            .and_then(|decisions| decisions.seen.get(view.here()))
            .is_some_and(|s| s.down.is_some())
    };
    let known = |node: NodeName| AwaitedNode {
        seen: here.decisions.seen.get(&node).and_then(last),
        outlived_here: outlived(&node),
        node,
    };
    let group = |((reason, nodes), tables): ((Reason, Vec<NodeName>), Vec<TableName>)| Awaited {
        tables,
        reason,
        nodes: nodes.into_iter().map(known).collect(),
    };
    groups.into_iter().map(group).collect()
}

/// Whether somebody serves it from whom this node takes it.
fn is_on_its_way(view: &View<'_>, here: &Store, table: &Table) -> bool {
    let masters = here.masters(&table.name);
    view.set(table.active).iter().any(|node| masters.is_empty() || masters.contains(node))
}

fn holders(view: &View<'_>, table: &Table) -> Holders {
    let sets = [table.disc_copies, table.disc_only_copies, table.external_copies];
    Holders {
        ram: view.set(table.ram_copies).to_vec(),
        disc: sets.iter().flat_map(|set| view.set(*set)).cloned().collect(),
        local_content: table.local_content,
        read_only: false,
    }
}

/// Without those that this node had outlived when it started and that have come up since: they have nothing newer.
fn narrowed(view: &View<'_>, here: &Store, reason: Reason, nodes: Vec<NodeName>) -> Vec<NodeName> {
    let had_gone = |node: &NodeName| here.decisions.seen.get(node).is_some_and(|seen| seen.down.is_some());
    let came_back = |node: &NodeName| had_gone(node) && runs(view, node);
    let newer: Vec<NodeName> = nodes.iter().filter(|node| !came_back(node)).cloned().collect();
    if reason == Reason::Newer && !newer.is_empty() { newer } else { nodes }
}

fn last(seen: &Sighting) -> Option<String> {
    seen.down.iter().chain(&seen.up).max().cloned()
}

fn runs(view: &View<'_>, node: &NodeName) -> bool {
    view.facts(node).is_some_and(|facts| facts.mnesia == Running::Yes)
}

/// What the doctor says of it: `waiting` are all tables that cannot be read here.
#[must_use]
pub fn problems(view: &View<'_>, waiting: &[TableName], awaited: &[Awaited]) -> Vec<Problem> {
    let told = awaited.iter().map(|wait| of_wait(view, wait));
    told.chain(elsewhere(view, waiting, awaited)).collect()
}

fn of_wait(view: &View<'_>, wait: &Awaited) -> Problem {
    let nodes: Vec<NodeName> = wait.nodes.iter().map(|awaited| awaited.node.clone()).collect();
    let (here, tables) = (view.here().clone(), Tables(wait.tables.clone()));
    if wait.reason == Reason::Masters && !nodes.iter().any(|node| runs(view, node)) {
        return Problem::DeadMasterNodes { node: here, masters: Nodes(nodes), tables };
    }
    let states: Vec<String> = wait.nodes.iter().map(|node| state(view, node)).collect();
    Problem::TablesWait { here, tables, nodes: Nodes(nodes), seen: format!(" ({})", states.join("; ")) }
}

fn state(view: &View<'_>, awaited: &AwaitedNode) -> String {
    let node = &awaited.node;
    let state = match view.facts(node) {
        None => format!("{node} does not answer"),
        Some(facts) if facts.mnesia == Running::Yes => format!("{node} runs and waits, too"),
        Some(_) => format!("Mnesia does not run on {node}"),
    };
    match &awaited.seen {
        Some(at) => format!("{state}, and was last seen at {at}"),
        None => state,
    }
}

/// Tables that cannot be read, whose copies are all elsewhere.
fn elsewhere(view: &View<'_>, waiting: &[TableName], awaited: &[Awaited]) -> Vec<Problem> {
    let told: HashSet<&TableName> = awaited.iter().flat_map(|wait| &wait.tables).collect();
    let left: HashSet<&TableName> = waiting.iter().filter(|table| !told.contains(table)).collect();
    let mut groups: BTreeMap<Vec<NodeName>, Vec<TableName>> = BTreeMap::new();
    for table in view.tables_of(view.here()).filter(|table| left.contains(&table.name)) {
        if !view.is_copied_here(table) && view.set(table.active).is_empty() {
            groups.entry(view.holders(table).0).or_default().push(table.name.clone());
        }
    }
    let problem = |(nodes, tables)| Problem::OnlyCopyMissing { nodes: Nodes(nodes), tables: Tables(tables) };
    groups.into_iter().map(problem).collect()
}

/// What forbids this node to load them without the others.
#[must_use]
pub fn of_force(view: &View<'_>, force: &ForceBoot) -> Vec<Problem> {
    let mut problems = Vec::new();
    let facts = view.here_facts();
    if facts.mnesia != Running::Yes {
        return vec![not_running(view.here(), facts)];
    }
    if force.waits.is_empty() {
        return vec![Problem::NothingWaits { here: view.here().clone() }];
    }
    for wait in &force.waits {
        for awaited in &wait.nodes {
            problems.extend(of_awaited(view, force, wait, awaited));
        }
    }
    problems.dedup();
    problems
}

fn of_awaited(view: &View<'_>, force: &ForceBoot, wait: &Awaited, awaited: &AwaitedNode) -> Option<Problem> {
    let sign = force.signs.iter().find(|(node, _)| *node == awaited.node).map(|(_, sign)| sign.clone());
    let found = match view.facts(&awaited.node) {
        Some(facts) if facts.mnesia != Running::Yes => {
            Some("its VM answers, and Mnesia does not run there".into())
        }
        Some(_) if wait.reason == Reason::Memory || awaited.outlived_here => {
            Some("it runs, and waits itself".into())
        }
        Some(_) => None,
        None => sign,
    };
    found.map(|found| Problem::AwaitedIsThere {
        node: awaited.node.clone(),
        tables: Tables(wait.tables.clone()),
        found,
    })
}

/// What is given up: rows that those who are waited for may have.
#[must_use]
pub fn given_up(view: &View<'_>, force: &ForceBoot) -> Vec<Problem> {
    let waits = force.waits.iter().filter(|wait| wait.reason != Reason::Masters);
    let given = waits.map(|wait| {
        let states: Vec<String> = wait.nodes.iter().map(|node| state(view, node)).collect();
        Problem::NewerRowsGivenUp {
            tables: Tables(wait.tables.clone()),
            nodes: Nodes(wait.nodes.iter().map(|awaited| awaited.node.clone()).collect()),
            seen: states.join("; "),
        }
    });
    given.collect()
}
