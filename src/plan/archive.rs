//! Rows of this node that no kept file would hold, or that are to go into the cluster.

use std::collections::HashSet;

use super::step::Action;
use crate::model::catalogue::{self, Class};
use crate::model::name::TableName;
use crate::model::request::{LocalRows, Options};
use crate::model::rows::RowDifference;
use crate::model::table::Table;
use crate::validate::view::View;

/// The step that archives the rows of these tables, if there are any.
pub(crate) fn action(tables: &[&Table]) -> Option<Action> {
    (!tables.is_empty()).then(|| Action::ArchiveRows {
        tables: tables.iter().map(|table| table.name.clone()).collect(),
        rows: sum(tables, |table| table.size),
        bytes: sum(tables, |table| table.memory),
    })
}

/// Bytes that the rows of this node take outside the kept database: in the archive, and in the cluster where they are
/// merged.
pub(crate) fn bytes(view: &View<'_>, rows: &[RowDifference], options: &Options) -> u64 {
    let merged = merged(rows, options);
    let archived = tables(view, &merged, &in_memory(view));
    sum(
        &archived,
        |table| if merged.contains(&table.name) { table.memory.saturating_mul(2) } else { table.memory },
    )
}

/// The tables whose rows are written to the cluster.
pub(crate) fn merged(rows: &[RowDifference], options: &Options) -> Vec<TableName> {
    match options.local_rows {
        LocalRows::Archive => Vec::new(),
        LocalRows::Merge => rows.iter().map(|row| row.table.clone()).collect(),
    }
}

/// Tables whose rows are nowhere but in memory here, and belong neither to a process nor can be made again.
pub(crate) fn in_memory(view: &View<'_>) -> Vec<TableName> {
    view.tables_of(view.here())
        .filter(|table| view.has_here(table.ram_copies) && catalogue::class(&table.name) == Class::Durable)
        .map(|table| table.name.clone())
        .collect()
}

/// The tables whose rows are archived.
pub(crate) fn tables<'a>(view: &View<'a>, merged: &[TableName], in_memory: &[TableName]) -> Vec<&'a Table> {
    let wanted: HashSet<_> = merged.iter().chain(in_memory).collect();
    view.tables_of(view.here()).filter(|table| wanted.contains(&table.name)).collect()
}

pub(crate) fn sum(tables: &[&Table], of: impl Fn(&Table) -> u64) -> u64 {
    tables.iter().fold(0, |sum, table| sum.saturating_add(of(table)))
}
