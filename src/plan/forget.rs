//! Forgetting members that are gone for good.
//!
//! Mnesia lets a node that was taken out of the schema come back with its old directory, and the tables that were deleted
//! with it. What keeps it out is the fence: a table that every member knows, made anew when a node is out; for one that died before
//! there was a fence, a new cookie of the schema itself. Between the two the members refuse its connections.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::step::{Action, OnFailure, Step, UndoStep};
use super::{Inputs, Plan, fingerprint, numbered, total};
use crate::model::catalogue::{self, Class};
use crate::model::name::{NodeName, TableName};
use crate::validate::forget as validate_forget;
use crate::validate::problem::Problem;
use crate::validate::refused;
use crate::validate::view::View;

/// A table that is deleted with a forgotten node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LostTable {
    /// The table.
    pub table: TableName,
    /// What it is for.
    pub class: Class,
    /// How it was stored there.
    pub storage: String,
    /// Older copies of it in kept databases.
    pub kept: Vec<String>,
}

impl fmt::Display for LostTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({}, {})", self.table, self.class.as_str(), self.storage)?;
        if self.kept.is_empty() { Ok(()) } else { write!(f, "; an older copy is {}", self.kept.join(", ")) }
    }
}

/// Makes the plan to forget `node` and what the options name beside it.
///
/// # Errors
/// Everything that forbids it.
pub(super) fn make(view: &View<'_>, node: &NodeName, inputs: &Inputs) -> Result<Plan, Vec<Problem>> {
    let mut nodes = vec![node.clone()];
    nodes.extend(inputs.options.also.iter().filter(|other| *other != node).cloned());
    let problems = validate_forget::problems(view, &nodes, &inputs.options);
    if !problems.is_empty() {
        return Err(problems);
    }
    let members = validate_forget::rest(view, &nodes);
    let lost = validate_forget::lost(view, &nodes).into_iter().map(|table| LostTable {
        table: table.name.clone(),
        class: catalogue::class(&table.name),
        storage: validate_forget::stored(view, table).into(),
        kept: validate_forget::kept(view, &table.name),
    });
    let (steps, undo) = steps(view, &nodes, &members);
    Ok(Plan {
        id: format!("{}-{}", inputs.at, inputs.operation.name()),
        operation: inputs.operation.clone(),
        options: inputs.options.clone(),
        node: view.here().clone(),
        members: members.iter().filter(|member| *member != view.here()).cloned().collect(),
        fingerprint: fingerprint::of(view, view.here()),
        estimate: total(&steps),
        steps,
        undo,
        warnings: Vec::new(),
        kept: None,
        rows: Vec::new(),
        lost: lost.collect(),
    })
}

/// Until the first node is out, everything can be taken back; from then on there is only the way forward.
fn steps(view: &View<'_>, nodes: &[NodeName], members: &[NodeName]) -> (Vec<Step>, Vec<UndoStep>) {
    let (nodes, members) = (nodes.to_vec(), members.to_vec());
    let others = members.iter().filter(|member| *member != view.here()).cloned().collect();
    // Who has its schema in memory has no old directory to come back with.
    let on_disc = |member: &&NodeName| view.facts(member).is_some_and(|facts| facts.use_dir);
    let unfenced = validate_forget::unfenced(view, &nodes);
    let to_load = validate_forget::to_load(view, &nodes);
    let loaded: Vec<TableName> = to_load.iter().map(|(table, _)| table.clone()).collect();
    let not_locked = refused::of_forgotten(view, &nodes, &loaded);
    let load = (!to_load.is_empty()).then_some(Action::ForceLoad { tables: to_load });
    let mut actions = vec![
        (Action::Connect { nodes: others }, OnFailure::Undo),
        (Action::Bar { nodes: nodes.clone(), members: members.clone() }, OnFailure::Undo),
    ];
    actions.extend(load.map(|load| (load, OnFailure::Undo)));
    let dead = (!not_locked.is_empty())
        .then(|| Action::DeleteDeadCopies { tables: not_locked, nodes: nodes.clone() });
    actions.extend(dead.map(|dead| (dead, OnFailure::Undo)));
    actions.extend(nodes.iter().enumerate().map(|(number, node)| {
        let on_failure = if number == 0 { OnFailure::Undo } else { OnFailure::Resume };
        (Action::ForgetNode { node: node.clone() }, on_failure)
    }));
    let schema = (!unfenced.is_empty()).then(|| Action::RenewSchema {
        nodes: unfenced,
        members: members.clone(),
        old: view.here_facts().schema_cookie.clone(),
        masters: masters(view, &members),
    });
    actions.extend(schema.map(|schema| (schema, OnFailure::Resume)));
    actions.extend([
        (
            Action::RenewFence {
                members: members.iter().filter(on_disc).cloned().collect(),
                old: validate_forget::fence(view).map(|fence| fence.cookie.clone()),
            },
            OnFailure::Resume,
        ),
        (Action::Unbar { nodes: nodes.clone(), members: members.clone() }, OnFailure::Keep),
        (Action::Verify, OnFailure::Keep),
    ]);
    let steps = numbered(actions);
    let barred = steps.iter().find(|step| matches!(step.action, Action::Bar { .. }));
    let undo = barred.map(|step| UndoStep { since: step.number, action: Action::Unbar { nodes, members } });
    (steps, undo.into_iter().collect())
}

/// The master nodes of the schema that members have set. A node that is out can be none.
fn masters(view: &View<'_>, members: &[NodeName]) -> Vec<(NodeName, Vec<NodeName>)> {
    let set_by = |member: &NodeName| {
        let mut masters = view.set(view.facts(member)?.master_nodes).to_vec();
        masters.retain(|master| members.contains(master));
        (!masters.is_empty()).then(|| (member.clone(), masters))
    };
    members.iter().filter_map(set_by).collect()
}
