//! Which operation takes the last one back.

use std::collections::HashSet;

use super::alone::{Alone, keeping};
use super::ask::{Answers, Need};
use super::past::{Kept, Outcome, Past};
use super::{Becomes, Room, room};
use crate::model::name::TableName;
use crate::model::request::{Operation, Rollback, Way};
use crate::model::snapshot::Snapshot;
use crate::model::table::Table;
use crate::plan::draft::{Draft, members, numbered};
use crate::plan::goal::{failed, of_cluster};
use crate::plan::step::{Action, OnFailure, Source};
use crate::plan::{Inputs, Plan};
use crate::validate::operation as validate;
use crate::validate::problem::Problem;
use crate::validate::view::View;

/// Takes back what was done here last.
pub(super) struct TakeBack<'a> {
    /// The operation that is taken back, and how.
    pub rollback: &'a Rollback,
}

impl Room for TakeBack<'_> {
    fn becomes(&self) -> Becomes {
        match self.rollback.way {
            Way::Kept { .. } => Becomes::Alone,
            Way::Copies { .. } => Becomes::TheSame,
        }
    }

    /// What is taken back has to be the last operation still, and what it kept whole.
    fn again(
        &self,
        plan: &Plan,
        _snapshot: &Snapshot,
        answers: &Answers,
    ) -> Result<Option<Need>, Vec<Problem>> {
        let Some(history) = &answers.history else { return Ok(Some(Need::History)) };
        let same = takes_back(history)?.contains(&plan.operation);
        plan.unless((!same).then(|| "what was done here last".to_owned()))?;
        Ok(None)
    }

    fn plan(&self, view: &View<'_>, inputs: &Inputs) -> Result<Plan, Vec<Problem>> {
        let id = &self.rollback.id;
        match &self.rollback.way {
            Way::Kept { bytes, rows, merged } => {
                let problems = |archived: u64| {
                    validate::alone(view, &members(view, view.here()), archived.saturating_add(*bytes))
                };
                let archived = (!rows.is_empty())
                    .then(|| Action::RestoreArchive { id: id.clone(), tables: rows.clone() });
                let alone = Alone { archived, ..Alone::with(Source::Kept { id: id.clone() }) };
                let mut draft = keeping(view, inputs, problems, alone)?;
                draft.warnings.extend(merged_rows_stay(id, merged));
                draft.plan(view, inputs)
            }
            Way::Copies { tables } => of_copies(view, id, tables)?.plan(view, inputs),
        }
    }

    fn goal(&self, view: &View<'_>, plan: &Plan) -> Vec<Problem> {
        let mut problems = of_cluster(view, plan, self.becomes() == Becomes::Alone);
        for step in &plan.steps {
            let Action::DeleteCopies { tables } = &step.action else { continue };
            let left =
                view.tables_of(&plan.node).filter(|t| tables.contains(&t.name) && view.is_copied_here(t));
            problems
                .extend(left.map(|t| failed(format!("no copy of {} here", t.name), "there is one".into())));
        }
        problems
    }

    fn way_back(&self, past: &Past, plan: &Plan) -> Result<Way, Problem> {
        match self.rollback.way {
            Way::Kept { .. } => kept(past, plan),
            Way::Copies { .. } => {
                Err(nothing("it was a rollback that deleted copies; sync_node brings them here again"))
            }
        }
    }

    fn headline(&self, plan: &Plan) -> String {
        let (here, id) = (&plan.node, &self.rollback.id);
        match self.rollback.way {
            Way::Kept { .. } => format!("rollback: {here} returns to the database that {id} has kept"),
            Way::Copies { .. } => format!("rollback: {here} deletes the copies that {id} has made"),
        }
    }
}

/// The copies that an operation has made here go.
fn of_copies<'a>(view: &View<'a>, id: &str, tables: &[TableName]) -> Result<Draft<'a>, Vec<Problem>> {
    let here = copied_here(view, tables);
    let mut problems = validate::delete_copies(view, &here);
    if here.is_empty() {
        problems.push(nothing(&format!("none of the copies that {id} has made is here any more")));
    }
    if !problems.is_empty() {
        return Err(problems);
    }
    let tables = here.iter().map(|table| table.name.clone()).collect();
    let actions = [Action::DeleteCopies { tables }, Action::Verify];
    let steps = numbered(actions.map(|action| (action, OnFailure::Keep)));
    Ok(Draft::new(view.here(), members(view, view.here()), steps, Vec::new()))
}

/// Those of the tables that have a copy here which can go: every node has its own rows of `local_content`.
fn copied_here<'a>(view: &View<'a>, tables: &[TableName]) -> Vec<&'a Table> {
    let wanted: HashSet<_> = tables.iter().collect();
    view.tables_of(view.here())
        .filter(|table| wanted.contains(&table.name) && view.is_copied_here(table) && !table.local_content)
        .collect()
}

fn merged_rows_stay(id: &str, merged: &[TableName]) -> Option<Problem> {
    let tables = merged.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    (!merged.is_empty()).then(|| Problem::MergedRowsStay { id: id.into(), tables })
}

fn nothing(reason: &str) -> Problem {
    Problem::NothingToRollBack { reason: reason.into() }
}

/// The operations that would take back what was done here last, the best first: the others do the same with another member of
/// the former cluster. `history` is oldest first.
///
/// A database that was a member's is never put back: with its old schema it would enter the cluster uninvited and bring deleted
/// tables back. This node joins again instead.
///
/// # Errors
/// Why it cannot be taken back.
pub fn takes_back(history: &[Past]) -> Result<Vec<Operation>, Vec<Problem>> {
    one_of(history).map_err(|problem| vec![problem])
}

fn one_of(history: &[Past]) -> Result<Vec<Operation>, Problem> {
    let mut newest_first = history.iter().rev();
    // What was undone has changed nothing.
    let Some(last) = newest_first.find(|past| past.outcome != Outcome::Undone) else {
        return Err(nothing("nothing was done here yet"));
    };
    let plan = match (&last.plan, last.outcome) {
        (Some(plan), Outcome::Done | Outcome::Stopped) => plan,
        _ => return Err(Problem::UnfinishedOperation { id: last.id.clone() }),
    };
    if has_left(plan) {
        let join = if was_slave(newest_first) { Operation::Join } else { Operation::JoinAsMaster };
        return Ok(plan.members.iter().cloned().map(join).collect());
    }
    let way = room(&plan.operation).way_back(last, plan)?;
    Ok(vec![Operation::Rollback(Rollback { id: last.id.clone(), way })])
}

/// Whether members have forgotten this node by it.
fn has_left(plan: &Plan) -> bool {
    plan.steps.iter().any(|step| matches!(step.action, Action::ForgetHere { .. }))
}

/// What this node was in the cluster that it has left, by what was done before; a full replica where nobody knows.
fn was_slave<'a>(newest_first: impl Iterator<Item = &'a Past>) -> bool {
    let did = |past: &&Past| matches!(past.outcome, Outcome::Done | Outcome::Stopped);
    let before = newest_first.filter(did).filter_map(|past| past.plan.as_ref()).map(|plan| &plan.operation);
    let became = before.map(|operation| room(operation).becomes()).find(|became| *became != Becomes::TheSame);
    became == Some(Becomes::Slave)
}

/// The database that an operation has kept.
pub(super) fn kept(past: &Past, plan: &Plan) -> Result<Way, Problem> {
    match &past.kept {
        Kept::Whole { bytes } => {
            let rows = if past.archive_dropped { Vec::new() } else { in_memory(plan) };
            Ok(Way::Kept { bytes: *bytes, rows, merged: merged(past, plan) })
        }
        Kept::Missing => Err(Problem::KeptDatabaseGone { id: past.id.clone() }),
        Kept::Damaged { path, reason } => Err(Problem::KeptDatabaseDamaged {
            id: past.id.clone(),
            path: path.clone(),
            reason: reason.clone(),
        }),
    }
}

/// The tables in memory whose rows it has archived: its own way back would have written them back.
fn in_memory(plan: &Plan) -> Vec<TableName> {
    let rows = plan.undo.iter().filter_map(|undo| {
        let Action::RestoreRows { tables } = &undo.action else { return None };
        Some(tables.clone())
    });
    rows.flatten().collect()
}

fn merged(past: &Past, plan: &Plan) -> Vec<TableName> {
    let merged = actions_begun(past, plan).filter_map(|action| {
        let Action::MergeRows { tables, .. } = action else { return None };
        Some(tables.clone())
    });
    merged.flatten().collect()
}

/// The copies that an operation has made here.
pub(super) fn copies(past: &Past, plan: &Plan) -> Result<Way, Problem> {
    let copies = actions_begun(past, plan).flat_map(|action| action.copies());
    let tables: Vec<TableName> = copies.map(|copy| copy.table.clone()).collect();
    if tables.is_empty() {
        Err(nothing("the last operation has copied nothing"))
    } else {
        Ok(Way::Copies { tables })
    }
}

fn actions_begun<'a>(past: &'a Past, plan: &'a Plan) -> impl Iterator<Item = &'a Action> {
    plan.steps.iter().filter(|step| past.begun.contains(&step.number)).map(|step| &step.action)
}
