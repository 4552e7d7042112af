//! A snapshot, indexed for questions.

use std::collections::HashMap;

use super::problem::{Nodes, Problem};
use crate::model::name::NodeName;
use crate::model::pair::Pair;
use crate::model::snapshot::{Answer, Copied, FORMAT, Facts, KeptFile, Snapshot};
use crate::model::table::SetIndex;
use crate::model::table::{Storage, Table};

/// A snapshot whose indexes are known to be in range, with its members by name.
#[derive(Debug)]
pub struct View<'a> {
    snapshot: &'a Snapshot,
    answers: HashMap<&'a NodeName, &'a Answer>,
    here_facts: &'a Facts,
    here_in: Vec<bool>,
}

impl<'a> View<'a> {
    /// Indexes a snapshot.
    ///
    /// # Errors
    /// [`Problem::BadRequest`] when the snapshot contradicts itself: another format, an index without a set, a set that
    /// is not sorted, nothing of the node that made it; [`Problem::SilentHere`] when that node said nothing.
    pub fn new(snapshot: &'a Snapshot) -> Result<Self, Problem> {
        let bad = |reason: String| Problem::BadRequest { reason };
        if snapshot.format != FORMAT {
            return Err(bad(format!("snapshot format {} instead of {FORMAT}", snapshot.format)));
        }
        let answers: HashMap<_, _> = snapshot.members.iter().map(|m| (&m.node, &m.answer)).collect();
        let here_facts = match answers.get(&snapshot.node).copied() {
            Some(Answer::Facts(facts)) => facts,
            Some(Answer::Silent(reason)) => {
                return Err(Problem::SilentHere { here: snapshot.node.clone(), reason: reason.clone() });
            }
            None => return Err(bad(format!("the snapshot has no facts of {}", snapshot.node))),
        };
        let sets = snapshot.node_sets.len();
        let in_range = |index: &SetIndex| usize::try_from(*index).is_ok_and(|i| i < sets);
        let facts_in_range = answers.values().all(|answer| match answer {
            Answer::Facts(f) => {
                [f.db_nodes, f.running_db_nodes, f.extra_db_nodes, f.connected, f.master_nodes]
                    .iter()
                    .all(in_range)
            }
            Answer::Silent(_) => true,
        });
        let tables_in_range = snapshot.tables.iter().all(|t| {
            [t.seen_by, t.ram_copies, t.disc_copies, t.disc_only_copies, t.external_copies, t.active]
                .iter()
                .all(in_range)
        });
        if !(facts_in_range && tables_in_range) {
            return Err(bad("the snapshot names a set of nodes that it does not hold".into()));
        }
        if !snapshot.node_sets.iter().all(|set| set.is_sorted()) {
            return Err(bad("the snapshot holds a set of nodes that is not sorted".into()));
        }
        let here_in = snapshot.node_sets.iter().map(|set| set.contains(&snapshot.node)).collect();
        Ok(Self { snapshot, answers, here_facts, here_in })
    }

    /// Ways to a node that the members tried.
    #[must_use]
    pub fn ways(&self) -> &'a [Pair] {
        &self.snapshot.ways
    }

    /// Table files in the databases that were kept.
    #[must_use]
    pub fn kept(&self) -> &'a [KeptFile] {
        &self.snapshot.kept
    }

    /// Copies that this node's operations have made.
    #[must_use]
    pub fn copied(&self) -> &'a [Copied] {
        &self.snapshot.copied
    }

    /// The node that made the snapshot.
    #[must_use]
    pub fn here(&self) -> &'a NodeName {
        &self.snapshot.node
    }

    /// What this node says.
    #[must_use]
    pub fn here_facts(&self) -> &'a Facts {
        self.here_facts
    }

    /// What a node says, if it was asked and answered.
    #[must_use]
    pub fn facts(&self, node: &NodeName) -> Option<&'a Facts> {
        match self.answers.get(node)? {
            Answer::Facts(facts) => Some(facts),
            Answer::Silent(_) => None,
        }
    }

    /// Why a node said nothing.
    #[must_use]
    pub fn silence(&self, node: &NodeName) -> String {
        match self.answers.get(node) {
            Some(Answer::Silent(reason)) => reason.clone(),
            Some(Answer::Facts(_)) => "it answers".into(),
            None => "it was not asked".into(),
        }
    }

    /// The nodes of a set.
    #[must_use]
    pub fn set(&self, index: SetIndex) -> &'a [NodeName] {
        usize::try_from(index).ok().and_then(|i| self.snapshot.node_sets.get(i)).map_or(&[], Vec::as_slice)
    }

    /// The nodes of a set, for printing.
    #[must_use]
    pub fn nodes(&self, index: SetIndex) -> Nodes {
        Nodes(self.set(index).to_vec())
    }

    /// Whether this node is in a set; constant time.
    #[must_use]
    pub fn has_here(&self, index: SetIndex) -> bool {
        usize::try_from(index).ok().and_then(|i| self.here_in.get(i)).copied().unwrap_or(false)
    }

    /// Whether a node is in a set; logarithmic, as the sets are sorted.
    #[must_use]
    pub fn has(&self, index: SetIndex, node: &NodeName) -> bool {
        self.set(index).binary_search(node).is_ok()
    }

    /// The tables that a node's schema holds. Linear: membership is asked once a set, not once a table.
    pub fn tables_of(&self, node: &NodeName) -> impl Iterator<Item = &'a Table> + use<'a> {
        let holds: Vec<bool> = self.snapshot.node_sets.iter().map(|set| set.contains(node)).collect();
        self.snapshot.tables.iter().filter(move |t| {
            usize::try_from(t.seen_by).ok().and_then(|i| holds.get(i)).copied().unwrap_or(false)
        })
    }

    /// The storage type with which a copy should come here: the contact node's, or what most copies have.
    /// `None` where every copy is external.
    #[must_use]
    pub fn storage_for(&self, table: &Table, contact: &NodeName) -> Option<Storage> {
        let kinds = [
            (Storage::DiscCopies, table.disc_copies),
            (Storage::RamCopies, table.ram_copies),
            (Storage::DiscOnlyCopies, table.disc_only_copies),
        ];
        if let Some((storage, _)) = kinds.iter().find(|(_, set)| self.has(*set, contact)) {
            return Some(*storage);
        }
        kinds
            .iter()
            .map(|(storage, set)| (self.set(*set).len(), *storage))
            .filter(|(count, _)| *count > 0)
            .reduce(|best, next| if next.0 > best.0 { next } else { best })
            .map(|(_, storage)| storage)
    }

    /// Whether this node holds a copy of any kind.
    #[must_use]
    pub fn is_copied_here(&self, table: &Table) -> bool {
        [table.ram_copies, table.disc_copies, table.disc_only_copies, table.external_copies]
            .iter()
            .any(|set| self.has_here(*set))
    }

    /// All holders of a table.
    #[must_use]
    pub fn holders(&self, table: &Table) -> Nodes {
        let sets = [table.ram_copies, table.disc_copies, table.disc_only_copies, table.external_copies];
        Nodes(sets.iter().flat_map(|set| self.set(*set)).cloned().collect())
    }
}
