//! The way to the wanted state in words.

use std::fmt::Write as _;

use super::errors::{printable, problems};
use crate::model::count::counted;
use crate::model::policy::Role;
use crate::topology::{Action, NodeTopology, Quality, Step, Topology, Waits};
use crate::validate::problem::{Bytes, Milliseconds};

/// Who holds how much, what is done in which order, how good that is, and what should be known before.
#[must_use]
pub fn words(topology: &Topology) -> String {
    let mut text = headline(topology);
    nodes(&mut text, &topology.nodes);
    if !topology.steps.is_empty() {
        text.push_str("  steps\n");
        for step in &topology.steps {
            let waits = match step.waits {
                Waits::Nothing => "",
                Waits::Window => "; waits for the window",
                Waits::Consent => "; waits for consent",
            };
            let _ = writeln!(text, "    {:>4}  {}{waits}", step.number, self::step(step));
        }
        estimate(&mut text, topology);
    }
    quality(&mut text, &topology.quality);
    if !topology.warnings.is_empty() {
        text.push('\n');
        text.push_str(&problems(&topology.warnings));
    }
    text
}

fn headline(topology: &Topology) -> String {
    let (nodes, tables) = (topology.nodes.len() as u64, topology.tables.len() as u64);
    let cluster = format!("{} with {}", counted(nodes, "node"), counted(tables, "table"));
    match topology.steps.len() as u64 {
        0 => format!("{cluster}: all is as the policy wants it\n"),
        steps => format!("{cluster}: {} to what the policy wants\n", counted(steps, "step")),
    }
}

fn nodes(text: &mut String, nodes: &[NodeTopology]) {
    let width = nodes.iter().map(|node| node.node.to_string().len()).max().unwrap_or(0);
    for node in nodes {
        let zone = node.zone.as_ref().map_or_else(String::new, |zone| format!(" in {}", printable(zone)));
        let role = if node.running { role(node.role) } else { "DOWN" };
        let place = format!("{role}{zone}");
        let change = if node.now == node.wanted {
            format!("{} stay", taken(node.now.copies, node.now.memory, node.now.disk))
        } else {
            format!(
                "{} become {}",
                taken(node.now.copies, node.now.memory, node.now.disk),
                taken(node.wanted.copies, node.wanted.memory, node.wanted.disk)
            )
        };
        let _ = writeln!(text, "  {:<width$}  {place:<10}  {change}{}", node.node, limits(node));
    }
}

pub(super) fn role(role: Role) -> &'static str {
    role.as_str()
}

fn taken(copies: u64, memory: Bytes, disk: Bytes) -> String {
    let copies = if copies == 1 { "1 copy".into() } else { format!("{copies} copies") };
    format!("{copies} ({memory} in memory, {disk} on disc)")
}

fn limits(node: &NodeTopology) -> String {
    let of = |limit: Option<Bytes>, what: &str| limit.map(|limit| format!("{limit} {what}"));
    let limits: Vec<String> =
        [of(node.memory_limit, "in memory"), of(node.disk_limit, "on disc")].into_iter().flatten().collect();
    if limits.is_empty() { String::new() } else { format!("; at most {}", limits.join(" and ")) }
}

/// One step in words.
#[must_use]
pub fn step(step: &Step) -> String {
    let (table, node) = (&step.table, &step.node);
    match &step.action {
        Action::Add { storage, source } => {
            let size = match step.rows {
                0 => "empty".into(),
                rows => format!("{}, {}", counted(rows, "row"), step.bytes),
            };
            format!("add {table} on {node} as {}, from {source} ({size})", storage.as_str())
        }
        Action::Remove { storage } => format!("remove {table} from {node} ({})", storage.as_str()),
    }
}

fn estimate(text: &mut String, topology: &Topology) {
    let milliseconds = topology.steps.iter().fold(0_u64, |sum, step| sum.saturating_add(step.milliseconds));
    let longest = topology.steps.iter().max_by_key(|step| step.stall).filter(|step| step.stall > 0);
    let stall = longest.map_or_else(String::new, |step| {
        format!("; transactions on {} wait up to {}", step.table, Milliseconds(step.stall))
    });
    let _ = writeln!(text, "  estimate    {}{stall}", Milliseconds(milliseconds));
}

fn quality(text: &mut String, quality: &Quality) {
    let least = |bytes: Bytes, least: Bytes| {
        if bytes == least { "no plan needs less".into() } else { format!("no plan needs less than {least}") }
    };
    let (moved, fullest) = (quality.moved, quality.fullest);
    if moved.0 > 0 {
        let _ = writeln!(text, "  copied      {moved}; {}", least(moved, quality.moved_at_least));
    }
    let _ =
        writeln!(text, "  fullest     {fullest} on one node; {}", least(fullest, quality.fullest_at_least));
}
