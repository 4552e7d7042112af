//! The files of the configuration: there, readable, without mistakes.

use super::Problem;
use crate::model::machine::{File, Machine, Role, State};

pub(super) fn check(machine: &Machine, problems: &mut Vec<Problem>) {
    for file in &machine.files {
        let path = file.path.clone();
        match &file.state {
            State::Missing if is_needed(file.role) => problems.push(Problem::ConfigMissing { path }),
            State::Missing => {}
            State::Unreadable(reason) => {
                problems.push(Problem::ConfigUnreadable { path, reason: reason.clone() });
            }
            State::Read => read(file, machine, problems),
        }
    }
    if machine.uid.is_none() {
        problems.push(Problem::UserUnknown { user: machine.user.clone() });
    }
}

/// Without the others there are defaults.
fn is_needed(role: Role) -> bool {
    match role {
        Role::Ctl | Role::Yml => true,
        Role::VmArgs | Role::Inetrc | Role::Hosts | Role::Resolver => false,
    }
}

fn read(file: &File, machine: &Machine, problems: &mut Vec<Problem>) {
    let path = &file.path;
    // YAML may begin with the mark; the system's own files are told line by line.
    let minds_the_mark = match file.role {
        Role::Ctl | Role::VmArgs | Role::Inetrc => true,
        Role::Yml | Role::Hosts | Role::Resolver => false,
    };
    if file.bom && minds_the_mark {
        problems.push(Problem::ConfigBom { path: path.clone() });
    }
    // To all other readers the carriage return is a blank.
    if let (Role::Ctl, Some(line)) = (file.role, file.crlf) {
        problems.push(Problem::ConfigCrlf { path: path.clone(), line });
    }
    if let Some(broken) = &file.broken {
        let (line, reason) = (broken.line, broken.reason.clone());
        problems.push(match file.role {
            Role::Hosts => Problem::HostsLine { path: path.clone(), line, reason },
            Role::Ctl | Role::VmArgs | Role::Inetrc | Role::Yml | Role::Resolver => {
                Problem::ConfigSyntax { path: path.clone(), line, reason }
            }
        });
    }
    for unclear in &file.unclear {
        let (line, reason) = (unclear.line, unclear.reason.clone());
        problems.push(Problem::ConfigUnclear { path: path.clone(), line, reason });
    }
    if file.role == Role::Ctl {
        for untold in &machine.settings.untold {
            let (line, reason) = (untold.line, untold.reason.clone());
            problems.push(Problem::ConfigUnclear { path: path.clone(), line, reason });
        }
        for idle in &machine.settings.idle {
            let (line, variable, found) = (idle.line, idle.variable.clone(), idle.found.clone());
            let (path, value) = (path.clone(), idle.value.clone());
            problems.push(Problem::ConfigSetsNothing { path, line, variable, found, value });
        }
    }
}
