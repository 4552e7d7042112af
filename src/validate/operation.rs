//! Everything that forbids an operation, outermost layer first.

use super::copies::{self, WantedCopy};
use super::problem::{Nodes, Problem};
use super::view::View;
use super::{capacity, definitions, durability, handover, membership, refused, restart};
use crate::model::name::NodeName;
use crate::model::request::Data;
use crate::model::snapshot::Running;
use crate::model::table::Table;

/// What forbids this node to join the cluster of `target` with these `wanted` copies and `archived` bytes of its own rows.
#[must_use]
pub fn join(view: &View<'_>, target: &NodeName, wanted: &[WantedCopy<'_>], archived: u64) -> Vec<Problem> {
    let mut problems = membership::of_cluster(view, target);
    problems.extend(membership::of_joiner(view, target));
    if problems.is_empty() {
        problems.extend(definitions::differences(view, target));
        problems.extend(copies::without_source(view, wanted));
        problems.extend(refused::of_joiner(view, target, wanted));
        problems.extend(capacity::problems(view, wanted, archived));
    }
    problems.extend(durability::of_here(view));
    problems.extend(durability::of_members(view, target));
    problems.extend(restart::problems(view));
    sorted(problems)
}

/// What forbids this node to copy `wanted` copies from the cluster of `target`, to which it has to belong.
#[must_use]
pub fn sync(view: &View<'_>, target: &NodeName, wanted: &[WantedCopy<'_>]) -> Vec<Problem> {
    let mut problems = membership::of_cluster(view, target);
    let belongs = view.facts(target).is_none_or(|facts| view.has_here(facts.db_nodes));
    if !belongs {
        problems.push(Problem::NotAMember {
            here: view.here().clone(),
            node: target.clone(),
            members: view.facts(target).map_or_else(|| Nodes(Vec::new()), |f| view.nodes(f.db_nodes)),
        });
    }
    if problems.is_empty() {
        problems.extend(copies::without_source(view, wanted));
        problems.extend(refused::of_copies(target, wanted));
        problems.extend(capacity::problems(view, wanted, 0));
    }
    problems.extend(durability::of_sync(view, target));
    sorted(problems)
}

/// What forbids this node to go on with another database of its own, with `archived` bytes of its own rows to write down before.
#[must_use]
pub fn reset(view: &View<'_>, archived: u64) -> Vec<Problem> {
    let mut problems = membership::of_stand_alone(view);
    if problems.is_empty() {
        problems.extend(capacity::problems(view, &[], archived));
    }
    problems.extend(durability::of_here(view));
    problems.extend(restart::problems(view));
    sorted(problems)
}

/// What forbids this node to go on alone with another database, which needs `bytes` of its disk; `members` list it now.
#[must_use]
pub fn alone(view: &View<'_>, members: &[NodeName], bytes: u64) -> Vec<Problem> {
    let mut problems = membership::of_leaver(view);
    if problems.is_empty() {
        if !members.is_empty() {
            problems.extend(handover::problems(view, members));
            problems.extend(refused::of_leaver(view, &handover::handed(view, members)));
        }
        problems.extend(capacity::problems(view, &[], bytes));
    }
    problems.extend(durability::of_here(view));
    problems.extend(durability::of_members(view, view.here()));
    problems.extend(restart::problems(view));
    sorted(problems)
}

/// What forbids this node to leave, with `bytes` of rows to write down; where it keeps the data, `tables` need a copy to be
/// backed up, and room for the backup, the database and what is not in memory here yet.
#[must_use]
pub fn leave(
    view: &View<'_>,
    members: &[NodeName],
    tables: &[&Table],
    data: Data,
    bytes: u64,
) -> Vec<Problem> {
    if view.here_facts().mnesia == Running::Yes && membership::is_alone(view) {
        return vec![Problem::NotInACluster { here: view.here().clone() }];
    }
    if data == Data::Empty {
        return alone(view, members, bytes);
    }
    let twice = tables.iter().fold(bytes, |sum, table| sum.saturating_add(table.memory.saturating_mul(2)));
    let mut problems = alone(view, members, twice);
    if problems.is_empty() {
        let missing: Vec<_> =
            copies::missing(view, view.here()).into_iter().filter(|copy| !copy.table.local_content).collect();
        problems.extend(copies::without_source(view, &missing));
        problems.extend(capacity::problems(view, &missing, 0));
    }
    problems
}

/// What forbids this node to delete its copies of these tables.
#[must_use]
pub fn delete_copies(view: &View<'_>, tables: &[&Table]) -> Vec<Problem> {
    let mut problems = membership::of_leaver(view);
    if problems.is_empty() {
        problems.extend(handover::not_elsewhere(view, tables));
    }
    problems.extend(durability::of_sync(view, view.here()));
    sorted(problems)
}

fn sorted(mut problems: Vec<Problem>) -> Vec<Problem> {
    problems.sort_by_key(Problem::layer);
    problems
}
