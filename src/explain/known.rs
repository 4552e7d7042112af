//! Where an installation has its files: fixes name them, wherever they are.

use serde::{Deserialize, Serialize};

use crate::model::machine::{Machine, Role, State};

/// Where Debian has them, and fixes of the catalogue too.
const CONFIGURATION: &str = "/etc/ejabberd/ejabberdctl.cfg";
const DATABASE: &str = "/var/lib/ejabberd";
const COOKIE: &str = "/var/lib/ejabberd/.erlang.cookie";

/// Paths that are known; empty where they are not.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Paths {
    /// `ejabberdctl.cfg`.
    pub configuration: String,
    /// The Mnesia directory.
    pub database: String,
    /// The cookie file.
    pub cookie: String,
}

impl Paths {
    /// Those of a machine.
    #[must_use]
    pub fn of(machine: &Machine) -> Self {
        let is_there = |state: &State| *state != State::Missing;
        let configuration = machine.file(Role::Ctl).filter(|file| is_there(&file.state));
        let cookie = machine.cookies.first().filter(|file| is_there(&file.state));
        Self {
            configuration: configuration.map(|file| file.path.clone()).unwrap_or_default(),
            database: if is_there(&machine.database.state) {
                machine.database.directory.clone()
            } else {
                String::new()
            },
            cookie: cookie.map(|file| file.path.clone()).unwrap_or_default(),
        }
    }

    /// These, and those of `other` where nothing is known.
    #[must_use]
    pub fn or(self, other: &Self) -> Self {
        let or = |own: String, other: &str| if own.is_empty() { other.to_owned() } else { own };
        Self {
            configuration: or(self.configuration, &other.configuration),
            database: or(self.database, &other.database),
            cookie: or(self.cookie, &other.cookie),
        }
    }

    /// A fix with these paths in place of the usual ones.
    #[must_use]
    pub fn put_into(&self, fix: &str) -> String {
        let mut text = fix.to_owned();
        let known = |path: &str, usual: &str| !path.is_empty() && path != usual;
        if known(&self.cookie, COOKIE) {
            text = put(&text, COOKIE, &self.cookie, |_, _| true);
        }
        if known(&self.database, DATABASE) {
            text = put(&text, DATABASE, &self.database, is_whole_folder);
        }
        if known(&self.configuration, CONFIGURATION) {
            text = put(&text, CONFIGURATION, &self.configuration, |_, _| true);
            text = put(&text, "ejabberdctl.cfg", &self.configuration, |before, _| !before.ends_with('/'));
        }
        text
    }
}

/// Replaces a usual path where `counts` says so of what is before and behind it, and where the known one does not stand already.
fn put(text: &str, usual: &str, known: &str, counts: impl Fn(&str, &str) -> bool) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = [usual, known].iter().filter_map(|path| rest.find(path)).min() {
        let (before, here) = rest.split_at(at);
        out.push_str(before);
        if let Some(after) = here.strip_prefix(known) {
            out.push_str(known);
            rest = after;
        } else {
            let after = here.get(usual.len()..).unwrap_or_default();
            out.push_str(if counts(&out, after) { known } else { usual });
            rest = after;
        }
    }
    out + rest
}

/// Whether a folder is not the beginning of another name, nor of the cookie's, which has its own.
fn is_whole_folder(_before: &str, after: &str) -> bool {
    let goes_on = after.starts_with(|c: char| c.is_alphanumeric() || c == '-' || c == '_');
    !goes_on && !after.starts_with("/.erlang.cookie")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fix_names_the_files_of_the_installation() {
        let paths = Paths {
            configuration: "/opt/ejabberd/conf/ejabberdctl.cfg".into(),
            database: "/opt/ejabberd/database/a@b".into(),
            cookie: String::new(),
        };
        let fix = "mend /etc/ejabberd/ejabberdctl.cfg, see ejabberdctl.cfg, cp -a /var/lib/ejabberd X, /var/lib/ejabberd/.erlang.cookie";
        let told = "mend /opt/ejabberd/conf/ejabberdctl.cfg, see /opt/ejabberd/conf/ejabberdctl.cfg, cp -a /opt/ejabberd/database/a@b X, \
                    /var/lib/ejabberd/.erlang.cookie";
        assert_eq!(paths.put_into(fix), told);
        assert_eq!(Paths::default().put_into(fix), fix);
        assert_eq!(paths.put_into(told), told, "what stands there already");
        let below = Paths { database: "/var/lib/ejabberd/database/a@b".into(), ..Paths::default() };
        let fix = "cp -a /var/lib/ejabberd/database/a@b X";
        assert_eq!(below.put_into(fix), fix);
    }
}
