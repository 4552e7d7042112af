//! How long the topology planner takes, how it grows, and how far its plans are from what no plan can do better than.
//!
//! `cargo bench --bench topology`; the fit and the quality are printed first.

#![expect(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout, reason = "a bench")]
#![expect(clippy::cast_precision_loss, reason = "what is printed has few digits")]

mod support;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::{Duration, Instant};

use divan::{Bencher, black_box};
use easy_cluster::model::name::{AtomName, NodeName};
use easy_cluster::model::policy::Policy;
use easy_cluster::model::snapshot::{Answer, Beside, FORMAT, Facts, Member, Running, Snapshot};
use easy_cluster::model::table::SetIndex;
use easy_cluster::model::table::{AccessMode, Table, TableType};
use easy_cluster::topology::{self, Quality, Topology};
use easy_cluster::validate::policy;
use support::{Random, Sets, Size};

const LARGE: Size = Size(1_000, 10_000);
const GROWING: [Size; 7] = [
    Size(100, 100),
    Size(100, 316),
    Size(100, 1_000),
    Size(100, 3_162),
    Size(100, 10_000),
    Size(100, 31_623),
    Size(100, 100_000),
];

/// Where the cluster comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Start {
    /// Each table has one to three holders anywhere.
    Scattered,
    /// Everything is on one node, as before the others joined.
    OneNode,
    /// Each table has five holders, and two have to go.
    TooMany,
    /// Scattered, and every node has room for a fifth more than its share.
    Limited,
    /// Nothing has to be done.
    Done,
}

const STARTS: [Start; 5] = [Start::Scattered, Start::OneNode, Start::TooMany, Start::Limited, Start::Done];

fn main() {
    if std::env::args().any(|argument| argument == "--bench") {
        quality();
        fit();
    }
    divan::main();
}

#[divan::bench(args = [Start::Scattered, Start::OneNode, Start::TooMany, Start::Limited], sample_count = 10, sample_size = 1)]
fn thousand_nodes_and_ten_thousand_tables(bencher: Bencher<'_, '_>, start: Start) {
    let (policy, snapshot) = case(LARGE, start);
    bencher.bench(|| topology::make(black_box(&policy), black_box(&snapshot)).unwrap());
}

#[divan::bench(sample_count = 10, sample_size = 1)]
fn policy_of_a_thousand_nodes(bencher: Bencher<'_, '_>) {
    let text = policy_text(1_000, None);
    bencher.bench(|| policy::parse(black_box(&text)).unwrap());
}

fn quality() {
    println!("{LARGE}, three copies, three zones: how far from what no plan can do better than");
    for start in STARTS {
        let (policy, snapshot) = case(LARGE, start);
        let (begin, on_processor) = (Instant::now(), on_processor());
        let plan = topology::make(&policy, &snapshot).expect("a plan");
        let wall = begin.elapsed();
        let seconds =
            self::on_processor().zip(on_processor).map_or(wall, |(now, then)| now - then).as_secs_f64();
        let wall = wall.as_secs_f64();
        let Quality { moved, moved_at_least, fullest, fullest_at_least, unevenness, unevenness_at_least } =
            plan.quality;
        let ratio = |a: u64, b: u64| if a == b { 1.0 } else { a as f64 / b as f64 };
        println!(
            "  {start:?}: {seconds:.3} s on a processor, {wall:.3} s in all, {} steps; moved {moved} = {:.4} x the bound; fullest {fullest} = {:.4} x; unevenness {:.4} x",
            plan.steps.len(),
            ratio(moved.0, moved_at_least.0),
            ratio(fullest.0, fullest_at_least.0),
            ratio(unevenness, unevenness_at_least),
        );
    }
    println!("  memory at most so far: {}", peak().unwrap_or_else(|| "unknown".into()));
}

/// The most that this process has had in memory.
fn peak() -> Option<String> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    Some(line.trim_start_matches("VmHWM:").trim().to_owned())
}

/// How long this thread has run, which other work of the machine does not lengthen.
fn on_processor() -> Option<Duration> {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    text.split_whitespace().next()?.parse().ok().map(Duration::from_nanos)
}

/// How the time of plans grows, and beside it, size by size, that of sorting the same tables by their bytes: n log n on this machine, where
/// what does not fit into its caches takes longer, too.
fn fit() {
    println!("growth with the tables, 100 nodes, scattered; medians of {ROUNDS} rounds, time on a processor");
    let cases = GROWING.map(|size| (size, case(size, Start::Scattered)));
    let mut plans = vec![Vec::new(); ROUNDS];
    let mut sorts = plans.clone();
    for (plans, sorts) in plans.iter_mut().zip(&mut sorts) {
        for (size, (policy, snapshot)) in &cases {
            plans.push(seconds(100_000 / size.1, || topology::make(policy, snapshot).expect("a plan")));
            sorts.push(seconds(4_000_000 / size.1, || sorted(&snapshot.tables)));
        }
    }
    for (at, size) in GROWING.iter().enumerate() {
        let tables = size.1 as f64;
        let of = |rounds: &[Vec<f64>]| median(rounds.iter().filter_map(|round| round.get(at).copied()));
        let (plan, sort) = (of(&plans), of(&sorts));
        println!(
            "  {size}: {:.2} ms, {:.1} ns a table and its logarithm; sorted in {:.3} ms",
            plan * 1e3,
            plan * 1e9 / tables / tables.log2(),
            sort * 1e3
        );
    }
    let of = |rounds: &[Vec<f64>]| median(rounds.iter().map(|round| slope(round)));
    println!(
        "  time grows with the tables to the power of {:.3}, and that of sorting them of {:.3}; n log n does with 1.131 over this range",
        of(&plans),
        of(&sorts)
    );
}

const ROUNDS: usize = 7;

fn sorted(tables: &[Table]) -> Vec<&Table> {
    let mut tables: Vec<&Table> = tables.iter().collect();
    tables.sort_by(|one, other| (one.memory, &one.name).cmp(&(other.memory, &other.name)));
    tables
}

/// How long something takes on a processor, so many times, as that clock may tick by some milliseconds only.
fn seconds<T>(times: usize, of: impl Fn() -> T) -> f64 {
    let (begin, on_processor) = (Instant::now(), on_processor());
    for _ in 0..times {
        black_box(of());
    }
    let spent = self::on_processor().zip(on_processor).map_or(begin.elapsed(), |(now, then)| now - then);
    spent.as_secs_f64() / times as f64
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or_default()
}

/// Of a line through the logarithms of times: the power of growth.
fn slope(seconds: &[f64]) -> f64 {
    let points: Vec<(f64, f64)> =
        GROWING.iter().zip(seconds).map(|(size, seconds)| ((size.1 as f64).ln(), seconds.ln())).collect();
    let count = points.len() as f64;
    let mean = |of: fn(&(f64, f64)) -> f64| points.iter().map(of).sum::<f64>() / count;
    let (x, y) = (mean(|point| point.0), mean(|point| point.1));
    points.iter().map(|(a, b)| (a - x) * (b - y)).sum::<f64>()
        / points.iter().map(|(a, _)| (a - x).powi(2)).sum::<f64>()
}

fn policy_text(nodes: usize, limit: Option<u64>) -> String {
    let mut text = String::from("copies: 3\nnodes:\n");
    for number in 0..nodes {
        let _ = writeln!(text, "  {}:\n    zone: zone-{}", node(number), number % 3);
        if let Some(limit) = limit {
            let _ = writeln!(text, "    memory: {limit}");
        }
    }
    text
}

fn case(size: Size, start: Start) -> (Policy, Snapshot) {
    let (mut snapshot, bytes) = snapshot(size, start);
    let limit = (start == Start::Limited).then(|| bytes * 3 / size.0 as u64 * 6 / 5);
    let policy = policy::parse(&policy_text(size.0, limit)).expect("a policy");
    if start == Start::Done {
        let plan = topology::make(&policy, &snapshot).expect("a plan");
        for (table, wanted) in snapshot.tables.iter_mut().zip(sorted_by_table(&plan)) {
            let index = SetIndex::try_from(snapshot.node_sets.len()).expect("few sets");
            snapshot.node_sets.push(wanted);
            (table.disc_copies, table.active) = (index, index);
        }
    }
    (policy, snapshot)
}

fn sorted_by_table(plan: &Topology) -> Vec<Vec<NodeName>> {
    plan.tables.iter().map(|table| table.wanted.iter().map(|copy| copy.node.clone()).collect()).collect()
}

/// A cluster whose tables have sizes as real ones do: many small, few large. The same at each run.
fn snapshot(Size(nodes, tables): Size, start: Start) -> (Snapshot, u64) {
    let names: Vec<NodeName> = (0..nodes).map(node).collect();
    let mut sets = Sets::default();
    let none = sets.index(Vec::new());
    let all = sets.index(names.clone());
    let mut random = Random(7);
    let mut total = 0;
    let tables = (0..tables)
        .map(|number| {
            let copies = match start {
                Start::Scattered | Start::Limited | Start::Done => 1 + random.below(3),
                Start::OneNode => 1,
                Start::TooMany => 5,
            };
            let mut holders: Vec<NodeName> = Vec::with_capacity(copies);
            while holders.len() < copies {
                let at = if start == Start::OneNode { 0 } else { random.below(nodes) };
                let holder = names.get(at).expect("below the number of nodes");
                if !holders.contains(holder) {
                    holders.push(holder.clone());
                }
            }
            let bytes = 1_000_u64 << random.below(14);
            total += bytes;
            table(&format!("table_{number:06}"), all, sets.index(holders), none, bytes)
        })
        .collect();
    let members = names.iter().map(|name| member(name.clone(), all, none)).collect();
    let snapshot = Snapshot {
        format: FORMAT,
        node: node(0),
        members,
        tables,
        node_sets: sets.in_order,
        ways: Vec::new(),
        kept: Vec::new(),
        copied: Vec::new(),
    };
    (snapshot, total)
}

fn node(number: usize) -> NodeName {
    format!("ejabberd@node-{number:05}.chat.example.org").into()
}

fn member(node: NodeName, cluster: SetIndex, none: SetIndex) -> Member {
    let facts = Facts {
        otp_release: "27".into(),
        versions: BTreeMap::new(),
        applications: Vec::new(),
        running_applications: Vec::new(),
        operating: false,
        mnesia: Running::Yes,
        awaits: Vec::new(),
        use_dir: true,
        fallback: false,
        schema_cookie: None,
        db_nodes: cluster,
        running_db_nodes: cluster,
        extra_db_nodes: none,
        connected: cluster,
        master_nodes: none,
        tick_time: 60,
        clock_offset: 0,
        memory_free: None,
        disk_free: None,
        directory: "/var/lib/ejabberd".into(),
        directory_writable: None,
        obstacles: Vec::new(),
        configuration: None,
        unfinished: None,
        beside: Beside::default(),
    };
    Member { node, answer: Answer::Facts(Box::new(facts)) }
}

fn table(name: &str, seen_by: SetIndex, holders: SetIndex, none: SetIndex, bytes: u64) -> Table {
    Table {
        name: name.into(),
        seen_by,
        table_type: TableType::Set,
        ram_copies: none,
        disc_copies: holders,
        disc_only_copies: none,
        external_copies: none,
        active: holders,
        attributes: ["us", "jid"].map(AtomName::from).to_vec(),
        record_name: name.into(),
        index: "[]".into(),
        local_content: false,
        majority: false,
        access_mode: AccessMode::ReadWrite,
        load_order: 0,
        cookie: "{{1719233843987654321,-576460752303423485,1},'ejabberd@node-00000.chat.example.org'}".into(),
        version: "{{2,0},[]}".into(),
        properties: "[[],[],[]]".into(),
        size: bytes / 100,
        memory: bytes,
    }
}
