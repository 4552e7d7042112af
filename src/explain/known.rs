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
            text = text.replace(COOKIE, &self.cookie);
        }
        if known(&self.database, DATABASE) {
            text = replace_whole(&text, DATABASE, &self.database);
        }
        if known(&self.configuration, CONFIGURATION) {
            text = text
                .replace(CONFIGURATION, "ejabberdctl.cfg")
                .replace("ejabberdctl.cfg", &self.configuration);
        }
        text
    }
}

/// Replaces a folder where it is not the beginning of another name, nor that of the cookie's, which has its own.
fn replace_whole(text: &str, folder: &str, by: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once(folder) {
        out.push_str(before);
        let goes_on = after.starts_with(|c: char| c.is_alphanumeric() || c == '-' || c == '_');
        let cookie = after.starts_with("/.erlang.cookie");
        out.push_str(if goes_on || cookie { folder } else { by });
        rest = after;
    }
    out + rest
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
    }
}
