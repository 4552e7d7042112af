//! The database on disc, and the software that would run it.

use super::Problem;
use crate::model::machine::{Machine, OtherDatabase, State};
use crate::model::name::NodeName;
use crate::validate::problem::Nodes;

/// Older releases have another handshake.
const OLDEST_OTP: u32 = 24;
/// Seconds. A peer is asked four times in a tick time.
const SHORTEST_TICK_TIME: u32 = 8;
const LONGEST_TICK_TIME: u32 = 300;

pub(super) fn check(machine: &Machine, problems: &mut Vec<Problem>) {
    directory(machine, problems);
    tick_time(machine, problems);
    if let Some(release) = machine.versions.otp.clone() {
        let major = release.split('.').next().and_then(|major| major.parse::<u32>().ok());
        if major.is_some_and(|major| major < OLDEST_OTP) {
            problems.push(Problem::OtpTooOld { release });
        }
    }
}

fn directory(machine: &Machine, problems: &mut Vec<Problem>) {
    let database = &machine.database;
    let directory = database.directory.clone();
    match &database.state {
        // ejabberdctl makes it.
        State::Missing => return,
        State::Unreadable(reason) => {
            problems.push(Problem::MnesiaDirectoryUnreadable { directory, reason: reason.clone() });
            return;
        }
        State::Read => {}
    }
    let others_may_write = database.mode & 0o022 != 0;
    if let (Some(uid), Some(owner)) = (machine.uid, database.owner)
        && uid != owner
        && !others_may_write
    {
        let (owner, user) = (format!("user {owner}"), machine.user.clone());
        problems.push(Problem::MnesiaDirectoryOwner { directory: directory.clone(), owner, user });
    }
    if let State::Unreadable(reason) = &database.schema {
        let reason = reason.clone();
        problems.push(Problem::MnesiaSchemaDamaged { directory: directory.clone(), reason });
    }
    if let Some(own) = &machine.settings.node {
        let node = NodeName::from(own.name.as_str());
        let its = |other: &&OtherDatabase| other.members.contains(&node);
        if let (None, Some(other)) = (database.others.iter().find(its), database.others.first()) {
            problems.push(Problem::OtherDatabase {
                directory: directory.clone(),
                other: other.directory.clone(),
                owner: Nodes(other.members.clone()),
                node: node.clone(),
            });
        }
        if !database.members.is_empty() && !database.members.contains(&node) {
            let owner = Nodes(database.members.clone());
            problems.push(Problem::MnesiaOwnerDiffers { directory, owner, node });
        }
    }
}

fn tick_time(machine: &Machine, problems: &mut Vec<Problem>) {
    let arguments = machine.settings.net_ticktime;
    let yml = machine.yml.as_ref().and_then(|yml| yml.net_ticktime);
    if let (Some(arguments), Some(yml)) = (arguments, yml)
        && arguments != yml
    {
        problems.push(Problem::TickTimeTwice { arguments, yml });
    }
    if let Some(seconds) = yml.or(arguments)
        && !(SHORTEST_TICK_TIME..=LONGEST_TICK_TIME).contains(&seconds)
    {
        problems.push(Problem::TickTimeExtreme { seconds });
    }
}
