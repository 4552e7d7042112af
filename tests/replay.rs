//! What the fuzzer has found, once more: the properties of tests/fuzz hold for every file that it has kept.

#![expect(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, reason = "helpers of tests")]

use std::fs;

#[path = "fuzz/properties/boot.rs"]
mod boot;
#[path = "fuzz/properties/decode.rs"]
mod decode;
#[path = "fuzz/properties/log.rs"]
mod log;
#[path = "fuzz/properties/machine.rs"]
mod machine;

/// The files of a target, of which there are some.
fn corpus(target: &str) -> Vec<Vec<u8>> {
    let folder = format!("{}/tests/fuzz/corpus/{target}", env!("CARGO_MANIFEST_DIR"));
    let files = fs::read_dir(folder).unwrap().map(|file| fs::read(file.unwrap().path()).unwrap());
    let files: Vec<_> = files.collect();
    assert!(files.len() > 50, "{target}: {} files", files.len());
    files
}

#[test]
fn every_file_of_a_machine_is_read_as_promised() {
    corpus("machine").iter().for_each(|bytes| machine::hold(bytes));
}

#[test]
fn every_log_is_explained_as_promised() {
    corpus("log").iter().for_each(|bytes| log::hold(bytes));
}

#[test]
fn every_term_is_answered_as_promised() {
    corpus("decode").iter().for_each(|bytes| decode::hold(bytes));
}

#[test]
fn every_database_is_read_as_promised() {
    corpus("boot").iter().for_each(|bytes| boot::hold(bytes));
}
