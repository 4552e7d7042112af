//! What forbids that members are forgotten, and what would go with them.

use super::problem::{Nodes, Problem, Tables};
use super::view::View;
use super::{durability, membership};
use crate::model::catalogue;
use crate::model::name::{NodeName, TableName};
use crate::model::pair::Pair;
use crate::model::reach::ReachFailure;
use crate::model::request::Options;
use crate::model::snapshot::Running;
use crate::model::table::{Storage, Table};

/// The members that are left when `forgotten` are out, this node among them.
#[must_use]
pub fn rest(view: &View<'_>, forgotten: &[NodeName]) -> Vec<NodeName> {
    let members = view.set(view.here_facts().db_nodes);
    members.iter().filter(|node| !forgotten.contains(node)).cloned().collect()
}

/// What forbids to forget these nodes.
#[must_use]
pub fn problems(view: &View<'_>, forgotten: &[NodeName], options: &Options) -> Vec<Problem> {
    let here = view.here();
    if forgotten.contains(here) {
        return vec![Problem::CannotForgetItself { node: here.clone() }];
    }
    let facts = view.here_facts();
    if facts.mnesia != Running::Yes {
        return vec![membership::not_running(here, facts)];
    }
    let rest = rest(view, forgotten);
    let mut problems: Vec<Problem> =
        facts.unfinished.iter().map(|id| Problem::UnfinishedOperation { id: id.clone() }).collect();
    problems.extend(forgotten.iter().filter_map(|node| of_forgotten(view, node, &rest)));
    problems.extend(
        membership::of_cluster(view, here).into_iter().filter_map(|problem| of_rest(problem, forgotten)),
    );
    problems.extend(no_quorum(view, forgotten, &rest).filter(|_| options.quorum));
    problems.extend(durability::of_sync(view, here));
    problems.extend(only_copies(view, forgotten, options));
    problems.extend(waiting(view, forgotten).filter(|_| !options.yes));
    problems.sort_by_key(Problem::layer);
    problems
}

fn of_forgotten(view: &View<'_>, node: &NodeName, rest: &[NodeName]) -> Option<Problem> {
    let members = view.here_facts().db_nodes;
    if !view.has(members, node) {
        return Some(Problem::NoSuchMember { node: node.clone(), members: view.nodes(members) });
    }
    let signs = signs_of_life(view, node, rest);
    if signs.is_empty() {
        return None;
    }
    let mut seen_by: Vec<NodeName> = signs.iter().map(|(by, _)| by.clone()).collect();
    seen_by.dedup();
    let how: Vec<&str> = signs.iter().map(|(_, how)| how.as_str()).collect();
    Some(Problem::NodeIsAlive { node: node.clone(), seen_by: Nodes(seen_by), how: how.join("; ") })
}

/// Who sees that a node is alive, and how.
fn signs_of_life(view: &View<'_>, node: &NodeName, rest: &[NodeName]) -> Vec<(NodeName, String)> {
    let here = view.here();
    let answers = view.facts(node).map(|_| (here.clone(), format!("it answers {here}")));
    let seen = rest.iter().filter_map(|member| {
        let facts = view.facts(member)?;
        let how = if view.has(facts.running_db_nodes, node) {
            format!("{member} replicates with it")
        } else if view.has(facts.connected, node) {
            format!("{member} is connected to it")
        } else {
            return None;
        };
        Some((member.clone(), how))
    });
    let tried = view.ways().iter().filter(|way| way.to == *node).filter_map(way_to_the_living);
    let mut signs: Vec<_> = answers.into_iter().chain(seen).chain(tried).collect();
    signs.sort();
    signs
}

/// A process of that name keeps the connection by which epmd knows it, also when it hangs or a firewall hides it.
fn way_to_the_living(way: &Pair) -> Option<(NodeName, String)> {
    let from = &way.from;
    let how = match &way.failure {
        None => format!("{from} reaches its port"),
        Some(
            ReachFailure::DistributionPortClosed { .. }
            | ReachFailure::DistributionPortSilent { .. }
            | ReachFailure::PeerSilent { .. }
            | ReachFailure::TlsRequired { .. }
            | ReachFailure::TlsMissing { .. }
            | ReachFailure::NameRefused { .. }
            | ReachFailure::DuplicateName { .. }
            | ReachFailure::Incompatible { .. }
            | ReachFailure::WrongCookie
            | ReachFailure::HandshakeFailed { .. },
        ) => format!("its epmd still knows it, as {from} hears, so its process is there"),
        Some(
            ReachFailure::UnknownHost { .. }
            | ReachFailure::FirstAddress { .. }
            | ReachFailure::EpmdUnreachable { .. }
            | ReachFailure::EpmdSilent { .. }
            | ReachFailure::NotEpmd { .. }
            | ReachFailure::NotRegistered { .. }
            | ReachFailure::StaleEntry { .. }
            | ReachFailure::NotANode { .. }
            | ReachFailure::OtherName { .. },
        ) => return None,
    };
    Some((from.clone(), how))
}

/// That those are down that are to be forgotten is as it should be.
fn of_rest(problem: Problem, forgotten: &[NodeName]) -> Option<Problem> {
    let Problem::MemberDown { node, reason, .. } = problem else { return Some(problem) };
    let first = forgotten.first()?;
    (!forgotten.contains(&node)).then(|| Problem::OtherMemberDown { node, forgotten: first.clone(), reason })
}

fn no_quorum(view: &View<'_>, forgotten: &[NodeName], rest: &[NodeName]) -> Option<Problem> {
    let members = view.set(view.here_facts().db_nodes).len();
    (rest.len() * 2 <= members).then(|| Problem::NoQuorum {
        forgotten: Nodes(forgotten.to_vec()),
        rest: Nodes(rest.to_vec()),
        members: members as u64,
    })
}

/// The tables that nobody but the forgotten has a copy of.
pub fn lost<'a>(view: &View<'a>, forgotten: &[NodeName]) -> Vec<&'a Table> {
    let gone = |table: &&Table| {
        let holders = view.holders(table).0;
        !holders.is_empty() && holders.iter().all(|holder| forgotten.contains(holder))
    };
    view.tables_of(view.here()).filter(|table| table.name.as_str() != catalogue::FENCE).filter(gone).collect()
}

fn only_copies(view: &View<'_>, forgotten: &[NodeName], options: &Options) -> Option<Problem> {
    let lost: Vec<&Table> =
        lost(view, forgotten).into_iter().filter(|table| !options.lose.covers(&table.name)).collect();
    let node = forgotten.first()?.clone();
    let known: Vec<String> = lost
        .iter()
        .map(|table| {
            format!("{}: {}, {}", table.name, catalogue::class(&table.name).as_str(), stored(view, table))
        })
        .collect();
    let kept: Vec<String> = lost.iter().flat_map(|table| kept(view, &table.name)).collect();
    let kept = if kept.is_empty() {
        "No kept database has any of them".into()
    } else {
        format!("Kept databases have older copies: {}", kept.join(", "))
    };
    (!lost.is_empty()).then(|| Problem::OnlyCopyOnDeadNode {
        node,
        tables: Tables(lost.iter().map(|table| table.name.clone()).collect()),
        known: known.join("; "),
        kept,
    })
}

/// How a table is stored where it is.
#[must_use]
pub fn stored(view: &View<'_>, table: &Table) -> &'static str {
    let kinds = [
        (Storage::DiscCopies, table.disc_copies),
        (Storage::DiscOnlyCopies, table.disc_only_copies),
        (Storage::RamCopies, table.ram_copies),
    ];
    let found = kinds.iter().find(|(_, holders)| !view.set(*holders).is_empty());
    found.map_or("external", |(storage, _)| storage.as_str())
}

/// Files of a table in databases that were kept, with the node that has them.
#[must_use]
pub fn kept(view: &View<'_>, table: &TableName) -> Vec<String> {
    let of_table = view.kept().iter().filter(|file| file.table() == table.as_str());
    of_table.map(|file| format!("{} on {}", file.path, file.node)).collect()
}

/// Tables that nobody has loaded although a copy is left, each with the member whose copy is taken: this node's, or the
/// first that has one.
#[must_use]
pub fn to_load(view: &View<'_>, forgotten: &[NodeName]) -> Vec<(TableName, NodeName)> {
    view.tables_of(view.here())
        .filter(|table| table.name.as_str() != catalogue::FENCE && !table.local_content)
        .filter(|table| view.set(table.active).iter().all(|holder| forgotten.contains(holder)))
        .filter_map(|table| {
            let mut left: Vec<NodeName> = view.holders(table).0;
            left.retain(|holder| !forgotten.contains(holder));
            let own = left.iter().find(|holder| *holder == view.here());
            Some((table.name.clone(), own.or_else(|| left.first())?.clone()))
        })
        .collect()
}

fn waiting(view: &View<'_>, forgotten: &[NodeName]) -> Option<Problem> {
    let waiting = to_load(view, forgotten);
    let node = forgotten.first()?.clone();
    let holders: Vec<String> = waiting.iter().map(|(table, holder)| format!("{table} of {holder}")).collect();
    (!waiting.is_empty()).then(|| Problem::ForceLoadNeeded {
        node,
        tables: Tables(waiting.into_iter().map(|(table, _)| table).collect()),
        holders: holders.join(", "),
    })
}

/// Those of the forgotten that the fence does not keep out, as they do not know it.
#[must_use]
pub fn unfenced(view: &View<'_>, forgotten: &[NodeName]) -> Vec<NodeName> {
    let fence = fence(view).map_or_else(Vec::new, |table| view.holders(table).0);
    forgotten.iter().filter(|node| !fence.contains(node)).cloned().collect()
}

/// Whether every member has the fence.
#[must_use]
pub fn is_fenced(view: &View<'_>) -> bool {
    let holders = fence(view).map_or_else(Vec::new, |table| view.holders(table).0);
    view.set(view.here_facts().db_nodes).iter().all(|member| holders.contains(member))
}

/// The fence, as this node knows it.
#[must_use]
pub fn fence<'a>(view: &View<'a>) -> Option<&'a Table> {
    view.tables_of(view.here()).find(|table| table.name.as_str() == catalogue::FENCE)
}
