//! What no placement can do better than: bytes moved, and how even the nodes are.

use super::case::{Case, Place, TableCase, squares};

/// Bytes that have to be moved at least, for as many zones as each table has: a copy for each that is missing, and what has to leave
/// nodes that are beyond their limit, less what leaves them anyway.
pub(crate) fn moved(case: &Case, target: &[Vec<usize>]) -> u64 {
    let tables = case.tables.iter().zip(target);
    let of_tables =
        tables.map(|(table, holders)| of_table(case, table, holders)).fold(0, u64::saturating_add);
    of_tables.saturating_add(evicted(case, target))
}

fn of_table(case: &Case, table: &TableCase, target: &[usize]) -> u64 {
    let new = match &table.place {
        Place::Fixed(nodes) => nodes.iter().filter(|node| !table.is_held_by(**node)).count(),
        Place::Chosen { required, .. } => {
            let missing = required.iter().filter(|node| !table.is_held_by(**node)).count();
            missing + slots(case, table, target).map_or(0, |slots| slots.open - slots.kept)
        }
    };
    table.bytes.saturating_mul(new as u64)
}

/// The places of a table that are a choice.
struct Slots {
    /// How many.
    open: usize,
    /// How many of them can be where the table is, without giving up a zone.
    kept: usize,
    /// The holders that could stay.
    holders: Vec<usize>,
    /// The zones that get one each, where that is certain.
    zones: Vec<usize>,
    /// Whether every zone that it can have keeps one of its holders.
    of_each_zone: bool,
}

fn slots(case: &Case, table: &TableCase, target: &[usize]) -> Option<Slots> {
    let Place::Chosen { required, excluded, copies } = &table.place else { return None };
    let free = |node: &usize| case.may_hold(*node) && !excluded.contains(node) && !required.contains(node);
    let open = copies.saturating_sub(required.len());
    let holders: Vec<usize> = table.now.iter().map(|(node, _)| *node).filter(free).collect();
    let taken = case.zones_of(required);
    let more_zones = case.zones_of(target).len().saturating_sub(taken.len());
    let with_holder = case.zones_of(&holders).iter().filter(|zone| !taken.contains(zone)).count();
    let for_zones = more_zones.saturating_sub(with_holder);
    let kept = holders.len().min(open.saturating_sub(for_zones));
    let certain = more_zones == open && case.zones == taken.len() + open;
    let zones =
        if certain { (0..case.zones).filter(|zone| !taken.contains(zone)).collect() } else { Vec::new() };
    let of_each_zone = kept == open && more_zones == open && with_holder == open;
    Some(Slots { open, kept, holders, zones, of_each_zone })
}

/// The holders that are the only ones in their zone, and the zones that have several.
fn only_ones(case: &Case, holders: &[usize]) -> (Vec<usize>, Vec<usize>) {
    let in_zone = |zone: usize| holders.iter().filter(|node| case.zone(**node) == zone).count();
    let (only, several): (Vec<usize>, Vec<usize>) =
        holders.iter().copied().partition(|node| in_zone(case.zone(*node)) == 1);
    (only, case.zones_of(&several))
}

/// Bytes beyond the limits that are copies nobody would take away otherwise.
fn evicted(case: &Case, target: &[Vec<usize>]) -> u64 {
    let mut memory = vec![(0_u64, 0_u64); case.nodes.len()];
    let mut disk = memory.clone();
    for (table, holders) in case.tables.iter().zip(target) {
        let slots = slots(case, table, holders);
        let stays = |node: usize| match (&table.place, &slots) {
            (Place::Fixed(nodes) | Place::Chosen { required: nodes, .. }, _) if nodes.contains(&node) => true,
            (Place::Chosen { .. }, Some(slots)) => {
                slots.holders.len() == slots.kept && slots.holders.contains(&node)
            }
            (Place::Fixed(_), _) | (Place::Chosen { .. }, None) => false,
        };
        for (node, _) in &table.now {
            let room = table.room_on(*node);
            let goes = !stays(*node);
            for (cells, bytes) in [(&mut memory, room.memory), (&mut disk, room.disk)] {
                if let Some((used, free)) = cells.get_mut(*node) {
                    *used = used.saturating_add(bytes);
                    *free = free.saturating_add(if goes { bytes } else { 0 });
                }
            }
        }
    }
    let beyond = |(used, free): (u64, u64), limit: u64| used.saturating_sub(limit).saturating_sub(free);
    let of_nodes =
        case.nodes.iter().zip(memory.iter().zip(&disk)).map(|(node, (memory, disk))| {
            beyond(*memory, node.limit.memory).max(beyond(*disk, node.limit.disk))
        });
    of_nodes.fold(0, u64::saturating_add)
}

/// How even the nodes can be at best, when no more is moved than has to be: the sum of squares, and the fullest node. What is not
/// certain is spread like water. Limits, which may move more and make it more even, are not looked at.
pub(crate) fn even(case: &Case, target: &[Vec<usize>]) -> (u128, u64) {
    let mut certain = vec![0_u64; case.nodes.len()];
    let mut by_zone = vec![0_u64; case.zones];
    let mut anywhere = 0_u64;
    for (table, holders) in case.tables.iter().zip(target) {
        let (Place::Fixed(nodes) | Place::Chosen { required: nodes, .. }) = &table.place;
        let mut stay: Vec<usize> = nodes.clone();
        if let Some(slots) = slots(case, table, holders) {
            let Slots { mut open, kept, holders, mut zones, of_each_zone } = slots;
            // All of those that can stay do, or each zone keeps one of its own, which is no choice where it has no other.
            let mut staying = Vec::new();
            if of_each_zone {
                let taken = case.zones_of(nodes);
                let elsewhere: Vec<usize> =
                    holders.iter().copied().filter(|node| !taken.contains(&case.zone(*node))).collect();
                (staying, zones) = only_ones(case, &elsewhere);
            } else if kept == holders.len() {
                staying = holders;
            }
            open = open.saturating_sub(staying.len());
            zones.retain(|zone| !staying.iter().any(|node| case.zone(*node) == *zone));
            stay.extend(staying);
            if zones.len() == open {
                for zone in zones {
                    if let Some(bytes) = by_zone.get_mut(zone) {
                        *bytes = bytes.saturating_add(table.bytes);
                    }
                }
            } else {
                anywhere = anywhere.saturating_add(table.bytes.saturating_mul(open as u64));
            }
        }
        for node in stay {
            if let Some(load) = certain.get_mut(node) {
                *load = load.saturating_add(table.bytes);
            }
        }
    }
    let all: u64 = by_zone.iter().copied().fold(anywhere, u64::saturating_add);
    let together = filled(case, &certain, all, |_node| true);
    let apart = by_zone
        .iter()
        .enumerate()
        .fold(certain, |loads, (zone, bytes)| filled(case, &loads, *bytes, |node| case.zone(node) == zone));
    let fullest = |loads: &[u64]| loads.iter().copied().max().unwrap_or_default();
    (squares(&together).max(squares(&apart)), fullest(&together).max(fullest(&apart)))
}

/// The loads when so many bytes are poured over the nodes that may hold tables.
fn filled(case: &Case, loads: &[u64], bytes: u64, wanted: impl Fn(usize) -> bool) -> Vec<u64> {
    let open = |node: usize| case.may_hold(node) && wanted(node);
    let mut heights: Vec<u64> =
        loads.iter().enumerate().filter(|(node, _)| open(*node)).map(|(_, load)| *load).collect();
    heights.sort_unstable();
    let mut left = bytes;
    let mut level = heights.first().copied().unwrap_or_default();
    for (below, next) in (1_u64..).zip(heights.iter().skip(1).copied().chain([u64::MAX])) {
        let needed = (next - level).saturating_mul(below);
        if needed >= left {
            level = level.saturating_add(left / below);
            break;
        }
        left -= needed;
        level = next;
    }
    loads.iter().enumerate().map(|(node, load)| if open(node) { (*load).max(level) } else { *load }).collect()
}
