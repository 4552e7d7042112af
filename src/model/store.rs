//! A node's Mnesia directory as facts: its schema, and what its logs say about the other nodes.

use serde::{Deserialize, Serialize};

use super::machine::decisions::{Decisions, Sighting};
use super::machine::schema::{Holders, Schema};
use super::name::{NodeName, TableName};

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
