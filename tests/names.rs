//! Names of tables are shown, and never obeyed by the terminal.

mod support;

use std::collections::BTreeMap;

use easy_cluster::explain::diff::{Compared, Found, Rows};
use easy_cluster::explain::{self, errors};
use easy_cluster::model::name::TableName;
use easy_cluster::model::request::Operation;
use easy_cluster::model::table::Storage::{DiscCopies, RamCopies};
use easy_cluster::operation;
use easy_cluster::plan::backup::{self, Folder};
use easy_cluster::validate::problem::{Problem, Tables};
use support::{HERE, Lab, THERE};

const NAME: &str = "new\nline\x1b[2J\u{202e}";
const SHOWN: &str = "new\\nline\\x{1b}[2J\\x{202e}";

fn shown(text: &str) {
    assert!(text.contains(SHOWN), "{text}");
    let hidden = |c: char| c != '\n' && (c.is_control() || c == '\u{202e}');
    assert!(!text.contains(hidden) && !text.contains("new\n"), "{text:?}");
}

fn table(lab: &mut Lab, holders: &[&str]) {
    lab.table(NAME, DiscCopies, &[THERE], holders, 1_000_000);
    lab.table("session\nof", RamCopies, &[THERE], holders, 3);
}

#[test]
fn plans_show_them() {
    let mut lab = Lab::new(&[THERE]);
    table(&mut lab, &[THERE]);
    shown(&explain::plan::plan(
        &operation::make(&lab.inputs(Operation::JoinAsMaster(THERE.into()))).unwrap(),
    ));
}

#[test]
fn reports_show_them() {
    let mut lab = Lab::joined(&[THERE]);
    lab.table(NAME, DiscCopies, &[HERE, THERE], &[HERE, THERE], 3);
    lab.table("session", RamCopies, &[HERE, THERE], &[HERE, THERE], 3);
    shown(&explain::tables::matrix(&lab.snapshot(), None).unwrap().text);
    let rows = Rows {
        rows: BTreeMap::from([(HERE.into(), 3), (THERE.into(), 4)]),
        left_out: 0,
        differing: Vec::new(),
        count: 1,
        unsettled: 0,
        more: false,
    };
    let compared = |found| Compared { table: NAME.into(), nodes: vec![HERE.into(), THERE.into()], found };
    shown(&explain::diff::words(&[compared(Found::Rows(Box::new(rows)))], true));
    shown(&explain::diff::words(
        &[compared(Found::Failed { node: HERE.into(), reason: "a\x1bb".into() })],
        false,
    ));
    let folder = Folder { path: "/backups".into(), found: None, free: None };
    let mut left_out = backup::make(&lab.snapshot(), &folder).unwrap();
    left_out.left_out.push(backup::LeftOut { name: NAME.into(), reason: backup::Reason::External });
    shown(&explain::backup::words(&left_out, "/backups"));
}

#[test]
fn problems_and_their_lists_show_them() {
    let one = Problem::ExternalTable { table: NAME.into() };
    shown(&one.to_string());
    shown(&errors::problems(&[one]));
    shown(&Tables(vec![NAME.into()]).to_string());
    assert_eq!(format!("{:>12}|", TableName::from("roster")), "      roster|");
}
