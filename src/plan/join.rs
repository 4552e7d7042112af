//! The safe join: proven beside the old database, switched by one rename, copied once.
//!
//! The order of the file steps is what makes a kill at any point leave either the old node or a member.

use std::collections::HashSet;

use super::step::{Action, OnFailure, Step, UndoStep};
use super::{copy_action, numbered};
use crate::model::name::{AtomName, NodeName, TableName};
use crate::model::request::{LocalRows, Options};
use crate::model::rows::RowDifference;
use crate::validate::copies::WantedCopy;
use crate::validate::view::View;

/// The steps of a join and the way back.
pub(super) fn steps(
    view: &View<'_>,
    target: &NodeName,
    members: &[NodeName],
    wanted: &[WantedCopy<'_>],
    rows: &[RowDifference],
    options: &Options,
) -> (Vec<Step>, Vec<UndoStep>) {
    let applications = &view.here_facts().applications;
    let merged = match options.local_rows {
        LocalRows::Archive => Vec::new(),
        LocalRows::Merge => rows.iter().map(|row| row.table.clone()).collect(),
    };
    let mut actions = vec![Action::Connect { nodes: members.to_vec() }];
    actions.extend(
        applications.iter().map(|application| Action::StopApplication { application: application.clone() }),
    );
    if !merged.is_empty() {
        actions.push(Action::ArchiveRows { tables: merged.clone() });
    }
    // The log is dumped when nobody writes any more, or rows would stay in a log that is deleted.
    actions.extend([
        Action::DumpLog,
        Action::StopMnesia,
        Action::OpenStaging,
        Action::JoinSchema { node: target.clone(), members: members.to_vec() },
        Action::SchemaToDisc,
        Action::CloseStaging,
        Action::KeepDatabase,
        Action::DeleteLogs,
        Action::CommitSchema,
        Action::ReplaceFiles,
        Action::StartMnesia { members: members.to_vec() },
    ]);
    actions.extend(wanted.iter().map(copy_action));
    actions.push(Action::WaitForTables { tables: needed(view, target, &merged) });
    if !merged.is_empty() {
        actions.push(Action::MergeRows { tables: merged });
    }
    actions.push(Action::ClearCaches);
    actions.extend(
        applications
            .iter()
            .rev()
            .map(|application| Action::StartApplication { application: application.clone() }),
    );
    // Once clients may have written, a way back would lose what they wrote: the last check takes nothing back.
    let steps = numbered(
        actions
            .into_iter()
            .map(|action| (action, OnFailure::Undo))
            .chain([(Action::Verify, OnFailure::Keep)]),
    );
    let undo = undo(&steps, members, applications);
    (steps, undo)
}

/// Tables that have to be readable before the applications start: all that are not local.
fn needed(view: &View<'_>, target: &NodeName, merged: &[TableName]) -> Vec<TableName> {
    let merged: HashSet<_> = merged.iter().collect();
    view.tables_of(target)
        .filter(|table| !table.local_content || merged.contains(&table.name))
        .map(|table| table.name.clone())
        .collect()
}

/// Members first, then here: as long as a member lists this node, that member dies when it restarts beside a
/// stand-alone Mnesia here.
fn undo(steps: &[Step], members: &[NodeName], applications: &[AtomName]) -> Vec<UndoStep> {
    let first = |wanted: &str| steps.iter().find(|step| step.action.name() == wanted).map(|step| step.number);
    let way_back = [
        ("open_staging", Action::StopMnesia),
        ("join_schema", Action::ForgetHere { members: members.to_vec() }),
        ("delete_logs", Action::RestoreDatabase),
        ("open_staging", Action::DropStaging),
        ("stop_mnesia", Action::ReopenMnesia),
        ("stop_application", Action::ClearCaches),
    ];
    let stop_again = applications.iter().map(|application| {
        ("start_application", Action::StopApplication { application: application.clone() })
    });
    let start_again = applications.iter().rev().map(|application| {
        ("stop_application", Action::StartApplication { application: application.clone() })
    });
    stop_again
        .chain(way_back)
        .chain(start_again)
        .filter_map(|(since, action)| Some(UndoStep { since: first(since)?, action }))
        .collect()
}
