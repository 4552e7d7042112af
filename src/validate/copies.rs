//! Which table copies should come to this node.

use std::collections::HashSet;

use super::problem::Problem;
use super::view::View;
use crate::model::catalogue::{self, Class};
use crate::model::name::{NodeName, TableName};
use crate::model::table::{Storage, Table};

/// A copy that this node lacks.
#[derive(Debug, Clone, Copy)]
pub struct WantedCopy<'a> {
    /// The table, as the cluster defines it.
    pub table: &'a Table,
    /// How it should be stored here.
    pub storage: Storage,
    /// Rows to come.
    pub rows: u64,
    /// Bytes to come.
    pub bytes: u64,
}

/// Every copy that this node lacks of the tables of `contact`'s cluster, smallest first. A `local_content` table
/// comes without rows. Tables whose every copy is external are left out.
#[must_use]
pub fn missing<'a>(view: &View<'a>, contact: &NodeName) -> Vec<WantedCopy<'a>> {
    let mut copies: Vec<_> = view
        .tables_of(contact)
        .filter(|table| !view.is_copied_here(table))
        .filter_map(|table| {
            let storage = view.storage_for(table, contact)?;
            let (rows, bytes) = if table.local_content { (0, 0) } else { (table.size, table.memory) };
            Some(WantedCopy { table, storage, rows, bytes })
        })
        .collect();
    copies.sort_unstable_by(|a, b| {
        (a.rows > 0, a.bytes, &a.table.name).cmp(&(b.rows > 0, b.bytes, &b.table.name))
    });
    copies
}

/// The tables that a node of the cluster can go on with alone: all but those whose rows belong to a process, which ejabberd makes
/// when it starts, those of an external backend, and `local_content` of which it has no rows.
#[must_use]
pub fn of_cluster<'a>(view: &View<'a>) -> Vec<&'a Table> {
    view.tables_of(view.here())
        .filter(|table| catalogue::class(&table.name) != Class::OwnerKeyed)
        .filter(|table| view.storage_for(table, view.here()).is_some())
        .filter(|table| !table.local_content || view.is_copied_here(table))
        .collect()
}

/// The copies that ejabberd makes by itself when it starts as a member: of each table that a module of its own uses, and
/// that is here now. None without ejabberd.
/// Source: `ejabberd_mnesia:create/3`.
#[must_use]
pub fn at_start<'a>(view: &View<'a>, contact: &NodeName) -> Vec<WantedCopy<'a>> {
    if !view.here_facts().applications.iter().any(|application| application.as_str() == "ejabberd") {
        return Vec::new();
    }
    let here: HashSet<&TableName> = view.tables_of(view.here()).map(|table| &table.name).collect();
    missing(view, contact).into_iter().filter(|copy| here.contains(&copy.table.name)).collect()
}

/// Tables of `contact`'s cluster that no copy here can be made of, because their backend is external.
#[must_use]
pub fn external(view: &View<'_>, contact: &NodeName) -> Vec<Problem> {
    view.tables_of(contact)
        .filter(|table| !view.is_copied_here(table) && view.storage_for(table, contact).is_none())
        .map(|table| Problem::ExternalTable { table: table.name.clone() })
        .collect()
}

/// A problem for each copy that has no loaded source.
#[must_use]
pub fn without_source(view: &View<'_>, copies: &[WantedCopy<'_>]) -> Vec<Problem> {
    copies
        .iter()
        .filter(|copy| !copy.table.local_content && view.set(copy.table.active).is_empty())
        .map(|copy| Problem::TableNotLoaded {
            table: copy.table.name.clone(),
            holders: view.holders(copy.table),
        })
        .collect()
}
