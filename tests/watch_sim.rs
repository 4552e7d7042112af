//! The watch's own code over simulated members: crashes, freezes, lost views, operators who pause, change policies and undo what was done.
//!
//! A run is an event loop over simulated time. It is made from a seed and a list of faults, and the same two make the very same run again.
//! First come the faults, and what must never happen is looked for after each effect; then all is well for longer than an hour, and the cluster
//! has to get where its policies want it. `WATCH_SIM_SEED=7 cargo nextest run --test watch_sim` begins with another seed, `WATCH_SIM_RUNS` says how
//! many runs; a run that fails is printed with its seed and with as few faults as it still fails with.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test's own world")]

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::env;

use easy_cluster::model::name::{NodeName, TableName};
use easy_cluster::model::request::Lately;
use easy_cluster::model::snapshot::Running;
use easy_cluster::model::table::Storage;
use easy_cluster::plan::diff::{Comparison, Turn};
use easy_cluster::plan::step::Action;
use easy_cluster::validate::problem::{Problem, Tables};
use easy_cluster::watch::{
    Effect, Event, Finding, Heard, Look, Member, Memory, Pace, Seen, Time, View, decide,
};
use proptest::prelude::{Just, Strategy, any, prop_oneof};
use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestRng, TestRunner};

const SECOND: Time = 1_000;
const TICK: Time = SECOND;
const PATIENCE: Time = 5 * SECOND;
const HOUR: Time = 3_600 * SECOND;
/// What has been so for this long has to be known: a view is sent each tick, and who is silent is asked after `PATIENCE`, and for as long.
const KNOWN: Time = 2 * PATIENCE + 4 * TICK;
/// A step of an operation, and the comparison of a table.
const STEP: Time = SECOND / 2;
const COMPARISON: Time = 10 * SECOND;
/// The faults come within this time, and the calm after them lasts so long: what was undone three times is left alone for an hour.
const STORM: Time = 900 * SECOND;
const CALM: Time = HOUR + 900 * SECOND;
/// Lines of the log, of all members.
const MOST_SAID: usize = 300;
/// A change is made so often within an hour (`operation/repair.rs`).
const TIMES: usize = 3;
const TABLES: [&str; 3] = ["roster", "stock", "vcard"];
const POLICIES: [Option<&str>; 4] =
    [Some("sync: auto"), Some("{sync: auto, copies: all}"), Some("sync: propose"), None];

/// What happens to the cluster.
#[derive(Debug, Clone)]
enum Fault {
    /// The VM is killed, and started again.
    Crash { member: usize, down: Time },
    /// The VM stands still.
    Freeze { member: usize, still: Time },
    /// What the member sends gets lost; it can be asked.
    Mute { member: usize, lasts: Time },
    /// An operator deletes a copy.
    Undo { table: usize, member: usize },
    /// An operator gives a member another policy.
    Policy { member: usize, policy: usize },
    /// An operator pauses a member, and lets it go on.
    Pause { member: usize, lasts: Time },
    /// An operation that somebody has asked for has the lock of the cluster.
    Operation { lasts: Time },
}

fn fault(members: usize) -> impl Strategy<Value = Fault> {
    let lasts = || 1..120 * SECOND;
    prop_oneof![
        (0..members, lasts()).prop_map(|(member, down)| Fault::Crash { member, down }),
        (0..members, lasts()).prop_map(|(member, still)| Fault::Freeze { member, still }),
        (0..members, lasts()).prop_map(|(member, lasts)| Fault::Mute { member, lasts }),
        (0..TABLES.len(), 0..members).prop_map(|(table, member)| Fault::Undo { table, member }),
        (0..members, 0..POLICIES.len()).prop_map(|(member, policy)| Fault::Policy { member, policy }),
        (0..members, lasts()).prop_map(|(member, lasts)| Fault::Pause { member, lasts }),
        lasts().prop_map(|lasts| Fault::Operation { lasts }),
    ]
}

/// A run: how many members, what the delays are made from, and what happens when.
fn run_of() -> impl Strategy<Value = (usize, u64, Vec<(Time, Fault)>)> {
    (2_usize..6).prop_flat_map(|members| {
        (Just(members), any::<u64>(), proptest::collection::vec((0..STORM, fault(members)), 0..24))
    })
}

/// What comes to pass at a time.
#[derive(Debug, Clone)]
enum What {
    Tick {
        to: usize,
        boot: u64,
    },
    Hear {
        to: usize,
        of: usize,
        heard: Heard,
    },
    Job {
        of: usize,
        boot: u64,
        job: u64,
    },
    Fault(Fault),
    Start(usize),
    Thaw(usize),
    Unmute(usize),
    Resume(usize),
    Release,
    /// All faults are over.
    Calm,
}

/// How far a job is.
#[derive(Debug, Clone)]
enum Job {
    Planning(Vec<Lately>),
    Planned(VecDeque<(usize, usize)>),
    Carrying(VecDeque<(usize, usize)>),
    Comparing(VecDeque<usize>),
}

struct Sim {
    name: NodeName,
    is_up: bool,
    boot: u64,
    frozen: bool,
    mute: bool,
    policy: usize,
    paused: bool,
    memory: Memory,
    heard: BTreeMap<usize, (Heard, Time)>,
    jobs: BTreeMap<u64, Job>,
    /// When a change was made by which start of the VM.
    made: Vec<(Time, u64, Lately)>,
    /// Since when it has been up, has been frozen, has had this policy, and has been paused or not.
    since: [Time; 4],
}

/// Who holds the lock of the cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Holder {
    Operator,
    Member(usize, u64),
}

struct World {
    now: Time,
    random: u64,
    queue: BTreeMap<(Time, u64), What>,
    number: u64,
    members: Vec<Sim>,
    copies: BTreeSet<(usize, usize)>,
    lock: Option<(Holder, Time)>,
    plans: usize,
    said: usize,
    compared: BTreeSet<usize>,
    is_calm: bool,
    trace: Vec<String>,
}

type Checked = Result<(), String>;

impl World {
    fn new(members: usize, random: u64, faults: &[(Time, Fault)]) -> Self {
        let member = |number: usize| Sim {
            name: NodeName::from(format!("n{number}@host").as_str()),
            is_up: true,
            boot: 0,
            frozen: false,
            mute: false,
            policy: 0,
            paused: false,
            memory: Memory::default(),
            heard: BTreeMap::new(),
            jobs: BTreeMap::new(),
            made: Vec::new(),
            since: [0; 4],
        };
        let mut world = Self {
            now: 0,
            random,
            queue: BTreeMap::new(),
            number: 0,
            members: (0..members).map(member).collect(),
            copies: (0..TABLES.len()).map(|table| (table, 0)).collect(),
            lock: None,
            plans: 0,
            said: 0,
            compared: BTreeSet::new(),
            is_calm: false,
            trace: Vec::new(),
        };
        for to in 0..members {
            world.after(0, What::Tick { to, boot: 0 });
        }
        for (at, fault) in faults {
            world.after(*at, What::Fault(fault.clone()));
        }
        world.after(STORM + 180 * SECOND, What::Calm);
        world
    }

    /// The next number of a sequence that `random` begins (splitmix64).
    fn draw(&mut self, below: Time) -> Time {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.random;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        Time::try_from((z ^ (z >> 31)) % u64::try_from(below).unwrap()).unwrap()
    }

    fn after(&mut self, wait: Time, what: What) {
        self.number += 1;
        self.queue.insert((self.now + wait, self.number), what);
    }

    fn run(&mut self) -> Checked {
        while let Some(((at, _), what)) = self.queue.pop_first() {
            if at > STORM + CALM {
                return self.arrived();
            }
            self.now = at;
            self.pass(what)?;
        }
        Err("nothing happens any more".into())
    }

    fn pass(&mut self, what: What) -> Checked {
        match what {
            // A VM that stands still does all of it later.
            What::Tick { to, .. } | What::Hear { to, .. } | What::Job { of: to, .. }
                if self.members[to].frozen =>
            {
                self.after(TICK, what);
            }
            What::Tick { to, boot } if self.is_same(to, boot) => {
                self.send(to);
                self.after(TICK, What::Tick { to, boot });
                return self.decide(to, Vec::new());
            }
            What::Hear { to, of, heard } => {
                let now = self.now;
                self.members[to].heard.insert(of, (heard, now));
            }
            What::Job { of, boot, job } if self.is_same(of, boot) => return self.work(of, job),
            What::Tick { .. } | What::Job { .. } => {}
            What::Fault(fault) => self.happens(fault),
            What::Start(member) => self.start(member),
            What::Thaw(member) => self.thaw(member),
            What::Unmute(member) => self.members[member].mute = false,
            What::Resume(member) => self.pause(member, false),
            What::Release => self.lock = self.lock.filter(|(holder, _)| *holder != Holder::Operator),
            What::Calm => self.calm(),
        }
        Ok(())
    }

    fn is_same(&self, member: usize, boot: u64) -> bool {
        self.members[member].is_up && self.members[member].boot == boot
    }

    fn happens(&mut self, fault: Fault) {
        self.trace.push(format!("{} {fault:?}", self.now));
        let now = self.now;
        match fault {
            Fault::Crash { member, down } if self.members[member].is_up => {
                let sim = &mut self.members[member];
                (sim.is_up, sim.frozen, sim.since[0]) = (false, false, now);
                sim.jobs.clear();
                self.lock =
                    self.lock.filter(|(holder, _)| !matches!(holder, Holder::Member(of, _) if *of == member));
                self.after(down, What::Start(member));
            }
            Fault::Freeze { member, still } if self.members[member].is_up => {
                (self.members[member].frozen, self.members[member].since[1]) = (true, now);
                self.after(still, What::Thaw(member));
            }
            Fault::Mute { member, lasts } => {
                self.members[member].mute = true;
                self.after(lasts, What::Unmute(member));
            }
            Fault::Undo { table, member } => _ = self.copies.remove(&(table, member)),
            Fault::Policy { member, policy } => self.follow(member, policy),
            Fault::Pause { member, lasts } => {
                self.pause(member, true);
                self.after(lasts, What::Resume(member));
            }
            Fault::Operation { lasts } if self.lock.is_none() => {
                self.lock = Some((Holder::Operator, now));
                self.after(lasts, What::Release);
            }
            Fault::Crash { .. } | Fault::Freeze { .. } | Fault::Operation { .. } => {}
        }
    }

    fn start(&mut self, member: usize) {
        let sim = &mut self.members[member];
        if sim.is_up {
            return;
        }
        (sim.is_up, sim.boot, sim.memory) = (true, sim.boot + 1, Memory::default());
        (sim.heard, sim.since[0]) = (BTreeMap::new(), self.now);
        let boot = sim.boot;
        self.after(0, What::Tick { to: member, boot });
    }

    fn thaw(&mut self, member: usize) {
        (self.members[member].frozen, self.members[member].since[1]) = (false, self.now);
    }

    fn pause(&mut self, member: usize, paused: bool) {
        (self.members[member].paused, self.members[member].since[3]) = (paused, self.now);
    }

    fn follow(&mut self, member: usize, policy: usize) {
        (self.members[member].policy, self.members[member].since[2]) = (policy, self.now);
    }

    fn calm(&mut self) {
        self.trace.push(format!("{} calm", self.now));
        self.is_calm = true;
        for member in 0..self.members.len() {
            self.start(member);
            self.thaw(member);
            self.members[member].mute = false;
            self.pause(member, false);
            self.follow(member, 0);
        }
        self.lock = self.lock.filter(|(holder, _)| *holder != Holder::Operator);
        self.compared.clear();
    }

    fn view(&self, member: usize) -> View {
        let sim = &self.members[member];
        let names = |up: bool| {
            let of = |sim: &&Sim| sim.is_up || !up;
            self.members.iter().filter(of).map(|sim| sim.name.clone()).collect()
        };
        View {
            boot: sim.boot,
            mnesia: Running::Yes,
            db_nodes: names(false),
            running_db_nodes: names(true),
            policy: POLICIES[sim.policy].map(str::to_owned),
            paused: sim.paused,
            scrub: true,
            operation: self.lock.map(|(holder, _)| match holder {
                Holder::Operator => NodeName::from("operator@host"),
                Holder::Member(of, _) => self.members[of].name.clone(),
            }),
        }
    }

    fn send(&mut self, from: usize) {
        let view = self.view(from);
        for to in (0..self.members.len()).filter(|to| *to != from) {
            let delay = self.draw(SECOND / 5);
            if !self.members[from].mute && self.members[to].is_up {
                self.after(delay, What::Hear { to, of: from, heard: Heard::Said(view.clone()) });
            }
        }
    }

    fn decide(&mut self, member: usize, events: Vec<Event>) -> Checked {
        let sim = &self.members[member];
        let ago = |at: Time| u64::try_from(self.now - at).unwrap();
        let heard = sim.heard.iter().map(|(of, (heard, at))| Member {
            node: self.members[*of].name.clone(),
            heard: heard.clone(),
            ago: ago(*at),
        });
        let own = Member { node: sim.name.clone(), heard: Heard::Said(self.view(member)), ago: 0 };
        let seen = Seen {
            here: sim.name.clone(),
            now: self.now,
            pace: Pace {
                settle: 2_000,
                interval: 60_000,
                retry: 10_000,
                patience: 5_000,
                scrub: true,
                scrub_interval: 600_000,
            },
            policy: POLICIES[sim.policy].map(str::to_owned),
            members: heard.chain([own]).collect(),
            events,
        };
        let (memory, effects) = decide(sim.memory.clone(), &seen);
        self.members[member].memory = memory;
        for effect in effects {
            self.trace.push(format!("{} {} {effect:?}", self.now, self.members[member].name));
            self.carry_out(member, effect)?;
        }
        Ok(())
    }

    fn carry_out(&mut self, member: usize, effect: Effect) -> Checked {
        let boot = self.members[member].boot;
        match effect {
            Effect::Ask(nodes) => {
                for node in nodes {
                    let of = self.members.iter().position(|sim| sim.name == node).unwrap();
                    let asked = &self.members[of];
                    let answers = asked.is_up && !asked.frozen;
                    let (wait, heard) = if answers {
                        (self.draw(SECOND / 5), Heard::Said(self.view(of)))
                    } else {
                        (PATIENCE, Heard::Silence)
                    };
                    self.after(wait, What::Hear { to: member, of, heard });
                }
            }
            Effect::Plan { job, lately, .. } => {
                self.plans += 1;
                self.remembers(member, &lately)?;
                self.members[member].jobs.insert(job, Job::Planning(lately));
                let wait = 200 + self.draw(SECOND);
                self.after(wait, What::Job { of: member, boot, job });
            }
            Effect::Commit { job } => {
                self.may_act(member, "commit")?;
                return self.commit(member, job);
            }
            Effect::Drop { job } => _ = self.members[member].jobs.remove(&job),
            Effect::Compare { job } => {
                self.may_act(member, "compare")?;
                self.members[member].jobs.insert(job, Job::Comparing((0..TABLES.len()).collect()));
                self.after(STEP, What::Job { of: member, boot, job });
            }
            Effect::Stop { job } => _ = self.members[member].jobs.remove(&job),
            Effect::Say(_) => self.said += 1,
        }
        Ok(())
    }

    fn commit(&mut self, member: usize, job: u64) -> Checked {
        let boot = self.members[member].boot;
        let holder = self.members[0].name.clone();
        let Some(Job::Planned(changes)) = self.members[member].jobs.remove(&job) else {
            return Err("a commit without a plan".into());
        };
        if self.lock.is_some() {
            let problems = vec![Problem::OperationInProgress { holder }];
            return self.decide(member, vec![Event::Failed { job, problems }]);
        }
        self.lock = Some((Holder::Member(member, boot), self.now));
        self.members[member].jobs.insert(job, Job::Carrying(changes));
        self.after(STEP, What::Job { of: member, boot, job });
        Ok(())
    }

    /// A job goes on.
    fn work(&mut self, of: usize, job: u64) -> Checked {
        let boot = self.members[of].boot;
        let Some(state) = self.members[of].jobs.remove(&job) else { return Ok(()) };
        match state {
            Job::Planning(lately) => {
                let event = self.planned(of, job, &lately);
                self.decide(of, vec![event])
            }
            // It waits for the word.
            Job::Planned(_) => Err("a plan goes on by itself".into()),
            Job::Carrying(mut changes) => {
                let Some((table, member)) = changes.pop_front() else {
                    self.lock = None;
                    return self.decide(of, vec![Event::Done { job, id: format!("{}", self.now) }]);
                };
                if !self.members[member].is_up {
                    self.lock = None;
                    let holder = self.members[member].name.clone();
                    let problems = vec![Problem::OperationInProgress { holder }];
                    return self.decide(of, vec![Event::Failed { job, problems }]);
                }
                let change = self.change(table, member);
                self.copies.insert((table, member));
                let now = self.now;
                self.members[of].made.push((now, boot, change.clone()));
                self.members[of].jobs.insert(job, Job::Carrying(changes));
                self.after(STEP, What::Job { of, boot, job });
                self.decide(of, vec![Event::Changed { job, change }])
            }
            Job::Comparing(mut tables) => {
                self.is_quiet()?;
                let begins = tables.len() == TABLES.len();
                let Some(table) = tables.pop_front() else {
                    return self.decide(of, vec![Event::Finished { job }]);
                };
                self.compared.insert(table);
                let nodes: Vec<NodeName> = self.members.iter().map(|sim| sim.name.clone()).collect();
                let look = Look { table: TABLES[table].into(), at: self.now * 1_000, keys: 0, nodes };
                self.members[of].jobs.insert(job, Job::Comparing(tables));
                self.after(COMPARISON, What::Job { of, boot, job });
                let comparing = begins.then(|| Event::Comparing { job, turn: self.turn() });
                self.decide(of, comparing.into_iter().chain([Event::Compared { job, look }]).collect())
            }
        }
    }

    fn turn(&self) -> Turn {
        let nodes: Vec<NodeName> = self.members.iter().map(|sim| sim.name.clone()).collect();
        let of = |table: &&str| Comparison {
            table: TableName::from(*table),
            nodes: nodes.clone(),
            bits: 4,
            piece: 1,
        };
        Turn::Compare(TABLES.iter().map(of).collect())
    }

    fn change(&self, table: usize, member: usize) -> Lately {
        Lately { table: TABLES[table].into(), node: self.members[member].name.clone() }
    }

    /// Copies that are missing on members that can be asked, but for what was made too often.
    fn planned(&mut self, of: usize, job: u64, lately: &[Lately]) -> Event {
        let (mut changes, mut undone) = (VecDeque::new(), Vec::new());
        for table in 0..TABLES.len() {
            for member in 0..self.members.len() {
                let sim = &self.members[member];
                if self.copies.contains(&(table, member)) || !sim.is_up || sim.frozen {
                    continue;
                }
                let change = self.change(table, member);
                if lately.iter().filter(|made| **made == change).count() < TIMES {
                    changes.push_back((table, member));
                } else {
                    undone.push(change.table);
                }
            }
        }
        let action = |(table, member): &(usize, usize)| Action::CopyTableTo {
            table: TABLES[*table].into(),
            node: self.members[*member].name.clone(),
            storage: Storage::DiscCopies,
            rows: 1,
            bytes: 1,
        };
        let actions = changes.iter().map(action).chain([Action::Verify]).collect();
        let warning = || Problem::PolicyUndone { tables: Tables(undone.clone()), times: TIMES as u64 };
        let warnings = if undone.is_empty() { Vec::new() } else { vec![warning()] };
        self.members[of].jobs.insert(job, Job::Planned(changes));
        Event::Planned { job, actions, warnings }
    }

    /// What must never happen: somebody acts while another one should, or while one that could be known of keeps all from it.
    fn may_act(&self, acts: usize, what: &str) -> Checked {
        let own = &self.members[acts];
        let wrong = |why: &str| Err(format!("{} {what}s at {}, {why}", own.name, self.now));
        if own.paused {
            return wrong("and is paused");
        }
        if what == "commit" && POLICIES[own.policy].is_none_or(|policy| !policy.contains("auto")) {
            return wrong("and its policy does not want it");
        }
        for (number, other) in self.members.iter().enumerate().filter(|(number, _)| *number != acts) {
            let has_been = |kind: usize| self.now - other.since[kind] > KNOWN;
            let heard = self.now - own.since[0] > KNOWN && other.is_up && has_been(0) && !other.mute;
            if !heard || !has_been(1) {
                continue;
            }
            if other.frozen {
                return wrong(&format!("and {} does not answer", other.name));
            }
            if other.paused && has_been(3) {
                return wrong(&format!("and {} is paused", other.name));
            }
            let (its, ours) = (POLICIES[other.policy], POLICIES[own.policy]);
            let is_old = has_been(2) && self.now - own.since[2] > KNOWN;
            if its.is_some() && ours.is_some() && its != ours && is_old {
                return wrong(&format!("and {} has another policy", other.name));
            }
            let would = what == "compare" || its.is_some();
            if number < acts && would && has_been(2) {
                return wrong(&format!("and {} is the first", other.name));
            }
        }
        Ok(())
    }

    /// No copy is compared for long beside an operation, or while a member is down.
    fn is_quiet(&self) -> Checked {
        let disturbed = |since: Time| self.now - since > 3 * TICK;
        if let Some((holder, since)) = self.lock.filter(|(_, since)| disturbed(*since)) {
            return Err(format!(
                "copies are compared at {}, and {holder:?} has the lock since {since}",
                self.now
            ));
        }
        match self.members.iter().find(|sim| !sim.is_up && disturbed(sim.since[0])) {
            Some(down) => Err(format!("copies are compared at {}, and {} is down", self.now, down.name)),
            None => Ok(()),
        }
    }

    /// What was changed within the hour is remembered as long as the VM runs, and nothing else is.
    fn remembers(&self, member: usize, lately: &[Lately]) -> Checked {
        let sim = &self.members[member];
        let is_ours = |(at, boot, _): &&(Time, u64, Lately)| *boot == sim.boot && self.now - at < HOUR;
        let made = sim.made.iter().filter(is_ours).count();
        if lately.len() > made {
            return Err(format!("{} knows of {} changes at {}, of {made}", sim.name, lately.len(), self.now));
        }
        Ok(())
    }

    /// What has to be so in the end.
    fn arrived(&self) -> Checked {
        let wanted =
            (0..TABLES.len()).flat_map(|table| (0..self.members.len()).map(move |member| (table, member)));
        let missing: Vec<_> = wanted.filter(|copy| !self.copies.contains(copy)).collect();
        if !missing.is_empty() {
            return Err(format!("missing copies, by table and member: {missing:?}"));
        }
        let leader = &self.members[0].name;
        for sim in &self.members {
            let finding = sim.memory.report(self.now).reconciler.finding;
            let wanted = if sim.name == *leader {
                finding == Finding::AsWanted(Vec::new())
            } else {
                finding == Finding::Follows(leader.clone())
            };
            if !wanted {
                return Err(format!("{} has come to {finding:?}", sim.name));
            }
        }
        if self.compared.len() < TABLES.len() {
            return Err(format!("of {} tables, {} were compared", TABLES.len(), self.compared.len()));
        }
        // A look a minute for each, some for each change, and no more.
        let most = self.members.len() * usize::try_from((STORM + CALM) / (60 * SECOND)).unwrap() + 400;
        if self.plans > most || self.said > MOST_SAID {
            return Err(format!("{} plans were made, and {} lines were logged", self.plans, self.said));
        }
        Ok(())
    }
}

fn simulate(members: usize, random: u64, faults: &[(Time, Fault)]) -> (Checked, Vec<String>) {
    let mut world = World::new(members, random, faults);
    let checked = world.run();
    (checked, world.trace)
}

fn setting(name: &str, default: u64) -> u64 {
    env::var(name).map_or(default, |text| text.parse().unwrap())
}

fn runner(seed: u64, runs: u64) -> TestRunner {
    let config = Config {
        cases: u32::try_from(runs).unwrap(),
        failure_persistence: None,
        max_shrink_iters: 2_000,
        ..Config::default()
    };
    let bytes: Vec<u8> = seed.to_le_bytes().repeat(4);
    TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, &bytes))
}

#[test]
fn whatever_happens_one_member_acts_and_the_cluster_gets_where_it_is_wanted() {
    let seed = setting("WATCH_SIM_SEED", 1);
    let found = runner(seed, setting("WATCH_SIM_RUNS", 40)).run(&run_of(), |(members, random, faults)| {
        let (checked, trace) = simulate(members, random, &faults);
        let last = trace.len().saturating_sub(30);
        checked.map_err(|why| TestCaseError::fail(format!("{why}\n{}", trace[last..].join("\n"))))
    });
    if let Err(failure) = found {
        panic!("WATCH_SIM_SEED={seed}: {failure}");
    }
}

#[test]
fn a_run_is_the_same_each_time() {
    let faults = [
        (5 * SECOND, Fault::Crash { member: 0, down: 20 * SECOND }),
        (40 * SECOND, Fault::Undo { table: 1, member: 2 }),
        (50 * SECOND, Fault::Freeze { member: 1, still: 30 * SECOND }),
        (60 * SECOND, Fault::Operation { lasts: 60 * SECOND }),
    ];
    let (one, other) = (simulate(3, 42, &faults), simulate(3, 42, &faults));
    assert_eq!(one, other);
    assert_eq!(one.0, Ok(()));
    assert_ne!(one.1, simulate(3, 43, &faults).1, "other delays");
}
