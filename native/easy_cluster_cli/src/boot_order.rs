//! `easy-cluster boot-order`: which node was last, and in which order to start.

use std::io::{self, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;

use easy_cluster::explain;
use easy_cluster::model::store::Store;
use easy_cluster::plan::boot::{self, Order};
use easy_cluster::validate::problem::Problem;
use easy_cluster_probe::machine;
use serde::Serialize;

use crate::findings::{Finding, exit_code, findings};

/// After a total outage: which node was last, in which order to start, and which tables wait for whom
///
/// Reads the Mnesia directories of the nodes, or copies of them, brought to one machine: schema.DAT, DECISION_TAB.LOG and
/// LATEST.LOG are enough. Look before any node is started: a start takes records away. Nothing is written.
#[derive(clap::Args)]
#[command(
    after_help = "Exit status: 0 all tables load when all are started, 1 there are errors, such as a node that was last and is missing, 2 the arguments are wrong, 3 there are warnings only."
)]
pub(crate) struct Arguments {
    /// Mnesia directories, one of each node.
    #[arg(value_name = "DIR", required = true)]
    directories: Vec<PathBuf>,
    /// Print the report as JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Report<'r> {
    stores: &'r [Store],
    order: &'r Order,
    findings: Vec<Finding>,
}

pub(crate) fn run(arguments: &Arguments) -> ExitCode {
    let mut stores = Vec::new();
    let mut problems = Vec::new();
    for directory in &arguments.directories {
        match machine::store(directory, None) {
            Ok((store, damaged)) => {
                stores.push(store);
                problems.extend(damaged);
            }
            Err(problem) => problems.push(problem),
        }
    }
    let order = boot::order(&stores);
    problems.extend(order.problems.iter().cloned());
    problems.sort_by_key(Problem::severity);

    let text = if arguments.json { json(&stores, &order, &problems) } else { words(&order, &problems) };
    // Who closed the pipe does not want to read it.
    let _nobody_reads = io::stdout().write_all(text.as_bytes());
    exit_code(&problems)
}

fn words(order: &Order, problems: &[Problem]) -> String {
    let mut text = explain::boot::order(order);
    if !text.is_empty() && !problems.is_empty() {
        text.push('\n');
    }
    text + &explain::errors::problems(problems)
}

fn json(stores: &[Store], order: &Order, problems: &[Problem]) -> String {
    let report = Report { stores, order, findings: findings(problems) };
    serde_json::to_string_pretty(&report)
        .map_or_else(|error| format!("{{\"error\":\"{error}\"}}\n"), |text| text + "\n")
}
