//! Bringing a cluster to what a policy wants, from whichever member is asked.
//!
//! Each change is good in itself, so nothing is taken back: what is left of a plan that was cut short is planned anew.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use serde::{Deserialize, Serialize};

use super::ask::{Need, facts};
use super::past::Past;
use super::{Becomes, Room};
use crate::model::catalogue::Class;
use crate::model::name::{NodeName, TableName};
use crate::model::policy::{At, Policy, Window};
use crate::model::request::{Lately, Options, Repair, Way};
use crate::model::snapshot::Snapshot;
use crate::plan::draft::{in_place, running};
use crate::plan::goal::{failed, stored_as};
use crate::plan::recover::{Direction, Interrupted, Lock, Recovery};
use crate::plan::step::{self, Action};
use crate::plan::{Inputs, Plan, fingerprint};
use crate::topology::{self, Step, Topology, Waits, Wanted};
use crate::validate::problem::{Milliseconds, Nodes, Problem, Tables};
use crate::validate::view::View;
use crate::validate::{forget, policy};

/// So often a change is made again within an hour, before it is left to whoever undoes it.
const TIMES: usize = 3;

/// The members bring their copies to what a policy wants.
pub(super) struct ByPolicy<'a> {
    /// The policy, and what decides beside the cluster.
    pub repair: &'a Repair,
}

impl Room for ByPolicy<'_> {
    fn becomes(&self) -> Becomes {
        Becomes::TheSame
    }

    fn members(&self, _options: &Options) -> Need {
        facts()
    }

    fn plan(&self, view: &View<'_>, inputs: &Inputs) -> Result<Plan, Vec<Problem>> {
        let (_, topology, left) = feasible(self.repair, &inputs.options, &inputs.snapshot)?;
        let mut warnings = topology.warnings.clone();
        warnings.extend(left);
        let fence = needs_fence(view).then_some(Action::EnsureFence);
        let actions = actions(&topology).into_iter().chain(fence).chain([Action::Verify]);
        Ok(in_place(view, inputs, actions, warnings))
    }

    /// Its changes need not be those that a new plan would have, as that one could choose otherwise with what was written since.
    fn still_fits(&self, plan: &Plan, view: &View<'_>, inputs: &Inputs) -> Result<(), Vec<Problem>> {
        let (policy, topology, _) = feasible(self.repair, &plan.options, &inputs.snapshot)?;
        let changes: Vec<Wanted<'_>> = plan.steps.iter().filter_map(|step| wanted(&step.action)).collect();
        let leads = || {
            let fences = plan.steps.iter().any(|step| step.action == Action::EnsureFence);
            let now = actions(&topology);
            let same = now.iter().filter_map(wanted).eq(changes.iter().copied());
            fences == needs_fence(view) && (same || topology::leads(&policy, view, &changes))
        };
        let changed = plan.fingerprint.changed(&fingerprint::of(view, view.here()));
        plan.unless(changed.or_else(|| (!leads()).then(|| "what has to be done".to_owned())))
    }

    fn goal(&self, view: &View<'_>, plan: &Plan) -> Vec<Problem> {
        last_changes(plan).filter_map(|action| of_changed(view, action)).collect()
    }

    /// Its policy is that of another day, and each of its changes is good in itself: it does not go on.
    fn recovery(&self, _interrupted: &Interrupted) -> Recovery {
        Recovery {
            direction: Direction::Nowhere,
            offline: Vec::new(),
            online: Vec::new(),
            lock: Lock::IfFree,
        }
    }

    fn way_back(&self, _past: &Past, _plan: &Plan) -> Result<Way, Problem> {
        let reason = "a repair has brought copies to where the policy wants them; change the policy".into();
        Err(Problem::NothingToRollBack { reason })
    }

    fn headline(&self, plan: &Plan) -> String {
        let members = plan.members.iter().chain([&plan.node]).cloned().collect();
        format!("repair: {} get what the policy wants", Nodes(members))
    }
}

/// The last change of each copy: what is stored otherwise was deleted first, and what had to go aside is gone again.
fn last_changes(plan: &Plan) -> impl Iterator<Item = &Action> {
    let mut seen = HashSet::new();
    let changes = plan.steps.iter().rev().filter_map(|step| Some((&step.action, copy_of(&step.action)?)));
    let last: Vec<&Action> =
        changes.filter(|(_, copy)| seen.insert(*copy)).map(|(action, _)| action).collect();
    last.into_iter().rev()
}

fn copy_of(action: &Action) -> Option<(&TableName, &NodeName)> {
    let (Action::CopyTableTo { table, node, .. } | Action::DeleteCopyOn { table, node, .. }) = action else {
        return None;
    };
    Some((table, node))
}

/// What a step has changed is so in this node's view, which is that of all who run. A table that was deleted meanwhile is no concern of it.
fn of_changed(view: &View<'_>, action: &Action) -> Option<Problem> {
    let find = |name: &TableName| view.tables_of(view.here()).find(|table| table.name == *name);
    if let Action::DeleteCopyOn { table, node, .. } = action {
        let holders = view.holders(find(table)?).0;
        return holders
            .contains(node)
            .then(|| failed(format!("no copy of {table} on {node}"), Nodes(holders).to_string()));
    }
    let Action::CopyTableTo { table, node, storage, .. } = action else { return None };
    let holders = stored_as(find(table)?, *storage);
    let missing = !view.set(holders).contains(node);
    missing.then(|| {
        failed(
            format!("a copy of {table} as {} on {node}", storage.as_str()),
            format!("so stored on {}", view.nodes(holders)),
        )
    })
}

/// Whether the next step of a repair may be begun: hours may have gone by since it was planned.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Next {
    /// What it follows.
    pub repair: Repair,
    /// How it was asked for.
    pub options: Options,
    /// The step.
    pub step: step::Step,
    /// Whose step it is.
    pub node: NodeName,
    /// The policy that this node has now.
    pub policy: Option<String>,
    /// The minute of its day.
    pub minute: u16,
}

/// # Errors
/// Why the step is not begun.
pub fn may_begin(next: &Next) -> Result<(), Vec<Problem>> {
    if next.policy.as_ref() != Some(&next.repair.policy) {
        return Err(vec![Problem::OtherPolicy { node: next.node.clone() }]);
    }
    let policy = policy::parse(&next.repair.policy)?;
    let waits = next.step.stall > policy.max_stall() && !policy.windows.is_empty();
    let Action::CopyTableTo { table, .. } = &next.step.action else { return Ok(()) };
    if waits && !next.options.yes && !is_any_open(&policy, next.minute) {
        return Err(vec![Problem::NoLongerOpen {
            table: table.clone(),
            stall: Milliseconds(next.step.stall),
        }]);
    }
    Ok(())
}

fn is_any_open(policy: &Policy, minute: u16) -> bool {
    policy.windows.iter().any(|window| is_open(window.value, minute))
}

fn wanted(action: &Action) -> Option<Wanted<'_>> {
    if let Action::CopyTableTo { table, node, storage, .. } = action {
        return Some(Wanted { table, node, storage: Some(*storage) });
    }
    let Action::DeleteCopyOn { table, node, .. } = action else { return None };
    Some(Wanted { table, node, storage: None })
}

/// A fence that is there gets its copies like any table; one that is not is made when all members run.
fn needs_fence(view: &View<'_>) -> bool {
    forget::fence(view).is_none() && running(view).len() + 1 == view.set(view.here_facts().db_nodes).len()
}

/// The way to what can be had now. A table of which one change has to wait stays as it is altogether, and the others are planned
/// around it: they must not count on the room that it would have made.
fn feasible(
    repair: &Repair,
    options: &Options,
    snapshot: &Snapshot,
) -> Result<(Policy, Topology, Vec<Problem>), Vec<Problem>> {
    let mut policy = policy::parse(&repair.policy)?;
    leave(&mut policy, repair.refused.iter().cloned());
    let open = options.yes || is_any_open(&policy, repair.minute);
    let mut made: BTreeMap<&Lately, usize> = BTreeMap::new();
    for change in &repair.lately {
        *made.entry(change).or_default() += 1;
    }
    let mut stalls: BTreeMap<TableName, u64> = BTreeMap::new();
    let mut undone: BTreeMap<TableName, usize> = BTreeMap::new();
    loop {
        let topology = topology::make(&policy, snapshot)?;
        let mut left = BTreeSet::new();
        for step in &topology.steps {
            let change = Lately { table: step.table.clone(), node: step.node.clone() };
            if let Some(times) = made.get(&change).copied().filter(|times| *times >= TIMES && !options.yes) {
                undone.insert(step.table.clone(), times);
                left.insert(step.table.clone());
            } else if step.waits != Waits::Nothing && !open {
                let stall = stalls.entry(step.table.clone()).or_default();
                *stall = step.stall.max(*stall);
                left.insert(step.table.clone());
            }
        }
        if left.is_empty() {
            let told = told(&policy, stalls, undone);
            return Ok((policy, topology, told));
        }
        leave(&mut policy, left);
    }
}

fn leave(policy: &mut Policy, tables: impl IntoIterator<Item = TableName>) {
    policy.leave_alone.extend(tables.into_iter().map(|value| At { value, line: topology::WAITS }));
}

fn told(
    policy: &Policy,
    stalls: BTreeMap<TableName, u64>,
    undone: BTreeMap<TableName, usize>,
) -> Vec<Problem> {
    let longest = stalls.values().max().copied();
    let stalls = longest.map(|stall| Problem::PolicyStalls {
        tables: Tables(stalls.into_keys().collect()),
        stall: Milliseconds(stall),
        windows: !policy.windows.is_empty(),
    });
    let most = undone.values().max().copied();
    let undone = most.map(|times| Problem::PolicyUndone {
        tables: Tables(undone.into_keys().collect()),
        times: times as u64,
    });
    stalls.into_iter().chain(undone).collect()
}

/// Whether a time of the day is within a window; both ends may be on either side of midnight.
fn is_open(window: Window, minute: u16) -> bool {
    if window.from <= window.to {
        (window.from..window.to).contains(&minute)
    } else {
        minute >= window.from || minute < window.to
    }
}

fn actions(topology: &Topology) -> Vec<Action> {
    let mut tables: BTreeMap<&TableName, (Class, BTreeSet<&NodeName>)> = topology
        .tables
        .iter()
        .map(|table| (&table.table, (table.class, table.now.iter().map(|copy| &copy.node).collect())))
        .collect();
    let changed = |step| Some(action(step, tables.get_mut(&step.table)?));
    topology.steps.iter().filter_map(changed).collect()
}

fn action<'t>(step: &'t Step, (class, holders): &mut (Class, BTreeSet<&'t NodeName>)) -> Action {
    let Step { table, node, rows, bytes, .. } = step;
    let (table, rows, bytes) = (table.clone(), *rows, *bytes);
    match &step.action {
        topology::Action::Add { storage, .. } => {
            holders.insert(node);
            Action::CopyTableTo { table, node: node.clone(), storage: *storage, rows, bytes: bytes.0 }
        }
        topology::Action::Remove { .. } => {
            holders.remove(node);
            Action::DeleteCopyOn {
                table,
                node: node.clone(),
                others: u32::try_from(holders.len()).unwrap_or(1).max(1),
                class: *class,
            }
        }
    }
}
