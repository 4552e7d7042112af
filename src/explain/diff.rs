//! What a comparison of copies has found, in words.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde::{Deserialize, Serialize};

use super::errors::printable;
use crate::model::count::counted;
use crate::model::name::{NodeName, TableName};
use crate::validate::problem::{Nodes, Problem, Tables};

/// Keys of a table that are printed; more are counted.
const SHOWN: usize = 10;
/// Why a function of easy_cluster cannot be called.
const NOT_INSTALLED: &str = "undef";

/// A table whose copies were compared.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Compared {
    /// The table.
    pub table: TableName,
    /// The holders of its copies.
    pub nodes: Vec<NodeName>,
    /// What came of it.
    pub found: Found,
}

/// What came of comparing a table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Found {
    /// It could not be compared, because of this node.
    Failed {
        /// The node.
        node: NodeName,
        /// Why, as an Erlang term.
        reason: String,
    },
    /// It was compared.
    Rows(Box<Rows>),
}

/// The rows of a table that were compared.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rows {
    /// Rows of each copy.
    pub rows: BTreeMap<NodeName, u64>,
    /// Rows that hold local funs, which cannot be compared.
    pub left_out: u64,
    /// Keys whose rows differ, and what each node has; the first of them when there are many.
    pub differing: Vec<Key>,
    /// How many there are.
    pub count: u64,
    /// Rows that changed at each look.
    pub unsettled: u64,
    /// Whether there are more differences than were looked at.
    pub more: bool,
}

/// A key whose rows differ.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Key {
    /// As an Erlang term.
    pub key: String,
    /// The nodes that have nothing under that key.
    pub absent: Vec<NodeName>,
    /// The nodes that have, those with the same rows together.
    pub versions: Vec<Vec<NodeName>>,
}

/// Whose copies were not compared: those that were known not to answer, and those that failed meanwhile.
#[must_use]
pub fn problems(compared: &[Compared], not_compared: Vec<Problem>) -> Vec<Problem> {
    let mut failed: BTreeMap<&NodeName, (&str, Vec<TableName>)> = BTreeMap::new();
    for each in compared {
        if let Found::Failed { node, reason } = &each.found {
            failed.entry(node).or_insert((reason, Vec::new())).1.push(each.table.clone());
        }
    }
    let failed = failed.into_iter().map(|(node, (reason, tables))| Problem::NodeNotCompared {
        node: node.clone(),
        tables: Tables(tables),
        reason: if reason == NOT_INSTALLED { "it has no easy_cluster".into() } else { reason.into() },
    });
    not_compared.into_iter().chain(failed).collect()
}

/// A line for the whole, and some for each table that is not the same everywhere. `whole`: all copies were compared.
#[must_use]
pub fn words(compared: &[Compared], whole: bool) -> String {
    let mut text = String::new();
    let rows: u64 = compared.iter().filter_map(rows_of).map(|rows| rows.rows.values().sum::<u64>()).sum();
    let same = compared.iter().filter(|each| is_same(each)).count() as u64;
    let _ = writeln!(
        text,
        "{} compared, {}: {same} the same {}",
        counted(compared.iter().filter_map(rows_of).count() as u64, "table"),
        counted(rows, "row"),
        if whole { "everywhere" } else { "on the nodes that were compared" }
    );
    for each in compared.iter().filter(|each| !is_same(each)) {
        table(&mut text, each);
    }
    text
}

fn rows_of(compared: &Compared) -> Option<&Rows> {
    match &compared.found {
        Found::Rows(rows) => Some(rows),
        Found::Failed { .. } => None,
    }
}

fn is_same(compared: &Compared) -> bool {
    rows_of(compared)
        .is_some_and(|rows| rows.count == 0 && rows.left_out == 0 && rows.unsettled == 0 && !rows.more)
}

fn table(text: &mut String, compared: &Compared) {
    let name = compared.table.to_string();
    let rows = match &compared.found {
        Found::Failed { node, reason } => {
            let _ = writeln!(text, "  {name}: not compared: {}: {}", shown(node), printable(reason));
            return;
        }
        Found::Rows(rows) => rows,
    };
    let counts: Vec<_> =
        rows.rows.iter().map(|(node, count)| format!("{count} on {}", shown(node))).collect();
    let more = if rows.more { " or more" } else { "" };
    let _ = writeln!(
        text,
        "  {name}: {}{more} {} ({})",
        counted(rows.count, "key"),
        if rows.count == 1 { "differs" } else { "differ" },
        counts.join(", ")
    );
    for key in rows.differing.iter().take(SHOWN) {
        let _ = writeln!(text, "    {}  {}", printable(&key.key), versions(key));
    }
    let left = rows.count.saturating_sub(rows.differing.len().min(SHOWN) as u64);
    if left > 0 {
        let _ = writeln!(text, "    and {left} more");
    }
    if rows.unsettled > 0 {
        let _ = writeln!(text, "    {} changed at each look", counted(rows.unsettled, "key"));
    }
    if rows.left_out > 0 {
        let _ = writeln!(
            text,
            "    {} cannot be compared: local funs are in them",
            counted(rows.left_out, "row")
        );
    }
}

fn versions(key: &Key) -> String {
    let nodes = |nodes: &[NodeName]| Nodes(nodes.to_vec()).to_string();
    let mut parts = Vec::new();
    match key.versions.as_slice() {
        [only] => parts.push(format!("only on {}", nodes(only))),
        several => parts.push(several.iter().map(|each| nodes(each)).collect::<Vec<_>>().join(" against ")),
    }
    if !key.absent.is_empty() {
        parts.push(format!("missing on {}", nodes(&key.absent)));
    }
    parts.join(", ")
}

fn shown(node: &NodeName) -> String {
    node.to_string()
}
