//! The way from one placement to another: copies are added before others go, and no node is ever beyond its limit.
//!
//! A copy that is to be stored otherwise is deleted and made anew from another one: Mnesia's own change of a copy's type loses what is
//! written meanwhile without a transaction. Another node holds a copy for as long, where one can.

use std::collections::{BTreeMap, BTreeSet};

use super::case::{Case, Change, Place, Room, TableCase, What};
use crate::model::table::Storage;

/// What cannot be reached: the tables, and the nodes that are too full.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct NoWay {
    pub(crate) tables: Vec<usize>,
    pub(crate) nodes: Vec<usize>,
    /// Tables with a copy that could be made anew if there were another one.
    pub(crate) alone: Vec<usize>,
}

/// The changes in an order that can be carried out. `rank` says which tables come first.
pub(crate) fn order(
    case: &Case,
    target: &[Vec<usize>],
    rank: &[usize],
    used: Vec<Room>,
) -> Result<Vec<Change>, NoWay> {
    let mut ordering = Ordering::new(case, target, rank, used);
    loop {
        while let Some(next) = ordering.ready.pop_first() {
            ordering.carry_out_or_block(next);
        }
        if ordering.unable().next().is_none() {
            return Ok(ordering.done);
        }
        if !(ordering.hurry() || ordering.detour()) {
            return Err(ordering.stuck());
        }
    }
}

fn bytes(case: &Case, table: usize) -> u64 {
    case.tables.get(table).map_or(0, |table| table.bytes)
}

/// Whether the node is within its limit then, or no fuller than before.
pub(crate) fn has_room(case: &Case, used: &[Room], change: Change) -> bool {
    let (more, less) = takes(case, change);
    let Some(used) = used.get(change.node).copied() else { return false };
    let limit = case.limit(change.node);
    let limit = Room { memory: limit.memory.max(used.memory), disk: limit.disk.max(used.disk) };
    used.minus(less).leaves(more, limit)
}

/// What it takes, and what it gives back before.
fn takes(case: &Case, change: Change) -> (Room, Room) {
    let bytes = bytes(case, change.table);
    match change.what {
        What::Add(storage) => (Room::of(storage, bytes), Room::default()),
        What::Store { from, to } => (Room::of(to, bytes), Room::of(from, bytes)),
        What::Remove(storage) => (Room::default(), Room::of(storage, bytes)),
    }
}

/// What the node uses when it is made.
pub(crate) fn take_room(case: &Case, used: &mut [Room], change: Change) {
    let (more, less) = takes(case, change);
    if let Some(used) = used.get_mut(change.node) {
        *used = used.minus(less).plus(more);
    }
}

/// First by the table's rank, then what is added before what goes.
type Key = (usize, u8, usize, usize);

struct Ordering<'c> {
    case: &'c Case,
    target: &'c [Vec<usize>],
    rank: Vec<usize>,
    used: Vec<Room>,
    /// Who holds each table now, and how.
    holders: Vec<BTreeMap<usize, Storage>>,
    /// Copies that each table still gets.
    to_come: Vec<usize>,
    /// Copies of each table that are still to be made anew.
    to_store: Vec<usize>,
    /// What each table loses then.
    to_go: Vec<Vec<Change>>,
    ready: BTreeSet<Key>,
    changes: Vec<Change>,
    /// What waits for room, by node.
    blocked: Vec<BTreeSet<Key>>,
    /// What waits for another copy of its table, by table, and whether it waits for no more than one.
    alone: Vec<(BTreeSet<Key>, bool)>,
    done: Vec<Change>,
    detours_left: usize,
}

impl<'c> Ordering<'c> {
    fn new(case: &'c Case, target: &'c [Vec<usize>], rank: &[usize], used: Vec<Room>) -> Self {
        let tables = case.tables.len();
        let mut of_rank = vec![0; tables];
        for (place, table) in rank.iter().enumerate() {
            if let Some(cell) = of_rank.get_mut(*table) {
                *cell = place;
            }
        }
        let mut ordering = Self {
            case,
            target,
            rank: of_rank,
            used,
            holders: Vec::with_capacity(tables),
            to_come: vec![0; tables],
            to_store: vec![0; tables],
            to_go: vec![Vec::new(); tables],
            ready: BTreeSet::new(),
            changes: Vec::new(),
            blocked: vec![BTreeSet::new(); case.nodes.len()],
            alone: vec![(BTreeSet::new(), false); tables],
            done: Vec::new(),
            detours_left: 0,
        };
        for (number, (table, wanted)) in case.tables.iter().zip(target).enumerate() {
            ordering.holders.push(table.now.iter().copied().collect());
            ordering.plan(number, table, wanted);
        }
        ordering.detours_left = ordering.changes.len() + ordering.to_go.iter().map(Vec::len).sum::<usize>();
        ordering
    }

    fn plan(&mut self, number: usize, table: &TableCase, wanted: &[usize]) {
        for node in wanted {
            let to = table.storage_on(*node);
            match table.storage_now(*node) {
                None => {
                    if let Some(cell) = self.to_come.get_mut(number) {
                        *cell += 1;
                    }
                    self.push(Change { table: number, node: *node, what: What::Add(to) });
                }
                Some(from) if from != to => {
                    if let Some(cell) = self.to_store.get_mut(number) {
                        *cell += 1;
                    }
                    self.push(Change { table: number, node: *node, what: What::Store { from, to } });
                }
                Some(_as_wanted) => {}
            }
        }
        for (node, storage) in table.now.iter().filter(|(node, _)| wanted.binary_search(node).is_err()) {
            if let Some(cell) = self.to_go.get_mut(number) {
                cell.push(Change { table: number, node: *node, what: What::Remove(*storage) });
            }
        }
        self.let_go(number);
    }

    fn push(&mut self, change: Change) {
        let kind = match change.what {
            What::Add(_) => 0,
            What::Store { .. } => 1,
            What::Remove(_) => 2,
        };
        let rank = self.rank.get(change.table).copied().unwrap_or_default();
        self.ready.insert((rank, kind, change.node, self.changes.len()));
        self.changes.push(change);
    }

    /// What a table loses may go when it has all that it gets.
    fn let_go(&mut self, table: usize) {
        if self.to_come.get(table) != Some(&0) || self.to_store.get(table) != Some(&0) {
            return;
        }
        for change in self.to_go.get_mut(table).map(std::mem::take).unwrap_or_default() {
            self.push(change);
        }
    }

    fn carry_out_or_block(&mut self, key: Key) {
        let Some(change) = self.changes.get(key.3).copied() else { return };
        if !self.has_room(change) {
            if let Some(waiting) = self.blocked.get_mut(change.node) {
                waiting.insert(key);
            }
        } else if !self.is_covered(change) {
            if let Some((waiting, _)) = self.alone.get_mut(change.table) {
                waiting.insert(key);
            }
        } else {
            self.carry_out(change);
        }
    }

    /// Whether there are enough other copies for one to be made anew: as many as there are before or after, or one more is made for
    /// as long, or, where nobody could hold that, one fewer. What lasts is not left in memory only.
    fn is_covered(&mut self, change: Change) -> bool {
        let What::Store { from, to } = change.what else { return true };
        let (Some(facts), Some(wanted)) = (self.case.tables.get(change.table), self.target.get(change.table))
        else {
            return false;
        };
        let least = facts.now.len().min(wanted.len()).max(1);
        let in_memory = [from, to].contains(&Storage::RamCopies) || !facts.lasts;
        let hurried = self.alone.get(change.table).is_some_and(|(_, hurried)| *hurried);
        let to_come = self.to_come.get(change.table).is_some_and(|count| *count > 0);
        let covered = |ordering: &Self, least: usize| {
            let holders = ordering.holders.get(change.table).into_iter().flatten();
            let mut others = holders.filter(|(node, _)| **node != change.node);
            others.clone().count() >= least
                && (in_memory || others.any(|(_, storage)| *storage != Storage::RamCopies))
        };
        if covered(self, least) {
            return true;
        }
        if to_come && !hurried {
            return false;
        }
        self.stand_in(change.table) || covered(self, 1)
    }

    /// Whether a node could take a copy for as long as the table has one fewer elsewhere.
    fn stand_in(&mut self, table: usize) -> bool {
        let Some((aside, going)) = self.aside(table).zip(self.to_go.get_mut(table)) else { return false };
        let (Some(storage), Some(coming)) =
            (self.case.tables.get(table).map(|table| table.new), self.to_come.get_mut(table))
        else {
            return false;
        };
        going.push(Change { table, node: aside, what: What::Remove(storage) });
        *coming += 1;
        self.carry_out(Change { table, node: aside, what: What::Add(storage) });
        true
    }

    fn has_room(&self, change: Change) -> bool {
        has_room(self.case, &self.used, change)
    }

    fn carry_out(&mut self, change: Change) {
        take_room(self.case, &mut self.used, change);
        self.done.push(change);
        if let Some(holders) = self.holders.get_mut(change.table) {
            match change.what {
                What::Add(storage) | What::Store { to: storage, .. } => {
                    holders.insert(change.node, storage);
                }
                What::Remove(_) => {
                    holders.remove(&change.node);
                }
            }
        }
        match change.what {
            What::Add(_) => {
                if let Some(cell) = self.to_come.get_mut(change.table) {
                    *cell = cell.saturating_sub(1);
                }
                let waiting = self.alone.get_mut(change.table).map(|(waiting, _)| std::mem::take(waiting));
                self.ready.extend(waiting.unwrap_or_default());
                self.let_go(change.table);
            }
            What::Store { .. } => {
                if let Some(cell) = self.to_store.get_mut(change.table) {
                    *cell = cell.saturating_sub(1);
                }
                self.let_go(change.table);
                self.unblock(change.node);
            }
            What::Remove(_) => self.unblock(change.node),
        }
    }

    fn unblock(&mut self, node: usize) {
        let waiting = self.blocked.get_mut(node).map(std::mem::take).unwrap_or_default();
        self.ready.extend(waiting);
    }

    /// What cannot be done now.
    fn unable(&self) -> impl Iterator<Item = &Key> {
        self.blocked.iter().chain(self.alone.iter().map(|(waiting, _)| waiting)).flatten()
    }

    /// Everything waits: copies that are made anew wait for those that are to come no longer, where there is another one. Whether
    /// there is such a one.
    fn hurry(&mut self) -> bool {
        for ((waiting, hurried), holders) in self.alone.iter_mut().zip(&self.holders) {
            if !*hurried && !waiting.is_empty() && holders.len() > 1 {
                *hurried = true;
                self.ready.append(waiting);
            }
        }
        !self.ready.is_empty()
    }

    /// Everything waits for room that something else has: one table goes aside, to a node where it will not stay, and no copy is missing
    /// meanwhile. Whether there is such a one.
    fn detour(&mut self) -> bool {
        if self.detours_left == 0 {
            return false;
        }
        let full: Vec<usize> = (0..self.blocked.len())
            .filter(|node| self.blocked.get(*node).is_some_and(|b| !b.is_empty()))
            .collect();
        let mut leaving: Vec<(u64, Change)> = self
            .to_go
            .iter()
            .flatten()
            .filter(|change| full.contains(&change.node))
            .map(|change| (bytes(self.case, change.table), *change))
            .collect();
        leaving.sort_by_key(|(bytes, change)| (*bytes, change.table, change.node));
        for (_, change) in leaving {
            if let Some(aside) = self.aside(change.table) {
                self.detours_left -= 1;
                self.go_aside(change, aside);
                return true;
            }
        }
        false
    }

    /// A node with room that neither holds a table nor shall, and may.
    fn aside(&self, table: usize) -> Option<usize> {
        let facts = self.case.tables.get(table)?;
        let excluded = match &facts.place {
            Place::Chosen { excluded, .. } => excluded.as_slice(),
            Place::Fixed(_) => &[],
        };
        let (holders, wanted) = (self.holders.get(table)?, self.target.get(table)?);
        (0..self.case.nodes.len()).find(|node| {
            self.case.may_hold(*node)
                && !excluded.contains(node)
                && !holders.contains_key(node)
                && wanted.binary_search(node).is_err()
                && self.has_room(Change { table, node: *node, what: What::Add(facts.new) })
        })
    }

    fn go_aside(&mut self, leaving: Change, aside: usize) {
        let Some(storage) = self.case.tables.get(leaving.table).map(|table| table.new) else { return };
        if let Some(going) = self.to_go.get_mut(leaving.table) {
            going.retain(|change| *change != leaving);
            going.push(Change { table: leaving.table, node: aside, what: What::Remove(storage) });
        }
        // It is none of the copies that are to come.
        if let Some(cell) = self.to_come.get_mut(leaving.table) {
            *cell += 1;
        }
        self.carry_out(Change { table: leaving.table, node: aside, what: What::Add(storage) });
        self.carry_out(leaving);
    }

    fn stuck(&self) -> NoWay {
        let changes = || self.unable().filter_map(|key| self.changes.get(key.3));
        let tables: BTreeSet<usize> = changes().map(|change| change.table).collect();
        let nodes: BTreeSet<usize> = changes().map(|change| change.node).collect();
        let alone = (0..self.alone.len())
            .filter(|table| self.alone.get(*table).is_some_and(|(waiting, _)| !waiting.is_empty()))
            .collect();
        NoWay { tables: tables.into_iter().collect(), nodes: nodes.into_iter().collect(), alone }
    }
}
