//! Whether the goal was reached.

use std::collections::{BTreeSet, HashMap, HashSet};

use super::Plan;
use super::step::Action;
use crate::model::catalogue;
use crate::model::name::{NodeName, TableName};
use crate::model::request::Operation;
use crate::model::snapshot::{Running, SetIndex, Snapshot};
use crate::model::table::{Storage, Table};
use crate::validate::problem::{Nodes, Problem};
use crate::validate::view::View;

/// Everything that is not as the plan promised: membership in every member's view, copies, applications.
///
/// # Errors
/// [`Problem::BadRequest`] for a snapshot that contradicts itself, [`Problem::VerifyFailed`] for each difference.
pub fn goal(plan: &Plan, snapshot: &Snapshot) -> Result<(), Vec<Problem>> {
    let view = View::new(snapshot).map_err(|problem| vec![problem])?;
    if let Operation::ForceBoot(_) = &plan.operation {
        return of_loaded(&view, plan);
    }
    if let Operation::Repair(_) = &plan.operation {
        return none(last_changes(plan).filter_map(|action| of_repaired(&view, action)).collect());
    }
    let mut expected = vec![plan.node.clone()];
    if !plan.operation.ends_alone() {
        expected.extend(plan.members.iter().cloned());
    }
    expected.sort_unstable();
    let mut problems: Vec<Problem> =
        expected.iter().flat_map(|node| of_member(&view, node, &expected)).collect();
    if plan.operation.ends_alone() {
        problems.extend(plan.members.iter().filter_map(|node| still_lists(&view, node)));
    }
    let tables: HashMap<&TableName, &Table> = view.tables_of(&plan.node).map(|t| (&t.name, t)).collect();
    for step in &plan.steps {
        problems.extend(
            step.action.copies().iter().filter_map(|copy| {
                of_copy(&view, &copy.table, copy.storage, tables.get(&copy.table).copied())
            }),
        );
        if let Action::ForgetNode { node } = &step.action {
            problems.extend(of_forgotten(&view, node));
        }
        if let Action::RenewFence { members, old } = &step.action {
            problems.extend(of_fence(&view, members, old.as_deref()));
        }
        if let Action::RenewSchema { nodes, members, old, .. } = &step.action {
            problems.extend(of_schema(&view, nodes, members, old.as_deref()));
        }
        if let Action::DeleteCopies { tables: deleted } = &step.action {
            let left =
                deleted.iter().filter(|table| tables.get(table).is_some_and(|t| view.is_copied_here(t)));
            problems
                .extend(left.map(|table| failed(format!("no copy of {table} here"), "there is one".into())));
        }
        if let Action::StartApplication { application } = &step.action
            && !view.here_facts().applications.contains(application)
        {
            problems.push(failed(format!("{application} to run"), "it does not".into()));
        }
    }
    none(problems)
}

fn none(problems: Vec<Problem>) -> Result<(), Vec<Problem>> {
    if problems.is_empty() { Ok(()) } else { Err(problems) }
}

/// The last change of each copy: what is stored otherwise was deleted first, and what had to go aside is gone again.
fn last_changes(plan: &Plan) -> impl Iterator<Item = &Action> {
    let mut seen = HashSet::new();
    let changes = plan.steps.iter().rev().filter_map(|step| Some((&step.action, copy_of(&step.action)?)));
    let last: Vec<&Action> =
        changes.filter(|(_, copy)| seen.insert(*copy)).map(|(action, _)| action).collect();
    last.into_iter().rev()
}

fn copy_of(action: &Action) -> Option<(&TableName, &NodeName)> {
    let (Action::CopyTableTo { table, node, .. } | Action::DeleteCopyOn { table, node, .. }) = action else {
        return None;
    };
    Some((table, node))
}

/// What a step has changed is so in this node's view, which is that of all who run. A table that was deleted meanwhile is no concern of it.
fn of_repaired(view: &View<'_>, action: &Action) -> Option<Problem> {
    let find = |name: &TableName| view.tables_of(view.here()).find(|table| table.name == *name);
    if let Action::DeleteCopyOn { table, node, .. } = action {
        let holders = view.holders(find(table)?).0;
        return holders
            .contains(node)
            .then(|| failed(format!("no copy of {table} on {node}"), Nodes(holders).to_string()));
    }
    let Action::CopyTableTo { table, node, storage, .. } = action else { return None };
    let holders = stored_as(find(table)?, *storage);
    let missing = !view.set(holders).contains(node);
    missing.then(|| {
        failed(
            format!("a copy of {table} as {} on {node}", storage.as_str()),
            format!("so stored on {}", view.nodes(holders)),
        )
    })
}

fn stored_as(table: &Table, storage: Storage) -> SetIndex {
    match storage {
        Storage::RamCopies => table.ram_copies,
        Storage::DiscCopies => table.disc_copies,
        Storage::DiscOnlyCopies => table.disc_only_copies,
    }
}

/// Tables that were forced are loaded here. Members that are gone are no concern of it.
fn of_loaded(view: &View<'_>, plan: &Plan) -> Result<(), Vec<Problem>> {
    let forced: Vec<&TableName> = plan.steps.iter().flat_map(|step| forced(&step.action)).collect();
    let waits = |table: &&Table| forced.contains(&&table.name) && !view.has_here(table.active);
    let waiting = view.tables_of(&plan.node).filter(waits);
    none(
        waiting.map(|table| failed(format!("{} to be loaded here", table.name), "it waits".into())).collect(),
    )
}

fn forced(action: &Action) -> impl Iterator<Item = &TableName> {
    let tables = if let Action::ForceLoad { tables } = action { tables.as_slice() } else { &[] };
    tables.iter().map(|(table, _)| table)
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

/// No copy is left on a node that was forgotten.
fn of_forgotten(view: &View<'_>, node: &NodeName) -> Vec<Problem> {
    let named = |table: &&Table| view.holders(table).0.contains(node);
    view.tables_of(view.here())
        .filter(named)
        .map(|table| failed(format!("no copy of {} on {node}", table.name), view.holders(table).to_string()))
        .collect()
}

/// Every member has the new fence, which is another table than the old one.
fn of_fence(view: &View<'_>, members: &[NodeName], old: Option<&str>) -> Vec<Problem> {
    let expected = || format!("a new table {} on {}", catalogue::FENCE, Nodes(members.to_vec()));
    let of_member = |member: &NodeName| {
        let fence = view.tables_of(member).find(|table| table.name.as_str() == catalogue::FENCE);
        match fence {
            None => Some(failed(expected(), format!("none on {member}"))),
            Some(table) if Some(table.cookie.as_str()) == old => {
                Some(failed(expected(), format!("the old one on {member}")))
            }
            Some(table) if view.holders(table).0 != members => {
                Some(failed(expected(), format!("copies on {}", view.holders(table))))
            }
            Some(_) => None,
        }
    };
    members.iter().filter_map(of_member).collect()
}

/// Every member has the new cookie of the schema. One that does not answer is told as that.
fn of_schema(view: &View<'_>, nodes: &[NodeName], members: &[NodeName], old: Option<&str>) -> Vec<Problem> {
    let cookies: BTreeSet<&str> =
        members.iter().filter_map(|member| view.facts(member)?.schema_cookie.as_deref()).collect();
    if old.is_some_and(|old| cookies.contains(old)) {
        return nodes.iter().map(|node| Problem::NotFenced { node: node.clone() }).collect();
    }
    let expected = || format!("one cookie of the schema on {}", Nodes(members.to_vec()));
    (cookies.len() > 1)
        .then(|| failed(expected(), format!("{} of them", cookies.len())))
        .into_iter()
        .collect()
}

fn failed(expected: String, found: String) -> Problem {
    Problem::VerifyFailed { expected, found }
}
