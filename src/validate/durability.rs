//! Whether what an operation writes is still there after a restart.

use super::problem::Problem;
use super::view::View;
use crate::model::name::NodeName;
use crate::model::snapshot::{Facts, Running};

/// Problems of this node, most of all when its database is about to be replaced.
#[must_use]
pub fn of_here(view: &View<'_>) -> Vec<Problem> {
    of_node(view.here(), view.here_facts())
}

/// Problems of the members that are about to write this node into their schema.
#[must_use]
pub fn of_members(view: &View<'_>, target: &NodeName) -> Vec<Problem> {
    let members = view.facts(target).map_or(&[][..], |facts| view.set(facts.db_nodes));
    let others = members.iter().filter(|node| *node != view.here());
    others
        .filter_map(|node| view.facts(node).map(|facts| (node, facts)))
        .flat_map(|(node, facts)| of_node(node, facts))
        .collect()
}

/// Problems of this node as a member that takes more copies. How the others store their schema is of no concern then.
#[must_use]
pub fn of_sync(view: &View<'_>) -> Vec<Problem> {
    of_node(view.here(), view.here_facts())
}

/// A stopped Mnesia says nothing of this, and is a problem already.
fn of_node(node: &NodeName, facts: &Facts) -> Vec<Problem> {
    let ram_schema = facts.mnesia == Running::Yes && !facts.use_dir;
    ram_schema.then(|| Problem::RamSchema { node: node.clone() }).into_iter().collect()
}
