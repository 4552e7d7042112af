//! The best placement of few tables on few nodes, by trying all of them.

use super::case::{Case, Place, Room, squares};

/// Placements that are tried at most.
const MOST: u64 = 100_000;
/// More nodes have more sets than that.
const MOST_NODES: usize = 16;

/// Where each table shall be; nothing where there are too many ways, or none that has room.
pub(crate) fn search(case: &Case) -> Option<Vec<Vec<usize>>> {
    if case.nodes.len() > MOST_NODES {
        return None;
    }
    let mut options = Vec::new();
    let mut ways = 1_u64;
    for table in 0..case.tables.len() {
        let of_table = sets(case, table);
        ways = ways.saturating_mul(of_table.len() as u64);
        if ways > MOST {
            return None;
        }
        options.push(of_table);
    }
    let (mut order, certain): (Vec<usize>, Vec<usize>) =
        (0..options.len()).partition(|table| options.get(*table).is_some_and(|sets| sets.len() > 1));
    order.sort_by_key(|table| std::cmp::Reverse(case.tables.get(*table).map_or(0, |table| table.bytes)));
    let mut search = Search {
        case,
        options: &options,
        order: &order,
        used: vec![Room::default(); case.nodes.len()],
        loads: vec![0; case.nodes.len()],
        picked: vec![0; options.len()],
        best: None,
    };
    // The search goes as deep as there are tables with a choice, which are few: a dirty scheduler has little stack.
    let mut cost = (0, 0, 0);
    for table in certain {
        let set = options.get(table)?.first()?;
        if !search.put(table, &set.nodes) {
            return None;
        }
        cost = set.added_to(cost);
    }
    search.from(0, cost);
    let (_, picked) = search.best?;
    let holders = |(sets, pick): (&Vec<Set>, &usize)| Some(sets.get(*pick)?.nodes.clone());
    options.iter().zip(&picked).map(holders).collect()
}

/// Holders of a table, and what it costs: zones that it could have and has not, bytes, and copies.
struct Set {
    nodes: Vec<usize>,
    zones: u64,
    bytes: u64,
    copies: u64,
}

impl Set {
    fn added_to(&self, (zones, bytes, copies): (u64, u64, u64)) -> (u64, u64, u64) {
        (zones + self.zones, bytes.saturating_add(self.bytes), copies + self.copies)
    }
}

/// Every set of holders that a table may have.
fn sets(case: &Case, table: usize) -> Vec<Set> {
    let Some(facts) = case.tables.get(table) else { return Vec::new() };
    let (required, excluded, copies) = match &facts.place {
        Place::Fixed(nodes) => return vec![Set { nodes: nodes.clone(), zones: 0, bytes: 0, copies: 0 }],
        Place::Chosen { required, excluded, copies } => (required, excluded, *copies),
    };
    let free: Vec<usize> = (0..case.nodes.len())
        .filter(|node| case.may_hold(*node) && !excluded.contains(node) && !required.contains(node))
        .collect();
    let of_required = case.zones_of(required);
    let others = case.zones_of(&free).iter().filter(|zone| !of_required.contains(zone)).count();
    let slots = copies.saturating_sub(required.len());
    let most_zones = of_required.len() + others.min(slots);
    let subsets = (0_u32..1 << free.len()).filter(|bits| usize::try_from(bits.count_ones()) == Ok(slots));
    subsets
        .map(|bits| {
            let picked = free.iter().enumerate().filter(|(at, _)| bits >> at & 1 == 1).map(|(_, node)| *node);
            let mut nodes: Vec<usize> = required.iter().copied().chain(picked).collect();
            nodes.sort_unstable();
            let new = nodes.iter().filter(|node| !facts.is_held_by(**node)).count() as u64;
            let zones = most_zones.saturating_sub(case.zones_of(&nodes).len()) as u64;
            Set { nodes, zones, bytes: facts.bytes.saturating_mul(new), copies: new }
        })
        .collect()
}

/// Zones, bytes, squares, copies: the earlier, the more it counts. Empty tables cost copies only.
type Cost = (u64, u64, u128, u64);

struct Search<'s> {
    case: &'s Case,
    options: &'s [Vec<Set>],
    order: &'s [usize],
    used: Vec<Room>,
    loads: Vec<u64>,
    picked: Vec<usize>,
    best: Option<(Cost, Vec<usize>)>,
}

impl Search<'_> {
    /// Tries everything from one table on. What is full already or costs more than the best is left.
    fn from(&mut self, depth: usize, (zones, bytes, copies): (u64, u64, u64)) {
        let so_far = (zones, bytes, squares(&self.loads), copies);
        if self.best.as_ref().is_some_and(|(best, _)| so_far >= *best) {
            return;
        }
        let Some(table) = self.order.get(depth).copied() else {
            self.best = Some((so_far, self.picked.clone()));
            return;
        };
        let options = self.options;
        for (number, set) in options.get(table).into_iter().flatten().enumerate() {
            let before = (self.used.clone(), self.loads.clone());
            if self.put(table, &set.nodes) {
                if let Some(pick) = self.picked.get_mut(table) {
                    *pick = number;
                }
                self.from(depth + 1, set.added_to((zones, bytes, copies)));
            }
            (self.used, self.loads) = before;
        }
    }

    /// Puts the table there. Whether there is room.
    fn put(&mut self, table: usize, nodes: &[usize]) -> bool {
        let Some(facts) = self.case.tables.get(table) else { return false };
        nodes.iter().all(|node| {
            let room = facts.room_on(*node);
            let (Some(used), Some(load)) = (self.used.get_mut(*node), self.loads.get_mut(*node)) else {
                return false;
            };
            let fits = used.leaves(room, self.case.limit(*node));
            *used = used.plus(room);
            *load = load.saturating_add(facts.bytes);
            fits
        })
    }
}
