//! From the steps that an operation needs to its plan.

use crate::model::name::{NodeName, TableName};
use crate::model::rows::RowDifference;
use crate::model::snapshot::Running;
use crate::validate::copies::{self, WantedCopy};
use crate::validate::problem::{Milliseconds, Problem};
use crate::validate::view::View;
use crate::validate::{beside, membership, restart};

use super::estimate::{self, Estimate, Learned};
use super::fingerprint;
use super::step::{Action, OnFailure, Source, Step, TableCopy, UndoStep};
use super::{Inputs, Kept, LostTable, Plan};

/// A plan warns of a longer stall, milliseconds.
pub(crate) const STALL_TO_TELL: u64 = 1_000;
/// A longer stall needs the operator's consent, milliseconds.
const STALL_TO_ASK: u64 = 30_000;

/// What an operation decides itself. [`Draft::plan`] adds what is the same for all of them.
pub(crate) struct Draft<'a> {
    /// A member of the cluster that the operation is about.
    pub contact: &'a NodeName,
    /// The members of that cluster, without this node.
    pub members: Vec<NodeName>,
    /// In order.
    pub steps: Vec<Step>,
    /// The way back, in order.
    pub undo: Vec<UndoStep>,
    /// Warnings that only this operation has.
    pub warnings: Vec<Problem>,
    /// Warnings that need the operator's consent.
    pub asks: fn(&Problem) -> bool,
    /// Rows that the cluster lacks or has differently.
    pub rows: Vec<RowDifference>,
    /// Copies that Mnesia itself makes when it starts.
    pub at_start: Vec<WantedCopy<'a>>,
    /// Whether this node gets another database, so that easy_cluster keeps the old one.
    pub keeps: bool,
}

impl<'a> Draft<'a> {
    /// A draft with these steps and nothing else in particular.
    pub(crate) fn new(
        contact: &'a NodeName,
        members: Vec<NodeName>,
        steps: Vec<Step>,
        undo: Vec<UndoStep>,
    ) -> Self {
        Self {
            contact,
            members,
            steps,
            undo,
            warnings: Vec::new(),
            asks: needs_consent,
            rows: Vec::new(),
            at_start: Vec::new(),
            keeps: false,
        }
    }

    /// The plan, unless it needs a consent that the options do not give.
    ///
    /// # Errors
    /// What has to be agreed to.
    pub(crate) fn plan(self, view: &View<'_>, inputs: &Inputs) -> Result<Plan, Vec<Problem>> {
        let learned = Learned::new(view.copied());
        let steps = as_learned(&learned, self.steps);
        let mut warnings = membership::warnings(view, self.contact);
        warnings.extend(restart::warnings(view));
        warnings.extend(copies::external(view, self.contact));
        warnings.extend(beside::quota(view));
        warnings.extend(self.warnings);
        let stalls = stalls(&learned, &steps, &self.at_start);
        let long = stalls.iter().filter(|(_, stall)| *stall > STALL_TO_TELL);
        warnings.extend(
            long.map(|(table, stall)| Problem::LongStall {
                table: table.clone(),
                stall: Milliseconds(*stall),
            }),
        );
        let id = id(inputs);
        let plan = Plan {
            kept: self.keeps.then(|| kept(view, &id)),
            id,
            operation: inputs.operation.clone(),
            options: inputs.options.clone(),
            node: view.here().clone(),
            members: self.members,
            fingerprint: fingerprint::of(view, self.contact),
            estimate: total(&steps),
            steps,
            undo: self.undo,
            warnings,
            rows: self.rows,
            lost: Vec::new(),
        };
        agreed(&plan, self.asks, &stalls)?;
        Ok(plan)
    }
}

/// A plan for what runs on while it is carried out, and that says itself what to be warned of.
pub(crate) fn while_serving(
    view: &View<'_>,
    inputs: &Inputs,
    members: Vec<NodeName>,
    (steps, undo): (Vec<Step>, Vec<UndoStep>),
    warnings: Vec<Problem>,
    lost: Vec<LostTable>,
) -> Plan {
    let here = view.here();
    let steps = as_learned(&Learned::new(view.copied()), steps);
    Plan {
        id: id(inputs),
        operation: inputs.operation.clone(),
        options: inputs.options.clone(),
        node: here.clone(),
        members,
        fingerprint: fingerprint::of(view, here),
        estimate: total(&steps),
        steps,
        undo,
        warnings,
        kept: None,
        rows: Vec::new(),
        lost,
    }
}

/// A plan of this node and the members that run. Each step is good in itself: nothing is taken back.
pub(crate) fn in_place(
    view: &View<'_>,
    inputs: &Inputs,
    actions: impl IntoIterator<Item = Action>,
    warnings: Vec<Problem>,
) -> Plan {
    let steps = numbered(actions.into_iter().map(|action| (action, OnFailure::Keep)));
    while_serving(view, inputs, running(view), (steps, Vec::new()), warnings, Vec::new())
}

fn id(inputs: &Inputs) -> String {
    format!("{}-{}", inputs.at, inputs.operation.name())
}

/// The members of a node's cluster but this one.
pub(crate) fn members(view: &View<'_>, of: &NodeName) -> Vec<NodeName> {
    let all = view.facts(of).map_or(&[][..], |facts| view.set(facts.db_nodes));
    all.iter().filter(|node| *node != view.here()).cloned().collect()
}

/// Those of this node's cluster whose Mnesia runs.
pub(crate) fn running(view: &View<'_>) -> Vec<NodeName> {
    let runs = |node: &NodeName| view.facts(node).is_some_and(|facts| facts.mnesia == Running::Yes);
    members(view, view.here()).into_iter().filter(runs).collect()
}

/// The warnings that need consent whatever the operation is.
pub(crate) fn needs_consent(warning: &Problem) -> bool {
    matches!(warning, Problem::MergedRowsStay { .. } | Problem::OwnClusterTools { .. })
}

fn agreed(plan: &Plan, asks: fn(&Problem) -> bool, stalls: &[(TableName, u64)]) -> Result<(), Vec<Problem>> {
    if plan.options.yes || plan.options.dry_run {
        return Ok(());
    }
    let longest = stalls.iter().max_by_key(|(_, stall)| *stall).filter(|(_, stall)| *stall > STALL_TO_ASK);
    let stalled = longest.map(|(table, stall)| {
        let stall = Milliseconds(*stall);
        let reason = format!("transactions on {table} would wait up to {stall} on every member");
        Problem::ConsentNeeded { reason }
    });
    let asked = plan.warnings.iter().filter(|warning| asks(warning)).cloned();
    let problems: Vec<Problem> = asked.chain(stalled).collect();
    if problems.is_empty() { Ok(()) } else { Err(problems) }
}

fn kept(view: &View<'_>, id: &str) -> Kept {
    let tables: Vec<_> = view.tables_of(view.here()).collect();
    let on_disc = tables.iter().filter(|t| view.has_here(t.disc_copies) || view.has_here(t.disc_only_copies));
    Kept {
        directory: format!("{}/easy_cluster/kept/{id}", view.here_facts().directory),
        tables: tables.len() as u64,
        rows: on_disc.fold(0, |sum, t| sum.saturating_add(t.size)),
    }
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

/// What the steps cost as a whole.
pub(crate) fn total(steps: &[Step]) -> Estimate {
    let mut sum = Estimate::default();
    for step in steps {
        sum.milliseconds = sum.milliseconds.saturating_add(step.milliseconds);
        if let Action::BackUp { rows, bytes, .. } = &step.action {
            sum.rows = sum.rows.saturating_add(*rows);
            sum.bytes = sum.bytes.saturating_add(*bytes);
        }
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

/// Numbers actions into steps.
pub(crate) fn numbered(actions: impl IntoIterator<Item = (Action, OnFailure)>) -> Vec<Step> {
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
