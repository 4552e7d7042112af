//! Wishes that exclude each other, whatever the cluster looks like.

use crate::model::catalogue::{self, Class};
use crate::model::policy::{At, Copies, Policy, Role, TableWish};
use crate::model::table::Storage;
use crate::validate::problem::{Lines, Nodes, Problem};

pub(super) fn problems(policy: &Policy) -> Vec<Problem> {
    let of_tables = policy.tables.iter().flat_map(|wish| of_table(policy, wish));
    of_classes(policy).into_iter().chain(of_tables).collect()
}

/// Rows of processes must not outlive their processes.
fn of_classes(policy: &Policy) -> Option<Problem> {
    let storage =
        policy.storage_of(Class::OwnerKeyed).filter(|storage| storage.value != Storage::RamCopies)?;
    Some(Problem::PolicyStorage {
        table: "owner_keyed".into(),
        storage: storage.value.as_str().into(),
        reason: OF_PROCESSES.into(),
        lines: Lines::of([storage.line]),
    })
}

/// Why rows of processes belong in memory.
const OF_PROCESSES: &str = "its rows belong to processes, which are gone when the node comes back with them";

fn of_table(policy: &Policy, wish: &TableWish) -> Vec<Problem> {
    let table = &wish.table.value;
    let mut problems = Vec::new();
    for pin in &wish.pins {
        if let Some(excluded) = wish.exclusions.iter().find(|other| other.value == pin.value) {
            problems.push(Problem::PolicyPinExcluded {
                table: table.clone(),
                node: pin.value.clone(),
                lines: Lines::of([pin.line, excluded.line]),
            });
        }
        let role = policy.node(&pin.value).and_then(|node| node.role);
        if let Some(role) = role.filter(|role| role.value == Role::Witness) {
            problems.push(Problem::PolicyPinOnWitness {
                table: table.clone(),
                node: pin.value.clone(),
                lines: Lines::of([pin.line, role.line]),
            });
        }
    }
    problems.extend(too_many_pins(policy, wish));
    if let Some(alone) = policy.leave_alone.iter().find(|alone| alone.value == *table) {
        problems.push(Problem::PolicyLeftAlone {
            table: table.clone(),
            lines: Lines::of([alone.line, wish.table.line]),
        });
    }
    problems.extend(of_class(wish));
    problems
}

fn too_many_pins(policy: &Policy, wish: &TableWish) -> Option<Problem> {
    let (Copies::Exactly(copies), line) = policy.copies_of(Some(wish)) else { return None };
    let pins = wish.pins.iter().map(|pin| pin.value.clone()).collect::<Vec<_>>();
    let lines = wish.pins.iter().map(|pin| pin.line).chain(line);
    (pins.len() > usize::try_from(copies).unwrap_or(usize::MAX)).then(|| Problem::PolicyPinsAboveCopies {
        table: wish.table.value.clone(),
        pins: Nodes(pins),
        copies,
        lines: Lines::of(lines),
    })
}

/// A class that is given, or known by the name, and what does not go with it.
fn of_class(wish: &TableWish) -> Vec<Problem> {
    let table = &wish.table.value;
    let class = wish.class.map_or_else(|| catalogue::class(table), |class| class.value);
    let class_line = wish.class.map(|class| class.line);
    let mut problems = Vec::new();
    if let Some(storage) =
        wish.storage.filter(|s| class == Class::OwnerKeyed && s.value != Storage::RamCopies)
    {
        problems.push(Problem::PolicyStorage {
            table: table.to_string(),
            storage: storage.value.as_str().into(),
            reason: OF_PROCESSES.into(),
            lines: Lines::of([storage.line].into_iter().chain(class_line)),
        });
    }
    let copies = wish.copies.filter(|copies| copies.value != Copies::All).map(|copies| copies.line);
    let pins = wish.pins.iter().map(|At { line, .. }| *line);
    let placed: Vec<u32> = copies.into_iter().chain(pins).collect();
    if !placed.is_empty() && matches!(class, Class::OwnerKeyed | Class::Derived) {
        problems.push(Problem::PolicyNotDurable {
            table: table.clone(),
            class: class.as_str().into(),
            lines: Lines::of(placed.into_iter().chain(class_line)),
        });
    }
    problems
}
