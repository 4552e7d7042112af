//! Which copies are compared with each other, and what is said of them.

#![expect(clippy::unwrap_used, reason = "helpers of tests")]

mod support;

use std::collections::BTreeMap;

use easy_cluster::explain::diff::{self as words, Compared, Found, Key, Rows};
use easy_cluster::model::name::{NodeName, TableName};
use easy_cluster::model::policy::Policy;
use easy_cluster::model::table::Storage;
use easy_cluster::plan::diff::{Chosen, Comparison, comparisons};
use easy_cluster::validate::policy;
use easy_cluster::validate::problem::{Problem, Tables};
use support::{HERE, Lab, THERE, THIRD};

const ALL: [&str; 3] = [HERE, THERE, THIRD];

/// Three members; tables of each class, of which one has a single copy.
fn lab() -> Lab {
    let mut lab = Lab::joined(&[THERE, THIRD]);
    lab.table("users", Storage::DiscCopies, &ALL, &[HERE, THERE], 1000).memory = 10 << 20;
    lab.table("rooms", Storage::DiscOnlyCopies, &ALL, &[THERE, THIRD], 10);
    lab.table("lonely", Storage::DiscCopies, &ALL, &[THERE], 10);
    lab.table("session", Storage::RamCopies, &ALL, &ALL, 10);
    lab.table("own", Storage::DiscCopies, &ALL, &ALL, 10).local_content = true;
    lab
}

fn chosen(lab: &Lab, node: Option<&str>) -> Chosen {
    comparisons(&lab.snapshot(), &Policy::default(), node.map(NodeName::from).as_ref()).unwrap()
}

fn found(lab: &Lab, node: Option<&str>) -> Vec<Comparison> {
    chosen(lab, node).comparisons
}

fn not_compared(node: &str, tables: &[&str], reason: &str) -> Problem {
    let tables = Tables(tables.iter().map(|name| TableName::from(*name)).collect());
    Problem::NodeNotCompared { node: node.into(), tables, reason: reason.into() }
}

#[test]
fn durable_tables_with_several_copies_are_compared_small_ones_first() {
    let found = found(&lab(), None);
    let tables: Vec<_> = found.iter().map(|each| (each.table.as_str(), each.nodes.len())).collect();
    assert_eq!(tables, [("rooms", 2), ("users", 2)]);
    // 10 kB a row: 4 MB are 400 of them.
    assert_eq!((found[1].piece, found[1].bits), (400, 8));
}

#[test]
fn which_tables_are_durable_a_policy_may_say() {
    let said = "tables:\n  users: {class: derived}\n  session: {class: durable}\n  own: {class: durable}\n";
    let policy = policy::parse(said).unwrap();
    let found = comparisons(&lab().snapshot(), &policy, None).unwrap().comparisons;
    assert_eq!(found.iter().map(|each| each.table.as_str()).collect::<Vec<_>>(), ["rooms", "session"]);
}

#[test]
fn of_a_node_only_its_copies_and_those_here() {
    assert_eq!(found(&lab(), Some(THIRD)), []);
    let there = found(&lab(), Some(THERE));
    assert_eq!(there.iter().map(|each| each.table.as_str()).collect::<Vec<_>>(), ["users"]);
}

#[test]
fn a_copy_that_is_not_loaded_is_not_compared() {
    let mut lab = Lab::joined(&[THERE, THIRD]);
    let only_here = lab.set(&[HERE]);
    lab.table("users", Storage::DiscCopies, &ALL, &[HERE, THERE], 1000).active = only_here;
    let problems = vec![not_compared(THERE, &["users"], "not loaded there")];
    assert_eq!(chosen(&lab, None), Chosen { comparisons: Vec::new(), not_compared: problems });
}

#[test]
fn a_member_that_says_nothing_is_named_and_the_others_are_compared() {
    let mut lab = Lab::joined(&[THERE, THIRD]);
    lab.table("users", Storage::DiscCopies, &ALL, &ALL, 10);
    lab.table("rooms", Storage::DiscCopies, &ALL, &[HERE, THERE], 10);
    lab.table("lonely", Storage::DiscCopies, &ALL, &[THERE], 10);
    lab.silence(THERE);
    let Chosen { comparisons, not_compared } = chosen(&lab, None);
    assert_eq!(comparisons.len(), 1);
    assert_eq!(comparisons[0].nodes, [HERE.into(), THIRD.into()]);
    assert!(
        matches!(&not_compared[..], [Problem::NodeNotCompared { node, tables, .. }]
            if node.as_str() == THERE && tables.0.len() == 2),
        "{not_compared:?}"
    );
    assert_eq!(chosen(&lab, Some(THIRD)).not_compared, []);
}

#[test]
fn a_stranger_is_refused() {
    let refused =
        comparisons(&lab().snapshot(), &Policy::default(), Some(&"x@nowhere.else".into())).unwrap_err();
    assert!(matches!(refused, Problem::NotAMember { node, .. } if node.as_str() == "x@nowhere.else"));
}

fn rows(differing: Vec<Key>) -> Found {
    Found::Rows(Box::new(Rows {
        rows: BTreeMap::from([(HERE.into(), 3), (THERE.into(), 2)]),
        left_out: 0,
        count: differing.len() as u64,
        differing,
        unsettled: 0,
        more: false,
    }))
}

fn compared(table: &str, found: Found) -> Compared {
    Compared { table: table.into(), nodes: vec![HERE.into(), THERE.into()], found }
}

fn key(key: &str, absent: &[&str], versions: &[&[&str]]) -> Key {
    let nodes = |names: &[&str]| names.iter().map(|name| NodeName::from(*name)).collect::<Vec<_>>();
    Key {
        key: key.into(),
        absent: nodes(absent),
        versions: versions.iter().map(|each| nodes(each)).collect(),
    }
}

#[test]
fn what_is_the_same_is_one_line() {
    let all = [compared("users", rows(Vec::new())), compared("rooms", rows(Vec::new()))];
    assert_eq!(words::words(&all, true), "2 tables compared, 10 rows: 2 the same everywhere\n");
}

#[test]
fn each_key_says_who_has_what() {
    let differing = vec![key("{u,1}", &[THERE], &[&[HERE]]), key("2\u{1b}[2J", &[], &[&[HERE], &[THERE]])];
    let text = words::words(&[compared("users", rows(differing))], true);
    assert!(text.contains(&format!("users: 2 keys differ (2 on {THERE}, 3 on {HERE})")), "{text}");
    assert!(text.contains(&format!("    {{u,1}}  only on {HERE}, missing on {THERE}\n")), "{text}");
    assert!(text.contains(&format!("  {HERE} against {THERE}\n")), "{text}");
    assert!(!text.contains('\u{1b}'), "a key must not move the cursor: {text:?}");
}

#[test]
fn many_keys_are_counted() {
    let differing: Vec<_> = (0..25).map(|i| key(&i.to_string(), &[THERE], &[&[HERE]])).collect();
    let text = words::words(&[compared("users", rows(differing))], true);
    assert_eq!(text.matches("only on").count(), 10);
    assert!(text.ends_with("    and 15 more\n"), "{text}");
}

#[test]
fn a_table_that_could_not_be_compared_says_why() {
    let failed = |reason: &str| Found::Failed { node: THERE.into(), reason: reason.into() };
    let all = [
        compared("users", failed("undef")),
        compared("rooms", rows(Vec::new())),
        compared("more", failed("undef")),
    ];
    let silent = not_compared(THIRD, &["rooms"], "timeout");
    let problems = words::problems(&all, vec![silent.clone()]);
    assert_eq!(problems, [silent, not_compared(THERE, &["users", "more"], "it has no easy_cluster")]);
    let text = words::words(&all, problems.is_empty());
    assert!(
        text.starts_with("1 table compared, 5 rows: 1 the same on the nodes that were compared\n"),
        "{text}"
    );
    assert!(text.contains(&format!("  users: not compared: {THERE}: undef\n")), "{text}");
}
