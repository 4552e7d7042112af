//! `easy-cluster doctor`: look, judge, tell.

use std::io::{self, Write as _};
use std::net::IpAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use easy_cluster::explain;
use easy_cluster::explain::known::Paths;
use easy_cluster::model::machine::cookie::Secret;
use easy_cluster::model::machine::{FORMAT, Machine};
use easy_cluster::model::name::NodeName;
use easy_cluster::model::reach::Reach;
use easy_cluster::validate::problem::Problem;
use easy_cluster::validate::{machine as validate, node_name, reach};
use easy_cluster_probe::machine::{self as machine_files, Gathered};
use easy_cluster_probe::{Cookie, Family, ProbeRequest, Target, probe};
use serde::Serialize;
use serde_json::Value;

use crate::findings::{Finding, exit_code, findings_of};
use crate::places::Whereabouts;

/// A report has the hosts file in it, and some more.
const REPORT: u64 = 16 << 20;

/// What is wrong with this machine, before ejabberd starts; and with the way to other nodes.
#[derive(clap::Args)]
#[command(
    after_help = "Exit status: 0 nothing is wrong, 1 there are errors, 2 the arguments are wrong, 3 there are warnings only."
)]
pub(crate) struct Arguments {
    /// Nodes to look for, such as ejabberd@foo.bar.
    #[arg(value_name = "NODE")]
    nodes: Vec<String>,
    #[command(flatten)]
    places: Whereabouts,
    /// Milliseconds that resolvers, and then nodes, are waited for.
    #[arg(long, value_name = "MS", default_value_t = 2000, value_parser = clap::value_parser!(u64).range(1..=600_000))]
    timeout: u64,
    /// Print the report as JSON.
    #[arg(long)]
    json: bool,
    /// Compare with the report that the doctor made on another machine with --json.
    #[arg(long, value_name = "REPORT")]
    compare: Option<PathBuf>,
}

/// What `--json` prints.
#[derive(Serialize)]
struct Report<'r> {
    format: u32,
    machine: &'r Machine,
    reaches: &'r [Reach],
    findings: Vec<Finding>,
}

pub(crate) fn run(arguments: &Arguments) -> ExitCode {
    let Gathered { mut machine, cookie } = machine_files::gather(&arguments.places.places());
    let other = arguments.compare.as_ref().map(|path| read_report(path));
    let timeout = Duration::from_millis(arguments.timeout);
    let hosts = hosts_to_ask(&machine, &other);
    machine_files::resolve(&mut machine, &hosts, timeout);

    let mut problems = validate::problems(&machine);
    match &other {
        Some(Ok(other)) => problems.extend(validate::compare(&machine, other)),
        Some(Err(problem)) => problems.push(problem.clone()),
        None => {}
    }
    let reaches = look_for(&arguments.nodes, &machine, cookie.as_ref(), arguments.timeout, &mut problems);
    problems.sort_by_key(Problem::severity);

    let text = if arguments.json {
        json(&machine, &reaches, &problems)
    } else {
        words(&machine, &reaches, &problems)
    };
    // Who closed the pipe does not want to read it.
    let _nobody_reads = io::stdout().write_all(text.as_bytes());
    exit_code(&problems)
}

/// The hosts whose addresses the checks want to know.
fn hosts_to_ask(machine: &Machine, other: &Option<Result<Machine, Problem>>) -> Vec<String> {
    let own = machine.settings.node.as_ref();
    let other =
        other.as_ref().and_then(|other| other.as_ref().ok()).and_then(|other| other.settings.node.as_ref());
    own.into_iter().chain(other).map(|named| NodeName::from(named.name.as_str()).host().to_owned()).collect()
}

fn read_report(path: &std::path::Path) -> Result<Machine, Problem> {
    let unreadable = |reason: String| Problem::ReportUnreadable { path: path.display().to_string(), reason };
    let (bytes, _) =
        machine_files::read(path, REPORT).map_err(|state| unreadable(explain::machine::state(&state)))?;
    let report: Value = serde_json::from_slice(&bytes).map_err(|error| unreadable(error.to_string()))?;
    let format = report.get("format").and_then(Value::as_u64);
    if format != Some(u64::from(FORMAT)) {
        return Err(unreadable(format!("its format is not {FORMAT}")));
    }
    let machine = report.get("machine").cloned().unwrap_or_default();
    serde_json::from_value(machine).map_err(|error| unreadable(error.to_string()))
}

/// How far one gets towards each node; what is in the way is added to `problems`.
fn look_for(
    nodes: &[String],
    machine: &Machine,
    cookie: Option<&Secret>,
    timeout_ms: u64,
    problems: &mut Vec<Problem>,
) -> Vec<Reach> {
    let here = here(machine, nodes);
    let mut targets = Vec::new();
    let mut hosts = Vec::new();
    for text in nodes {
        let node = match node_name::parse(text, &here) {
            Ok(node) => node,
            Err(problem) => {
                problems.push(problem);
                continue;
            }
        };
        let host = node.host().to_owned();
        let listed = machine.listed(&host);
        if listed.is_empty() && host.parse::<IpAddr>().is_err() && !machine.inetrc.asks_the_system() {
            let reason = machine.resolve(&host).err().unwrap_or_default();
            let unknown = Problem::UnknownHost { node, host, reason, addresses: String::new() };
            if !is_told(&unknown, problems) {
                problems.push(unknown);
            }
            continue;
        }
        hosts.extend(listed.into_iter().map(|address| (host.clone(), address)));
        // Without a cookie one still gets as far as to the question for it.
        let cookie = Cookie::from(cookie.map_or("", Secret::expose));
        targets.push(Target { node, cookie });
    }
    if targets.is_empty() {
        return Vec::new();
    }
    let mut request = request(machine, targets, timeout_ms, hosts, here);
    let own = own_reach(&request, cookie);
    if own.iter().any(|reach| reach.failure.is_none()) {
        // It may be connected to any of the others, and then its name is taken there by itself.
        request.connected = request.targets.iter().map(|target| target.node.clone()).collect();
    }
    // A node that does not run yet is no fault, but nothing may stand in its place.
    problems.extend(
        own.iter()
            .flat_map(reach::problems)
            .filter(|problem| matches!(problem, Problem::StaleEpmdEntry { .. })),
    );
    let reaches = probe(&request);
    let found = reaches.iter().flat_map(reach::problems);
    problems
        .extend(found.filter(|problem| cookie.is_some() || !matches!(problem, Problem::WrongCookie { .. })));
    reaches
}

/// Whether a comparison has found already that the node's host does not resolve.
fn is_told(problem: &Problem, problems: &[Problem]) -> bool {
    let Problem::UnknownHost { node, .. } = problem else { return false };
    problems.iter().any(|told| matches!(told, Problem::UnknownHost { node: other, .. } if other == node))
}

fn request(
    machine: &Machine,
    targets: Vec<Target>,
    timeout_ms: u64,
    hosts: Vec<(String, IpAddr)>,
    here: NodeName,
) -> ProbeRequest {
    let settings = &machine.settings;
    ProbeRequest {
        targets,
        timeout_ms,
        epmd_port: settings.epmd_port,
        dist_port: settings.dist_port,
        hosts,
        here,
        connected: Vec::new(),
        family: Some(if settings.proto_dist.starts_with("inet6") { Family::Inet6 } else { Family::Inet }),
        tls: settings.proto_dist.ends_with("_tls"),
    }
}

/// How far one gets towards this machine's own node.
fn own_reach(request: &ProbeRequest, cookie: Option<&Secret>) -> Vec<Reach> {
    let cookie = Cookie::from(cookie.map_or("", Secret::expose));
    let own = Target { node: request.here.clone(), cookie };
    probe(&ProbeRequest { targets: vec![own], connected: vec![request.here.clone()], ..request.clone() })
}

/// The name to ask with. Where this machine's cannot be told or is none, one of the first node's mode will do.
fn here(machine: &Machine, nodes: &[String]) -> NodeName {
    let own = machine.settings.node.as_ref().map(|own| NodeName::from(own.name.as_str()));
    if let Some(own) = own.filter(|own| node_name::parse(own.as_str(), own).is_ok()) {
        return own;
    }
    let long = nodes.first().is_some_and(|node| NodeName::from(node.as_str()).host().contains('.'));
    NodeName::from(if long { "ejabberd@easy.cluster" } else { "ejabberd@localhost" })
}

fn words(machine: &Machine, reaches: &[Reach], problems: &[Problem]) -> String {
    let headline = explain::machine::headline(problems);
    let name = if machine.hostname.is_empty() { "this machine" } else { &machine.hostname };
    let mut text = format!("{}: {headline}\n", explain::errors::printable(name));
    text += &explain::machine::facts(machine);
    for reach in reaches {
        text += &explain::machine::reach(reach);
        text += &explain::reach::layers(reach);
    }
    if !problems.is_empty() {
        text.push('\n');
    }
    text + &explain::errors::problems_of(problems, &Paths::of(machine))
}

fn json(machine: &Machine, reaches: &[Reach], problems: &[Problem]) -> String {
    let findings = findings_of(problems, &Paths::of(machine));
    let report = Report { format: FORMAT, machine, reaches, findings };
    serde_json::to_string_pretty(&report)
        .map_or_else(|error| format!("{{\"error\":\"{error}\"}}\n"), |text| text + "\n")
}
