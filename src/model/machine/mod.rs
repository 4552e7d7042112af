//! A machine before ejabberd starts there: its files and sockets as facts.
//!
//! Each parser takes text or bytes and answers for any of them. The cookie is never among the facts.

pub mod arguments;
pub mod cookie;
pub mod decisions;
pub mod disk_log;
pub mod ejabberd_yml;
mod etf;
pub mod hosts;
pub mod schema;
pub mod settings;
pub mod shell;
pub mod sockets;
pub mod terms;
pub mod text;
pub mod users;

use core::net::IpAddr;

pub use super::broken::Broken;
use serde::{Deserialize, Serialize};

use self::cookie::CookieFacts;
use self::ejabberd_yml::EjabberdYml;
use self::hosts::{HostsEntry, Inetrc, Resolver};
use self::settings::Settings;
use self::sockets::Listener;
use super::name::NodeName;

/// The version of [`Machine`].
pub const FORMAT: u32 = 1;

/// What only running a file would tell.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unclear {
    /// The line.
    pub line: u32,
    /// Why.
    pub reason: String,
}

/// Everything that is known of a machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Machine {
    /// [`FORMAT`].
    pub format: u32,
    /// The kernel's name for it.
    pub hostname: String,
    /// Addresses of its interfaces; empty where they are not known.
    pub addresses: Vec<IpAddr>,
    /// The user that ejabberd runs as.
    pub user: String,
    /// That user's number; `None` where the machine does not have the user.
    pub uid: Option<u32>,
    /// The files of the configuration.
    pub files: Vec<File>,
    /// How ejabberd would start.
    pub settings: Settings,
    /// What `ejabberd.yml` sets, where it can be read.
    pub yml: Option<EjabberdYml>,
    /// The cookie files, that of ejabberd's user first.
    pub cookies: Vec<CookieFile>,
    /// The fingerprint of the cookie that counts.
    pub cookie: Option<String>,
    /// The hosts file.
    pub hosts: Vec<HostsEntry>,
    /// How Erlang looks up hosts.
    pub inetrc: Inetrc,
    /// How the system looks up hosts.
    pub resolver: Resolver,
    /// What the system's resolver said where it was asked.
    pub resolved: Vec<Resolved>,
    /// Who listens.
    pub listeners: Vec<Listener>,
    /// The database.
    pub database: Database,
    /// What is installed.
    pub versions: Versions,
}

/// Whose a file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// `ejabberdctl.cfg`.
    Ctl,
    /// `vm.args`.
    VmArgs,
    /// `inetrc`.
    Inetrc,
    /// `ejabberd.yml`.
    Yml,
    /// `/etc/hosts`.
    Hosts,
    /// `/etc/resolv.conf`.
    Resolver,
}

/// Whether a file could be read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// It was read.
    Read,
    /// There is none.
    Missing,
    /// There is one, and it could not be read.
    Unreadable(String),
}

/// A file of the configuration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct File {
    /// What it is for.
    pub role: Role,
    /// Where it is.
    pub path: String,
    /// Whether it could be read.
    pub state: State,
    /// Whether it begins with a byte order mark.
    pub bom: bool,
    /// The first line that ends as Windows ends lines.
    pub crlf: Option<u32>,
    /// Where it could not be read on.
    pub broken: Option<Broken>,
    /// What only running it would tell.
    pub unclear: Vec<Unclear>,
}

/// A cookie file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CookieFile {
    /// Where it is.
    pub path: String,
    /// In whose home.
    pub user: String,
    /// Whether it could be read.
    pub state: State,
    /// Its permissions.
    pub mode: u32,
    /// The number of its owner.
    pub owner: u32,
    /// The owner's name, or the number where there is none.
    pub owner_name: String,
    /// What is in it, where it could be read.
    pub facts: Option<CookieFacts>,
}

/// What the resolver said.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resolved {
    /// The host that was asked for.
    pub host: String,
    /// Its addresses.
    pub addresses: Vec<IpAddr>,
    /// The resolver's words where there are none.
    pub reason: Option<String>,
}

/// The Mnesia directory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Database {
    /// Where it is.
    pub directory: String,
    /// Whether it could be looked into.
    pub state: State,
    /// The number of the directory's owner.
    pub owner: Option<u32>,
    /// The directory's permissions.
    pub mode: u32,
    /// Whether a schema is on disc there, and could be read.
    pub schema: State,
    /// Nodes that hold the schema.
    pub members: Vec<NodeName>,
    /// Databases in folders below, where the directory itself has none.
    #[serde(default)]
    pub others: Vec<OtherDatabase>,
}

/// A database in another place than where the node looks for its own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OtherDatabase {
    /// Where it is.
    pub directory: String,
    /// Nodes that hold its schema.
    pub members: Vec<NodeName>,
}

/// Versions, as the installed files tell them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Versions {
    /// Of Erlang/OTP.
    pub otp: Option<String>,
    /// Of ejabberd.
    pub ejabberd: Option<String>,
    /// Of Mnesia.
    pub mnesia: Option<String>,
}

impl Machine {
    /// Addresses that files give a host, Erlang's own first.
    #[must_use]
    pub fn listed(&self, host: &str) -> Vec<IpAddr> {
        let mut addresses = Vec::new();
        for entry in self.entries(host) {
            if !addresses.contains(&entry.address) {
                addresses.push(entry.address);
            }
        }
        addresses
    }

    /// The lines that give a host addresses. For Erlang, its own hosts replace those of the system.
    fn entries(&self, host: &str) -> Vec<&HostsEntry> {
        let has_it = |entry: &&HostsEntry| entry.names.iter().any(|name| name.eq_ignore_ascii_case(host));
        let own: Vec<_> = self.inetrc.hosts.iter().filter(has_it).collect();
        if own.is_empty() { self.hosts.iter().filter(has_it).collect() } else { own }
    }

    /// The file, and for Erlang's own hosts the line, that gives a host its address.
    #[must_use]
    pub fn place_of(&self, host: &str) -> String {
        let own = self
            .inetrc
            .hosts
            .iter()
            .find(|entry| entry.names.iter().any(|name| name.eq_ignore_ascii_case(host)));
        match (own, self.file(Role::Inetrc)) {
            (Some(entry), Some(file)) => format!("line {} of {}", entry.line, file.path),
            (Some(_), None) | (None, _) => "/etc/hosts".to_owned(),
        }
    }

    /// Addresses of a host: itself, from files, or from the resolver if it was asked.
    ///
    /// # Errors
    /// Why there are none.
    pub fn resolve(&self, host: &str) -> Result<Vec<IpAddr>, String> {
        if let Ok(address) = host.parse() {
            return Ok(vec![address]);
        }
        let listed = self.listed(host);
        if !listed.is_empty() {
            return Ok(listed);
        }
        if !self.inetrc.asks_the_system() {
            return Err("inetrc looks into files only, and none has it".into());
        }
        match self.resolved.iter().find(|answer| answer.host.eq_ignore_ascii_case(host)) {
            Some(answer) if answer.addresses.is_empty() => {
                Err(answer.reason.clone().unwrap_or_else(|| "it has no address".into()))
            }
            Some(answer) => Ok(answer.addresses.clone()),
            None => Err("no file has it, and the resolver was not asked".into()),
        }
    }

    /// How reports call it.
    #[must_use]
    pub fn label(&self) -> NodeName {
        match &self.settings.node {
            Some(own) => NodeName::from(own.name.as_str()),
            None => NodeName::from(self.hostname.as_str()),
        }
    }

    /// The file of a role.
    #[must_use]
    pub fn file(&self, role: Role) -> Option<&File> {
        self.files.iter().find(|file| file.role == role)
    }
}
