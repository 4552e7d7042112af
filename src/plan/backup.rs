//! What a backup of a cluster takes, and whether it can be taken now.

use serde::{Deserialize, Serialize};

use crate::model::catalogue::{self, Class};
use crate::model::name::TableName;
use crate::model::snapshot::Snapshot;
use crate::model::table::Table;
use crate::validate::membership;
use crate::validate::problem::{Bytes, Problem};
use crate::validate::view::View;

/// The folder that a backup is to be written to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Folder {
    /// Where, as it was typed.
    pub path: String,
    /// A name in it, if it has any.
    pub found: Option<String>,
    /// Bytes free on its file system.
    pub free: Option<u64>,
}

/// Why a table is not in a backup.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// Its rows are of processes, and are nothing without them.
    OfProcesses,
    /// Every node has its own rows in memory.
    OfEachStart,
    /// Every node has its own rows, and this node has none.
    OfOtherNodes,
    /// An external backend stores it.
    External,
}

/// A table that is not in the backup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeftOut {
    /// The table.
    pub name: TableName,
    /// Why.
    pub reason: Reason,
}

/// What a backup takes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Backup {
    /// The tables, by name.
    pub tables: Vec<TableName>,
    /// Those that it does not take.
    pub left_out: Vec<LeftOut>,
    /// Their rows now.
    pub rows: u64,
    /// Bytes that they should take.
    pub bytes: u64,
    /// What does not forbid it and should be known.
    pub warnings: Vec<Problem>,
}

/// A backup of this node's cluster. Members may be down as long as others have their tables.
///
/// # Errors
/// Every problem that forbids it.
pub fn make(snapshot: &Snapshot, folder: &Folder) -> Result<Backup, Vec<Problem>> {
    let view = View::new(snapshot).map_err(|problem| vec![problem])?;
    let (mut warnings, mut problems): (Vec<_>, Vec<_>) = membership::of_own_cluster(&view)
        .into_iter()
        .partition(|problem| matches!(problem, Problem::MemberDown { .. }));
    problems.extend(
        folder
            .found
            .as_ref()
            .map(|found| Problem::BackupFolderNotEmpty { path: folder.path.clone(), found: found.clone() }),
    );
    let mut taken: Vec<&Table> = Vec::new();
    let mut left_out = Vec::new();
    // The fence is this cluster's own; the next one makes another.
    for table in view.tables_of(view.here()).filter(|table| table.name.as_str() != catalogue::FENCE) {
        match reason(&view, table) {
            Some(reason) => left_out.push(LeftOut { name: table.name.clone(), reason }),
            None => taken.push(table),
        }
    }
    problems.extend(
        taken
            .iter()
            .filter(|table| view.set(table.active).is_empty())
            .map(|table| Problem::TableNotLoaded { table: table.name.clone(), holders: view.holders(table) }),
    );
    let external = left_out.iter().filter(|left| left.reason == Reason::External);
    warnings.extend(external.map(|left| Problem::ExternalTable { table: left.name.clone() }));
    let sum = |of: fn(&Table) -> u64| taken.iter().fold(0, |sum: u64, table| sum.saturating_add(of(table)));
    let bytes = sum(|table| table.memory);
    if let Some(free) = folder.free.filter(|free| *free < bytes) {
        problems.push(Problem::NoRoomForBackup {
            path: folder.path.clone(),
            needed: Bytes(bytes),
            free: Bytes(free),
        });
    }
    if problems.is_empty() && taken.is_empty() {
        problems
            .push(Problem::NothingToBackUp { here: view.here().clone(), left_out: left_out.len() as u64 });
    }
    if !problems.is_empty() {
        problems.sort_by_key(Problem::layer);
        return Err(problems);
    }
    let mut tables: Vec<_> = taken.iter().map(|table| table.name.clone()).collect();
    tables.sort_unstable();
    tables.dedup();
    left_out.sort_unstable_by(|a, b| a.name.cmp(&b.name));
    Ok(Backup { tables, left_out, rows: sum(|table| table.size), bytes, warnings })
}

/// Why a table stays out. What lies on a disc is somebody's data whatever its class.
fn reason(view: &View<'_>, table: &Table) -> Option<Reason> {
    let on_disc = !view.set(table.disc_copies).is_empty() || !view.set(table.disc_only_copies).is_empty();
    match catalogue::class(&table.name) {
        _ if view.storage_for(table, view.here()).is_none() => Some(Reason::External),
        Class::OwnerKeyed if !on_disc => Some(Reason::OfProcesses),
        Class::Local if !on_disc => Some(Reason::OfEachStart),
        Class::Durable | Class::OwnerKeyed | Class::Local | Class::Derived => {
            (table.local_content && !view.is_copied_here(table)).then_some(Reason::OfOtherNodes)
        }
    }
}
