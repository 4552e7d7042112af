//! Whether a plan reached its goal: what the operations share.

use std::collections::HashMap;

use super::Plan;
use super::step::Action;
use crate::model::name::{NodeName, TableName};
use crate::model::snapshot::Running;
use crate::model::table::SetIndex;
use crate::model::table::{Storage, Table};
use crate::validate::problem::{Nodes, Problem};
use crate::validate::view::View;

/// What is not as a plan promised of the members' views, of copies here, and of applications; `alone` is whether this node is to belong
/// to no cluster.
pub(crate) fn of_cluster(view: &View<'_>, plan: &Plan, alone: bool) -> Vec<Problem> {
    let mut expected = vec![plan.node.clone()];
    if !alone {
        expected.extend(plan.members.iter().cloned());
    }
    expected.sort_unstable();
    let mut problems: Vec<Problem> =
        expected.iter().flat_map(|node| of_member(view, node, &expected)).collect();
    if alone {
        problems.extend(plan.members.iter().filter_map(|node| still_lists(view, node)));
    }
    let tables: HashMap<&TableName, &Table> = view.tables_of(&plan.node).map(|t| (&t.name, t)).collect();
    for step in &plan.steps {
        problems.extend(
            step.action.copies().iter().filter_map(|copy| {
                of_copy(view, &copy.table, copy.storage, tables.get(&copy.table).copied())
            }),
        );
        if let Action::StartApplication { application } = &step.action
            && !view.here_facts().applications.contains(application)
        {
            problems.push(failed(format!("{application} to run"), "it does not".into()));
        }
    }
    problems
}

/// The holders of a table's copies that are stored so.
pub(crate) fn stored_as(table: &Table, storage: Storage) -> SetIndex {
    match storage {
        Storage::RamCopies => table.ram_copies,
        Storage::DiscCopies => table.disc_copies,
        Storage::DiscOnlyCopies => table.disc_only_copies,
    }
}

fn of_member(view: &View<'_>, node: &NodeName, expected: &[NodeName]) -> Vec<Problem> {
    let Some(facts) = view.facts(node) else {
        return vec![failed(format!("{node} to answer"), view.silence(node))];
    };
    if facts.mnesia != Running::Yes {
        return vec![failed(format!("Mnesia to run on {node}"), "it does not".into())];
    }
    [("to list", facts.db_nodes), ("to replicate with", facts.running_db_nodes)]
        .into_iter()
        .filter(|(_, set)| view.set(*set) != expected)
        .map(|(what, set)| {
            failed(format!("{node} {what} {}", Nodes(expected.to_vec())), view.nodes(set).to_string())
        })
        .collect()
}

/// A former member that cannot be asked now is pending, and told later.
fn still_lists(view: &View<'_>, node: &NodeName) -> Option<Problem> {
    let facts = view.facts(node).filter(|facts| view.has_here(facts.db_nodes))?;
    Some(failed(format!("{node} to have forgotten {}", view.here()), view.nodes(facts.db_nodes).to_string()))
}

fn of_copy(view: &View<'_>, name: &TableName, storage: Storage, table: Option<&Table>) -> Option<Problem> {
    let expected = || format!("a loaded {} of {name} here", storage.as_str());
    let Some(table) = table else {
        return Some(failed(expected(), "no such table".into()));
    };
    let holders = stored_as(table, storage);
    if !view.has_here(holders) {
        return Some(failed(expected(), format!("copies on {}", view.nodes(holders))));
    }
    (!table.local_content && !view.has_here(table.active))
        .then(|| failed(expected(), format!("it is loaded on {}", view.nodes(table.active))))
}

/// A difference from the goal.
pub(crate) fn failed(expected: String, found: String) -> Problem {
    Problem::VerifyFailed { expected, found }
}
