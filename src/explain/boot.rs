//! The order to start in, in words.

use std::fmt::Write as _;

use super::errors::printable;
use crate::model::name::{NodeName, TableName};
use crate::plan::boot::{Order, Reason, Start, Wait};
use crate::validate::problem::{Nodes, Tables};

/// The order, with its reasons.
#[must_use]
pub fn order(order: &Order) -> String {
    let mut text = String::new();
    if order.start.is_empty() {
        return text;
    }
    let members = Nodes(order.members.clone());
    let _ = writeln!(text, "the cluster of {members}");
    if !order.missing.is_empty() {
        let missing = Nodes(order.missing.clone());
        let _ = writeln!(text, "  not looked at: {missing}");
    }
    let _ = writeln!(text, "start in this order:");
    for (at, start) in order.start.iter().enumerate() {
        let _ = writeln!(text, "  {}. {}  ({})", at + 1, shown(&start.node), printable(&start.directory));
        let _ = writeln!(text, "     {}", saw(start));
        if !start.loads.is_empty() {
            let _ = writeln!(text, "     loads {} by itself", tables(&start.loads));
        }
        for wait in &start.waits {
            let _ = writeln!(text, "     alone it {}", waits(wait));
        }
    }
    if order.waiting.is_empty() {
        let _ = writeln!(text, "when all of these are up, all their tables are loaded");
    }
    for (node, waiting) in &order.waiting {
        let _ =
            writeln!(text, "when all of these are up, {} still waits for {}", shown(node), tables(waiting));
    }
    text
}

fn shown(node: &NodeName) -> String {
    node.to_string()
}

fn tables(names: &[TableName]) -> String {
    Tables(names.to_vec()).to_string()
}

fn saw(start: &Start) -> String {
    if start.saw.is_empty() {
        return "saw none of the others go down".into();
    }
    let each = start.saw.iter().map(|(node, at)| match at {
        Some(at) => format!("{} at {at}", shown(node)),
        None => shown(node),
    });
    format!("saw go down: {}", each.collect::<Vec<_>>().join(", "))
}

fn waits(wait: &Wait) -> String {
    let nodes = Nodes(wait.nodes.clone()).to_string();
    match wait.reason {
        Reason::Newer => format!("waits for {nodes}, which may be newer: {}", tables(&wait.tables)),
        Reason::Memory => format!("waits for a copy on disc, on {nodes}: {}", tables(&wait.tables)),
        Reason::Masters => format!("waits for its master nodes {nodes}: {}", tables(&wait.tables)),
    }
}
