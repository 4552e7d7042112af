//! What an operator wants the cluster to look like: `docs/policy.md`.
//!
//! Each wish carries the line where it stands, so that what collides can be shown.

use serde::{Deserialize, Serialize};

use super::catalogue::{self, Class};
use super::name::{NodeName, TableName};
use super::table::{Storage, Table};

/// Transactions may wait this long for a copy without being asked for, unless the policy says otherwise, milliseconds.
pub const MAX_STALL: u64 = 30_000;

/// Something that a policy says, and where.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct At<T> {
    /// What.
    pub value: T,
    /// The line of the text, from 1.
    pub line: u32,
}

/// How many members hold a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Copies {
    /// Each that may.
    All,
    /// As many as this.
    Exactly(u32),
}

/// What a node is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// It may hold every table, as after `join_as_master`.
    Master,
    /// It serves clients and reads the durable tables from others, as after `join`: it holds what belongs to processes, what
    /// can be computed again, and what is pinned there.
    Slave,
    /// It holds the schema and the fence, so that it counts when a majority is asked for, and no table.
    Witness,
}

impl Role {
    /// The word of the policy.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Master => "master",
            Self::Slave => "slave",
            Self::Witness => "witness",
        }
    }
}

/// Who brings the cluster to what is wanted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Sync {
    /// It is done by itself.
    Auto,
    /// It is told, and an operator does it.
    #[default]
    Propose,
    /// Nobody looks.
    Off,
}

/// A time of each day, in minutes since midnight. It may go beyond midnight: then it ends before it begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Window {
    /// Where it begins.
    pub from: u16,
    /// Where it ends.
    pub to: u16,
}

/// What is wanted of a node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeWish {
    /// Which.
    pub node: At<NodeName>,
    /// What it is for.
    pub role: Option<At<Role>>,
    /// What fails together with it.
    pub zone: Option<At<String>>,
    /// Bytes of memory that table copies may take there; no limit where `None` was written.
    pub memory: Option<At<Option<u64>>>,
    /// Bytes of disk, likewise.
    pub disk: Option<At<Option<u64>>>,
}

/// What is wanted of a table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableWish {
    /// Which.
    pub table: At<TableName>,
    /// What it is for, where the catalogue does not know it or has it wrong.
    pub class: Option<At<Class>>,
    /// How many hold it.
    pub copies: Option<At<Copies>>,
    /// How they do.
    pub storage: Option<At<Storage>>,
    /// Nodes that hold it in any case.
    pub pins: Vec<At<NodeName>>,
    /// Nodes that do not.
    pub exclusions: Vec<At<NodeName>>,
}

/// What is wanted of all tables of a class.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClassWish {
    /// Which.
    pub class: At<Class>,
    /// How they are stored.
    pub storage: Option<At<Storage>>,
}

/// The wanted state of a cluster.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Policy {
    /// How many members hold a durable table.
    pub copies: Option<At<Copies>>,
    /// Node by node.
    pub nodes: Vec<NodeWish>,
    /// Class by class.
    pub classes: Vec<ClassWish>,
    /// Table by table.
    pub tables: Vec<TableWish>,
    /// Tables that nothing is done with.
    pub leave_alone: Vec<At<TableName>>,
    /// Who does it.
    pub sync: Option<At<Sync>>,
    /// When copies may be made that stall transactions for longer than `max_stall`.
    pub windows: Vec<At<Window>>,
    /// How long transactions may have to wait for a copy, milliseconds; no limit where `None` was written.
    pub max_stall: Option<At<Option<u64>>>,
}

impl Policy {
    /// What is wanted of a node, if anything is said of it.
    #[must_use]
    pub fn node(&self, node: &NodeName) -> Option<&NodeWish> {
        self.nodes.iter().find(|wish| wish.node.value == *node)
    }

    /// What is wanted of a table, if anything is said of it.
    #[must_use]
    pub fn table(&self, table: &TableName) -> Option<&TableWish> {
        self.tables.iter().find(|wish| wish.table.value == *table)
    }

    /// What a node is for. Who is not mentioned is a master.
    #[must_use]
    pub fn role(&self, node: &NodeName) -> Role {
        self.node(node).and_then(|wish| wish.role).map_or(Role::Master, |role| role.value)
    }

    /// How many hold a durable table, and where that is said.
    #[must_use]
    pub fn copies_of(&self, table: Option<&TableWish>) -> (Copies, Option<u32>) {
        let said = table.and_then(|wish| wish.copies).or(self.copies);
        said.map_or((Copies::All, None), |copies| (copies.value, Some(copies.line)))
    }

    /// How long transactions may have to wait for a copy, milliseconds.
    #[must_use]
    pub fn max_stall(&self) -> u64 {
        self.max_stall.map_or(MAX_STALL, |at| at.value.unwrap_or(u64::MAX))
    }

    /// The storage type that is wanted for a class, and where that is said.
    #[must_use]
    pub fn storage_of(&self, class: Class) -> Option<At<Storage>> {
        self.classes.iter().find(|wish| wish.class.value == class)?.storage
    }

    /// What a table is for: whether it is local is a fact, the rest may be overridden.
    #[must_use]
    pub fn class_of(&self, table: &Table, wish: Option<&TableWish>) -> Class {
        if table.local_content {
            return Class::Local;
        }
        let known = catalogue::class(&table.name);
        // What the catalogue has as local and is not is written like a cache: by each node for itself.
        let known = if known == Class::Local { Class::Derived } else { known };
        wish.and_then(|wish| wish.class).map_or(known, |class| class.value)
    }
}
