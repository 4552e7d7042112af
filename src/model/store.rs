//! A node's Mnesia directory as facts: its schema, and what its logs say about the other nodes.

use serde::{Deserialize, Serialize};

use super::machine::decisions::{Decisions, Sighting};
use super::machine::schema::{Holders, Schema};
use super::name::{NodeName, TableName};

/// Why a node does not load a table by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// It did not see these nodes go down: they may have gone on without it.
    Newer,
    /// Its copy is in memory, and theirs is on disc.
    Memory,
    /// They are its master nodes for the table.
    Masters,
}

/// The database of one node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Store {
    /// Where it is.
    pub directory: String,
    /// Whose it is.
    pub node: NodeName,
    /// Members and tables.
    pub schema: Schema,
    /// What it knows of the others.
    pub decisions: Decisions,
}

impl Store {
    /// Whether it has a record that the node went down before its own did.
    #[must_use]
    pub fn outlived(&self, node: &NodeName) -> bool {
        self.decisions.seen.get(node).is_some_and(|seen| seen.is_down)
    }

    /// Whether it outlived the other, and the other has no record to the contrary.
    #[must_use]
    pub fn is_newer_than(&self, other: &Self) -> bool {
        self.outlived(&other.node) && !other.outlived(&self.node)
    }

    /// Nodes that it saw go down, and when.
    pub fn gone(&self) -> impl Iterator<Item = (&NodeName, &Sighting)> {
        self.decisions.seen.iter().filter(|(_, seen)| seen.is_down)
    }

    /// When it last wrote of another node, by its own clock and in its time zone: it ran at that time.
    #[must_use]
    pub fn last_record(&self) -> Option<&str> {
        self.decisions
            .seen
            .values()
            .flat_map(|seen| [&seen.down, &seen.up])
            .flatten()
            .map(String::as_str)
            .max()
    }

    /// Whether it loads a table by itself when it starts, as `mnesia_controller:last_consistent_replica/2` has it.
    ///
    /// # Errors
    /// Why it waits, and for whom.
    pub fn loads(&self, table: &TableName, holders: &Holders) -> Result<(), (Reason, Vec<NodeName>)> {
        let here = &self.node;
        let masters = self.masters(table);
        let only = holders.all().all(|node| node == here);
        if only || holders.local_content || masters.contains(here) {
            return Ok(());
        }
        if !masters.is_empty() {
            return Err((Reason::Masters, masters.to_vec()));
        }
        if holders.ram.contains(here) {
            return if holders.disc.is_empty() {
                Ok(())
            } else {
                Err((Reason::Memory, holders.disc.clone()))
            };
        }
        let others = holders.disc.iter().filter(|node| *node != here && !self.outlived(node));
        let newer: Vec<NodeName> = others.cloned().collect();
        if holders.read_only || newer.is_empty() { Ok(()) } else { Err((Reason::Newer, newer)) }
    }

    /// The tables that it holds.
    pub fn held(&self) -> impl Iterator<Item = (&TableName, &Holders)> {
        self.schema.tables.iter().filter(|(_, holders)| holders.all().any(|node| *node == self.node))
    }

    /// The nodes whose copies of the table it prefers.
    #[must_use]
    pub fn masters(&self, table: &TableName) -> &[NodeName] {
        self.decisions.masters.get(table).map_or(&[], Vec::as_slice)
    }
}
