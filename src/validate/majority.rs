//! Tables whose majority would be gone with a node, so that Mnesia refuses to take that node out of the schema.
//!
//! `mnesia:del_table_copy(schema, Node)` locks each table with a copy on `Node` and another one elsewhere. A table with
//! `{majority, true}` is locked only while more of its copies are loaded than are not (`mnesia_locker:check_majority/3`), and the
//! copy of a node whose Mnesia is stopped counts as one that is not.

use super::copies::WantedCopy;
use super::handover::Handed;
use super::problem::{Problem, Tables};
use super::view::View;
use crate::model::name::{NodeName, TableName};
use crate::model::table::Table;

/// Whether Mnesia locks a table for writing with so many of its copies loaded.
/// Source: `mnesia_lib:have_majority/3`.
fn locks(loaded: usize, copies: usize) -> bool {
    loaded * 2 > copies
}

/// The problem of a member that wants to leave, with the tables that it hands over before.
#[must_use]
pub fn of_leaver(view: &View<'_>, handed: &[Handed<'_>]) -> Option<Problem> {
    let here = view.here();
    let held = view.tables_of(here).filter(|table| view.is_copied_here(table)).filter(|table| {
        let copies = view.holders(table).0.len();
        copies > 1 && !locks(loaded_without(view, table, std::slice::from_ref(here)), copies)
    });
    // Those have two copies then, of which one is left.
    let handed = handed.iter().map(|handed| handed.table);
    problem(held.chain(handed), here, here)
}

/// The problem of a node that wants to join with these copies: the members could not take it out again.
#[must_use]
pub fn of_joiner(view: &View<'_>, target: &NodeName, copies: &[WantedCopy<'_>]) -> Option<Problem> {
    let here = view.here();
    let held = copies.iter().map(|copy| copy.table).filter(|table| {
        let others = view.holders(table).0.len();
        others > 0 && !locks(loaded_without(view, table, std::slice::from_ref(here)), others + 1)
    });
    problem(held, here, target)
}

/// The tables of which the dead nodes' copies have to go before Mnesia takes these nodes out of the schema. The copies that wait
/// are loaded by then.
#[must_use]
pub fn of_forgotten(view: &View<'_>, forgotten: &[NodeName], to_load: &[TableName]) -> Vec<TableName> {
    let blocks = |table: &&Table| {
        let holders = view.holders(table).0;
        let left = holders.iter().filter(|holder| !forgotten.contains(holder)).count();
        let loaded = loaded_without(view, table, forgotten).max(usize::from(to_load.contains(&table.name)));
        table.majority && left > 0 && left < holders.len() && !locks(loaded, holders.len())
    };
    view.tables_of(view.here()).filter(blocks).map(|table| table.name.clone()).collect()
}

fn loaded_without(view: &View<'_>, table: &Table, gone: &[NodeName]) -> usize {
    view.set(table.active).iter().filter(|node| !gone.contains(node)).count()
}

fn problem<'a>(
    tables: impl Iterator<Item = &'a Table>,
    node: &NodeName,
    member: &NodeName,
) -> Option<Problem> {
    let tables: Vec<&Table> = tables.filter(|table| table.majority).collect();
    let mut bases: Vec<String> = tables.iter().map(|table| base(table)).collect();
    bases.sort_unstable();
    bases.dedup();
    let calls = |value: bool| {
        let calls: Vec<String> =
            bases.iter().map(|base| format!("mnesia:change_table_majority({base}, {value})")).collect();
        calls.join(", ")
    };
    (!tables.is_empty()).then(|| Problem::MajorityBlocks {
        node: node.clone(),
        member: member.clone(),
        tables: Tables(tables.iter().map(|table| table.name.clone()).collect()),
        change: calls(false),
        change_back: calls(true),
    })
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
