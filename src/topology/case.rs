//! A cluster and its policy as numbers: nodes and tables by their place in the alphabet, so that nothing depends on the order of what
//! came in.

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
    /// The same copy made anew, stored in another way.
    Store { from: Storage, to: Storage },
    /// A copy less.
    Remove(Storage),
}

/// Bytes in memory and on disc.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Room {
    pub(crate) memory: u64,
    pub(crate) disk: u64,
}

impl Room {
    /// No limit.
    pub(crate) const ENDLESS: Self = Self { memory: u64::MAX, disk: u64::MAX };

    /// What a copy takes.
    pub(crate) fn of(storage: Storage, bytes: u64) -> Self {
        match storage {
            Storage::RamCopies => Self { memory: bytes, disk: 0 },
            Storage::DiscCopies => Self { memory: bytes, disk: bytes },
            Storage::DiscOnlyCopies => Self { memory: 0, disk: bytes },
        }
    }

    pub(crate) fn plus(self, other: Self) -> Self {
        let add = |a: u64, b: u64| a.saturating_add(b);
        Self { memory: add(self.memory, other.memory), disk: add(self.disk, other.disk) }
    }

    pub(crate) fn minus(self, other: Self) -> Self {
        let sub = |a: u64, b: u64| a.saturating_sub(b);
        Self { memory: sub(self.memory, other.memory), disk: sub(self.disk, other.disk) }
    }

    /// Whether `more` fits beside it. Nothing fits everywhere.
    pub(crate) fn leaves(self, more: Self, limit: Self) -> bool {
        let fits = |used: u64, more: u64, limit: u64| more == 0 || used.saturating_add(more) <= limit;
        fits(self.memory, more.memory, limit.memory) && fits(self.disk, more.disk, limit.disk)
    }
}

/// A member.
#[derive(Debug, Clone)]
pub(crate) struct NodeCase {
    /// What fails together with it.
    pub(crate) zone: usize,
    /// Whether it may hold durable tables that are not pinned to it: a master that runs.
    pub(crate) may_hold: bool,
    /// What its copies may take.
    pub(crate) limit: Room,
}

/// A table.
#[derive(Debug, Clone)]
pub(crate) struct TableCase {
    pub(crate) bytes: u64,
    /// Who holds it, in order, and how.
    pub(crate) now: Vec<(usize, Storage)>,
    /// How all copies shall be stored, if anything is said of it and can be done.
    pub(crate) change: Option<Storage>,
    /// How a new copy is stored.
    pub(crate) new: Storage,
    /// Whether the policy says how, and not what most copies have.
    pub(crate) is_said: bool,
    /// Whether its rows are what users would miss.
    pub(crate) lasts: bool,
    pub(crate) place: Place,
}

/// Where a table shall be.
#[derive(Debug, Clone)]
pub(crate) enum Place {
    /// Here; in order.
    Fixed(Vec<usize>),
    /// On these and as many others as it takes to be `copies`.
    Chosen { required: Vec<usize>, excluded: Vec<usize>, copies: usize },
}

impl TableCase {
    /// How a copy on a node is or would be stored.
    pub(crate) fn storage_on(&self, node: usize) -> Storage {
        self.change.unwrap_or_else(|| self.storage_now(node).unwrap_or(self.new))
    }

    pub(crate) fn storage_now(&self, node: usize) -> Option<Storage> {
        let found = self.now.binary_search_by_key(&node, |(holder, _)| *holder).ok()?;
        self.now.get(found).map(|(_, storage)| *storage)
    }

    pub(crate) fn is_held_by(&self, node: usize) -> bool {
        self.storage_now(node).is_some()
    }

    /// Where the policy says nothing, a new copy is stored as most of them are now.
    fn new_as_most(&mut self) {
        if let Some(usual) = most_common(&self.now, self.lasts).filter(|_| !self.is_said) {
            self.new = usual;
        }
    }

    /// What a copy on a node takes.
    pub(crate) fn room_on(&self, node: usize) -> Room {
        Room::of(self.storage_on(node), self.bytes)
    }
}

/// The whole of it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Case {
    pub(crate) nodes: Vec<NodeCase>,
    pub(crate) tables: Vec<TableCase>,
    /// How many zones there are.
    pub(crate) zones: usize,
}

impl Case {
    pub(crate) fn zone(&self, node: usize) -> usize {
        self.nodes.get(node).map_or(0, |node| node.zone)
    }

    pub(crate) fn limit(&self, node: usize) -> Room {
        self.nodes.get(node).map_or(Room::default(), |node| node.limit)
    }

    pub(crate) fn may_hold(&self, node: usize) -> bool {
        self.nodes.get(node).is_some_and(|node| node.may_hold)
    }

    /// The zones of some nodes, each once.
    pub(crate) fn zones_of(&self, nodes: &[usize]) -> Vec<usize> {
        let mut zones: Vec<usize> = nodes.iter().map(|node| self.zone(*node)).collect();
        zones.sort_unstable();
        zones.dedup();
        zones
    }

    /// Makes one change.
    pub(crate) fn make(&mut self, change: Change) {
        let Some(table) = self.tables.get_mut(change.table) else { return };
        table.now.retain(|(node, _)| *node != change.node);
        match change.what {
            What::Add(storage) | What::Store { to: storage, .. } => table.now.push((change.node, storage)),
            What::Remove(_) => {}
        }
        table.now.sort_unstable();
        table.new_as_most();
    }

    /// Whether all tables are where they shall be, and stored so.
    pub(crate) fn is_as(&self, target: &[Vec<usize>]) -> bool {
        self.tables.iter().zip(target).all(|(table, holders)| {
            table.now.iter().copied().eq(holders.iter().map(|node| (*node, table.storage_on(*node))))
        })
    }

    /// Whether each node has room for what it holds then.
    pub(crate) fn fits(&self, target: &[Vec<usize>]) -> bool {
        let mut used = vec![Room::default(); self.nodes.len()];
        let mut copies = self
            .tables
            .iter()
            .zip(target)
            .flat_map(|(table, holders)| holders.iter().map(|node| (*node, table.room_on(*node))));
        copies.all(|(node, room)| {
            let Some(cell) = used.get_mut(node) else { return false };
            let fits = cell.leaves(room, self.limit(node));
            *cell = cell.plus(room);
            fits
        })
    }

    /// The same with other holders now.
    pub(crate) fn after(&self, target: &[Vec<usize>]) -> Self {
        let mut after = self.clone();
        for (table, holders) in after.tables.iter_mut().zip(target) {
            table.now = holders.iter().map(|node| (*node, table.storage_on(*node))).collect();
            table.new_as_most();
        }
        after
    }

    /// Zones of all tables together.
    pub(crate) fn spread(&self, target: &[Vec<usize>]) -> usize {
        let zones = |(table, holders): (&TableCase, &Vec<usize>)| match &table.place {
            Place::Fixed(_) => 0,
            Place::Chosen { .. } => self.zones_of(holders).len(),
        };
        self.tables.iter().zip(target).map(zones).sum()
    }

    /// What that is at most.
    pub(crate) fn most_spread(&self) -> usize {
        let zones = |table: &TableCase| match &table.place {
            Place::Fixed(_) => 0,
            Place::Chosen { copies, .. } => self.zones.min(*copies),
        };
        self.tables.iter().map(zones).sum()
    }

    /// Bytes of all copies by node.
    pub(crate) fn loads(&self, target: &[Vec<usize>]) -> Vec<u64> {
        let mut loads = vec![0_u64; self.nodes.len()];
        for (table, holders) in self.tables.iter().zip(target) {
            for holder in holders {
                if let Some(load) = loads.get_mut(*holder) {
                    *load = load.saturating_add(table.bytes);
                }
            }
        }
        loads
    }

    /// Bytes that have to be copied to get there.
    pub(crate) fn moved(&self, target: &[Vec<usize>]) -> u64 {
        let of = |(table, holders): (&TableCase, &Vec<usize>)| {
            let new = holders.iter().filter(|holder| !table.is_held_by(**holder)).count() as u64;
            table.bytes.saturating_mul(new)
        };
        self.tables.iter().zip(target).map(of).fold(0, u64::saturating_add)
    }
}

/// The sum of the squares: how unevenly bytes are spread over nodes.
pub(crate) fn squares(loads: &[u64]) -> u128 {
    loads.iter().fold(0, |sum, load| sum.saturating_add(u128::from(*load).pow(2)))
}

/// How most copies are stored; of equally many, what is safer. What is on disc somewhere and lasts goes to discs.
pub(crate) fn most_common(now: &[(usize, Storage)], lasts: bool) -> Option<Storage> {
    let kinds = [Storage::DiscCopies, Storage::RamCopies, Storage::DiscOnlyCopies];
    let on_disc = now.iter().any(|(_, storage)| *storage != Storage::RamCopies);
    let counts = |kind: Storage| !(lasts && on_disc && kind == Storage::RamCopies);
    let count = |kind: Storage| now.iter().filter(|(_, storage)| *storage == kind && counts(kind)).count();
    kinds
        .into_iter()
        .map(|kind| (count(kind), kind))
        .filter(|(count, _)| *count > 0)
        .reduce(|best, next| if next.0 > best.0 { next } else { best })
        .map(|(_, kind)| kind)
}
