//! What a plan was made for, in a few bytes.
//!
//! Only what the plan depends on counts: rows, memory and clocks change all the time.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::model::name::NodeName;
use crate::model::snapshot::Running;
use crate::model::table::SetIndex;
use crate::validate::view::View;

/// Digests of the parts, so that a refusal can say which of them changed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
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
    let mut sets = Sets::of(view);
    for node in nodes {
        membership.text(node.as_str());
        software.text(node.as_str());
        let Some(facts) = view.facts(node) else {
            membership.text("silent");
            continue;
        };
        membership.text(if facts.mnesia == Running::Yes { "running" } else { "not running" });
        for set in [facts.db_nodes, facts.running_db_nodes, facts.master_nodes] {
            membership.bytes(&sets.digest(set));
        }
        software.text(&facts.otp_release);
        for (application, version) in &facts.versions {
            software.text(application);
            software.text(version);
        }
    }
    Fingerprint {
        membership: membership.hex(),
        software: software.hex(),
        tables: of_tables(view, &mut sets, target),
    }
}

fn of_tables(view: &View<'_>, sets: &mut Sets<'_>, target: &NodeName) -> String {
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
                sum.bytes(&sets.digest(set));
            }
        }
    }
    sum.hex()
}

/// Digests of sets of nodes, each made once: every member of a large cluster names the same large set. By its contents,
/// as the numbers of the sets change from snapshot to snapshot.
struct Sets<'a> {
    view: &'a View<'a>,
    digests: HashMap<SetIndex, [u8; 32]>,
}

impl<'a> Sets<'a> {
    fn of(view: &'a View<'a>) -> Self {
        Self { view, digests: HashMap::new() }
    }

    fn digest(&mut self, set: SetIndex) -> [u8; 32] {
        *self.digests.entry(set).or_insert_with(|| {
            let mut sum = Sum::default();
            for node in self.view.set(set) {
                sum.text(node.as_str());
            }
            sum.0.finalize().into()
        })
    }
}

/// A digest over texts whose borders count.
#[derive(Default)]
struct Sum(Sha256);

impl Sum {
    fn text(&mut self, text: &str) {
        self.bytes(text.as_bytes());
    }

    fn bytes(&mut self, bytes: &[u8]) {
        self.0.update((bytes.len() as u64).to_le_bytes());
        self.0.update(bytes);
    }

    /// 128 bits are plenty to notice a change.
    fn hex(self) -> String {
        self.0.finalize().iter().take(16).map(|byte| format!("{byte:02x}")).collect()
    }
}
