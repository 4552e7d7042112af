//! From the cluster that there is to the one that a policy wants: where each table shall be, and the steps to get there.
//!
//! What is certain comes first: every node that serves has a copy of what belongs to processes and of what can be computed again, as
//! ejabberd itself makes them; tables of which each node has its own rows stay where they are; a witness has none. Durable tables are
//! then placed: in as many zones as can be, with as few bytes moved as can be, and what is left to choose by bytes, so that the nodes
//! are evenly filled. The same cluster and policy always give the same plan.

mod bound;
mod case;
mod exact;
mod order;
mod place;
mod wishes;

use std::cmp::Reverse;

use serde::{Deserialize, Serialize};

use crate::model::catalogue::Class;
use crate::model::name::{NodeName, TableName};
use crate::model::policy::{Policy, Role};
use crate::model::snapshot::Snapshot;
use crate::model::table::Storage;
use crate::plan::draft::STALL_TO_TELL;
use crate::plan::estimate;
use crate::validate::membership;
use crate::validate::problem::{Bytes, Lines, Nodes, Problem, Tables};
use crate::validate::view::View;
use case::{Case, Place, Room};
use case::{Change, What};
use order::NoWay;
use place::Placement;
pub(crate) use wishes::WAITS;
use wishes::Wishes;

/// Where everything is, where it shall be, and how it gets there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Topology {
    /// The members, by name.
    pub nodes: Vec<NodeTopology>,
    /// The tables, by name.
    pub tables: Vec<TableTopology>,
    /// In order.
    pub steps: Vec<Step>,
    /// How good it is.
    pub quality: Quality,
    /// What should be known before.
    pub warnings: Vec<Problem>,
}

/// A member.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeTopology {
    /// Its name.
    pub node: NodeName,
    /// What it is for.
    pub role: Role,
    /// Its zone, if it has one.
    pub zone: Option<String>,
    /// Whether its Mnesia runs.
    pub running: bool,
    /// What its copies take.
    pub now: Taken,
    /// What they will take.
    pub wanted: Taken,
    /// What they may take in memory, if anything limits it.
    pub memory_limit: Option<Bytes>,
    /// What they may take on disc, likewise.
    pub disk_limit: Option<Bytes>,
}

/// What copies take on a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Taken {
    /// How many there are.
    pub copies: u64,
    /// Bytes in memory.
    pub memory: Bytes,
    /// Bytes on disc.
    pub disk: Bytes,
}

/// A table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableTopology {
    /// Its name.
    pub table: TableName,
    /// What it is for.
    pub class: Class,
    /// Its rows.
    pub rows: u64,
    /// Bytes of each copy.
    pub bytes: Bytes,
    /// Its copies.
    pub now: Vec<Copy>,
    /// Those that are wanted.
    pub wanted: Vec<Copy>,
}

/// A copy of a table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Copy {
    /// Where.
    pub node: NodeName,
    /// How it is stored.
    pub storage: Storage,
}

/// One change of one table on one node. Each works from any member, and can be run again with the same end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// From 1, in order.
    pub number: u32,
    /// The table.
    pub table: TableName,
    /// The node that changes.
    pub node: NodeName,
    /// What is done.
    pub action: Action,
    /// Rows of the table.
    pub rows: u64,
    /// Bytes of a copy.
    pub bytes: Bytes,
    /// How long it should take, milliseconds.
    pub milliseconds: u64,
    /// The longest that transactions of the table may wait on every member meanwhile, milliseconds.
    pub stall: u64,
    /// What it waits for.
    pub waits: Waits,
}

/// What a step does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// `mnesia:add_table_copy/3`.
    Add {
        /// How it is stored.
        storage: Storage,
        /// A node with a loaded copy. Mnesia may take another one.
        source: NodeName,
    },
    /// `mnesia:del_table_copy/2`; there is another one at least.
    Remove {
        /// How it was stored.
        storage: Storage,
    },
}

/// What a step waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Waits {
    /// The steps before it.
    Nothing,
    /// The policy's window, as transactions would wait for longer than its `max_stall`.
    Window,
    /// Somebody who agrees, for the same reason, as the policy has no window.
    Consent,
}

/// How good a placement is, and what no other could do better than.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quality {
    /// Bytes to be copied.
    pub moved: Bytes,
    /// Bytes that have to be copied in any case.
    pub moved_at_least: Bytes,
    /// Bytes of the fullest node.
    pub fullest: Bytes,
    /// Bytes of the fullest node when what could be chosen were spread like water, in the places that cost no more.
    pub fullest_at_least: Bytes,
    /// The root of the sum of the squares of the nodes' bytes: the smaller, the more even.
    pub unevenness: u64,
    /// The same, likewise.
    pub unevenness_at_least: u64,
}

/// Plans the way to the wanted state.
///
/// # Errors
/// Everything that makes it impossible: the cluster is not whole, wishes that cannot be, no room.
pub fn make(policy: &Policy, snapshot: &Snapshot) -> Result<Topology, Vec<Problem>> {
    let view = View::new(snapshot).map_err(|problem| vec![problem])?;
    let broken: Vec<Problem> = membership::of_own_cluster(&view)
        .into_iter()
        .filter(|problem| !matches!(problem, Problem::MemberDown { .. }))
        .collect();
    if !broken.is_empty() {
        return Err(broken);
    }
    let mut wishes = Wishes::new(&view, policy);
    if !wishes.problems.is_empty() {
        return Err(wishes.problems);
    }
    let (target, changes) = planned(&mut wishes)?;
    let mut warnings = wishes.warnings();
    warnings.extend(fewer_zones(&wishes, &target));
    warnings.extend(come_back(&wishes, &changes));
    Ok(Topology {
        nodes: nodes(&wishes, &target),
        tables: tables(&wishes, &target),
        steps: steps(&wishes, &changes),
        quality: quality(&wishes.case, &target),
        warnings,
    })
}

/// The holders that each table shall have, and the way there.
type Way = (Vec<Vec<usize>>, Vec<Change>);

fn planned(wishes: &mut Wishes<'_>) -> Result<Way, Vec<Problem>> {
    loop {
        let Placement { target, missing } = place::place(&wishes.case);
        if !missing.is_empty() {
            return Err(vec![no_place(wishes, &missing)]);
        }
        let rank = rank(wishes);
        let used = wishes.members.iter().map(|member| member.used).collect();
        match order::order(&wishes.case, &target, &rank, used) {
            Ok(changes) => return Ok((target, changes)),
            Err(stuck) if wishes.stay_stored(&stuck.alone) => {}
            Err(stuck) => return Err(vec![no_way(wishes, &stuck)]),
        }
    }
}

/// Whether changes lead to a state in which nothing is left to do, with no node beyond its limit on the way. Sizes change all the time,
/// and with other sizes a new plan could choose other nodes or another order.
pub(super) fn leads(policy: &Policy, view: &View<'_>, changes: &[Wanted<'_>]) -> bool {
    let mut wishes = Wishes::new(view, policy);
    let mut used: Vec<Room> = wishes.members.iter().map(|member| member.used).collect();
    if planned(&mut wishes).is_err() {
        return false;
    }
    for wanted in changes {
        let Some(change) = wanted.change(&wishes) else { return false };
        if !order::has_room(&wishes.case, &used, change) {
            return false;
        }
        order::take_room(&wishes.case, &mut used, change);
        wishes.case.make(change);
    }
    let Placement { target, missing } = place::place(&wishes.case);
    missing.is_empty() && wishes.case.is_as(&target)
}

/// A change by its names.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Wanted<'a> {
    pub(super) table: &'a TableName,
    pub(super) node: &'a NodeName,
    /// How a copy is stored then; `None` when it goes.
    pub(super) storage: Option<Storage>,
}

impl Wanted<'_> {
    /// `None` where it is none: the names are unknown, or it is so already.
    fn change(&self, wishes: &Wishes<'_>) -> Option<Change> {
        let table = wishes.tables.binary_search_by_key(&self.table, |table| &table.name).ok()?;
        let node = wishes.members.binary_search_by_key(&self.node, |member| member.node).ok()?;
        let what = match (wishes.case.tables.get(table)?.storage_now(node), self.storage) {
            (None, Some(storage)) => What::Add(storage),
            (Some(storage), None) => What::Remove(storage),
            (Some(_), Some(_)) | (None, None) => return None,
        };
        Some(Change { table, node, what })
    }
}

/// Which tables come first: small ones, as each is soon safe; among these what has one copy only, then by Mnesia's load order, by
/// class and by size.
fn rank(wishes: &Wishes<'_>) -> Vec<usize> {
    let of_class = |class: &Class| match class {
        Class::Durable => 0,
        Class::OwnerKeyed => 1,
        Class::Local => 2,
        Class::Derived => 3,
    };
    let key = |number: &usize| {
        let table = wishes.tables.get(*number)?;
        let holders = wishes.case.tables.get(*number)?.now.len();
        let stall = estimate::copy(Storage::DiscCopies, table.size, table.memory).1;
        let class = wishes.classes.get(*number).map(of_class)?;
        Some((stall > STALL_TO_TELL, holders > 1, Reverse(table.load_order), class, table.memory, *number))
    };
    let mut order: Vec<usize> = (0..wishes.tables.len()).collect();
    order.sort_by_cached_key(key);
    order
}

fn names(wishes: &Wishes<'_>, tables: impl IntoIterator<Item = usize>) -> Tables {
    let found = tables.into_iter().filter_map(|table| wishes.tables.get(table));
    Tables(found.map(|table| table.name.clone()).collect())
}

fn no_place(wishes: &Wishes<'_>, missing: &[(usize, usize)]) -> Problem {
    let bytes = |table: usize| wishes.case.tables.get(table).map_or(0, |table| table.bytes);
    let needed = missing.iter().map(|(table, copies)| bytes(*table).saturating_mul(*copies as u64));
    // What is certain and what was chosen is in the nodes already; the room is what the limits leave beside today's copies.
    let room = wishes.members.iter().zip(&wishes.case.nodes).filter(|(_, node)| node.may_hold).map(
        |(member, node)| {
            let Room { memory, disk } = node.limit.minus(member.used);
            memory.min(disk)
        },
    );
    let limits =
        wishes.members.iter().filter_map(|member| member.wish).flat_map(|wish| [wish.memory, wish.disk]);
    let copies = missing.iter().filter_map(|(table, _)| {
        let name = &wishes.tables.get(*table)?.name;
        wishes.policy.copies_of(wishes.policy.table(name)).1
    });
    Problem::PolicyNoPlace {
        tables: names(wishes, missing.iter().map(|(table, _)| *table)),
        needed: Bytes(needed.fold(0, u64::saturating_add)),
        room: Bytes(room.fold(0, u64::saturating_add)),
        lines: Lines::of(copies.chain(limits.flatten().map(|at| at.line))),
    }
}

fn no_way(wishes: &Wishes<'_>, stuck: &NoWay) -> Problem {
    let nodes = stuck.nodes.iter().filter_map(|node| wishes.members.get(*node));
    Problem::PolicyNoWay {
        tables: names(wishes, stuck.tables.iter().copied()),
        nodes: Nodes(nodes.map(|member| member.node.clone()).collect()),
    }
}

fn fewer_zones(wishes: &Wishes<'_>, target: &[Vec<usize>]) -> Option<Problem> {
    let case = &wishes.case;
    let masters: Vec<usize> = (0..case.nodes.len()).filter(|node| case.may_hold(*node)).collect();
    let zones = case.zones_of(&masters).len();
    let short = |number: &usize| {
        let (Some(table), Some(holders)) = (case.tables.get(*number), target.get(*number)) else {
            return false;
        };
        let Place::Chosen { copies, .. } = &table.place else { return false };
        case.zones_of(holders).len() < zones.min(*copies)
    };
    let tables: Vec<usize> = (0..case.tables.len()).filter(short).collect();
    let lines = wishes.policy.nodes.iter().filter_map(|wish| Some(wish.zone.as_ref()?.line));
    (!tables.is_empty())
        .then(|| Problem::PolicyFewerZones { tables: names(wishes, tables), lines: Lines::of(lines) })
}

/// Copies that go from nodes where they were wanted by nobody but ejabberd.
fn come_back(wishes: &Wishes<'_>, changes: &[Change]) -> Option<Problem> {
    let was_there = |change: &&Change| {
        wishes.case.tables.get(change.table).is_some_and(|table| table.is_held_by(change.node))
    };
    let removed = changes.iter().filter(|change| matches!(change.what, What::Remove(_)));
    let mut gone: Vec<usize> = removed.filter(was_there).map(|change| change.table).collect();
    let copies = gone.len() as u64;
    gone.sort_unstable();
    gone.dedup();
    (copies > 0).then(|| Problem::PolicyEjabberdCopies { copies, tables: names(wishes, gone) })
}

fn nodes(wishes: &Wishes<'_>, target: &[Vec<usize>]) -> Vec<NodeTopology> {
    let mut wanted = vec![(0_u64, Room::default()); wishes.members.len()];
    let mut now = vec![0_u64; wishes.members.len()];
    for (table, holders) in wishes.case.tables.iter().zip(target) {
        for holder in holders {
            if let Some((copies, room)) = wanted.get_mut(*holder) {
                *copies += 1;
                *room = room.plus(table.room_on(*holder));
            }
        }
        for (holder, _) in &table.now {
            if let Some(copies) = now.get_mut(*holder) {
                *copies += 1;
            }
        }
    }
    let taken =
        |copies: u64, room: Room| Taken { copies, memory: Bytes(room.memory), disk: Bytes(room.disk) };
    let limit = |bytes: u64| (bytes < u64::MAX).then_some(Bytes(bytes));
    wishes
        .members
        .iter()
        .zip(&wishes.case.nodes)
        .zip(now.into_iter().zip(wanted))
        .map(|((member, node), (now, (copies, room)))| NodeTopology {
            node: member.node.clone(),
            role: member.role,
            zone: member.wish.and_then(|wish| wish.zone.as_ref()).map(|zone| zone.value.clone()),
            running: member.facts.is_some(),
            now: taken(now, member.used),
            wanted: taken(copies, room),
            memory_limit: limit(node.limit.memory),
            disk_limit: limit(node.limit.disk),
        })
        .collect()
}

fn tables(wishes: &Wishes<'_>, target: &[Vec<usize>]) -> Vec<TableTopology> {
    let copy = |node: usize, storage: Storage| {
        wishes.members.get(node).map(|member| Copy { node: member.node.clone(), storage })
    };
    let facts = wishes.tables.iter().zip(&wishes.classes).zip(wishes.case.tables.iter().zip(target));
    facts
        .map(|((table, class), (case, holders))| TableTopology {
            table: table.name.clone(),
            class: *class,
            rows: table.size,
            bytes: Bytes(table.memory),
            now: case.now.iter().filter_map(|(node, storage)| copy(*node, *storage)).collect(),
            wanted: holders.iter().filter_map(|node| copy(*node, case.storage_on(*node))).collect(),
        })
        .collect()
}

fn steps(wishes: &Wishes<'_>, changes: &[Change]) -> Vec<Step> {
    let mut loaded = wishes.loaded.clone();
    let single = changes.iter().flat_map(|change| {
        match change.what {
            What::Store { from, to } => vec![What::Remove(from), What::Add(to)],
            what @ (What::Add(_) | What::Remove(_)) => vec![what],
        }
        .into_iter()
        .map(|what| Change { what, ..*change })
    });
    single.zip(1..).filter_map(|(change, number)| step(wishes, &mut loaded, change, number)).collect()
}

fn step(wishes: &Wishes<'_>, loaded: &mut [Vec<usize>], change: Change, number: u32) -> Option<Step> {
    let table = wishes.tables.get(change.table)?;
    let member = wishes.members.get(change.node)?;
    let sources = loaded.get_mut(change.table)?;
    let (rows, bytes) = if table.local_content { (0, 0) } else { (table.size, table.memory) };
    let (action, (milliseconds, stall)) = match change.what {
        What::Add(storage) | What::Store { to: storage, .. } => {
            let here = wishes.case.zone(change.node);
            let nearest = sources.iter().min_by_key(|node| (wishes.case.zone(**node) != here, **node));
            let source = nearest.and_then(|node| wishes.members.get(*node)).unwrap_or(member).node.clone();
            sources.push(change.node);
            (Action::Add { storage, source }, wishes.learned.copy(&table.name, storage, rows, bytes))
        }
        What::Remove(storage) => {
            sources.retain(|node| *node != change.node);
            (Action::Remove { storage }, estimate::copy(storage, 0, 0))
        }
    };
    let waits = match (stall > wishes.policy.max_stall(), wishes.policy.windows.is_empty()) {
        (false, _) => Waits::Nothing,
        (true, false) => Waits::Window,
        (true, true) => Waits::Consent,
    };
    Some(Step {
        number,
        table: table.name.clone(),
        node: member.node.clone(),
        action,
        rows,
        bytes: Bytes(bytes),
        milliseconds,
        stall,
        waits,
    })
}

fn quality(case: &Case, target: &[Vec<usize>]) -> Quality {
    let loads = case.loads(target);
    let (squares_at_least, fullest_at_least) = bound::even(case, target);
    let root = |squares: u128| u64::try_from(squares.isqrt()).unwrap_or(u64::MAX);
    Quality {
        moved: Bytes(case.moved(target)),
        moved_at_least: Bytes(bound::moved(case, target)),
        fullest: Bytes(loads.iter().copied().max().unwrap_or_default()),
        fullest_at_least: Bytes(fullest_at_least),
        unevenness: root(case::squares(&loads)),
        unevenness_at_least: root(squares_at_least),
    }
}
