//! The vocabulary of steps: every effect that a plan can have, and nothing else.
//!
//! A step can be run again at any time with the same end. What carries it out journals the intent, does it,
//! checks that it took effect, and journals the outcome.

use serde::{Deserialize, Serialize};

use super::diff::Comparison;
use crate::model::catalogue::Class;
use crate::model::name::{AtomName, NodeName, TableName};
use crate::model::table::Storage;

/// One effect. Each says what it does, what is checked after it, and what takes it back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// Connect to the nodes on the distribution, visibly. Check: all are in `nodes()`. Undo: nothing, it harms nobody.
    Connect {
        /// All members of the target cluster.
        nodes: Vec<NodeName>,
    },
    /// Bring the transaction log into the table files (`mnesia:dump_log/0`), or an old `create_table` in it would be
    /// replayed into the cluster. Check: it returned `dumped`. Undo: nothing.
    DumpLog,
    /// Stop an application that uses Mnesia. Check: it is not running. Undo: [`Action::StartApplication`].
    StopApplication {
        /// `ejabberd`, or another.
        application: AtomName,
    },
    /// Write the rows of these tables to an archive beside the Mnesia files: those that are to be merged, and those of tables
    /// in memory, which no kept file holds. The applications that write them are stopped.
    /// Check: the archive reads back with as many rows. Undo: [`Action::RestoreRows`] for tables in memory; the archive stays.
    ArchiveRows {
        /// The tables.
        tables: Vec<TableName>,
        /// Their rows.
        rows: u64,
        /// Their bytes.
        bytes: u64,
    },
    /// Stop Mnesia. Check: `is_running` is `no`. Undo: [`Action::ReopenMnesia`].
    StopMnesia,
    /// Start Mnesia on an empty directory beside the old files. Check: no disc schema, no members.
    /// Undo: [`Action::DropStaging`].
    OpenStaging,
    /// Connect the empty Mnesia to the cluster (`mnesia:change_config(extra_db_nodes, [Node])`).
    /// Check: it returned exactly `{ok, [Node]}`, and this node and every member are in `running_db_nodes` of each other.
    /// Undo: [`Action::ForgetHere`].
    JoinSchema {
        /// The contact node.
        node: NodeName,
        /// Every member of the cluster, the contact node included.
        members: Vec<NodeName>,
    },
    /// Bring the schema to disc (`change_table_copy_type(schema, node(), disc_copies)`). Check: the staging directory
    /// holds `schema.DAT`. Undo: with [`Action::DropStaging`].
    SchemaToDisc,
    /// Stop the Mnesia that runs in staging. Check: `is_running` is `no`. Undo: nothing.
    CloseStaging,
    /// Make a whole stand-alone database of this node in staging, in another VM that nobody can reach, while this one serves. What is
    /// not made of kept files has new schema and table cookies: nothing of it would ever be merged with a cluster by accident.
    /// Check: that VM's Mnesia started on it, alone, with its schema on disc, and loaded its tables. Undo: [`Action::DropStaging`].
    BuildDatabase {
        /// What it holds.
        source: Source,
    },
    /// Hard-link each Mnesia file into the kept folder. Check: each link is the same file. Undo: nothing, it stays.
    KeepDatabase,
    /// The same of a member. Others write to it until it stops, so that its log has what its table files lack; it is kept with
    /// them. Check: each link is the same file. Undo: nothing, it stays.
    KeepMember,
    /// Move every Mnesia file into the kept folder, the schema first: from then on there is no database. Then delete the file `reenter`, which
    /// asks for it. Check: the kept folder has its manifest. Undo: nothing, it stays.
    SetAside,
    /// Copy every Mnesia file into the kept folder, logs with transactions along; a hard link would change with the file. Check: the kept
    /// folder has its manifest. Undo: nothing, it stays.
    CopyAside,
    /// Delete `LATEST.LOG` and `DECISION_TAB.LOG`, which would be replayed into the new schema. Check: they are gone.
    /// Undo: [`Action::RestoreDatabase`].
    DeleteLogs,
    /// Rename staging's `schema.DAT` over the directory's: from here on this node is a member.
    /// Check: the directory's `schema.DAT` is staging's. Undo: [`Action::RestoreDatabase`].
    CommitSchema,
    /// Delete the old tables' files and move the rest of staging in. Check: no old file is left.
    /// Undo: [`Action::RestoreDatabase`].
    ReplaceFiles,
    /// Start Mnesia from its own directory as a member. Check: this node and every member are in
    /// `running_db_nodes` of each other. Undo: [`Action::StopMnesia`].
    StartMnesia {
        /// Every member but this node.
        members: Vec<NodeName>,
    },
    /// Copy a table here (`mnesia:add_table_copy/3`). `already_exists` is success. Check: this node is among the
    /// holders of that storage type and takes writes. Undo: nothing; in a join the membership takes it along.
    CopyTable(TableCopy),
    /// Copy several small tables here in one schema transaction, or one after another where Mnesia cannot do that. Those that
    /// are here already are left out. Check: as of [`Action::CopyTable`], of each. Undo: as of it.
    CopyTables {
        /// The tables, in order.
        copies: Vec<TableCopy>,
    },
    /// Wait until the tables are loaded or can be read from a member (`mnesia:wait_for_tables/2`).
    /// Check: it returned `ok`. Undo: nothing.
    WaitForTables {
        /// The tables.
        tables: Vec<TableName>,
    },
    /// Write archived rows whose key the cluster lacks to the cluster; list those that differ.
    /// Check: each key of the archive is in the cluster. Undo: nothing, so it comes when nothing can fail any more that
    /// would take the join back.
    MergeRows {
        /// The tables.
        tables: Vec<TableName>,
        /// Rows in the archive.
        rows: u64,
    },
    /// Copy a table to a member or to this node (`mnesia:add_table_copy/3`).
    /// Check: the member is among the holders of that storage type and takes writes. Undo: nothing, it is good in itself.
    CopyTableTo {
        /// The table.
        table: TableName,
        /// The member.
        node: NodeName,
        /// How the copy is stored.
        storage: Storage,
        /// Rows to go.
        rows: u64,
        /// Their bytes.
        bytes: u64,
    },
    /// Delete a node's copy of a table, as `mnesia:del_table_copy/2` does; refused where fewer others are loaded, which are counted under
    /// the schema's lock, and where a durable table's copy is not the same as one of them: what only it has is in no archive. Whether it
    /// is durable, a policy may say. One that is gone is success. Check: the node is not among the holders. Undo: nothing.
    DeleteCopyOn {
        /// The table.
        table: TableName,
        /// The node.
        node: NodeName,
        /// How many other copies have to be loaded.
        others: u32,
        /// What the table is for.
        class: Class,
    },
    /// Write a consistent backup of these tables beside the Mnesia files, also of those that have no copy here, while everything
    /// serves. Check: it has a manifest, which is written last. Undo: [`Action::DropBackUp`].
    BackUp {
        /// The tables.
        tables: Vec<TableName>,
        /// Their rows.
        rows: u64,
        /// Their bytes.
        bytes: u64,
    },
    /// Delete the backup that the new database was built from, and the files from which Mnesia has loaded its tables in memory this
    /// once. Check: they are gone. Undo: nothing.
    DropBackUp {
        /// Those tables.
        in_memory: Vec<TableName>,
    },
    /// Delete the files from which Mnesia has loaded these tables in memory this once, or it would do so at each start.
    /// Check: they are gone. Undo: nothing.
    KeepInMemory {
        /// The tables.
        tables: Vec<TableName>,
    },
    /// Delete this node's copies of the tables; each is refused like [`Action::DeleteCopyOn`] with one other copy.
    /// Check: this node is among the holders of none. Undo: nothing.
    DeleteCopies {
        /// The tables.
        tables: Vec<TableName>,
    },
    /// Let no new client in, end the sessions of this node with a stream error, then close its rooms.
    /// Check: no listener accepts, no session and no room of this node is left. Undo: [`Action::OpenListeners`].
    Drain,
    /// Start an application. Check: it runs. Undo: [`Action::StopApplication`].
    StartApplication {
        /// `ejabberd`, or another.
        application: AtomName,
    },
    /// Clear ejabberd's caches, which outlive its stop and still know the old database (`ets_cache`).
    /// Check: each is empty. Undo: nothing.
    ClearCaches,
    /// Take a snapshot again and compare it with the goal. Undo: nothing.
    Verify,

    /// Refuse connections of the nodes that are to be forgotten on every member (another cookie for that one node), so that
    /// none comes back while it is half forgotten. It lasts as long as the members' VMs. Check: the members answered.
    /// Undo: [`Action::Unbar`].
    Bar {
        /// The nodes to be forgotten.
        nodes: Vec<NodeName>,
        /// Every other member, this node included.
        members: Vec<NodeName>,
    },
    /// Load copies that wait for a node which will not come back (`mnesia:force_load_table/1` on the holder).
    /// Check: each table can be read. Undo: nothing.
    ForceLoad {
        /// The tables, each with the member whose copy is taken.
        tables: Vec<(TableName, NodeName)>,
    },
    /// Take the copies of dead nodes out of the definitions of tables that Mnesia would not lock, and so not forget the nodes: those with
    /// `{majority, true}` whose majority is dead, and those that are read-only. One schema transaction for all of them, built of functions that Mnesia exports and does
    /// not document. A copy that is gone is success. Check: none of the nodes is among the holders. Undo: nothing, a node that
    /// is not forgotten and returns gets its copies back when Mnesia merges the schemas.
    DeleteDeadCopies {
        /// The tables.
        tables: Vec<TableName>,
        /// The nodes to be forgotten.
        nodes: Vec<NodeName>,
    },
    /// Take a node out of the schema of all members (`mnesia:del_table_copy(schema, Node)`). One that is out is success.
    /// Check: it is not in this node's `db_nodes`. Undo: nothing, what was deleted with it is gone.
    ForgetNode {
        /// The node to be forgotten.
        node: NodeName,
    },
    /// Make the table anew by which Mnesia turns away whoever still has the old one. Check: every member has it.
    /// Undo: nothing.
    RenewFence {
        /// Every member, this node included.
        members: Vec<NodeName>,
        /// The cookie of the old one.
        old: Option<String>,
    },
    /// Give the schema of all members another cookie, in one transaction, as Mnesia merges no two schemas on disc whose cookies
    /// differ: the node that starts ends. For those that died before the cluster had a fence. So that no member that dies meanwhile is
    /// turned away as well, each has the others as master nodes of the schema until all have it. It needs functions that Mnesia
    /// exports and does not document; without them, it changes nothing, and the check of the goal says so. Check: the members
    /// have the same cookie. Undo: nothing.
    RenewSchema {
        /// The nodes that do not know the fence.
        nodes: Vec<NodeName>,
        /// Every member, this node included.
        members: Vec<NodeName>,
        /// The cookie of the old one.
        old: Option<String>,
        /// The master nodes of the schema that some members have set, which come back.
        masters: Vec<(NodeName, Vec<NodeName>)>,
    },
    /// Accept connections again on every member. One that does not answer has another VM by now, or will be told by none.
    /// Check: those that answer do. Undo: nothing.
    Unbar {
        /// The nodes that were forgotten.
        nodes: Vec<NodeName>,
        /// Every member, this node included.
        members: Vec<NodeName>,
    },
    /// Give every member that runs a copy of the fence, and make it if there is none and no member is down. Check: this
    /// node has it, where it was made.
    /// Undo: nothing, it harms nobody.
    EnsureFence,

    /// Undo only. Take this node's name out of the members' schema (`del_table_copy(schema, Here)` on one of them),
    /// while Mnesia is stopped here. Check: it is in no reachable member's `db_nodes`; what cannot be reached stays
    /// pending in the journal.
    ForgetHere {
        /// The members.
        members: Vec<NodeName>,
    },
    /// Undo only. Put the kept files back, each under its old name. Check: the directory's Mnesia files are exactly the
    /// kept ones.
    RestoreDatabase,
    /// Undo only. Point Mnesia at its own directory again and delete staging. Check: both.
    DropStaging,
    /// Start Mnesia from its own directory, alone. Going forward, tables in memory whose names make no file then get their rows from the
    /// backup that the database was built from. Check: it runs and its tables are loaded. Undo: nothing.
    ReopenMnesia,
    /// Write the archived rows of tables in memory that another operation has archived here into the tables. A row that is
    /// there by now is newer and stays. Check: each key of the archive is in its table. Undo: nothing, it comes after the
    /// switch.
    RestoreArchive {
        /// That operation.
        id: String,
        /// The tables.
        tables: Vec<TableName>,
    },
    /// Compare the copies of a table, and write what the others have of each key that is not as on `winner` to an archive for each of
    /// these nodes, with the keys. An archive that is there was written before anything was mended, and stays.
    /// Check: each reads back to its end. Undo: nothing, it harms nobody.
    ArchiveDrift {
        /// The node whose copy stays as it is.
        winner: NodeName,
        /// The table and its copies.
        copies: Comparison,
        /// Keys that differ.
        keys: u64,
    },
    /// Write what `winner` has of the archived keys to all copies, under a lock on each of them; a key that is the same everywhere by now
    /// is left alone, and one whose rows are not those in the archive is archived once more before. Clear ejabberd's caches
    /// there. Check: that of [`Action::CompareCopies`]. Undo: nothing, what was there before is in the archive.
    MendRows {
        /// The table.
        table: TableName,
        /// The node whose copy stays as it is.
        winner: NodeName,
        /// All nodes with a copy.
        nodes: Vec<NodeName>,
        /// Keys that differ.
        keys: u64,
    },
    /// Compare the copies of a table. Check: no key differs. Undo: nothing.
    CompareCopies {
        /// The table and its copies.
        copies: Comparison,
    },
    /// Undo only. Let clients in again, where ejabberd runs. Check: nothing.
    OpenListeners,
    /// Undo only. Write the archived rows of tables in memory back, which the stop of Mnesia has emptied. A row that is there by
    /// now is newer and stays; a table that is gone by now has no rows. Check: each key of the archive is in its table.
    RestoreRows {
        /// The tables.
        tables: Vec<TableName>,
    },
}

/// One table to be copied here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableCopy {
    /// The table.
    pub table: TableName,
    /// How the copy is stored.
    pub storage: Storage,
    /// Rows to come.
    pub rows: u64,
    /// Bytes to come, as the source holds them.
    pub bytes: u64,
}

impl Action {
    /// The tables that it copies here.
    #[must_use]
    pub fn copies(&self) -> &[TableCopy] {
        if let Self::CopyTable(copy) = self {
            return std::slice::from_ref(copy);
        }
        if let Self::CopyTables { copies } = self { copies } else { &[] }
    }

    /// The tables that it copies or stores anew, wherever that is, with rows and bytes.
    #[must_use]
    pub fn copied(&self) -> Vec<(&TableName, u64, u64)> {
        if let Self::CopyTableTo { table, rows, bytes, .. } = self {
            return vec![(table, *rows, *bytes)];
        }
        self.copies().iter().map(|copy| (&copy.table, copy.rows, copy.bytes)).collect()
    }

    /// The name that the executor and the journal know it by.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Connect { .. } => "connect",
            Self::DumpLog => "dump_log",
            Self::StopApplication { .. } => "stop_application",
            Self::ArchiveRows { .. } => "archive_rows",
            Self::StopMnesia => "stop_mnesia",
            Self::OpenStaging => "open_staging",
            Self::JoinSchema { .. } => "join_schema",
            Self::SchemaToDisc => "schema_to_disc",
            Self::CloseStaging => "close_staging",
            Self::BuildDatabase { .. } => "build_database",
            Self::KeepDatabase => "keep_database",
            Self::KeepMember => "keep_member",
            Self::SetAside => "set_aside",
            Self::CopyAside => "copy_aside",
            Self::DeleteLogs => "delete_logs",
            Self::CommitSchema => "commit_schema",
            Self::ReplaceFiles => "replace_files",
            Self::StartMnesia { .. } => "start_mnesia",
            Self::CopyTable(_) => "copy_table",
            Self::CopyTables { .. } => "copy_tables",
            Self::WaitForTables { .. } => "wait_for_tables",
            Self::MergeRows { .. } => "merge_rows",
            Self::CopyTableTo { .. } => "copy_table_to",
            Self::DeleteCopyOn { .. } => "delete_copy_on",
            Self::BackUp { .. } => "back_up",
            Self::DropBackUp { .. } => "drop_back_up",
            Self::KeepInMemory { .. } => "keep_in_memory",
            Self::DeleteCopies { .. } => "delete_copies",
            Self::Drain => "drain",
            Self::StartApplication { .. } => "start_application",
            Self::ClearCaches => "clear_caches",
            Self::Verify => "verify",
            Self::Bar { .. } => "bar",
            Self::ForceLoad { .. } => "force_load",
            Self::DeleteDeadCopies { .. } => "delete_dead_copies",
            Self::ForgetNode { .. } => "forget_node",
            Self::RenewFence { .. } => "renew_fence",
            Self::RenewSchema { .. } => "renew_schema",
            Self::Unbar { .. } => "unbar",
            Self::EnsureFence => "ensure_fence",
            Self::ForgetHere { .. } => "forget_here",
            Self::RestoreDatabase => "restore_database",
            Self::DropStaging => "drop_staging",
            Self::ReopenMnesia => "reopen_mnesia",
            Self::RestoreRows { .. } => "restore_rows",
            Self::RestoreArchive { .. } => "restore_archive",
            Self::OpenListeners => "open_listeners",
            Self::ArchiveDrift { .. } => "archive_drift",
            Self::MendRows { .. } => "mend_rows",
            Self::CompareCopies { .. } => "compare_copies",
        }
    }
}

/// What a database is made from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// Nothing.
    Empty,
    /// The backup of [`Action::BackUp`].
    BackedUp {
        /// Rows to be built from it.
        rows: u64,
    },
    /// Copies of the files that an operation has kept here.
    Kept {
        /// That operation.
        id: String,
    },
    /// A backup of a cluster, this or another one.
    Backup {
        /// Its folder.
        path: String,
    },
    /// The database that is there, with another owner in its schema.
    Renamed {
        /// Who owns it.
        from: NodeName,
        /// Who shall own it.
        to: NodeName,
    },
}

/// A step of a plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// From 1, in order.
    pub number: u32,
    /// What it does.
    pub action: Action,
    /// What becomes of the operation when it fails.
    pub on_failure: OnFailure,
    /// How long it should take, milliseconds.
    pub milliseconds: u64,
    /// The longest that transactions of the table may wait on every member meanwhile, milliseconds.
    pub stall: u64,
}

/// What becomes of an operation when a step fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnFailure {
    /// Everything begun so far is taken back.
    Undo,
    /// What was done so far is good in itself and stays; the operation can be asked for again.
    Keep,
    /// What was done so far is half of it and cannot be taken back: the operation goes on by itself as soon as it can.
    Resume,
}

/// One part of the way back: run when step `since` or a later one has begun.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UndoStep {
    /// The first step that makes it necessary.
    pub since: u32,
    /// What it does.
    pub action: Action,
}
