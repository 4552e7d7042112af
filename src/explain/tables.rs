//! The tables and who holds them, as a matrix in the shell and as data.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt::Write as _;

use serde::{Deserialize, Serialize};

use super::errors::problems;
use crate::model::catalogue::Class;
use crate::model::count::counted;
use crate::model::name::{NodeName, TableName};
use crate::model::policy::Policy;
use crate::model::snapshot::Snapshot;
use crate::model::table::{Storage, TableType};
use crate::topology::{self, TableTopology, Topology};
use crate::validate::problem::{Bytes, Problem};
use crate::validate::view::View;

/// More nodes have no column each.
const COLUMNS: usize = 12;

/// Tables × nodes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Matrix {
    /// The members, by name.
    pub nodes: Vec<NodeName>,
    /// The tables, by name.
    pub tables: Vec<Row>,
    /// How many of them are not as they are wanted; `None` where nothing is wanted, or what is wanted cannot be.
    pub drifted: Option<u64>,
    /// Why what is wanted cannot be, or what should be known of it.
    pub problems: Vec<Problem>,
    /// All of it in words.
    pub text: String,
}

/// A table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Row {
    /// Its name.
    pub table: TableName,
    /// What it is for.
    pub class: Class,
    /// `set`, `ordered_set` or `bag`.
    #[serde(rename = "type")]
    pub table_type: TableType,
    /// Its rows, as one of the holders counts them.
    pub rows: u64,
    /// Bytes of a copy.
    pub bytes: Bytes,
    /// The copies that are there or wanted, by node.
    pub copies: Vec<Cell>,
    /// Whether they are not as they are wanted.
    pub drift: bool,
}

/// A copy that is there, or wanted, or both.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cell {
    /// Where.
    pub node: NodeName,
    /// How it is stored; `None` where it is missing.
    pub now: Option<Kind>,
    /// How it should be; `None` where none is wanted, or nothing is known of what is wanted.
    pub wanted: Option<Storage>,
    /// Whether it is loaded and takes writes.
    pub active: bool,
}

/// How a copy is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// In one of Mnesia's own ways.
    Mnesia(Storage),
    /// By another backend.
    External,
}

/// The matrix of this node's cluster.
///
/// # Errors
/// [`Problem::BadRequest`] for a snapshot that contradicts itself.
pub fn matrix(snapshot: &Snapshot, policy: Option<&Policy>) -> Result<Matrix, Problem> {
    let view = View::new(snapshot)?;
    let (topology, mut problems) = match policy.map(|policy| topology::make(policy, snapshot)) {
        None => (None, Vec::new()),
        Some(Ok(topology)) => (Some(topology), Vec::new()),
        Some(Err(problems)) => (None, problems),
    };
    problems.extend(topology.iter().flat_map(|topology| topology.warnings.iter().cloned()));
    let mut matrix = Matrix {
        nodes: view.set(view.here_facts().db_nodes).to_vec(),
        tables: rows(&view, policy, topology.as_ref()),
        drifted: None,
        problems,
        text: String::new(),
    };
    if topology.is_some() {
        matrix.drifted = Some(matrix.tables.iter().filter(|row| row.drift).count() as u64);
    }
    matrix.text = render(&matrix);
    Ok(matrix)
}

fn rows(view: &View<'_>, policy: Option<&Policy>, topology: Option<&Topology>) -> Vec<Row> {
    let wanted: HashMap<&TableName, &TableTopology> = topology
        .iter()
        .flat_map(|topology| topology.tables.iter().map(|table| (&table.table, table)))
        .collect();
    let nothing = Policy::default();
    let policy = policy.unwrap_or(&nothing);
    let mut rows: Vec<Row> = view
        .tables_of(view.here())
        .map(|table| {
            let active: HashSet<&NodeName> = view.set(table.active).iter().collect();
            let mut cells: BTreeMap<&NodeName, (Option<Kind>, Option<Storage>)> = BTreeMap::new();
            let kinds = [
                (Kind::Mnesia(Storage::RamCopies), table.ram_copies),
                (Kind::Mnesia(Storage::DiscCopies), table.disc_copies),
                (Kind::Mnesia(Storage::DiscOnlyCopies), table.disc_only_copies),
                (Kind::External, table.external_copies),
            ];
            for (kind, set) in kinds {
                cells.extend(view.set(set).iter().map(|node| (node, (Some(kind), None))));
            }
            let wish = wanted.get(&table.name);
            for copy in wish.iter().flat_map(|wish| &wish.wanted) {
                cells.entry(&copy.node).or_default().1 = Some(copy.storage);
            }
            let drift = wish.is_some_and(|wish| wish.now != wish.wanted);
            let cell = |(node, (now, wanted)): (&NodeName, (Option<Kind>, Option<Storage>))| Cell {
                node: node.clone(),
                now,
                wanted,
                active: active.contains(node),
            };
            Row {
                table: table.name.clone(),
                class: policy.class_of(table, policy.table(&table.name)),
                table_type: table.table_type,
                rows: table.size,
                bytes: Bytes(table.memory),
                copies: cells.into_iter().map(cell).collect(),
                drift,
            }
        })
        .collect();
    rows.sort_unstable_by(|a, b| a.table.cmp(&b.table));
    rows
}

fn render(matrix: &Matrix) -> String {
    let mut text = headline(matrix);
    let by_node = matrix.nodes.len() <= COLUMNS;
    if by_node {
        for (node, number) in matrix.nodes.iter().zip(1..) {
            let _ = writeln!(text, "  {number:>2} = {node}");
        }
    }
    let mut head = vec!["table".to_owned(), "class".into(), "rows".into(), "bytes".into()];
    if by_node {
        head.extend((1..=matrix.nodes.len()).map(|number| number.to_string()));
    } else {
        head.push("copies".into());
    }
    if matrix.drifted.is_some() {
        head.push("drift".into());
    }
    let lines: Vec<Vec<String>> =
        std::iter::once(head).chain(matrix.tables.iter().map(|row| line(matrix, row, by_node))).collect();
    columns(&mut text, &lines);
    legend(&mut text, matrix);
    text.push_str(&problems(&matrix.problems));
    text
}

fn headline(matrix: &Matrix) -> String {
    let cluster = format!(
        "{} on {}",
        counted(matrix.tables.len() as u64, "table"),
        counted(matrix.nodes.len() as u64, "node")
    );
    match matrix.drifted {
        None => format!("{cluster}\n"),
        Some(0) => format!("{cluster}: all are as the policy wants them\n"),
        Some(1) => format!("{cluster}: 1 is not as the policy wants it\n"),
        Some(drifted) => format!("{cluster}: {drifted} are not as the policy wants them\n"),
    }
}

fn line(matrix: &Matrix, row: &Row, by_node: bool) -> Vec<String> {
    let mut line = vec![
        row.table.to_string(),
        row.class.as_str().to_owned(),
        row.rows.to_string(),
        row.bytes.to_string(),
    ];
    let knows = matrix.drifted.is_some();
    if by_node {
        let cells: HashMap<&NodeName, &Cell> = row.copies.iter().map(|cell| (&cell.node, cell)).collect();
        line.extend(
            matrix.nodes.iter().map(|node| cells.get(node).map_or_else(|| ".".into(), |c| cell(c, knows))),
        );
    } else {
        line.push(summary(row));
    }
    if knows {
        line.push(drift(row));
    }
    line
}

fn word(kind: Kind) -> &'static str {
    match kind {
        Kind::Mnesia(Storage::RamCopies) => "ram",
        Kind::Mnesia(Storage::DiscCopies) => "disc",
        Kind::Mnesia(Storage::DiscOnlyCopies) => "only",
        Kind::External => "ext",
    }
}

fn cell(cell: &Cell, knows: bool) -> String {
    let loaded = |kind: Kind| format!("{}{}", word(kind), if cell.active { "" } else { "?" });
    match (cell.now, cell.wanted) {
        (None, None) => ".".into(),
        (None, Some(wanted)) => format!("+{}", word(Kind::Mnesia(wanted))),
        (Some(now), Some(wanted)) if now != Kind::Mnesia(wanted) => {
            format!("{}>{}", word(now), word(Kind::Mnesia(wanted)))
        }
        (Some(Kind::Mnesia(now)), None) if knows => format!("-{}", word(Kind::Mnesia(now))),
        (Some(now), _) => loaded(now),
    }
}

fn summary(row: &Row) -> String {
    let mut counts: BTreeMap<&'static str, usize> = BTreeMap::new();
    for kind in row.copies.iter().filter_map(|cell| cell.now) {
        *counts.entry(word(kind)).or_default() += 1;
    }
    let counts: Vec<String> = counts.into_iter().map(|(word, count)| format!("{count} {word}")).collect();
    if counts.is_empty() { "none".into() } else { counts.join(", ") }
}

fn drift(row: &Row) -> String {
    if !row.drift {
        return "-".into();
    }
    let count = |of: fn(&Cell) -> bool| row.copies.iter().filter(|cell| of(cell)).count();
    let missing = count(|cell| cell.now.is_none());
    let unwanted = count(|cell| cell.wanted.is_none());
    let stored =
        count(|cell| cell.now.zip(cell.wanted).is_some_and(|(now, wanted)| now != Kind::Mnesia(wanted)));
    let parts = [(missing, "missing"), (unwanted, "too many"), (stored, "stored otherwise")];
    let parts: Vec<String> =
        parts.iter().filter(|(count, _)| *count > 0).map(|(count, what)| format!("{count} {what}")).collect();
    parts.join(", ")
}

fn columns(text: &mut String, lines: &[Vec<String>]) {
    let width = |column: usize| {
        lines.iter().filter_map(|line| line.get(column)).map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..lines.first().map_or(0, Vec::len)).map(width).collect();
    for line in lines {
        let cells: Vec<String> = line
            .iter()
            .zip(&widths)
            .enumerate()
            // Numbers to the right.
            .map(|(at, (cell, width))| match at {
                2 | 3 => format!("{cell:>width$}"),
                _ => format!("{cell:<width$}"),
            })
            .collect();
        let _ = writeln!(text, "  {}", cells.join("  ").trim_end());
    }
}

fn legend(text: &mut String, matrix: &Matrix) {
    let wanted = if matrix.drifted.is_some() {
        ", + wanted and missing, - one too many, > to be stored as"
    } else {
        ""
    };
    let _ =
        writeln!(text, "  disc, ram, only: disc_copies, ram_copies, disc_only_copies; ? not loaded{wanted}");
}
