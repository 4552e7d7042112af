//! What a backup brings back, and what goes for it.

use std::collections::HashMap;

use super::alone::{Alone, keeping};
use super::ask::{Answers, Need};
use super::past::Past;
use super::rollback;
use super::{Becomes, Room};
use crate::model::catalogue::{self, Class};
use crate::model::count::counted;
use crate::model::name::{AtomName, TableName};
use crate::model::request::{BackedUp, Backup, Way};
use crate::model::table::{Storage, Table, TableType};
use crate::plan::step::Source;
use crate::plan::{Inputs, Plan};
use crate::validate::operation;
use crate::validate::problem::{Bytes, Problem};
use crate::validate::view::View;

/// This node goes on alone with what a backup holds.
pub(super) struct Restore<'a> {
    /// The backup.
    pub backup: &'a Backup,
}

impl Room for Restore<'_> {
    fn becomes(&self) -> Becomes {
        Becomes::Alone
    }

    fn comparison(&self, view: &View<'_>, answers: &Answers) -> Result<Option<Need>, Vec<Problem>> {
        let need = || Need::BackupRows { backup: self.backup.clone(), tables: comparable(view, self.backup) };
        Ok(answers.compared.is_none().then(need))
    }

    fn plan(&self, view: &View<'_>, inputs: &Inputs) -> Result<Plan, Vec<Problem>> {
        let problems = |archived| problems(view, self.backup, archived);
        let source = Source::Backup { path: self.backup.path.clone() };
        let alone = Alone { filled: in_memory(self.backup), ..Alone::with(source) };
        let mut draft = keeping(view, inputs, problems, alone)?;
        draft.warnings.extend(warnings(view, self.backup));
        draft.plan(view, inputs)
    }

    fn way_back(&self, past: &Past, plan: &Plan) -> Result<Way, Problem> {
        rollback::kept(past, plan)
    }

    fn headline(&self, plan: &Plan) -> String {
        let Backup { path, node, at, .. } = self.backup;
        format!("restore: {} goes on alone with the backup of {path} that {node} made at {at}", plan.node)
    }

    fn details(&self) -> Vec<(&'static str, String)> {
        self.backup.tables.iter().filter_map(restored).collect()
    }
}

/// A table that would not be what it is.
fn restored(table: &BackedUp) -> Option<(&'static str, String)> {
    let (name, rows) = (&table.name, counted(table.rows, "row"));
    let Some(changes) = &table.changes else { return Some(("comes back", format!("{name} with {rows}"))) };
    let differs = changes.only_here + changes.only_in_backup + changes.different > 0;
    differs.then(|| {
        let text = format!(
            "{name}: {rows} instead of {}; {} only here, {} only in the backup, {} different",
            changes.here, changes.only_here, changes.only_in_backup, changes.different
        );
        ("changes", text)
    })
}

/// The tables whose rows can be compared: those that there are in the same layout.
fn comparable(view: &View<'_>, backup: &Backup) -> Vec<TableName> {
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
fn in_memory(backup: &Backup) -> Vec<TableName> {
    let in_memory = backup.tables.iter().filter(|table| table.storage == Storage::RamCopies);
    in_memory.map(|table| table.name.clone()).collect()
}

fn tables_here<'a>(view: &View<'a>) -> HashMap<&'a TableName, &'a Table> {
    view.tables_of(view.here()).map(|table| (&table.name, table)).collect()
}

/// What forbids it: the node is a member, or the backup does not fit beside the old database and `archived` bytes of rows.
fn problems(view: &View<'_>, backup: &Backup, archived: u64) -> Vec<Problem> {
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
fn warnings(view: &View<'_>, backup: &Backup) -> Vec<Problem> {
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
    let names =
        |attributes: &[AtomName]| attributes.iter().map(|name| name.as_str()).collect::<Vec<_>>().join(", ");
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
