//! What the watch decides: who acts, what keeps it from acting, and for how long.

#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use std::fmt::Debug;

use easy_cluster::model::name::{NodeName, TableName};
use easy_cluster::model::request::Lately;
use easy_cluster::model::snapshot::Running;
use easy_cluster::model::table::Storage;
use easy_cluster::plan::diff::{Comparison, Turn};
use easy_cluster::plan::step::Action;
use easy_cluster::validate::problem::{Nodes, Problem, Tables};
use easy_cluster::watch::{
    Effect, Event, Finding, Heard, Look, Member, Memory, Pace, Saying, Seen, Time, View, decide,
};
use easy_cluster_wire::{from_bytes, to_bytes};
use serde::Serialize;
use serde::de::DeserializeOwned;

const HERE: &str = "b@here";
const FIRST: &str = "a@first";
const LAST: &str = "c@last";
/// Times can be below zero; the number of the first job begins with this one.
const START: Time = -(1 << 40);
const SETTLE: u64 = 100;
const INTERVAL: u64 = 60_000;
const RETRY: u64 = 1_000;
const PATIENCE: u64 = 5_000;
const SCRUB: u64 = 86_400_000;
const POLICY: &str = "sync: auto";

/// This member's watch, and the cluster as it is made to see it.
struct Watch {
    memory: Memory,
    now: Time,
    policy: Option<&'static str>,
    own: View,
    others: Vec<Member>,
    scrub_interval: u64,
}

/// As Erlang keeps it from one decision to the next.
fn through_erlang<T: Serialize + DeserializeOwned + PartialEq + Debug>(value: &T) -> T {
    let back = from_bytes(&to_bytes(value).unwrap()).unwrap();
    assert_eq!(&back, value);
    back
}

fn view(nodes: &[&str]) -> View {
    let names: Vec<NodeName> = nodes.iter().map(|node| NodeName::from(*node)).collect();
    View {
        boot: 1,
        mnesia: Running::Yes,
        db_nodes: names.clone(),
        running_db_nodes: names,
        policy: Some("digest".into()),
        paused: false,
        scrub: true,
        operation: None,
    }
}

impl Watch {
    /// All of them run, and say the same.
    fn of(nodes: &[&str]) -> Self {
        let others = nodes.iter().filter(|node| **node != HERE);
        let said = |node: &&str| Member { node: (*node).into(), heard: Heard::Said(view(nodes)), ago: 0 };
        Self {
            memory: Memory::default(),
            now: START,
            policy: Some(POLICY),
            own: view(nodes),
            others: others.map(said).collect(),
            scrub_interval: SCRUB,
        }
    }

    fn hears(&mut self, heard: Heard) -> &mut Self {
        self.others.iter_mut().for_each(|other| other.heard = heard.clone());
        self
    }

    fn other(&mut self, change: impl Fn(&mut View)) -> &mut Self {
        for other in &mut self.others {
            if let Heard::Said(view) = &mut other.heard {
                change(view);
            }
        }
        self
    }

    fn decide(&mut self, events: Vec<Event>) -> Vec<Effect> {
        let own = Member { node: HERE.into(), heard: Heard::Said(self.own.clone()), ago: 0 };
        let seen = Seen {
            here: HERE.into(),
            now: self.now,
            pace: Pace {
                settle: SETTLE,
                interval: INTERVAL,
                retry: RETRY,
                patience: PATIENCE,
                scrub: true,
                scrub_interval: self.scrub_interval,
            },
            policy: self.policy.map(str::to_owned),
            members: self.others.iter().cloned().chain([own]).collect(),
            events,
        };
        let (memory, effects) = decide(through_erlang(&self.memory), &through_erlang(&seen));
        self.memory = memory;
        through_erlang(&effects)
    }

    /// Later, when nothing else has come about. A decision is made in time now and then.
    fn later(&mut self, milliseconds: u64) -> Vec<Effect> {
        let mut effects = Vec::new();
        for _step in 0..milliseconds.saturating_sub(1) / PATIENCE {
            self.now += Time::try_from(PATIENCE).unwrap();
            effects.extend(self.decide(Vec::new()));
        }
        self.now +=
            Time::try_from(milliseconds - milliseconds.saturating_sub(1) / PATIENCE * PATIENCE).unwrap();
        effects.extend(self.decide(Vec::new()));
        effects
    }

    /// The job that the next look begins.
    fn looks(&mut self) -> u64 {
        self.decide(vec![Event::Asked]);
        self.planning(SETTLE)
    }

    fn planning(&mut self, wait: u64) -> u64 {
        let effects = self.later(wait);
        let plan = effects
            .iter()
            .find_map(|effect| if let Effect::Plan { job, .. } = effect { Some(*job) } else { None });
        assert!(plan.is_some(), "{effects:?}");
        plan.unwrap()
    }

    fn finding(&self) -> Finding {
        self.memory.report(self.now).reconciler.finding
    }

    fn put_off(&self) -> u64 {
        self.memory.report(self.now).reconciler.put_off
    }

    /// A look that comes to nothing.
    fn fails(&mut self, wait: u64, problems: &[Problem]) {
        let job = self.planning(wait);
        self.carries_out(job, "stock");
        self.decide(vec![Event::Failed { job, problems: problems.to_vec() }]);
    }

    fn carries_out(&mut self, job: u64, table: &str) {
        assert_eq!(self.decide(vec![planned(job, table)]), [Effect::Commit { job }]);
    }

    /// A look that makes a copy of a table.
    fn brings(&mut self, wait: u64, table: &str) -> Finding {
        let job = self.planning(wait);
        self.carries_out(job, table);
        self.decide(vec![Event::Done { job, id: "one".into() }]);
        self.finding()
    }
}

fn copy(table: &str) -> Action {
    Action::CopyTableTo {
        table: table.into(),
        node: LAST.into(),
        storage: Storage::DiscCopies,
        rows: 1,
        bytes: 1,
    }
}

fn planned(job: u64, table: &str) -> Event {
    Event::Planned { job, actions: vec![copy(table), Action::Verify], warnings: Vec::new() }
}

fn brought() -> Finding {
    Finding::Brought { id: "one".into(), steps: 1 }
}

fn locked() -> Problem {
    Problem::OperationInProgress { holder: LAST.into() }
}

fn refused(table: &str) -> [Problem; 2] {
    let (table, node) = (TableName::from(table), NodeName::from(LAST));
    let first = Problem::TooFewOtherCopies { table, node, others: Nodes(Vec::new()), wanted: 1 };
    let x = || "x".to_owned();
    [first, Problem::StepFailed { id: x(), step: x(), number: 1, reason: x(), outcome: x() }]
}

/// What a look comes to that begins nothing.
fn comes_to(watch: &mut Watch) -> Finding {
    watch.decide(vec![Event::Asked]);
    let effects = watch.later(SETTLE);
    assert!(!effects.iter().any(|effect| matches!(effect, Effect::Plan { .. })), "{effects:?}");
    watch.finding()
}

#[test]
fn the_first_by_name_of_those_with_a_policy_acts() {
    assert_eq!(Watch::of(&[HERE, LAST]).looks(), 1);
    assert_eq!(comes_to(&mut Watch::of(&[FIRST, HERE])), Finding::Follows(FIRST.into()));
    let mut without = Watch::of(&[FIRST, HERE]);
    without.other(|view| view.policy = None);
    assert_eq!(without.looks(), 1);
    let mut has_left = Watch::of(&[FIRST, HERE]);
    has_left.own.running_db_nodes = vec![HERE.into()];
    assert_eq!(has_left.looks(), 1);
}

#[test]
fn a_job_of_a_watch_that_has_died_is_not_that_of_the_next_one() {
    let mut watch = Watch::of(&[HERE]);
    let former = watch.looks();
    watch.memory = Memory::default();
    watch.now += 1;
    let job = watch.looks();
    assert_ne!(job, former);
    assert_eq!(watch.decide(vec![Event::Done { job: former, id: "late".into() }]), []);
    watch.carries_out(job, "stock");
}

#[test]
fn a_member_counts_by_what_it_says() {
    let mut watch = Watch::of(&[HERE, LAST]);
    watch.other(|view| view.paused = true);
    assert_eq!(comes_to(&mut watch), Finding::Paused(vec![LAST.into()]));
    // It need not have a policy.
    watch.other(|view| view.policy = None);
    assert_eq!(comes_to(&mut watch), Finding::Paused(vec![LAST.into()]));
    watch.other(|view| (view.paused, view.policy) = (false, Some("other".into())));
    assert_eq!(comes_to(&mut watch), Finding::Differs(vec![LAST.into()]));
    assert_eq!(comes_to(watch.hears(Heard::Silence)), Finding::Silent(vec![LAST.into()]));
    assert_eq!(comes_to(watch.hears(Heard::OtherVersion)), Finding::OtherVersion(vec![LAST.into()]));
    watch.hears(Heard::NoSay).looks();
}

#[test]
fn who_has_not_been_heard_is_asked_and_waited_for() {
    let mut watch = Watch::of(&[HERE, LAST]);
    let asked = [Effect::Ask(vec![LAST.into()])];
    let [member] = std::mem::take(&mut watch.others).try_into().unwrap();
    assert_eq!(watch.decide(Vec::new()), asked);
    assert_eq!(watch.later(PATIENCE - 1), [], "it was asked, and nothing is done before it answers");
    assert_eq!(watch.later(1), asked, "once more");
    watch.others = vec![Member { ago: PATIENCE, ..member }];
    assert_eq!(watch.planning(SETTLE), 1);
    watch.others.iter_mut().for_each(|member| member.ago = PATIENCE + 1);
    assert_eq!(watch.decide(Vec::new()), asked, "what it said is old");
}

#[test]
fn a_member_that_falls_silent_or_answers_again_is_worth_a_look() {
    let mut watch = Watch::of(&[HERE, LAST]);
    let job = watch.looks();
    watch.decide(vec![Event::Planned { job, actions: vec![Action::Verify], warnings: Vec::new() }]);
    assert_eq!(watch.finding(), Finding::AsWanted(Vec::new()));
    let said = watch.others.clone();
    watch.hears(Heard::Silence).decide(Vec::new());
    watch.later(SETTLE);
    assert_eq!(watch.finding(), Finding::Silent(vec![LAST.into()]));
    watch.others = said;
    watch.decide(Vec::new());
    watch.planning(SETTLE);
}

#[test]
fn what_is_only_proposed_waits_for_nobody_that_is_silent() {
    let mut watch = Watch::of(&[HERE, LAST]);
    watch.policy = Some("sync: propose");
    let job = watch.hears(Heard::Silence).looks();
    let effects = watch.decide(vec![planned(job, "stock")]);
    let proposed = Finding::Proposed { steps: 1, warnings: Vec::new() };
    assert_eq!(effects, [Effect::Drop { job }, Effect::Say(Saying::Found(proposed))]);
    for (policy, finding) in [(Some("sync: 'off'"), Finding::Off), (None, Finding::NoPolicy)] {
        watch.policy = policy;
        assert_eq!(comes_to(&mut watch), finding);
    }
    watch.policy = Some("sink: auto");
    assert!(matches!(comes_to(&mut watch), Finding::Impossible(problems) if problems.len() == 1));
    (watch.policy, watch.own.mnesia) = (Some(POLICY), Running::Stopping);
    assert_eq!(comes_to(&mut watch), Finding::NotYet);
}

#[test]
fn a_plan_is_dropped_where_somebody_was_paused_while_it_was_made() {
    let mut watch = Watch::of(&[HERE, LAST]);
    let job = watch.looks();
    watch.own.paused = true;
    let paused = Effect::Say(Saying::Found(Finding::Paused(vec![HERE.into()])));
    assert_eq!(watch.decide(vec![planned(job, "stock")]), [Effect::Drop { job }, paused]);
    assert_eq!(watch.decide(vec![Event::Done { job, id: "late".into() }]), [], "it is not known any more");
}

#[test]
fn a_plan_for_another_policy_is_dropped_and_made_anew() {
    let mut watch = Watch::of(&[HERE]);
    let job = watch.looks();
    watch.own.policy = Some("another".into());
    assert_eq!(watch.decide(vec![planned(job, "stock")]), [Effect::Drop { job }]);
    watch.planning(SETTLE);
}

#[test]
fn who_has_been_late_itself_believes_nobody_for_a_while() {
    let mut watch = Watch::of(&[HERE, LAST]);
    watch.decide(vec![Event::Asked, Event::Scrub]);
    watch.now += Time::try_from(PATIENCE).unwrap() + 1;
    assert_eq!(watch.decide(vec![Event::Asked, Event::Scrub]), [Effect::Ask(vec![LAST.into()])]);
    assert_eq!(watch.later(PATIENCE - 1), []);
    watch.later(1);
    watch.planning(SETTLE);
}

#[test]
fn what_fails_is_put_off_for_longer_and_longer() {
    let mut watch = Watch::of(&[HERE, LAST]);
    watch.decide(Vec::new());
    let mut waits = Vec::new();
    let mut wait = SETTLE;
    for _failure in 0..10 {
        watch.fails(wait, &[locked()]);
        wait = watch.put_off();
        waits.push(wait / RETRY);
        // Changes of tables do not count: its own are among them.
        assert_eq!(watch.decide(vec![Event::TablesChanged]), []);
        for _minute in 0..(wait - 1) / INTERVAL {
            assert_eq!(watch.later(INTERVAL), []);
            wait -= INTERVAL;
        }
    }
    assert_eq!(waits, [1, 2, 4, 8, 16, 32, 64, 128, 256, 300]);
    assert_eq!(watch.finding(), Finding::Failed(vec![locked()]));
    // Whoever asks for it, and other members, want it now.
    watch.looks();
    let mut other = Watch::of(&[HERE, LAST]);
    other.decide(Vec::new());
    other.fails(SETTLE, &[locked()]);
    other.own.running_db_nodes = vec![HERE.into()];
    other.decide(Vec::new());
    assert_eq!(other.put_off(), 0);
}

#[test]
fn the_same_again_is_in_vain_and_put_off() {
    let mut watch = Watch::of(&[HERE, LAST]);
    watch.decide(Vec::new());
    assert_eq!((watch.brings(SETTLE, "stock"), watch.put_off()), (brought(), 0));
    assert_eq!((watch.brings(SETTLE, "roster"), watch.put_off()), (brought(), 0), "others");
    let in_vain = Finding::InVain { id: "one".into(), steps: 1 };
    assert_eq!((watch.brings(SETTLE, "roster"), watch.put_off()), (in_vain, RETRY));
}

#[test]
fn what_was_changed_counts_for_an_hour_and_for_one_policy() {
    let mut watch = Watch::of(&[HERE, LAST]);
    let change = Lately { table: "stock".into(), node: LAST.into() };
    let job = watch.looks();
    watch.carries_out(job, "stock");
    // A copy goes aside and comes back, and then something fails.
    watch.decide(vec![
        Event::Changed { job, change: change.clone() },
        Event::Changed { job, change: change.clone() },
    ]);
    watch.decide(vec![Event::Failed { job, problems: vec![locked()] }]);
    let lately = |watch: &Watch| watch.memory.report(watch.now).reconciler.lately;
    assert_eq!(lately(&watch), std::slice::from_ref(&change));
    watch.decide(vec![Event::Asked]);
    let again = watch.later(3_500_000);
    assert!(
        matches!(&again[..], [Effect::Plan { lately, .. }, ..] if *lately == [change.clone()]),
        "{again:?}"
    );
    assert_eq!(lately(&watch), std::slice::from_ref(&change));
    watch.later(200_000);
    assert_eq!(lately(&watch), []);
    let mut other = Watch::of(&[HERE]);
    let job = other.looks();
    other.carries_out(job, "stock");
    other.decide(vec![Event::Changed { job, change: change.clone() }, Event::Done { job, id: "one".into() }]);
    assert_eq!(lately(&other), [change]);
    other.own.policy = Some("another".into());
    other.looks();
    assert_eq!(lately(&other), []);
}

#[test]
fn others_do_not_wait_for_a_table_of_which_a_copy_is_not_deleted() {
    let mut watch = Watch::of(&[HERE, LAST]);
    watch.decide(Vec::new());
    watch.fails(SETTLE, &refused("one"));
    watch.fails(SETTLE, &refused("two"));
    assert_eq!(watch.put_off(), 0);
    assert_eq!((watch.brings(SETTLE, "three"), watch.put_off()), (brought(), 0));
    watch.now += Time::try_from(SETTLE).unwrap();
    let effects = watch.decide(Vec::new());
    let Some(Effect::Plan { job, refused: left, .. }) = effects.first() else {
        unreachable!("{effects:?}");
    };
    assert_eq!(*left, ["one".into(), "two".into()]);
    watch.decide(vec![Event::Planned { job: *job, actions: vec![Action::Verify], warnings: Vec::new() }]);
    let [[one, _], [two, _]] = [refused("one"), refused("two")];
    assert_eq!((watch.finding(), watch.put_off()), (Finding::Waits(vec![one, two]), RETRY));
    // Then all are tried again.
    let effects = watch.later(RETRY);
    assert!(matches!(&effects[..], [Effect::Plan { refused, .. }] if refused.is_empty()), "{effects:?}");
}

#[test]
fn what_is_left_undone_on_purpose_is_not_as_wanted() {
    let stalls = Problem::PolicyUndone { tables: Tables(vec!["stock".into()]), times: 3 };
    let mut watch = Watch::of(&[HERE]);
    let job = watch.looks();
    watch.decide(vec![Event::Planned { job, actions: vec![Action::Verify], warnings: vec![stalls.clone()] }]);
    assert_eq!((watch.finding(), watch.put_off()), (Finding::Waits(vec![stalls]), 0));
}

#[test]
fn an_operation_of_this_node_is_no_time_for_a_look() {
    let mut watch = Watch::of(&[HERE]);
    watch.own.operation = Some(HERE.into());
    let here = Problem::OperationInProgress { holder: HERE.into() };
    assert_eq!((comes_to(&mut watch), watch.put_off()), (Finding::Failed(vec![here]), RETRY));
}

/// Effects of the comparison only.
fn compares(effects: Vec<Effect>) -> Vec<Effect> {
    let ours = |effect: &Effect| {
        matches!(effect, Effect::Compare { .. } | Effect::Stop { .. })
            || matches!(effect, Effect::Say(saying) if !matches!(saying, Saying::Found(_)))
    };
    effects.into_iter().filter(ours).collect()
}

fn stock(keys: u64) -> Look {
    Look { table: "stock".into(), at: 1, keys, nodes: vec![HERE.into(), LAST.into()] }
}

fn comparing(job: u64, table: &str) -> Event {
    let nodes = vec![HERE.into(), LAST.into()];
    let turn = Turn::Compare(vec![Comparison { table: table.into(), nodes, bits: 4, piece: 1 }]);
    Event::Comparing { job, turn }
}

#[test]
fn copies_are_compared_an_hour_after_the_start_and_then_once_a_day() {
    let mut watch = Watch::of(&[HERE, LAST]);
    watch.policy = None;
    watch.decide(Vec::new());
    assert_eq!(compares(watch.later(3_599_999)), []);
    let [Effect::Compare { job }] = compares(watch.later(1))[..] else { unreachable!("it is time") };
    watch.decide(vec![comparing(job, "stock")]);
    assert_eq!(
        watch.decide(vec![Event::Compared { job, look: stock(2) }]),
        [Effect::Say(Saying::Differs(stock(2)))]
    );
    assert_eq!(watch.decide(vec![Event::Compared { job, look: stock(2) }]), [], "once");
    assert_eq!(watch.memory.report(watch.now).scrub.looks, [stock(2)]);
    let same = Effect::Say(Saying::TheSameAgain("stock".into()));
    assert_eq!(watch.decide(vec![Event::Compared { job, look: stock(0) }]), [same]);
    watch.decide(vec![Event::Finished { job }]);
    assert_eq!(compares(watch.later(SCRUB - 1)), []);
    let [Effect::Compare { job }] = compares(watch.later(1))[..] else { unreachable!("a day later") };
    watch.decide(vec![comparing(job, "roster")]);
    assert_eq!(watch.memory.report(watch.now).scrub.looks, [], "that table is not compared any more");
}

#[test]
fn a_comparison_ends_when_it_is_quiet_no_more() {
    let disturb: [fn(&mut Watch); 4] = [
        |watch| watch.own.operation = Some(LAST.into()),
        |watch| _ = watch.other(|view| view.operation = Some(LAST.into())),
        |watch| watch.own.running_db_nodes = vec![HERE.into()],
        |watch| watch.scrub_interval = 1_000,
    ];
    for disturbs in disturb {
        let mut watch = Watch::of(&[HERE, LAST]);
        watch.decide(Vec::new());
        let effects = compares(watch.decide(vec![Event::Scrub]));
        let [Effect::Compare { job }] = effects[..] else { unreachable!("{effects:?}") };
        assert_eq!(compares(watch.later(10)), []);
        disturbs(&mut watch);
        assert_eq!(compares(watch.decide(Vec::new())), [Effect::Stop { job }]);
        assert_eq!(
            watch.decide(vec![Event::Compared { job, look: stock(2) }]),
            [],
            "it is not known any more"
        );
    }
}

#[test]
fn a_comparison_follows_the_rules_of_all() {
    let begins = |watch: &mut Watch| {
        watch.decide(Vec::new());
        compares(watch.decide(vec![Event::Scrub]))
    };
    let put_off = |reason: &str| [Effect::Say(Saying::PutOff(reason.into()))];
    assert_eq!(begins(&mut Watch::of(&[FIRST, HERE])), []);
    let mut watch = Watch::of(&[FIRST, HERE]);
    watch.other(|view| view.scrub = false);
    assert_eq!(begins(&mut watch), [Effect::Compare { job: 1 }]);
    let mut watch = Watch::of(&[HERE, LAST]);
    watch.other(|view| view.paused = true);
    assert_eq!(begins(&mut watch), put_off("paused"));
    assert_eq!(compares(watch.later(299_999)), []);
    assert_eq!(compares(watch.later(1)), put_off("paused"));
    assert_eq!(compares(watch.later(599_999)), [], "twice as long");
    watch.other(|view| (view.paused, view.policy) = (false, Some("other".into())));
    assert_eq!(compares(watch.later(1)), put_off("policy_differs"));
    let mut watch = Watch::of(&[HERE, LAST]);
    assert_eq!(begins(watch.hears(Heard::Silence)), put_off("a member does not answer"));
    assert_eq!(begins(Watch::of(&[HERE, LAST]).hears(Heard::OtherVersion)), put_off("other_version"));
    let mut watch = Watch::of(&[HERE, LAST]);
    watch.own.running_db_nodes = vec![HERE.into()];
    assert_eq!(begins(&mut watch), put_off("a member is down, or an operation runs"));
}

#[test]
fn a_comparison_that_the_tables_do_not_permit_is_put_off() {
    let turns = [
        (Turn::Wait("tables are loading".into()), Some("tables are loading"), 300_000),
        (Turn::Of(FIRST.into()), None, 3_600_000),
    ];
    for (turn, said, wait) in turns {
        let mut watch = Watch::of(&[HERE, LAST]);
        watch.decide(Vec::new());
        watch.decide(vec![Event::Scrub]);
        let said: Vec<Effect> =
            said.map(|said| Effect::Say(Saying::PutOff(said.into()))).into_iter().collect();
        assert_eq!(compares(watch.decide(vec![Event::Comparing { job: 1, turn }])), said);
        assert_eq!(compares(watch.later(wait - 1)), []);
        assert!(!compares(watch.later(1)).is_empty());
    }
}

#[test]
fn the_next_decision_is_wanted_in_time() {
    let mut watch = Watch::of(&[HERE]);
    watch.decide(Vec::new());
    let wait = |watch: &Watch| watch.memory.wakes().map(|at| at - watch.now);
    assert_eq!(wait(&watch), Some(Time::try_from(SETTLE).unwrap()));
    watch.looks();
    assert_eq!(wait(&watch), Some(Time::try_from(INTERVAL).unwrap()));
}
