//! Another database for this node, on which it goes on alone: built beside the old one, switched to by one rename, as a join is.

use super::step::{Action, OnFailure, Source, Step, UndoStep};
use super::{archive, numbered};
use crate::model::name::NodeName;
use crate::validate::view::View;

/// The steps to a database made from `source` and the way back. `members` are those that list this node.
///
/// Until they are told to forget it, the way back is open: this node is still a member. Afterwards there is only the way
/// forward.
pub(super) fn steps(view: &View<'_>, members: &[NodeName], source: &Source) -> (Vec<Step>, Vec<UndoStep>) {
    let applications = &view.here_facts().applications;
    let in_memory = archive::in_memory(view);
    let stop = |application: &_| Action::StopApplication { application: Clone::clone(application) };
    let start = |application: &_| Action::StartApplication { application: Clone::clone(application) };
    let mut actions = Vec::new();
    if !members.is_empty() {
        actions.push(Action::Connect { nodes: members.to_vec() });
    }
    actions.extend(applications.iter().map(stop));
    actions.extend(archive::action(&archive::tables(view, &[], &in_memory)));
    actions.extend([
        Action::DumpLog,
        Action::StopMnesia,
        Action::BuildDatabase { source: source.clone() },
        Action::KeepDatabase,
        Action::DeleteLogs,
        Action::CommitSchema,
        Action::ReplaceFiles,
    ]);
    let mut last = Vec::new();
    if !members.is_empty() {
        last.push(Action::ForgetHere { members: members.to_vec() });
    }
    last.extend([Action::ReopenMnesia, Action::ClearCaches]);
    last.extend(applications.iter().rev().map(start));
    last.push(Action::Verify);
    let steps = numbered(
        actions
            .into_iter()
            .map(|action| (action, OnFailure::Undo))
            .chain(last.into_iter().map(|action| (action, OnFailure::Keep))),
    );
    let first = |wanted: &str| steps.iter().find(|step| step.action.name() == wanted).map(|step| step.number);
    let way_back = [
        ("delete_logs", Action::RestoreDatabase),
        ("build_database", Action::DropStaging),
        ("stop_mnesia", Action::ReopenMnesia),
    ];
    let rows =
        (!in_memory.is_empty()).then(|| ("stop_mnesia", Action::RestoreRows { tables: in_memory.clone() }));
    let start_again = applications.iter().rev().map(|application| ("stop_application", start(application)));
    let undo = way_back
        .into_iter()
        .chain(rows)
        .chain([("stop_application", Action::ClearCaches)])
        .chain(start_again)
        .filter_map(|(since, action)| Some(UndoStep { since: first(since)?, action }))
        .collect();
    (steps, undo)
}
