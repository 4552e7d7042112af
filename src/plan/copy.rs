//! Copies as steps: a large table has one of its own, small ones share one.

use super::estimate;
use super::step::{Action, Source, Step, TableCopy, UndoStep};
use crate::model::name::TableName;
use crate::model::table::Storage;
use crate::validate::copies::WantedCopy;

/// A table whose rows take longer than this has a step of its own, with its own progress and its own line in a plan, milliseconds.
const SMALL_MS: u64 = 5;
/// Tables share a step up to this long, milliseconds. One transaction copies them and keeps the schema locked for so long; when it
/// fails, all of them are copied again.
const SHARED_MS: u64 = 200;

/// The steps that bring `wanted` here, small tables first. Tables in dets share no step with others: in one transaction, Mnesia's
/// receiver of a table in memory leaves its cache of events behind, which the next one in dets stumbles over
/// (`mnesia_loader:subscr_postprocess/2`).
pub(crate) fn actions(wanted: &[WantedCopy<'_>]) -> Vec<Action> {
    let (small, large): (Vec<_>, Vec<_>) =
        wanted.iter().map(copy).partition(|copy| transfer(copy) <= SMALL_MS);
    let (in_dets, in_memory): (Vec<_>, Vec<_>) =
        small.into_iter().partition(|copy| copy.storage == Storage::DiscOnlyCopies);
    let shared = shared(in_memory).into_iter().chain(shared(in_dets));
    shared.chain(large.into_iter().map(Action::CopyTable)).collect()
}

fn copy(wanted: &WantedCopy<'_>) -> TableCopy {
    TableCopy {
        table: wanted.table.name.clone(),
        storage: wanted.storage,
        rows: wanted.rows,
        bytes: wanted.bytes,
    }
}

fn transfer(copy: &TableCopy) -> u64 {
    estimate::transfer(copy.storage, copy.rows, copy.bytes)
}

fn shared(copies: Vec<TableCopy>) -> Vec<Action> {
    let mut groups: Vec<Vec<TableCopy>> = Vec::new();
    for copy in copies {
        match groups.last_mut() {
            Some(group) if estimate::copies(group.iter()) + estimate::copies([&copy]) <= SHARED_MS => {
                group.push(copy)
            }
            Some(_) | None => groups.push(vec![copy]),
        }
    }
    groups.into_iter().map(action).collect()
}

fn action(mut copies: Vec<TableCopy>) -> Action {
    match copies.pop() {
        Some(only) if copies.is_empty() => Action::CopyTable(only),
        last => {
            copies.extend(last);
            Action::CopyTables { copies }
        }
    }
}

/// What a plan does, without what changes all the time: sizes, times, and with them which tables share a step.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Shape {
    steps: Vec<Step>,
    copies: Vec<(TableName, Storage)>,
    undo: Vec<(usize, Action)>,
}

impl Shape {
    pub(crate) fn of(steps: &[Step], undo: &[UndoStep]) -> Self {
        let others = || steps.iter().filter(|step| step.action.copies().is_empty());
        let before = |number: u32| others().filter(|step| step.number < number).count();
        let mut copies: Vec<_> = steps
            .iter()
            .flat_map(|step| step.action.copies())
            .map(|copy| (copy.table.clone(), copy.storage))
            .collect();
        copies.sort_unstable();
        Self {
            steps: others().map(without_sizes).collect(),
            copies,
            undo: undo.iter().map(|undo| (before(undo.since), undo.action.clone())).collect(),
        }
    }
}

fn without_sizes(step: &Step) -> Step {
    let mut step = Step { number: 0, milliseconds: 0, stall: 0, ..step.clone() };
    if let Action::ArchiveRows { rows, bytes, .. }
    | Action::CopyTableTo { rows, bytes, .. }
    | Action::BackUp { rows, bytes, .. } = &mut step.action
    {
        (*rows, *bytes) = (0, 0);
    }
    if let Action::MergeRows { rows, .. } | Action::BuildDatabase { source: Source::BackedUp { rows } } =
        &mut step.action
    {
        *rows = 0;
    }
    // How many rows are read at once, and the depth of the tree, follow the size of the table.
    if let Action::ArchiveDrift { copies, .. } | Action::CompareCopies { copies } = &mut step.action {
        (copies.bits, copies.piece) = (0, 0);
    }
    step
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sized(name: &str, storage: Storage, rows: u64) -> TableCopy {
        TableCopy { table: name.into(), storage, rows, bytes: rows * 100 }
    }

    fn names(actions: &[Action]) -> Vec<(&'static str, usize)> {
        actions.iter().map(|action| (action.name(), action.copies().len())).collect()
    }

    #[test]
    fn a_step_is_shared_as_long_as_it_is_short() {
        let many: Vec<_> = (0..150).map(|n| sized(&format!("t{n}"), Storage::RamCopies, 0)).collect();
        let actions = shared(many);
        assert_eq!(actions.iter().map(|action| action.copies().len()).sum::<usize>(), 150);
        assert!(actions.len() > 1 && actions.iter().all(|a| estimate::copies(a.copies()) <= SHARED_MS));
    }

    #[test]
    fn a_small_table_that_is_alone_has_a_step_of_its_own() {
        assert_eq!(names(&shared(vec![sized("t", Storage::RamCopies, 0)])), [("copy_table", 1)]);
        assert_eq!(names(&shared(Vec::new())), []);
    }
}
