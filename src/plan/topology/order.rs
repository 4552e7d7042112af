//! The way from one placement to another: copies are added before others go, and no node is ever beyond its limit.

use std::collections::BTreeSet;

use super::case::{Case, Room, TableCase};
use crate::model::table::Storage;

/// One change of one table on one node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Change {
    pub(crate) table: usize,
    pub(crate) node: usize,
    pub(crate) what: What,
}

/// What a change is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum What {
    /// A copy more.
    Add(Storage),
    /// The same copy, stored in another way.
    Store { from: Storage, to: Storage },
    /// A copy less.
    Remove(Storage),
}

/// What cannot be reached: the tables, and the nodes that are too full.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct NoWay {
    pub(crate) tables: Vec<usize>,
    pub(crate) nodes: Vec<usize>,
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
        if ordering.blocked.iter().all(BTreeSet::is_empty) {
            return Ok(ordering.done);
        }
        if !ordering.detour() {
            return Err(ordering.stuck());
        }
    }
}

fn bytes(case: &Case, table: usize) -> u64 {
    case.tables.get(table).map_or(0, |table| table.bytes)
}

/// Whether the node is never beyond its limit meanwhile: while a copy is stored anew, both files are there.
pub(crate) fn has_room(case: &Case, used: &[Room], change: Change) -> bool {
    let bytes = bytes(case, change.table);
    let more = match change.what {
        What::Add(storage) => Room::of(storage, bytes),
        What::Store { from, to } => {
            let (from, to) = (Room::of(from, bytes), Room::of(to, bytes));
            Room { memory: to.memory.saturating_sub(from.memory), disk: to.disk }
        }
        What::Remove(_) => return true,
    };
    used.get(change.node).copied().unwrap_or(Room::ENDLESS).leaves(more, case.limit(change.node))
}

/// What the node uses when it is made.
pub(crate) fn take_room(case: &Case, used: &mut [Room], change: Change) {
    let bytes = bytes(case, change.table);
    let (more, less) = match change.what {
        What::Add(storage) => (Room::of(storage, bytes), Room::default()),
        What::Store { from, to } => (Room::of(to, bytes), Room::of(from, bytes)),
        What::Remove(storage) => (Room::default(), Room::of(storage, bytes)),
    };
    if let Some(used) = used.get_mut(change.node) {
        *used = used.plus(more).minus(less);
    }
}

/// First by the table's rank, then what is added before what goes.
type Key = (usize, u8, usize, usize);

struct Ordering<'c> {
    case: &'c Case,
    target: &'c [Vec<usize>],
    rank: Vec<usize>,
    used: Vec<Room>,
    /// Who holds each table now.
    holders: Vec<BTreeSet<usize>>,
    /// Copies that each table still gets.
    to_come: Vec<usize>,
    /// What each table loses when it has them.
    to_go: Vec<Vec<Change>>,
    ready: BTreeSet<Key>,
    changes: Vec<Change>,
    /// What waits for room, by node.
    blocked: Vec<BTreeSet<Key>>,
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
            to_go: vec![Vec::new(); tables],
            ready: BTreeSet::new(),
            changes: Vec::new(),
            blocked: vec![BTreeSet::new(); case.nodes.len()],
            done: Vec::new(),
            detours_left: 0,
        };
        for (number, (table, wanted)) in case.tables.iter().zip(target).enumerate() {
            ordering.holders.push(table.now.iter().map(|(node, _)| *node).collect());
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
        if self.to_come.get(table).is_none_or(|count| *count > 0) {
            return;
        }
        for change in self.to_go.get_mut(table).map(std::mem::take).unwrap_or_default() {
            self.push(change);
        }
    }

    fn carry_out_or_block(&mut self, key: Key) {
        let Some(change) = self.changes.get(key.3).copied() else { return };
        if self.has_room(change) {
            self.carry_out(change);
        } else if let Some(waiting) = self.blocked.get_mut(change.node) {
            waiting.insert(key);
        }
    }

    fn has_room(&self, change: Change) -> bool {
        has_room(self.case, &self.used, change)
    }

    fn carry_out(&mut self, change: Change) {
        take_room(self.case, &mut self.used, change);
        self.done.push(change);
        if let Some(holders) = self.holders.get_mut(change.table) {
            match change.what {
                What::Add(_) => drop(holders.insert(change.node)),
                What::Remove(_) => drop(holders.remove(&change.node)),
                What::Store { .. } => {}
            }
        }
        match change.what {
            What::Add(_) => {
                if let Some(cell) = self.to_come.get_mut(change.table) {
                    *cell = cell.saturating_sub(1);
                }
                self.let_go(change.table);
            }
            What::Remove(_) | What::Store { .. } => self.unblock(change.node),
        }
    }

    fn unblock(&mut self, node: usize) {
        let waiting = self.blocked.get_mut(node).map(std::mem::take).unwrap_or_default();
        self.ready.extend(waiting);
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

    /// A node with room that neither holds a table nor shall.
    fn aside(&self, table: usize) -> Option<usize> {
        let facts = self.case.tables.get(table)?;
        let (holders, wanted) = (self.holders.get(table)?, self.target.get(table)?);
        (0..self.case.nodes.len()).find(|node| {
            self.case.may_hold(*node)
                && !holders.contains(node)
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
        let changes = || self.blocked.iter().flatten().filter_map(|key| self.changes.get(key.3));
        let tables: BTreeSet<usize> = changes().map(|change| change.table).collect();
        let nodes: BTreeSet<usize> = changes().map(|change| change.node).collect();
        NoWay { tables: tables.into_iter().collect(), nodes: nodes.into_iter().collect() }
    }
}
