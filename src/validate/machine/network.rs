//! Where node and epmd listen, and for whom.

use core::net::IpAddr;

use super::Problem;
use crate::model::machine::Machine;

pub(super) fn check(machine: &Machine, problems: &mut Vec<Problem>) {
    interface(machine, problems);
    window(machine, problems);
    // A node with a port of its own starts no epmd.
    if machine.settings.dist_port.is_none() {
        epmd(machine, problems);
    }
    let proto_dist = &machine.settings.proto_dist;
    if proto_dist.ends_with("_tls") {
        problems.push(Problem::TlsDistribution { proto_dist: proto_dist.clone() });
    }
}

fn interface(machine: &Machine, problems: &mut Vec<Problem>) {
    let settings = &machine.settings;
    let open = || Problem::DistributionOpen { node: machine.label() };
    let Some(text) = settings.interface.clone() else {
        if !settings.is_untold("INET_DIST_INTERFACE") {
            problems.push(open());
        }
        return;
    };
    let Ok(address) = text.parse::<IpAddr>() else {
        problems.push(Problem::InterfaceMalformed { text });
        return;
    };
    if address.is_ipv6() && !settings.proto_dist.starts_with("inet6") {
        let proto_dist = settings.proto_dist.clone();
        problems.push(Problem::InterfaceIpv6WithoutProtoDist { interface: text, proto_dist });
    } else if address.is_unspecified() {
        problems.push(open());
    } else if address.is_loopback() {
        problems.push(Problem::InterfaceLoopback { interface: text });
    } else if !machine.addresses.is_empty() && !machine.addresses.contains(&address) {
        problems.push(Problem::InterfaceNotHere { interface: text, addresses: list(&machine.addresses) });
    }
}

fn window(machine: &Machine, problems: &mut Vec<Problem>) {
    let settings = &machine.settings;
    match &settings.port_window {
        Some(text) if !is_window(text) => problems.push(Problem::PortWindowMalformed { text: text.clone() }),
        Some(_) => {}
        None if settings.dist_port.is_some() || settings.is_untold("FIREWALL_WINDOW") => {}
        None => problems.push(Problem::NoPortWindow { node: machine.label() }),
    }
}

/// As ejabberdctl cuts it: what stands before the last `-`, and behind the first.
fn is_window(text: &str) -> bool {
    let first = text.rsplit_once('-').map_or(text, |(first, _)| first);
    let last = text.split_once('-').map_or(text, |(_, last)| last);
    match (first.parse::<u16>(), last.parse::<u16>()) {
        (Ok(first), Ok(last)) => 0 < first && first <= last,
        (Ok(_) | Err(_), Ok(_) | Err(_)) => false,
    }
}

fn epmd(machine: &Machine, problems: &mut Vec<Problem>) {
    let port = machine.settings.epmd_port;
    let running: Vec<IpAddr> = machine
        .listeners
        .iter()
        .filter(|listener| listener.port == port)
        .map(|listener| listener.address)
        .collect();
    if let Some(all) = running.iter().find(|address| address.is_unspecified()) {
        problems.push(Problem::EpmdOpen { address: format!("{all} port {port}") });
        return;
    }
    // Where none runs, the one that starts with the node listens where it is told to.
    let told = machine.settings.epmd_address.iter().flat_map(|text| text.split(','));
    let addresses =
        if running.is_empty() { told.filter_map(|text| text.trim().parse().ok()).collect() } else { running };
    if !addresses.is_empty() && addresses.iter().all(IpAddr::is_loopback) {
        problems.push(Problem::EpmdLocal { address: list(&addresses) });
    }
}

/// Addresses with commas between them.
pub(super) fn list(addresses: &[IpAddr]) -> String {
    addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}
