//! `easy-cluster plan`: from a snapshot and a policy to the wanted state, without a cluster.

use std::fs;
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use easy_cluster::explain::tables::{self, Matrix};
use easy_cluster::explain::{errors, picture, topology as words};
use easy_cluster::model::snapshot::Snapshot;
use easy_cluster::topology::{self, Topology};
use easy_cluster::validate::policy;
use easy_cluster::validate::problem::Problem;
use easy_cluster_wire::{MAX_SIZE, from_bytes};
use serde::Serialize;

use crate::findings::{Finding, exit_code, findings};

/// More is no policy.
const MAX_POLICY: u64 = 4 << 20;

/// Plan the way to a wanted state: where each table shall be, and the steps in order
///
/// Reads a snapshot of a cluster (`easy_cluster:snapshot("cluster.snapshot")` on one of its nodes writes one) and a policy
/// (docs/policy.md), or an ejabberd.yml that has one. Needs no node and changes none.
#[derive(clap::Args)]
#[command(
    after_help = "Exit status: 0 there is a plan, or nothing to do, 1 what is wanted cannot be, 2 the arguments or files are no good, 3 there is a plan with warnings."
)]
pub(crate) struct Arguments {
    /// What is wanted: a policy, or an ejabberd.yml with one.
    #[arg(long, value_name = "FILE")]
    policy: PathBuf,
    /// What is there: a snapshot, in external term format.
    #[arg(long, value_name = "FILE")]
    snapshot: PathBuf,
    /// Print tables and their holders, instead of the steps.
    #[arg(long)]
    tables: bool,
    /// Print the plan as JSON.
    #[arg(long)]
    json: bool,
    /// Draw the cluster before and after as SVG.
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
}

#[derive(Serialize)]
struct Report<'r> {
    topology: Option<&'r Topology>,
    tables: Option<&'r Matrix>,
    findings: Vec<Finding>,
}

pub(crate) fn run(arguments: &Arguments) -> ExitCode {
    match plan(arguments) {
        Ok(code) => code,
        Err(reason) => {
            let _nobody_reads = writeln!(io::stderr(), "{reason}");
            ExitCode::from(2)
        }
    }
}

fn plan(arguments: &Arguments) -> Result<ExitCode, String> {
    let snapshot = snapshot(&arguments.snapshot)?;
    let text = String::from_utf8(read(&arguments.policy, MAX_POLICY)?)
        .map_err(|_| format!("{}: it is no text in UTF-8", arguments.policy.display()))?;
    let wanted = policy::parse(&text);
    let planned = wanted.as_ref().map_err(Clone::clone).and_then(|wanted| topology::make(wanted, &snapshot));
    let matrix = if arguments.tables {
        Some(tables::matrix(&snapshot, wanted.as_ref().ok()).map_err(|problem| problem.to_string())?)
    } else {
        None
    };
    if let (Some(path), Ok(topology)) = (&arguments.svg, &planned) {
        fs::write(path, picture::svg(topology)).map_err(|error| format!("{}: {error}", path.display()))?;
    }
    let problems = match &planned {
        Ok(topology) => &topology.warnings,
        Err(problems) => problems,
    };
    let told = if arguments.json {
        json(planned.as_ref().ok(), matrix.as_ref(), problems)?
    } else {
        in_words(arguments, &planned, matrix.as_ref())
    };
    // Who closed the pipe has read enough.
    let _nobody_reads = io::stdout().write_all(told.as_bytes());
    Ok(exit_code(problems))
}

fn in_words(
    arguments: &Arguments,
    planned: &Result<Topology, Vec<Problem>>,
    matrix: Option<&Matrix>,
) -> String {
    match (planned, matrix) {
        (_, Some(matrix)) if planned.is_ok() || !matrix.problems.is_empty() => matrix.text.clone(),
        (Ok(topology), _) => words::words(topology),
        (Err(problems), _) => {
            format!("{}: not possible\n{}", arguments.policy.display(), errors::problems(problems))
        }
    }
}

fn json(
    topology: Option<&Topology>,
    matrix: Option<&Matrix>,
    problems: &[Problem],
) -> Result<String, String> {
    let report = Report { topology, tables: matrix, findings: findings(problems) };
    let text = serde_json::to_string_pretty(&report).map_err(|error| error.to_string())?;
    Ok(text + "\n")
}

fn snapshot(path: &Path) -> Result<Snapshot, String> {
    let bytes = read(path, MAX_SIZE as u64)?;
    from_bytes(&bytes).map_err(|error| format!("{}: it is no snapshot: {error}", path.display()))
}

fn read(path: &Path, most: u64) -> Result<Vec<u8>, String> {
    let said = |error: io::Error| format!("{}: {error}", path.display());
    let file = fs::File::open(path).map_err(said)?;
    let mut bytes = Vec::new();
    file.take(most + 1).read_to_end(&mut bytes).map_err(said)?;
    if bytes.len() as u64 > most {
        return Err(format!("{}: it is larger than {most} bytes", path.display()));
    }
    Ok(bytes)
}
