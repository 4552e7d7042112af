//! The types of the core, on the wire: each comes back as it was, and every request gets one answer, whatever it is.

#![expect(clippy::panic, clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests")]

use easy_cluster::model::catalogue::Class;
use easy_cluster::model::name::{AtomName, NodeName, TableName};
use easy_cluster::model::request::{
    Awaited, AwaitedNode, BackedUp, Backup, Changes, CopyDrift, Data, Drift, ForceBoot, Lately, LocalRows,
    Lose, Operation, Options, Rename, Repair, Rollback, TableRepair, Way,
};
use easy_cluster::model::rows::RowDifference;
use easy_cluster::model::snapshot::{
    Answer, Archive, Beside, Configuration, Copied, Damage, DamagedJournal, FORMAT, Facts, KeptDatabase,
    Member, Obstacle, Running, Snapshot,
};
use easy_cluster::model::store::Reason;
use easy_cluster::model::table::{AccessMode, Storage, Table, TableType};
use easy_cluster::plan::LostTable;
use easy_cluster::plan::diff::Comparison;
use easy_cluster::plan::estimate::Estimate;
use easy_cluster::plan::fingerprint::Fingerprint;
use easy_cluster::plan::step::{Action, OnFailure, Source, Step, TableCopy, UndoStep};
use easy_cluster::plan::{Inputs, Kept, Plan};
use easy_cluster::validate::problem::{Bytes, Milliseconds, Nodes, Problem};
use easy_cluster_wire::{answer, from_bytes, to_bytes};
use proptest::collection::{btree_map, vec};
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;
use serde::{Deserialize, Serialize};

/// As Erlang writes it; `fixtures/make.escript` made it.
const PLAN: &[u8] = include_bytes!("fixtures/plan.etf");

/// An answer to a request for a plan.
#[derive(Debug, PartialEq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Outcome {
    Ok(Box<Plan>),
    Error(Vec<Problem>),
}

fn asked(request: &[u8]) -> Outcome {
    from_bytes(&answer(request)).expect("an answer can be read")
}

fn plan_of_the_fixture() -> Plan {
    match asked(PLAN) {
        Outcome::Ok(plan) => *plan,
        Outcome::Error(problems) => panic!("{problems:?}"),
    }
}

#[test]
fn a_request_of_a_real_erlang_is_answered_with_a_plan() {
    let plan = plan_of_the_fixture();
    assert_eq!(plan.id, "20260101T000000.000000Z-join_as_master");
    assert_eq!(plan.members, ["ejabberd@foo.bar".into(), "ejabberd@third.host".into()]);
    let copies: Vec<&TableCopy> = plan.steps.iter().flat_map(|step| step.action.copies()).collect();
    let copy = |table: &str| TableCopy {
        table: table.into(),
        storage: Storage::DiscCopies,
        rows: 3,
        bytes: 1 << 33,
    };
    assert_eq!(copies, [&copy("passwd"), &copy("при")]);
}

#[test]
fn every_beginning_of_a_request_is_answered_with_a_bad_request() {
    for length in 0..PLAN.len() {
        let expected = format!("the term ends at byte {length}, in the middle");
        assert_eq!(
            asked(&PLAN[..length]),
            Outcome::Error(vec![Problem::BadRequest { reason: expected }]),
            "{length} bytes"
        );
    }
}

#[test]
fn every_changed_byte_of_a_request_is_answered() {
    let mut request = PLAN.to_vec();
    for at in 0..request.len() {
        let byte = request[at];
        for changed in [byte ^ 1, byte ^ 128, 0, 255] {
            request[at] = changed;
            asked(&request);
        }
        request[at] = byte;
    }
}

#[test]
fn a_megabyte_that_does_not_fit_is_not_repeated() {
    let operation = "x".repeat(1 << 20);
    let length = u32::try_from(operation.len()).unwrap().to_be_bytes();
    let request = [&[131, 104, 2, 109], &length[..], operation.as_bytes(), &[116, 0, 0, 0, 0]].concat();
    let Outcome::Error(problems) = asked(&request) else { panic!("a plan") };
    let [Problem::BadRequest { reason }] = &problems[..] else { panic!("{problems:?}") };
    assert!(reason.starts_with("unknown variant `xxx"), "{reason}");
    assert!(reason.contains("x…"), "{reason}");
    assert!(reason.len() < 1100, "{} bytes", reason.len());
}

#[test]
fn an_answer_that_has_no_term_is_an_error() {
    // As text, a name may be longer than an atom, and this one is part of the refusal.
    let here = format!("{}@hello.world", "a".repeat(300));
    let request = to_bytes(&Request::NodeName { text: "ejabberd@foo", here: &here }).unwrap();
    let Outcome::Error(problems) = asked(&request) else { panic!("a plan") };
    let [Problem::BadRequest { reason }] = &problems[..] else { panic!("{problems:?}") };
    assert!(reason.starts_with("the answer could not be encoded: "), "{reason}");
}

/// Erlang writes nothing as `undefined`, which is therefore no text of something that may be missing.
fn text() -> impl Strategy<Value = String> {
    any::<String>().prop_filter("nothing", |text| text != "undefined")
}

fn atom() -> impl Strategy<Value = String> {
    vec(any::<char>(), 1..=255)
        .prop_map(|text| text.into_iter().collect::<String>())
        .prop_filter("nothing", |text| text != "undefined")
}

fn node() -> impl Strategy<Value = NodeName> {
    atom().prop_map(NodeName::from)
}

fn nodes() -> impl Strategy<Value = Vec<NodeName>> {
    vec(node(), 0..4)
}

fn table_name() -> impl Strategy<Value = TableName> {
    atom().prop_map(TableName::from)
}

fn table_names() -> impl Strategy<Value = Vec<TableName>> {
    vec(table_name(), 0..4)
}

fn application() -> impl Strategy<Value = AtomName> {
    atom().prop_map(AtomName::from)
}

fn storage() -> impl Strategy<Value = Storage> {
    select(vec![Storage::RamCopies, Storage::DiscCopies, Storage::DiscOnlyCopies])
}

fn obstacle() -> impl Strategy<Value = Obstacle> {
    (any::<[String; 2]>(), 0..4).prop_map(|([path, reason], which)| match which {
        0 => Obstacle::NotAPlainFile { path, kind: reason },
        1 => Obstacle::NotUsable { path, reason },
        2 => Obstacle::InUse { path, users: vec![reason] },
        _ => Obstacle::NoHardLinks { path, reason },
    })
}

fn configuration() -> impl Strategy<Value = Configuration> {
    (any::<[String; 2]>(), 0..3).prop_map(|([path, reason], which)| match which {
        0 => Configuration::Valid,
        1 => Configuration::Invalid { path, reason },
        _ => Configuration::Unchecked { reason },
    })
}

fn beside() -> impl Strategy<Value = Beside> {
    let damage = select(vec![Damage::Corrupt, Damage::Version, Damage::Unreadable, Damage::Missing]);
    let damaged = (any::<[String; 3]>(), damage).prop_map(|([id, path, reason], damage)| DamagedJournal {
        id,
        path,
        damage,
        reason,
    });
    let kept = (any::<String>(), any::<[u64; 2]>(), any::<bool>())
        .prop_map(|(id, [files, bytes], shared)| KeptDatabase { id, files, bytes, shared });
    let archive =
        (any::<String>(), any::<[u64; 2]>()).prop_map(|(id, [files, bytes])| Archive { id, files, bytes });
    (vec(damaged, 0..2), vec(kept, 0..2), vec(archive, 0..2), any::<Option<u64>>())
        .prop_map(|(damaged, kept, archives, kept_quota)| Beside { damaged, kept, archives, kept_quota })
}

prop_compose! {
    fn facts()(
        texts in [text(), text()],
        versions in btree_map(text(), text(), 0..4),
        [applications, running_applications] in [vec(application(), 0..3), vec(application(), 0..3)],
        mnesia in select(vec![Running::Yes, Running::No, Running::Starting, Running::Stopping]),
        flags in any::<[bool; 3]>(),
        sets in any::<[u32; 5]>(),
        tick_time in any::<u32>(),
        clock_offset in any::<i64>(),
        memory_free in any::<Option<u64>>(),
        disk_free in any::<Option<u64>>(),
        directory_writable in any::<Option<bool>>(),
        obstacles in vec(obstacle(), 0..3),
        configuration in option::of(configuration()),
        unfinished in option::of(text()),
        beside in beside(),
        schema_cookie in option::of(any::<String>()),
        awaits in vec(node(), 0..3),
    ) -> Facts {
        let ([otp_release, directory], [use_dir, fallback, operating]) = (texts, flags);
        let [db_nodes, running_db_nodes, extra_db_nodes, connected, master_nodes] = sets;
        Facts {
            otp_release, versions, applications, running_applications, operating, mnesia, use_dir, fallback, db_nodes, running_db_nodes, extra_db_nodes,
            connected, master_nodes, tick_time, clock_offset, memory_free, disk_free, directory,
            directory_writable, obstacles, configuration, unfinished, beside, schema_cookie, awaits,
        }
    }
}

fn member() -> impl Strategy<Value = Member> {
    let answer = prop_oneof![
        facts().prop_map(|facts| Answer::Facts(Box::new(facts))),
        any::<String>().prop_map(Answer::Silent),
    ];
    (node(), answer).prop_map(|(node, answer)| Member { node, answer })
}

prop_compose! {
    fn table()(
        name in table_name(),
        table_type in select(vec![TableType::Set, TableType::OrderedSet, TableType::Bag]),
        sets in any::<[u32; 6]>(),
        attributes in vec(application(), 0..4),
        record_name in application(),
        texts in any::<[String; 4]>(),
        flags in any::<[bool; 2]>(),
        load_order in any::<i64>(),
        counts in any::<[u64; 2]>(),
    ) -> Table {
        let [seen_by, ram_copies, disc_copies, disc_only_copies, external_copies, active] = sets;
        let [index, cookie, version, properties] = texts;
        let ([local_content, majority], [size, memory]) = (flags, counts);
        Table {
            name, seen_by, table_type, ram_copies, disc_copies, disc_only_copies, external_copies, active,
            attributes, record_name, index, local_content, majority, access_mode: if counts[0] % 2 == 0 { AccessMode::ReadWrite } else { AccessMode::ReadOnly }, load_order, cookie, version, properties,
            size, memory,
        }
    }
}

prop_compose! {
    fn snapshot()(
        format in any::<u32>(),
        node in node(),
        members in vec(member(), 0..4),
        tables in vec(table(), 0..4),
        node_sets in vec(nodes(), 0..4),
        copied in vec(copied(), 0..3),
    ) -> Snapshot {
        Snapshot { format, node, members, tables, node_sets, ways: Vec::new(), kept: Vec::new(), copied }
    }
}

fn copied() -> impl Strategy<Value = Copied> {
    (table_name(), storage(), any::<[u64; 3]>()).prop_map(|(table, storage, [rows, bytes, milliseconds])| {
        Copied { table, storage, rows, bytes, milliseconds }
    })
}

fn way() -> impl Strategy<Value = Way> {
    prop_oneof![
        (any::<u64>(), table_names(), table_names()).prop_map(|(bytes, rows, merged)| Way::Kept {
            bytes,
            rows,
            merged
        }),
        table_names().prop_map(|tables| Way::Copies { tables }),
    ]
}

prop_compose! {
    fn backup()(
        path in any::<String>(),
        node in node(),
        table in table_name(),
        storage in storage(),
        attributes in vec(application(), 0..3),
        numbers in any::<[u64; 6]>(),
        compared in any::<bool>(),
    ) -> Backup {
        let [rows, bytes, here, only_here, only_in_backup, different] = numbers;
        let changes = compared.then_some(Changes { here, only_here, only_in_backup, different });
        let record_name = AtomName::from(table.as_str());
        let index = "[]".into();
        let table_type = TableType::Bag;
        let table = BackedUp { name: table, table_type, storage, attributes, record_name, index, rows, bytes, changes };
        Backup { path, node, at: "2026-01-01T00:00:00Z".into(), tables: vec![table], left_out: vec!["session".into()] }
    }
}

fn operation() -> impl Strategy<Value = Operation> {
    prop_oneof![
        node().prop_map(Operation::Join),
        node().prop_map(Operation::JoinAsMaster),
        node().prop_map(Operation::SyncNode),
        node().prop_map(Operation::Forget),
        Just(Operation::Reset),
        Just(Operation::Leave),
        (any::<String>(), way()).prop_map(|(id, way)| Operation::Rollback(Rollback { id, way })),
        (node(), node()).prop_map(|(from, to)| Operation::Rename(Rename { from, to })),
        node().prop_map(Operation::Reenter),
        node().prop_map(Operation::Overridden),
        backup().prop_map(Operation::Restore),
        force_boot().prop_map(Operation::ForceBoot),
        table_repair().prop_map(Operation::RepairTable),
        (text(), any::<u16>(), vec(lately(), 0..3), table_names()).prop_map(
            |(policy, minute, lately, refused)| Operation::Repair(Repair { policy, minute, lately, refused })
        ),
    ]
}

prop_compose! {
    fn table_repair()(
        table in table_name(),
        [winner, other] in [node(), node()],
        [keys, missing, foreign, different, left_out] in any::<[u64; 5]>(),
        more in any::<bool>(),
        digest in any::<String>(),
    ) -> TableRepair {
        let copies = vec![CopyDrift { node: other, missing, foreign, different }];
        TableRepair { table, winner, drift: Drift { keys, copies, more, left_out, digest } }
    }
}

prop_compose! {
    fn comparison()(table in table_name(), nodes in nodes(), bits in any::<u32>(), piece in any::<u64>()) -> Comparison {
        Comparison { table, nodes, bits, piece }
    }
}

fn lately() -> impl Strategy<Value = Lately> {
    (table_name(), node()).prop_map(|(table, node)| Lately { table, node })
}

fn force_boot() -> impl Strategy<Value = ForceBoot> {
    let reason = prop_oneof![Just(Reason::Newer), Just(Reason::Memory), Just(Reason::Masters)];
    let awaited = (node(), option::of(text()), any::<bool>())
        .prop_map(|(node, seen, outlived_here)| AwaitedNode { node, seen, outlived_here });
    let wait = (table_names(), reason, vec(awaited, 0..3)).prop_map(|(tables, reason, nodes)| Awaited {
        tables,
        reason,
        nodes,
    });
    (vec(wait, 0..3), vec((node(), any::<String>()), 0..3))
        .prop_map(|(waits, signs)| ForceBoot { waits, signs })
}

prop_compose! {
    fn options()(
        dry_run in any::<bool>(),
        timeout in any::<u64>(),
        local_rows in select(vec![LocalRows::Archive, LocalRows::Merge]),
        data in select(vec![Data::Keep, Data::Empty]),
        [yes, quorum] in any::<[bool; 2]>(),
        also in nodes(),
        lose in prop_oneof![
            Just(Lose::Nothing),
            Just(Lose::All),
            vec(any::<String>(), 0..3).prop_map(Lose::Tables)
        ],
    ) -> Options {
        Options { dry_run, timeout, local_rows, data, yes, also, lose, quorum }
    }
}

fn rows() -> impl Strategy<Value = Vec<RowDifference>> {
    let row = (table_name(), any::<[u64; 3]>()).prop_map(|(table, [here, only_here, different])| {
        RowDifference { table, here, only_here, different }
    });
    vec(row, 0..4)
}

fn action() -> impl Strategy<Value = Action> {
    let without_fields = select(vec![
        Action::DumpLog,
        Action::StopMnesia,
        Action::OpenStaging,
        Action::SchemaToDisc,
        Action::CloseStaging,
        Action::KeepDatabase,
        Action::KeepMember,
        Action::SetAside,
        Action::CopyAside,
        Action::DeleteLogs,
        Action::CommitSchema,
        Action::ReplaceFiles,
        Action::ClearCaches,
        Action::Verify,
        Action::EnsureFence,
        Action::RestoreDatabase,
        Action::DropStaging,
        Action::ReopenMnesia,
        Action::Drain,
        Action::OpenListeners,
        Action::BuildDatabase { source: Source::Empty },
    ]);
    prop_oneof![
        without_fields,
        nodes().prop_map(|nodes| Action::Connect { nodes }),
        any::<String>().prop_map(|path| Action::BuildDatabase { source: Source::Backup { path } }),
        (node(), node())
            .prop_map(|(from, to)| Action::BuildDatabase { source: Source::Renamed { from, to } }),
        application().prop_map(|application| Action::StopApplication { application }),
        application().prop_map(|application| Action::StartApplication { application }),
        (table_names(), any::<u64>(), any::<u64>()).prop_map(|(tables, rows, bytes)| Action::ArchiveRows {
            tables,
            rows,
            bytes
        }),
        table_names().prop_map(|tables| Action::WaitForTables { tables }),
        (table_names(), any::<u64>()).prop_map(|(tables, rows)| Action::MergeRows { tables, rows }),
        table_names().prop_map(|tables| Action::RestoreRows { tables }),
        (node(), nodes()).prop_map(|(node, members)| Action::JoinSchema { node, members }),
        nodes().prop_map(|members| Action::StartMnesia { members }),
        nodes().prop_map(|members| Action::ForgetHere { members }),
        (table_name(), node(), storage(), any::<[u64; 2]>()).prop_map(
            |(table, node, storage, [rows, bytes])| Action::CopyTableTo { table, node, storage, rows, bytes }
        ),
        (table_name(), node(), any::<u32>(), class())
            .prop_map(|(table, node, others, class)| { Action::DeleteCopyOn { table, node, others, class } }),
        table_names().prop_map(|tables| Action::DeleteCopies { tables }),
        table_names().prop_map(|in_memory| Action::DropBackUp { in_memory }),
        table_names().prop_map(|tables| Action::KeepInMemory { tables }),
        any::<u64>().prop_map(|rows| Action::BuildDatabase { source: Source::BackedUp { rows } }),
        (any::<String>(), table_names()).prop_map(|(id, tables)| Action::RestoreArchive { id, tables }),
        any::<String>().prop_map(|id| Action::BuildDatabase { source: Source::Kept { id } }),
        table_copy().prop_map(Action::CopyTable),
        vec(table_copy(), 0..4).prop_map(|copies| Action::CopyTables { copies }),
        (nodes(), nodes()).prop_map(|(nodes, members)| Action::Bar { nodes, members }),
        (nodes(), nodes()).prop_map(|(nodes, members)| Action::Unbar { nodes, members }),
        node().prop_map(|node| Action::ForgetNode { node }),
        (table_names(), nodes()).prop_map(|(tables, nodes)| Action::DeleteDeadCopies { tables, nodes }),
        (nodes(), option::of(any::<String>())).prop_map(|(members, old)| Action::RenewFence { members, old }),
        (nodes(), nodes(), option::of(any::<String>()), vec((node(), nodes()), 0..3))
            .prop_map(|(nodes, members, old, masters)| Action::RenewSchema { nodes, members, old, masters }),
        vec((table_name(), node()), 0..3).prop_map(|tables| Action::ForceLoad { tables }),
        (node(), comparison(), any::<u64>()).prop_map(|(winner, copies, keys)| Action::ArchiveDrift {
            winner,
            copies,
            keys
        }),
        (table_name(), node(), nodes(), any::<u64>())
            .prop_map(|(table, winner, nodes, keys)| Action::MendRows { table, winner, nodes, keys }),
        comparison().prop_map(|copies| Action::CompareCopies { copies }),
    ]
}

fn table_copy() -> impl Strategy<Value = TableCopy> {
    (table_name(), storage(), any::<[u64; 2]>()).prop_map(|(table, storage, [rows, bytes])| TableCopy {
        table,
        storage,
        rows,
        bytes,
    })
}

fn step() -> impl Strategy<Value = Step> {
    (
        any::<u32>(),
        action(),
        select(vec![OnFailure::Undo, OnFailure::Keep, OnFailure::Resume]),
        any::<[u64; 2]>(),
    )
        .prop_map(|(number, action, on_failure, [milliseconds, stall])| Step {
            number,
            action,
            on_failure,
            milliseconds,
            stall,
        })
}

fn undo_step() -> impl Strategy<Value = UndoStep> {
    (any::<u32>(), action()).prop_map(|(since, action)| UndoStep { since, action })
}

/// One of each kind of field.
fn problem() -> impl Strategy<Value = Problem> {
    prop_oneof![
        (any::<String>(), any::<String>()).prop_map(|(text, reason)| Problem::BadNodeName { text, reason }),
        any::<String>().prop_map(|reason| Problem::BadRequest { reason }),
        node().prop_map(|node| Problem::CannotJoinItself { node }),
        (node(), any::<i64>()).prop_map(|(node, offset)| Problem::ClockOffset { node, offset }),
        (node(), nodes())
            .prop_map(|(node, members)| Problem::AlreadyMember { node, members: Nodes(members) }),
        (table_name(), any::<u64>())
            .prop_map(|(table, stall)| Problem::LongStall { table, stall: Milliseconds(stall) }),
        (table_name(), any::<[u64; 2]>()).prop_map(|(table, [bytes, limit])| Problem::DetsLimit {
            table,
            bytes: Bytes(bytes),
            limit: Bytes(limit),
        }),
    ]
}

fn estimate() -> impl Strategy<Value = Estimate> {
    (any::<[u64; 4]>(), option::of(table_name())).prop_map(
        |([rows, bytes, milliseconds, longest_stall], stalled_table)| Estimate {
            rows,
            bytes,
            milliseconds,
            longest_stall,
            stalled_table,
        },
    )
}

fn kept() -> impl Strategy<Value = Kept> {
    (any::<String>(), any::<[u64; 2]>()).prop_map(|(directory, [tables, rows])| Kept {
        directory,
        tables,
        rows,
    })
}

fn class() -> impl Strategy<Value = Class> {
    select(vec![Class::Durable, Class::OwnerKeyed, Class::Local, Class::Derived])
}

fn lost() -> impl Strategy<Value = LostTable> {
    (table_name(), class(), any::<String>(), vec(any::<String>(), 0..3))
        .prop_map(|(table, class, storage, kept)| LostTable { table, class, storage, kept })
}

prop_compose! {
    fn plan()(
        id in any::<String>(),
        operation in operation(),
        options in options(),
        node in node(),
        members in nodes(),
        fingerprint in any::<[String; 3]>(),
        steps in vec(step(), 0..4),
        undo in vec(undo_step(), 0..4),
        warnings in vec(problem(), 0..4),
        kept in option::of(kept()),
        (rows, lost, estimate) in (rows(), vec(lost(), 0..3), estimate()),
    ) -> Plan {
        let [membership, software, tables] = fingerprint;
        let fingerprint = Fingerprint { membership, software, tables };
        Plan { id, operation, options, node, members, fingerprint, steps, undo, warnings, kept, rows, lost, estimate }
    }
}

prop_compose! {
    fn inputs()(
        operation in operation(),
        options in options(),
        snapshot in snapshot(),
        rows in rows(),
        at in any::<String>(),
    ) -> Inputs {
        Inputs { operation, options, snapshot, rows, at }
    }
}

proptest! {
    // A case is large.
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn inputs_come_back_as_they_were(inputs in inputs()) {
        prop_assert_eq!(from_bytes(&to_bytes(&inputs).unwrap()), Ok(inputs));
    }

    #[test]
    fn a_plan_comes_back_as_it_was(plan in plan()) {
        prop_assert_eq!(from_bytes(&to_bytes(&plan).unwrap()), Ok(plan));
    }

    #[test]
    fn problems_come_back_as_they_were(problems in vec(problem(), 0..10)) {
        prop_assert_eq!(from_bytes(&to_bytes(&problems).unwrap()), Ok(problems));
    }

    /// Whatever the members say, however large their numbers: the core says yes or why not, and does not fail inside.
    #[test]
    fn inputs_of_any_kind_are_answered(inputs in inputs(), target in facts(), other in node()) {
        let request = to_bytes(&Request::Plan(&consistent(inputs, target, other))).unwrap();
        if let Outcome::Error(problems) = asked(&request) {
            prop_assert!(problems.iter().all(|problem| problem.code() != "bad_request"), "{:?}", problems);
        }
    }

    /// Likewise for the way to what a policy wants.
    #[test]
    fn topologies_of_any_kind_are_answered(inputs in inputs(), target in facts(), other in node(), copies in 1..4_u32) {
        let snapshot = consistent(inputs, target, other).snapshot;
        let policy = format!("copies: {copies}\nclasses: {{durable: {{storage: disc_copies}}}}\n");
        let bytes = answer(&to_bytes(&Request::Topology { snapshot: &snapshot, policy: &policy }).unwrap());
        if let Ok(Refused::Error(problems)) = from_bytes(&bytes) {
            prop_assert!(problems.iter().all(|problem| problem.code() != "bad_request"), "{:?}", problems);
        }
    }
}

/// An answer that matters only where it is a refusal.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Refused {
    Error(Vec<Problem>),
}

#[derive(Serialize)]
#[serde(rename_all = "snake_case")]
enum Request<'a> {
    NodeName { text: &'a str, here: &'a str },
    Plan(&'a Inputs),
    Topology { snapshot: &'a Snapshot, policy: &'a str },
}

/// As inputs have to be to be looked at: of this format, with facts of this node, naming sets that are there. That the
/// two nodes run and know only themselves lets more of them through to a plan.
fn consistent(mut inputs: Inputs, target: Facts, other: NodeName) -> Inputs {
    let snapshot = &mut inputs.snapshot;
    snapshot.format = FORMAT;
    let here = snapshot.node.clone();
    snapshot.node_sets.splice(0..0, [vec![here.clone()], vec![other.clone()]]);
    snapshot.node_sets.iter_mut().for_each(|set| set.sort());
    let sets = u32::try_from(snapshot.node_sets.len()).unwrap();
    for table in &mut snapshot.tables {
        for set in [
            &mut table.seen_by,
            &mut table.ram_copies,
            &mut table.disc_copies,
            &mut table.disc_only_copies,
            &mut table.external_copies,
            &mut table.active,
        ] {
            *set %= sets;
        }
    }
    let facts_of = |facts: &Facts, set| {
        let facts = Facts {
            mnesia: Running::Yes,
            awaits: Vec::new(),
            db_nodes: set,
            running_db_nodes: set,
            extra_db_nodes: set,
            connected: set,
            master_nodes: set,
            directory_writable: None,
            fallback: false,
            obstacles: Vec::new(),
            configuration: None,
            unfinished: None,
            beside: Beside::default(),
            ..facts.clone()
        };
        Answer::Facts(Box::new(facts))
    };
    snapshot.members = vec![
        Member { node: here, answer: facts_of(&target, 0) },
        Member { node: other.clone(), answer: facts_of(&target, 1) },
    ];
    inputs.operation = match inputs.operation {
        Operation::Join(_) => Operation::Join(other),
        Operation::JoinAsMaster(_)
        | Operation::SyncNode(_)
        | Operation::Forget(_)
        | Operation::Reset
        | Operation::Leave
        | Operation::Rollback(_)
        | Operation::Restore(_)
        | Operation::Rename(_)
        | Operation::Reenter(_)
        | Operation::Overridden(_)
        | Operation::ForceBoot(_)
        | Operation::Repair(_)
        | Operation::RepairTable(_) => Operation::JoinAsMaster(other),
    };
    inputs
}
