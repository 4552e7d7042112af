//! What holds for the logs of a database, whatever is in them.

use easy_cluster::explain;
use easy_cluster::model::machine::decisions::{self, Decisions, Logs};
use easy_cluster::model::machine::disk_log;
use easy_cluster::model::machine::schema::{self, Schema};
use easy_cluster::model::name::NodeName;
use easy_cluster::model::store::Store;
use easy_cluster::plan::boot;

/// `DECISION_TAB.LOG` and `LATEST.LOG` of one node, and the latter of another, each with two bytes of size in front; then a
/// `schema.DAT` for both.
pub fn hold(input: &[u8]) {
    let mut rest = input;
    let files = [next(&mut rest), next(&mut rest), next(&mut rest)];
    files.iter().for_each(|file| log(file));
    let [tab, latest, other] = files;
    let one = Logs { decision_tab: Some(tab), previous: None, latest: Some(latest) };
    let two = Logs { latest: Some(other), ..Logs::default() };
    let told: Vec<Decisions> = [one, two].iter().filter_map(|logs| decisions::read(logs).ok()).collect();
    let size = tab.len() + latest.len() + other.len();
    for decisions in &told {
        facts(decisions, size);
    }
    let schema = schema::read(rest).unwrap_or_else(|_| Schema {
        members: vec![NodeName::from("a@host"), NodeName::from("b@host")],
        ..Schema::default()
    });
    order(told, &schema);
}

fn next<'b>(rest: &mut &'b [u8]) -> &'b [u8] {
    let Some((size, behind)) = rest.split_first_chunk::<2>() else { return std::mem::take(rest) };
    let (file, behind) = behind.split_at(usize::from(u16::from_be_bytes(*size)).min(behind.len()));
    *rest = behind;
    file
}

fn log(bytes: &[u8]) {
    match disk_log::parse(bytes) {
        Err(reason) => assert!(reason.starts_with("it") && reason.len() < 100),
        Ok(log) => {
            // Every byte is in the head, in front of an item, in an item, or lost.
            let items: usize = log.items.iter().map(|item| item.len()).sum();
            let fronts = bytes.len() - 8 - log.lost - items;
            assert!((8 * log.items.len()..=24 * log.items.len()).contains(&fronts));
            // Written anew, they are the same.
            let mut again = bytes[..8].to_vec();
            for item in &log.items {
                again.extend(u32::try_from(item.len()).unwrap().to_be_bytes());
                again.extend(b"bWLA");
                again.extend(vec![0; if item.len() < 65_528 { 0 } else { 16 }]);
                again.extend(*item);
            }
            let reread = disk_log::parse(&again).unwrap();
            assert_eq!((reread.items, reread.closed, reread.lost), (log.items, log.closed, 0));
        }
    }
}

fn facts(decisions: &Decisions, size: usize) {
    let masters = decisions
        .masters
        .iter()
        .flat_map(|(table, nodes)| nodes.iter().map(NodeName::as_str).chain([table.as_str()]));
    let names = decisions.seen.keys().chain(&decisions.unclear).map(NodeName::as_str).chain(masters);
    assert!(names.map(str::len).sum::<usize>() <= 3 * size);
    assert!(decisions.lost <= size as u64 && decisions.commits <= size as u64);
    for seen in decisions.seen.values() {
        assert!(!seen.is_down || seen.down.is_some());
        assert!(seen.down.is_some() || seen.up.is_some());
    }
}

fn order(told: Vec<Decisions>, schema: &Schema) {
    let stores: Vec<Store> = told
        .into_iter()
        .zip(schema.members.iter().cycle())
        .enumerate()
        .map(|(at, (decisions, node))| Store {
            directory: format!("/{at}"),
            node: node.clone(),
            schema: schema.clone(),
            decisions,
        })
        .collect();
    let order = boot::order(&stores);
    // Each node is started once, or told to be left aside.
    let nodes: std::collections::BTreeSet<_> = stores.iter().map(|store| &store.node).collect();
    assert_eq!(order.start.len(), nodes.len());
    for start in &order.start {
        let store = stores.iter().find(|store| store.node == start.node).unwrap();
        let waiting: usize = start.waits.iter().map(|wait| wait.tables.len()).sum();
        assert_eq!(start.loads.len() + waiting, store.held().count());
    }
    let words = explain::boot::order(&order) + &explain::errors::problems(&order.problems);
    assert!(words.chars().all(|c| c == '\n' || !c.is_control()), "{words:?}");
}
