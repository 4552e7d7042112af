//! `easy-cluster explain` as a person or a script runs it.

#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

fn explain(arguments: &[&str], input: &[u8]) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_easy-cluster"))
        .arg("explain")
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // A program that refuses its arguments does not read.
    let _ = child.stdin.take().unwrap().write_all(input);
    child.wait_with_output().unwrap()
}

fn recorded(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/logs").join(name)
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

#[test]
fn a_file_with_a_known_text_is_explained() {
    let output = explain(&[recorded("otp25_split_other_side.log").to_str().unwrap()], b"");
    assert_eq!(output.status.code(), Some(0));
    let text = stdout(&output);
    assert!(text.contains("split_while_running") && text.contains("split_at_start"), "{text}");
    assert!(text.contains("cause") && text.contains("fix"), "{text}");
}

#[test]
fn the_standard_input_is_explained() {
    for arguments in [&[] as &[&str], &["-"]] {
        let output = explain(arguments, b"Failed RPC connection to the node ejabberd@localhost: nodedown\n");
        assert_eq!(output.status.code(), Some(0));
        assert!(stdout(&output).contains("rpc_nodedown"), "{}", stdout(&output));
    }
}

#[test]
fn json_has_all_that_the_words_have() {
    let output = explain(&["--json"], b"x\n{aborted,{no_majority,roster}}\n");
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["lines"], 2);
    let sighting = &report["sightings"][0];
    assert_eq!(sighting["code"], "no_majority");
    assert_eq!(sighting["line"], 2);
    for key in ["text", "layer", "severity", "evidence", "cause", "fix", "link"] {
        assert!(sighting[key].as_str().is_some_and(|text| !text.is_empty()), "{key}");
    }
}

#[test]
fn a_healthy_log_is_said_to_have_nothing_known() {
    let output = explain(&[recorded("ejabberd2301_healthy.log").to_str().unwrap()], b"");
    assert_eq!(output.status.code(), Some(1));
    assert!(stdout(&output).starts_with("not_recognised"), "{}", stdout(&output));
    let output = explain(&["--json"], b"");
    assert_eq!(output.status.code(), Some(1));
}

#[test]
fn what_cannot_be_read_is_told() {
    for (file, reason) in
        [("/no/such/file", "no such file"), ("/", "is a directory"), ("/dev/null", "not a regular file")]
    {
        let output = explain(&[file], b"");
        assert_eq!(output.status.code(), Some(2), "{file}");
        assert!(stderr(&output).contains(reason), "{}", stderr(&output));
    }
    assert_eq!(explain(&["--no-such-option"], b"").status.code(), Some(2));
    assert_eq!(explain(&[""], b"").status.code(), Some(2));
}

#[test]
fn a_log_that_gzip_compressed_is_read_and_others_are_told_with_their_command() {
    let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packer.write_all(b"{aborted,{no_majority,roster}}\n").unwrap();
    let packed = packer.finish().unwrap();
    let output = explain(&[], &[packed.clone(), packed.clone()].concat());
    assert_eq!(output.status.code(), Some(0));
    assert!(
        stdout(&output).contains("no_majority (membership, error)") && stdout(&output).contains("2 times"),
        "{}",
        stdout(&output)
    );
    let output = explain(&[], &packed[..packed.len() / 2]);
    assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));

    let folder = tempfile::tempdir().unwrap();
    for (magic, command) in
        [(&b"\xfd7zXZ\0"[..], "xzcat"), (&b"\x28\xb5\x2f\xfd"[..], "zstdcat"), (&b"BZh91AY"[..], "bzcat")]
    {
        let file = folder.path().join("a.log");
        std::fs::write(&file, magic).unwrap();
        let output = explain(&[file.to_str().unwrap()], b"");
        assert_eq!(output.status.code(), Some(2));
        let told = format!("{command} '{}' | easy-cluster explain -", file.display());
        assert!(stderr(&output).contains(&told), "{}", stderr(&output));
    }
}

#[test]
fn several_files_are_told_one_after_another() {
    let (split, healthy) = (recorded("otp25_split_other_side.log"), recorded("ejabberd2301_healthy.log"));
    let files = [split.to_str().unwrap(), healthy.to_str().unwrap()];
    let output = explain(&files, b"");
    assert_eq!(output.status.code(), Some(0));
    let text = stdout(&output);
    assert!(text.starts_with(files[0]) && text.contains("not_recognised"), "{text}");
    let output = explain(&[&["--json"], &files[..]].concat(), b"");
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(
        (&report[0]["file"], report[1]["sightings"].as_array().map(Vec::len)),
        (&files[0].into(), Some(0))
    );
    assert_eq!(explain(&[files[0], "/no/such/file"], b"").status.code(), Some(2));
}

#[test]
fn a_code_is_explained_and_a_file_of_that_name_comes_first() {
    let output = explain(&["name_in_use"], b"");
    assert_eq!(output.status.code(), Some(0));
    assert!(stdout(&output).starts_with("name_in_use (names, error)\n"), "{}", stdout(&output));
}

#[test]
fn this_machine_is_no_evidence_for_the_log_of_another_one() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().to_str().unwrap();
    let log = b"Mnesia('a@b.c'): x\n\nConnection attempt from disallowed node 'ejabberd@b.example'\n";
    let here = |input: &[u8]| stdout(&explain(&["--root", root], input)).contains("  here  ");
    assert!(!here(log), "there is no ejabberd");
    std::fs::create_dir_all(folder.path().join("etc/ejabberd")).unwrap();
    std::fs::write(folder.path().join("etc/ejabberd/ejabberdctl.cfg"), "ERLANG_NODE=d@e.f\n").unwrap();
    assert!(!here(log), "it is another node's");
    std::fs::write(folder.path().join("etc/ejabberd/ejabberdctl.cfg"), "ERLANG_NODE=a@b.c\n").unwrap();
    assert!(here(log));
    assert!(here(b"Connection attempt from disallowed node 'ejabberd@b.example'\n"));
}

#[test]
fn a_cookie_is_printed_nowhere() {
    let log = b"erl -setcookie SECRET {aborted,{no_majority,roster}}\n{bad_environment_value,\"-setcookie SECRET\"}\n";
    for arguments in [&[] as &[&str], &["--json"]] {
        let output = explain(arguments, log);
        assert!(!stdout(&output).contains("SECRET"), "{}", stdout(&output));
        assert_eq!(output.status.code(), Some(0));
    }
}

#[test]
fn the_exit_codes_are_in_the_help() {
    let help = stdout(&explain(&["--help"], b""));
    assert!(help.contains("Exit codes") && help.contains("nothing was recognised"), "{help}");
}
