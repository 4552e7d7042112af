//! Forgetting members that are gone for good.
//!
//! Mnesia lets a node that was taken out of the schema come back with its old directory, and the tables that were deleted
//! with it. What keeps it out is the fence: a table that every member knows, made anew when a node is out; for one that died before
//! there was a fence, a new cookie of the schema itself. Between the two the members refuse its connections.

use std::collections::BTreeSet;

use super::ask::{Look, Need};
use super::past::Past;
use super::{Becomes, Room};
use crate::model::catalogue;
use crate::model::name::{NodeName, TableName};
use crate::model::request::{Options, Way};
use crate::model::table::Table;
use crate::plan::draft::{numbered, while_serving};
use crate::plan::goal::{failed, of_cluster};
use crate::plan::recover::{Direction, Interrupted, Lock, Recovery, begun};
use crate::plan::step::{Action, OnFailure, Step, UndoStep};
use crate::plan::{Inputs, LostTable, Plan};
use crate::validate::forget as validate;
use crate::validate::problem::{Nodes, Problem};
use crate::validate::refused;
use crate::validate::view::View;

/// The members take one that is gone for good out of the cluster, and what the options name beside it.
pub(super) struct Forget<'a> {
    /// The node to be forgotten.
    pub node: &'a NodeName,
}

impl Room for Forget<'_> {
    fn becomes(&self) -> Becomes {
        Becomes::TheSame
    }

    fn members(&self, options: &Options) -> Need {
        let nodes = [self.node].into_iter().chain(&options.also).cloned().collect();
        Need::Members { contacts: Vec::new(), nodes, look: Look::Forgetting }
    }

    fn plan(&self, view: &View<'_>, inputs: &Inputs) -> Result<Plan, Vec<Problem>> {
        let mut nodes = vec![self.node.clone()];
        nodes.extend(inputs.options.also.iter().filter(|other| *other != self.node).cloned());
        let problems = validate::problems(view, &nodes, &inputs.options);
        if !problems.is_empty() {
            return Err(problems);
        }
        let members = validate::rest(view, &nodes);
        let lost = validate::lost(view, &nodes).into_iter().map(|table| LostTable {
            table: table.name.clone(),
            class: catalogue::class(&table.name),
            storage: validate::stored(view, table).into(),
            kept: validate::kept(view, &table.name),
        });
        let steps = steps(view, &nodes, &members);
        let others = members.iter().filter(|member| *member != view.here()).cloned().collect();
        Ok(while_serving(view, inputs, others, steps, Vec::new(), lost.collect()))
    }

    fn goal(&self, view: &View<'_>, plan: &Plan) -> Vec<Problem> {
        let mut problems = of_cluster(view, plan, false);
        for step in &plan.steps {
            if let Action::ForgetNode { node } = &step.action {
                problems.extend(of_forgotten(view, node));
            }
            if let Action::RenewFence { members, old } = &step.action {
                problems.extend(of_fence(view, members, old.as_deref()));
            }
            if let Action::RenewSchema { nodes, members, old, .. } = &step.action {
                problems.extend(of_schema(view, nodes, members, old.as_deref()));
            }
        }
        problems
    }

    /// Once a node may be out, the rest has to know it. The members refuse its connections as they did; the VM that does so here
    /// is new.
    fn recovery(&self, interrupted: &Interrupted) -> Recovery {
        let Interrupted { plan, undoing, .. } = interrupted;
        let (begun, _lost) = begun(interrupted);
        let is_out = |step: &Step| matches!(step.action, Action::ForgetNode { .. }) && step.number <= begun;
        if *undoing || !plan.steps.iter().any(is_out) {
            let undo = plan.undo.iter().filter(|undo| undo.since <= begun);
            let offline = undo.map(|undo| undo.action.clone()).collect();
            return Recovery { direction: Direction::Back, offline, online: Vec::new(), lock: Lock::IfFree };
        }
        let bar = plan.steps.iter().find_map(|step| {
            let Action::Bar { nodes, .. } = &step.action else { return None };
            Some(Action::Bar { nodes: nodes.clone(), members: vec![plan.node.clone()] })
        });
        let online = plan.steps.iter().cloned().map(|step| match step.on_failure {
            OnFailure::Undo => Step { on_failure: OnFailure::Resume, ..step },
            OnFailure::Keep | OnFailure::Resume => step,
        });
        Recovery {
            direction: Direction::Forward,
            offline: bar.into_iter().collect(),
            online: online.collect(),
            lock: Lock::IfFree,
        }
    }

    fn way_back(&self, _past: &Past, _plan: &Plan) -> Result<Way, Problem> {
        Err(Problem::NothingToRollBack {
            reason: "of a node that was forgotten, nothing is kept here".into(),
        })
    }

    fn headline(&self, plan: &Plan) -> String {
        let all = [self.node].into_iter().chain(&plan.options.also).cloned().collect();
        let members = plan.members.iter().chain([&plan.node]).cloned().collect();
        format!("forget: {} forget {}", Nodes(members), Nodes(all))
    }
}

/// Until the first node is out, everything can be taken back; from then on there is only the way forward.
fn steps(view: &View<'_>, nodes: &[NodeName], members: &[NodeName]) -> (Vec<Step>, Vec<UndoStep>) {
    let (nodes, members) = (nodes.to_vec(), members.to_vec());
    let others = members.iter().filter(|member| *member != view.here()).cloned().collect();
    // Who has its schema in memory has no old directory to come back with.
    let on_disc = |member: &&NodeName| view.facts(member).is_some_and(|facts| facts.use_dir);
    let unfenced = validate::unfenced(view, &nodes);
    let to_load = validate::to_load(view, &nodes);
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
                old: validate::fence(view).map(|fence| fence.cookie.clone()),
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

/// No copy is left on a node that was forgotten.
fn of_forgotten(view: &View<'_>, node: &NodeName) -> Vec<Problem> {
    let named = |table: &&Table| view.holders(table).0.contains(node);
    view.tables_of(view.here())
        .filter(named)
        .map(|table| failed(format!("no copy of {} on {node}", table.name), view.holders(table).to_string()))
        .collect()
}

/// Every member has the new fence, which is another table than the old one.
fn of_fence(view: &View<'_>, members: &[NodeName], old: Option<&str>) -> Vec<Problem> {
    let expected = || format!("a new table {} on {}", catalogue::FENCE, Nodes(members.to_vec()));
    let of_member = |member: &NodeName| {
        let fence = view.tables_of(member).find(|table| table.name.as_str() == catalogue::FENCE);
        match fence {
            None => Some(failed(expected(), format!("none on {member}"))),
            Some(table) if Some(table.cookie.as_str()) == old => {
                Some(failed(expected(), format!("the old one on {member}")))
            }
            Some(table) if view.holders(table).0 != members => {
                Some(failed(expected(), format!("copies on {}", view.holders(table))))
            }
            Some(_) => None,
        }
    };
    members.iter().filter_map(of_member).collect()
}

/// Every member has the new cookie of the schema. One that does not answer is told as that.
fn of_schema(view: &View<'_>, nodes: &[NodeName], members: &[NodeName], old: Option<&str>) -> Vec<Problem> {
    let cookies: BTreeSet<&str> =
        members.iter().filter_map(|member| view.facts(member)?.schema_cookie.as_deref()).collect();
    if old.is_some_and(|old| cookies.contains(old)) {
        return nodes.iter().map(|node| Problem::NotFenced { node: node.clone() }).collect();
    }
    let expected = || format!("one cookie of the schema on {}", Nodes(members.to_vec()));
    (cookies.len() > 1)
        .then(|| failed(expected(), format!("{} of them", cookies.len())))
        .into_iter()
        .collect()
}
