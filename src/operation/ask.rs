//! One request for every operation. It is asked with the facts that there are, and answers which facts it needs, or the plan.
//!
//! Whoever asks fetches what is needed, adds it to the answers, and asks again, until there is a plan or something forbids one. The
//! check of a plan under the lock ([`again`]) is the same loop.

use serde::{Deserialize, Serialize};

use super::past::Past;
use super::{fits, repair_table, rollback, room, view};
use crate::model::name::{NodeName, TableName};
use crate::model::request::{Backup, Drift, ForceBoot, Operation, Options, Repair, TableRepair};
use crate::model::rows::RowDifference;
use crate::model::snapshot::Snapshot;
use crate::plan::diff::Comparison;
use crate::plan::{Inputs, Plan};
use crate::validate::operating;
use crate::validate::problem::Problem;

/// What an operator asks for, before anything is known.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Wish {
    /// See [`Operation::Join`].
    Join(NodeName),
    /// See [`Operation::JoinAsMaster`].
    JoinAsMaster(NodeName),
    /// See [`Operation::SyncNode`].
    SyncNode(NodeName),
    /// See [`Operation::Forget`].
    Forget(NodeName),
    /// See [`Operation::Reset`].
    Reset,
    /// See [`Operation::Leave`].
    Leave,
    /// Take back what was done here last.
    Rollback,
    /// Go on alone with the backup in this folder.
    Restore(String),
    /// Load here what waits.
    ForceBoot,
    /// Bring the cluster to what the policy of this node wants.
    Repair,
    /// Make all copies of a table what one node has.
    RepairTable {
        /// The table, as it was typed.
        table: String,
        /// The node whose copy stays as it is.
        winner: NodeName,
    },
}

/// A question to the core: what it takes to do this.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ask {
    /// What is wanted.
    pub wish: Wish,
    /// How.
    pub options: Options,
    /// This node.
    pub here: NodeName,
    /// UTC now: the name of the plan begins so.
    pub at: String,
}

/// Facts that a decision needs, each with what it is fetched by.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Need {
    /// [`Answers::snapshot`]: what each member says.
    Members {
        /// The first of these that can be reached layer by layer is looked at; [`Answers::contact`]. None of them reached is an error.
        contacts: Vec<NodeName>,
        /// Nodes that are looked at, too.
        nodes: Vec<NodeName>,
        /// How closely.
        look: Look,
    },
    /// [`Answers::rows`]: the rows of these tables here against those of `node`'s cluster.
    Rows {
        /// The tables.
        tables: Vec<TableName>,
        /// The node.
        node: NodeName,
    },
    /// [`Answers::backup`]: what the manifest in this folder says, after the files were read to their end.
    Backup {
        /// The folder.
        folder: String,
    },
    /// [`Answers::compared`]: the same with how the rows of these tables differ from those here.
    BackupRows {
        /// What the manifest says.
        backup: Backup,
        /// The tables.
        tables: Vec<TableName>,
    },
    /// [`Answers::history`]: the operations that were begun here.
    History,
    /// [`Answers::waiting`]: the tables that wait here, and for whom.
    Waiting,
    /// [`Answers::policy`]: the policy of this node, and what decides beside it.
    Policy,
    /// [`Answers::drift`]: how the copies of a table differ from the winner's.
    Drift {
        /// The table and its copies.
        comparison: Comparison,
        /// The node whose copy stays as it is.
        winner: NodeName,
    },
}

/// How closely members are looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Look {
    /// What they say of themselves, of one another and of the tables.
    Facts,
    /// Also whether ejabberd could start again here.
    Preflight,
    /// Also how far they get towards the nodes, and which tables are in databases that were kept.
    Forgetting,
}

/// The facts that were fetched.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Answers {
    /// See [`Need::Members`]. It is large, and comes beside the others.
    #[serde(skip)]
    pub snapshot: Option<Snapshot>,
    /// The contact that was reached.
    pub contact: Option<NodeName>,
    /// See [`Need::Rows`].
    pub rows: Option<Vec<RowDifference>>,
    /// See [`Need::Backup`].
    pub backup: Option<Backup>,
    /// See [`Need::BackupRows`].
    pub compared: Option<Backup>,
    /// See [`Need::History`].
    pub history: Option<Vec<Past>>,
    /// See [`Need::Waiting`].
    pub waiting: Option<ForceBoot>,
    /// See [`Need::Policy`].
    pub policy: Option<Repair>,
    /// See [`Need::Drift`].
    pub drift: Option<Drift>,
}

/// What comes of a question.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Next {
    /// These facts have to be fetched first.
    Need(Vec<Need>),
    /// The plan.
    Plan(Box<Plan>),
    /// The plan that was asked about still fits.
    Fits,
}

/// What is needed for an operation, or its plan.
///
/// # Errors
/// Everything that forbids it, outermost layer first.
pub fn ask(ask: &Ask, answers: Answers) -> Result<Next, Vec<Problem>> {
    let candidates = match of_wish(&ask.wish, &answers)? {
        Resolved::Need(need) => return Ok(Next::Need(vec![need])),
        Resolved::Operations(candidates) => candidates,
    };
    let operation = one_of(&candidates, ask, answers.contact.as_ref())?;
    let Some(snapshot) = &answers.snapshot else {
        let members = room(operation).members(&ask.options);
        return Ok(Next::Need(vec![of_any(members, &candidates)]));
    };
    let compared = room(operation).comparison(&view(snapshot)?, &answers);
    if let Some(need) = compared.map_err(|problems| operating::explained(snapshot, problems))? {
        return Ok(Next::Need(vec![need]));
    }
    let inputs = Inputs {
        operation: operation.clone(),
        options: ask.options.clone(),
        snapshot: snapshot.clone(),
        rows: answers.rows.unwrap_or_default(),
        at: ask.at.clone(),
    };
    let plan = super::make(&inputs).map_err(|problems| operating::explained(snapshot, problems))?;
    Ok(Next::Plan(Box::new(plan)))
}

/// The operation whose contact was reached; the best one before any was.
fn one_of<'a>(
    candidates: &'a [Operation],
    ask: &Ask,
    reached: Option<&NodeName>,
) -> Result<&'a Operation, Vec<Problem>> {
    if let Some(node) = candidates.iter().filter_map(contact).find(|node| *node == ask.here) {
        return Err(vec![Problem::CannotJoinItself { node }]);
    }
    let was_reached = |operation: &&Operation| reached.is_some() && contact(operation).as_ref() == reached;
    let one = candidates.iter().find(was_reached).or(candidates.first());
    one.ok_or_else(|| vec![Problem::BadRequest { reason: "no operation does that".into() }])
}

fn contact(operation: &Operation) -> Option<NodeName> {
    room(operation).contact().cloned()
}

/// The look at the members, by whichever contact can be reached.
fn of_any(members: Need, candidates: &[Operation]) -> Need {
    let Need::Members { nodes, look, .. } = members else { return members };
    Need::Members { contacts: candidates.iter().filter_map(contact).collect(), nodes, look }
}

/// What is needed to say whether a plan still fits the cluster, or that it does.
///
/// # Errors
/// What forbids it now, or [`Problem::PlanChanged`].
pub fn again(plan: &Plan, answers: &Answers) -> Result<Next, Vec<Problem>> {
    let room = room(&plan.operation);
    let Some(snapshot) = &answers.snapshot else {
        return Ok(Next::Need(vec![room.members(&plan.options)]));
    };
    if let Some(need) = room.again(plan, snapshot, answers)? {
        return Ok(Next::Need(vec![need]));
    }
    fits(plan, snapshot, answers.rows.as_deref())?;
    Ok(Next::Fits)
}

enum Resolved {
    Need(Need),
    /// The best first. They differ in the member that is asked.
    Operations(Vec<Operation>),
}

/// The table of what may be asked for.
fn of_wish(wish: &Wish, answers: &Answers) -> Result<Resolved, Vec<Problem>> {
    let one = |operation| Resolved::Operations(vec![operation]);
    Ok(match wish {
        Wish::Join(contact) => one(Operation::Join(contact.clone())),
        Wish::JoinAsMaster(contact) => one(Operation::JoinAsMaster(contact.clone())),
        Wish::SyncNode(contact) => one(Operation::SyncNode(contact.clone())),
        Wish::Forget(node) => one(Operation::Forget(node.clone())),
        Wish::Reset => one(Operation::Reset),
        Wish::Leave => one(Operation::Leave),
        Wish::Rollback => match &answers.history {
            None => Resolved::Need(Need::History),
            Some(history) => Resolved::Operations(rollback::takes_back(history)?),
        },
        Wish::Restore(folder) => match answers.compared.as_ref().or(answers.backup.as_ref()) {
            None => Resolved::Need(Need::Backup { folder: folder.clone() }),
            Some(backup) => one(Operation::Restore(backup.clone())),
        },
        Wish::Repair => match &answers.policy {
            None => Resolved::Need(Need::Policy),
            Some(repair) => one(Operation::Repair(repair.clone())),
        },
        Wish::ForceBoot => match (&answers.snapshot, &answers.waiting) {
            (None, _) => Resolved::Need(facts()),
            (Some(_), None) => Resolved::Need(Need::Waiting),
            (Some(_), Some(waiting)) => one(Operation::ForceBoot(waiting.clone())),
        },
        Wish::RepairTable { table, winner } => {
            let Some(snapshot) = &answers.snapshot else { return Ok(Resolved::Need(facts())) };
            let comparison = repair_table::comparison(snapshot, table, winner)?;
            let winner = winner.clone();
            match &answers.drift {
                None => Resolved::Need(Need::Drift { comparison, winner }),
                Some(drift) => one(Operation::RepairTable(TableRepair {
                    table: comparison.table,
                    winner,
                    drift: drift.clone(),
                })),
            }
        }
    })
}

/// A look at this node and the members of its cluster.
pub(super) fn facts() -> Need {
    Need::Members { contacts: Vec::new(), nodes: Vec::new(), look: Look::Facts }
}
