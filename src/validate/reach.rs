//! From what a probe found to what is wrong.

use core::net::IpAddr;

use super::node_name;
use super::problem::Problem;
use crate::model::name::NodeName;
use crate::model::reach::{Reach, ReachFailure, Registered};

/// More names of other nodes help nobody.
const NAMES_SHOWN: usize = 20;

/// What keeps the asking node from the one that was looked for; empty when nothing does. The first is the outermost
/// layer: where the name itself is wrong, what the probe met on its way does not count.
#[must_use]
pub fn problems(reach: &Reach) -> Vec<Problem> {
    if let Err(problem) = node_name::parse(reach.node.as_str(), &reach.here) {
        return vec![problem];
    }
    let trap = || loopback_trap(reach);
    reach
        .failure
        .as_ref()
        .map(|failure| trap().unwrap_or_else(|| problem(reach, failure)))
        .into_iter()
        .collect()
}

/// Whatever was met at an address of this machine itself was not the node, unless it gave the node's name.
fn loopback_trap(reach: &Reach) -> Option<Problem> {
    let host = reach.node.host();
    let elsewhere = !host.eq_ignore_ascii_case(reach.here.host())
        && !host.eq_ignore_ascii_case("localhost")
        && host.parse::<IpAddr>().is_err();
    let address = match reach.failure.as_ref()? {
        ReachFailure::WrongCookie
        | ReachFailure::Incompatible { .. }
        | ReachFailure::DuplicateName { .. }
        | ReachFailure::UnknownHost { .. } => return None,
        ReachFailure::FirstAddress { first, .. } => Some(*first),
        ReachFailure::EpmdUnreachable { .. }
        | ReachFailure::EpmdSilent { .. }
        | ReachFailure::NotEpmd { .. }
        | ReachFailure::NotRegistered { .. }
        | ReachFailure::StaleEntry { .. }
        | ReachFailure::DistributionPortClosed { .. }
        | ReachFailure::DistributionPortSilent { .. }
        | ReachFailure::PeerSilent { .. }
        | ReachFailure::NotANode { .. }
        | ReachFailure::TlsRequired { .. }
        | ReachFailure::TlsMissing { .. }
        | ReachFailure::NameRefused { .. }
        | ReachFailure::OtherName { .. }
        | ReachFailure::HandshakeFailed { .. } => used(reach),
    };
    let address = address.filter(|address| elsewhere && address.is_loopback())?;
    Some(Problem::LoopbackTrap {
        node: reach.node.clone(),
        host: host.to_owned(),
        address: address.to_string(),
    })
}

/// Where the probe got furthest, or the loopback address that Erlang takes instead.
fn used(reach: &Reach) -> Option<IpAddr> {
    let furthest = reach.address?;
    let first = reach.addresses.iter().find(|address| address.is_ipv4() == furthest.is_ipv4());
    first.copied().filter(IpAddr::is_loopback).or(Some(furthest))
}

fn problem(reach: &Reach, failure: &ReachFailure) -> Problem {
    let node = reach.node.clone();
    match failure.clone() {
        ReachFailure::UnknownHost { host, reason } => {
            Problem::UnknownHost { node, host, reason, addresses: String::new() }
        }
        ReachFailure::FirstAddress { host, first, reason, other } => {
            let (first, other) = (first.to_string(), other.to_string());
            Problem::FirstAddress { node, host, first, reason, other }
        }
        ReachFailure::EpmdUnreachable { address, reason } => {
            Problem::EpmdUnreachable { node, address, reason }
        }
        ReachFailure::EpmdSilent { address, reason } => Problem::EpmdSilent { node, address, reason },
        ReachFailure::NotEpmd { address, heard } => Problem::NotEpmd { node, address, heard },
        ReachFailure::NotRegistered { address, alive } => {
            let registered = registered(&reach.registered);
            Problem::NotRegistered { node, address, alive, registered }
        }
        ReachFailure::StaleEntry { address, alive, port } => {
            Problem::StaleEpmdEntry { node, address, alive, port }
        }
        ReachFailure::DistributionPortClosed { address, reason } => {
            Problem::DistributionPortClosed { node, address, reason }
        }
        ReachFailure::DistributionPortSilent { address } => Problem::DistributionPortSilent { node, address },
        ReachFailure::PeerSilent { address } => Problem::PeerSilent { node, address },
        ReachFailure::NotANode { address, heard } => Problem::NotANode { node, address, heard },
        ReachFailure::TlsRequired { address } => Problem::TlsRequired { node, address },
        ReachFailure::TlsMissing { address } => Problem::TlsMissing { node, address },
        ReachFailure::NameRefused { status } => Problem::NameRefused { node, status },
        ReachFailure::DuplicateName { status } => {
            Problem::DuplicateName { node, here: reach.here.clone(), status }
        }
        ReachFailure::OtherName { name } => Problem::OtherName { node, name },
        ReachFailure::Incompatible { missing } => Problem::IncompatibleFlags { node, missing },
        ReachFailure::WrongCookie => Problem::WrongCookie { node },
        ReachFailure::HandshakeFailed { step, reason } => Problem::HandshakeFailed { node, step, reason },
    }
}

/// The problem of a way between two other nodes. Which names the epmd there knows was not asked.
pub(crate) fn between(from: &NodeName, to: &NodeName, failure: &ReachFailure) -> Problem {
    if let ReachFailure::NotRegistered { address, alive } = failure.clone() {
        let registered = "not asked".into();
        return Problem::NotRegistered { node: to.clone(), address, alive, registered };
    }
    problem(&Reach::new(to.clone(), from.clone()), failure)
}

/// The names that an epmd knows, as a sentence has them.
pub(crate) fn registered(entries: &[Registered]) -> String {
    let shown: Vec<&str> = entries.iter().take(NAMES_SHOWN).map(|entry| entry.name.as_str()).collect();
    match entries.len() - shown.len() {
        _ if shown.is_empty() => "nobody".into(),
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}

/// Why a node cannot be gone for good, although it may not be possible to connect to it: something that only it can have done.
#[must_use]
pub fn sign_of_life(reach: &Reach) -> Option<String> {
    let told = || problems(reach).first().map_or_else(|| "it answers".to_owned(), ToString::to_string);
    match &reach.failure {
        None => Some("it takes connections".into()),
        // epmd knows who is connected to it.
        Some(
            ReachFailure::DistributionPortClosed { .. }
            | ReachFailure::DistributionPortSilent { .. }
            | ReachFailure::PeerSilent { .. }
            | ReachFailure::TlsRequired { .. }
            | ReachFailure::TlsMissing { .. }
            | ReachFailure::NameRefused { .. }
            | ReachFailure::DuplicateName { .. }
            | ReachFailure::OtherName { .. }
            | ReachFailure::Incompatible { .. }
            | ReachFailure::WrongCookie
            | ReachFailure::HandshakeFailed { .. }
            | ReachFailure::FirstAddress { .. },
        ) => Some(told()),
        Some(
            ReachFailure::UnknownHost { .. }
            | ReachFailure::EpmdUnreachable { .. }
            | ReachFailure::EpmdSilent { .. }
            | ReachFailure::NotEpmd { .. }
            | ReachFailure::NotRegistered { .. }
            | ReachFailure::StaleEntry { .. }
            | ReachFailure::NotANode { .. },
        ) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failed(node: &str, addresses: &[&str], failure: ReachFailure) -> Vec<&'static str> {
        let mut reach = Reach::new(node.into(), "ejabberd@hello.world".into());
        reach.addresses = addresses.iter().map(|address| address.parse().unwrap()).collect();
        reach.address = reach.addresses.last().copied();
        reach.failure = Some(failure);
        problems(&reach).iter().map(Problem::code).collect()
    }

    fn not_registered() -> ReachFailure {
        ReachFailure::NotRegistered { address: "127.0.1.1:4369".into(), alive: "ejabberd".into() }
    }

    #[test]
    fn a_node_that_was_reached_has_no_problem() {
        let reach = Reach::new("ejabberd@foo.bar".into(), "ejabberd@hello.world".into());
        assert_eq!(problems(&reach), []);
    }

    #[test]
    fn a_name_of_the_other_mode_is_the_problem_whatever_the_probe_met() {
        assert_eq!(failed("ejabberd@foo", &["192.0.2.2"], not_registered()), ["name_mode_mismatch"]);
        assert_eq!(failed("a b@foo.bar", &[], not_registered()), ["bad_node_name"]);
    }

    #[test]
    fn another_host_at_a_loopback_address_is_a_trap() {
        for addresses in [&["127.0.1.1"][..], &["127.0.1.1", "192.0.2.2"], &["192.0.2.2", "127.0.0.1"]] {
            assert_eq!(failed("ejabberd@foo.bar", addresses, not_registered()), ["loopback_trap"]);
        }
        let other = ReachFailure::OtherName { name: "ejabberd@hello.world".into() };
        assert_eq!(failed("ejabberd@foo.bar", &["127.0.0.1"], other), ["loopback_trap"]);
        let first = ReachFailure::FirstAddress {
            host: "foo.bar".into(),
            first: IpAddr::from([127, 0, 1, 1]),
            reason: "no epmd answers there".into(),
            other: IpAddr::from([192, 0, 2, 2]),
        };
        assert_eq!(failed("ejabberd@foo.bar", &["127.0.1.1", "192.0.2.2"], first), ["loopback_trap"]);
    }

    #[test]
    fn this_host_at_a_loopback_address_is_none() {
        assert_eq!(failed("other@Hello.World", &["127.0.1.1"], not_registered()), ["not_registered"]);
        assert_eq!(failed("ejabberd@foo.bar", &["::1", "192.0.2.2"], not_registered()), ["not_registered"]);
        assert_eq!(failed("other@127.0.0.1", &["127.0.0.1"], not_registered()), ["not_registered"]);
        assert_eq!(failed("ejabberd@foo.bar", &["127.0.0.1"], ReachFailure::WrongCookie), ["wrong_cookie"]);
    }

    #[test]
    fn a_long_list_of_names_is_cut() {
        let entries: Vec<Registered> =
            (0..25).map(|n| Registered { name: format!("n{n}"), port: 1 }).collect();
        assert!(registered(&entries).ends_with("n19 and 5 more"));
        assert_eq!(registered(&[]), "nobody");
    }
}
