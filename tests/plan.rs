//! Plans: what they do, in which order, and what forbids them.

mod support;

use easy_cluster::explain;
use easy_cluster::model::name::AtomName;
use easy_cluster::model::request::{Data, LocalRows, Operation, Rollback, Way};
use easy_cluster::model::snapshot::{Answer, Configuration, Obstacle, Running};
use easy_cluster::model::table::{AccessMode, Storage, TableType};
use easy_cluster::operation;
use easy_cluster::operation::ask::{self, Answers, Need, Next, Wish};
use easy_cluster::operation::past::{Kept as KeptState, Outcome, Past};
use easy_cluster::operation::rollback;
use easy_cluster::plan::step::{Action, OnFailure, Step};
use easy_cluster::plan::{Inputs, Plan};
use easy_cluster::validate::problem::Problem;
use support::{HERE, Lab, THERE, THIRD, only_here};

fn join_as_master() -> Operation {
    Operation::JoinAsMaster(THERE.into())
}

fn codes(inputs: &Inputs) -> Vec<&'static str> {
    operation::make(inputs).err().unwrap_or_default().iter().map(Problem::code).collect()
}

fn actions(plan: &Plan) -> Vec<&'static str> {
    plan.steps.iter().map(|step| step.action.name()).collect()
}

fn copies(plan: &Plan) -> Vec<(String, Storage)> {
    plan.steps
        .iter()
        .flat_map(|step| step.action.copies())
        .map(|copy| (copy.table.to_string(), copy.storage))
        .collect()
}

#[test]
fn a_join_proves_itself_beside_the_old_files_before_it_switches() {
    let mut lab = Lab::new(&[THERE]);
    lab.table("passwd", Storage::DiscCopies, &[THERE], &[THERE], 10);
    let plan = operation::make(&lab.inputs(join_as_master())).expect("a plan");
    assert_eq!(
        actions(&plan),
        [
            "connect",
            "stop_application",
            "dump_log",
            "stop_mnesia",
            "open_staging",
            "join_schema",
            "schema_to_disc",
            "close_staging",
            "keep_database",
            "delete_logs",
            "commit_schema",
            "replace_files",
            "start_mnesia",
            "copy_table",
            "wait_for_tables",
            "clear_caches",
            "start_application",
            "ensure_fence",
            "verify",
        ]
    );
    assert!(plan.steps.iter().map(|s| s.number).eq(1..=19));
}

#[test]
fn the_way_back_goes_to_the_members_first_and_covers_what_was_begun() {
    let lab = Lab::new(&[THERE]);
    let plan = operation::make(&lab.inputs(join_as_master())).expect("a plan");
    let number = |name: &str| plan.steps.iter().find(|s| s.action.name() == name).map(|s| s.number);
    let back: Vec<_> = plan.undo.iter().map(|u| (u.action.name(), Some(u.since))).collect();
    assert_eq!(
        back,
        [
            ("stop_application", number("start_application")),
            ("stop_mnesia", number("open_staging")),
            ("forget_here", number("join_schema")),
            ("restore_database", number("delete_logs")),
            ("drop_staging", number("open_staging")),
            ("reopen_mnesia", number("stop_mnesia")),
            ("clear_caches", number("stop_application")),
            ("start_application", number("stop_application")),
        ]
    );
    let keeps: Vec<_> =
        plan.steps.iter().filter(|s| s.on_failure == OnFailure::Keep).map(|s| s.action.name()).collect();
    assert_eq!(keeps, ["ensure_fence", "verify"], "after the start clients may have written");
}

#[test]
fn a_slave_copies_nothing_and_a_master_everything_smallest_first() {
    let mut lab = Lab::new(&[THERE, THIRD]);
    let all = [THERE, THIRD];
    lab.table("big", Storage::DiscCopies, &all, &all, 1000);
    lab.table("small", Storage::RamCopies, &all, &[THIRD], 1);
    lab.table("mine", Storage::DiscCopies, &all, &all, 500).local_content = true;
    let slave = operation::make(&lab.inputs(Operation::Join(THERE.into()))).expect("a plan");
    assert_eq!(copies(&slave), []);
    let master = operation::make(&lab.inputs(join_as_master())).expect("a plan");
    assert_eq!(
        copies(&master),
        [
            ("mine".to_owned(), Storage::DiscCopies),
            ("small".to_owned(), Storage::RamCopies),
            ("big".to_owned(), Storage::DiscCopies)
        ]
    );
    assert_eq!(master.estimate.rows, 1001, "local_content comes without rows");
}

/// The steps that copy, and how many tables each.
fn shared(plan: &Plan) -> Vec<(&'static str, usize)> {
    let counted = |step: &Step| (step.action.name(), step.action.copies().len());
    plan.steps.iter().map(counted).filter(|(_, tables)| *tables > 0).collect()
}

#[test]
fn small_tables_share_a_step_except_with_dets_and_large_ones_have_their_own() {
    let mut lab = Lab::new(&[THERE]);
    for (name, storage, rows) in [
        ("set", Storage::RamCopies, 0),
        ("rows", Storage::DiscCopies, 900),
        ("file", Storage::DiscOnlyCopies, 1),
        ("other_file", Storage::DiscOnlyCopies, 0),
        ("large", Storage::DiscCopies, 100_000),
        ("large_file", Storage::DiscOnlyCopies, 10_000),
    ] {
        lab.table(name, storage, &[THERE], &[THERE], rows);
    }
    let plan = operation::make(&lab.inputs(join_as_master())).expect("a plan");
    assert_eq!(shared(&plan), [("copy_tables", 2), ("copy_tables", 2), ("copy_table", 1), ("copy_table", 1)]);
    assert_eq!(plan.estimate.rows, 110_901);
    let words = explain::plan::plan(&plan);
    assert!(words.contains("copy 2 small tables here at once (900 rows, 135.0 kB)"), "{words}");
    assert!(words.contains("copy 2 small tables here at once (1 row, 150 bytes)"), "{words}");
}

#[test]
fn a_copy_takes_the_contacts_storage_type_or_that_of_most_copies() {
    let mut lab = Lab::new(&[THERE, THIRD, "d@fourth.host"]);
    let all = [THERE, THIRD, "d@fourth.host"];
    let (there, others) = (lab.set(&[THERE]), lab.set(&[THIRD, "d@fourth.host"]));
    let third = lab.set(&[THIRD]);
    let mixed = lab.table("contact_decides", Storage::RamCopies, &all, &all, 1);
    (mixed.disc_only_copies, mixed.ram_copies) = (there, others);
    let fourth = lab.set(&["d@fourth.host"]);
    let mixed = lab.table("tie_keeps_disc", Storage::RamCopies, &all, &all, 1);
    (mixed.disc_copies, mixed.ram_copies) = (third, fourth);
    let plan = operation::make(&lab.inputs(join_as_master())).expect("a plan");
    assert_eq!(
        copies(&plan),
        [
            ("tie_keeps_disc".to_owned(), Storage::DiscCopies),
            ("contact_decides".to_owned(), Storage::DiscOnlyCopies)
        ]
    );
}

#[test]
fn rows_that_exist_only_here_are_counted_and_told() {
    let mut lab = Lab::new(&[THERE]);
    lab.table("passwd", Storage::DiscCopies, &[HERE], &[HERE], 3);
    lab.table("passwd", Storage::DiscCopies, &[THERE], &[THERE], 5);
    lab.table("only_mine", Storage::DiscCopies, &[HERE], &[HERE], 2);
    lab.table("session", Storage::RamCopies, &[HERE], &[HERE], 7);
    let mut inputs = lab.inputs(join_as_master());
    let need = Need::Rows { tables: vec!["passwd".into()], node: THERE.into() };
    assert_eq!(lab.ask(Wish::JoinAsMaster(THERE.into()), lab.answers()), Ok(Next::Need(vec![need])));
    inputs.rows = vec![only_here("passwd", 1)];
    let plan = operation::make(&inputs).expect("a plan");
    assert_eq!(plan.rows, [only_here("only_mine", 2), only_here("passwd", 1)]);
    let words = explain::plan::plan(&plan);
    assert!(words.contains("1 row of passwd exists only here"), "{words}");
    assert!(!actions(&plan).contains(&"archive_rows"), "what is archived stays in the kept database");
}

#[test]
fn merging_archives_the_rows_before_mnesia_stops_and_merges_when_nothing_is_taken_back_any_more() {
    let mut lab = Lab::new(&[THERE]);
    lab.table("passwd", Storage::DiscCopies, &[HERE], &[HERE], 1);
    lab.table("passwd", Storage::DiscCopies, &[THERE], &[THERE], 5);
    let mut inputs = lab.inputs(join_as_master());
    inputs.rows = vec![only_here("passwd", 1)];
    inputs.options.local_rows = LocalRows::Merge;
    let plan = operation::make(&inputs).expect("a plan");
    let names = actions(&plan);
    let at = |name: &str| names.iter().position(|n| *n == name);
    assert!(at("stop_application") < at("archive_rows") && at("archive_rows") < at("stop_mnesia"));
    assert!(at("start_application") < at("merge_rows"));
    assert_eq!(
        names.iter().rev().take(4).rev().copied().collect::<Vec<_>>(),
        ["merge_rows", "clear_caches", "ensure_fence", "verify"]
    );
    let kept = plan.steps.iter().filter(|step| step.on_failure == OnFailure::Keep).count();
    assert_eq!(kept, 4, "what was merged is not taken back");
}

#[test]
fn rows_in_memory_are_archived_and_written_back_on_the_way_back() {
    let mut lab = Lab::new(&[THERE]);
    lab.table("mine", Storage::RamCopies, &[HERE], &[HERE], 7);
    lab.table("session", Storage::RamCopies, &[HERE], &[HERE], 3);
    lab.table("passwd", Storage::DiscCopies, &[HERE], &[HERE], 2);
    let plan = operation::make(&lab.inputs(join_as_master())).expect("a plan");
    let archived = plan.steps.iter().find_map(|step| {
        let Action::ArchiveRows { tables, rows, .. } = &step.action else { return None };
        Some((tables.clone(), *rows))
    });
    assert_eq!(archived, Some((vec!["mine".into()], 7)), "sessions end with their processes");
    let back: Vec<_> = plan.undo.iter().map(|undo| undo.action.name()).collect();
    let at = |name: &str| back.iter().position(|n| *n == name);
    assert!(
        at("reopen_mnesia") < at("restore_rows") && at("restore_rows") < at("start_application"),
        "{back:?}"
    );
    assert_eq!(plan.kept.as_ref().map(|kept| kept.rows), Some(2), "what is in memory is in no kept file");
    let words = explain::plan::plan(&plan);
    assert!(words.contains("7 rows of mine exist only here: archived"), "{words}");
    assert!(words.contains("2 rows of passwd exist only here: kept"), "{words}");
}

#[test]
fn archived_rows_need_room_on_the_disk_and_merged_ones_twice() {
    let mut lab = Lab::new(&[THERE]);
    lab.table("mine", Storage::RamCopies, &[HERE], &[HERE], 1_000);
    lab.facts(HERE).disk_free = Some(149_999);
    assert_eq!(codes(&lab.inputs(Operation::Join(THERE.into()))), ["not_enough_disk"]);
    lab.facts(HERE).disk_free = Some(150_000);
    assert_eq!(codes(&lab.inputs(Operation::Join(THERE.into()))), [""; 0]);
    let mut merging = lab.inputs(Operation::Join(THERE.into()));
    merging.options.local_rows = LocalRows::Merge;
    assert_eq!(codes(&merging), ["not_enough_disk"]);
}

#[test]
fn a_slave_of_ejabberd_has_room_for_what_its_modules_copy_at_their_start() {
    let mut lab = Lab::new(&[THERE]);
    lab.table("muc_room", Storage::DiscCopies, &[HERE], &[HERE], 0);
    lab.table("muc_room", Storage::DiscCopies, &[THERE], &[THERE], 10_000_000);
    lab.table("elsewhere", Storage::DiscCopies, &[THERE], &[THERE], 10_000_000);
    let join = Operation::Join(THERE.into());
    assert_eq!(codes(&lab.inputs(join.clone())), ["not_enough_memory", "not_enough_disk"]);
    lab.facts(HERE).memory_free = None;
    lab.facts(HERE).disk_free = None;
    assert_eq!(codes(&lab.inputs(join.clone())), ["consent_needed"], "these copies stall the others, too");
    let mut agreed = lab.inputs(join.clone());
    agreed.options.yes = true;
    let plan = operation::make(&agreed).expect("a plan");
    let told = plan.warnings.iter().find(|warning| warning.code() == "copied_at_start");
    assert!(told.is_some_and(|told| told.to_string().contains("copy 1 of the cluster's tables")), "{told:?}");
    lab.facts(HERE).applications.clear();
    let plain = operation::make(&lab.inputs(join)).expect("a plan");
    assert!(
        plain.warnings.iter().all(|warning| warning.code() != "copied_at_start"),
        "only ejabberd does that"
    );
}

#[test]
fn every_problem_is_told_not_the_first() {
    let mut lab = Lab::new(&[THERE, THIRD]);
    lab.silence(THIRD);
    lab.facts(HERE).directory_writable = Some(false);
    assert_eq!(codes(&lab.inputs(join_as_master())), ["member_down", "directory_not_writable"]);
}

#[test]
fn a_cluster_that_is_not_whole_cannot_grow() {
    let mut stopped = Lab::new(&[THERE]);
    stopped.facts(THERE).mnesia = Running::No;
    assert_eq!(codes(&stopped.inputs(join_as_master())), ["mnesia_not_running"]);

    let mut member_stopped = Lab::new(&[THERE, THIRD]);
    member_stopped.facts(THIRD).mnesia = Running::No;
    assert_eq!(codes(&member_stopped.inputs(join_as_master())), ["member_down"]);

    let mut disagreeing = Lab::new(&[THERE, THIRD]);
    let alone = disagreeing.set(&[THIRD]);
    disagreeing.facts(THIRD).db_nodes = alone;
    let problems = operation::make(&disagreeing.inputs(join_as_master())).expect_err("they disagree");
    assert_eq!(problems.iter().map(Problem::code).collect::<Vec<_>>(), ["members_disagree"]);
    let call = format!("on {THERE} mnesia:del_table_copy(schema, '{THERE}')");
    assert!(problems.iter().all(|problem| problem.fix().ends_with(&call)), "{problems:?}");

    let mut split = Lab::new(&[THERE, THIRD]);
    let alone = split.set(&[THIRD]);
    split.facts(THIRD).running_db_nodes = alone;
    assert_eq!(codes(&split.inputs(join_as_master())), ["partitioned"]);
}

#[test]
fn a_node_that_belongs_somewhere_does_not_join_elsewhere() {
    assert_eq!(codes(&Lab::joined(&[THERE]).inputs(join_as_master())), ["already_member"]);

    let mut elsewhere = Lab::new(&[THERE]);
    let pair = elsewhere.set(&[HERE, "d@fourth.host"]);
    elsewhere.facts(HERE).db_nodes = pair;
    assert_eq!(codes(&elsewhere.inputs(join_as_master())), ["already_clustered"]);

    let mut stale = Lab::new(&[THERE]);
    let pair = stale.set(&[HERE, THERE]);
    stale.facts(THERE).db_nodes = pair;
    assert_eq!(codes(&stale.inputs(join_as_master())), ["stale_member"]);

    let mut forgotten = Lab::new(&[THERE]);
    let pair = forgotten.set(&[HERE, THERE]);
    forgotten.facts(HERE).db_nodes = pair;
    assert_eq!(codes(&forgotten.inputs(join_as_master())), ["forgotten_here"]);

    let itself = Lab::new(&[THERE]).inputs(Operation::Join(HERE.into()));
    assert_eq!(codes(&itself), ["cannot_join_itself"]);
}

#[test]
fn tables_of_one_name_have_to_be_one_table() {
    let mut lab = Lab::new(&[THERE]);
    lab.table("passwd", Storage::DiscCopies, &[HERE], &[HERE], 1).table_type = TableType::Bag;
    lab.table("passwd", Storage::DiscCopies, &[THERE], &[THERE], 1).attributes = vec!["us".into()];
    let inputs = lab.inputs(join_as_master());
    assert_eq!(codes(&inputs), ["table_definition_differs", "table_definition_differs"]);
    let text = explain::errors::problems(&operation::make(&inputs).expect_err("problems"));
    assert!(text.contains("table passwd has type bag here and set in the cluster"), "{text}");
}

#[test]
fn copies_that_do_not_fit_are_refused() {
    let mut lab = Lab::new(&[THERE]);
    lab.table("huge", Storage::DiscCopies, &[THERE], &[THERE], 10_000_000);
    assert_eq!(codes(&lab.inputs(join_as_master())), ["not_enough_memory", "not_enough_disk"]);
    assert_eq!(
        codes(&lab.inputs(Operation::Join(THERE.into()))),
        Vec::<&str>::new(),
        "a slave copies nothing"
    );

    let mut dets = Lab::new(&[THERE]);
    dets.facts(HERE).disk_free = Some(1 << 40);
    dets.table("log", Storage::DiscOnlyCopies, &[THERE], &[THERE], 10).memory = 2_000_000_000;
    assert_eq!(codes(&dets.inputs(join_as_master())), ["dets_limit"]);

    let mut unloaded = Lab::new(&[THERE]);
    let none = unloaded.set(&[]);
    unloaded.table("waiting", Storage::DiscCopies, &[THERE], &[THERE], 1).active = none;
    assert_eq!(codes(&unloaded.inputs(join_as_master())), ["table_not_loaded"]);
}

#[test]
fn a_long_stall_needs_consent() {
    let mut lab = Lab::new(&[THERE]);
    lab.facts(HERE).memory_free = None;
    lab.facts(HERE).disk_free = None;
    lab.table("archive_msg", Storage::DiscCopies, &[THERE], &[THERE], 30_000_000);
    let mut inputs = lab.inputs(join_as_master());
    assert_eq!(codes(&inputs), ["consent_needed"]);
    inputs.options.yes = true;
    let plan = operation::make(&inputs).expect("agreed to");
    assert!(plan.warnings.iter().any(|w| w.code() == "long_stall"));
}

#[test]
fn another_release_of_ejabberd_joins_with_consent_only() {
    for (here, there) in [("24.12-3", "26.07-1"), ("26.07-1", "24.12-3")] {
        let mut lab = Lab::new(&[THERE, THIRD]);
        for (node, version) in [(HERE, here), (THERE, here), (THIRD, there)] {
            lab.facts(node).versions.insert("ejabberd".into(), version.into());
        }
        let mut inputs = lab.inputs(join_as_master());
        let problems = operation::make(&inputs).expect_err("a refusal");
        assert!(
            matches!(problems.as_slice(), [Problem::EjabberdReleasesDiffer { node, .. }] if *node == THIRD.into()),
            "{problems:?}"
        );
        inputs.options.yes = true;
        let plan = operation::make(&inputs).expect("a plan");
        assert!(plan.warnings.iter().any(|warning| warning.code() == "ejabberd_releases_differ"));
    }
}

#[test]
fn members_of_another_release_can_be_synced_from() {
    let mut lab = Lab::joined(&[THERE]);
    lab.facts(HERE).versions.insert("ejabberd".into(), "26.07".into());
    lab.facts(THERE).versions.insert("ejabberd".into(), "24.12".into());
    assert_eq!(codes(&lab.inputs(Operation::SyncNode(THERE.into()))), [""; 0]);
}

#[test]
fn what_should_be_known_is_a_warning() {
    let mut lab = Lab::new(&[THERE]);
    let facts = lab.facts(THERE);
    facts.otp_release = "27".into();
    facts.versions.insert("ejabberd".into(), "23.01-2".into());
    facts.clock_offset = -5_000;
    facts.tick_time = 8;
    let masters = lab.set(&["d@dead.host"]);
    lab.facts(THERE).master_nodes = masters;
    let plan = operation::make(&lab.inputs(join_as_master())).expect("a plan");
    let codes: Vec<_> = plan.warnings.iter().map(Problem::code).collect();
    assert_eq!(
        codes,
        ["versions_differ", "versions_differ", "clock_offset", "tick_time_differs", "master_nodes_set"]
    );
}

#[test]
fn sync_copies_what_is_missing_whoever_holds_it_and_then_nothing() {
    let mut lab = Lab::joined(&[THERE, THIRD]);
    let all = [HERE, THERE, THIRD];
    lab.table("two_copies", Storage::DiscCopies, &all, &[THERE, THIRD], 9);
    lab.table("elsewhere", Storage::RamCopies, &all, &[THIRD], 1);
    lab.table("everywhere", Storage::DiscCopies, &all, &all, 1);
    let plan = operation::make(&lab.inputs(Operation::SyncNode(THERE.into()))).expect("a plan");
    assert_eq!(
        copies(&plan),
        [("elsewhere".to_owned(), Storage::RamCopies), ("two_copies".to_owned(), Storage::DiscCopies)]
    );

    let mut whole = Lab::joined(&[THERE]);
    whole.table("passwd", Storage::DiscCopies, &[HERE, THERE], &[HERE, THERE], 1);
    let plan = operation::make(&whole.inputs(Operation::SyncNode(THERE.into()))).expect("a plan");
    assert_eq!(actions(&plan), ["ensure_fence", "verify"]);
    whole.table("easy_cluster_fence", Storage::DiscCopies, &[HERE, THERE], &[HERE, THERE], 0);
    let plan = operation::make(&whole.inputs(Operation::SyncNode(THERE.into()))).expect("a plan");
    assert_eq!(actions(&plan), ["verify"]);

    let stranger = Lab::new(&[THERE]).inputs(Operation::SyncNode(THERE.into()));
    assert_eq!(codes(&stranger), ["not_a_member"]);
}

#[test]
fn a_plan_is_refused_when_the_cluster_changed_and_not_when_rows_did() {
    let mut lab = Lab::new(&[THERE]);
    lab.table("passwd", Storage::DiscCopies, &[THERE], &[THERE], 1);
    let plan = operation::make(&lab.inputs(join_as_master())).expect("a plan");

    let mut more_rows = lab.snapshot();
    more_rows.tables.iter_mut().for_each(|t| t.size += 5);
    assert_eq!(operation::fits(&plan, &more_rows, None), Ok(()));

    lab.table("grows", Storage::DiscCopies, &[THERE], &[THERE], 2);
    let plan = operation::make(&lab.inputs(join_as_master())).expect("a plan");
    assert_eq!(shared(&plan), [("copy_tables", 2)]);
    let mut grown = lab.snapshot();
    grown.tables.iter_mut().filter(|t| t.name == "grows".into()).for_each(|t| t.size = 1_000_000);
    assert_eq!(operation::fits(&plan, &grown, None), Ok(()), "the same copies in other steps");

    let mut edited = plan.clone();
    edited.steps.retain(|step| step.action != Action::KeepDatabase);
    let mut other_applications = lab.snapshot();
    if let Some(Answer::Facts(facts)) =
        other_applications.members.first_mut().map(|member| &mut member.answer)
    {
        facts.applications.push("late".into());
    }
    for (plan, snapshot) in [(&edited, &lab.snapshot()), (&plan, &other_applications)] {
        let changed = operation::fits(plan, snapshot, None).expect_err("other steps");
        assert_eq!(changed.iter().map(Problem::code).collect::<Vec<_>>(), ["plan_changed"]);
    }

    lab.table("new", Storage::RamCopies, &[THERE], &[THERE], 0);
    lab.facts(THERE).otp_release = "27".into();
    let changed = operation::fits(&plan, &lab.snapshot(), None).expect_err("changed");
    assert_eq!(changed.iter().map(Problem::code).collect::<Vec<_>>(), ["plan_changed"]);
    let text = explain::errors::problems(&changed);
    assert!(text.contains("the software and the tables changed"), "{text}");
}

#[test]
fn a_plan_holds_when_a_table_has_outgrown_another_one_since() {
    let mut lab = Lab::new(&[THERE]);
    lab.table("growing", Storage::DiscCopies, &[THERE], &[THERE], 1);
    lab.table("passwd", Storage::DiscCopies, &[THERE], &[THERE], 10);
    let plan = operation::make(&lab.inputs(join_as_master())).expect("a plan");
    let order = |plan: &Plan| copies(plan).into_iter().map(|(table, _)| table).collect::<Vec<_>>();
    assert_eq!(order(&plan), ["growing", "passwd"]);

    let mut grown = lab.snapshot();
    for table in grown.tables.iter_mut().filter(|table| table.name.as_str() == "growing") {
        (table.size, table.memory) = (1000, 1_000_000);
    }
    let now = Inputs { snapshot: grown.clone(), ..lab.inputs(join_as_master()) };
    assert_eq!(order(&operation::make(&now).expect("a plan")), ["passwd", "growing"]);
    assert_eq!(operation::fits(&plan, &grown, None), Ok(()));
}

#[test]
fn a_plan_to_merge_is_refused_when_other_tables_have_rows_to_merge_now() {
    let mut lab = Lab::new(&[THERE]);
    for table in ["passwd", "quiet"] {
        lab.table(table, Storage::DiscCopies, &[HERE], &[HERE], 1);
        lab.table(table, Storage::DiscCopies, &[THERE], &[THERE], 1);
    }
    let mut inputs = lab.inputs(join_as_master());
    inputs.rows = vec![only_here("passwd", 1)];
    inputs.options.local_rows = LocalRows::Merge;
    let plan = operation::make(&inputs).expect("a plan");
    assert_eq!(operation::fits(&plan, &lab.snapshot(), Some(&[only_here("passwd", 3)])), Ok(()));
    let now = [only_here("passwd", 1), only_here("quiet", 1)];
    let changed = operation::fits(&plan, &lab.snapshot(), Some(&now)).expect_err("changed");
    assert_eq!(changed.iter().map(Problem::code).collect::<Vec<_>>(), ["plan_changed"]);
}

#[test]
fn the_goal_is_everybodys_view_and_every_copy() {
    let mut before = Lab::new(&[THERE]);
    before.table("passwd", Storage::DiscCopies, &[THERE], &[THERE], 1);
    let plan = operation::make(&before.inputs(join_as_master())).expect("a plan");

    let mut after = Lab::joined(&[THERE]);
    let both = [HERE, THERE];
    after.table("passwd", Storage::DiscCopies, &both, &both, 1);
    assert_eq!(operation::goal(&plan, &after.snapshot()), Ok(()));

    let mut half = Lab::joined(&[THERE]);
    half.table("passwd", Storage::DiscCopies, &both, &[THERE], 1);
    let alone = half.set(&[THERE]);
    half.facts(THERE).running_db_nodes = alone;
    half.facts(HERE).applications.clear();
    let problems = operation::goal(&plan, &half.snapshot()).expect_err("problems");
    assert_eq!(problems.iter().map(Problem::code).collect::<Vec<_>>(), ["verify_failed"; 3]);
}

#[test]
fn a_snapshot_that_contradicts_itself_is_refused() {
    let mut lab = Lab::new(&[THERE]);
    lab.table("passwd", Storage::DiscCopies, &[THERE], &[THERE], 1).active = 99;
    assert_eq!(codes(&lab.inputs(join_as_master())), ["bad_request"]);
}

#[test]
fn the_state_names_masters_slaves_and_the_dead() {
    let mut lab = Lab::joined(&[THERE, THIRD]);
    let all = [HERE, THERE, THIRD];
    lab.table("passwd", Storage::DiscCopies, &all, &[THERE], 1);
    lab.silence(THIRD);
    let status = explain::status::status(&lab.snapshot(), &[]).expect("a status");
    let words = status.text;
    assert!(words.contains("ejabberd@hello.world  slave"), "{words}");
    assert!(words.contains("ejabberd@foo.bar      master"), "{words}");
    assert!(words.contains("ejabberd@third.host   DOWN"), "{words}");
    assert!(words.contains("member_down (membership, error)"), "{words}");
}

#[test]
fn a_schema_in_memory_does_not_survive_a_restart_here_or_there() {
    for (node, others) in [(HERE, vec![THERE]), (THERE, vec![THERE]), (THIRD, vec![THERE, THIRD])] {
        let mut lab = Lab::new(&others);
        lab.facts(node).use_dir = false;
        for operation in [join_as_master(), Operation::Join(THERE.into())] {
            let problems = operation::make(&lab.inputs(operation)).expect_err("a refusal");
            assert_eq!(problems, [Problem::RamSchema { node: node.into() }]);
        }
    }
    let mut everywhere = Lab::new(&[THERE, THIRD]);
    for node in [HERE, THERE, THIRD] {
        everywhere.facts(node).use_dir = false;
    }
    assert_eq!(codes(&everywhere.inputs(join_as_master())), ["ram_schema"; 3]);
}

#[test]
fn a_member_in_memory_can_be_synced_from_and_copies_nothing_to_its_disc() {
    let mut lab = Lab::joined(&[THERE]);
    lab.facts(THERE).use_dir = false;
    assert_eq!(codes(&lab.inputs(Operation::SyncNode(THERE.into()))), [""; 0]);
    lab.facts(HERE).use_dir = false;
    assert_eq!(codes(&lab.inputs(Operation::SyncNode(THERE.into()))), ["ram_schema"]);
}

#[test]
fn a_directory_that_cannot_be_written_is_told_of_every_node() {
    let mut lab = Lab::new(&[THERE, THIRD]);
    for (node, directory) in [(HERE, "/here"), (THERE, "/there"), (THIRD, "/third")] {
        lab.facts(node).directory = directory.into();
        lab.facts(node).directory_writable = Some(false);
    }
    let problems = operation::make(&lab.inputs(join_as_master())).expect_err("a refusal");
    let not_writable = |(node, directory): (&str, &str)| Problem::DirectoryNotWritable {
        node: node.into(),
        directory: directory.into(),
    };
    assert_eq!(problems, [(HERE, "/here"), (THERE, "/there"), (THIRD, "/third")].map(not_writable));

    let mut unknown = Lab::new(&[THERE]);
    unknown.facts(THERE).directory_writable = None;
    assert_eq!(codes(&unknown.inputs(join_as_master())), [""; 0]);

    let mut member = Lab::joined(&[THERE]);
    member.facts(THERE).directory_writable = Some(false);
    assert_eq!(codes(&member.inputs(Operation::SyncNode(THERE.into()))), ["directory_not_writable"]);
}

#[test]
fn a_fallback_that_waits_anywhere_would_undo_the_join() {
    for node in [HERE, THERE, THIRD] {
        let mut lab = Lab::new(&[THERE, THIRD]);
        lab.facts(node).fallback = true;
        let problems = operation::make(&lab.inputs(join_as_master())).expect_err("a refusal");
        let [Problem::FallbackInstalled { path, reason }] = problems.as_slice() else {
            panic!("{problems:?}")
        };
        assert!(path.starts_with("/var/lib/ejabberd/") && reason.ends_with(node), "{path} {reason}");
    }
    let mut member = Lab::joined(&[THERE]);
    member.facts(HERE).fallback = true;
    assert_eq!(codes(&member.inputs(Operation::SyncNode(THERE.into()))), ["fallback_installed"]);
}

#[test]
fn what_keeps_the_database_from_being_moved_aside_is_told_before() {
    let mut lab = Lab::new(&[THERE]);
    let (path, reason) = ("/var/lib/ejabberd/roster.DAT".to_owned(), "eacces".to_owned());
    lab.facts(HERE).obstacles = vec![
        Obstacle::NotAPlainFile { path: path.clone(), kind: "symlink".into() },
        Obstacle::NotUsable { path: path.clone(), reason: reason.clone() },
        Obstacle::NoHardLinks { path, reason },
    ];
    let expected = ["not_a_plain_file", "not_usable", "no_hard_links"];
    assert_eq!(codes(&lab.inputs(join_as_master())), expected);
    assert_eq!(codes(&lab.inputs(Operation::Join(THERE.into()))), expected);

    let mut member = Lab::joined(&[THERE]);
    member.facts(HERE).obstacles = lab.facts(HERE).obstacles.clone();
    assert_eq!(codes(&member.inputs(Operation::SyncNode(THERE.into()))), [""; 0], "it moves nothing aside");
}

#[test]
fn a_node_that_did_not_answer_itself_in_time_is_told_so() {
    let mut lab = Lab::new(&[THERE]);
    lab.silence(HERE);
    let problems = operation::make(&lab.inputs(join_as_master())).expect_err("a refusal");
    assert_eq!(problems, [Problem::SilentHere { here: HERE.into(), reason: "timeout".into() }]);
}

#[test]
fn ejabberd_is_not_stopped_when_it_could_not_start_again() {
    let mut lab = Lab::new(&[THERE]);
    let (path, reason) =
        ("/etc/ejabberd/ejabberd.yml".to_owned(), "Invalid value of option loglevel".to_owned());
    lab.facts(HERE).configuration =
        Some(Configuration::Invalid { path: path.clone(), reason: reason.clone() });
    let problems = operation::make(&lab.inputs(join_as_master())).expect_err("a refusal");
    assert_eq!(problems, [Problem::ConfigurationInvalid { path, reason }]);

    lab.facts(HERE).configuration = Some(Configuration::Valid);
    let plan = operation::make(&lab.inputs(join_as_master())).expect("a plan");
    assert_eq!(plan.warnings, []);

    let reason = "the other VM did not answer in time".to_owned();
    lab.facts(HERE).configuration = Some(Configuration::Unchecked { reason: reason.clone() });
    let plan = operation::make(&lab.inputs(join_as_master())).expect("a plan");
    assert_eq!(plan.warnings, [Problem::ConfigurationUnchecked { reason }]);
}

fn past(plan: &Plan, outcome: Outcome, kept: KeptState) -> Past {
    let begun = plan.steps.iter().map(|step| step.number).collect();
    Past { id: plan.id.clone(), outcome, plan: Some(plan.clone()), begun, kept, archive_dropped: false }
}

fn whole(plan: &Plan) -> Past {
    past(plan, Outcome::Done, KeptState::Whole { bytes: 1_000 })
}

fn undoing(history: &[Past]) -> Result<Vec<Operation>, Vec<&'static str>> {
    rollback::takes_back(history).map_err(|problems| problems.iter().map(Problem::code).collect())
}

/// A join that was done, with rows in memory here and rows that were merged.
#[expect(clippy::expect_used, reason = "it is a part of tests")]
fn joined_and_merged() -> Plan {
    let mut lab = Lab::new(&[THERE]);
    lab.table("online", Storage::RamCopies, &[HERE], &[HERE], 7);
    lab.table("passwd", Storage::DiscCopies, &[HERE], &[HERE], 1);
    lab.table("passwd", Storage::DiscCopies, &[THERE], &[THERE], 5);
    let mut inputs = lab.inputs(join_as_master());
    inputs.rows = vec![only_here("passwd", 1)];
    inputs.options.local_rows = LocalRows::Merge;
    operation::make(&inputs).expect("a plan")
}

#[test]
fn a_join_is_taken_back_to_what_it_kept_and_rows_that_it_merged_stay() {
    let join = joined_and_merged();
    let way = Way::Kept {
        bytes: 1_000,
        rows: vec!["online".into()],
        merged: vec!["online".into(), "passwd".into()],
    };
    let rollback = Operation::Rollback(Rollback { id: join.id.clone(), way });
    assert_eq!(undoing(&[whole(&join)]), Ok(vec![rollback.clone()]));

    let lab = Lab::joined(&[THERE]);
    assert_eq!(codes(&lab.inputs(rollback.clone())), ["merged_rows_stay"], "it has to be agreed to");
    let mut agreed = lab.inputs(rollback);
    agreed.options.yes = true;
    let plan = operation::make(&agreed).expect("a plan");
    let expected = [
        "connect",
        "build_database",
        "drain",
        "stop_application",
        "dump_log",
        "stop_mnesia",
        "keep_member",
        "delete_logs",
        "commit_schema",
        "replace_files",
        "forget_here",
        "reopen_mnesia",
        "restore_archive",
        "clear_caches",
        "start_application",
        "verify",
    ];
    assert_eq!(actions(&plan), expected);
    let first = |on_failure| plan.steps.iter().find(|step| step.on_failure == on_failure);
    let named = |on_failure| first(on_failure).map(|step| step.action.name());
    assert_eq!(named(OnFailure::Resume), Some("forget_here"), "the point of no return");
    assert_eq!(named(OnFailure::Keep), Some("verify"), "it serves, and can only report");
    let back: Vec<_> = plan.undo.iter().map(|undo| undo.action.name()).collect();
    assert_eq!(
        back,
        [
            "restore_database",
            "drop_staging",
            "reopen_mnesia",
            "clear_caches",
            "start_application",
            "open_listeners"
        ]
    );
    let again = |history| ask::again(&plan, &Answers { history, ..lab.answers() });
    assert_eq!(again(None), Ok(Next::Need(vec![Need::History])));
    assert_eq!(again(Some(vec![whole(&join)])), Ok(Next::Fits));
    let gone = vec![past(&join, Outcome::Done, KeptState::Missing)];
    assert_eq!(again(Some(gone)), Err(vec![Problem::KeptDatabaseGone { id: join.id.clone() }]));
    assert_eq!(operation::goal(&plan, &Lab::new(&[THERE]).snapshot()), Ok(()));
    let still = operation::goal(&plan, &Lab::joined(&[THERE]).snapshot()).expect_err("still a member");
    assert!(still.iter().all(|problem| problem.code() == "verify_failed"), "{still:?}");
}

#[test]
fn a_database_of_a_member_is_not_put_back_but_the_node_joins_again_as_what_it_was() {
    let master = joined_and_merged();
    let slave = operation::make(&Lab::new(&[THERE]).inputs(Operation::Join(THERE.into()))).expect("a plan");
    let mut leaving = Lab::joined(&[THERE, THIRD]).inputs(Operation::Leave);
    leaving.options.data = Data::Empty;
    let leave = operation::make(&leaving).expect("a plan");
    let again = |join: fn(_) -> Operation| Ok(vec![join(THERE.into()), join(THIRD.into())]);
    assert_eq!(undoing(&[whole(&master), whole(&leave)]), again(Operation::JoinAsMaster));
    assert_eq!(undoing(&[whole(&slave), whole(&leave)]), again(Operation::Join));
    assert_eq!(undoing(&[whole(&leave)]), again(Operation::JoinAsMaster), "it was in no cluster of ours");
    let failed = past(&slave, Outcome::Undone, KeptState::Missing);
    assert_eq!(undoing(&[whole(&master), failed, whole(&leave)]), again(Operation::JoinAsMaster));
}

#[test]
fn what_takes_back_depends_on_the_last_operation_that_changed_something() {
    let reset = operation::make(&Lab::new(&[]).inputs(Operation::Reset)).expect("a plan");
    let way = Way::Kept { bytes: 1_000, rows: Vec::new(), merged: Vec::new() };
    let operation = Operation::Rollback(Rollback { id: reset.id.clone(), way });
    let undone = past(&joined_and_merged(), Outcome::Undone, KeptState::Missing);
    assert_eq!(undoing(&[whole(&reset), undone.clone()]), Ok(vec![operation.clone()]));
    let plan = operation::make(&Lab::new(&[]).inputs(operation)).expect("a plan");
    assert!(!actions(&plan).contains(&"forget_here") && !actions(&plan).contains(&"drain"));
    let again = undoing(&[whole(&reset), whole(&plan)]).expect("a rollback of the rollback");
    assert!(
        matches!(again.as_slice(), [Operation::Rollback(Rollback { id, .. })] if *id == plan.id),
        "{again:?}"
    );

    assert_eq!(undoing(&[]), Err(vec!["nothing_to_roll_back"]));
    assert_eq!(undoing(&[undone]), Err(vec!["nothing_to_roll_back"]));
    let damaged = KeptState::Damaged { path: "passwd.DCD".into(), reason: "enoent".into() };
    assert_eq!(undoing(&[past(&reset, Outcome::Done, damaged)]), Err(vec!["kept_database_damaged"]));
    for outcome in [Outcome::Unfinished, Outcome::Unreadable] {
        let unknown = Past { plan: None, ..past(&reset, outcome, KeptState::Missing) };
        assert_eq!(undoing(&[whole(&reset), unknown]), Err(vec!["unfinished_operation"]));
    }
}

#[test]
fn copies_that_a_sync_has_made_are_deleted_where_another_is_loaded() {
    let mut lab = Lab::joined(&[THERE]);
    let both = [HERE, THERE];
    lab.table("elsewhere", Storage::DiscCopies, &both, &[THERE], 1);
    lab.table("own", Storage::DiscCopies, &both, &[THERE], 1).local_content = true;
    let sync = operation::make(&lab.inputs(Operation::SyncNode(THERE.into()))).expect("a plan");
    let [operation] = undoing(&[past(&sync, Outcome::Stopped, KeptState::Missing)])
        .expect("copies")
        .try_into()
        .expect("one");

    let mut after = Lab::joined(&[THERE]);
    after.table("elsewhere", Storage::DiscCopies, &both, &both, 1);
    after.table("own", Storage::DiscCopies, &both, &both, 1).local_content = true;
    let plan = operation::make(&after.inputs(operation.clone())).expect("a plan");
    let expected = Action::DeleteCopies { tables: vec!["elsewhere".into()] };
    assert_eq!(
        plan.steps.first().map(|step| &step.action),
        Some(&expected),
        "each has its own rows of the other"
    );
    assert_eq!(plan.undo, []);
    assert_eq!(plan.kept, None);
    let goal = operation::goal(&plan, &after.snapshot()).expect_err("still here");
    assert!(goal.iter().any(|problem| problem.to_string().contains("no copy of elsewhere")), "{goal:?}");
    assert_eq!(operation::goal(&plan, &lab.snapshot()), Ok(()));

    let mut only = Lab::joined(&[THERE]);
    only.table("elsewhere", Storage::DiscCopies, &both, &[HERE], 1);
    assert_eq!(codes(&only.inputs(operation.clone())), ["only_copy_here"]);
    assert_eq!(codes(&lab.inputs(operation)), ["nothing_to_roll_back"]);
}

/// A leave that takes its data along reads it all for the new database.
#[test]
fn a_leave_tells_how_much_it_copies() {
    let mut lab = Lab::joined(&[THERE]);
    lab.table("shared", Storage::DiscCopies, &[HERE, THERE], &[HERE, THERE], 500);
    let plan = operation::make(&lab.inputs(Operation::Leave)).expect("a plan");
    let backed_up = plan.steps.iter().find_map(|step| {
        let Action::BackUp { rows, bytes, .. } = &step.action else { return None };
        Some((*rows, *bytes))
    });
    assert!(backed_up.is_some_and(|(rows, _)| rows >= 500), "{backed_up:?}");
    assert_eq!(Some((plan.estimate.rows, plan.estimate.bytes)), backed_up);
}

#[test]
fn a_node_that_leaves_hands_over_what_only_it_has_smallest_first_to_the_fullest_member() {
    let mut lab = Lab::joined(&[THERE, THIRD]);
    let all = [HERE, THERE, THIRD];
    lab.table("shared", Storage::DiscCopies, &all, &[HERE, THIRD], 5);
    lab.table("big", Storage::DiscOnlyCopies, &all, &[HERE], 500);
    lab.table("small", Storage::RamCopies, &all, &[HERE], 5);
    lab.table("session", Storage::RamCopies, &all, &[HERE], 5);
    lab.table("own", Storage::DiscCopies, &all, &[HERE], 5).local_content = true;
    let mut inputs = lab.inputs(Operation::Leave);
    inputs.options.data = Data::Empty;
    let plan = operation::make(&inputs).expect("a plan");
    let handed: Vec<_> = plan
        .steps
        .iter()
        .filter_map(|step| {
            let Action::CopyTableTo { table, node, storage, .. } = &step.action else { return None };
            Some((table.as_str(), node.as_str(), *storage))
        })
        .collect();
    assert_eq!(handed, [("small", THIRD, Storage::RamCopies), ("big", THIRD, Storage::DiscOnlyCopies)]);
    let names = actions(&plan);
    let at = |name: &str| names.iter().position(|n| *n == name);
    assert!(at("copy_table_to") < at("drain") && at("drain") < at("stop_application"), "{names:?}");
    let words = explain::plan::plan(&plan);
    assert!(words.contains("copy big to ejabberd@third.host as disc_only_copies"), "{words}");

    let mut waiting = Lab::joined(&[THERE, THIRD]);
    let here = waiting.set(&[HERE]);
    waiting.table("passwd", Storage::DiscCopies, &all, &[HERE, THERE], 5).active = here;
    assert_eq!(codes(&waiting.inputs(Operation::Leave)), ["only_copy_here"]);
}

#[test]
fn only_a_member_of_a_whole_cluster_leaves() {
    assert_eq!(codes(&Lab::new(&[THERE]).inputs(Operation::Leave)), ["not_in_a_cluster"]);
    let mut down = Lab::joined(&[THERE, THIRD]);
    down.silence(THIRD);
    assert_eq!(codes(&down.inputs(Operation::Leave)), ["member_down"]);
    let mut split = Lab::joined(&[THERE, THIRD]);
    let alone = split.set(&[THIRD]);
    split.facts(THIRD).running_db_nodes = alone;
    assert_eq!(codes(&split.inputs(Operation::Leave)), ["partitioned"]);
    let mut fallback = Lab::joined(&[THERE]);
    fallback.facts(THERE).fallback = true;
    fallback.facts(HERE).unfinished = Some("1".into());
    assert_eq!(codes(&fallback.inputs(Operation::Leave)), ["unfinished_operation", "fallback_installed"]);
}

/// What keeps the node from leaving, or the joiner from joining.
fn blocked_by_majority(lab: &Lab, operation: Operation) -> Option<(String, String)> {
    let problems = operation::make(&lab.inputs(operation)).err()?;
    let found = problems.iter().find(|problem| problem.code() == "majority_blocks")?;
    Some((found.to_string(), found.fix()))
}

#[test]
fn who_would_take_a_majority_along_is_told_so_before_anything_stops() {
    let both = [HERE, THERE];
    let all = [HERE, THERE, THIRD];
    let mut two = Lab::joined(&[THERE]);
    two.table("m", Storage::DiscCopies, &both, &both, 5).majority = true;
    two.table("t", Storage::DiscCopies, &both, &both, 5);
    let back = Operation::Rollback(Rollback {
        id: "20260101T000000.000000Z-join".into(),
        way: Way::Kept { bytes: 1, rows: Vec::new(), merged: Vec::new() },
    });
    for operation in [Operation::Leave, back] {
        let (evidence, fix) = blocked_by_majority(&two, operation).expect("a problem");
        assert!(evidence.contains("1 table (m)") && evidence.contains(HERE), "{evidence}");
        assert!(fix.contains("mnesia:change_table_majority(m, false)"), "{fix}");
    }

    let mut three = Lab::joined(&[THERE, THIRD]);
    three.table("m", Storage::DiscCopies, &all, &all, 5).majority = true;
    three.table("elsewhere", Storage::DiscCopies, &all, &[THERE, THIRD], 5).majority = true;
    three.table("sessions", Storage::RamCopies, &all, &all, 5).majority = true;
    assert_eq!(blocked_by_majority(&three, Operation::Leave), None, "two of three copies are left");
    three.table("it's", Storage::DiscCopies, &all, &[HERE, THIRD], 5).majority = true;
    let (_, fix) = blocked_by_majority(&three, Operation::Leave).expect("one of two copies is left");
    assert!(fix.contains(r"mnesia:change_table_majority('it\'s', false)"), "{fix}");
}

#[test]
fn a_table_that_is_handed_over_has_no_majority_without_this_node() {
    let both = [HERE, THERE];
    let mut lab = Lab::joined(&[THERE]);
    lab.table("only", Storage::DiscCopies, &both, &[HERE], 5).majority = true;
    assert!(blocked_by_majority(&lab, Operation::Leave).is_some());
}

#[test]
fn a_join_that_the_members_could_not_take_back_is_refused() {
    let mut one = Lab::new(&[THERE]);
    one.table("m", Storage::DiscCopies, &[THERE], &[THERE], 5).majority = true;
    let (_, fix) = blocked_by_majority(&one, join_as_master()).expect("a problem");
    assert!(fix.starts_with(&format!("on {THERE} first: mnesia:change_table_majority(m, false)")), "{fix}");
    assert!(fix.ends_with("mnesia:change_table_majority(m, true)"), "{fix}");
    assert_eq!(blocked_by_majority(&one, Operation::Join(THERE.into())), None, "a slave holds no copy");

    let mut two = Lab::new(&[THERE, THIRD]);
    two.table("m", Storage::DiscCopies, &[THERE, THIRD], &[THERE, THIRD], 5).majority = true;
    assert_eq!(blocked_by_majority(&two, join_as_master()), None, "two of three copies would be left");
}

#[test]
fn fragments_have_their_majority_changed_by_their_base_table() {
    let both = [HERE, THERE];
    let mut lab = Lab::joined(&[THERE]);
    for name in ["f", "f_frag2"] {
        let table = lab.table(name, Storage::DiscCopies, &both, &both, 5);
        table.majority = true;
        table.properties = "[[],[],[{base_table,f},{n_fragments,2}]]".into();
    }
    let (_, fix) = blocked_by_majority(&lab, Operation::Leave).expect("a problem");
    assert!(fix.contains("first: mnesia:change_table_majority(f, false); afterwards"), "{fix}");
}

/// The problem with a read-only table, if there is one.
fn blocked_as_read_only(inputs: &Inputs) -> Option<(String, String)> {
    let problems = operation::make(inputs).err()?;
    let found = problems.iter().find(|problem| problem.code() == "read_only_tables")?;
    Some((found.to_string(), found.fix()))
}

#[test]
fn a_read_only_table_gets_no_second_copy_and_loses_none() {
    let both = [HERE, THERE];
    let mut apart = Lab::new(&[THERE]);
    apart.table("ro", Storage::DiscCopies, &[THERE], &[THERE], 5).access_mode = AccessMode::ReadOnly;
    let (evidence, fix) = blocked_as_read_only(&apart.inputs(join_as_master())).expect("a problem");
    assert!(evidence.contains("Loader crashed"), "{evidence}");
    assert!(
        fix.starts_with(&format!("on {THERE}: mnesia:change_table_access_mode(ro, read_write)")),
        "{fix}"
    );
    assert_eq!(blocked_as_read_only(&apart.inputs(Operation::Join(THERE.into()))), None);

    let mut local = Lab::new(&[THERE]);
    let table = local.table("own", Storage::DiscCopies, &[THERE], &[THERE], 5);
    (table.access_mode, table.local_content) = (AccessMode::ReadOnly, true);
    let (evidence, _) = blocked_as_read_only(&local.inputs(join_as_master())).expect("a problem");
    assert!(evidence.contains("out of the schema"), "each node loads its own: {evidence}");

    let mut there = Lab::joined(&[THERE]);
    there.table("ro", Storage::DiscCopies, &both, &[THERE], 5).access_mode = AccessMode::ReadOnly;
    assert!(blocked_as_read_only(&there.inputs(Operation::SyncNode(THERE.into()))).is_some());
    assert_eq!(blocked_as_read_only(&there.inputs(Operation::Leave)), None, "this node has no copy");

    for holders in [&both[..], &[HERE]] {
        let mut lab = Lab::joined(&[THERE]);
        lab.table("ro", Storage::DiscCopies, &both, holders, 5).access_mode = AccessMode::ReadOnly;
        let (evidence, _) = blocked_as_read_only(&lab.inputs(Operation::Leave)).expect("a problem");
        assert!(evidence.contains("out of the schema"), "{evidence}");
    }
}

#[test]
fn no_rows_are_merged_into_a_read_only_table() {
    let mut lab = Lab::new(&[THERE]);
    lab.facts(HERE).applications.clear();
    lab.table("ro", Storage::DiscCopies, &[HERE], &[HERE], 5);
    lab.table("ro", Storage::DiscCopies, &[THERE], &[THERE], 5).access_mode = AccessMode::ReadOnly;
    let mut inputs = lab.inputs(Operation::Join(THERE.into()));
    inputs.rows = vec![only_here("ro", 1)];
    assert_eq!(blocked_as_read_only(&inputs), None, "they are archived");
    inputs.options.local_rows = LocalRows::Merge;
    let (evidence, _) = blocked_as_read_only(&inputs).expect("a problem");
    assert!(evidence.contains("refuse to write"), "{evidence}");
}

#[test]
fn a_program_with_cluster_tools_of_its_own_is_named_and_its_tools_are_the_fix() {
    let owned = |lab: &mut Lab| {
        lab.facts(HERE).running_applications =
            ["mria", "kernel", "emqx", "mnesia"].map(AtomName::from).to_vec();
    };
    let (mut apart, mut member, mut alone) = (Lab::new(&[THERE]), Lab::joined(&[THERE]), Lab::new(&[]));
    [&mut apart, &mut member, &mut alone].into_iter().for_each(owned);
    let back = Operation::Rollback(Rollback {
        id: "20260101T000000.000000Z-join".into(),
        way: Way::Kept { bytes: 1, rows: Vec::new(), merged: Vec::new() },
    });
    for (lab, operation, tool) in [
        (&apart, join_as_master(), "emqx ctl cluster join ejabberd@foo.bar"),
        (&apart, Operation::Join(THERE.into()), "emqx ctl cluster join ejabberd@foo.bar"),
        (&member, Operation::Leave, "emqx ctl cluster leave"),
        (&member, back, "emqx ctl cluster leave"),
        (&alone, Operation::Reset, "emqx ctl cluster leave"),
    ] {
        let mut inputs = lab.inputs(operation);
        let problems = operation::make(&inputs).expect_err("a refusal");
        let [problem] = problems.as_slice() else { panic!("{problems:?}") };
        assert_eq!(problem.code(), "own_cluster_tools");
        assert!(problem.fix().starts_with(&format!("use these: {tool};")), "{}", problem.fix());
        inputs.options.yes = true;
        let words = explain::plan::plan(&operation::make(&inputs).expect("a plan with consent"));
        assert!(words.contains("warning     emqx runs on"), "{words}");
    }
    let inputs = member.inputs(Operation::SyncNode(THERE.into()));
    assert!(operation::make(&inputs).is_ok(), "a copy more is nothing that it would not know of");
}

#[test]
fn a_file_that_would_stay_open_is_told_before_mnesia_is_stopped() {
    let mut lab = Lab::new(&[THERE]);
    lab.facts(HERE).obstacles =
        vec![Obstacle::InUse { path: "/m/users.DAT".into(), users: vec!["<0.99.0>".into()] }];
    assert_eq!(codes(&lab.inputs(join_as_master())), ["file_in_use"]);
}
