//! Tables that would go with a node that leaves, as no member has another copy.

use std::collections::HashMap;

use super::problem::{Nodes, Problem};
use super::view::View;
use crate::model::catalogue::{self, Class};
use crate::model::name::NodeName;
use crate::model::table::{Storage, Table};

/// A table that a member gets a copy of before this node leaves.
#[derive(Debug, Clone, Copy)]
pub struct Handed<'a> {
    /// The table.
    pub table: &'a Table,
    /// The member.
    pub node: &'a NodeName,
    /// How it is stored here, and will be there.
    pub storage: Storage,
}

/// The tables that only this node has, smallest first, each with the member that holds most of the other tables: where
/// most is, the rest is looked for. Rows of sessions and rooms go with this node, and every node has its own of
/// `local_content`.
#[must_use]
pub fn handed<'a>(view: &View<'a>, members: &'a [NodeName]) -> Vec<Handed<'a>> {
    let mut tables: Vec<(&Table, Storage)> = only_here(view)
        .filter(|table| others(view, table).is_empty())
        .filter_map(|table| Some((table, view.storage_for(table, view.here())?)))
        .collect();
    tables.sort_unstable_by_key(|(table, _)| (table.memory, &table.name));
    let held = copies_held(view);
    let fullest = |storage: Storage| {
        let with_disc = |node: &&NodeName| view.facts(node).is_some_and(|facts| facts.use_dir);
        let can = members.iter().filter(|node| storage == Storage::RamCopies || with_disc(node));
        can.min_by_key(|node| (std::cmp::Reverse(held.get(node).copied().unwrap_or(0)), *node))
    };
    tables
        .into_iter()
        .filter_map(|(table, storage)| Some(Handed { table, node: fullest(storage)?, storage }))
        .collect()
}

/// Tables that would be lost and cannot be handed over.
#[must_use]
pub fn problems(view: &View<'_>, members: &[NodeName]) -> Vec<Problem> {
    let handed: Vec<_> = handed(view, members).iter().map(|handed| &handed.table.name).collect();
    only_here(view)
        .filter(|table| !handed.contains(&&table.name))
        .map(|table| Problem::OnlyCopyHere { table: table.name.clone(), reason: why(view, table) })
        .collect()
}

/// A problem for each of these tables that this node could not give up, as no other copy is loaded.
#[must_use]
pub fn not_elsewhere(view: &View<'_>, tables: &[&Table]) -> Vec<Problem> {
    let lost = tables.iter().filter(|table| !is_active_elsewhere(view, table));
    lost.map(|table| Problem::OnlyCopyHere { table: table.name.clone(), reason: why(view, table) }).collect()
}

fn why(view: &View<'_>, table: &Table) -> String {
    let others = others(view, table);
    if others.is_empty() {
        "no member holds another that could be copied".into()
    } else {
        format!("those of {} are not loaded", Nodes(others))
    }
}

fn only_here<'a>(view: &View<'a>) -> impl Iterator<Item = &'a Table> {
    let class =
        |table: &Table| if table.local_content { Class::Local } else { catalogue::class(&table.name) };
    let counts = move |table: &&Table| matches!(class(table), Class::Durable | Class::Derived);
    let tables: Vec<_> = view
        .tables_of(view.here())
        .filter(counts)
        .filter(|table| view.is_copied_here(table) && !is_active_elsewhere(view, table))
        .collect();
    tables.into_iter()
}

fn is_active_elsewhere(view: &View<'_>, table: &Table) -> bool {
    view.set(table.active).iter().any(|node| node != view.here())
}

fn others(view: &View<'_>, table: &Table) -> Vec<NodeName> {
    view.holders(table).0.into_iter().filter(|node| node != view.here()).collect()
}

fn copies_held<'a>(view: &View<'a>) -> HashMap<&'a NodeName, u64> {
    let mut held = HashMap::new();
    for table in view.tables_of(view.here()) {
        for set in [table.ram_copies, table.disc_copies, table.disc_only_copies] {
            for node in view.set(set) {
                *held.entry(node).or_insert(0) += 1;
            }
        }
    }
    held
}
