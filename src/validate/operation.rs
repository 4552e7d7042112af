//! Everything that forbids an operation, outermost layer first.

use super::copies::{self, WantedCopy};
use super::problem::{Nodes, Problem};
use super::view::View;
use super::{capacity, definitions, durability, membership, restart};
use crate::model::name::NodeName;

/// What forbids this node to join the cluster of `target` with these `wanted` copies and `archived` bytes of its own rows.
#[must_use]
pub fn join(view: &View<'_>, target: &NodeName, wanted: &[WantedCopy<'_>], archived: u64) -> Vec<Problem> {
    let mut problems = membership::of_cluster(view, target);
    problems.extend(membership::of_joiner(view, target));
    if problems.is_empty() {
        problems.extend(definitions::differences(view, target));
        problems.extend(copies::without_source(view, wanted));
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
        problems.extend(capacity::problems(view, wanted, 0));
    }
    problems.extend(durability::of_sync(view, target));
    sorted(problems)
}

/// What forbids this node to go on with an empty database, with `archived` bytes of its own rows to write down before.
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

fn sorted(mut problems: Vec<Problem>) -> Vec<Problem> {
    problems.sort_by_key(Problem::layer);
    problems
}
