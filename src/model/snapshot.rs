//! What every member of one or two clusters says, at about one moment.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::name::{AtomName, NodeName, TableName};
use super::pair::Pair;
use super::table::{SetIndex, Storage, Table};

/// The one layout of [`Snapshot`] that this version reads.
pub const FORMAT: u32 = 1;

/// The facts that every decision is made from.
///
/// Sets of nodes repeat (a thousand tables with the same three holders), so each stands once in `node_sets` and is
/// named by its index. A cookie of the distribution is never part of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Snapshot {
    /// [`FORMAT`].
    pub format: u32,
    /// The node that asked and on which steps will run.
    pub node: NodeName,
    /// Every node that was asked: this one first, then all that any of them lists as a member.
    pub members: Vec<Member>,
    /// Table definitions, each as often as members differ on it.
    pub tables: Vec<Table>,
    /// Sorted sets of nodes.
    pub node_sets: Vec<Vec<NodeName>>,
    /// Ways to a node that the members tried. Only for forgetting it.
    #[serde(default)]
    pub ways: Vec<Pair>,
    /// Table files in the databases that were kept. Only for forgetting a node.
    #[serde(default)]
    pub kept: Vec<KeptFile>,
    /// Copies that this node's operations have made, the last one of each table and storage type.
    #[serde(default)]
    pub copied: Vec<Copied>,
}

/// A copy that was made, and how long it took.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Copied {
    /// The table.
    pub table: TableName,
    /// How the copy is stored.
    pub storage: Storage,
    /// Its rows.
    pub rows: u64,
    /// Their bytes.
    pub bytes: u64,
    /// How long it took, milliseconds.
    pub milliseconds: u64,
}

/// A table's file in a database that an earlier operation kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeptFile {
    /// The node on whose machine it is.
    pub node: NodeName,
    /// Where.
    pub path: String,
}

impl KeptFile {
    /// The name of the table: that of the file without its extension.
    #[must_use]
    pub fn table(&self) -> &str {
        let file = self.path.rsplit('/').next().unwrap_or_default();
        file.rsplit_once('.').map_or(file, |(table, _)| table)
    }
}

/// One node and what it answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// Its name.
    pub node: NodeName,
    /// What it said.
    pub answer: Answer,
}

/// What came of asking a node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// It answered.
    Facts(Box<Facts>),
    /// It did not; why, in the words of whatever gave up (`noconnection`, `timeout`, …).
    Silent(String),
}

/// Whether Mnesia runs on a node (`mnesia:system_info(is_running)`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Running {
    /// It serves.
    Yes,
    /// It is stopped.
    No,
    /// It is on its way up.
    Starting,
    /// It is on its way down.
    Stopping,
}

/// What would keep the database from being moved aside, each with its path.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Obstacle {
    /// The name of a Mnesia file, and not a file.
    NotAPlainFile {
        /// Where.
        path: String,
        /// What it is instead: `symlink`, `directory`, …
        kind: String,
    },
    /// A file or a folder that is needed and cannot be written.
    NotUsable {
        /// Where.
        path: String,
        /// In the words of the file system.
        reason: String,
    },
    /// A dets file of Mnesia's that other processes have open, so that it would stay open when Mnesia stops.
    InUse {
        /// Where.
        path: String,
        /// The processes, as Erlang prints them.
        users: Vec<String>,
    },
    /// A folder in which the directory's files cannot have second names.
    NoHardLinks {
        /// The folder.
        path: String,
        /// In the words of the file system.
        reason: String,
    },
}

/// Whether ejabberd accepts the configuration that lies on disc.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Configuration {
    /// It does.
    Valid,
    /// It does not.
    Invalid {
        /// The file.
        path: String,
        /// In ejabberd's words.
        reason: String,
    },
    /// Nobody knows.
    Unchecked {
        /// Why.
        reason: String,
    },
}

/// What a member says of itself and of the others.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Facts {
    /// Major OTP release, `"25"` (`erlang:system_info(otp_release)`).
    pub otp_release: String,
    /// Versions of the applications that matter, where they are loaded: `mnesia`, `ejabberd`, `easy_cluster`.
    pub versions: BTreeMap<String, String>,
    /// Running applications that depend on Mnesia and have to stop before it does, dependents first.
    pub applications: Vec<AtomName>,
    /// All running applications. Asked on this node only.
    #[serde(default)]
    pub running_applications: Vec<AtomName>,
    /// Whether an operation of easy_cluster's is under way there.
    #[serde(default)]
    pub operating: bool,
    /// Whether Mnesia runs.
    pub mnesia: Running,
    /// Where Mnesia is starting: the nodes that it waits for, as only they know how a transaction ended in which it was killed.
    #[serde(default)]
    pub awaits: Vec<NodeName>,
    /// Whether the schema is on disc (`use_dir`).
    pub use_dir: bool,
    /// Whether a backup waits to take the database's place at the next start (`fallback_activated`).
    #[serde(default)]
    pub fallback: bool,
    /// The cookie of its schema, as those of the tables are written; none where Mnesia does not run.
    #[serde(default)]
    pub schema_cookie: Option<String>,
    /// All members that its schema lists (`db_nodes`).
    pub db_nodes: SetIndex,
    /// Members that its Mnesia is connected to, itself included (`running_db_nodes`).
    pub running_db_nodes: SetIndex,
    /// Nodes that it was told to connect to (`extra_db_nodes`).
    pub extra_db_nodes: SetIndex,
    /// Nodes of the distribution that it is connected to (`nodes()`).
    pub connected: SetIndex,
    /// Nodes whose copies its schema prefers at load (`mnesia_recover:get_master_nodes(schema)`).
    pub master_nodes: SetIndex,
    /// `net_ticktime`, seconds.
    pub tick_time: u32,
    /// Its clock minus this node's, milliseconds; within half a round trip.
    pub clock_offset: i64,
    /// Bytes of memory that its tables may still take: the least of what the machine has available, what a
    /// container's limit leaves and what the operator's `memory_limit` leaves.
    pub memory_free: Option<u64>,
    /// Bytes free on the file system of the Mnesia directory.
    pub disk_free: Option<u64>,
    /// The Mnesia directory.
    pub directory: String,
    /// Whether the directory can be written by the node's user: tried on this node, access(2) on the others.
    pub directory_writable: Option<bool>,
    /// What would keep its database from being moved aside. Asked on this node only.
    #[serde(default)]
    pub obstacles: Vec<Obstacle>,
    /// Whether ejabberd could start again. Asked on this node only, before an operation, where ejabberd runs.
    pub configuration: Option<Configuration>,
    /// The unfinished operation that its journal holds, if any. Asked on this node only.
    pub unfinished: Option<String>,
    /// What lies beside its database. Asked on this node only.
    #[serde(default)]
    pub beside: Beside,
}

/// What easy_cluster has put beside a database.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Beside {
    /// Journals that cannot be read.
    pub damaged: Vec<DamagedJournal>,
    /// The databases that are kept, oldest first.
    pub kept: Vec<KeptDatabase>,
    /// The archives of rows, oldest first.
    #[serde(default)]
    pub archives: Vec<Archive>,
    /// How much the operator wants all of these to take at most, bytes.
    pub kept_quota: Option<u64>,
}

/// A journal that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DamagedJournal {
    /// Names the operation.
    pub id: String,
    /// The file.
    pub path: String,
    /// What is wrong with it.
    pub damage: Damage,
    /// In other words.
    pub reason: String,
}

/// What is wrong with a journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Damage {
    /// Its bytes are not what was written.
    #[serde(rename = "journal_corrupt")]
    Corrupt,
    /// Another version wrote it.
    #[serde(rename = "journal_version")]
    Version,
    /// The file system does not give it.
    #[serde(rename = "journal_read")]
    Unreadable,
    /// It is gone.
    #[serde(rename = "journal_missing")]
    Missing,
}

/// Rows that an operation has archived.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Archive {
    /// The operation that archived them.
    pub id: String,
    /// Its files.
    pub files: u64,
    /// Their size.
    pub bytes: u64,
}

/// A database that is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeptDatabase {
    /// The operation that kept it.
    pub id: String,
    /// Its files.
    pub files: u64,
    /// Their size.
    pub bytes: u64,
    /// Whether some of them are files of the live database, too, and so take no room.
    pub shared: bool,
}
