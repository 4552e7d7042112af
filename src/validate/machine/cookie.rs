//! The cookie: there, accepted by Erlang, hard to guess, the same for everybody.

use super::Problem;
use crate::model::machine::cookie::{CookieFacts, fits};
use crate::model::machine::{CookieFile, Machine, State};

pub(super) fn check(machine: &Machine, problems: &mut Vec<Problem>) {
    if let Some(origin) = machine.settings.cookie_source.clone() {
        if let Some(reason) = machine.settings.cookie_weak.clone() {
            problems.push(Problem::CookieWeak { path: origin.clone(), reason });
        }
        problems.push(Problem::CookieInArguments { origin });
    }
    let Some(own) = machine.cookies.first() else { return };
    let path = own.path.clone();
    match &own.state {
        // Another one counts, so Erlang does not make one.
        State::Missing if machine.settings.cookie_source.is_some() => {}
        State::Missing => problems.push(Problem::CookieMissing { path, user: machine.user.clone() }),
        State::Unreadable(reason) => {
            problems.push(Problem::CookieUnreadable { path, reason: reason.clone() })
        }
        State::Read => {
            permissions(own, machine, problems);
            if let Some(facts) = &own.facts {
                contents(&path, &machine.user, facts, problems);
                others(own, facts, machine, problems);
            }
        }
    }
}

fn permissions(own: &CookieFile, machine: &Machine, problems: &mut Vec<Problem>) {
    // auth.erl: nobody but the owner.
    if own.mode & 0o077 != 0 {
        let mode = format!("{:03o}", own.mode & 0o777);
        problems.push(Problem::CookieMode { path: own.path.clone(), mode });
    }
    if machine.uid.is_some_and(|uid| uid != own.owner) {
        let (owner, user) = (own.owner_name.clone(), machine.user.clone());
        problems.push(Problem::CookieOwner { path: own.path.clone(), owner, user });
    }
}

fn contents(path: &str, user: &str, facts: &CookieFacts, problems: &mut Vec<Problem>) {
    let path = path.to_owned();
    if let Some(found) = facts.refused.clone() {
        problems.push(Problem::CookieCharacters { path, found });
        return;
    }
    if facts.length == 0 {
        problems.push(Problem::CookieEmpty { path, user: user.to_owned() });
        return;
    }
    if !fits(facts.length) {
        problems.push(Problem::CookieTooLong { path, length: facts.length });
        return;
    }
    if let Some(place) = facts.blank.clone() {
        problems.push(Problem::CookieSpace { path: path.clone(), place });
    }
    if let Some(found) = facts.line_end.clone() {
        problems.push(Problem::CookieLineEnd { path: path.clone(), found });
    }
    if let Some(reason) = facts.weak.clone() {
        problems.push(Problem::CookieWeak { path, reason });
    }
}

fn others(own: &CookieFile, facts: &CookieFacts, machine: &Machine, problems: &mut Vec<Problem>) {
    let Some(fingerprint) = &facts.fingerprint else { return };
    for other in machine.cookies.iter().skip(1) {
        let Some(theirs) = other.facts.as_ref().and_then(|facts| facts.fingerprint.as_ref()) else {
            continue;
        };
        if theirs != fingerprint {
            problems.push(Problem::SeveralCookies {
                path: own.path.clone(),
                fingerprint: fingerprint.clone(),
                other_path: other.path.clone(),
                other_fingerprint: theirs.clone(),
            });
        }
    }
}
