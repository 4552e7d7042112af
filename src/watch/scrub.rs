//! Compares the copies of all durable tables in the background while all is quiet. What is compared, `plan/diff.rs` says.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::rules::{Due, PutOff, Standing, standing};
use super::view::Picture;
use super::{Effect, Event, Saying, Seen, Time};
use crate::model::name::{NodeName, TableName};
use crate::plan::diff::Turn;
use crate::validate::problem::Problem;

/// Not right after the start, and not much later where the interval is long, milliseconds.
const SOON: u64 = 3_600_000;
/// The first wait after a comparison that could not be, milliseconds.
const SOONER: u64 = 300_000;

/// When the copies of a table were compared, and how many of its keys differed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Look {
    /// The table.
    pub table: TableName,
    /// Microseconds since 1970, as the clock of the member says that has compared.
    pub at: i64,
    /// Keys that differ.
    pub keys: u64,
    /// The holders.
    pub nodes: Vec<NodeName>,
}

/// What the comparison is at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Scrubbed {
    /// Whether copies are compared just now.
    pub comparing: bool,
    /// The last looks.
    pub looks: Vec<Look>,
}

/// A comparison that is under way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Round {
    number: u64,
    members: Vec<NodeName>,
}

/// The tenant's memory.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Scrub {
    due: Due,
    /// What it was last configured as.
    configured: Option<(bool, u64)>,
    round: Option<Round>,
    put_off: PutOff,
    looks: BTreeMap<TableName, Look>,
}

impl Scrub {
    pub(super) fn due(&self) -> Option<Time> {
        self.due.at()
    }

    pub(super) fn scrubbed(&self) -> Scrubbed {
        Scrubbed { comparing: self.round.is_some(), looks: self.looks.values().cloned().collect() }
    }

    pub(super) fn decide(&mut self, seen: &Seen, picture: &Picture<'_>, jobs: &mut u64) -> Vec<Effect> {
        let mut effects = self.configure(seen);
        for event in &seen.events {
            effects.extend(self.hear(event, seen));
        }
        if self.round.as_ref().is_some_and(|round| !goes_on(round, picture)) {
            effects.extend(self.stop());
            self.due.only_in(SOONER.min(seen.pace.scrub_interval), seen.now);
        }
        if self.round.is_none() && self.due.has_come(seen.now) {
            effects.extend(self.begin(seen, picture, jobs));
        }
        effects
    }

    /// Other settings begin anew.
    fn configure(&mut self, seen: &Seen) -> Vec<Effect> {
        let now = Some((seen.pace.scrub, seen.pace.scrub_interval));
        if self.configured == now {
            return Vec::new();
        }
        self.configured = now;
        self.put_off = PutOff::default();
        self.due.only_in(SOON.min(seen.pace.scrub_interval), seen.now);
        self.stop()
    }

    fn stop(&mut self) -> Vec<Effect> {
        self.round.take().map(|round| Effect::Stop { job: round.number }).into_iter().collect()
    }

    fn begin(&mut self, seen: &Seen, picture: &Picture<'_>, jobs: &mut u64) -> Vec<Effect> {
        if !seen.pace.scrub {
            self.due.only_in(seen.pace.scrub_interval, seen.now);
            return Vec::new();
        }
        match standing(picture, |view| view.scrub) {
            Standing::Leads if picture.is_quiet() => {
                *jobs += 1;
                self.due.clear();
                let members = picture.own().map_or_else(Vec::new, |own| own.running_db_nodes.clone());
                self.round = Some(Round { number: *jobs, members });
                vec![Effect::Compare { job: *jobs }]
            }
            // It may be gone then.
            Standing::Follows(_) => {
                self.due.only_in(SOON.min(seen.pace.scrub_interval), seen.now);
                Vec::new()
            }
            Standing::Awaits(_) => {
                self.due.only_in(seen.pace.settle, seen.now);
                Vec::new()
            }
            Standing::Leads => self.put_off("a member is down, or an operation runs", seen),
            Standing::Paused(_) => self.put_off("paused", seen),
            Standing::Differs(_) => self.put_off("policy_differs", seen),
            Standing::Silent(_) => self.put_off("a member does not answer", seen),
            Standing::OtherVersion(_) => self.put_off("other_version", seen),
        }
    }

    fn put_off(&mut self, reason: &str, seen: &Seen) -> Vec<Effect> {
        let longest = seen.pace.scrub_interval;
        let wait = self.put_off.failed(seen.now, SOONER.min(longest), longest);
        self.due.only_in(wait, seen.now);
        vec![Effect::Say(Saying::PutOff(reason.into()))]
    }

    fn hear(&mut self, event: &Event, seen: &Seen) -> Vec<Effect> {
        let is_ours = |number: &u64| self.round.as_ref().is_some_and(|round| round.number == *number);
        match event {
            Event::Scrub => self.due.within(0, seen.now),
            Event::Comparing { job, turn } if is_ours(job) => return self.comparing(turn, seen),
            Event::Compared { job, look } if is_ours(job) => return self.compared(look),
            Event::NotCompared { job, table, node, reason } if is_ours(job) => {
                let (table, node, reason) = (table.clone(), node.clone(), reason.clone());
                return vec![Effect::Say(Saying::NotCompared { table, node, reason })];
            }
            Event::Finished { job } if is_ours(job) => {
                self.round = None;
                self.put_off = PutOff::default();
                self.due.only_in(seen.pace.scrub_interval, seen.now);
            }
            Event::Failed { job, problems } if is_ours(job) => {
                self.round = None;
                return self.put_off(problems.first().map_or("", Problem::code), seen);
            }
            // Of a round that was ended, or of the other tenant.
            Event::Comparing { .. }
            | Event::Compared { .. }
            | Event::NotCompared { .. }
            | Event::Finished { .. }
            | Event::Failed { .. }
            | Event::Asked
            | Event::TablesChanged
            | Event::Planned { .. }
            | Event::NotPlanned { .. }
            | Event::Changed { .. }
            | Event::Done { .. } => {}
        }
        Vec::new()
    }

    fn comparing(&mut self, turn: &Turn, seen: &Seen) -> Vec<Effect> {
        match turn {
            Turn::Compare(comparisons) => {
                self.looks.retain(|table, _| comparisons.iter().any(|comparison| comparison.table == *table));
                Vec::new()
            }
            Turn::Of(_) => {
                self.round = None;
                self.due.only_in(SOON.min(seen.pace.scrub_interval), seen.now);
                Vec::new()
            }
            Turn::Wait(reason) => {
                self.round = None;
                self.put_off(reason, seen)
            }
        }
    }

    /// A table that differs is said once, and again when it is more or less.
    fn compared(&mut self, look: &Look) -> Vec<Effect> {
        let before = self.looks.insert(look.table.clone(), look.clone()).map_or(0, |look| look.keys);
        if before == look.keys {
            return Vec::new();
        }
        let saying = if look.keys == 0 {
            Saying::TheSameAgain(look.table.clone())
        } else {
            Saying::Differs(look.clone())
        };
        vec![Effect::Say(saying)]
    }
}

/// No operation runs here or elsewhere, and the same members are there.
fn goes_on(round: &Round, picture: &Picture<'_>) -> bool {
    picture.is_quiet() && picture.own().is_some_and(|own| own.running_db_nodes == round.members)
}
