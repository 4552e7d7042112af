//! Whether what an operation writes is still there after a restart.

use super::problem::Problem;
use super::view::View;
use crate::model::name::NodeName;
use crate::model::snapshot::{Facts, Obstacle, Running};

/// Problems of this node, most of all when its database is about to be replaced.
#[must_use]
pub fn of_here(view: &View<'_>) -> Vec<Problem> {
    let facts = view.here_facts();
    let obstacles = facts.obstacles.iter().map(obstacle);
    of_node(view.here(), facts).into_iter().chain(obstacles).collect()
}

/// What it means for an operation that moves the database aside.
#[must_use]
pub fn obstacle(obstacle: &Obstacle) -> Problem {
    match obstacle.clone() {
        Obstacle::NotAPlainFile { path, kind } => Problem::NotAPlainFile { path, kind },
        Obstacle::InUse { path, users } => Problem::FileInUse { path, users: users.join(", ") },
        Obstacle::NotUsable { path, reason } => Problem::NotUsable { path, reason },
        Obstacle::NoHardLinks { path, reason } => Problem::NoHardLinks { path, reason },
    }
}

/// Problems of the members that are about to write this node into their schema.
#[must_use]
pub fn of_members(view: &View<'_>, target: &NodeName) -> Vec<Problem> {
    others(view, target).flat_map(|(node, facts)| of_node(node, facts)).collect()
}

/// Problems of copying tables to this node. The others need to write that down, how they store their schema is of no concern;
/// nothing is moved aside.
#[must_use]
pub fn of_sync(view: &View<'_>, target: &NodeName) -> Vec<Problem> {
    let members = others(view, target).filter_map(|(node, facts)| not_writable(node, facts));
    of_node(view.here(), view.here_facts()).into_iter().chain(members).collect()
}

fn others<'a>(
    view: &'a View<'a>,
    target: &NodeName,
) -> impl Iterator<Item = (&'a NodeName, &'a Facts)> + use<'a> {
    let members = view.facts(target).map_or(&[][..], |facts| view.set(facts.db_nodes));
    let others = members.iter().filter(|node| *node != view.here());
    others.filter_map(|node| view.facts(node).map(|facts| (node, facts)))
}

/// A stopped Mnesia says nothing of this, and is a problem already.
fn of_node(node: &NodeName, facts: &Facts) -> Vec<Problem> {
    let ram_schema = facts.mnesia == Running::Yes && !facts.use_dir;
    let ram_schema = ram_schema.then(|| Problem::RamSchema { node: node.clone() });
    ram_schema.into_iter().chain(not_writable(node, facts)).chain(fallback(node, facts)).collect()
}

/// The next start of Mnesia would put the old database over whatever is written from now on.
fn fallback(node: &NodeName, facts: &Facts) -> Option<Problem> {
    facts.fallback.then(|| Problem::FallbackInstalled {
        path: format!("{}/FALLBACK.BUP", facts.directory),
        reason: format!("it is installed at the next start of Mnesia on {node}"),
    })
}

fn not_writable(node: &NodeName, facts: &Facts) -> Option<Problem> {
    (facts.directory_writable == Some(false))
        .then(|| Problem::DirectoryNotWritable { node: node.clone(), directory: facts.directory.clone() })
}
