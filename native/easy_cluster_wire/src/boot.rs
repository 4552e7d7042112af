//! The directory of this node and the logs of others, read for the core.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use easy_cluster::model::machine::decisions::{self, Logs};
use easy_cluster::model::name::{NodeName, TableName};
use easy_cluster::model::reach::Reach;
use easy_cluster::model::request::ForceBoot;
use easy_cluster::model::snapshot::Snapshot;
use easy_cluster::operation::aside;
use easy_cluster::plan::Plan;
use easy_cluster::validate::problem::Problem;
use easy_cluster::validate::view::View;
use easy_cluster::validate::{reach, returning, waiting};
use easy_cluster_probe::machine;
use serde::de::{self, Deserializer, Visitor};
use serde::{Deserialize, Serialize};

/// The logs of a member, as it has read them itself.
#[derive(Debug, Deserialize)]
pub(crate) struct MemberLogs {
    node: NodeName,
    decision_tab: Option<Bytes>,
    previous: Option<Bytes>,
    latest: Option<Bytes>,
}

/// What others serve instead of this node's rows.
#[derive(Debug, Serialize)]
pub(crate) struct Overridden {
    tables: Vec<TableName>,
    nodes: Vec<NodeName>,
    /// What this node does about it, where others were asked.
    plan: Option<Box<Plan>>,
}

/// A binary, which may be text by accident.
#[derive(Debug)]
struct Bytes(Vec<u8>);

impl<'de> Deserialize<'de> for Bytes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Any;
        impl Visitor<'_> for Any {
            type Value = Bytes;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a binary")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Bytes, E> {
                Ok(Bytes(text.as_bytes().to_vec()))
            }

            fn visit_bytes<E: de::Error>(self, bytes: &[u8]) -> Result<Bytes, E> {
                Ok(Bytes(bytes.to_vec()))
            }
        }
        deserializer.deserialize_any(Any)
    }
}

/// For whom the tables wait.
pub(crate) fn waiting(
    snapshot: &Snapshot,
    tables: &[TableName],
    logs: Vec<MemberLogs>,
    reaches: &[Reach],
) -> Result<ForceBoot, Problem> {
    let view = View::new(snapshot)?;
    let directory = view.here_facts().directory.clone();
    let (here, _damaged) = machine::store(Path::new(&directory), Some(view.here()))?;
    let bytes = |file: &Option<Bytes>| file.as_ref().map(|Bytes(bytes)| bytes.clone());
    let mut others = BTreeMap::new();
    for member in logs {
        let [tab, previous, latest] = [&member.decision_tab, &member.previous, &member.latest].map(bytes);
        let logs =
            Logs { decision_tab: tab.as_deref(), previous: previous.as_deref(), latest: latest.as_deref() };
        // Whose logs cannot be read is one that says nothing of this node.
        if let Ok(decisions) = decisions::read(&logs) {
            others.insert(member.node, decisions);
        }
    }
    let waits = waiting::awaited(&view, tables, &here, &others);
    let signs = reaches.iter().filter_map(|reach| Some((reach.node.clone(), reach::sign_of_life(reach)?)));
    Ok(ForceBoot { waits, signs: signs.collect() })
}

/// Which of this node's newest rows others do not wait for, or all of the newest where nobody was asked yet. Mnesia is
/// stopped here.
pub(crate) fn overridden(
    id: String,
    here: &NodeName,
    directory: &Path,
    serving: Option<&[(NodeName, Vec<TableName>)]>,
) -> Result<Overridden, Problem> {
    let (store, _damaged) = machine::store(directory, Some(here))?;
    let (tables, nodes) = match serving {
        None => (returning::newest(&store), Vec::new()),
        Some(serving) => returning::overridden(&store, serving),
    };
    let wanted = serving.is_some() && !tables.is_empty();
    let plan = wanted.then(|| Box::new(aside::overridden(id, here.clone(), &directory.to_string_lossy())));
    Ok(Overridden { tables, nodes, plan })
}
