//! What the doctor found: this node, all members, and the ways between them.

use std::fmt::Write as _;

use serde::{Deserialize, Serialize};

use super::errors;
use crate::model::machine::Machine;
use crate::model::name::{NodeName, TableName};
use crate::model::pair::Pair;
use crate::model::reach::Reach;
use crate::model::request::Awaited;
use crate::model::snapshot::{Facts, Snapshot};
use crate::validate::problem::{Problem, Severity};
use crate::validate::view::View;
use crate::validate::{
    beside, durability, machine as of_machine, membership, operating, pairs, reach, waiting,
};

/// Everything that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Examination {
    /// The node whose cluster it is about.
    pub node: NodeName,
    /// What each member says.
    pub snapshot: Snapshot,
    /// How far this node gets towards each of the others.
    pub reaches: Vec<Reach>,
    /// How far the members get towards each other.
    pub pairs: Vec<Pair>,
    /// Members that were asked how far they get and have not answered, and why.
    pub unanswered: Vec<(NodeName, String)>,
    /// Tables that cannot be read on this node.
    #[serde(default)]
    pub waiting: Vec<TableName>,
    /// For whom those wait that have a copy here.
    #[serde(default)]
    pub awaited: Vec<Awaited>,
}

/// What came of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Diagnosis {
    /// All that is wrong, errors first, then by layer from the outside in.
    pub problems: Vec<Problem>,
    /// All of it in words.
    pub text: String,
}

/// The diagnosis; `machine` is this machine, if it was looked at.
///
/// # Errors
/// [`Problem::BadRequest`] for a snapshot that contradicts itself.
pub fn diagnose(examination: &Examination, machine: Option<&Machine>) -> Result<Diagnosis, Problem> {
    let view = View::new(&examination.snapshot)?;
    let unreached: Vec<&NodeName> =
        examination.reaches.iter().filter(|reach| reach.failure.is_some()).map(|reach| &reach.node).collect();
    let mut problems: Vec<Problem> = examination.reaches.iter().flat_map(reach::problems).collect();
    let of_cluster = membership::of_cluster(&view, &examination.node);
    problems.extend(of_cluster.into_iter().filter(|problem| !is_explained(problem, &unreached)));
    problems.extend(durability::of_here(&view));
    problems.extend(durability::of_members(&view, &examination.node));
    problems.extend(membership::warnings(&view, &examination.node));
    problems.extend(beside::problems(&view));
    problems.extend(pairs::problems(&both_ways(&view, examination)));
    problems.extend(
        examination
            .unanswered
            .iter()
            .map(|(node, reason)| Problem::NoConnection { node: node.clone(), reason: reason.clone() }),
    );
    problems.extend(waiting::problems(&view, &examination.waiting, &examination.awaited));
    problems.extend(machine.map_or_else(Vec::new, of_machine::problems));
    problems = operating::explained(&examination.snapshot, problems);
    problems.sort_by_key(|problem| (problem.severity(), problem.layer()));
    let text =
        machine.map_or_else(String::new, super::machine::facts) + &words(&view, examination, &problems);
    Ok(Diagnosis { problems, text })
}

/// That a member is silent is no news when the way to it is known to be broken.
fn is_explained(problem: &Problem, unreached: &[&NodeName]) -> bool {
    if let Problem::NoConnection { node, .. } | Problem::MemberDown { node, .. } = problem {
        unreached.contains(&node)
    } else {
        false
    }
}

/// The pairs, with this node's own ways among them. What this node does not reach is told by the probe, in more words, and
/// that the members do not reach it either is no news.
fn both_ways(view: &View<'_>, examination: &Examination) -> Vec<Pair> {
    let here = view.here();
    let own = examination.reaches.iter().map(|reach| Pair {
        from: here.clone(),
        to: reach.node.clone(),
        failure: reach.failure.clone(),
    });
    let failed = |node: &NodeName| {
        examination.reaches.iter().any(|reach| reach.node == *node && reach.failure.is_some())
    };
    let told = |pair: &&Pair| failed(&pair.to) || (pair.to == *here && failed(&pair.from));
    let others = examination.pairs.iter().filter(|pair| !told(pair)).cloned();
    own.filter(|pair| pair.failure.is_none()).chain(others).collect()
}

fn words(view: &View<'_>, examination: &Examination, problems: &[Problem]) -> String {
    let mut text = String::new();
    let width = examination.snapshot.members.iter().map(|m| m.node.to_string().len()).max().unwrap_or(0);
    let _ = writeln!(text, "{} looks at the cluster of {}", view.here(), examination.node);
    for member in &examination.snapshot.members {
        let way = examination.reaches.iter().find(|reach| reach.node == member.node);
        let says = view
            .facts(&member.node)
            .map_or_else(|| view.silence(&member.node), |facts| facts_in_words(view, &member.node, facts));
        let _ =
            writeln!(text, "  {:<width$}  {}{says}", member.node, way.map_or_else(String::new, way_in_words));
    }
    if !examination.pairs.is_empty() {
        let whole = examination.pairs.iter().filter(|pair| pair.failure.is_none()).count();
        let _ = writeln!(text, "  {whole} of {} ways between the members are open", examination.pairs.len());
    }
    text.push_str(&errors::problems(problems));
    text.push_str(&verdict(problems));
    text
}

fn way_in_words(reach: &Reach) -> String {
    match &reach.failure {
        #[expect(clippy::cast_precision_loss, reason = "two digits are shown")]
        None => format!("reached in {:.1} ms; ", reach.microseconds as f64 / 1e3),
        Some(_) => "NOT REACHED; ".into(),
    }
}

fn facts_in_words(view: &View<'_>, node: &NodeName, facts: &Facts) -> String {
    let versions: Vec<String> =
        facts.versions.iter().map(|(name, version)| format!("{name} {version}")).collect();
    let mut sees = view.nodes(facts.running_db_nodes);
    sees.0.retain(|other| other != node);
    format!("OTP {}, {}; replicates with {sees}", facts.otp_release, versions.join(", "))
}

fn verdict(problems: &[Problem]) -> String {
    let errors = problems.iter().filter(|problem| problem.severity() == Severity::Error).count();
    match (errors, problems.len() - errors) {
        (0, 0) => "nothing is wrong\n".into(),
        (errors, warnings) => format!("errors: {errors}, warnings: {warnings}\n"),
    }
}

/// Whom a member should be asked about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Question {
    /// The member.
    pub from: NodeName,
    /// The nodes that it should try to reach.
    pub to: Vec<NodeName>,
}

/// A member of a large cluster is asked about so many others, those that follow it in the order of names: each is then
/// tried by as many, and the number of ways grows with the members, not with their square.
const ASKED_ABOUT: usize = 32;

/// Who should be asked about whom, so that each member of the cluster of `node`, and this node, is tried from elsewhere.
///
/// # Errors
/// [`Problem::BadRequest`] for a snapshot that contradicts itself.
pub fn questions(node: &NodeName, snapshot: &Snapshot) -> Result<Vec<Question>, Problem> {
    let view = View::new(snapshot)?;
    let mut nodes: Vec<&NodeName> =
        view.facts(node).map_or(&[][..], |facts| view.set(facts.db_nodes)).iter().collect();
    if !nodes.contains(&view.here()) {
        nodes.push(view.here());
    }
    let followers = |at: usize| {
        nodes.iter().cycle().skip(at + 1).take((nodes.len() - 1).min(ASKED_ABOUT)).map(|node| (*node).clone())
    };
    let answering = |node: &NodeName| node != view.here() && view.facts(node).is_some();
    Ok(nodes
        .iter()
        .enumerate()
        .filter(|(_, from)| answering(from))
        .map(|(at, from)| Question { from: (*from).clone(), to: followers(at).collect() })
        .filter(|question| !question.to.is_empty())
        .collect())
}
