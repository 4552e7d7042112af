//! The rules that all tenants of the watch follow: who acts, what keeps it from acting, and how long a failure puts it off.

use serde::{Deserialize, Serialize};

use super::Time;
use super::view::{Picture, View};
use crate::model::name::NodeName;

/// Whether this member acts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    /// It does.
    Leads,
    /// Another one does, the first by name of those that would: nobody has to be elected, and another one is the first when that one dies.
    Follows(NodeName),
    /// An operator has paused these, and with them all.
    Paused(Vec<NodeName>),
    /// These have another policy: two that act would undo each other's work for ever.
    Differs(Vec<NodeName>),
    /// These do not answer, and may be paused, or want something else.
    Silent(Vec<NodeName>),
    /// These cannot be understood, as their easy_cluster is of another version.
    OtherVersion(Vec<NodeName>),
    /// These were asked just now.
    Awaits(Vec<NodeName>),
}

/// Whether this member acts, among those for which the tenant is switched on.
pub(super) fn standing(picture: &Picture<'_>, is_on: impl Fn(&View) -> bool) -> Standing {
    let on = picture.views().filter(|(_, view)| is_on(view)).map(|(node, _)| node);
    let leader = on.chain([picture.here()]).min().unwrap_or(picture.here());
    let policy = picture.own().and_then(|own| own.policy.as_ref());
    let of = |wanted: &dyn Fn(&View) -> bool| -> Vec<NodeName> {
        picture.views().filter(|(_, view)| wanted(view)).map(|(node, _)| node.clone()).collect()
    };
    let paused = of(&|view| view.paused);
    // Who has no policy has no say on it.
    let differs = of(&|view| view.policy.is_some() && policy.is_some() && view.policy.as_ref() != policy);
    let awaited = picture.awaited();
    if leader != picture.here() {
        Standing::Follows(leader.clone())
    } else if !paused.is_empty() {
        Standing::Paused(paused)
    } else if !differs.is_empty() {
        Standing::Differs(differs)
    } else if !picture.silent().is_empty() {
        Standing::Silent(picture.silent().to_vec())
    } else if !picture.strange().is_empty() {
        Standing::OtherVersion(picture.strange().to_vec())
    } else if !awaited.is_empty() {
        Standing::Awaits(awaited)
    } else {
        Standing::Leads
    }
}

/// Milliseconds as a distance between times.
pub(super) fn time(milliseconds: u64) -> Time {
    Time::try_from(milliseconds).unwrap_or(Time::MAX)
}

/// When something is done next: the first wish counts, as a change each second must not put it off for ever.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Due(Option<Time>);

impl Due {
    pub(super) fn at(&self) -> Option<Time> {
        self.0
    }

    pub(super) fn has_come(&self, now: Time) -> bool {
        self.0.is_some_and(|at| at <= now)
    }

    pub(super) fn within(&mut self, milliseconds: u64, now: Time) {
        let at = now.saturating_add(time(milliseconds));
        self.0 = Some(self.0.map_or(at, |before| before.min(at)));
    }

    pub(super) fn only_in(&mut self, milliseconds: u64, now: Time) {
        self.0 = Some(now.saturating_add(time(milliseconds)));
    }

    pub(super) fn clear(&mut self) {
        self.0 = None;
    }
}

/// What failed, or would be done again at once, is put off for longer and longer.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct PutOff {
    failures: u32,
    not_before: Option<Time>,
}

impl PutOff {
    /// Milliseconds before it is tried again: `soon` after the first failure, twice as long after each more, `longest` at most.
    pub(super) fn failed(&mut self, now: Time, soon: u64, longest: u64) -> u64 {
        let wait = soon.saturating_mul(1 << self.failures.min(32)).min(longest);
        self.failures = self.failures.saturating_add(1);
        self.not_before = Some(now.saturating_add(time(wait)));
        wait
    }

    /// Milliseconds left.
    pub(super) fn left(&self, now: Time) -> u64 {
        self.not_before.map_or(0, |then| u64::try_from(then.saturating_sub(now)).unwrap_or(0))
    }
}
