//! What a node knew of the others when it wrote its logs: who went down before it, whose copies it prefers, and what of its own
//! has not been brought to an end.
//!
//! Source: `mnesia_recover:note_log_decision/2`. `DECISION_TAB.LOG` is what was known at the last dump of the log,
//! `PREVIOUS.LOG` and `LATEST.LOG` go on from there. Mnesia takes a record of a node that went down away when it sees that node
//! come up; here both stay, since who was last can be told from them even when the nodes run.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::disk_log;
use super::etf::{Reading, Terms};
use crate::model::name::{NodeName, TableName};

/// Of the terms of one item. A list of decisions has them all in it.
const MOST_TERMS: usize = 4 << 20;

/// What is known of another node.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sighting {
    /// Whether it counts as down: Mnesia has a record of it.
    pub is_down: bool,
    /// When it was last seen to go down, by the clock and in the time zone of the node that saw it: `2026-11-25 12:54:03`.
    pub down: Option<String>,
    /// When it was last seen to come up.
    pub up: Option<String>,
}

/// All of it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decisions {
    /// The node that wrote the logs.
    pub owner: Option<NodeName>,
    /// The others, as it saw them.
    pub seen: BTreeMap<NodeName, Sighting>,
    /// The nodes whose copies it prefers when it loads a table, for each table that has such.
    pub masters: BTreeMap<TableName, Vec<NodeName>>,
    /// Transactions in the log that are not in the tables' files yet.
    pub commits: u64,
    /// Nodes that it asks how a transaction ended, and waits for, before it starts.
    pub unclear: Vec<NodeName>,
    /// Bytes of the logs that cannot be read.
    pub lost: u64,
}

/// The logs of a directory, those that are there.
#[derive(Debug, Clone, Copy, Default)]
pub struct Logs<'b> {
    /// `DECISION_TAB.LOG`.
    pub decision_tab: Option<&'b [u8]>,
    /// `PREVIOUS.LOG`, where a dump was interrupted.
    pub previous: Option<&'b [u8]>,
    /// `LATEST.LOG`.
    pub latest: Option<&'b [u8]>,
}

/// Reads them in the order in which Mnesia does.
///
/// # Errors
/// The first of the files that is no log, and why.
pub fn read(logs: &Logs<'_>) -> Result<Decisions, (&'static str, String)> {
    let mut reader = Reader::default();
    for (name, bytes) in [
        ("DECISION_TAB.LOG", logs.decision_tab),
        ("PREVIOUS.LOG", logs.previous),
        ("LATEST.LOG", logs.latest),
    ] {
        if let Some(bytes) = bytes {
            reader.log(bytes).map_err(|reason| (name, reason))?;
        }
    }
    Ok(reader.end())
}

#[derive(Default)]
struct Reader<'b> {
    decisions: Decisions,
    /// Transactions with two phases, and the other nodes that have their outcome on disc.
    open: BTreeMap<&'b [u8], Vec<NodeName>>,
    ended: BTreeSet<&'b [u8]>,
}

impl<'b> Reader<'b> {
    fn log(&mut self, bytes: &'b [u8]) -> Result<(), String> {
        let log = disk_log::parse(bytes)?;
        self.decisions.lost += log.lost as u64;
        for item in log.items {
            if self.item(item).is_none() {
                self.decisions.lost += item.len() as u64;
            }
        }
        Ok(())
    }

    fn item(&mut self, item: &'b [u8]) -> Option<()> {
        let mut budget = MOST_TERMS;
        self.record(&mut Terms::new(item, &mut budget)?)
    }

    /// What is no record of anything is passed over, as the log of transactions has more than these.
    fn record(&mut self, terms: &mut Terms<'b, '_>) -> Option<()> {
        let arity = terms.enter()?;
        let kind = terms.next()?;
        match (kind.atom()?, arity) {
            ("log_header", 6) => {
                terms.pass()?;
                terms.pass()?;
                terms.pass()?;
                self.decisions.owner = Some(NodeName::from(terms.next()?.atom()?));
                terms.pass()?;
            }
            ("mnesia_down", 4) => {
                let (node, at) = (NodeName::from(terms.next()?.atom()?), moment(terms)?);
                let seen = self.decisions.seen.entry(node).or_default();
                (seen.is_down, seen.down) = (true, Some(at));
            }
            ("mnesia_up", 4) => {
                let (node, at) = (NodeName::from(terms.next()?.atom()?), moment(terms)?);
                let seen = self.decisions.seen.entry(node).or_default();
                (seen.is_down, seen.up) = (false, Some(at));
            }
            ("master_nodes", 3) => {
                let table = TableName::from(terms.next()?.atom()?);
                let nodes: Vec<NodeName> = terms.next()?.nodes().collect();
                if nodes.is_empty() {
                    self.decisions.masters.remove(&table);
                } else {
                    self.decisions.masters.insert(table, nodes);
                }
            }
            ("decision_list", 2) => {
                for _ in 0..terms.enter_list()? {
                    self.record(terms)?;
                }
            }
            ("decision", 5) => {
                let tid = terms.pass()?;
                if is_known(&terms.next()?) {
                    self.ended.insert(tid);
                }
                terms.pass()?;
                terms.pass()?;
            }
            ("commit", _) => {
                self.decisions.commits += 1;
                terms.pass()?;
                if terms.at_tuple() {
                    self.two_phases(terms)?;
                }
            }
            (_other, _) => {
                for _ in 1..arity {
                    terms.pass()?;
                }
            }
        }
        Some(())
    }

    /// `{decision, Tid, Outcome, DiscNodes, RamNodes}`, or another way to commit, which needs no answer.
    fn two_phases(&mut self, terms: &mut Terms<'b, '_>) -> Option<()> {
        if (terms.enter()?, terms.next()?.atom()) != (5, Some("decision")) {
            return Some(());
        }
        let tid = terms.pass()?;
        if is_known(&terms.next()?) {
            self.ended.insert(tid);
        }
        self.open.insert(tid, terms.next()?.nodes().collect());
        Some(())
    }

    fn end(self) -> Decisions {
        let Self { mut decisions, open, ended } = self;
        let asked = open.into_iter().filter(|(tid, _)| !ended.contains(tid)).flat_map(|(_, nodes)| nodes);
        let asked: BTreeSet<NodeName> = asked.filter(|node| decisions.owner.as_ref() != Some(node)).collect();
        decisions.unclear = asked.into_iter().collect();
        decisions
    }
}

fn is_known(outcome: &Reading) -> bool {
    matches!(outcome.atom(), Some("committed" | "aborted"))
}

/// `{Year, Month, Day}` and `{Hour, Minute, Second}` as text that sorts by time.
fn moment(terms: &mut Terms<'_, '_>) -> Option<String> {
    let (date, time) = (terms.next()?, terms.next()?);
    let [year, month, day] = numbers(&date)?;
    let [hour, minute, second] = numbers(&time)?;
    Some(format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}"))
}

fn numbers(term: &Reading) -> Option<[u16; 3]> {
    let [a, b, c] = term.tuple()? else { return None };
    let number = |term: &Reading| term.integer().and_then(|number| u16::try_from(number).ok());
    Some([number(a)?, number(b)?, number(c)?])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn logs(release: u8, node: &str) -> Decisions {
        let file = |name: &str| {
            let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/boot");
            std::fs::read(format!("{folder}/otp{release}/{node}/{name}")).unwrap()
        };
        let (tab, latest) = (file("DECISION_TAB.LOG"), file("LATEST.LOG"));
        read(&Logs { decision_tab: Some(&tab), previous: None, latest: Some(&latest) }).unwrap()
    }

    /// a, b and c were stopped in this order.
    #[test]
    fn the_logs_of_every_release_tell_who_went_before_whom() {
        for release in [25, 27, 29] {
            for (node, gone) in
                [("a", &[][..]), ("b", &["a@localhost"]), ("c", &["a@localhost", "b@localhost"])]
            {
                let read = logs(release, node);
                assert_eq!(read.owner, Some(NodeName::from(format!("{node}@localhost"))));
                let down = read.seen.iter().filter(|(_, seen)| seen.is_down);
                assert_eq!(down.map(|(node, _)| node.as_str()).collect::<Vec<_>>(), gone, "{release}");
                assert_eq!((read.unclear.len(), read.lost), (0, 0), "{release}");
                assert!(read.commits > 0 && read.masters.is_empty());
            }
        }
    }

    fn atom(text: &str) -> Vec<u8> {
        [&[119, u8::try_from(text.len()).unwrap()], text.as_bytes()].concat()
    }

    fn tuple(parts: &[Vec<u8>]) -> Vec<u8> {
        [vec![104, u8::try_from(parts.len()).unwrap()], parts.concat()].concat()
    }

    fn list(parts: &[Vec<u8>]) -> Vec<u8> {
        let count = u32::try_from(parts.len()).unwrap();
        if count == 0 {
            vec![106]
        } else {
            [&[108][..], &count.to_be_bytes(), &parts.concat(), &[106]].concat()
        }
    }

    fn seen(kind: &str, node: &str, hour: u8) -> Vec<u8> {
        let three = |a: u8| tuple(&[vec![97, a], vec![97, 2], vec![97, 3]]);
        tuple(&[atom(kind), atom(node), three(1), three(hour)])
    }

    fn tid(number: u8) -> Vec<u8> {
        let pid = [vec![88], atom("one@host"), vec![0; 12]].concat();
        tuple(&[atom("tid"), vec![97, number], pid])
    }

    fn decision(number: u8, outcome: &str, nodes: &[&str]) -> Vec<u8> {
        let nodes: Vec<_> = nodes.iter().map(|node| atom(node)).collect();
        tuple(&[atom("decision"), tid(number), atom(outcome), list(&nodes), list(&[])])
    }

    fn log(terms: &[Vec<u8>]) -> Vec<u8> {
        let mut bytes = vec![1, 2, 3, 4, 6, 7, 8, 9];
        for term in terms {
            bytes.extend(u32::try_from(term.len() + 1).unwrap().to_be_bytes());
            bytes.extend([98, 87, 76, 65, 131]);
            bytes.extend(term);
        }
        bytes
    }

    fn latest(terms: &[Vec<u8>]) -> Decisions {
        read(&Logs { latest: Some(&log(terms)), ..Logs::default() }).unwrap()
    }

    #[test]
    fn a_node_that_came_up_again_is_not_down_and_was_seen_to_go() {
        let tab = log(&[tuple(&[
            atom("decision_list"),
            list(&[
                tuple(&[atom("trans_tid"), atom("serial"), vec![97, 7]]),
                seen("mnesia_down", "a@host", 4),
            ]),
        ])]);
        let latest = log(&[seen("mnesia_up", "a@host", 5), seen("mnesia_down", "b@host", 6)]);
        let read = read(&Logs { decision_tab: Some(&tab), previous: None, latest: Some(&latest) }).unwrap();
        let a = &read.seen[&NodeName::from("a@host")];
        assert_eq!((a.is_down, a.down.as_deref()), (false, Some("0001-02-03 04:02:03")));
        assert_eq!(a.up.as_deref(), Some("0001-02-03 05:02:03"));
        assert!(read.seen[&NodeName::from("b@host")].is_down);
    }

    #[test]
    fn master_nodes_are_those_that_were_set_last() {
        let set = |table: &str, nodes: &[&str]| {
            let nodes: Vec<_> = nodes.iter().map(|node| atom(node)).collect();
            tuple(&[atom("master_nodes"), atom(table), list(&nodes)])
        };
        let read = latest(&[set("x", &["a@host"]), set("y", &["a@host"]), set("x", &[])]);
        assert_eq!(read.masters, BTreeMap::from([("y".into(), vec!["a@host".into()])]));
    }

    #[test]
    fn a_commit_of_which_nobody_here_knows_the_outcome_asks_the_others() {
        let header = tuple(&[
            atom("log_header"),
            atom("trans_log"),
            vec![106],
            vec![106],
            atom("one@host"),
            vec![106],
        ]);
        let commit = |number| {
            let decision = decision(number, "presume_abort", &["one@host", "two@host"]);
            tuple(&[atom("commit"), atom("one@host"), decision, list(&[]), list(&[])])
        };
        let simple = tuple(&[atom("commit"), atom("one@host"), atom("presume_commit"), list(&[]), list(&[])]);
        let open =
            latest(&[header.clone(), simple.clone(), commit(1), commit(2), decision(1, "committed", &[])]);
        assert_eq!((open.commits, open.unclear), (3, vec![NodeName::from("two@host")]));
        let ended = latest(&[header, simple, commit(1), decision(1, "aborted", &[])]);
        assert_eq!((ended.commits, ended.unclear), (2, vec![]));
    }

    #[test]
    fn a_file_that_is_no_log_is_named() {
        let read = read(&Logs { latest: Some(b"something else"), ..Logs::default() });
        assert_eq!(read.unwrap_err().0, "LATEST.LOG");
    }
}
