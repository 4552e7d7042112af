//! A machine in a few lines, before what is wrong with it.

use core::net::IpAddr;
use std::fmt::Write as _;
use std::time::Duration;

use super::errors::printable;
use crate::model::machine::{Machine, State};
use crate::model::name::NodeName;
use crate::model::reach::Reach;
use crate::validate::problem::{Nodes, Problem, Severity};

/// How many of each kind there are.
#[must_use]
pub fn headline(problems: &[Problem]) -> String {
    let count = |severity: Severity, one: &str, more: &str| {
        let found = problems.iter().filter(|problem| problem.severity() == severity).count();
        (found > 0).then(|| format!("{found} {}", if found == 1 { one } else { more }))
    };
    let counts = [count(Severity::Error, "error", "errors"), count(Severity::Warning, "warning", "warnings")];
    let counts: Vec<String> = counts.into_iter().flatten().collect();
    if counts.is_empty() { "nothing is wrong".into() } else { counts.join(", ") }
}

/// The facts that people compare, a line each.
#[must_use]
pub fn facts(machine: &Machine) -> String {
    let settings = &machine.settings;
    let mut text = String::new();
    let mut line = |name: &str, value: &str| {
        let _ = writeln!(text, "  {name:<10} {}", printable(value));
    };
    match &settings.node {
        Some(own) => {
            let kind = if own.long { "long" } else { "short" };
            line("node", &format!("{} ({kind} name, from {})", own.name, own.source));
            let node = NodeName::from(own.name.as_str());
            let leads = match machine.resolve(node.host()) {
                Ok(addresses) => format!("is {}", list(&addresses)),
                Err(reason) => format!("does not resolve: {reason}"),
            };
            line("host", &format!("{} {leads}", node.host()));
        }
        None => line("node", "cannot be told without running ejabberdctl.cfg"),
    }
    line("machine", &format!("{}, {}", machine.hostname, list(&machine.addresses)));
    line("cookie", &cookie(machine));
    line("epmd", &epmd(machine));
    line("ports", &ports(machine));
    line("database", &database(machine));
    let version = |version: &Option<String>| version.clone().unwrap_or_else(|| "unknown".into());
    let versions = &machine.versions;
    let (otp, ejabberd, mnesia) =
        (version(&versions.otp), version(&versions.ejabberd), version(&versions.mnesia));
    line("versions", &format!("OTP {otp}, ejabberd {ejabberd}, mnesia {mnesia}"));
    text
}

/// How far one got towards a node, in one line.
#[must_use]
pub fn reach(reach: &Reach) -> String {
    let end = match &reach.failure {
        None => format!("reached in {:.1} ms", Duration::from_micros(reach.microseconds).as_secs_f64() * 1e3),
        Some(_) => "not reached".into(),
    };
    format!("  {:<10} {}, {}, {end}\n", "probe", printable(reach.node.as_str()), list(&reach.addresses))
}

/// Whether a file can be read, in words.
#[must_use]
pub fn state(state: &State) -> String {
    match state {
        State::Read => "it can be read".into(),
        State::Missing => "there is none".into(),
        State::Unreadable(reason) => reason.clone(),
    }
}

fn cookie(machine: &Machine) -> String {
    let place = match (&machine.settings.cookie_source, machine.cookies.first()) {
        (Some(source), _) => source.clone(),
        (None, Some(file)) => file.path.clone(),
        (None, None) => "nowhere".into(),
    };
    match &machine.cookie {
        Some(fingerprint) => format!("fingerprint {fingerprint}, in {place}"),
        None => format!("none that Erlang accepts, in {place}"),
    }
}

fn epmd(machine: &Machine) -> String {
    let port = machine.settings.epmd_port;
    if let Some(port) = machine.settings.dist_port {
        return format!("none: ERL_DIST_PORT is {port}");
    }
    let running: Vec<IpAddr> = machine
        .listeners
        .iter()
        .filter(|listener| listener.port == port)
        .map(|listener| listener.address)
        .collect();
    if running.is_empty() {
        format!("port {port}, not running")
    } else {
        format!("port {port} of {}", list(&running))
    }
}

fn ports(machine: &Machine) -> String {
    let settings = &machine.settings;
    let ports = match (settings.dist_port, &settings.port_window) {
        (Some(port), _) => port.to_string(),
        (None, Some(window)) => window.clone(),
        (None, None) => "any port".into(),
    };
    let interface = settings.interface.as_deref().unwrap_or("all addresses");
    format!("{ports} of {interface}, {}", settings.proto_dist)
}

fn database(machine: &Machine) -> String {
    let database = &machine.database;
    let state = match (&database.state, &database.schema) {
        (State::Missing, _) => "not there yet".to_owned(),
        (State::Unreadable(reason), _) | (State::Read, State::Unreadable(reason)) => reason.clone(),
        (State::Read, State::Missing) => "empty".into(),
        (State::Read, State::Read) => format!("of {}", Nodes(database.members.clone())),
    };
    format!("{}, {state}", database.directory)
}

fn list(addresses: &[IpAddr]) -> String {
    if addresses.is_empty() {
        return "no address known".into();
    }
    addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_headline_counts() {
        let warning = Problem::CookieInArguments { origin: "vm.args".into() };
        let error = Problem::ConfigMissing { path: "x".into() };
        assert_eq!(headline(&[]), "nothing is wrong");
        assert_eq!(headline(&[error.clone(), warning.clone(), error.clone()]), "2 errors, 1 warning");
        assert_eq!(headline(&[warning]), "1 warning");
    }
}
