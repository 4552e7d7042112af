//! Whether the tables that exist on both sides are the same tables.

use std::collections::HashMap;

use super::problem::Problem;
use super::view::View;
use crate::model::name::NodeName;
use crate::model::table::{Table, TableType};

/// A problem for each item in which a table of this node differs from the cluster's of the same name.
#[must_use]
pub fn differences(view: &View<'_>, target: &NodeName) -> Vec<Problem> {
    let mine: HashMap<_, _> = view.tables_of(view.here()).map(|t| (&t.name, t)).collect();
    view.tables_of(target)
        .filter_map(|theirs| mine.get(&theirs.name).map(|mine| (*mine, theirs)))
        .flat_map(|(mine, theirs)| of_table(mine, theirs))
        .collect()
}

fn of_table(mine: &Table, theirs: &Table) -> Vec<Problem> {
    let items = [
        ("type", kind(mine), kind(theirs)),
        ("attributes", attributes(mine), attributes(theirs)),
        ("record name", mine.record_name.to_string(), theirs.record_name.to_string()),
        ("local_content", mine.local_content.to_string(), theirs.local_content.to_string()),
    ];
    items
        .into_iter()
        .filter(|(_, here, there)| here != there)
        .map(|(item, here, there)| Problem::TableDefinitionDiffers {
            table: mine.name.clone(),
            item: item.into(),
            here,
            there,
        })
        .collect()
}

fn kind(table: &Table) -> String {
    match table.table_type {
        TableType::Set => "set",
        TableType::OrderedSet => "ordered_set",
        TableType::Bag => "bag",
    }
    .into()
}

fn attributes(table: &Table) -> String {
    let names: Vec<&str> = table.attributes.iter().map(|a| a.as_str()).collect();
    format!("[{}]", names.join(","))
}
