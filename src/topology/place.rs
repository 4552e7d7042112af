//! Where the copies go: in as many zones as can be, with as few bytes moved as can be, spread evenly by what is left to choose.
//!
//! Few nodes and tables are searched through (`exact`). Otherwise the largest tables choose first, the least filled node each, and
//! then those that chose early may choose again. What is reached is planned for again as long as a table gets a zone more by it, so
//! that who plans a second time has nothing to do.

use std::collections::BTreeSet;

use super::case::{Case, Place, Room, TableCase};
use super::exact;

/// How often all tables may choose again.
const PASSES: usize = 4;
/// Nodes and tables that are looked at to make room for one copy.
const TRIES: usize = 64;

/// Where each table shall be, and those that found fewer places than they want.
#[derive(Debug, Default)]
pub(crate) struct Placement {
    /// The holders of each table, in order.
    pub(crate) target: Vec<Vec<usize>>,
    /// Tables, and how many copies of each found no place.
    pub(crate) missing: Vec<(usize, usize)>,
}

pub(crate) fn place(case: &Case) -> Placement {
    let whole = |target| Placement { target, missing: Vec::new() };
    let searched = |case: &Case| exact::search(case).map(whole);
    let mut best = searched(case).or_else(|| as_it_is(case).map(whole)).unwrap_or_else(|| once(case));
    while best.missing.is_empty() && case.spread(&best.target) < case.most_spread() {
        let after = case.after(&best.target);
        let next = searched(&after).unwrap_or_else(|| once(&after));
        // What goes and comes back by way of it would be stored otherwise there.
        let better = case.spread(&next.target) > case.spread(&best.target);
        if !next.missing.is_empty() || !better || !case.fits(&next.target) {
            break;
        }
        best = next;
    }
    best
}

/// Where the tables are, if nothing has to be done.
fn as_it_is(case: &Case) -> Option<Vec<Vec<usize>>> {
    let mut target = Vec::with_capacity(case.tables.len());
    for (number, table) in case.tables.iter().enumerate() {
        let holders: Vec<usize> = match (&table.place, Choice::of(case, number)) {
            (Place::Fixed(nodes), _) => nodes.clone(),
            (Place::Chosen { required, .. }, Some(choice)) => {
                let holders: Vec<usize> = table.now.iter().map(|(node, _)| *node).collect();
                let may = |node: &usize| required.contains(node) || choice.may_be_on(case, *node);
                let is_wanted = holders.len() == choice.copies && holders.iter().all(may);
                if !is_wanted || !required.iter().all(|node| holders.contains(node)) {
                    return None;
                }
                holders
            }
            (Place::Chosen { .. }, None) => return None,
        };
        target.push(holders);
    }
    case.fits(&target).then_some(target)
}

fn once(case: &Case) -> Placement {
    let mut filling = Filling::new(case);
    let order = filling.largest_first();
    for table in &order {
        filling.keep_what_stays(*table);
    }
    for table in &order {
        filling.fill(*table);
    }
    let missing: Vec<(usize, usize)> = order
        .iter()
        .map(|table| (*table, filling.make_room(*table)))
        .filter(|(_, missing)| *missing > 0)
        .collect();
    for _pass in 0..PASSES {
        let better = order.iter().filter(|table| filling.choose_again(**table)).count();
        if better == 0 {
            break;
        }
    }
    filling.target.iter_mut().for_each(|holders| holders.sort_unstable());
    Placement { target: filling.target, missing }
}

/// A placement that is being made.
struct Filling<'c> {
    case: &'c Case,
    target: Vec<Vec<usize>>,
    loads: Vec<u64>,
    used: Vec<Room>,
    /// Nodes that may hold tables, by zone, the least filled first.
    zones: Vec<BTreeSet<(u64, usize)>>,
    /// The zones, that of the least filled node first.
    emptiest: BTreeSet<(u64, usize)>,
}

/// What a table may choose.
struct Choice<'c> {
    table: &'c TableCase,
    required: &'c [usize],
    excluded: &'c [usize],
    copies: usize,
}

impl<'c> Choice<'c> {
    fn of(case: &'c Case, table: usize) -> Option<Self> {
        let table = case.tables.get(table)?;
        match &table.place {
            Place::Fixed(_) => None,
            Place::Chosen { required, excluded, copies } => {
                Some(Self { table, required, excluded, copies: *copies })
            }
        }
    }

    /// Whether a node may hold it by choice.
    fn may_be_on(&self, case: &Case, node: usize) -> bool {
        case.may_hold(node) && !self.excluded.contains(&node)
    }

    /// The holders that may go on to hold it, by choice.
    fn holders<'s>(&'s self, case: &'s Case) -> impl Iterator<Item = usize> + use<'s> {
        let free = |node: &usize| !self.required.contains(node) && self.may_be_on(case, *node);
        self.table.now.iter().map(|(node, _)| *node).filter(free)
    }
}

impl<'c> Filling<'c> {
    /// Everything that is not a choice.
    fn new(case: &'c Case) -> Self {
        let nodes = case.nodes.len();
        let mut zones = vec![BTreeSet::new(); case.zones];
        for (node, facts) in case.nodes.iter().enumerate().filter(|(_, facts)| facts.may_hold) {
            if let Some(zone) = zones.get_mut(facts.zone) {
                zone.insert((0, node));
            }
        }
        let emptiest =
            zones.iter().enumerate().filter_map(|(zone, nodes)| Some((nodes.first()?.0, zone))).collect();
        let mut filling = Self {
            case,
            target: vec![Vec::new(); case.tables.len()],
            loads: vec![0; nodes],
            used: vec![Room::default(); nodes],
            zones,
            emptiest,
        };
        for (number, table) in case.tables.iter().enumerate() {
            let (Place::Fixed(nodes) | Place::Chosen { required: nodes, .. }) = &table.place;
            nodes.iter().for_each(|node| filling.put(number, *node));
        }
        filling
    }

    /// The tables that have a choice, the largest first.
    fn largest_first(&self) -> Vec<usize> {
        let mut order: Vec<usize> =
            (0..self.case.tables.len()).filter(|table| Choice::of(self.case, *table).is_some()).collect();
        order.sort_by_key(|table| std::cmp::Reverse(self.case.tables.get(*table).map_or(0, |t| t.bytes)));
        order
    }

    fn load(&self, node: usize) -> u64 {
        self.loads.get(node).copied().unwrap_or(u64::MAX)
    }

    fn fits(&self, table: &TableCase, node: usize) -> bool {
        let used = self.used.get(node).copied().unwrap_or(Room::ENDLESS);
        used.leaves(table.room_on(node), self.case.limit(node))
    }

    fn put(&mut self, table: usize, node: usize) {
        let Some(facts) = self.case.tables.get(table) else { return };
        if let Some(used) = self.used.get_mut(node) {
            *used = used.plus(facts.room_on(node));
        }
        self.set_load(node, self.load(node).saturating_add(facts.bytes));
        if let Some(holders) = self.target.get_mut(table) {
            holders.push(node);
        }
    }

    fn take(&mut self, table: usize, node: usize) {
        let Some(facts) = self.case.tables.get(table) else { return };
        if let Some(used) = self.used.get_mut(node) {
            *used = used.minus(facts.room_on(node));
        }
        self.set_load(node, self.load(node).saturating_sub(facts.bytes));
        if let Some(holders) = self.target.get_mut(table) {
            holders.retain(|holder| *holder != node);
        }
    }

    fn set_load(&mut self, node: usize, load: u64) {
        let before = self.load(node);
        if let Some(cell) = self.loads.get_mut(node) {
            *cell = load;
        }
        let zone = self.case.zone(node);
        let Some(nodes) = self.zones.get_mut(zone).filter(|_| self.case.may_hold(node)) else { return };
        let least = nodes.first().map_or(0, |(load, _)| *load);
        nodes.remove(&(before, node));
        nodes.insert((load, node));
        let least_now = nodes.first().map_or(0, |(load, _)| *load);
        if least != least_now {
            self.emptiest.remove(&(least, zone));
            self.emptiest.insert((least_now, zone));
        }
    }

    fn chosen(&self, table: usize) -> &[usize] {
        self.target.get(table).map_or(&[], Vec::as_slice)
    }

    /// Puts a table where it stays in every good solution, so that those with a choice know how full the nodes will be.
    fn keep_what_stays(&mut self, table: usize) {
        let Some(choice) = Choice::of(self.case, table) else { return };
        let holders: Vec<usize> = choice.holders(self.case).collect();
        let slots = choice.copies.saturating_sub(self.chosen(table).len());
        let chosen = self.case.zones_of(self.chosen(table));
        let of_holders = self.case.zones_of(&holders);
        let new_zones = of_holders.iter().filter(|zone| !chosen.contains(zone)).count();
        // A zone without a holder may need one of the places.
        let others =
            self.case.zones.saturating_sub(chosen.len() + new_zones).min(slots.saturating_sub(new_zones));
        if holders.len() + others > slots {
            return;
        }
        for node in holders {
            if self.fits(choice.table, node) {
                self.put(table, node);
            }
        }
    }

    /// Chooses for the places that are still free: a zone more first, then where the table is already.
    fn fill(&mut self, table: usize) {
        let Some(choice) = Choice::of(self.case, table) else { return };
        let open = |filling: &Self| filling.chosen(table).len() < choice.copies;
        if !open(self) {
            return;
        }
        let mut holders: Vec<usize> =
            choice.holders(self.case).filter(|node| !self.chosen(table).contains(node)).collect();
        holders.sort_by_key(|node| (self.load(*node), *node));
        let mut zones = self.case.zones_of(self.chosen(table));
        for node in &holders {
            let zone = self.case.zone(*node);
            if open(self) && !zones.contains(&zone) && self.fits(choice.table, *node) {
                self.put(table, *node);
                zones.push(zone);
            }
        }
        while open(self) {
            let Some(node) = self.least_filled(&choice, table, &|zone| !zones.contains(&zone)) else { break };
            self.put(table, node);
            zones.push(self.case.zone(node));
        }
        for node in &holders {
            if open(self) && !self.chosen(table).contains(node) && self.fits(choice.table, *node) {
                self.put(table, *node);
            }
        }
        while open(self) {
            let Some(node) = self.least_filled(&choice, table, &|_zone| true) else { break };
            self.put(table, node);
        }
    }

    /// The least filled node with room in the zones that are wanted.
    fn least_filled(
        &self,
        choice: &Choice<'_>,
        table: usize,
        wanted: &dyn Fn(usize) -> bool,
    ) -> Option<usize> {
        let free = |node: usize| {
            !self.chosen(table).contains(&node)
                && choice.may_be_on(self.case, node)
                && self.fits(choice.table, node)
        };
        let mut best: Option<(u64, usize)> = None;
        for (least, zone) in self.emptiest.iter().filter(|(_, zone)| wanted(*zone)) {
            if best.is_some_and(|(load, _)| load <= *least) {
                break;
            }
            let in_zone = self.zones.get(*zone)?.iter().find(|(_, node)| free(*node)).copied();
            best = best.into_iter().chain(in_zone).min();
        }
        best.map(|(_, node)| node)
    }

    /// Moves other tables aside until this one has its places. How many it lacks then.
    fn make_room(&mut self, table: usize) -> usize {
        let Some(choice) = Choice::of(self.case, table) else { return 0 };
        while self.chosen(table).len() < choice.copies {
            let Some((other, from, to)) = self.in_the_way(&choice, table) else { break };
            self.take(other, from);
            self.put(other, to);
            self.put(table, from);
        }
        choice.copies.saturating_sub(self.chosen(table).len())
    }

    /// A table that could make room by going elsewhere, from where and where to.
    fn in_the_way(&self, choice: &Choice<'_>, table: usize) -> Option<(usize, usize, usize)> {
        let may = |node: &usize| choice.may_be_on(self.case, *node) && !self.chosen(table).contains(node);
        let mut nodes: Vec<usize> = (0..self.case.nodes.len()).filter(may).collect();
        nodes.sort_by_key(|node| (!choice.table.is_held_by(*node), self.load(*node), *node));
        nodes.truncate(TRIES);
        for node in nodes {
            let mut others: Vec<usize> = (0..self.case.tables.len())
                .filter(|other| *other != table && self.chosen(*other).contains(&node))
                .collect();
            others.sort_by_key(|other| self.case.tables.get(*other).map_or(0, |other| other.bytes));
            for other in others.into_iter().rev().take(TRIES) {
                let Some(theirs) = Choice::of(self.case, other) else { continue };
                let used = self.used.get(node)?.minus(theirs.table.room_on(node));
                let enough = used.leaves(choice.table.room_on(node), self.case.limit(node));
                if theirs.required.contains(&node) || !enough {
                    continue;
                }
                if let Some(to) = self.least_filled(&theirs, other, &|_zone| true) {
                    return Some((other, node, to));
                }
            }
        }
        None
    }

    /// Goes from a full node to one that is less so, where it costs nothing. Whether it did.
    fn choose_again(&mut self, table: usize) -> bool {
        let Some(choice) = Choice::of(self.case, table) else { return false };
        let bytes = choice.table.bytes;
        let mut fullest: Vec<usize> =
            self.chosen(table).iter().copied().filter(|node| !choice.required.contains(node)).collect();
        fullest.sort_by_key(|node| std::cmp::Reverse((self.load(*node), *node)));
        for from in fullest {
            let rest: Vec<usize> = self.chosen(table).iter().copied().filter(|node| *node != from).collect();
            let needed = self.case.zones_of(self.chosen(table)).len();
            let zones = self.case.zones_of(&rest);
            let keeps_zones = |zone: usize| zones.len() + usize::from(!zones.contains(&zone)) >= needed;
            let to = if choice.table.is_held_by(from) {
                let free = |node: &usize| {
                    !self.chosen(table).contains(node)
                        && keeps_zones(self.case.zone(*node))
                        && self.fits(choice.table, *node)
                };
                choice.holders(self.case).filter(free).min_by_key(|node| (self.load(*node), *node))
            } else {
                self.least_filled(&choice, table, &keeps_zones)
            };
            let to = to.filter(|to| self.load(*to).saturating_add(bytes) < self.load(from));
            if let Some(to) = to.filter(|_| bytes > 0) {
                self.take(table, from);
                self.put(table, to);
                return true;
            }
        }
        false
    }
}
