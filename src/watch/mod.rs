//! What happens without an operator: decisions over time, as one function of what was remembered, what the members say, the policy, and the time.
//!
//! [`decide`] is called about once a second, and whenever something has come about. It never looks at a clock, and it has no other memory than
//! the one that it returns, so that a simulator runs the very same code (`tests/watch_sim.rs`). Who acts, disagreement, silence, back-off and
//! pause follow one set of rules for all its tenants (`rules.rs`).

mod reconciler;
mod rules;
mod scrub;
mod view;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::model::name::{NodeName, TableName};
use crate::model::request::Lately;
use crate::plan::diff::Turn;
use crate::plan::step::Action;
use crate::validate::problem::Problem;

pub use reconciler::{Finding, Looked};
pub use rules::Standing;
pub use scrub::{Look, Scrubbed};
pub use view::{Heard, Member, View};

use reconciler::Reconciler;
use scrub::Scrub;
use view::Picture;

/// The numbers of jobs begin below this.
const NUMBERS: Time = 1 << 40;

/// A time in milliseconds, by a clock that never goes back; it may begin anywhere, below zero too (`erlang:monotonic_time/1`).
pub type Time = i64;

/// How long things take, milliseconds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pace {
    /// A change is looked at so long after it: others follow it, as ejabberd's modules make their tables one after another.
    pub settle: u64,
    /// The longest time between two looks.
    pub interval: u64,
    /// The wait after a failure; twice as long after each more.
    pub retry: u64,
    /// A view counts so long, and whoever is asked has so long to answer.
    pub patience: u64,
    /// Whether this member compares copies in the background.
    pub scrub: bool,
    /// The time from one comparison of all tables to the next.
    pub scrub_interval: u64,
}

/// What has come about since the last decision.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Event {
    /// Somebody wants a look, whatever has failed before.
    Asked,
    /// Somebody wants the copies compared now.
    Scrub,
    /// A definition or a copy of a table has changed.
    TablesChanged,
    /// The plan of a job is made.
    Planned {
        /// Which.
        job: u64,
        /// What its steps do, in order.
        actions: Vec<Action>,
        /// What the plan warns of.
        warnings: Vec<Problem>,
    },
    /// There is no plan for a job.
    NotPlanned {
        /// Which.
        job: u64,
        /// Why.
        problems: Vec<Problem>,
    },
    /// A job has changed a copy. It comes at once, so that it is known also when what follows fails.
    Changed {
        /// Which.
        job: u64,
        /// What.
        change: Lately,
    },
    /// The operation of a job is done.
    Done {
        /// Which.
        job: u64,
        /// The name of the operation.
        id: String,
    },
    /// A job has come to nothing.
    Failed {
        /// Which.
        job: u64,
        /// Why.
        problems: Vec<Problem>,
    },
    /// A comparison of all tables begins with these, or does not begin.
    Comparing {
        /// Which.
        job: u64,
        /// What is compared, or why nothing is.
        turn: Turn,
    },
    /// The copies of a table were compared.
    Compared {
        /// Which.
        job: u64,
        /// What was found.
        look: Look,
    },
    /// The copies of a table could not be compared.
    NotCompared {
        /// Which.
        job: u64,
        /// The table.
        table: TableName,
        /// The holder whose copy could not be read.
        node: NodeName,
        /// Why.
        reason: String,
    },
    /// All tables were compared.
    Finished {
        /// Which.
        job: u64,
    },
}

/// What a decision is made from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seen {
    /// This member.
    pub here: NodeName,
    /// The time.
    pub now: Time,
    /// How long things take.
    pub pace: Pace,
    /// The text of this member's policy (`docs/policy.md`).
    pub policy: Option<String>,
    /// What was heard of the members, this one included.
    pub members: Vec<Member>,
    /// What has come about, in order.
    pub events: Vec<Event>,
}

/// What has to be done now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Effect {
    /// Ask these for their views, each of which is heard, silent, or without easy_cluster after `patience`.
    Ask(Vec<NodeName>),
    /// Make the plan for the policy: [`Event::Planned`], [`Event::NotPlanned`].
    Plan {
        /// A name for what follows.
        job: u64,
        /// What was changed here by itself within the last hour.
        lately: Vec<Lately>,
        /// Tables of which a copy was not deleted just now.
        refused: Vec<TableName>,
    },
    /// Carry the plan out: [`Event::Changed`], [`Event::Done`], [`Event::Failed`].
    Commit {
        /// Whose.
        job: u64,
    },
    /// Forget the plan.
    Drop {
        /// Whose.
        job: u64,
    },
    /// Compare the copies of all tables: [`Event::Comparing`], [`Event::Compared`], [`Event::Finished`].
    Compare {
        /// A name for what follows.
        job: u64,
    },
    /// End the comparison at once.
    Stop {
        /// Which.
        job: u64,
    },
    /// Write it into the log.
    Say(Saying),
}

/// What is said of a decision.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Saying {
    /// What a look at the policy has come to.
    Found(Finding),
    /// A comparison is put off: why.
    PutOff(String),
    /// The copies of a table differ, or differ in more or fewer rows than they did.
    Differs(Look),
    /// The copies of a table are the same again.
    TheSameAgain(TableName),
    /// A copy could not be compared.
    NotCompared {
        /// Of which table.
        table: TableName,
        /// On which node.
        node: NodeName,
        /// Why.
        reason: String,
    },
}

/// What one decision leaves for the next.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Memory {
    jobs: u64,
    /// The last decision, and the last one that was late.
    decided: Option<Time>,
    late: Option<Time>,
    asked: BTreeMap<NodeName, Time>,
    known: view::Known,
    reconciler: Reconciler,
    scrub: Scrub,
}

/// What the tenants are at, for people and programs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// The policy.
    pub reconciler: Looked,
    /// The background comparison.
    pub scrub: Scrubbed,
}

/// One decision: what is remembered from now on, and what has to be done.
#[must_use]
pub fn decide(mut memory: Memory, seen: &Seen) -> (Memory, Vec<Effect>) {
    memory.begin(seen);
    let picture = Picture::new(seen, memory.is_late(seen));
    let mut effects = memory.ask(&picture, seen);
    let news = memory.known.notice(&picture);
    let Memory { jobs, reconciler, scrub, .. } = &mut memory;
    effects.extend(reconciler.decide(seen, &picture, news, jobs));
    effects.extend(scrub.decide(seen, &picture, jobs));
    (memory, effects)
}

impl Memory {
    /// A job that a watch before this one has begun can still tell what comes of it: no two have the same number.
    fn begin(&mut self, seen: &Seen) {
        if self.decided.is_none() {
            self.jobs = seen.now.rem_euclid(NUMBERS).unsigned_abs();
        }
    }

    /// Whether this member itself has been late: it was stopped or very busy, and what it hears now may have been said long ago. All of that
    /// is older than `patience` when this is over.
    fn is_late(&mut self, seen: &Seen) -> bool {
        let patience = rules::time(seen.pace.patience);
        let since = |at: Time| seen.now.saturating_sub(at);
        if self.decided.replace(seen.now).is_some_and(|last| since(last) > patience) {
            self.late = Some(seen.now);
        }
        self.late.is_some_and(|at| since(at) <= patience)
    }

    /// Whoever has not said anything for a while is asked, and again when it has not answered.
    fn ask(&mut self, picture: &Picture<'_>, seen: &Seen) -> Vec<Effect> {
        let unheard = picture.unheard();
        self.asked.retain(|node, at| {
            unheard.contains(node) && seen.now.saturating_sub(*at) < rules::time(seen.pace.patience)
        });
        let asked: Vec<NodeName> =
            unheard.into_iter().filter(|node| !self.asked.contains_key(node)).collect();
        self.asked.extend(asked.iter().map(|node| (node.clone(), seen.now)));
        if asked.is_empty() { Vec::new() } else { vec![Effect::Ask(asked)] }
    }

    /// When the next decision is wanted at the latest, whatever happens until then.
    #[must_use]
    pub fn wakes(&self) -> Option<Time> {
        self.reconciler.due().into_iter().chain(self.scrub.due()).min()
    }

    /// What the tenants are at.
    #[must_use]
    pub fn report(&self, now: Time) -> Report {
        Report { reconciler: self.reconciler.looked(now), scrub: self.scrub.scrubbed() }
    }
}
