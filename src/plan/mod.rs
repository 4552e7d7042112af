//! What to do: plans as data.
//!
//! [`make`] turns facts into a [`Plan`] or into everything that forbids one. A plan is shown ([`crate::explain`]),
//! stored and committed; [`recheck`] refuses it when the cluster is no longer the one that it was made for.

mod alone;
mod archive;
pub mod backup;
pub mod boot;
mod copy;
pub mod diff;
pub mod estimate;
pub mod fingerprint;
mod force_boot;
pub mod forget;
mod join;
pub mod marks;
pub mod recover;
pub mod rename;
pub mod repair;
pub mod repair_table;
pub mod restore;
pub mod rollback;
pub mod step;
mod sync;
pub mod topology;
pub mod verify;

use std::collections::HashSet;

use serde::{Deserialize, Serialize};

use crate::model::catalogue::{self, Class};
use crate::model::name::{NodeName, TableName};
use crate::model::request::{Data, Operation, Options, Rollback, Way};
use crate::model::rows::RowDifference;
use crate::model::snapshot::{Running, Snapshot};
use crate::model::table::Table;
use crate::validate::copies::{self, WantedCopy};
use crate::validate::problem::{Bytes, Milliseconds, Problem};
use crate::validate::view::View;
use crate::validate::{beside, membership, operation as validate, owned, refused, restart};
use alone::Alone;
use copy::Shape;
use estimate::{Estimate, Learned};
use fingerprint::Fingerprint;
use step::{Action, OnFailure, Source, Step, TableCopy, UndoStep};

/// A stall above this is told, milliseconds.
const STALL_TO_TELL: u64 = 1_000;
/// A stall above this has to be agreed to, milliseconds.
const STALL_TO_ASK: u64 = 30_000;

/// Everything that a plan is made from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Inputs {
    /// What is wanted.
    pub operation: Operation,
    /// How.
    pub options: Options,
    /// The facts.
    pub snapshot: Snapshot,
    /// Rows here against the cluster's, for the tables that [`rows_to_compare`] names.
    pub rows: Vec<RowDifference>,
    /// A name for the plan that no other has: a time in UTC.
    pub at: String,
}

/// What will be done, for which cluster, and at what price.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// Names the journal, the kept database and the archive.
    pub id: String,
    /// What was asked for.
    pub operation: Operation,
    /// How.
    pub options: Options,
    /// The node whose steps these are.
    pub node: NodeName,
    /// The members of the cluster that it is about, without this node.
    pub members: Vec<NodeName>,
    /// What it was made for.
    pub fingerprint: Fingerprint,
    /// In order.
    pub steps: Vec<Step>,
    /// The way back, in order.
    pub undo: Vec<UndoStep>,
    /// What should be known before.
    pub warnings: Vec<Problem>,
    /// What the old database holds that is kept; `None` when none is replaced.
    pub kept: Option<Kept>,
    /// Rows that the cluster lacks or has differently.
    pub rows: Vec<RowDifference>,
    /// Tables that are deleted.
    #[serde(default)]
    pub lost: Vec<forget::LostTable>,
    /// The price.
    pub estimate: Estimate,
}

/// The database that is moved aside.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kept {
    /// The folder, below the Mnesia directory.
    pub directory: String,
    /// Its tables.
    pub tables: u64,
    /// Their rows on disc.
    pub rows: u64,
}

/// The tables whose rows have to be compared before [`make`]: durable ones with rows here that the cluster has too.
///
/// # Errors
/// What forbids the operation whatever the rows are.
pub fn rows_to_compare(operation: &Operation, snapshot: &Snapshot) -> Result<Vec<TableName>, Vec<Problem>> {
    let view = View::new(snapshot).map_err(|problem| vec![problem])?;
    match operation {
        Operation::Forget(_)
        | Operation::Rename(_)
        | Operation::ForceBoot(_)
        | Operation::Repair(_)
        | Operation::RepairTable(_) => {
            return Ok(Vec::new());
        }
        Operation::Restore(backup) => return Ok(restore::comparable(&view, backup)),
        Operation::Join(_)
        | Operation::JoinAsMaster(_)
        | Operation::SyncNode(_)
        | Operation::Reset
        | Operation::Leave
        | Operation::Rollback(_) => {}
    }
    wanted(&view, operation, &Options::default(), 0)?;
    match operation {
        Operation::Join(target) | Operation::JoinAsMaster(target) => {
            let theirs: HashSet<_> = view.tables_of(target).map(|t| &t.name).collect();
            Ok(local_rows(&view).filter(|t| theirs.contains(&t.name)).map(|t| t.name.clone()).collect())
        }
        Operation::SyncNode(_)
        | Operation::Reset
        | Operation::Forget(_)
        | Operation::Leave
        | Operation::Rollback(_)
        | Operation::Restore(_)
        | Operation::Rename(_)
        | Operation::ForceBoot(_)
        | Operation::Repair(_)
        | Operation::RepairTable(_) => Ok(Vec::new()),
    }
}

/// A member of the cluster that the operation is about: the one that was named, or this node.
fn contact<'a>(view: &View<'a>, operation: &'a Operation) -> &'a NodeName {
    operation.target().unwrap_or_else(|| view.here())
}

/// The copies that the operation brings here; `archived` bytes of rows have to find room beside them.
fn wanted<'a>(
    view: &View<'a>,
    operation: &Operation,
    options: &Options,
    archived: u64,
) -> Result<Vec<WantedCopy<'a>>, Vec<Problem>> {
    if operation.target() == Some(view.here()) {
        return Err(vec![Problem::CannotJoinItself { node: view.here().clone() }]);
    }
    let (wanted, problems) = match operation {
        Operation::Join(target) => {
            (Vec::new(), validate::join(view, target, &copies::at_start(view, target), archived))
        }
        Operation::JoinAsMaster(target) => {
            let wanted = copies::missing(view, target);
            let problems = validate::join(view, target, &wanted, archived);
            (wanted, problems)
        }
        Operation::SyncNode(target) => {
            let wanted = copies::missing(view, target);
            let problems = validate::sync(view, target, &wanted);
            (wanted, problems)
        }
        Operation::Reset => (Vec::new(), validate::reset(view, archived)),
        Operation::Leave => {
            let members = members(view, view.here());
            (Vec::new(), validate::leave(view, &members, &copies::of_cluster(view), options.data, archived))
        }
        Operation::Rollback(rollback) => (Vec::new(), of_rollback(view, rollback, archived)),
        Operation::Restore(backup) => (Vec::new(), restore::problems(view, backup, archived)),
        Operation::Forget(_)
        | Operation::Rename(_)
        | Operation::ForceBoot(_)
        | Operation::Repair(_)
        | Operation::RepairTable(_) => (Vec::new(), Vec::new()),
    };
    if problems.is_empty() { Ok(wanted) } else { Err(problems) }
}

/// The members of a node's cluster but this one.
fn members(view: &View<'_>, of: &NodeName) -> Vec<NodeName> {
    let all = view.facts(of).map_or(&[][..], |facts| view.set(facts.db_nodes));
    all.iter().filter(|node| *node != view.here()).cloned().collect()
}

/// Those of them whose Mnesia runs.
fn running(view: &View<'_>) -> Vec<NodeName> {
    let runs = |node: &NodeName| view.facts(node).is_some_and(|facts| facts.mnesia == Running::Yes);
    members(view, view.here()).into_iter().filter(runs).collect()
}

fn of_rollback(view: &View<'_>, rollback: &Rollback, archived: u64) -> Vec<Problem> {
    match &rollback.way {
        Way::Kept { bytes, .. } => {
            validate::alone(view, &members(view, view.here()), archived.saturating_add(*bytes))
        }
        Way::Copies { tables } => {
            let here = copied_here(view, tables);
            let mut problems = validate::delete_copies(view, &here);
            if here.is_empty() {
                let reason = format!("none of the copies that {} has made is here any more", rollback.id);
                problems.push(Problem::NothingToRollBack { reason });
            }
            problems
        }
    }
}

/// Those of the tables that have a copy here which can go: every node has its own rows of `local_content`.
fn copied_here<'a>(view: &View<'a>, tables: &[TableName]) -> Vec<&'a Table> {
    let wanted: HashSet<_> = tables.iter().collect();
    view.tables_of(view.here())
        .filter(|table| wanted.contains(&table.name) && view.is_copied_here(table) && !table.local_content)
        .collect()
}

/// Durable tables with rows on this node, `local_content` aside.
fn local_rows<'a>(view: &View<'a>) -> impl Iterator<Item = &'a crate::model::table::Table> + use<'a> {
    view.tables_of(view.here())
        .filter(|t| t.size > 0 && !t.local_content && catalogue::class(&t.name) == Class::Durable)
}

/// Makes the plan.
///
/// # Errors
/// Every problem that forbids it, outermost layer first.
pub fn make(inputs: &Inputs) -> Result<Plan, Vec<Problem>> {
    let view = View::new(&inputs.snapshot).map_err(|problem| vec![problem])?;
    if let Operation::Forget(node) = &inputs.operation {
        return forget::make(&view, node, inputs);
    }
    if let Operation::ForceBoot(force) = &inputs.operation {
        return force_boot::make(&view, force, inputs);
    }
    if let Operation::Repair(wanted) = &inputs.operation {
        return repair::make(&view, wanted, inputs);
    }
    if let Operation::RepairTable(wish) = &inputs.operation {
        return repair_table::make(&view, wish, inputs);
    }
    if let Operation::Rename(_) = &inputs.operation {
        return Err(vec![Problem::BadRequest { reason: "a rename has no snapshot".into() }]);
    }
    let target = contact(&view, &inputs.operation);
    let rows = row_differences(&view, target, inputs);
    let archived =
        if inputs.operation.replaces_database() { archive::bytes(&view, &rows, &inputs.options) } else { 0 };
    let wanted = wanted(&view, &inputs.operation, &inputs.options, archived)?;
    let unwritten = refused::of_writes(&view, target, &archive::merged(&rows, &inputs.options));
    if let Some(problem) = unwritten {
        return Err(vec![problem]);
    }
    let members = members(&view, target);
    let backed_up = backed_up(&view, inputs);
    let alone = |source, archived| {
        let filled = restore::in_memory(&inputs.operation);
        alone::steps(&view, &Alone { members: &members, source, backed_up: &backed_up, archived, filled })
    };
    let (steps, undo) = match &inputs.operation {
        Operation::Join(_) | Operation::JoinAsMaster(_) => {
            join::steps(&view, target, &members, &wanted, &rows, &inputs.options)
        }
        Operation::SyncNode(_) => sync::steps(&view, &wanted),
        Operation::Forget(_)
        | Operation::Rename(_)
        | Operation::ForceBoot(_)
        | Operation::Repair(_)
        | Operation::RepairTable(_) => (Vec::new(), Vec::new()),
        Operation::Restore(backup) => alone(Source::Backup { path: backup.path.clone() }, None),
        Operation::Reset => alone(Source::Empty, None),
        Operation::Leave => alone(source(&backed_up), None),
        Operation::Rollback(Rollback { id, way: Way::Kept { rows, .. } }) => {
            let archived =
                (!rows.is_empty()).then(|| Action::RestoreArchive { id: id.clone(), tables: rows.clone() });
            alone(Source::Kept { id: id.clone() }, archived)
        }
        Operation::Rollback(Rollback { way: Way::Copies { tables }, .. }) => {
            let tables = copied_here(&view, tables).iter().map(|table| table.name.clone()).collect();
            (
                numbered(
                    [Action::DeleteCopies { tables }, Action::Verify].map(|action| (action, OnFailure::Keep)),
                ),
                Vec::new(),
            )
        }
    };
    let learned = Learned::new(view.copied());
    let steps = as_learned(&learned, steps);
    let id = format!("{}-{}", inputs.at, inputs.operation.name());
    let mut warnings = membership::warnings(&view, target);
    warnings.extend(restart::warnings(&view));
    warnings.extend(owned::warning(&view, &inputs.operation));
    warnings.extend(copies::external(&view, target));
    warnings.extend(beside::quota(&view));
    let at_start = match inputs.operation {
        Operation::Join(_) => copies::at_start(&view, target),
        Operation::JoinAsMaster(_)
        | Operation::SyncNode(_)
        | Operation::Reset
        | Operation::Forget(_)
        | Operation::Leave
        | Operation::Rollback(_)
        | Operation::Restore(_)
        | Operation::Rename(_)
        | Operation::ForceBoot(_)
        | Operation::Repair(_)
        | Operation::RepairTable(_) => Vec::new(),
    };
    warnings.extend(merged_rows_stay(&inputs.operation));
    warnings.extend(copied_at_start(&at_start));
    if let Operation::Restore(backup) = &inputs.operation {
        warnings.extend(restore::warnings(&view, backup));
    }
    let stalls = stalls(&learned, &steps, &at_start);
    warnings.extend(
        stalls
            .iter()
            .filter(|(_, stall)| *stall > STALL_TO_TELL)
            .map(|(table, stall)| Problem::LongStall { table: table.clone(), stall: Milliseconds(*stall) }),
    );
    let plan = Plan {
        kept: kept(&view, &inputs.operation, &id),
        id,
        operation: inputs.operation.clone(),
        options: inputs.options.clone(),
        node: view.here().clone(),
        members,
        fingerprint: fingerprint::of(&view, target),
        estimate: total(&steps),
        steps,
        undo,
        warnings,
        rows,
        lost: Vec::new(),
    };
    ask(&plan, &stalls)?;
    Ok(plan)
}

/// Whether a plan still fits the cluster. `rows` are compared anew where what is done depends on them, and the plan's own
/// otherwise.
///
/// # Errors
/// What forbids it now, or [`Problem::PlanChanged`].
pub fn recheck(plan: &Plan, snapshot: &Snapshot, rows: Option<&[RowDifference]>) -> Result<(), Vec<Problem>> {
    if let Operation::Repair(wanted) = &plan.operation {
        return repair::recheck(plan, wanted, snapshot);
    }
    let now = make(&Inputs {
        operation: plan.operation.clone(),
        options: plan.options.clone(),
        snapshot: snapshot.clone(),
        rows: rows.unwrap_or(&plan.rows).to_vec(),
        at: String::new(),
    })?;
    let steps = || {
        let same = Shape::of(&plan.steps, &plan.undo) == Shape::of(&now.steps, &now.undo);
        (!same).then(|| "what has to be done".to_owned())
    };
    refused(plan, plan.fingerprint.changed(&now.fingerprint).or_else(steps))
}

fn refused(plan: &Plan, changed: Option<String>) -> Result<(), Vec<Problem>> {
    match changed {
        None => Ok(()),
        Some(changed) => Err(vec![Problem::PlanChanged { id: plan.id.clone(), changed }]),
    }
}

/// Compared rows that differ, and those of tables that the cluster does not have at all.
fn row_differences(view: &View<'_>, target: &NodeName, inputs: &Inputs) -> Vec<RowDifference> {
    if !matches!(inputs.operation, Operation::Join(_) | Operation::JoinAsMaster(_)) {
        return Vec::new();
    }
    let theirs: HashSet<_> = view.tables_of(target).map(|t| &t.name).collect();
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

/// How long transactions on each table may have to wait while it is copied, milliseconds.
fn stalls(learned: &Learned<'_>, steps: &[Step], at_start: &[WantedCopy<'_>]) -> Vec<(TableName, u64)> {
    let planned = steps.iter().filter_map(|step| {
        let (Action::CopyTable(TableCopy { table, .. }) | Action::CopyTableTo { table, .. }) = &step.action
        else {
            return None;
        };
        Some((table.clone(), step.stall))
    });
    let unplanned = at_start.iter().map(|copy| {
        (copy.table.name.clone(), learned.copy(&copy.table.name, copy.storage, copy.rows, copy.bytes).1)
    });
    planned.chain(unplanned).collect()
}

fn source(backed_up: &[&Table]) -> Source {
    if backed_up.is_empty() {
        return Source::Empty;
    }
    Source::BackedUp { rows: archive::sum(backed_up, |table| table.size) }
}

/// The tables of the cluster that a node which leaves goes on with.
fn backed_up<'a>(view: &View<'a>, inputs: &Inputs) -> Vec<&'a Table> {
    match (&inputs.operation, inputs.options.data) {
        (Operation::Leave, Data::Keep) => copies::of_cluster(view),
        _ => Vec::new(),
    }
}

fn merged_rows_stay(operation: &Operation) -> Option<Problem> {
    let Operation::Rollback(Rollback { id, way: Way::Kept { merged, .. } }) = operation else { return None };
    let tables = merged.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    (!merged.is_empty()).then(|| Problem::MergedRowsStay { id: id.clone(), tables })
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

/// What has to be agreed to before the plan is carried out.
fn ask(plan: &Plan, stalls: &[(TableName, u64)]) -> Result<(), Vec<Problem>> {
    if plan.options.yes || plan.options.dry_run {
        return Ok(());
    }
    let longest = stalls.iter().max_by_key(|(_, stall)| *stall).filter(|(_, stall)| *stall > STALL_TO_ASK);
    let stalled = longest.map(|(table, stall)| {
        let stall = Milliseconds(*stall);
        let reason = format!("transactions on {table} would wait up to {stall} on every member");
        Problem::ConsentNeeded { reason }
    });
    let joins = matches!(plan.operation, Operation::Join(_) | Operation::JoinAsMaster(_));
    let asked = |warning: &&Problem| {
        matches!(warning, Problem::EjabberdReleasesDiffer { .. }) && joins
            || matches!(warning, Problem::MergedRowsStay { .. } | Problem::OwnClusterTools { .. })
    };
    let problems: Vec<Problem> = plan.warnings.iter().filter(asked).cloned().chain(stalled).collect();
    if problems.is_empty() { Ok(()) } else { Err(problems) }
}

fn kept(view: &View<'_>, operation: &Operation, id: &str) -> Option<Kept> {
    if !operation.replaces_database() {
        return None;
    }
    let tables: Vec<_> = view.tables_of(view.here()).collect();
    let on_disc = tables.iter().filter(|t| view.has_here(t.disc_copies) || view.has_here(t.disc_only_copies));
    Some(Kept {
        directory: format!("{}/easy_cluster/kept/{id}", view.here_facts().directory),
        tables: tables.len() as u64,
        rows: on_disc.fold(0, |sum, t| sum.saturating_add(t.size)),
    })
}

fn total(steps: &[Step]) -> Estimate {
    let mut sum = Estimate::default();
    for step in steps {
        sum.milliseconds = sum.milliseconds.saturating_add(step.milliseconds);
        for (table, rows, bytes) in step.action.copied() {
            sum.rows = sum.rows.saturating_add(rows);
            sum.bytes = sum.bytes.saturating_add(bytes);
            if step.stall > sum.longest_stall {
                sum.longest_stall = step.stall;
                sum.stalled_table = Some(table.clone());
            }
        }
    }
    sum
}

/// The same steps with what copies really take here.
fn as_learned(learned: &Learned<'_>, mut steps: Vec<Step>) -> Vec<Step> {
    for step in &mut steps {
        if let Action::CopyTable(TableCopy { table, storage, rows, bytes })
        | Action::CopyTableTo { table, storage, rows, bytes, .. } = &step.action
        {
            (step.milliseconds, step.stall) = learned.copy(table, *storage, *rows, *bytes);
        }
    }
    steps
}

/// A plan that is carried out while everything runs, with the members that run. Each step is good in itself: nothing is taken back.
fn in_place(
    view: &View<'_>,
    inputs: &Inputs,
    actions: impl IntoIterator<Item = Action>,
    warnings: Vec<Problem>,
) -> Plan {
    let steps = numbered(actions.into_iter().map(|action| (action, OnFailure::Keep)));
    let steps = as_learned(&Learned::new(view.copied()), steps);
    let here = view.here();
    Plan {
        id: format!("{}-{}", inputs.at, inputs.operation.name()),
        operation: inputs.operation.clone(),
        options: inputs.options.clone(),
        node: here.clone(),
        members: running(view),
        fingerprint: fingerprint::of(view, here),
        estimate: total(&steps),
        steps,
        undo: Vec::new(),
        warnings,
        kept: None,
        rows: Vec::new(),
        lost: Vec::new(),
    }
}

/// Numbers actions into steps.
fn numbered(actions: impl IntoIterator<Item = (Action, OnFailure)>) -> Vec<Step> {
    actions
        .into_iter()
        .zip(1..)
        .map(|((action, on_failure), number)| {
            let (milliseconds, stall) = cost(&action);
            Step { number, action, on_failure, milliseconds, stall }
        })
        .collect()
}

/// Duration and stall of a step, milliseconds; those that do not copy as the lab sees them.
fn cost(action: &Action) -> (u64, u64) {
    if let Action::CopyTable(TableCopy { storage, rows, bytes, .. })
    | Action::CopyTableTo { storage, rows, bytes, .. } = action
    {
        return estimate::copy(*storage, *rows, *bytes);
    }
    // Those that share a step are small, and not one of them waits for longer than its own rows take.
    if let Action::CopyTables { copies } = action {
        return (estimate::copies(copies), 0);
    }
    if let Action::BuildDatabase { source: Source::BackedUp { rows } } = action {
        return (1_000 + rows / estimate::BUILT_ROWS_PER_MS, 0);
    }
    if let Action::ArchiveRows { rows, .. } | Action::BackUp { rows, .. } = action {
        return (5 + rows / estimate::ARCHIVED_ROWS_PER_MS, 0);
    }
    if let Action::MergeRows { rows, .. } = action {
        return (5 + rows / estimate::MERGED_ROWS_PER_MS, 0);
    }
    let milliseconds = match action.name() {
        "stop_application" => 300,
        "start_application" => 600,
        "join_schema" | "start_mnesia" => 60,
        "build_database" => 600,
        "archive_drift" | "compare_copies" => 800,
        _ => 5,
    };
    (milliseconds, 0)
}
