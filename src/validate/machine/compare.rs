//! What two machines have to have in common before their nodes can form a cluster.

use super::Problem;
use super::name::leads_nowhere;
use super::network::list;
use crate::model::machine::Machine;
use crate::model::name::NodeName;

/// Erlang's own default, seconds.
const TICK_TIME: u32 = 60;

/// Differences that matter between this machine and another one, whose report `there` is.
#[must_use]
pub fn compare(here: &Machine, there: &Machine) -> Vec<Problem> {
    let mut problems = Vec::new();
    names(here, there, &mut problems);
    network(here, there, &mut problems);
    software(here, there, &mut problems);
    configuration(here, there, &mut problems);
    problems
}

fn names(here: &Machine, there: &Machine, problems: &mut Vec<Problem>) {
    if let (Some(own), Some(other)) = (&here.settings.node, &there.settings.node) {
        if own.name == other.name {
            problems.push(Problem::SameNodeName { node: NodeName::from(own.name.as_str()) });
            return;
        }
        if own.long != other.long {
            let kind = |long: bool| if long { "long" } else { "short" };
            let reason = format!("a {} name here, a {} name there", kind(own.long), kind(other.long));
            problems.push(Problem::NameModeMismatch { node: other.name.clone(), here: here.label(), reason });
        }
    }
    hosts(here, there, true, problems);
    hosts(there, here, false, problems);
}

/// Whether one machine finds the other. Only this one can be asked for more than its files.
fn hosts(from: &Machine, to: &Machine, from_is_here: bool, problems: &mut Vec<Problem>) {
    let Some(own) = &to.settings.node else { return };
    let node = NodeName::from(own.name.as_str());
    let host = node.host().to_owned();
    if host.is_empty() || leads_nowhere(&host) {
        return;
    }
    let reached: Vec<_> = to.addresses.iter().copied().filter(|address| !address.is_loopback()).collect();
    let addresses = list(&reached);
    match from.resolve(&host) {
        Ok(found) => {
            if let Some(first) = found.first()
                && !to.addresses.is_empty()
                && !found.iter().any(|address| to.addresses.contains(address) && !address.is_loopback())
            {
                let address = first.to_string();
                problems.push(Problem::HostOtherAddress { machine: from.label(), host, address, addresses });
            }
        }
        Err(reason) if from_is_here => problems.push(Problem::UnknownHost { node, host, reason, addresses }),
        Err(_) => problems.push(Problem::HostNotListed { machine: from.label(), host, addresses }),
    }
}

fn network(here: &Machine, there: &Machine, problems: &mut Vec<Problem>) {
    let node = there.label();
    if let (Some(own), Some(other)) = (&here.cookie, &there.cookie)
        && own != other
    {
        let (here, there) = (own.clone(), other.clone());
        problems.push(Problem::CookiesDiffer { here, node: node.clone(), there });
    }
    let (own, other) = (&here.settings, &there.settings);
    if own.dist_port != other.dist_port {
        let text = |port: Option<u16>| port.map_or("not set".to_owned(), |port| port.to_string());
        let (here, there) = (text(own.dist_port), text(other.dist_port));
        problems.push(Problem::DistPortsDiffer { here, node: node.clone(), there });
    } else if own.epmd_port != other.epmd_port {
        let (here, there) = (own.epmd_port, other.epmd_port);
        problems.push(Problem::EpmdPortsDiffer { here, node: node.clone(), there });
    }
    if own.proto_dist != other.proto_dist {
        let (here, there) = (own.proto_dist.clone(), other.proto_dist.clone());
        problems.push(Problem::ProtoDistDiffers { here, node, there });
    }
}

fn software(here: &Machine, there: &Machine, problems: &mut Vec<Problem>) {
    let node = there.label();
    let (own, other) = (&here.versions, &there.versions);
    for (application, own, other) in [
        ("Erlang/OTP", &own.otp, &other.otp),
        ("ejabberd", &own.ejabberd, &other.ejabberd),
        ("mnesia", &own.mnesia, &other.mnesia),
    ] {
        if let (Some(own), Some(other)) = (own, other)
            && own != other
        {
            let (here, there) = (own.clone(), other.clone());
            let (application, node) = (application.to_owned(), node.clone());
            problems.push(Problem::VersionsDiffer { application, here, node, there });
        }
    }
}

fn configuration(here: &Machine, there: &Machine, problems: &mut Vec<Problem>) {
    let node = there.label();
    let tick_time = |machine: &Machine| {
        let yml = machine.yml.as_ref().and_then(|yml| yml.net_ticktime);
        yml.or(machine.settings.net_ticktime).unwrap_or(TICK_TIME)
    };
    let (own, other) = (tick_time(here), tick_time(there));
    if own != other {
        problems.push(Problem::TickTimeDiffers { here: own, node: node.clone(), there: other });
    }
    let (Some(own), Some(other)) = (&here.yml, &there.yml) else { return };
    if let Some((only_here, only_there)) = differences(&own.modules, &other.modules) {
        problems.push(Problem::ModulesDiffer { node: node.clone(), only_here, only_there });
    }
    if let Some((only_here, only_there)) = differences(&own.hosts, &other.hosts) {
        problems.push(Problem::DomainsDiffer { node: node.clone(), only_here, only_there });
    }
    if own.auth_methods != other.auth_methods {
        let (here, there) = (words(own.auth_methods.iter()), words(other.auth_methods.iter()));
        problems.push(Problem::AuthMethodsDiffer { here, node, there });
    }
}

/// What only one of two lists has; `None` where both have the same.
fn differences(own: &[String], other: &[String]) -> Option<(String, String)> {
    let only = |these: &[String], those: &[String]| words(these.iter().filter(|item| !those.contains(item)));
    let (only_here, only_there) = (only(own, other), only(other, own));
    (only_here != NONE || only_there != NONE).then_some((only_here, only_there))
}

const NONE: &str = "none";

fn words<'a>(items: impl Iterator<Item = &'a String>) -> String {
    let items: Vec<&str> = items.map(String::as_str).collect();
    if items.is_empty() { NONE.to_owned() } else { items.join(", ") }
}
