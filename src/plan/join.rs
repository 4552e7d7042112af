//! The safe join: proven beside the old database, switched by one rename, copied once.
//!
//! The order of the file steps is what makes a kill at any point leave either the old node or a member.

use std::collections::HashSet;

use super::step::{Action, OnFailure, Step, UndoStep};
use super::{archive, copy, numbered};
use crate::model::name::{AtomName, NodeName, TableName};
use crate::model::request::Options;
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
    let merged = archive::merged(rows, options);
    let in_memory = archive::in_memory(view);
    let mut actions = vec![Action::Connect { nodes: members.to_vec() }];
    actions.extend(
        applications.iter().map(|application| Action::StopApplication { application: application.clone() }),
    );
    let archived = archive::tables(view, &merged, &in_memory);
    actions.extend(archive::action(&archived));
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
    actions.extend(copy::actions(wanted));
    actions.push(Action::WaitForTables { tables: needed(view, target, &merged) });
    actions.push(Action::ClearCaches);
    actions.extend(
        applications
            .iter()
            .rev()
            .map(|application| Action::StartApplication { application: application.clone() }),
    );
    // Once clients may have written, a way back would lose what they wrote: from here on nothing is taken back.
    let mut last = Vec::new();
    if !merged.is_empty() {
        let rows = archive::sum(&archived, |table| if merged.contains(&table.name) { table.size } else { 0 });
        // Clients may have asked for what was not there yet.
        last.extend([Action::MergeRows { tables: merged, rows }, Action::ClearCaches]);
    }
    last.extend([Action::EnsureFence, Action::Verify]);
    let steps = numbered(
        actions
            .into_iter()
            .map(|action| (action, OnFailure::Undo))
            .chain(last.into_iter().map(|action| (action, OnFailure::Keep))),
    );
    let undo = undo(&steps, members, applications, &in_memory);
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
fn undo(
    steps: &[Step],
    members: &[NodeName],
    applications: &[AtomName],
    in_memory: &[TableName],
) -> Vec<UndoStep> {
    let first = |wanted: &str| steps.iter().find(|step| step.action.name() == wanted).map(|step| step.number);
    let way_back = [
        ("open_staging", Action::StopMnesia),
        ("join_schema", Action::ForgetHere { members: members.to_vec() }),
        ("delete_logs", Action::RestoreDatabase),
        ("open_staging", Action::DropStaging),
        ("stop_mnesia", Action::ReopenMnesia),
    ];
    let rows =
        (!in_memory.is_empty()).then(|| ("stop_mnesia", Action::RestoreRows { tables: in_memory.to_vec() }));
    let stop_again = applications.iter().map(|application| {
        ("start_application", Action::StopApplication { application: application.clone() })
    });
    let start_again = applications.iter().rev().map(|application| {
        ("stop_application", Action::StartApplication { application: application.clone() })
    });
    stop_again
        .chain(way_back)
        .chain(rows)
        .chain([("stop_application", Action::ClearCaches)])
        .chain(start_again)
        .filter_map(|(since, action)| Some(UndoStep { since: first(since)?, action }))
        .collect()
}
