//! Whether the copies of a table can be made the same.

use super::membership;
use super::problem::{Nodes, Problem};
use super::refused;
use super::view::View;
use crate::model::catalogue::{self, Class};
use crate::model::name::NodeName;
use crate::model::request::TableRepair;
use crate::model::table::Table;

/// The table of that name and the nodes with a copy of it, whatever its rows are. Members without one may be down.
///
/// # Errors
/// Everything that forbids to make all its copies what `winner` has.
pub fn table<'a>(
    view: &View<'a>,
    name: &str,
    winner: &NodeName,
) -> Result<(&'a Table, Vec<NodeName>), Vec<Problem>> {
    let here = view.here();
    let mut problems = membership::of_own_cluster(view);
    let Some(table) = view.tables_of(here).find(|table| table.name.as_str() == name) else {
        problems.push(Problem::UnknownTable { table: name.into(), here: here.clone() });
        return Err(sorted(problems));
    };
    let Nodes(mut holders) = view.holders(table);
    holders.sort_unstable();
    problems.retain(|problem| down(problem).is_none_or(|node| holders.contains(node)));
    problems.extend(of_copies(view, table, &holders, winner));
    let silent: Vec<_> = problems.iter().filter_map(down).cloned().collect();
    let waiting = holders.iter().filter(|node| !view.has(table.active, node) && !silent.contains(node));
    if !table.local_content {
        problems.extend(
            waiting.map(|node| Problem::CopyNotLoaded { table: table.name.clone(), node: node.clone() }),
        );
    }
    if problems.is_empty() { Ok((table, holders)) } else { Err(sorted(problems)) }
}

/// The member that is down.
fn down(problem: &Problem) -> Option<&NodeName> {
    if let Problem::MemberDown { node, .. } = problem { Some(node) } else { None }
}

fn of_copies(view: &View<'_>, table: &Table, holders: &[NodeName], winner: &NodeName) -> Option<Problem> {
    let members = view.here_facts().db_nodes;
    let name = || table.name.clone();
    if !view.has(members, winner) {
        let members = view.nodes(members);
        return Some(Problem::NotAMember { here: view.here().clone(), node: winner.clone(), members });
    }
    if let Some(reason) = reason(view, table) {
        return Some(Problem::NotRepairable { table: name(), reason: reason.into() });
    }
    if let Some(problem) = refused::of_writes(view, view.here(), std::slice::from_ref(&table.name)) {
        return Some(problem);
    }
    if !holders.contains(winner) {
        let holders = Nodes(holders.to_vec());
        return Some(Problem::WinnerWithoutCopy { table: name(), winner: winner.clone(), holders });
    }
    (holders.len() == 1).then(|| Problem::NoOtherCopy { table: name(), holder: winner.clone() })
}

/// Why copies of a table may differ, or cannot be read.
fn reason(view: &View<'_>, table: &Table) -> Option<&'static str> {
    if !view.set(table.external_copies).is_empty() {
        return Some("an external backend stores it");
    }
    if table.local_content {
        return Some("every node has its own rows of it (local_content)");
    }
    match catalogue::class(&table.name) {
        Class::Durable => None,
        Class::OwnerKeyed => Some("its rows belong to processes, which come and go with their node"),
        Class::Local => Some("every node has its own rows of it"),
        Class::Derived => Some("its rows can be computed again from others"),
    }
}

/// What forbids to mend what a comparison has found.
#[must_use]
pub fn drift(repair: &TableRepair, nodes: &[NodeName]) -> Vec<Problem> {
    let TableRepair { table, winner, drift } = repair;
    let mut problems = Vec::new();
    if drift.left_out > 0 {
        problems.push(Problem::RowsNotComparable { table: table.clone(), rows: drift.left_out });
    }
    if drift.more {
        let (table, winner) = (table.clone(), winner.clone());
        problems.push(Problem::TooManyDiffer { table, keys: drift.keys, winner });
    } else if drift.keys == 0 {
        problems.push(Problem::NothingDiffers { table: table.clone(), nodes: Nodes(nodes.to_vec()) });
    }
    problems
}

fn sorted(mut problems: Vec<Problem>) -> Vec<Problem> {
    problems.sort_by_key(Problem::layer);
    problems
}
