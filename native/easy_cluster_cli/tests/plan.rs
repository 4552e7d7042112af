//! `easy-cluster plan` on a snapshot of three real nodes: a has everything, b some of it, c nothing but the fence.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;
use tempfile::TempDir;

const POLICY: &str = "\
copies: 2
nodes:
  a@localhost:
    zone: east
  b@localhost:
    zone: east
  c@localhost:
    zone: west
tables:
  archive_msg:
    pins: b@localhost
";

fn snapshot() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/snapshots/three_nodes.etf")
}

struct Desk {
    folder: TempDir,
}

impl Desk {
    fn new(policy: &str) -> Self {
        let desk = Self { folder: tempfile::tempdir().expect("a folder") };
        fs::write(desk.path("policy.yml"), policy).expect("a file");
        desk
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn planned(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_easy-cluster"));
        command.current_dir(self.folder.path()).args(["plan", "--policy", "policy.yml"]);
        command.arg("--snapshot").arg(snapshot()).args(arguments).output().expect("the program runs")
    }
}

fn words(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

#[test]
fn a_recorded_snapshot_and_a_policy_make_a_plan() {
    let output = Desk::new(POLICY).planned(&[]);
    let text = words(&output);
    assert_eq!(output.status.code(), Some(3), "{text}");
    for line in [
        "3 nodes with 8 tables: ",
        "c@localhost  master in west  1 copy (",
        "add passwd on c@localhost as disc_copies, from a@localhost (2000 rows, ",
        "add archive_msg on c@localhost as disc_only_copies, from a@localhost (",
        "remove archive_msg from a@localhost (disc_only_copies)",
        "add session on c@localhost as ram_copies, from a@localhost (empty)",
        "no plan needs less",
        "policy_ejabberd_copies (tables, warning)",
    ] {
        assert!(text.contains(line), "no {line:?} in\n{text}");
    }
    // Copies come before others go.
    let place = |words: &str| text.find(words).unwrap();
    assert!(place("add archive_msg on b@localhost") < place("remove archive_msg from a@localhost"), "{text}");
}

#[test]
fn the_plan_is_there_as_json() {
    let output = Desk::new(POLICY).planned(&["--json", "--tables"]);
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let steps = report["topology"]["steps"].as_array().unwrap();
    assert_eq!(steps.first().unwrap()["number"], 1);
    assert!(steps.iter().any(|step| step["action"]["add"]["source"] == "a@localhost"), "{steps:?}");
    assert_eq!(report["tables"]["nodes"], serde_json::json!(["a@localhost", "b@localhost", "c@localhost"]));
    assert_eq!(report["findings"][0]["code"], "policy_ejabberd_copies");
}

#[test]
fn the_matrix_shows_what_is_missing() {
    let output = Desk::new(POLICY).planned(&["--tables"]);
    let text = words(&output);
    let line = |table: &str| {
        let line = text
            .lines()
            .find(|line| line.trim_start().starts_with(table))
            .unwrap_or_else(|| panic!("{text}"));
        line.split_whitespace().collect::<Vec<_>>().join(" ")
    };
    assert!(line("passwd").ends_with("disc . +disc 1 missing"), "{text}");
    assert!(
        line("roster").ends_with("-disc disc +disc 1 missing, 1 too many")
            || line("roster").ends_with("disc -disc +disc 1 missing, 1 too many"),
        "{text}"
    );
    assert!(line("bosh").ends_with("ram ram . -"), "{text}");
    assert!(line("easy_cluster_fence").ends_with("disc disc disc -"), "{text}");
}

#[test]
fn the_picture_is_well_formed() {
    let desk = Desk::new(POLICY);
    let output = desk.planned(&["--svg", "cluster.svg"]);
    assert_eq!(output.status.code(), Some(3));
    let svg = fs::read_to_string(desk.path("cluster.svg")).unwrap();
    let document = roxmltree::Document::parse(&svg).unwrap_or_else(|error| panic!("{error}\n{svg}"));
    assert_eq!(document.root_element().tag_name().name(), "svg");
    let texts: Vec<&str> = document.descendants().filter_map(|node| node.text()).collect();
    for words in ["zone east", "zone west", "c@localhost"] {
        assert!(texts.contains(&words), "no {words} in {texts:?}");
    }
}

#[test]
fn nothing_to_do_is_success() {
    let output =
        Desk::new("leave_alone: [passwd, roster, archive_msg, muc_room, session, route]\n").planned(&[]);
    assert_eq!(output.status.code(), Some(0), "{}", words(&output));
    assert!(
        words(&output).starts_with("3 nodes with 8 tables: all is as the policy wants it\n"),
        "{}",
        words(&output)
    );
}

#[test]
fn impossible_wishes_are_told_with_their_lines() {
    let desk = Desk::new(&POLICY.replace("copies: 2", "copies: 4"));
    let output = desk.planned(&["--svg", "cluster.svg"]);
    let text = words(&output);
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.starts_with("policy.yml: not possible\npolicy_too_few_nodes (request, error)\n"), "{text}");
    assert!(
        text.contains("line 1: 4 copies are wanted of 4 tables (archive_msg, muc_room, passwd, roster)"),
        "{text}"
    );
    assert!(!desk.path("cluster.svg").exists(), "there is nothing to draw");

    let text =
        words(&Desk::new("copies: 2\ncopies: 3\nnodes:\n  a@localhost:\n    rool: master\n").planned(&[]));
    assert!(text.contains("lines 1 and 2: copies stands twice"), "{text}");
    assert!(text.contains("line 5: a@localhost has no key rool"), "{text}");
    assert!(text.contains("perhaps role was meant"), "{text}");
}

#[test]
fn a_whole_ejabberd_yml_will_do() {
    let inside: String = POLICY.lines().map(|line| format!("      {line}\n")).collect();
    let yml = format!("hosts: [chat.example]\nmodules:\n  mod_easy_cluster:\n    policy:\n{inside}");
    let (of_yml, of_file) = (Desk::new(&yml).planned(&[]), Desk::new(POLICY).planned(&[]));
    assert_eq!(words(&of_yml), words(&of_file));
}

#[test]
fn files_that_are_no_good_are_told() {
    let desk = Desk::new(POLICY);
    fs::write(desk.path("no.snapshot"), b"hello").unwrap();
    let run = |arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_easy-cluster"));
        command
            .current_dir(desk.folder.path())
            .arg("plan")
            .args(arguments)
            .output()
            .expect("the program runs")
    };
    for (policy, snapshot, said) in [
        ("policy.yml", "missing", "missing: No such file"),
        ("policy.yml", "no.snapshot", "no.snapshot: it is no snapshot: "),
        ("missing", "no.snapshot", "no snapshot"),
    ] {
        let output = run(&["--policy", policy, "--snapshot", snapshot]);
        let text = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{text}");
        assert!(text.contains(said), "{text}");
    }
}
