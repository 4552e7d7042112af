//! What a backup brings back, and what goes for it.

use std::collections::HashMap;

use crate::model::catalogue::{self, Class};
use crate::model::name::TableName;
use crate::model::request::{BackedUp, Backup, Operation};
use crate::model::table::{Storage, Table, TableType};
use crate::validate::operation;
use crate::validate::problem::{Bytes, Problem};
use crate::validate::view::View;

/// The tables whose rows can be compared: those that there are in the same layout.
pub(super) fn comparable(view: &View<'_>, backup: &Backup) -> Vec<TableName> {
    let here = tables_here(view);
    let same = |table: &&BackedUp| {
        here.get(&table.name).is_some_and(|here| {
            here.attributes == table.attributes
                && here.table_type == table.table_type
                && here.record_name == table.record_name
                && !view.set(here.active).is_empty()
        })
    };
    backup.tables.iter().filter(same).map(|table| table.name.clone()).collect()
}

/// The tables that the backup brings back into memory.
pub(super) fn in_memory(operation: &Operation) -> Vec<TableName> {
    let Operation::Restore(backup) = operation else { return Vec::new() };
    let in_memory = backup.tables.iter().filter(|table| table.storage == Storage::RamCopies);
    in_memory.map(|table| table.name.clone()).collect()
}

fn tables_here<'a>(view: &View<'a>) -> HashMap<&'a TableName, &'a Table> {
    view.tables_of(view.here()).map(|table| (&table.name, table)).collect()
}

/// What forbids it: the node is a member, or the backup does not fit beside the old database and `archived` bytes of rows.
pub(super) fn problems(view: &View<'_>, backup: &Backup, archived: u64) -> Vec<Problem> {
    let sum = |wanted: fn(&BackedUp) -> bool| {
        backup
            .tables
            .iter()
            .filter(|table| wanted(table))
            .fold(0_u64, |sum, table| sum.saturating_add(table.bytes))
    };
    let on_disc = sum(|table| table.storage != Storage::RamCopies);
    let in_memory = sum(|table| table.storage != Storage::DiscOnlyCopies);
    let mut problems = operation::reset(view, archived.saturating_add(on_disc));
    // What is here now makes room first.
    let freed = view.tables_of(view.here()).fold(0_u64, |sum, table| sum.saturating_add(table.memory));
    let free = view.here_facts().memory_free.map(|free| free.saturating_add(freed));
    if let Some(free) = free.filter(|free| *free < in_memory) {
        problems.push(Problem::NotEnoughMemory {
            here: view.here().clone(),
            needed: Bytes(in_memory),
            free: Bytes(free),
        });
    }
    problems
}

/// Tables that will be gone, and those that come back in another layout.
pub(super) fn warnings(view: &View<'_>, backup: &Backup) -> Vec<Problem> {
    let backed_up: HashMap<_, _> = backup.tables.iter().map(|table| (&table.name, table)).collect();
    let mut found = Vec::new();
    for table in view.tables_of(view.here()) {
        match backed_up.get(&table.name) {
            Some(backed_up) => found.extend(differences(table, backed_up)),
            None => found.extend(vanishing(table, backup)),
        }
    }
    found
}

fn vanishing(table: &Table, backup: &Backup) -> Option<Problem> {
    let lost = table.size > 0
        && catalogue::class(&table.name) == Class::Durable
        && table.name.as_str() != catalogue::FENCE
        && !backup.left_out.contains(&table.name);
    lost.then(|| Problem::NotInBackup { table: table.name.clone(), rows: table.size })
}

fn differences(here: &Table, backup: &BackedUp) -> Vec<Problem> {
    let names = |attributes: &[crate::model::name::AtomName]| {
        attributes.iter().map(|name| name.as_str()).collect::<Vec<_>>().join(", ")
    };
    let items = [
        ("attributes", names(&here.attributes), names(&backup.attributes)),
        ("type", kind(here.table_type).to_owned(), kind(backup.table_type).to_owned()),
        ("record_name", here.record_name.as_str().to_owned(), backup.record_name.as_str().to_owned()),
        ("index", here.index.clone(), backup.index.clone()),
    ];
    items
        .into_iter()
        .filter(|(_, here, backup)| here != backup)
        .map(|(item, mine, theirs)| Problem::BackupDefinitionDiffers {
            table: here.name.clone(),
            item: item.into(),
            here: mine,
            backup: theirs,
        })
        .collect()
}

fn kind(table_type: TableType) -> &'static str {
    match table_type {
        TableType::Set => "set",
        TableType::OrderedSet => "ordered_set",
        TableType::Bag => "bag",
    }
}
