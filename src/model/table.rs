//! A Mnesia table as its schema describes it.

use serde::{Deserialize, Serialize};

use super::name::{AtomName, TableName};

/// An index into the sets of nodes that a snapshot names once (`node_sets`).
pub type SetIndex = u32;

/// How a copy of a table is stored (`mnesia:table_info(Tab, storage_type)`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Storage {
    /// In memory only (ets).
    RamCopies,
    /// In memory and on disc (ets and disk_log).
    DiscCopies,
    /// On disc only (dets), 2 GB at most.
    DiscOnlyCopies,
}

impl Storage {
    /// The name that Mnesia gives it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::RamCopies => "ram_copies",
            Self::DiscCopies => "disc_copies",
            Self::DiscOnlyCopies => "disc_only_copies",
        }
    }
}

/// Whether a table takes writes (`mnesia:table_info(Tab, access_mode)`).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AccessMode {
    /// It does.
    #[default]
    ReadWrite,
    /// It does not, until the mode is changed.
    ReadOnly,
}

/// What keys may repeat and how they are ordered (`mnesia:table_info(Tab, type)`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TableType {
    /// One row a key.
    Set,
    /// One row a key, in order, integers and floats that compare equal being one key.
    OrderedSet,
    /// Several rows a key.
    Bag,
}

/// One definition of a table and who holds it. Members that see another definition have an entry of their own.
///
/// Source: `mnesia:table_info/2`, item by item; `cookie`, `version`, `index` and `properties` are Erlang terms
/// in their `~w` form, as they are only ever compared.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Table {
    /// The table's name. `schema` is not listed.
    pub name: TableName,
    /// The members whose schema holds exactly this definition.
    pub seen_by: SetIndex,
    /// `set`, `ordered_set` or `bag`.
    #[serde(rename = "type")]
    pub table_type: TableType,
    /// Holders of a copy in memory.
    pub ram_copies: SetIndex,
    /// Holders of a copy in memory and on disc.
    pub disc_copies: SetIndex,
    /// Holders of a copy in dets.
    pub disc_only_copies: SetIndex,
    /// Holders of a copy of an external backend type; easy_cluster leaves such tables alone.
    pub external_copies: SetIndex,
    /// Holders whose copy is loaded (`active_replicas`). Unlike `where_to_write` it has those of read-only tables, too.
    pub active: SetIndex,
    /// The record's fields.
    pub attributes: Vec<AtomName>,
    /// The record's name.
    pub record_name: AtomName,
    /// Positions of secondary indexes.
    pub index: String,
    /// Whether every node has its own rows under the same definition.
    pub local_content: bool,
    /// Whether transactions need a majority of the copies.
    pub majority: bool,
    /// Whether it takes writes.
    #[serde(default)]
    pub access_mode: AccessMode,
    /// Higher is loaded first.
    pub load_order: i64,
    /// Made when the table was created; differs when it was created twice independently.
    pub cookie: String,
    /// Changes with each change of the definition.
    pub version: String,
    /// User, storage and fragmentation properties.
    pub properties: String,
    /// Rows, as the first of the active holders among `seen_by` counts them.
    pub size: u64,
    /// Bytes in memory (for dets: in the file), counted likewise.
    pub memory: u64,
}
