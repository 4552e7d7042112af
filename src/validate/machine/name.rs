//! The name that the node would get, and where its host leads.

use core::net::IpAddr;

use super::Problem;
use super::network::list;
use crate::model::machine::settings::OwnName;
use crate::model::machine::{Machine, Role, State};
use crate::model::name::NodeName;
use crate::validate::node_name;

pub(super) fn check(machine: &Machine, problems: &mut Vec<Problem>) {
    // Of a file that could not be read to its end nothing is concluded.
    let told = machine.file(Role::Ctl).is_some_and(|ctl| ctl.state == State::Read && ctl.broken.is_none());
    let Some(own) = machine.settings.node.as_ref().filter(|_| told) else { return };
    let node = NodeName::from(own.name.as_str());
    let Some(well_formed) = well_formed(own, problems) else { return };
    let host = node.host().to_owned();
    if leads_nowhere(&host) {
        problems.push(Problem::NodeNameDefault {
            node,
            origin: own.source.clone(),
            hostname: machine.hostname.clone(),
        });
        return;
    }
    if !well_formed {
        problems.push(Problem::HostWithoutDot { node: node.clone(), origin: own.source.clone() });
    }
    match machine.resolve(&host) {
        Err(reason) => {
            problems.push(Problem::OwnHostUnknown { node, host, reason, address: only_address(machine) })
        }
        Ok(found) => {
            let Some(first) = found.first().copied() else { return };
            if found.iter().all(IpAddr::is_loopback) {
                let (place, address) = (machine.place_of(&host), first.to_string());
                let addresses = list(&machine.addresses);
                problems.push(Problem::OwnHostLoopback { node, host, address, place, addresses });
            } else if !machine.addresses.is_empty() && !found.iter().any(|a| machine.addresses.contains(a)) {
                let (address, addresses) = (first.to_string(), list(&machine.addresses));
                problems.push(Problem::OwnHostElsewhere { node, host, address, addresses });
            }
        }
    }
}

/// The one address of the machine that others may reach; empty where there are several.
fn only_address(machine: &Machine) -> String {
    let mut addresses = machine.addresses.iter().filter(|address| !address.is_loopback());
    match (addresses.next(), addresses.next()) {
        (Some(address), None) => address.to_string(),
        (Some(_) | None, Some(_) | None) => String::new(),
    }
}

/// Whether it is a long name with a dotted host; `None` where it is no name at all, which is told.
fn well_formed(own: &OwnName, problems: &mut Vec<Problem>) -> Option<bool> {
    let here = if own.long { "a@b.c" } else { "a@b" };
    let bad = |reason: &str| Problem::BadNodeName { text: own.name.clone(), reason: reason.into() };
    match node_name::parse(&own.name, &here.into()) {
        Ok(_) => Some(own.long),
        Err(Problem::NameModeMismatch { .. }) if own.long => Some(false),
        Err(Problem::NameModeMismatch { .. }) => {
            problems.push(bad("its host has a dot, and -sname takes none"));
            None
        }
        Err(problem) => {
            problems.push(problem);
            None
        }
    }
}

/// A host that is every machine's own.
pub(super) fn leads_nowhere(host: &str) -> bool {
    let local = ["localhost", "localhost.localdomain", "localhost.local"];
    local.iter().any(|name| host.eq_ignore_ascii_case(name))
        || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback() || address.is_unspecified())
}
