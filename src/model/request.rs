//! What an operator asks for.

use serde::{Deserialize, Serialize};

use super::name::{AtomName, NodeName, TableName};
use super::store::Reason;
use super::table::{Storage, TableType};

/// An operation on the cluster. The node is whatever the operator typed until it has been through
/// [`crate::validate::node_name::parse`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Operation {
    /// Become a member that reads the tables where they are.
    Join(NodeName),
    /// Become a member with a copy of every table.
    JoinAsMaster(NodeName),
    /// Copy every table of the cluster that this node lacks.
    SyncNode(NodeName),
    /// Take a member that is gone for good out of the cluster of this node.
    Forget(NodeName),
    /// Go on alone with an empty database.
    Reset,
    /// Leave the cluster and go on alone, with its data or without.
    Leave,
    /// Take back what was done here last.
    Rollback(Rollback),
    /// Go on alone with what a backup holds.
    Restore(Backup),
    /// Give a stopped node's database to another name.
    Rename(Rename),
    /// Move the database of this forgotten node aside before Mnesia starts, so that it can join again.
    Reenter(NodeName),
    /// Copy the database of this node aside before Mnesia starts, as the other members have gone on without it.
    Overridden(NodeName),
    /// Load here what waits for nodes that are gone for good.
    ForceBoot(ForceBoot),
    /// Bring the cluster of this node to what a policy wants.
    Repair(Repair),
    /// Make all copies of a table what one node has.
    RepairTable(TableRepair),
}

/// A table whose copies shall all be what one node has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableRepair {
    /// The table.
    pub table: TableName,
    /// The node whose copy stays as it is.
    pub winner: NodeName,
    /// What a comparison of the copies has found.
    pub drift: Drift,
}

/// How the copies of a table differ from one of them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Drift {
    /// Keys whose rows are not the same everywhere.
    pub keys: u64,
    /// The copies that differ.
    pub copies: Vec<CopyDrift>,
    /// Whether there are more than were looked at one by one.
    pub more: bool,
    /// Rows that cannot be compared.
    pub left_out: u64,
    /// A digest of the keys and of who has what of them: two looks that found the same have the same.
    pub digest: String,
}

/// How a copy differs from the winner's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CopyDrift {
    /// Where it is.
    pub node: NodeName,
    /// Keys that it lacks.
    pub missing: u64,
    /// Keys that only it has.
    pub foreign: u64,
    /// Keys of both, with other rows.
    pub different: u64,
}

/// A policy, and what decides on its plan beside the cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Repair {
    /// The text of the policy (`docs/policy.md`).
    pub policy: String,
    /// Minutes since midnight, by the clock that the policy's windows go by.
    pub minute: u16,
    /// Changes that were made here by themselves within the last hour, one each time.
    pub lately: Vec<Lately>,
    /// Tables of which a copy was not deleted just now, for what was found: they stay as they are, and the others do not wait for them.
    #[serde(default)]
    pub refused: Vec<TableName>,
}

/// A change of a table's copy on a node that was made lately.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Lately {
    /// The table.
    pub table: TableName,
    /// The node.
    pub node: NodeName,
}

/// What waits here, as the node's own records and the other members tell.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ForceBoot {
    /// Tables with a copy here that wait, by whom they wait for.
    pub waits: Vec<Awaited>,
    /// Nodes among these that do not answer, and yet something of theirs does, and what that is.
    pub signs: Vec<(NodeName, String)>,
}

/// Tables that wait for the same nodes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Awaited {
    /// The tables.
    pub tables: Vec<TableName>,
    /// Why.
    pub reason: Reason,
    /// For whom.
    pub nodes: Vec<AwaitedNode>,
}

/// A node that tables wait for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AwaitedNode {
    /// The node.
    pub node: NodeName,
    /// When this node last saw it come or go, by its own clock.
    pub seen: Option<String>,
    /// Whether it has a record that this node went down before it.
    pub outlived_here: bool,
}

/// What takes an operation back, as [`crate::operation::rollback::takes_back`] finds it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rollback {
    /// The operation that is taken back.
    pub id: String,
    /// How.
    pub way: Way,
}

/// How an operation is taken back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Way {
    /// This node goes on with the database that the operation has kept.
    Kept {
        /// Bytes of that database.
        bytes: u64,
        /// Tables in memory, whose rows the operation has archived.
        rows: Vec<TableName>,
        /// Tables whose rows the operation has written to the cluster.
        merged: Vec<TableName>,
    },
    /// The copies that the operation has made here go.
    Copies {
        /// Their tables.
        tables: Vec<TableName>,
    },
}

/// The names of a database that changes its owner.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rename {
    /// Who owns it.
    pub from: NodeName,
    /// Who shall own it.
    pub to: NodeName,
}

/// A backup, as its manifest has it, and what it would change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Backup {
    /// The folder.
    pub path: String,
    /// Where it was made.
    pub node: NodeName,
    /// When, in UTC.
    pub at: String,
    /// Its tables.
    pub tables: Vec<BackedUp>,
    /// Tables that it does not have and that are made anew.
    pub left_out: Vec<TableName>,
}

/// A table of a backup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackedUp {
    /// Its name.
    pub name: TableName,
    /// `set`, `ordered_set` or `bag`.
    #[serde(rename = "type")]
    pub table_type: TableType,
    /// How it will be stored.
    pub storage: Storage,
    /// The record's fields.
    pub attributes: Vec<AtomName>,
    /// The record's name.
    pub record_name: AtomName,
    /// Positions of secondary indexes, as Erlang prints them.
    pub index: String,
    /// Rows in it.
    pub rows: u64,
    /// Bytes of its file.
    pub bytes: u64,
    /// How it differs from this node's table, where they can be compared.
    pub changes: Option<Changes>,
}

/// How the rows of a backup differ from those that there are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Changes {
    /// Rows here now.
    pub here: u64,
    /// Of those, rows that the backup lacks.
    pub only_here: u64,
    /// Rows of the backup that are not here.
    pub only_in_backup: u64,
    /// Keys with one row here and another one in the backup.
    pub different: u64,
}

impl Operation {
    /// The name of the function that asks for it.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Join(_) => "join",
            Self::JoinAsMaster(_) => "join_as_master",
            Self::SyncNode(_) => "sync_node",
            Self::Forget(_) => "forget",
            Self::Reset => "reset",
            Self::Leave => "leave",
            Self::Rollback(_) => "rollback",
            Self::Restore(_) => "restore",
            Self::Rename(_) => "rename",
            Self::Reenter(_) => "reenter",
            Self::Overridden(_) => "overridden",
            Self::ForceBoot(_) => "force_boot",
            Self::RepairTable(_) => "repair_table",
            Self::Repair(_) => "repair",
        }
    }
}

/// What becomes of rows that exist only on the joining node.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LocalRows {
    /// They stay in the kept database.
    #[default]
    Archive,
    /// Those whose key the cluster lacks are written to it; those that differ are archived and listed.
    Merge,
}

/// What a node that leaves goes on with.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Data {
    /// The rows of all tables of the cluster that belong to no process.
    #[default]
    Keep,
    /// Nothing.
    Empty,
}

/// Tables that may be lost, as their only copy is on a node that is to be forgotten.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Lose {
    /// None.
    #[default]
    Nothing,
    /// Those of these names. Text, as no atom is made of what was typed.
    Tables(Vec<String>),
    /// All of them.
    All,
}

impl Lose {
    /// Whether a table may be lost.
    #[must_use]
    pub fn covers(&self, table: &TableName) -> bool {
        match self {
            Self::Nothing => false,
            Self::Tables(names) => names.iter().any(|name| name == table.as_str()),
            Self::All => true,
        }
    }
}

/// The options of an operation, all of them optional.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Options {
    /// Show the plan and do nothing.
    pub dry_run: bool,
    /// Milliseconds that a silent node is waited for.
    pub timeout: u64,
    /// What becomes of rows that exist only here.
    pub local_rows: LocalRows,
    /// What a node that leaves goes on with.
    #[serde(default)]
    pub data: Data,
    /// Agree to what the plan would otherwise ask about.
    pub yes: bool,
    /// Members that are gone for good, too, and are forgotten at once with the one that is named.
    #[serde(default)]
    pub also: Vec<NodeName>,
    /// Tables that may go with a node that is forgotten.
    #[serde(default)]
    pub lose: Lose,
    /// Whether those that forget have to be more than half of the members.
    #[serde(default = "yes")]
    pub quorum: bool,
}

fn yes() -> bool {
    true
}

impl Default for Options {
    fn default() -> Self {
        Self {
            dry_run: false,
            timeout: 5_000,
            local_rows: LocalRows::Archive,
            data: Data::Keep,
            yes: false,
            also: Vec::new(),
            lose: Lose::Nothing,
            quorum: true,
        }
    }
}
