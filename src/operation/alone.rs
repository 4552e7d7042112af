//! Another database for this node, on which it goes on alone: built beside the old one, switched to by one rename, as a join is.

use crate::model::name::{AtomName, NodeName, TableName};
use crate::model::table::{Storage, Table};
use crate::plan::draft::{Draft, members, numbered};
use crate::plan::step::{Action, OnFailure, Source, Step, UndoStep};
use crate::plan::{Inputs, archive};
use crate::validate::handover::{self, Handed};
use crate::validate::owned;
use crate::validate::problem::Problem;
use crate::validate::view::View;

/// What distinguishes the operations that end like this.
pub(super) struct Alone<'a> {
    /// What the new database is made from.
    pub source: Source,
    /// The tables that a backup is made of first, where the source is one.
    pub backed_up: Vec<&'a Table>,
    /// Tables in memory that another operation has archived, whose rows come back.
    pub archived: Option<Action>,
    /// Tables in memory that the source has rows of.
    pub filled: Vec<TableName>,
}

impl Alone<'_> {
    /// A database made from a source, and nothing else in particular.
    pub(super) fn with(source: Source) -> Self {
        Self { source, backed_up: Vec::new(), archived: None, filled: Vec::new() }
    }
}

/// The draft of an operation that keeps this node's database and goes on alone with another one, unless there are `problems` with so
/// many bytes of archived rows.
pub(super) fn keeping<'a>(
    view: &View<'a>,
    inputs: &Inputs,
    problems: impl Fn(u64) -> Vec<Problem>,
    alone: Alone<'_>,
) -> Result<Draft<'a>, Vec<Problem>> {
    let problems = problems(archive::bytes(view, &[], &inputs.options));
    if !problems.is_empty() {
        return Err(problems);
    }
    let members = members(view, view.here());
    let (steps, undo) = steps(view, &members, &alone);
    let mut draft = Draft::new(view.here(), members, steps, undo);
    draft.keeps = true;
    draft.warnings.extend(owned::of_leaver(view));
    Ok(draft)
}

/// The steps to a database made from a source and the way back.
///
/// The database is built and proven before anything is stopped. Until the members are told to forget this node, the way back is
/// open: this node is still a member. Afterwards there is only the way forward, and what fails is tried again: nobody may be left with
/// half of it. When all is done and clients are served, the check can only report.
fn steps(view: &View<'_>, members: &[NodeName], alone: &Alone<'_>) -> (Vec<Step>, Vec<UndoStep>) {
    let Alone { backed_up, archived, filled, .. } = alone;
    let applications = &view.here_facts().applications;
    let in_memory = in_memory(view, members);
    let before = before(view, members, alone);
    let stop = |application: &AtomName| Action::StopApplication { application: application.clone() };
    let start = |application: &AtomName| Action::StartApplication { application: application.clone() };
    let switch = [
        Action::DumpLog,
        Action::StopMnesia,
        if members.is_empty() { Action::KeepDatabase } else { Action::KeepMember },
        Action::DeleteLogs,
        Action::CommitSchema,
        Action::ReplaceFiles,
    ];
    let taken_back = before
        .into_iter()
        .chain(applications.iter().map(stop))
        .chain(archive::action(&archive::tables(view, &[], &in_memory)))
        .chain(switch);
    let forget = (!members.is_empty()).then(|| Action::ForgetHere { members: members.to_vec() });
    let after = forget
        .into_iter()
        .chain([Action::ReopenMnesia])
        .chain(archived.clone())
        .chain([Action::ClearCaches])
        .chain(applications.iter().rev().map(start))
        .chain(
            (!backed_up.is_empty())
                .then(|| Action::DropBackUp { in_memory: kept_in_memory(view, backed_up) }),
        )
        .chain((!filled.is_empty()).then(|| Action::KeepInMemory { tables: filled.clone() }));
    let steps = numbered(
        taken_back
            .map(|action| (action, OnFailure::Undo))
            .chain(after.map(|action| (action, OnFailure::Resume)))
            .chain([(Action::Verify, OnFailure::Keep)]),
    );
    let undo = undo(&steps, applications, &in_memory);
    (steps, undo)
}

/// What is done while everything runs: what only this node has goes to the members, the new database is built, clients go.
fn before(view: &View<'_>, members: &[NodeName], alone: &Alone<'_>) -> Vec<Action> {
    let Alone { source, backed_up, .. } = alone;
    let mut actions = Vec::new();
    if !members.is_empty() {
        actions.push(Action::Connect { nodes: members.to_vec() });
    }
    actions.extend(handover::handed(view, members).iter().map(copy_to));
    if !backed_up.is_empty() {
        actions.push(Action::BackUp {
            tables: backed_up.iter().map(|table| table.name.clone()).collect(),
            rows: archive::sum(backed_up, |table| table.size),
            bytes: archive::sum(backed_up, |table| table.memory),
        });
    }
    actions.push(Action::BuildDatabase { source: source.clone() });
    let drains = view.here_facts().applications.iter().any(|application| application.as_str() == "ejabberd");
    if !members.is_empty() && drains {
        actions.push(Action::Drain);
    }
    actions
}

/// Tables of which no copy is on a disc: in the new database they are in memory, too.
fn kept_in_memory(view: &View<'_>, tables: &[&Table]) -> Vec<TableName> {
    let storage = |table: &Table| view.storage_for(table, view.here());
    let in_memory = tables.iter().filter(|table| storage(table) == Some(Storage::RamCopies));
    in_memory.map(|table| table.name.clone()).collect()
}

fn copy_to(handed: &Handed<'_>) -> Action {
    Action::CopyTableTo {
        table: handed.table.name.clone(),
        node: handed.node.clone(),
        storage: handed.storage,
        rows: handed.table.size,
        bytes: handed.table.memory,
    }
}

/// A member's tables in memory are on other members, too, unless every node has its own rows.
fn in_memory(view: &View<'_>, members: &[NodeName]) -> Vec<TableName> {
    let all = archive::in_memory(view);
    let tables = archive::tables(view, &[], &all);
    tables
        .into_iter()
        .filter(|table| members.is_empty() || table.local_content)
        .map(|table| table.name.clone())
        .collect()
}

fn undo(steps: &[Step], applications: &[AtomName], in_memory: &[TableName]) -> Vec<UndoStep> {
    let first = |wanted: &str| steps.iter().find(|step| step.action.name() == wanted).map(|step| step.number);
    let way_back = [
        ("delete_logs", Action::RestoreDatabase),
        ("build_database", Action::DropStaging),
        ("back_up", Action::DropBackUp { in_memory: Vec::new() }),
        ("stop_mnesia", Action::ReopenMnesia),
    ];
    let rows =
        (!in_memory.is_empty()).then(|| ("stop_mnesia", Action::RestoreRows { tables: in_memory.to_vec() }));
    let start_again = applications.iter().rev().map(|application| {
        ("stop_application", Action::StartApplication { application: application.clone() })
    });
    way_back
        .into_iter()
        .chain(rows)
        .chain([("stop_application", Action::ClearCaches)])
        .chain(start_again)
        .chain([("drain", Action::OpenListeners)])
        .filter_map(|(since, action)| Some(UndoStep { since: first(since)?, action }))
        .collect()
}
