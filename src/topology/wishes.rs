//! What a policy means for the cluster that there is, and what of it cannot be.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use super::case::{Case, NodeCase, Place, Room, TableCase, most_common};
use crate::model::catalogue::{Class, FENCE};
use crate::model::name::{NodeName, TableName};
use crate::model::policy::{At, Copies, NodeWish, Policy, Role, TableWish};
use crate::model::snapshot::{Facts, Running};
use crate::model::table::{AccessMode, Storage, Table, TableType};
use crate::plan::estimate::Learned;
use crate::validate::capacity::{DETS_LIMIT, DETS_MARGIN};
use crate::validate::problem::{Bytes, Lines, Nodes, Problem, Tables};
use crate::validate::view::View;

/// A member, its facts and its wishes.
pub(super) struct Member<'a> {
    pub(super) node: &'a NodeName,
    /// `None` where it does not answer or its Mnesia does not run.
    pub(super) facts: Option<&'a Facts>,
    pub(super) wish: Option<&'a NodeWish>,
    pub(super) role: Role,
    /// What its copies take now.
    pub(super) used: Room,
}

/// A cluster and its policy.
pub(super) struct Wishes<'a> {
    pub(super) policy: &'a Policy,
    /// What copies took before.
    pub(super) learned: Learned<'a>,
    pub(super) members: Vec<Member<'a>>,
    pub(super) tables: Vec<&'a Table>,
    pub(super) classes: Vec<Class>,
    pub(super) case: Case,
    /// Members with a loaded copy, by table.
    pub(super) loaded: Vec<Vec<usize>>,
    pub(super) problems: Vec<Problem>,
    warnings: Vec<Problem>,
    /// Tables that should be stored otherwise and cannot be.
    stored: Vec<usize>,
}

/// The line of a table that is left alone as it has to wait, and not because the policy says so.
pub(crate) const WAITS: u32 = 0;

/// Tables that want too many copies: how many, from whom, and where that is said.
type TooFew = BTreeMap<(Lines2, u32, Vec<usize>), Vec<TableName>>;
type Lines2 = Vec<u32>;

impl<'a> Wishes<'a> {
    pub(super) fn new(view: &View<'a>, policy: &'a Policy) -> Self {
        let members: Vec<Member<'a>> = members(view, policy);
        let index: HashMap<&NodeName, usize> =
            members.iter().enumerate().map(|(number, member)| (member.node, number)).collect();
        let mut tables: Vec<&Table> = view.tables_of(view.here()).collect();
        tables.sort_unstable_by(|a, b| a.name.cmp(&b.name));
        let mut wishes = Self {
            policy,
            learned: Learned::new(view.copied()),
            classes: Vec::with_capacity(tables.len()),
            case: Case { nodes: nodes(&members), tables: Vec::with_capacity(tables.len()), zones: 0 },
            loaded: Vec::with_capacity(tables.len()),
            members,
            tables,
            problems: Vec::new(),
            warnings: Vec::new(),
            stored: Vec::new(),
        };
        wishes.case.zones = wishes.case.nodes.iter().map(|node| node.zone + 1).max().unwrap_or(0);
        let mut reading = Reading {
            view,
            index: &index,
            sets: HashMap::new(),
            table_wishes: policy.tables.iter().map(|wish| (&wish.table.value, wish)).collect(),
            alone: policy.leave_alone.iter().map(|at| &at.value).collect(),
            masters: (0..wishes.members.len()).filter(|n| wishes.may_be_a_holder(*n)).collect(),
            too_few: TooFew::new(),
            not_movable: BTreeMap::new(),
        };
        for table in wishes.tables.clone() {
            wishes.table(&mut reading, table);
        }
        let Reading { too_few, not_movable, .. } = reading;
        wishes.tell_too_few(too_few);
        wishes.warnings.extend(not_movable.into_iter().map(|(reason, tables)| Problem::PolicyNotMovable {
            tables: Tables(tables),
            reason: reason.into(),
        }));
        wishes.tell_unknown();
        wishes.tell_down();
        wishes.limits();
        wishes
    }

    /// Masters that have, as far as is known, a disc for what lasts.
    fn may_be_a_holder(&self, node: usize) -> bool {
        self.members.get(node).is_some_and(|member| member.role == Role::Master && !is_diskless(member))
    }

    /// Masters and slaves that run.
    fn serves(&self, node: usize) -> bool {
        self.members.get(node).is_some_and(|member| member.role != Role::Witness && member.facts.is_some())
    }

    fn table(&mut self, reading: &mut Reading<'_, 'a>, table: &'a Table) {
        let wish = reading.table_wishes.get(&table.name).copied();
        let class = self.policy.class_of(table, wish);
        let now = reading.holders(table);
        let loaded = reading.set(table.active).to_vec();
        // A snapshot may have been taken while a node went down: some see it, some do not.
        let is_up = |node: usize| self.members.get(node).is_some_and(|member| member.facts.is_some());
        let frozen = now.iter().any(|(node, _)| loaded.binary_search(node).is_err() || !is_up(*node));
        let (wanted, line) = self.storage(wish, class);
        let usual = most_common(&now, class == Class::Durable);
        // A member that is down knows the old type, and Mnesia cannot merge two types of one copy when it is back.
        let whole = self.members.iter().all(|member| member.facts.is_some());
        let said = if whole { wanted.or(usual) } else { usual.or(wanted) };
        let new = said.unwrap_or(Storage::DiscCopies);
        let excluded = reading.numbers(wish.map_or(&[], |wish| &wish.exclusions));
        let reason = if reading.alone.contains(&table.name) {
            Some(None)
        } else if !reading.set(table.external_copies).is_empty() {
            Some(Some("their backend is not one of Mnesia's own"))
        } else if table.access_mode == AccessMode::ReadOnly {
            Some(Some("they are read-only"))
        } else if loaded.is_empty() && class != Class::Local {
            Some(Some("no copy of them is loaded"))
        } else {
            None
        };
        if let Some(Some(reason)) = reason {
            reading.not_movable.entry(reason).or_default().push(table.name.clone());
        }
        let holders = || now.iter().map(|(node, _)| *node).collect::<Vec<_>>();
        let may_store = |node: &usize| {
            let diskless = self.members.get(*node).is_some_and(is_diskless);
            new == Storage::RamCopies || !diskless || now.iter().any(|(holder, _)| holder == node)
        };
        let everywhere = || {
            (0..self.members.len())
                .filter(|node| self.serves(*node) && !excluded.contains(node))
                .filter(may_store)
        };
        let place = match class {
            _ if reason.is_some() => Place::Fixed(holders()),
            Class::Local if table.name.as_str() == FENCE => {
                let up = (0..self.members.len()).filter(|n| {
                    self.members.get(*n).is_some_and(|member| member.facts.is_some() && !is_diskless(member))
                });
                Place::Fixed(united(holders(), up))
            }
            Class::Local => Place::Fixed(holders()),
            Class::OwnerKeyed | Class::Derived if frozen => Place::Fixed(united(holders(), everywhere())),
            Class::OwnerKeyed | Class::Derived => {
                let serving: Vec<usize> = everywhere().collect();
                // Somebody has to hold it.
                Place::Fixed(if serving.is_empty() { holders() } else { serving })
            }
            Class::Durable => self.durable(reading, table, wish, &now, frozen, excluded),
        };
        let movable = reason.is_none() && class != Class::Local;
        if movable {
            self.storage_fits(table, (new, line), wanted.is_some(), &now, &place);
        }
        let (place, kept_on_disc) = match wanted {
            Some(_) if whole => (place, None),
            Some(_) | None if class == Class::Durable => self.kept_on_disc(&now, place, whole),
            Some(_) | None => (place, None),
        };
        self.classes.push(class);
        self.loaded.push(loaded);
        let change = wanted.or(kept_on_disc).filter(|_| movable && whole && !frozen);
        self.case.tables.push(TableCase {
            bytes: table.memory,
            now,
            change,
            new,
            is_said: wanted.is_some(),
            lasts: class == Class::Durable,
            place,
        });
    }

    /// Where some copies are on disc and some in memory, one of those on disc stays; if none can, all that stay go to disc, and until all
    /// members are there to learn of that, those on disc stay.
    fn kept_on_disc(&self, now: &[(usize, Storage)], place: Place, whole: bool) -> (Place, Option<Storage>) {
        let in_memory = |(_, storage): &(usize, Storage)| *storage == Storage::RamCopies;
        let on_disc: Vec<usize> = now.iter().filter(|copy| !in_memory(copy)).map(|(node, _)| *node).collect();
        let Place::Chosen { required, excluded, copies } = place else { return (place, None) };
        if on_disc.is_empty() || !now.iter().any(in_memory) || required.iter().any(|n| on_disc.contains(n)) {
            return (Place::Chosen { required, excluded, copies }, None);
        }
        let may = |node: &usize| self.case.may_hold(*node) && !excluded.contains(node);
        match on_disc.iter().copied().find(may).filter(|_| copies > required.len()) {
            Some(keeper) => (Place::Chosen { required: united(required, [keeper]), excluded, copies }, None),
            None if whole => (Place::Chosen { required, excluded, copies }, most_common(now, true)),
            None => {
                let required = united(required, on_disc);
                (Place::Chosen { copies: copies.max(required.len()), required, excluded }, None)
            }
        }
    }

    /// These stay stored as they are, as no copy of them can be made anew. Whether there was one that should not have.
    pub(super) fn stay_stored(&mut self, tables: &[usize]) -> bool {
        let before = self.stored.len();
        for table in tables {
            let Some(facts) = self.case.tables.get_mut(*table) else { continue };
            if facts.change.take().is_some() {
                self.stored.push(*table);
            }
        }
        self.stored.len() > before
    }

    pub(super) fn warnings(&self) -> Vec<Problem> {
        let stored = self.stored.iter().filter_map(|table| self.tables.get(*table));
        let mut tables: Vec<TableName> = stored.map(|table| table.name.clone()).collect();
        tables.sort_unstable();
        let stored = (!tables.is_empty()).then(|| Problem::PolicyNotMovable {
            tables: Tables(tables),
            reason: "a copy is stored otherwise when another member has one on disc meanwhile, and none can"
                .into(),
        });
        self.warnings.iter().cloned().chain(stored).collect()
    }

    fn storage(&self, wish: Option<&TableWish>, class: Class) -> (Option<Storage>, Option<u32>) {
        let said = wish.and_then(|wish| wish.storage).or_else(|| self.policy.storage_of(class));
        (said.map(|at| at.value), said.map(|at| at.line))
    }

    fn durable(
        &mut self,
        reading: &mut Reading<'_, 'a>,
        table: &Table,
        wish: Option<&TableWish>,
        now: &[(usize, Storage)],
        frozen: bool,
        excluded: Vec<usize>,
    ) -> Place {
        let pins = reading.numbers(wish.map_or(&[], |wish| &wish.pins));
        let pinned_up: Vec<usize> = pins
            .iter()
            .copied()
            .filter(|node| self.members.get(*node).is_some_and(|member| member.facts.is_some()))
            .collect();
        let stays = now.iter().map(|(node, _)| *node).filter(|_| frozen);
        let required = united(pinned_up, stays);
        let (copies, line) = self.policy.copies_of(wish);
        let may =
            |node: &&usize| !excluded.contains(node) && !required.contains(node) && !pins.contains(node);
        let others = reading.masters.iter().filter(may);
        let others_up = others.clone().filter(|node| self.case.may_hold(**node)).count();
        let all = pins.iter().chain(&required).collect::<BTreeSet<_>>().len() + others.count();
        let wanted = match copies {
            Copies::All => all.max(1),
            Copies::Exactly(copies) => usize::try_from(copies).unwrap_or(usize::MAX),
        };
        if wanted > all {
            let allowed: BTreeSet<usize> =
                reading.masters.iter().filter(may).chain(&pins).chain(&required).copied().collect();
            let lines =
                line.into_iter().chain(wish.into_iter().flat_map(|w| w.exclusions.iter().map(|at| at.line)));
            let key = (
                Lines::of(lines).0,
                u32::try_from(wanted).unwrap_or(u32::MAX),
                allowed.into_iter().collect(),
            );
            reading.too_few.entry(key).or_default().push(table.name.clone());
        }
        let copies = wanted.min(required.len() + others_up).max(required.len());
        if copies == 0 {
            return Place::Fixed(now.iter().map(|(node, _)| *node).collect());
        }
        Place::Chosen { required, excluded, copies }
    }

    /// Whether a table can be stored so, where it shall be.
    fn storage_fits(
        &mut self,
        table: &Table,
        (storage, line): (Storage, Option<u32>),
        is_said: bool,
        now: &[(usize, Storage)],
        place: &Place,
    ) {
        let mut cannot = |reason: String| {
            self.problems.push(Problem::PolicyStorage {
                table: table.name.to_string(),
                storage: storage.as_str().into(),
                reason,
                lines: Lines::of(line),
            });
        };
        let is_new = |node: &&usize| !now.iter().any(|(holder, _)| holder == *node);
        if is_said && storage == Storage::DiscOnlyCopies && table.table_type == TableType::OrderedSet {
            cannot("dets has no ordered_set".into());
        }
        let (Place::Fixed(nodes) | Place::Chosen { required: nodes, .. }) = place;
        if storage != Storage::RamCopies {
            let stored = nodes.iter().filter(|node| is_said || is_new(node));
            for node in stored.filter_map(|node| self.members.get(*node)).filter(|member| is_diskless(member))
            {
                cannot(format!("the schema of {} is in memory only", node.node));
            }
        }
        if is_said && storage == Storage::DiscOnlyCopies && table.memory > DETS_LIMIT - DETS_MARGIN {
            self.problems.push(Problem::DetsLimit {
                table: table.name.clone(),
                bytes: Bytes(table.memory),
                limit: Bytes(DETS_LIMIT),
            });
        }
    }

    fn tell_too_few(&mut self, too_few: TooFew) {
        let not_masters: Vec<u32> = self
            .members
            .iter()
            .filter(|member| member.role != Role::Master)
            .filter_map(|member| Some(member.wish?.role?.line))
            .collect();
        for ((lines, copies, may), tables) in too_few {
            let may =
                may.into_iter().filter_map(|node| self.members.get(node)).map(|m| m.node.clone()).collect();
            self.problems.push(Problem::PolicyTooFewNodes {
                tables: Tables(tables),
                copies,
                may: Nodes(may),
                lines: Lines::of(lines.into_iter().chain(not_masters.iter().copied())),
            });
        }
    }

    fn tell_unknown(&mut self) {
        let members: HashSet<&NodeName> = self.members.iter().map(|member| member.node).collect();
        let tables: HashSet<&TableName> = self.tables.iter().map(|table| &table.name).collect();
        let policy = self.policy;
        let in_tables = policy.tables.iter().flat_map(|wish| wish.pins.iter().chain(&wish.exclusions));
        let nodes = policy.nodes.iter().map(|wish| &wish.node).chain(in_tables);
        let unknown = nodes.filter(|at| !members.contains(&at.value));
        self.warnings.extend(
            unknown.map(|At { value, line }| Problem::PolicyUnknownNode { node: value.clone(), line: *line }),
        );
        let named = policy.tables.iter().map(|wish| &wish.table).chain(&policy.leave_alone);
        let unknown = named.filter(|at| !tables.contains(&at.value));
        self.warnings.extend(
            unknown
                .map(|At { value, line }| Problem::PolicyUnknownTable { table: value.clone(), line: *line }),
        );
    }

    fn tell_down(&mut self) {
        for (number, member) in self.members.iter().enumerate().filter(|(_, member)| member.facts.is_none()) {
            let tables = self.case.tables.iter().filter(|table| table.is_held_by(number)).count() as u64;
            self.warnings.push(Problem::PolicyWaits { node: member.node.clone(), tables });
        }
    }

    /// What each node may take: what the policy says, and what is there and free. More than that may be asked for already.
    fn limits(&mut self) {
        let mut certain = vec![Room::default(); self.members.len()];
        // What has to wait for now may be what the limit is about.
        let waiting: HashSet<&TableName> =
            self.policy.leave_alone.iter().filter(|at| at.line == WAITS).map(|at| &at.value).collect();
        let mut waits = vec![false; self.members.len()];
        for (table, facts) in self.case.tables.iter().zip(&self.tables) {
            for (node, storage) in &table.now {
                if let Some(cell) = waits.get_mut(*node) {
                    *cell |= waiting.contains(&facts.name);
                }
                if let Some(member) = self.members.get_mut(*node) {
                    member.used = member.used.plus(Room::of(*storage, table.bytes));
                }
            }
            let (Place::Fixed(nodes) | Place::Chosen { required: nodes, .. }) = &table.place;
            for node in nodes {
                if let Some(room) = certain.get_mut(*node) {
                    *room = room.plus(table.room_on(*node));
                }
            }
        }
        for (number, (needed, waits)) in certain.into_iter().zip(waits).enumerate() {
            let (Some(member), Some(node)) = (self.members.get(number), self.case.nodes.get_mut(number))
            else {
                continue;
            };
            let said = |at: Option<At<Option<u64>>>| at.and_then(|at| at.value).unwrap_or(u64::MAX);
            let free = |used: u64, free: Option<u64>| free.map_or(u64::MAX, |free| used.saturating_add(free));
            let (memory, disk) = (member.wish.and_then(|w| w.memory), member.wish.and_then(|w| w.disk));
            node.limit = Room {
                memory: said(memory).min(free(member.used.memory, member.facts.and_then(|f| f.memory_free))),
                disk: said(disk).min(free(member.used.disk, member.facts.and_then(|f| f.disk_free))),
            };
            if waits {
                let Room { memory, disk } = node.limit;
                node.limit = Room { memory: memory.max(needed.memory), disk: disk.max(needed.disk) };
            }
            let limit = node.limit;
            let lines = |at: Option<At<Option<u64>>>| {
                Lines::of(at.map(|at| at.line).into_iter().chain(self.policy.copies.map(|at| at.line)))
            };
            if needed.memory > limit.memory {
                self.problems.push(Problem::PolicyNoMemory {
                    node: member.node.clone(),
                    needed: Bytes(needed.memory),
                    limit: Bytes(limit.memory),
                    lines: lines(memory),
                });
            }
            if needed.disk > limit.disk {
                self.problems.push(Problem::PolicyNoDisk {
                    node: member.node.clone(),
                    needed: Bytes(needed.disk),
                    limit: Bytes(limit.disk),
                    lines: lines(disk),
                });
            }
        }
    }
}

fn is_diskless(member: &Member<'_>) -> bool {
    member.facts.is_some_and(|facts| !facts.use_dir)
}

fn members<'a>(view: &View<'a>, policy: &'a Policy) -> Vec<Member<'a>> {
    let wishes: HashMap<&NodeName, &NodeWish> =
        policy.nodes.iter().map(|wish| (&wish.node.value, wish)).collect();
    // The sets of a snapshot are sorted.
    let nodes = view.set(view.here_facts().db_nodes).iter();
    nodes
        .map(|node| {
            let wish = wishes.get(node).copied();
            Member {
                node,
                facts: view.facts(node).filter(|facts| facts.mnesia == Running::Yes),
                wish,
                role: wish.and_then(|wish| wish.role).map_or(Role::Master, |role| role.value),
                used: Room::default(),
            }
        })
        .collect()
}

/// Who has no zone is in one with all others that have none.
fn nodes(members: &[Member<'_>]) -> Vec<NodeCase> {
    let zone_of =
        |member: &Member<'_>| member.wish.and_then(|w| w.zone.as_ref()).map(|zone| zone.value.clone());
    let zones: BTreeSet<Option<String>> = members.iter().map(zone_of).collect();
    let zones: Vec<Option<String>> = zones.into_iter().collect();
    members
        .iter()
        .map(|member| NodeCase {
            zone: zones.binary_search(&zone_of(member)).unwrap_or(0),
            may_hold: member.role == Role::Master && member.facts.is_some() && !is_diskless(member),
            limit: Room::ENDLESS,
        })
        .collect()
}

/// What is asked of the snapshot and the policy again and again.
struct Reading<'r, 'a> {
    view: &'r View<'a>,
    index: &'r HashMap<&'a NodeName, usize>,
    /// Sets of nodes as numbers, each made once.
    sets: HashMap<u32, Vec<usize>>,
    table_wishes: HashMap<&'a TableName, &'a TableWish>,
    alone: HashSet<&'a TableName>,
    masters: Vec<usize>,
    too_few: TooFew,
    not_movable: BTreeMap<&'static str, Vec<TableName>>,
}

impl Reading<'_, '_> {
    fn set(&mut self, set: u32) -> &[usize] {
        let (view, index) = (self.view, self.index);
        self.sets.entry(set).or_insert_with(|| {
            let mut numbers: Vec<usize> =
                view.set(set).iter().filter_map(|node| index.get(node).copied()).collect();
            numbers.sort_unstable();
            numbers
        })
    }

    fn holders(&mut self, table: &Table) -> Vec<(usize, Storage)> {
        let kinds = [
            (Storage::RamCopies, table.ram_copies),
            (Storage::DiscCopies, table.disc_copies),
            (Storage::DiscOnlyCopies, table.disc_only_copies),
        ];
        let mut holders = Vec::new();
        for (storage, set) in kinds {
            holders.extend(self.set(set).iter().map(|node| (*node, storage)));
        }
        holders.sort_unstable();
        holders
    }

    fn numbers(&self, names: &[At<NodeName>]) -> Vec<usize> {
        let mut numbers: Vec<usize> =
            names.iter().filter_map(|at| self.index.get(&at.value).copied()).collect();
        numbers.sort_unstable();
        numbers
    }
}

fn united(nodes: Vec<usize>, more: impl IntoIterator<Item = usize>) -> Vec<usize> {
    let all: BTreeSet<usize> = nodes.into_iter().chain(more).collect();
    all.into_iter().collect()
}
