//! Who belongs to which cluster, and whether everybody says so.

use std::collections::HashSet;

use super::problem::{Nodes, Problem};
use super::view::View;
use crate::model::name::NodeName;
use crate::model::snapshot::{Facts, Running};

/// Clocks further apart than this are told.
const CLOCK_TOLERANCE: u64 = 2_000;

/// Problems of this node as one that wants to join `target`.
#[must_use]
pub fn of_joiner(view: &View<'_>, target: &NodeName) -> Vec<Problem> {
    let here = view.here();
    let facts = view.here_facts();
    let mut problems = of_here(view);
    if facts.mnesia != Running::Yes {
        return problems;
    }
    let here_lists_target = view.has(facts.db_nodes, target);
    let target_lists_here = view.facts(target).is_some_and(|t| view.has_here(t.db_nodes));
    match (here_lists_target, target_lists_here) {
        (true, true) => {
            problems
                .push(Problem::AlreadyMember { node: target.clone(), members: view.nodes(facts.db_nodes) });
        }
        (true, false) if view.facts(target).is_some_and(|t| t.mnesia == Running::Yes) => {
            problems.push(forgotten_or_left(view, target));
        }
        (true | false, _) if view.set(facts.db_nodes).len() > 1 => {
            problems
                .push(Problem::AlreadyClustered { here: here.clone(), members: view.nodes(facts.db_nodes) });
        }
        (false, true) => {
            problems.push(Problem::StaleMember { here: here.clone(), listed_by: target.clone() });
        }
        (true | false, false) => {}
    }
    problems
}

/// Problems of this node as one that is about to give its whole database up: nobody else may count on it.
#[must_use]
pub fn of_stand_alone(view: &View<'_>) -> Vec<Problem> {
    let mut problems = of_here(view);
    let facts = view.here_facts();
    if facts.mnesia == Running::Yes && view.set(facts.db_nodes).len() > 1 {
        problems
            .push(Problem::StillAMember { here: view.here().clone(), members: view.nodes(facts.db_nodes) });
    }
    problems
}

/// Problems of this node as a member that is about to leave, or to give something up: the others have to be there, and agree.
/// A member that is down would bring this node back when it returns.
#[must_use]
pub fn of_leaver(view: &View<'_>) -> Vec<Problem> {
    let mut problems = of_here(view);
    if problems.is_empty() {
        problems.extend(of_cluster(view, view.here()));
    }
    problems
}

/// Problems of this node's own cluster: it has to run here and be whole; of members that are down there is one each.
#[must_use]
pub fn of_own_cluster(view: &View<'_>) -> Vec<Problem> {
    let mut problems = of_here(view);
    if view.here_facts().mnesia == Running::Yes {
        problems.extend(of_cluster(view, view.here()));
    }
    problems
}

/// Whether this node's schema lists others.
#[must_use]
pub fn is_alone(view: &View<'_>) -> bool {
    view.set(view.here_facts().db_nodes).iter().all(|node| node == view.here())
}

/// Problems of this node with whatever is to be done.
fn of_here(view: &View<'_>) -> Vec<Problem> {
    let facts = view.here_facts();
    let unfinished = facts.unfinished.as_ref().map(|id| Problem::UnfinishedOperation { id: id.clone() });
    let stopped = (facts.mnesia != Running::Yes).then(|| not_running(view.here(), facts));
    unfinished.into_iter().chain(stopped).collect()
}

/// Problems of the cluster that `target` belongs to: it has to run, be whole and agree.
#[must_use]
pub fn of_cluster(view: &View<'_>, target: &NodeName) -> Vec<Problem> {
    let Some(contact) = view.facts(target) else {
        return vec![Problem::NoConnection { node: target.clone(), reason: view.silence(target) }];
    };
    if contact.mnesia != Running::Yes {
        return vec![not_running(target, contact)];
    }
    // Who wants to join is no part of it; who looks at its own cluster is.
    let others =
        || view.set(contact.db_nodes).iter().filter(|node| target == view.here() || *node != view.here());
    // Who has forgotten this node is another cluster by now, which it need not see.
    let counts = |facts: &Facts| target != view.here() || view.has_here(facts.db_nodes);
    let runs = |facts: &Facts| facts.mnesia == Running::Yes && counts(facts);
    let up: Vec<&NodeName> = others().filter(|node| view.facts(node).is_some_and(runs)).collect();
    others().filter_map(|node| of_member(view, target, contact, &up, node)).collect()
}

fn of_member(
    view: &View<'_>,
    target: &NodeName,
    contact: &Facts,
    up: &[&NodeName],
    node: &NodeName,
) -> Option<Problem> {
    let down =
        |reason: String| Some(Problem::MemberDown { node: node.clone(), listed_by: target.clone(), reason });
    let Some(facts) = view.facts(node) else {
        return down(view.silence(node));
    };
    if facts.mnesia != Running::Yes {
        return waits(node, facts).or_else(|| down("its Mnesia does not run".into()));
    }
    if target == view.here() && !view.has_here(facts.db_nodes) {
        return Some(forgotten_or_left(view, node));
    }
    if facts.db_nodes != contact.db_nodes {
        return Some(Problem::MembersDisagree {
            node: target.clone(),
            lists: view.nodes(contact.db_nodes),
            other: node.clone(),
            other_lists: view.nodes(facts.db_nodes),
        });
    }
    // A member that is down is a problem of its own; here it is about those that run and are not seen. Both are sorted,
    // so that one pass is enough.
    let mut seen = view.set(facts.running_db_nodes).iter();
    let sees_all_that_run =
        facts.running_db_nodes == facts.db_nodes || up.iter().all(|other| seen.any(|node| node == *other));
    (!sees_all_that_run).then(|| Problem::Partitioned {
        node: node.clone(),
        lists: view.nodes(facts.db_nodes),
        sees: view.nodes(facts.running_db_nodes),
    })
}

/// What does not forbid a join and should be known: versions, clocks, tick times, master nodes.
#[must_use]
pub fn warnings(view: &View<'_>, target: &NodeName) -> Vec<Problem> {
    let here = view.here_facts();
    let Some(contact) = view.facts(target) else {
        return Vec::new();
    };
    let members = view.set(contact.db_nodes).iter().filter(|node| *node != view.here());
    members
        .filter_map(|node| view.facts(node).map(|facts| (node, facts)))
        .flat_map(|(node, facts)| of_pair(view, here, node, facts))
        .collect()
}

/// The year and the month of a release of ejabberd, without what a distribution adds: `24.12-3+b1` is 24 and 12.
fn release(version: &str) -> Vec<u64> {
    let upstream = version.split(['-', '+', '~']).next().unwrap_or_default();
    upstream.split('.').map_while(|part| part.parse().ok()).take(2).collect()
}

fn of_pair(view: &View<'_>, here: &Facts, node: &NodeName, facts: &Facts) -> Vec<Problem> {
    let mut found = Vec::new();
    let mut version = |application: &str, mine: &str, theirs: &str| {
        if mine != theirs {
            found.push(Problem::VersionsDiffer {
                application: application.into(),
                here: mine.into(),
                node: node.clone(),
                there: theirs.into(),
            });
        }
    };
    version("OTP", &here.otp_release, &facts.otp_release);
    let both = |application: &str| here.versions.get(application).zip(facts.versions.get(application));
    if let Some((mine, theirs)) = both("mnesia") {
        version("mnesia", mine, theirs);
    }
    match both("ejabberd") {
        Some((mine, theirs)) if release(mine) != release(theirs) => {
            found.push(Problem::EjabberdReleasesDiffer {
                here: mine.clone(),
                node: node.clone(),
                there: theirs.clone(),
            });
        }
        Some((mine, theirs)) => version("ejabberd", mine, theirs),
        None => {}
    }
    if facts.clock_offset.unsigned_abs() > CLOCK_TOLERANCE {
        found.push(Problem::ClockOffset { node: node.clone(), offset: facts.clock_offset });
    }
    if facts.tick_time != here.tick_time {
        found.push(Problem::TickTimeDiffers {
            here: here.tick_time,
            node: node.clone(),
            there: facts.tick_time,
        });
    }
    if !view.set(facts.master_nodes).is_empty() {
        found.push(Problem::MasterNodesSet { node: node.clone(), masters: view.nodes(facts.master_nodes) });
    }
    found
}

/// Of a node that this one lists and that does not list this one: who of the two is still of the cluster. A database that was made
/// anew shares no table with it.
fn forgotten_or_left(view: &View<'_>, node: &NodeName) -> Problem {
    let (here, node) = (view.here().clone(), node.clone());
    let schema = |facts: &Facts| facts.schema_cookie.clone();
    let one_schema = view.facts(&node).is_some_and(|facts| schema(facts) == schema(view.here_facts()));
    let cookies =
        |of: &NodeName| view.tables_of(of).map(|table| (&table.name, &table.cookie)).collect::<HashSet<_>>();
    if one_schema || !cookies(&here).is_disjoint(&cookies(&node)) {
        Problem::ForgottenHere { here, node }
    } else {
        Problem::MemberLeft { here, node }
    }
}

fn waits(node: &NodeName, facts: &Facts) -> Option<Problem> {
    let waits = || Problem::WaitsForDecision { node: node.clone(), awaited: Nodes(facts.awaits.clone()) };
    (!facts.awaits.is_empty()).then(waits)
}

pub(super) fn not_running(node: &NodeName, facts: &Facts) -> Problem {
    if let Some(waits) = waits(node, facts) {
        return waits;
    }
    let state = match facts.mnesia {
        Running::Yes => "yes",
        Running::No => "no",
        Running::Starting => "starting",
        Running::Stopping => "stopping",
    };
    Problem::MnesiaNotRunning {
        node: node.clone(),
        state: format!("its Erlang VM answers, and is_running is {state}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_release_is_a_year_and_a_month_whoever_packed_it() {
        assert_eq!(release("24.12-3+b1"), [24, 12]);
        assert_eq!(release("23.10.1"), release("23.10"));
        assert_ne!(release("23.01-1"), release("23.10"));
        assert_ne!(release("24.12"), release("26.07-1"));
    }
}
