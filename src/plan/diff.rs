//! Which copies of which tables are compared with each other, and how.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::model::catalogue::{self, Class};
use crate::model::name::{NodeName, TableName};
use crate::model::policy::Policy;
use crate::model::snapshot::{Facts, Running, Snapshot};
use crate::model::table::Table;
use crate::validate::membership;
use crate::validate::problem::{Nodes, Problem, Tables};
use crate::validate::view::View;

/// Rows that a leaf of the tree of digests should stand for.
const ROWS_A_LEAF: u64 = 16;
/// A tree has 16 nodes below each; so many levels at most, of which the last has 16 MB of sums.
const MOST_LEVELS: u32 = 5;
/// Bytes and rows that are read at once.
const PIECE_BYTES: u64 = 4 << 20;
const PIECE_ROWS: u64 = 1000;
/// So many times smaller are the pieces of a scrub.
const SCRUB_SMALLER: u64 = 10;

/// A table whose copies are compared.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Comparison {
    /// The table.
    pub table: TableName,
    /// The holders of its copies, two or more.
    pub nodes: Vec<NodeName>,
    /// The tree of digests has two to the power of so many leaves.
    pub bits: u32,
    /// Rows that are read at once.
    pub piece: u64,
}

/// What is compared, and whose copies cannot be.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Chosen {
    /// The tables with several copies that can be read, small ones first.
    pub comparisons: Vec<Comparison>,
    /// A [`Problem::NodeNotCompared`] for each node with copies that cannot be read.
    pub not_compared: Vec<Problem>,
}

/// The durable tables of this node's cluster that have several copies; which are durable, the policy may say. Only those that have a
/// copy on `node`, and only that copy and the one here, where a node is given.
///
/// # Errors
/// [`Problem::BadRequest`] for a snapshot that contradicts itself, [`Problem::NotAMember`] for a node of another cluster.
pub fn comparisons(snapshot: &Snapshot, policy: &Policy, node: Option<&NodeName>) -> Result<Chosen, Problem> {
    let view = View::new(snapshot)?;
    let here = view.here();
    let members = view.here_facts().db_nodes;
    if let Some(node) = node.filter(|node| !view.has(members, node)) {
        let members = Nodes(view.set(members).to_vec());
        return Err(Problem::NotAMember { here: here.clone(), node: node.clone(), members });
    }
    let wanted = |holder: &NodeName| node.is_none_or(|node| holder == node || holder == here);
    let mut compared: Vec<(&Table, Vec<NodeName>)> = Vec::new();
    let mut silent: BTreeMap<NodeName, Vec<TableName>> = BTreeMap::new();
    let durable = |table: &&Table| policy.class_of(table, policy.table(&table.name)) == Class::Durable;
    for table in view.tables_of(here).filter(durable) {
        let holders: Vec<NodeName> =
            copies(&view, table).into_iter().filter(|holder| wanted(holder)).collect();
        if holders.len() < 2 {
            continue;
        }
        let (nodes, others): (Vec<_>, Vec<_>) =
            holders.into_iter().partition(|holder| is_readable(&view, table, holder));
        for other in others {
            silent.entry(other).or_default().push(table.name.clone());
        }
        if nodes.len() > 1 {
            compared.push((table, nodes));
        }
    }
    compared.sort_by(|(one, _), (other, _)| (one.memory, &one.name).cmp(&(other.memory, &other.name)));
    Ok(Chosen {
        comparisons: compared.into_iter().map(|(table, nodes)| comparison(table, nodes)).collect(),
        not_compared: silent.into_iter().map(|(node, tables)| not_compared(&view, node, tables)).collect(),
    })
}

fn not_compared(view: &View<'_>, node: NodeName, tables: Vec<TableName>) -> Problem {
    let reason = match view.facts(&node) {
        None => view.silence(&node),
        Some(Facts { mnesia: Running::Yes, .. }) => "not loaded there".into(),
        Some(Facts { mnesia: Running::No | Running::Starting | Running::Stopping, .. }) => {
            "its Mnesia does not run".into()
        }
    };
    Problem::NodeNotCompared { node, tables: Tables(tables), reason }
}

/// How the copies of a table on these nodes are compared.
pub(crate) fn comparison(table: &Table, nodes: Vec<NodeName>) -> Comparison {
    sized(table.name.clone(), table.size, table.memory, nodes)
}

/// A copy that is to be deleted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Leaving {
    /// The table.
    pub table: TableName,
    /// What it is for, where a policy has been asked.
    pub class: Option<Class>,
    /// Its rows.
    pub rows: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Its node, and those of the other copies.
    pub nodes: Vec<NodeName>,
}

/// How a copy is compared with the others before it is deleted. Rows that are nobody's data may differ.
#[must_use]
pub fn before_deletion(leaving: Leaving) -> Option<Comparison> {
    let Leaving { table, class, rows, bytes, nodes } = leaving;
    let class = class.unwrap_or_else(|| catalogue::class(&table));
    (class == Class::Durable).then(|| sized(table, rows, bytes, nodes))
}

fn sized(table: TableName, rows: u64, bytes: u64, nodes: Vec<NodeName>) -> Comparison {
    let piece = (PIECE_BYTES.saturating_mul(rows) / bytes.max(1)).clamp(1, PIECE_ROWS);
    Comparison { table, nodes, bits: bits(rows), piece }
}

/// What the background scrub does next.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Turn {
    /// Compare these, one after the other.
    Compare(Vec<Comparison>),
    /// It is another node's, which looks for all: the first by name that has easy_cluster.
    Of(NodeName),
    /// Not now: why.
    Wait(String),
}

/// What this node compares in the background: nothing unless all members are there and agree, every copy is loaded, and no operation is
/// unfinished here. The pieces are small, so that whoever waits for a scheduler behind one does not wait long.
///
/// # Errors
/// [`Problem::BadRequest`] for a snapshot that contradicts itself.
pub fn scrub(snapshot: &Snapshot, policy: &Policy) -> Result<Turn, Problem> {
    let view = View::new(snapshot)?;
    if let Some(problem) = membership::of_own_cluster(&view).first() {
        return Ok(Turn::Wait(problem.code().into()));
    }
    let members = view.set(view.here_facts().db_nodes);
    let can =
        |node: &&NodeName| view.facts(node).is_some_and(|facts| facts.versions.contains_key("easy_cluster"));
    if let Some(first) = members.iter().find(can).filter(|first| *first != view.here()) {
        return Ok(Turn::Of(first.clone()));
    }
    let waits = |table: &&Table| view.holders(table).0.iter().any(|holder| !view.has(table.active, holder));
    let mut compared = comparisons(snapshot, policy, None)?.comparisons;
    if view.tables_of(view.here()).filter(|table| !table.local_content).any(|table| waits(&table)) {
        return Ok(Turn::Wait("tables are loading".into()));
    }
    // Who has no easy_cluster cannot be asked.
    compared.retain_mut(|comparison| {
        comparison.nodes.retain(|node| can(&node));
        comparison.piece = comparison.piece.div_ceil(SCRUB_SMALLER);
        comparison.nodes.len() > 1
    });
    Ok(Turn::Compare(compared))
}

/// The holders whose copies could be read row by row.
fn copies(view: &View<'_>, table: &Table) -> Vec<NodeName> {
    let mut holders = view.holders(table).0;
    holders.retain(|node| !view.has(table.external_copies, node));
    holders.sort_unstable();
    holders
}

/// Members take a while to see that one of them is frozen or cut off; whether it answers was seen just now.
fn is_readable(view: &View<'_>, table: &Table, holder: &NodeName) -> bool {
    view.has(table.active, holder) && view.facts(holder).is_some()
}

/// Four for each level below the root.
fn bits(rows: u64) -> u32 {
    let leaves = (rows / ROWS_A_LEAF).max(1).next_power_of_two();
    4 * leaves.ilog2().div_ceil(4).clamp(1, MOST_LEVELS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_nobodys_data_is_deleted_as_it_is() {
        let before = |table: &str, class| {
            let (table, nodes) = (table.into(), vec!["a@x.y".into()]);
            before_deletion(Leaving { table, class, rows: 100, bytes: 1000, nodes }).map(|found| found.bits)
        };
        let known = ["passwd", "session", "vcard_search"].map(|table| before(table, None));
        assert_eq!(known, [Some(4), None, None]);
        let said = [("passwd", Class::Derived), ("vcard_search", Class::Durable)];
        assert_eq!(said.map(|(table, class)| before(table, Some(class))), [None, Some(4)]);
    }

    #[test]
    fn a_leaf_stands_for_a_handful_of_rows() {
        let leaves: Vec<u32> = [0, 16, 256, 257, 1_000_000, u64::MAX / 2].map(bits).to_vec();
        assert_eq!(leaves, [4, 4, 4, 4, 16, 20]);
    }
}
