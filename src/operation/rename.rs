//! Another name for a node that is alone: its database is copied beside itself with the new name in the schema, and the switch
//! is that of a join. Mnesia is stopped, so that nothing of this comes from a snapshot.

use serde::{Deserialize, Serialize};

use super::past::Past;
use super::{Becomes, Room};
use crate::model::name::NodeName;
use crate::model::request::{Operation, Options, Rename, Way};
use crate::model::snapshot::Obstacle;
use crate::plan::draft::{numbered, total};
use crate::plan::fingerprint::Fingerprint;
use crate::plan::step::{Action, OnFailure, Source, UndoStep};
use crate::plan::{Inputs, Kept, Plan};
use crate::validate::durability;
use crate::validate::node_name;
use crate::validate::problem::{Bytes, Nodes, Problem};
use crate::validate::view::View;

/// A stopped node's database gets another owner.
pub(super) struct Renaming<'a> {
    /// The names.
    pub rename: &'a Rename,
}

impl Room for Renaming<'_> {
    fn becomes(&self) -> Becomes {
        Becomes::Alone
    }

    /// [`make`] does, from a directory instead of a snapshot.
    fn plan(&self, _view: &View<'_>, _inputs: &Inputs) -> Result<Plan, Vec<Problem>> {
        Err(vec![Problem::BadRequest { reason: "a rename has no snapshot".into() }])
    }

    fn way_back(&self, _past: &Past, _plan: &Plan) -> Result<Way, Problem> {
        let reason = "what is kept has the former name; to take it back, rename it again".into();
        Err(Problem::NothingToRollBack { reason })
    }

    fn headline(&self, _plan: &Plan) -> String {
        format!("rename: the database of {} becomes that of {}", self.rename.from, self.rename.to)
    }
}

/// What was asked for, and what the directory says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wish {
    /// The old name, as it was typed.
    pub from: String,
    /// The new name, as it was typed.
    pub to: String,
    /// The Mnesia directory.
    pub directory: String,
    /// The options.
    pub options: Options,
    /// UTC now, as the name of the plan begins.
    pub at: String,
    /// The nodes that hold the schema.
    pub members: Vec<NodeName>,
    /// The tables in it, the schema aside.
    pub tables: u64,
    /// Bytes of its files.
    pub bytes: u64,
    /// Bytes free beside them.
    pub free: Option<u64>,
    /// The number of the user that the directory belongs to.
    pub owner: u64,
    /// The number of the user that this would be done as.
    pub runs_as: u64,
    /// The process that has the directory's log open.
    pub user: Option<u64>,
    /// Whether a fallback waits there.
    pub fallback: bool,
    /// An operation that has not ended.
    pub unfinished: Option<String>,
    /// What would keep the database from being moved aside.
    pub obstacles: Vec<Obstacle>,
}

/// The plan, or every problem that forbids it.
///
/// # Errors
/// Those problems.
pub fn make(wish: &Wish) -> Result<Plan, Vec<Problem>> {
    let (from, to) = match (whole(&wish.from), whole(&wish.to)) {
        (Ok(from), Ok(to)) => (from, to),
        (from, to) => return Err(from.err().into_iter().chain(to.err()).collect()),
    };
    let mut problems = problems(wish, &from, &to);
    if !problems.is_empty() {
        problems.sort_by_key(Problem::layer);
        return Err(problems);
    }
    let id = format!("{}-rename", wish.at);
    let actions = [
        Action::BuildDatabase { source: Source::Renamed { from: from.clone(), to: to.clone() } },
        Action::KeepDatabase,
        Action::DeleteLogs,
        Action::CommitSchema,
        Action::ReplaceFiles,
    ];
    // After the commit, the rest can be done at any time.
    let fate =
        |action: &Action| if *action == Action::ReplaceFiles { OnFailure::Keep } else { OnFailure::Undo };
    let steps = numbered(actions.into_iter().map(|action| (action.clone(), fate(&action))));
    let undo = [("delete_logs", Action::RestoreDatabase), ("build_database", Action::DropStaging)]
        .into_iter()
        .filter_map(|(since, action)| {
            let step = steps.iter().find(|step| step.action.name() == since)?;
            Some(UndoStep { since: step.number, action })
        })
        .collect();
    let estimate = total(&steps);
    Ok(Plan {
        kept: Some(Kept {
            directory: format!("{}/easy_cluster/kept/{id}", wish.directory),
            tables: wish.tables,
            rows: 0,
        }),
        id,
        node: from.clone(),
        operation: Operation::Rename(Rename { from, to }),
        options: wish.options.clone(),
        members: Vec::new(),
        fingerprint: Fingerprint::default(),
        steps,
        undo,
        warnings: Vec::new(),
        estimate,
        rows: Vec::new(),
        lost: Vec::new(),
    })
}

/// A whole name, long or short: which of them is used may be what changes.
fn whole(text: &str) -> Result<NodeName, Problem> {
    if !text.contains('@') {
        let reason = "the whole name is needed, as name@host".into();
        return Err(Problem::BadNodeName { text: text.into(), reason });
    }
    node_name::parse(text, &NodeName::from(text))
}

fn problems(wish: &Wish, from: &NodeName, to: &NodeName) -> Vec<Problem> {
    let path = || wish.directory.clone();
    let mut problems: Vec<Problem> = wish.obstacles.iter().map(durability::obstacle).collect();
    if from == to {
        let reason = "it is the old name, too".into();
        problems.push(Problem::BadNodeName { text: wish.to.clone(), reason });
    }
    match wish.members.as_slice() {
        [owner] if owner != from => {
            problems.push(Problem::DatabaseOfOther { path: path(), owner: owner.clone(), from: from.clone() })
        }
        [_owner] => {}
        members => {
            problems.push(Problem::CannotRenameMember { path: path(), members: Nodes(members.to_vec()) });
        }
    }
    if wish.owner != wish.runs_as {
        problems.push(Problem::WrongUser { path: path(), owner: wish.owner, user: wish.runs_as });
    }
    problems.extend(wish.user.map(|process| Problem::DirectoryInUse { path: path(), process }));
    problems.extend(wish.unfinished.iter().map(|id| Problem::UnfinishedOperation { id: id.clone() }));
    if wish.fallback {
        problems.push(Problem::FallbackInstalled {
            path: format!("{}/FALLBACK.BUP", wish.directory),
            reason: "it is installed at the next start".into(),
        });
    }
    if let Some(free) = wish.free.filter(|free| *free < wish.bytes) {
        problems.push(Problem::NotEnoughDisk {
            here: from.clone(),
            directory: path(),
            needed: Bytes(wish.bytes),
            free: Bytes(free),
        });
    }
    problems
}
