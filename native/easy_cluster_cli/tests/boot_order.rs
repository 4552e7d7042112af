//! `easy-cluster boot-order` on directories of real nodes, a, b and c, which were stopped in this order.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

fn fixture(release: u8, node: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../../tests/fixtures/boot/otp{release}/{node}"))
}

fn told(directories: &[PathBuf], arguments: &[&str]) -> (Option<i32>, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_easy-cluster"));
    let done =
        command.arg("boot-order").args(arguments).args(directories).output().expect("the program runs");
    (done.status.code(), String::from_utf8(done.stdout).unwrap())
}

fn report(directories: &[PathBuf]) -> (Option<i32>, Value) {
    let (status, text) = told(directories, &["--json"]);
    (status, serde_json::from_str(&text).unwrap())
}

fn codes(report: &Value) -> Vec<&str> {
    report["findings"].as_array().unwrap().iter().map(|found| found["code"].as_str().unwrap()).collect()
}

#[test]
fn the_last_one_is_the_first_to_start() {
    for release in [25, 27, 29] {
        let (status, text) = told(&["a", "b", "c"].map(|node| fixture(release, node)), &[]);
        assert_eq!(status, Some(0), "{text}");
        let place = |words: &str| text.find(words).unwrap_or_else(|| panic!("no {words} in {text}"));
        assert!(
            place("1. c@localhost") < place("2. b@localhost")
                && place("2. b@localhost") < place("3. a@localhost")
        );
        place("when all of these are up, all their tables are loaded");
        place("alone it waits for b@localhost, c@localhost, which may be newer: 1 table (users)");
    }
}

#[test]
fn a_last_one_that_is_missing_is_told_and_how_to_go_on() {
    let (status, report) = report(&["a", "b"].map(|node| fixture(29, node)));
    assert_eq!((status, codes(&report)), (Some(1), vec!["last_node_missing", "only_copy_missing"]));
    let details = &report["findings"][0]["details"];
    assert_eq!(
        (&details["best"], &details["tables"]),
        (&"b@localhost".into(), &serde_json::json!(["users"]))
    );
    assert!(report["findings"][0]["fix"].as_str().unwrap().contains("easy_cluster:force_boot()"));
}

#[test]
fn what_is_no_database_is_told_and_the_others_are_judged() {
    let folder = tempfile::tempdir().unwrap();
    let (status, report) = report(&[
        fixture(25, "c"),
        folder.path().into(),
        fixture(25, "a"),
        fixture(25, "b"),
        fixture(27, "a"),
    ]);
    assert_eq!((status, codes(&report)), (Some(1), vec!["not_a_database", "database_twice"]));
    assert_eq!(report["order"]["start"].as_array().unwrap().len(), 3);
}

#[test]
fn a_torn_log_is_a_warning() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["schema.DAT", "DECISION_TAB.LOG", "LATEST.LOG"] {
        let bytes = fs::read(fixture(27, "a").join(name)).unwrap();
        let torn = if name == "LATEST.LOG" { bytes.len() - 1 } else { bytes.len() };
        fs::write(folder.path().join(name), &bytes[..torn]).unwrap();
    }
    let (status, report) = report(&[folder.path().into(), fixture(27, "b"), fixture(27, "c")]);
    assert_eq!((status, codes(&report)), (Some(3), vec!["mnesia_log_damaged"]));
}

#[test]
fn without_a_directory_the_arguments_are_wrong() {
    assert_eq!(told(&[], &[]).0, Some(2));
}
