//! The text of a policy, and everything that is wrong with one.

#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use easy_cluster::model::catalogue::Class;
use easy_cluster::model::policy::{At, Copies, Policy, Role, Sync, Window};
use easy_cluster::model::table::Storage;
use easy_cluster::validate::policy::{lines, parse};
use easy_cluster::validate::problem::Problem;
use proptest::prelude::*;

const WHOLE: &str = "\
copies: 2
nodes:
  ejabberd@hello.world:
    zone: east
    memory: 2 GB
    disk: 40 GB
  ejabberd@foo.bar:
    role: slave
    zone: west
  ejabberd@third.host:
    role: witness
    memory: infinity
classes:
  durable:
    storage: disc_copies
tables:
  archive_msg:
    storage: disc_only_copies
    copies: all
    exclusions: ejabberd@foo.bar
  my_table:
    class: derived
  passwd:
    pins:
      - ejabberd@hello.world
      - ejabberd@foo.bar
leave_alone: [config, other]
sync: auto
window: 02:00-05:00
max_stall: 2 s
";

fn told(text: &str) -> Vec<(&'static str, Vec<u32>)> {
    let problems = parse(text).unwrap_err();
    problems.iter().map(|problem| (problem.code(), lines(problem).to_vec())).collect()
}

#[test]
fn a_whole_policy_is_read() {
    let policy = parse(WHOLE).unwrap();
    assert_eq!(policy.copies, Some(At { value: Copies::Exactly(2), line: 1 }));
    let roles = ["ejabberd@hello.world", "ejabberd@foo.bar", "ejabberd@third.host", "ejabberd@new.host"];
    let expected = [Role::Master, Role::Slave, Role::Witness, Role::Master];
    assert_eq!(roles.map(|node| policy.role(&node.into())), expected);
    let hello = policy.node(&"ejabberd@hello.world".into()).unwrap();
    assert_eq!(hello.zone, Some(At { value: "east".into(), line: 4 }));
    assert_eq!(hello.memory, Some(At { value: Some(2_000_000_000), line: 5 }));
    assert_eq!(policy.nodes.last().unwrap().memory, Some(At { value: None, line: 12 }));
    assert_eq!(policy.storage_of(Class::Durable), Some(At { value: Storage::DiscCopies, line: 15 }));
    let archive = policy.table(&"archive_msg".into()).unwrap();
    assert_eq!(policy.copies_of(Some(archive)), (Copies::All, Some(19)));
    assert_eq!(archive.exclusions, [At { value: "ejabberd@foo.bar".into(), line: 20 }]);
    let pins = &policy.table(&"passwd".into()).unwrap().pins;
    assert_eq!(pins.iter().map(|pin| pin.line).collect::<Vec<_>>(), [25, 26]);
    assert_eq!(
        policy.leave_alone.iter().map(|at| at.value.as_str()).collect::<Vec<_>>(),
        ["config", "other"]
    );
    assert_eq!(policy.sync.map(|at| at.value), Some(Sync::Auto));
    assert_eq!(policy.windows, [At { value: Window { from: 120, to: 300 }, line: 29 }]);
    assert_eq!(policy.max_stall(), 2_000);
}

#[test]
fn nothing_wanted_is_a_copy_on_each_master_and_no_stall_above_half_a_minute() {
    for text in ["", "# nothing\n", "nodes:\n"] {
        let policy = parse(text).unwrap();
        assert_eq!(policy, Policy::default());
        assert_eq!((policy.copies_of(None), policy.max_stall()), ((Copies::All, None), 30_000));
    }
}

#[test]
fn the_policy_of_an_ejabberd_yml_keeps_the_lines_of_that_file() {
    let yml = "hosts: [chat.example]\nmodules:\n  mod_roster: {}\n  mod_easy_cluster:\n    kept_quota: 1000\n    \
               policy:\n      copies: 3\n      colour: red\n";
    assert_eq!(told(yml), [("policy_unknown_key", vec![8])]);
    assert_eq!(parse(&yml.replace("colour: red", "sync: off")).unwrap().copies.unwrap().line, 7);
    assert_eq!(told("modules:\n  mod_easy_cluster:\n    kept_quota: 1\n"), [("policy_missing", vec![3])]);
    assert_eq!(told("modules:\n  mod_roster: {}\n"), [("policy_missing", vec![2])]);
}

#[test]
fn all_mistakes_are_told_with_their_lines() {
    let text = "copis: 2\ncopies: none\nnodes:\n  foo.bar:\n    role: master\n  ejabberd@foo.bar:\n    role: boss\n    \
                memory: 2 GX\n    zone: [a]\nclasses:\n  local: {}\ntables:\n  schema: {}\n  passwd:\n    storage: rocksdb\n    \
                pins: {a: b}\nsync: sometimes\nwindow: noon\nmax_stall: *quick\n";
    let text = text.replace("*quick", "soon");
    let expected: Vec<(&str, Vec<u32>)> = [
        ("policy_unknown_key", 1),
        ("policy_bad_value", 2),
        ("policy_bad_value", 4),
        ("policy_bad_value", 7),
        ("policy_bad_value", 8),
        ("policy_bad_value", 9),
        ("policy_unknown_key", 11),
        ("policy_bad_value", 13),
        ("policy_bad_value", 15),
        ("policy_bad_value", 16),
        ("policy_bad_value", 17),
        ("policy_bad_value", 18),
        ("policy_bad_value", 19),
    ]
    .map(|(code, line)| (code, vec![line]))
    .to_vec();
    assert_eq!(told(&text), expected);
}

#[test]
fn a_mistake_says_what_would_do() {
    let problems = parse("copis: 2\nsync: on\n").unwrap_err();
    let texts: Vec<_> = problems.iter().map(|problem| (problem.to_string(), problem.fix())).collect();
    assert_eq!(texts[0].0, "line 1: the policy has no key copis");
    assert!(texts[0].1.starts_with("perhaps copies was meant; the keys are copies, nodes, "), "{texts:?}");
    assert_eq!(texts[1], ("line 2: sync cannot be on".into(), "give auto, propose, off".into()));
}

#[test]
fn what_is_no_yaml_is_told_with_its_line() {
    assert_eq!(told("copies: 2\nnodes: [a\n"), [("policy_not_yaml", vec![2])]);
    assert_eq!(told("---\ncopies: 2\n---\ncopies: all\n"), [("policy_not_yaml", vec![3])]);
    assert!(parse("---\ncopies: 2\n...\n").is_ok());
    assert_eq!(told("- copies\n"), [("policy_bad_value", vec![1])]);
    assert_eq!(
        told("a: &a 1\ncopies: *a\n"),
        [("policy_unknown_key", vec![1]), ("policy_bad_value", vec![2])]
    );
}

#[test]
fn what_stands_twice_is_told_with_both_lines() {
    let text = "copies: 1\nsync: off\ncopies: 2\ntables:\n  passwd:\n    pins: [ejabberd@a.b,\n      ejabberd@a.b]\n";
    assert_eq!(told(text), [("policy_twice", vec![1, 3]), ("policy_twice", vec![6, 7])]);
}

#[test]
fn each_contradiction_is_told_with_the_lines_that_collide() {
    let text = "copies: 1\nnodes:\n  ejabberd@w.x:\n    role: witness\ntables:\n  passwd:\n    pins:\n      - ejabberd@a.b\n      \
                - ejabberd@w.x\n    exclusions: ejabberd@a.b\n  session:\n    storage: disc_copies\n    copies: 2\n  \
                vcard_search:\n    pins: ejabberd@a.b\n  mine:\n    class: owner_keyed\n    storage: disc_only_copies\nleave_alone: passwd\n\
                classes:\n  owner_keyed:\n    storage: disc_copies\n";
    let mut expected = vec![
        ("policy_pins_above_copies", vec![1, 8, 9]),
        ("policy_pin_on_witness", vec![4, 9]),
        ("policy_left_alone", vec![6, 19]),
        ("policy_pin_excluded", vec![8, 10]),
        ("policy_storage", vec![12]),
        ("policy_not_durable", vec![13]),
        ("policy_not_durable", vec![15]),
        ("policy_storage", vec![17, 18]),
        ("policy_storage", vec![22]),
    ];
    expected.sort_by_key(|(_, lines)| lines[0]);
    assert_eq!(told(text), expected);
    let Problem::PolicyPinsAboveCopies { lines, .. } = &parse(text).unwrap_err()[0] else {
        unreachable!("the first line")
    };
    assert_eq!(lines.to_string(), "lines 1, 8 and 9");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    /// Lines of a whole policy in any order, some of them changed.
    #[test]
    fn any_text_is_a_policy_or_is_told_what_is_wrong_with_it(
        picked in prop::collection::vec((0..WHOLE.lines().count(), any::<prop::sample::Index>(), "\\PC{0,3}"), 0..40),
    ) {
        let all: Vec<&str> = WHOLE.lines().collect();
        let text: String = picked
            .iter()
            .map(|(number, at, noise)| {
                let line = all[*number];
                let (before, after) = line.split_at(at.index(line.len() + 1));
                format!("{before}{noise}{after}\n")
            })
            .collect();
        let count = u32::try_from(text.split('\n').count()).unwrap();
        if let Err(problems) = parse(&text) {
            prop_assert!(!problems.is_empty());
            for problem in &problems {
                prop_assert!(lines(problem).iter().all(|line| (1..=count).contains(line)), "{problem:?} of {text:?}");
            }
        }
    }
}

#[test]
fn the_page_has_a_policy_that_is_one_and_every_code() {
    let page = include_str!("../docs/policy.md");
    let example = page.split("```yaml\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
    let policy = parse(example).unwrap();
    assert_eq!((policy.nodes.len(), policy.tables.len()), (4, 2));
    let codes: Vec<&str> = Problem::catalogue().iter().map(|entry| entry.code).collect();
    let missing: Vec<&str> = codes
        .into_iter()
        .filter(|code| code.starts_with("policy_") && !page.contains(&format!("`{code}`")))
        .collect();
    assert_eq!(missing, Vec::<&str>::new());
}
