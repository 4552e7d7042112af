//! What Mnesia would refuse in the middle of an operation, because of a table's properties.
//!
//! `mnesia:del_table_copy(schema, Node)` locks each table with a copy on `Node` and another one elsewhere. A table with
//! `{majority, true}` is locked only while more of its copies are loaded than are not (`mnesia_locker:check_majority/3`), and the
//! copy of a node whose Mnesia is stopped counts as one that is not. A read-only table is never locked, as no node takes writes of it
//! (`mnesia_locker:w_nodes/1`). The Mnesia of a node with one of several copies of a read-only table ends when it restarts while
//! another holder runs (`mnesia_controller:load_table_fun/1`, seen on OTP 25 with all storage types).

use super::copies::WantedCopy;
use super::handover::Handed;
use super::problem::{Problem, Tables};
use super::view::View;
use crate::model::name::{NodeName, TableName};
use crate::model::table::{AccessMode, Table};

const NO_RESTART: &str =
    "with another copy, Mnesia would end on a holder that restarts (Loader crashed: {badrecord,unknown})";
const NO_DELETION: &str = "Mnesia would refuse to take a node with one of several copies out of the schema";
const NO_WRITE: &str = "Mnesia would refuse to write rows";

/// Whether Mnesia locks a table for writing with so many of its copies loaded.
/// Source: `mnesia_lib:have_majority/3`.
fn has_majority(loaded: usize, copies: usize) -> bool {
    loaded * 2 > copies
}

fn is_read_only(table: &Table) -> bool {
    match table.access_mode {
        AccessMode::ReadOnly => true,
        AccessMode::ReadWrite => false,
    }
}

/// The problems of a member that wants to leave, with the tables that it hands over before.
#[must_use]
pub fn of_leaver(view: &View<'_>, handed: &[Handed<'_>]) -> Vec<Problem> {
    let here = view.here();
    let copies = |table: &Table| view.holders(table).0.len();
    // Those that are handed over have two copies then, of which one is left.
    let handed = || handed.iter().map(|handed| handed.table);
    let shared: Vec<&Table> = view
        .tables_of(here)
        .filter(|table| view.is_copied_here(table) && copies(table) > 1)
        .chain(handed())
        .collect();
    let left = |table: &Table| loaded_without(view, table, std::slice::from_ref(here));
    let blocked = shared.iter().copied().filter(|table| !has_majority(left(table), copies(table).max(2)));
    let read_only = shared.iter().copied().filter(|table| is_read_only(table));
    let problems = [of_read_only(read_only, here, NO_DELETION), of_majority(blocked, here, here)];
    problems.into_iter().flatten().collect()
}

/// The problems of a node that wants to join with these copies: the members could not take it out again.
#[must_use]
pub fn of_joiner(view: &View<'_>, target: &NodeName, copies: &[WantedCopy<'_>]) -> Vec<Problem> {
    let here = view.here();
    let left = |table: &Table| loaded_without(view, table, std::slice::from_ref(here));
    let blocked = copies.iter().map(|copy| copy.table).filter(|table| {
        let others = view.holders(table).0.len();
        others > 0 && !has_majority(left(table), others + 1)
    });
    // Each node loads its own rows, whoever runs.
    let local =
        copies.iter().map(|copy| copy.table).filter(|table| is_read_only(table) && table.local_content);
    let problems = [
        of_copies(target, copies),
        of_read_only(local, target, NO_DELETION),
        of_majority(blocked, here, target),
    ];
    problems.into_iter().flatten().collect()
}

/// The problem of copies to be made.
#[must_use]
pub fn of_copies(member: &NodeName, copies: &[WantedCopy<'_>]) -> Option<Problem> {
    let copied = copies.iter().map(|copy| copy.table);
    of_read_only(copied.filter(|table| is_read_only(table) && !table.local_content), member, NO_RESTART)
}

/// The problem of rows to be written to these tables of `member`.
#[must_use]
pub fn of_writes(view: &View<'_>, member: &NodeName, tables: &[TableName]) -> Option<Problem> {
    let written = view.tables_of(member).filter(|table| tables.contains(&table.name) && is_read_only(table));
    of_read_only(written, member, NO_WRITE)
}

/// The tables of which the dead nodes' copies have to go before Mnesia takes these nodes out of the schema. The copies that wait
/// are loaded by then.
#[must_use]
pub fn of_forgotten(view: &View<'_>, forgotten: &[NodeName], to_load: &[TableName]) -> Vec<TableName> {
    let blocks = |table: &&Table| {
        let holders = view.holders(table).0;
        let left = holders.iter().filter(|holder| !forgotten.contains(holder)).count();
        let loaded = loaded_without(view, table, forgotten).max(usize::from(to_load.contains(&table.name)));
        let locked = !is_read_only(table) && (!table.majority || has_majority(loaded, holders.len()));
        left > 0 && left < holders.len() && !locked
    };
    view.tables_of(view.here()).filter(blocks).map(|table| table.name.clone()).collect()
}

fn loaded_without(view: &View<'_>, table: &Table, gone: &[NodeName]) -> usize {
    view.set(table.active).iter().filter(|node| !gone.contains(node)).count()
}

fn of_majority<'a>(
    tables: impl Iterator<Item = &'a Table>,
    node: &NodeName,
    member: &NodeName,
) -> Option<Problem> {
    let tables: Vec<&Table> = tables.filter(|table| table.majority && !is_read_only(table)).collect();
    let mut bases: Vec<String> = tables.iter().map(|table| base(table)).collect();
    bases.sort_unstable();
    bases.dedup();
    (!tables.is_empty()).then(|| Problem::MajorityBlocks {
        node: node.clone(),
        member: member.clone(),
        tables: names(&tables),
        change: calls("change_table_majority", &bases, "false"),
        change_back: calls("change_table_majority", &bases, "true"),
    })
}

fn of_read_only<'a>(
    tables: impl Iterator<Item = &'a Table>,
    member: &NodeName,
    reason: &str,
) -> Option<Problem> {
    let tables: Vec<&Table> = tables.collect();
    let each: Vec<String> = tables.iter().map(|table| atom(table.name.as_str())).collect();
    (!tables.is_empty()).then(|| Problem::ReadOnlyTables {
        tables: names(&tables),
        member: member.clone(),
        reason: reason.into(),
        change: calls("change_table_access_mode", &each, "read_write"),
    })
}

fn names(tables: &[&Table]) -> Tables {
    Tables(tables.iter().map(|table| table.name.clone()).collect())
}

fn calls(function: &str, tables: &[String], value: &str) -> String {
    let calls: Vec<String> =
        tables.iter().map(|table| format!("mnesia:{function}({table}, {value})")).collect();
    calls.join(", ")
}

/// The table that has the property for a fragment, as Erlang reads it: Mnesia changes all fragments at once.
fn base(table: &Table) -> String {
    let named = table.properties.split_once("{base_table,").and_then(|(_, rest)| rest.split_once('}'));
    named.map_or_else(|| atom(table.name.as_str()), |(base, _)| base.to_owned())
}

fn atom(name: &str) -> String {
    let plain = name.starts_with(|first: char| first.is_ascii_lowercase())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '@');
    if plain { name.to_owned() } else { format!("'{}'", name.replace('\\', "\\\\").replace('\'', "\\'")) }
}
