//! Brings the cluster to what its policy wants: looks when members, tables or the policy change, and now and then.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::rules::{Due, PutOff, Standing, standing};
use super::view::{News, Picture};
use super::{Effect, Event, Saying, Seen, Time};
use crate::model::name::{NodeName, TableName};
use crate::model::policy::Sync;
use crate::model::request::Lately;
use crate::model::snapshot::Running;
use crate::model::table::Storage;
use crate::plan::step::Action;
use crate::validate::policy;
use crate::validate::problem::Problem;

/// No failure puts it off for longer, milliseconds.
const LONGEST: u64 = 300_000;
/// What was changed counts so long, milliseconds.
const HOUR: Time = 3_600_000;

/// What a look has come to.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Finding {
    /// Nothing yet.
    #[default]
    NotYet,
    /// This member has no policy.
    NoPolicy,
    /// The policy says that nobody looks.
    Off,
    /// Another member does it.
    Follows(NodeName),
    /// Nothing is changed while these are paused.
    Paused(Vec<NodeName>),
    /// Nothing is changed while these have another policy.
    Differs(Vec<NodeName>),
    /// Nothing is changed before these answer.
    Silent(Vec<NodeName>),
    /// Nothing is changed while these have another version of easy_cluster.
    OtherVersion(Vec<NodeName>),
    /// Everything is as wanted, as far as it can be.
    AsWanted(Vec<Problem>),
    /// What is left has to wait.
    Waits(Vec<Problem>),
    /// What would be done.
    Proposed {
        /// So many changes.
        steps: u64,
        /// What the plan warns of.
        warnings: Vec<Problem>,
    },
    /// It was done.
    Brought {
        /// The name of the operation.
        id: String,
        /// So many changes.
        steps: u64,
    },
    /// It was done, and the same had been done just before.
    InVain {
        /// The name of the operation.
        id: String,
        /// So many changes.
        steps: u64,
    },
    /// The policy cannot be followed.
    Impossible(Vec<Problem>),
    /// It was tried.
    Failed(Vec<Problem>),
}

/// What the last look has come to, and what keeps the next one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Looked {
    /// What it has come to.
    pub finding: Finding,
    /// Milliseconds since then.
    pub ago: Option<u64>,
    /// Whether a look is under way.
    pub looking: bool,
    /// Milliseconds before anything is tried again.
    pub put_off: u64,
    /// What was changed here by itself within the last hour.
    pub lately: Vec<Lately>,
}

/// A step without what other writers change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Essence {
    table: TableName,
    node: NodeName,
    storage: Option<Storage>,
}

/// What is under way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Job {
    number: u64,
    mode: Sync,
    /// How many changes the plan has, and what they are.
    planned: Option<(u64, Vec<Essence>)>,
    /// What was changed, and when. A copy can go aside and come back on the way to what is wanted, which is one change.
    made: BTreeMap<Lately, Time>,
}

/// The tenant's memory.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Reconciler {
    finding: Finding,
    looked: Option<Time>,
    due: Due,
    job: Option<Job>,
    /// Whether another look was wanted meanwhile.
    again: bool,
    /// The digest of the policy that was looked with last.
    policy: Option<String>,
    changed: Vec<(Time, Lately)>,
    /// What the last look has done that did something.
    brought: Option<Vec<Essence>>,
    /// Tables of which a copy was not to be deleted, and why: the others do not wait for them.
    refused: BTreeMap<TableName, Problem>,
    put_off: PutOff,
}

impl Reconciler {
    pub(super) fn due(&self) -> Option<Time> {
        self.due.at()
    }

    pub(super) fn looked(&self, now: Time) -> Looked {
        let ago = |at: Time| u64::try_from(now.saturating_sub(at)).unwrap_or(0);
        Looked {
            finding: self.finding.clone(),
            ago: self.looked.map(ago),
            looking: self.job.is_some(),
            put_off: self.put_off.left(now),
            lately: self.lately(now),
        }
    }

    pub(super) fn decide(
        &mut self,
        seen: &Seen,
        picture: &Picture<'_>,
        news: News,
        jobs: &mut u64,
    ) -> Vec<Effect> {
        let mut effects = Vec::new();
        match news {
            News::Nothing => {}
            News::Silence => self.due.within(seen.pace.settle, seen.now),
            News::Members => self.wanted(seen),
        }
        for event in &seen.events {
            effects.extend(self.hear(event, seen, picture));
        }
        if self.due.has_come(seen.now) {
            self.due.clear();
            match self.job {
                Some(_) => self.again = true,
                None => effects.extend(self.look(seen, picture, jobs)),
            }
        }
        effects
    }

    /// Members or the policy have changed, or somebody asks: nothing that has failed before counts.
    fn wanted(&mut self, seen: &Seen) {
        self.anew();
        self.due.within(seen.pace.settle, seen.now);
    }

    /// As if nothing had been tried before.
    fn anew(&mut self) {
        self.brought = None;
        self.refused.clear();
        self.put_off = PutOff::default();
    }

    fn hear(&mut self, event: &Event, seen: &Seen, picture: &Picture<'_>) -> Vec<Effect> {
        let is_ours = |number: &u64| self.job.as_ref().is_some_and(|job| job.number == *number);
        match event {
            Event::Asked => self.wanted(seen),
            Event::TablesChanged => self.due.within(seen.pace.settle, seen.now),
            Event::Planned { job, actions, warnings } if is_ours(job) => {
                return self.planned(actions, warnings, seen, picture);
            }
            Event::NotPlanned { job, problems } if is_ours(job) => {
                return self.ended(Finding::Impossible(problems.clone()), seen);
            }
            Event::Changed { job, change } if is_ours(job) => {
                self.job.iter_mut().for_each(|job| _ = job.made.insert(change.clone(), seen.now));
            }
            Event::Done { job, id } if is_ours(job) => return self.done(id, seen),
            Event::Failed { job, problems } if is_ours(job) => {
                return self.ended(Finding::Failed(problems.clone()), seen);
            }
            // Of a job that was given up, or of the other tenant.
            Event::Planned { .. }
            | Event::NotPlanned { .. }
            | Event::Changed { .. }
            | Event::Done { .. }
            | Event::Failed { .. }
            | Event::Scrub
            | Event::Comparing { .. }
            | Event::Compared { .. }
            | Event::NotCompared { .. }
            | Event::Finished { .. } => {}
        }
        Vec::new()
    }

    /// A look: who acts, and whether anybody may.
    fn look(&mut self, seen: &Seen, picture: &Picture<'_>, jobs: &mut u64) -> Vec<Effect> {
        self.again = false;
        let digest = picture.own().and_then(|own| own.policy.clone());
        if digest.is_some() && digest != self.policy {
            // What was done for another policy was no fight about this one.
            self.anew();
            self.changed.clear();
            self.policy = digest;
        }
        let left = self.put_off.left(seen.now);
        if left > 0 {
            self.due.within(left.min(seen.pace.interval), seen.now);
            return Vec::new();
        }
        self.due.within(seen.pace.interval, seen.now);
        let mode = match self.mode(seen, picture) {
            Ok(mode) => mode,
            Err(finding) => return self.came_to(finding, seen),
        };
        match may_act(picture, mode) {
            Standing::Leads => {}
            // They are about to answer.
            Standing::Awaits(_) => {
                self.due.within(seen.pace.settle, seen.now);
                return Vec::new();
            }
            Standing::Follows(node) => return self.came_to(Finding::Follows(node), seen),
            Standing::Paused(nodes) => return self.came_to(Finding::Paused(nodes), seen),
            Standing::Differs(nodes) => return self.came_to(Finding::Differs(nodes), seen),
            Standing::Silent(nodes) => return self.came_to(Finding::Silent(nodes), seen),
            Standing::OtherVersion(nodes) => return self.came_to(Finding::OtherVersion(nodes), seen),
        }
        *jobs += 1;
        self.job = Some(Job { number: *jobs, mode, planned: None, made: BTreeMap::new() });
        let refused = self.refused.keys().cloned().collect();
        vec![Effect::Plan { job: *jobs, lately: self.lately(seen.now), refused }]
    }

    /// What the policy says of a look, or what there is instead of one.
    fn mode(&self, seen: &Seen, picture: &Picture<'_>) -> Result<Sync, Finding> {
        let text = seen.policy.as_ref().ok_or(Finding::NoPolicy)?;
        let own = picture.own().filter(|own| own.mnesia == Running::Yes).ok_or(Finding::NotYet)?;
        if own.operation.as_ref() == Some(picture.here()) {
            // It may be one that has Mnesia elsewhere for now.
            let holder = picture.here().clone();
            return Err(Finding::Failed(vec![Problem::OperationInProgress { holder }]));
        }
        match policy::parse(text)
            .map_err(Finding::Impossible)?
            .sync
            .map_or(Sync::default(), |sync| sync.value)
        {
            Sync::Off => Err(Finding::Off),
            mode @ (Sync::Auto | Sync::Propose) => Ok(mode),
        }
    }

    fn planned(
        &mut self,
        actions: &[Action],
        warnings: &[Problem],
        seen: &Seen,
        picture: &Picture<'_>,
    ) -> Vec<Effect> {
        if picture.own().and_then(|own| own.policy.as_ref()) != self.policy.as_ref() {
            // The plan is for another policy, and with that a look is wanted already.
            return self.job.take().map(|job| Effect::Drop { job: job.number }).into_iter().collect();
        }
        let Some(job) = &mut self.job else { return Vec::new() };
        let steps = actions.iter().filter(|action| **action != Action::Verify).count() as u64;
        let (number, mode) = (job.number, job.mode);
        job.planned = Some((steps, actions.iter().filter_map(essence).collect()));
        let finding = match (steps, mode, may_act(picture, mode)) {
            (0, _, _) => self.settled(warnings),
            (_, Sync::Auto, Standing::Leads) => return vec![Effect::Commit { job: number }],
            (_, Sync::Auto, Standing::Follows(node)) => Finding::Follows(node),
            (_, Sync::Auto, Standing::Paused(nodes)) => Finding::Paused(nodes),
            (_, Sync::Auto, Standing::Differs(nodes)) => Finding::Differs(nodes),
            (_, Sync::Auto, Standing::OtherVersion(nodes)) => Finding::OtherVersion(nodes),
            (_, Sync::Auto, Standing::Silent(nodes) | Standing::Awaits(nodes)) => Finding::Silent(nodes),
            (steps, Sync::Propose | Sync::Off, _) => Finding::Proposed { steps, warnings: warnings.to_vec() },
        };
        let mut effects = vec![Effect::Drop { job: number }];
        effects.extend(self.ended(finding, seen));
        effects
    }

    /// Nothing is left to do, or nothing that could be done now.
    fn settled(&self, warnings: &[Problem]) -> Finding {
        let left = |warning: &Problem| {
            matches!(warning, Problem::PolicyStalls { .. } | Problem::PolicyUndone { .. })
        };
        if self.refused.is_empty() && !warnings.iter().any(left) {
            return Finding::AsWanted(warnings.to_vec());
        }
        Finding::Waits(warnings.iter().chain(self.refused.values()).cloned().collect())
    }

    fn done(&mut self, id: &str, seen: &Seen) -> Vec<Effect> {
        let planned = self.job.as_ref().and_then(|job| job.planned.clone());
        let (id, (steps, changes)) = (id.to_owned(), planned.unwrap_or_default());
        if self.brought.as_ref() == Some(&changes) {
            // The very same steps again: they do not lead to where the plan takes them to lead.
            return self.ended(Finding::InVain { id, steps }, seen);
        }
        let refused = std::mem::take(&mut self.refused);
        self.anew();
        (self.brought, self.refused) = (Some(changes), refused);
        self.ended(Finding::Brought { id, steps }, seen)
    }

    /// The job is over, with what it has changed so far.
    fn ended(&mut self, finding: Finding, seen: &Seen) -> Vec<Effect> {
        let Some(job) = self.job.take() else { return Vec::new() };
        self.changed.retain(|(at, _)| seen.now.saturating_sub(*at) < HOUR);
        self.changed.extend(job.made.into_iter().map(|(change, at)| (at, change)));
        self.came_to(finding, seen)
    }

    /// What follows from what a look has come to.
    fn came_to(&mut self, finding: Finding, seen: &Seen) -> Vec<Effect> {
        let (pace, now) = (&seen.pace, seen.now);
        match &finding {
            Finding::Brought { .. } => self.due.within(pace.settle, now),
            Finding::Failed(problems) => match refusal(problems) {
                // Other tables are next.
                Some((table, problem)) => {
                    self.refused.insert(table.clone(), problem.clone());
                    self.due.within(pace.settle, now);
                }
                None => self.back_off(seen),
            },
            Finding::InVain { .. } => self.back_off(seen),
            // All but these.
            Finding::Waits(_) if !self.refused.is_empty() => self.back_off(seen),
            Finding::Silent(_) => self.due.within(pace.retry, now),
            Finding::NotYet
            | Finding::NoPolicy
            | Finding::Off
            | Finding::Follows(_)
            | Finding::Paused(_)
            | Finding::Differs(_)
            | Finding::OtherVersion(_)
            | Finding::AsWanted(_)
            | Finding::Waits(_)
            | Finding::Proposed { .. }
            | Finding::Impossible(_) => self.anew(),
        }
        self.due.within(if self.again { pace.settle } else { pace.interval }, now);
        self.looked = Some(now);
        let before = std::mem::replace(&mut self.finding, finding);
        let is_news = self.finding != before
            && !matches!(self.finding, Finding::Follows(_))
            && (&self.finding, &before) != (&Finding::NoPolicy, &Finding::NotYet);
        if is_news { vec![Effect::Say(Saying::Found(self.finding.clone()))] } else { Vec::new() }
    }

    fn back_off(&mut self, seen: &Seen) {
        self.refused.clear();
        let wait = self.put_off.failed(seen.now, seen.pace.retry, LONGEST);
        self.due.within(wait, seen.now);
    }

    fn lately(&self, now: Time) -> Vec<Lately> {
        self.changed
            .iter()
            .filter(|(at, _)| now.saturating_sub(*at) < HOUR)
            .map(|(_, change)| change.clone())
            .collect()
    }
}

/// What is only proposed waits for nobody: nothing is changed.
fn may_act(picture: &Picture<'_>, mode: Sync) -> Standing {
    let standing = standing(picture, |view| view.policy.is_some());
    let waits = matches!(standing, Standing::Silent(_) | Standing::OtherVersion(_) | Standing::Awaits(_));
    if waits && mode == Sync::Propose { Standing::Leads } else { standing }
}

/// The table of which a copy was not deleted, as its step has refused to.
fn refusal(problems: &[Problem]) -> Option<(&TableName, &Problem)> {
    let [problem, Problem::StepFailed { .. }] = problems else { return None };
    if let Problem::CopyDiffers { table, .. }
    | Problem::TooFewOtherCopies { table, .. }
    | Problem::CopiesNotCompared { table, .. } = problem
    {
        return Some((table, problem));
    }
    None
}

fn essence(action: &Action) -> Option<Essence> {
    if let Action::CopyTableTo { table, node, storage, .. } = action {
        return Some(Essence { table: table.clone(), node: node.clone(), storage: Some(*storage) });
    }
    let Action::DeleteCopyOn { table, node, .. } = action else { return None };
    Some(Essence { table: table.clone(), node: node.clone(), storage: None })
}
