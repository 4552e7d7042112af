//! The safe join: proven beside the old database, switched by one rename, copied once.
//!
//! The order of the file steps is what makes a kill at any point leave either the old node or a member.

use std::collections::HashSet;

use super::ask::{Answers, Need};
use super::past::Past;
use super::rollback;
use super::{Becomes, Room};
use crate::model::catalogue::{self, Class};
use crate::model::name::{AtomName, NodeName, TableName};
use crate::model::request::{LocalRows, Options, Way};
use crate::model::rows::RowDifference;
use crate::model::snapshot::Snapshot;
use crate::model::table::Table;
use crate::plan::draft::{Draft, members, needs_consent, numbered};
use crate::plan::step::{Action, OnFailure, Step, UndoStep};
use crate::plan::{Inputs, Plan, archive, copy};
use crate::validate::copies::{self, WantedCopy};
use crate::validate::operation as validate;
use crate::validate::problem::{Bytes, Nodes, Problem};
use crate::validate::view::View;
use crate::validate::{owned, refused};

/// This node becomes a member that reads the tables where they are.
pub(super) struct Join<'a> {
    /// A member of the cluster.
    pub contact: &'a NodeName,
}

impl Room for Join<'_> {
    fn becomes(&self) -> Becomes {
        Becomes::Slave
    }

    fn contact(&self) -> Option<&NodeName> {
        Some(self.contact)
    }

    fn comparison(&self, view: &View<'_>, answers: &Answers) -> Result<Option<Need>, Vec<Problem>> {
        allowed(view, self.contact, &copies::at_start(view, self.contact), 0)?;
        Ok(rows(view, self.contact, answers))
    }

    /// Which tables are merged depends on the rows that there are now.
    fn again(
        &self,
        plan: &Plan,
        snapshot: &Snapshot,
        answers: &Answers,
    ) -> Result<Option<Need>, Vec<Problem>> {
        match plan.options.local_rows {
            LocalRows::Archive => Ok(None),
            LocalRows::Merge => self.comparison(&super::view(snapshot)?, answers),
        }
    }

    fn plan(&self, view: &View<'_>, inputs: &Inputs) -> Result<Plan, Vec<Problem>> {
        let at_start = copies::at_start(view, self.contact);
        let rows = row_differences(view, self.contact, inputs);
        allowed(view, self.contact, &at_start, archive::bytes(view, &rows, &inputs.options))?;
        let mut draft = draft(view, self.contact, &[], rows, inputs)?;
        draft.warnings.extend(copied_at_start(&at_start));
        draft.at_start = at_start;
        draft.plan(view, inputs)
    }

    fn way_back(&self, past: &Past, plan: &Plan) -> Result<Way, Problem> {
        rollback::kept(past, plan)
    }

    fn headline(&self, plan: &Plan) -> String {
        let members = Nodes(plan.members.clone());
        format!("join: {} becomes a slave in the cluster of {members}", plan.node)
    }
}

/// What forbids a join with these copies and `archived` bytes of this node's own rows.
pub(super) fn allowed(
    view: &View<'_>,
    contact: &NodeName,
    wanted: &[WantedCopy<'_>],
    archived: u64,
) -> Result<(), Vec<Problem>> {
    not_itself(view, contact)?;
    let problems = validate::join(view, contact, wanted, archived);
    if problems.is_empty() { Ok(()) } else { Err(problems) }
}

/// Refuses this node as its own contact.
pub(super) fn not_itself(view: &View<'_>, contact: &NodeName) -> Result<(), Vec<Problem>> {
    if contact == view.here() {
        return Err(vec![Problem::CannotJoinItself { node: contact.clone() }]);
    }
    Ok(())
}

/// The draft of a join that makes the `wanted` copies here.
pub(super) fn draft<'a>(
    view: &View<'_>,
    contact: &'a NodeName,
    wanted: &[WantedCopy<'_>],
    rows: Vec<RowDifference>,
    inputs: &Inputs,
) -> Result<Draft<'a>, Vec<Problem>> {
    let unwritten = refused::of_writes(view, contact, &archive::merged(&rows, &inputs.options));
    if let Some(problem) = unwritten {
        return Err(vec![problem]);
    }
    let members = members(view, contact);
    let (steps, undo) = steps(view, contact, &members, wanted, &rows, &inputs.options);
    let mut draft = Draft::new(contact, members, steps, undo);
    draft.keeps = true;
    draft.rows = rows;
    draft.warnings.extend(owned::of_join(view, contact));
    draft.asks =
        |warning| needs_consent(warning) || matches!(warning, Problem::EjabberdReleasesDiffer { .. });
    Ok(draft)
}

/// The comparison of durable tables with rows here that the cluster has, too.
pub(super) fn rows(view: &View<'_>, contact: &NodeName, answers: &Answers) -> Option<Need> {
    let theirs: HashSet<_> = view.tables_of(contact).map(|t| &t.name).collect();
    let on_both_sides = local_rows(view).filter(|t| theirs.contains(&t.name));
    let tables: Vec<_> = on_both_sides.map(|t| t.name.clone()).collect();
    (answers.rows.is_none() && !tables.is_empty()).then(|| Need::Rows { tables, node: contact.clone() })
}

/// Durable tables with rows on this node, `local_content` aside.
fn local_rows<'a>(view: &View<'a>) -> impl Iterator<Item = &'a Table> + use<'a> {
    view.tables_of(view.here())
        .filter(|t| t.size > 0 && !t.local_content && catalogue::class(&t.name) == Class::Durable)
}

/// Compared rows that differ, and those of tables that the cluster does not have at all.
pub(super) fn row_differences(view: &View<'_>, contact: &NodeName, inputs: &Inputs) -> Vec<RowDifference> {
    let theirs: HashSet<_> = view.tables_of(contact).map(|t| &t.name).collect();
    let only_here = local_rows(view).filter(|t| !theirs.contains(&t.name)).map(|t| RowDifference {
        table: t.name.clone(),
        here: t.size,
        only_here: t.size,
        different: 0,
    });
    let compared = inputs
        .rows
        .iter()
        .filter(|row| (row.only_here > 0 || row.different > 0) && theirs.contains(&row.table));
    let mut rows: Vec<_> = compared.cloned().chain(only_here).collect();
    rows.sort_unstable_by(|a, b| a.table.cmp(&b.table));
    rows
}

fn copied_at_start(copies: &[WantedCopy<'_>]) -> Option<Problem> {
    let sum =
        |of: fn(&WantedCopy<'_>) -> u64| copies.iter().fold(0_u64, |sum, copy| sum.saturating_add(of(copy)));
    (!copies.is_empty()).then(|| Problem::CopiedAtStart {
        tables: copies.len() as u64,
        rows: sum(|copy| copy.rows),
        bytes: Bytes(sum(|copy| copy.bytes)),
    })
}

/// The steps of a join and the way back.
fn steps(
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
