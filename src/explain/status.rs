//! The state of a cluster in words and as data.

use std::fmt::Write as _;

use serde::{Deserialize, Serialize};

use crate::model::count::counted;
use crate::model::name::{NodeName, TableName};
use crate::model::snapshot::{Running, Snapshot};
use crate::validate::problem::{Nodes, Problem};
use crate::validate::view::View;
use crate::validate::{beside, durability, membership, operating};

/// What a member is to the cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// It is alone.
    Alone,
    /// It holds a copy of every replicated table: the others can fail.
    Master,
    /// It reads some tables from others.
    Slave,
    /// It does not answer, or its Mnesia does not run.
    Down,
}

/// One member.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemberStatus {
    /// Its name.
    pub node: NodeName,
    /// What it is.
    pub role: Role,
    /// Tables with a copy there.
    pub tables: u64,
    /// Members that its Mnesia is connected to.
    pub sees: Vec<NodeName>,
}

/// A table whose copies were seen to differ, as the background scrub has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Drifted {
    /// The table.
    pub table: TableName,
    /// Keys that differ, at least.
    pub keys: u64,
    /// The nodes whose copies were compared.
    pub nodes: Vec<NodeName>,
    /// When, UTC.
    pub seen: String,
}

impl From<&Drifted> for Problem {
    fn from(drifted: &Drifted) -> Self {
        let Drifted { table, keys, nodes, seen } = drifted.clone();
        Self::CopiesDiffer { table, keys, nodes: Nodes(nodes), seen }
    }
}

/// The cluster as this node and its members see it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// This node.
    pub node: NodeName,
    /// All members, stopped ones included.
    pub members: Vec<MemberStatus>,
    /// Tables of the schema.
    pub tables: u64,
    /// What is wrong.
    pub problems: Vec<Problem>,
    /// All of it in words.
    pub text: String,
}

/// The state of this node's cluster, with what the scrub has seen of it.
///
/// # Errors
/// [`Problem::BadRequest`] for a snapshot that contradicts itself.
pub fn status(snapshot: &Snapshot, drift: &[Drifted]) -> Result<Status, Problem> {
    let view = View::new(snapshot)?;
    let here = view.here();
    let members = view.set(view.here_facts().db_nodes);
    let tables: Vec<_> = view.tables_of(here).collect();
    let replicated = tables.iter().filter(|t| !t.local_content).count();
    let of = |node: &NodeName| {
        let holds = |t: &&&crate::model::table::Table| {
            [t.ram_copies, t.disc_copies, t.disc_only_copies, t.external_copies]
                .iter()
                .any(|s| view.has(*s, node))
        };
        let copies = tables.iter().filter(holds).count();
        let whole = tables.iter().filter(|t| !t.local_content).filter(holds).count() == replicated;
        let facts = view.facts(node).filter(|facts| facts.mnesia == Running::Yes);
        MemberStatus {
            node: node.clone(),
            role: match facts {
                None => Role::Down,
                Some(_) if members.len() == 1 => Role::Alone,
                Some(_) if whole => Role::Master,
                Some(_) => Role::Slave,
            },
            tables: copies as u64,
            sees: facts.map_or_else(Vec::new, |facts| view.set(facts.running_db_nodes).to_vec()),
        }
    };
    let members: Vec<MemberStatus> = members.iter().map(of).collect();
    let mut status = Status {
        node: here.clone(),
        members,
        tables: tables.len() as u64,
        problems: operating::explained(snapshot, membership::of_cluster(&view, here))
            .into_iter()
            .chain(drift.iter().map(Problem::from))
            .chain(beside::problems(&view))
            .collect(),
        text: String::new(),
    };
    status.text = render(&status);
    Ok(status)
}

fn render(status: &Status) -> String {
    let tables = counted(status.tables, "table");
    let mut text = format!("{tables}, seen from {}\n", status.node);
    let width = status.members.iter().map(|m| m.node.to_string().len()).max().unwrap_or(0);
    for member in &status.members {
        let role = match member.role {
            Role::Alone => "alone",
            Role::Master => "master",
            Role::Slave => "slave",
            Role::Down => "DOWN",
        };
        let _ = writeln!(
            text,
            "  {:<width$}  {role:<6}  {:>10}{}",
            member.node,
            if member.tables == 1 { "1 copy".into() } else { format!("{} copies", member.tables) },
            partners(&member.node, &member.sees, member.role)
        );
    }
    text.push_str(&super::errors::problems(&status.problems));
    text
}

/// With whom a member replicates; a node that is alone is not expected to.
fn partners(node: &NodeName, sees: &[NodeName], role: Role) -> String {
    let others: Vec<NodeName> = sees.iter().filter(|other| *other != node).cloned().collect();
    match role {
        Role::Alone if others.is_empty() => String::new(),
        Role::Alone | Role::Master | Role::Slave | Role::Down => {
            format!("  replicates with {}", Nodes(others))
        }
    }
}

/// One line on a node that could be joined.
///
/// # Errors
/// What keeps its cluster from being joined by anybody.
pub fn test_node(node: &NodeName, snapshot: &Snapshot) -> Result<String, Vec<Problem>> {
    let view = View::new(snapshot).map_err(|problem| vec![problem])?;
    let mut problems = membership::of_cluster(&view, node);
    problems.extend(durability::of_members(&view, node));
    let problems = operating::explained(snapshot, problems);
    let Some(facts) = view.facts(node).filter(|_| problems.is_empty()) else {
        return Err(problems);
    };
    let versions: Vec<String> =
        facts.versions.iter().map(|(name, version)| format!("{name} {version}")).collect();
    Ok(format!(
        "{node} is reachable: OTP {}, {}; members {}; {}",
        facts.otp_release,
        versions.join(", "),
        view.nodes(facts.db_nodes),
        counted(view.tables_of(node).count() as u64, "table")
    ))
}
