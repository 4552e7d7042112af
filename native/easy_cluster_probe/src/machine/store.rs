//! From a Mnesia directory to what it says of its cluster.

use std::path::Path;

use super::SCHEMA;
use super::files::read;
use easy_cluster::explain;
use easy_cluster::model::machine::decisions::{self, Decisions, Logs};
use easy_cluster::model::machine::{State, schema};
use easy_cluster::model::name::NodeName;
use easy_cluster::model::store::Store;
use easy_cluster::validate::problem::{Bytes, Problem};

/// A log that Mnesia could not dump for long.
const LOG: u64 = 256 << 20;
/// In the order in which Mnesia reads them.
const LOGS: [&str; 3] = ["DECISION_TAB.LOG", "PREVIOUS.LOG", "LATEST.LOG"];

/// What a directory says; the node may be stopped or running. Nothing is written. `own` is whose it is, if that is known.
///
/// # Errors
/// [`Problem::NotADatabase`].
pub fn store(directory: &Path, own: Option<&NodeName>) -> Result<(Store, Vec<Problem>), Problem> {
    let shown = directory.display().to_string();
    let none = |reason: String| Problem::NotADatabase { directory: shown.clone(), reason };
    let schema = match read(&directory.join("schema.DAT"), SCHEMA) {
        Ok((bytes, _)) => schema::read(&bytes).map_err(|reason| none(format!("schema.DAT: {reason}")))?,
        Err(State::Missing) => return Err(none("there is no schema.DAT".into())),
        Err(state) => return Err(none(format!("schema.DAT: {}", explain::machine::state(&state)))),
    };
    let (decisions, problems) = decisions(directory);
    let only = || <&[NodeName; 1]>::try_from(schema.members.as_slice()).ok().map(|[node]| node.clone());
    let Some(node) = own.cloned().or_else(|| decisions.owner.clone()).or_else(only) else {
        return Err(none("without its logs it does not tell whose it is".into()));
    };
    if !schema.members.contains(&node) {
        let members = easy_cluster::validate::problem::Nodes(schema.members);
        return Err(none(format!("its logs are of {node}, and its schema.DAT is of {members}")));
    }
    Ok((Store { directory: shown, node, schema, decisions }, problems))
}

/// A log that cannot be read counts as missing, as Mnesia deletes it.
fn decisions(directory: &Path) -> (Decisions, Vec<Problem>) {
    let mut problems = Vec::new();
    let mut damaged = |name: &str, reason: String| {
        let path = directory.join(name).display().to_string();
        problems.push(Problem::MnesiaLogDamaged { path, reason });
    };
    let mut files = LOGS.map(|name| match read(&directory.join(name), LOG) {
        Ok((bytes, _)) => Some(bytes),
        Err(State::Missing) => None,
        Err(state) => {
            damaged(name, explain::machine::state(&state));
            None
        }
    });
    loop {
        let [decision_tab, previous, latest] = &files;
        let logs = Logs {
            decision_tab: decision_tab.as_deref(),
            previous: previous.as_deref(),
            latest: latest.as_deref(),
        };
        match decisions::read(&logs) {
            Ok(decisions) => {
                if decisions.lost > 0 {
                    let lost = Bytes(decisions.lost);
                    damaged("LATEST.LOG", format!("{lost} of its logs belong to no record"));
                }
                return (decisions, problems);
            }
            Err((bad, reason)) => {
                damaged(bad, reason);
                for (file, name) in files.iter_mut().zip(LOGS) {
                    if name == bad {
                        *file = None;
                    }
                }
            }
        }
    }
}
