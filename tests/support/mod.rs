//! Snapshots of made-up clusters, as small as a sentence.

#![allow(clippy::allow_attributes, reason = "whether an item is dead depends on the test binary")]
#![allow(dead_code, missing_docs, clippy::expect_used, clippy::panic, reason = "helpers of tests")]

use std::collections::BTreeMap;

use easy_cluster::model::name::{AtomName, NodeName, TableName};
use easy_cluster::model::pair::Pair;
use easy_cluster::model::reach::ReachFailure;
use easy_cluster::model::request::{Operation, Options};
use easy_cluster::model::rows::RowDifference;
use easy_cluster::model::snapshot::{Answer, Beside, FORMAT, Facts, KeptFile, Member, Running, Snapshot};
use easy_cluster::model::table::SetIndex;
use easy_cluster::model::table::{AccessMode, Storage, Table, TableType};
use easy_cluster::operation::ask::{self, Answers, Ask, Next, Wish};
use easy_cluster::plan::Inputs;
use easy_cluster::validate::problem::Problem;

pub const HERE: &str = "ejabberd@hello.world";
pub const THERE: &str = "ejabberd@foo.bar";
pub const THIRD: &str = "ejabberd@third.host";

/// A snapshot under construction.
pub struct Lab {
    snapshot: Snapshot,
}

impl Lab {
    /// `HERE` alone, and the nodes given in one healthy cluster.
    pub fn new(cluster: &[&str]) -> Self {
        let mut lab = Self {
            snapshot: Snapshot {
                format: FORMAT,
                node: HERE.into(),
                members: Vec::new(),
                tables: Vec::new(),
                node_sets: Vec::new(),
                ways: Vec::new(),
                kept: Vec::new(),
                copied: Vec::new(),
            },
        };
        lab.member(HERE, &[HERE]);
        for node in cluster {
            lab.member(node, cluster);
        }
        lab
    }

    /// `HERE` and the nodes given in one healthy cluster.
    pub fn joined(cluster: &[&str]) -> Self {
        let mut lab = Self::new(&[]);
        let all: Vec<&str> = [HERE].iter().chain(cluster).copied().collect();
        lab.snapshot.members.clear();
        for node in &all {
            lab.member(node, &all);
        }
        lab
    }

    /// What comes of a wish with these answers.
    pub fn ask(&self, wish: Wish, answers: Answers) -> Result<Next, Vec<Problem>> {
        let ask = Ask { wish, options: Options::default(), here: HERE.into(), at: "20261201T000000Z".into() };
        ask::ask(&ask, answers)
    }

    /// The look at the members, and nothing else.
    pub fn answers(&self) -> Answers {
        Answers { snapshot: Some(self.snapshot()), ..Answers::default() }
    }

    pub fn set(&mut self, nodes: &[&str]) -> SetIndex {
        let mut set: Vec<NodeName> = nodes.iter().map(|n| NodeName::from(*n)).collect();
        set.sort();
        let sets = &mut self.snapshot.node_sets;
        let index = sets.iter().position(|known| *known == set).unwrap_or_else(|| {
            sets.push(set);
            sets.len() - 1
        });
        SetIndex::try_from(index).expect("few sets")
    }

    fn member(&mut self, node: &str, cluster: &[&str]) {
        let (all, none) = (self.set(cluster), self.set(&[]));
        let here = node == HERE;
        let facts = Facts {
            otp_release: "25".into(),
            versions: BTreeMap::from([
                ("mnesia".into(), "4.21.3".into()),
                ("ejabberd".into(), "23.01".into()),
            ]),
            applications: if here { vec![AtomName::from("ejabberd")] } else { Vec::new() },
            running_applications: Vec::new(),
            operating: false,
            mnesia: Running::Yes,
            awaits: Vec::new(),
            use_dir: true,
            fallback: false,
            schema_cookie: Some("{{1,2,3},a}".into()),
            db_nodes: all,
            running_db_nodes: all,
            extra_db_nodes: none,
            connected: all,
            master_nodes: none,
            tick_time: 60,
            clock_offset: 0,
            memory_free: here.then_some(1 << 30),
            disk_free: here.then_some(1 << 30),
            directory: "/var/lib/ejabberd".into(),
            directory_writable: Some(true),
            obstacles: Vec::new(),
            configuration: None,
            unfinished: None,
            beside: Beside::default(),
        };
        self.snapshot.members.push(Member { node: node.into(), answer: Answer::Facts(Box::new(facts)) });
    }

    pub fn facts(&mut self, node: &str) -> &mut Facts {
        let member = self.snapshot.members.iter_mut().find(|m| m.node.as_str() == node).expect("a member");
        match &mut member.answer {
            Answer::Facts(facts) => facts,
            Answer::Silent(reason) => panic!("{node} is silent: {reason}"),
        }
    }

    pub fn silence(&mut self, node: &str) -> &mut Self {
        let member = self.snapshot.members.iter_mut().find(|m| m.node.as_str() == node).expect("a member");
        member.answer = Answer::Silent("timeout".into());
        self
    }

    /// A member that is down, as the others know it.
    pub fn kill(&mut self, node: &str) -> &mut Self {
        let answers = |member: &&Member| matches!(member.answer, Answer::Facts(_));
        let left: Vec<String> = self
            .snapshot
            .members
            .iter()
            .filter(answers)
            .map(|member| member.node.to_string())
            .filter(|member| member != node)
            .collect();
        let left: Vec<&str> = left.iter().map(String::as_str).collect();
        let running = self.set(&left);
        for member in &left {
            let facts = self.facts(member);
            (facts.running_db_nodes, facts.connected) = (running, running);
        }
        self.silence(node)
    }

    /// What a node found when it tried to reach another one.
    pub fn way(&mut self, from: &str, to: &str, failure: Option<ReachFailure>) {
        self.snapshot.ways.push(Pair { from: from.into(), to: to.into(), failure });
    }

    /// A table's file in a kept database.
    pub fn kept(&mut self, node: &str, path: &str) {
        self.snapshot.kept.push(KeptFile { node: node.into(), path: path.into() });
    }

    /// A loaded `set` of `storage` on `holders`, in the schema of `seen_by`.
    pub fn table(
        &mut self,
        name: &str,
        storage: Storage,
        seen_by: &[&str],
        holders: &[&str],
        rows: u64,
    ) -> &mut Table {
        let (seen, held, none) = (self.set(seen_by), self.set(holders), self.set(&[]));
        let on = |wanted| if wanted == storage { held } else { none };
        self.snapshot.tables.push(Table {
            name: name.into(),
            seen_by: seen,
            table_type: TableType::Set,
            ram_copies: on(Storage::RamCopies),
            disc_copies: on(Storage::DiscCopies),
            disc_only_copies: on(Storage::DiscOnlyCopies),
            external_copies: none,
            active: held,
            attributes: vec!["us".into(), "password".into()],
            record_name: name.into(),
            index: "[]".into(),
            local_content: false,
            majority: false,
            access_mode: AccessMode::ReadWrite,
            load_order: 0,
            cookie: format!("{{{{1,2,3}},'{}'}}", seen_by.first().copied().unwrap_or("nobody")),
            version: "{{2,0},[]}".into(),
            properties: "[[],[],[]]".into(),
            size: rows,
            memory: rows * 150,
        });
        self.snapshot.tables.last_mut().expect("just pushed")
    }

    /// More rows in a table.
    pub fn grow(&mut self, name: &str, rows: u64) {
        for table in self.snapshot.tables.iter_mut().filter(|table| table.name.as_str() == name) {
            (table.size, table.memory) = (rows, rows * 150);
        }
    }

    pub fn snapshot(&self) -> Snapshot {
        self.snapshot.clone()
    }

    pub fn inputs(&self, operation: Operation) -> Inputs {
        Inputs {
            operation,
            options: Options::default(),
            snapshot: self.snapshot(),
            rows: Vec::new(),
            at: "20260101T000000.000000Z".into(),
        }
    }
}

pub fn only_here(table: &str, rows: u64) -> RowDifference {
    RowDifference { table: TableName::from(table), here: rows, only_here: rows, different: 0 }
}
