//! Which request calls what: `{Operation, Arguments}` in, `{ok, Result}` or `{error, [Problem, ...]}` out.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;

use easy_cluster::explain::diff::Compared;
use easy_cluster::explain::doctor::{Diagnosis, Examination, Question};
use easy_cluster::explain::history::{Event, Past};
use easy_cluster::explain::known::Paths;
use easy_cluster::explain::status::Drifted;
use easy_cluster::explain::{self, log};
use easy_cluster::model::name::{NodeName, TableName};
use easy_cluster::model::policy::Policy;
use easy_cluster::model::reach::Reach;
use easy_cluster::model::request::{ForceBoot, Options};
use easy_cluster::model::snapshot::Snapshot;
use easy_cluster::operation::ask::{self, Answers, Ask, Next};
use easy_cluster::operation::{self, aside, rename, repair};
use easy_cluster::plan::backup::{self, Backup, Folder};
use easy_cluster::plan::diff::{self, Chosen, Comparison, Leaving, Turn};
use easy_cluster::plan::marks::{self, Marks, Salvage};
use easy_cluster::plan::recover::{Interrupted, Recovery};
use easy_cluster::plan::step::Action;
use easy_cluster::plan::{Inputs, Plan};
use easy_cluster::topology::{self, Topology};
use easy_cluster::validate::problem::Problem;
use easy_cluster::validate::returning::{self, Known};
use easy_cluster::validate::{self, beside, node_name, operating, options, policy, reach};
use easy_cluster::watch::{self, Effect, Memory, Seen};
use easy_cluster_probe::machine::{self, Places};
use easy_cluster_probe::{ProbeRequest, probe};
use serde::{Deserialize, Serialize};

use crate::boot::{self, MemberLogs, Overridden};
use crate::encoded::Encoded;
use crate::{from_bytes, to_bytes};

/// Everything that the core can be asked, as an Erlang term `{Operation, #{...}}`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Request {
    Version {},
    NodeName {
        text: String,
        here: NodeName,
    },
    Options {
        options: BTreeMap<String, options::Value>,
    },
    Probe(ProbeRequest),
    /// What an operation needs to know, or its plan.
    Ask(Box<Asked<Ask>>),
    /// What is needed to say whether a plan still fits, or that it does.
    AskAgain(Box<Asked<Plan>>),
    /// A plan from facts that are all there, as they were recorded.
    Plan(Inputs),
    Verify {
        plan: Plan,
        snapshot: Snapshot,
    },
    Recover(Interrupted),
    Salvage(Marks),
    DropKept(beside::Drop),
    DropArchive(beside::DropArchive),
    Rename(rename::Wish),
    Backup {
        snapshot: Snapshot,
        folder: Folder,
    },
    /// Whether this node is still a member where it believes to be one.
    Returning {
        here: NodeName,
        own: BTreeMap<TableName, String>,
        known: Vec<Known>,
    },
    /// What a forgotten node does that shall come in again.
    Reentering {
        id: String,
        directory: String,
        here: NodeName,
        own: BTreeMap<TableName, String>,
        known: Vec<Known>,
    },
    /// The members that have to be told once more to forget this node.
    LeftBehind {
        here: NodeName,
        members: Vec<returning::Member>,
    },
    Waiting {
        snapshot: Snapshot,
        tables: Vec<TableName>,
        logs: Vec<MemberLogs>,
        reaches: Vec<Reach>,
    },
    /// What this node has that others have gone on without, and what it does about it.
    Overridden {
        id: String,
        here: NodeName,
        directory: PathBuf,
        serving: Option<Vec<(NodeName, Vec<TableName>)>>,
    },
    Comparisons {
        node: Option<NodeName>,
        snapshot: Snapshot,
        policy: Option<String>,
    },
    /// How a copy is compared with others before it is deleted.
    BeforeDeletion(Leaving),
    /// What the scrub compares now, or why nothing.
    Scrub {
        snapshot: Snapshot,
        policy: Option<String>,
    },
    TestNode {
        node: NodeName,
        snapshot: Snapshot,
    },
    Status {
        snapshot: Snapshot,
        #[serde(default)]
        drift: Vec<Drifted>,
    },
    /// What is to be done without being asked.
    Watch {
        /// What the last decision has left.
        memory: Option<Box<Memory>>,
        seen: Box<Seen>,
    },
    /// What is wrong with the text of a policy, or the policy.
    Policy {
        text: String,
    },
    /// Whether the next step of a repair may be begun.
    MayBegin(repair::Next),
    /// The way to what a policy wants.
    Topology {
        snapshot: Snapshot,
        policy: String,
    },
    /// Tables and their holders, with what a policy wants of them.
    Tables {
        snapshot: Snapshot,
        policy: Option<String>,
    },
    Questions {
        node: NodeName,
        snapshot: Snapshot,
    },
    Diagnose {
        examination: Examination,
        places: Option<Places>,
    },
    RenderPlan {
        plan: Plan,
    },
    RenderHistory {
        past: Vec<Past>,
    },
    RenderOperation {
        past: Past,
        plan: Option<Plan>,
        events: Vec<Event>,
    },
    RenderBackup {
        backup: Backup,
        path: String,
    },
    Differences {
        compared: Vec<Compared>,
        not_compared: Vec<Problem>,
    },
    RenderProblems {
        problems: Vec<Problem>,
    },
    Describe {
        action: Action,
    },
    Explain {
        text: String,
        places: Option<Places>,
    },
    #[cfg(test)]
    Panic {},
}

/// What is asked about, and the facts that were fetched for it.
#[derive(Debug, Deserialize)]
struct Asked<T> {
    about: T,
    snapshot: Option<Encoded<Snapshot>>,
    answers: Answers,
}

impl<T> Asked<T> {
    fn parts(self) -> (T, Answers) {
        (self.about, Answers { snapshot: self.snapshot.map(|encoded| encoded.0), ..self.answers })
    }
}

/// The results, each in the shape that its operation promises.
#[derive(Debug, Serialize)]
#[serde(untagged)]
enum Answer {
    Version {
        version: &'static str,
    },
    Text(String),
    Options(Options),
    /// One text a node: its layers in words, up to the first broken one.
    Reaches {
        reaches: Vec<Reach>,
        problems: Vec<Problem>,
        texts: Vec<String>,
    },
    Nodes(Vec<NodeName>),
    Plan(Box<Plan>),
    Next(Next),
    Recovery(Recovery),
    Salvage(Option<Salvage>),
    Backup(Backup),
    Waiting(ForceBoot),
    Overridden(Overridden),
    Comparisons(Chosen),
    BeforeDeletion(Option<Comparison>),
    Scrub(Turn),
    Nothing {},
    TestNode {
        text: String,
    },
    /// What was found, and whose copies were not compared.
    Differences {
        text: String,
        problems: Vec<Problem>,
    },
    Status(explain::status::Status),
    Watch(Box<Watched>),
    Policy(Box<Policy>),
    Topology {
        topology: Box<Topology>,
        text: String,
    },
    Matrix(explain::tables::Matrix),
    Questions(Vec<Question>),
    Diagnosis(Diagnosis),
    Explained {
        text: String,
        sightings: Vec<log::Told>,
        left_off: u64,
    },
}

/// What the watch does, and what it is at.
#[derive(Debug, Serialize)]
struct Watched {
    memory: Memory,
    effects: Vec<Effect>,
    /// Milliseconds before the next decision is wanted, whatever happens until then.
    wake: Option<u64>,
    report: watch::Report,
    /// What the last look at the policy has come to, in words.
    text: Option<String>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "snake_case")]
enum Outcome {
    Ok(Answer),
    Error(Vec<Problem>),
}

/// Answers one request. Never panics: what goes wrong inside is an error to the caller and to nobody else.
#[must_use]
pub fn answer(request: &[u8]) -> Vec<u8> {
    let outcome = catch_unwind(AssertUnwindSafe(|| match from_bytes::<Request>(request) {
        Ok(request) => handle(request).map_or_else(Outcome::Error, Outcome::Ok),
        Err(error) => bad_request(error.to_string()),
    }))
    .unwrap_or_else(|_| bad_request("the core failed inside; please report it with the snapshot".into()));
    to_bytes(&outcome).unwrap_or_else(|error| {
        to_bytes(&bad_request(format!("the answer could not be encoded: {error}"))).unwrap_or_default()
    })
}

fn bad_request(reason: String) -> Outcome {
    Outcome::Error(vec![Problem::BadRequest { reason }])
}

fn handle(request: Request) -> Result<Answer, Vec<Problem>> {
    let one = |problem| vec![problem];
    Ok(match request {
        Request::Version {} => Answer::Version { version: env!("CARGO_PKG_VERSION") },
        // Text, not an atom: whoever asked decides whether an atom may be made of it.
        Request::NodeName { text, here } => {
            Answer::Text(node_name::parse(&text, &here).map_err(one)?.as_str().to_owned())
        }
        Request::Options { options } => Answer::Options(options::parse(&options)?),
        Request::Probe(request) => {
            let reaches = probe(&request);
            let problems = reaches.iter().flat_map(reach::problems).collect();
            let texts = reaches.iter().map(explain::reach::layers).collect();
            Answer::Reaches { reaches, problems, texts }
        }
        Request::Ask(asked) => {
            let (ask, answers) = asked.parts();
            Answer::Next(ask::ask(&ask, answers)?)
        }
        Request::AskAgain(asked) => {
            let (plan, answers) = asked.parts();
            Answer::Next(ask::again(&plan, &answers)?)
        }
        Request::Plan(inputs) => {
            let plan = operation::make(&inputs);
            Answer::Plan(Box::new(plan.map_err(|problems| operating::explained(&inputs.snapshot, problems))?))
        }
        Request::Verify { plan, snapshot } => {
            operation::goal(&plan, &snapshot)?;
            Answer::Nothing {}
        }
        Request::Recover(interrupted) => Answer::Recovery(operation::recovery(&interrupted)),
        Request::Salvage(marks) => Answer::Salvage(marks::salvage(&marks).map_err(one)?),
        Request::DropKept(drop) => {
            beside::drop_kept(&drop).map_err(one)?;
            Answer::Nothing {}
        }
        Request::DropArchive(drop) => {
            beside::drop_archive(&drop).map_err(one)?;
            Answer::Nothing {}
        }
        Request::Rename(wish) => Answer::Plan(Box::new(rename::make(&wish)?)),
        Request::Backup { snapshot, folder } => Answer::Backup(backup::make(&snapshot, &folder)?),
        Request::Returning { here, own, known } => Answer::Nodes(returning::departed(&here, &own, &known)?),
        Request::Reentering { id, directory, here, own, known } => {
            let problems = returning::reentry(&here, &own, &known);
            if !problems.is_empty() {
                return Err(problems);
            }
            Answer::Plan(Box::new(aside::reenter(id, here, &directory)))
        }
        Request::LeftBehind { here, members } => Answer::Nodes(returning::left_behind(&here, &members)),
        Request::Waiting { snapshot, tables, logs, reaches } => {
            Answer::Waiting(boot::waiting(&snapshot, &tables, logs, &reaches).map_err(one)?)
        }
        Request::Overridden { id, here, directory, serving } => {
            Answer::Overridden(boot::overridden(id, &here, &directory, serving.as_deref()).map_err(one)?)
        }
        Request::Comparisons { node, snapshot, policy } => {
            let policy = policy_if_any(policy);
            Answer::Comparisons(diff::comparisons(&snapshot, &policy, node.as_ref()).map_err(one)?)
        }
        Request::BeforeDeletion(leaving) => Answer::BeforeDeletion(diff::before_deletion(leaving)),
        Request::Scrub { snapshot, policy } => {
            Answer::Scrub(diff::scrub(&snapshot, &policy_if_any(policy)).map_err(one)?)
        }
        Request::TestNode { node, snapshot } => {
            Answer::TestNode { text: explain::status::test_node(&node, &snapshot)? }
        }
        Request::Status { snapshot, drift } => {
            Answer::Status(explain::status::status(&snapshot, &drift).map_err(one)?)
        }
        Request::MayBegin(next) => {
            repair::may_begin(&next)?;
            Answer::Nothing {}
        }
        Request::Watch { memory, seen } => Answer::Watch(Box::new(watched(memory, &seen))),
        Request::Policy { text } => Answer::Policy(Box::new(policy::parse(&text)?)),
        Request::Topology { snapshot, policy } => {
            let topology = Box::new(topology::make(&policy::parse(&policy)?, &snapshot)?);
            Answer::Topology { text: explain::topology::words(&topology), topology }
        }
        Request::Tables { snapshot, policy } => {
            let policy = policy.map(|text| policy::parse(&text)).transpose()?;
            Answer::Matrix(explain::tables::matrix(&snapshot, policy.as_ref()).map_err(one)?)
        }
        Request::Questions { node, snapshot } => {
            Answer::Questions(explain::doctor::questions(&node, &snapshot).map_err(one)?)
        }
        Request::Diagnose { examination, places } => {
            let machine = places.map(|places| machine::look(&places));
            Answer::Diagnosis(explain::doctor::diagnose(&examination, machine.as_ref()).map_err(one)?)
        }
        Request::RenderPlan { plan } => Answer::Text(explain::plan::plan(&plan)),
        Request::RenderHistory { past } => Answer::Text(explain::history::words(&past)),
        Request::RenderOperation { past, plan, events } => {
            Answer::Text(explain::history::operation(&past, plan.as_ref(), &events))
        }
        Request::RenderBackup { backup, path } => Answer::Text(explain::backup::words(&backup, &path)),
        Request::Differences { compared, not_compared } => {
            let problems = explain::diff::problems(&compared, not_compared);
            Answer::Differences { text: explain::diff::words(&compared, problems.is_empty()), problems }
        }
        Request::RenderProblems { problems } => Answer::Text(explain::errors::problems(&problems)),
        Request::Describe { action } => Answer::Text(explain::plan::action(&action)),
        Request::Explain { text, places } => {
            let mut explanation = log::explain(&text).map_err(one)?;
            let looked = places.filter(|_| log::is_local(&explanation)).map(|places| machine::look(&places));
            let node = looked.as_ref().and_then(|machine| machine.settings.node.as_ref());
            let node = node.map(|own| NodeName::from(own.name.as_str()));
            let its = looked.as_ref().filter(|_| log::is_of(&explanation, node.as_ref()));
            let here = its.map_or_else(Vec::new, validate::machine::problems);
            if let Some(machine) = its {
                explanation.paths = std::mem::take(&mut explanation.paths).or(&Paths::of(machine));
            }
            Answer::Explained {
                text: log::words(&explanation, &here),
                sightings: explanation
                    .sightings
                    .iter()
                    .map(|sighting| log::Told::of(sighting, &here, &explanation.paths))
                    .collect(),
                left_off: explanation.left_off,
            }
        }
        #[cfg(test)]
        Request::Panic {} => std::panic::resume_unwind(Box::new("a bug")),
    })
}

fn watched(memory: Option<Box<Memory>>, seen: &Seen) -> Watched {
    let (memory, effects) = watch::decide(memory.map_or_else(Memory::default, |memory| *memory), seen);
    let report = memory.report(seen.now);
    Watched {
        wake: memory.wakes().map(|at| u64::try_from(at.saturating_sub(seen.now)).unwrap_or(0)),
        text: explain::watch::finding(&report.reconciler.finding),
        memory,
        effects,
        report,
    }
}

/// One with mistakes is told of where it is followed, and says nothing elsewhere.
fn policy_if_any(text: Option<String>) -> Policy {
    text.and_then(|text| policy::parse(&text).ok()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_inside_is_an_error_to_the_caller() {
        let request = [&[131, 104, 2, 119, 5], &b"panic"[..], &[116, 0, 0, 0, 0]].concat();
        let expected = bad_request("the core failed inside; please report it with the snapshot".into());
        assert_eq!(answer(&request), to_bytes(&expected).unwrap());
    }
}
