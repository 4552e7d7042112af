//! What a plan was made for, in a few bytes.
//!
//! Only what the plan depends on counts: rows, memory and clocks change all the time.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::model::name::NodeName;
use crate::model::snapshot::Running;
use crate::validate::view::View;

/// Digests of the parts, so that a refusal can say which of them changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fingerprint {
    /// Who belongs, runs and sees whom.
    pub membership: String,
    /// Releases and versions.
    pub software: String,
    /// Definitions and placement of the tables.
    pub tables: String,
}

impl Fingerprint {
    /// The parts that differ, in words; `None` when nothing does.
    #[must_use]
    pub fn changed(&self, now: &Self) -> Option<String> {
        let parts = [
            ("the membership", self.membership != now.membership),
            ("the software", self.software != now.software),
            ("the tables", self.tables != now.tables),
        ];
        let changed: Vec<&str> =
            parts.iter().filter(|(_, differs)| *differs).map(|(name, _)| *name).collect();
        (!changed.is_empty()).then(|| changed.join(" and "))
    }

    /// Short enough for people to compare.
    #[must_use]
    pub fn short(&self) -> String {
        let head = |digest: &str| digest.get(..8).unwrap_or(digest).to_owned();
        [&self.membership, &self.software, &self.tables].map(|part| head(part)).join("-")
    }
}

/// The fingerprint of this node and the cluster of `target`.
#[must_use]
pub fn of(view: &View<'_>, target: &NodeName) -> Fingerprint {
    let mut nodes: Vec<&NodeName> = vec![view.here(), target];
    for node in [view.here(), target] {
        nodes.extend(view.facts(node).map_or(&[][..], |facts| view.set(facts.db_nodes)));
    }
    nodes.sort_unstable();
    nodes.dedup();
    let (mut membership, mut software) = (Sum::default(), Sum::default());
    for node in nodes {
        membership.text(node.as_str());
        software.text(node.as_str());
        let Some(facts) = view.facts(node) else {
            membership.text("silent");
            continue;
        };
        membership.text(if facts.mnesia == Running::Yes { "running" } else { "not running" });
        membership.nodes(view.set(facts.db_nodes));
        membership.nodes(view.set(facts.running_db_nodes));
        membership.nodes(view.set(facts.master_nodes));
        software.text(&facts.otp_release);
        for (application, version) in &facts.versions {
            software.text(application);
            software.text(version);
        }
    }
    Fingerprint { membership: membership.hex(), software: software.hex(), tables: of_tables(view, target) }
}

fn of_tables(view: &View<'_>, target: &NodeName) -> String {
    let mut sum = Sum::default();
    for (side, node) in [("here", view.here()), ("there", target)] {
        let mut tables: Vec<_> = view.tables_of(node).collect();
        tables.sort_unstable_by(|a, b| a.name.cmp(&b.name));
        sum.text(side);
        for table in tables {
            sum.text(table.name.as_str());
            sum.text(&table.cookie);
            sum.text(&table.version);
            for set in [table.ram_copies, table.disc_copies, table.disc_only_copies, table.external_copies] {
                sum.nodes(view.set(set));
            }
        }
    }
    sum.hex()
}

/// A digest over texts whose borders count.
#[derive(Default)]
struct Sum(Sha256);

impl Sum {
    fn text(&mut self, text: &str) {
        self.0.update((text.len() as u64).to_le_bytes());
        self.0.update(text.as_bytes());
    }

    fn nodes(&mut self, nodes: &[NodeName]) {
        self.0.update((nodes.len() as u64).to_le_bytes());
        for node in nodes {
            self.text(node.as_str());
        }
    }

    /// 128 bits are plenty to notice a change.
    fn hex(self) -> String {
        self.0.finalize().iter().take(16).map(|byte| format!("{byte:02x}")).collect()
    }
}
