//! From files and sockets to the facts of a machine. Nothing is decided here.

mod files;
mod store;
mod versions;

use std::collections::BTreeMap;
use std::fs;
use std::net::{IpAddr, ToSocketAddrs as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use serde::Deserialize;

use easy_cluster::model::machine::cookie::{self, Secret};
use easy_cluster::model::machine::hosts::{self, HostsEntry, Inetrc};
use easy_cluster::model::machine::settings::settings;
use easy_cluster::model::machine::users::{self, User};
use easy_cluster::model::machine::{
    Broken, CookieFile, Database, FORMAT, File, Machine, OtherDatabase, Resolved, Role, State, Unclear,
    arguments, ejabberd_yml, schema, shell, sockets, text,
};

use easy_cluster::model::name::NodeName;
pub use files::read;
use files::{CONFIGURATION, Root, state, words};
pub use store::store;

/// A schema of 10,000 tables has some megabytes.
pub(crate) const SCHEMA: u64 = 64 << 20;

/// Where to look.
#[derive(Debug, Clone, Deserialize)]
pub struct Places {
    /// The file system of the machine.
    pub root: PathBuf,
    /// The folder of the configuration, where it is not the usual one.
    pub config: Option<String>,
    /// The folder of the database, where it is not the usual one.
    pub spool: Option<String>,
    /// The user that ejabberd runs as; that of this process where none is given.
    pub user: Option<String>,
}

/// What was found. The cookie is for the probe.
#[derive(Debug)]
pub struct Gathered {
    /// The facts.
    pub machine: Machine,
    /// The cookie, if it can be read.
    pub cookie: Option<Secret>,
}

/// How long the resolver may take for this machine's own name.
const RESOLVER_TIMEOUT: Duration = Duration::from_secs(2);

/// The facts of a machine, and where its own name leads.
#[must_use]
pub fn look(places: &Places) -> Machine {
    let mut machine = gather(places).machine;
    let host = machine.settings.node.as_ref().map(|own| NodeName::from(own.name.as_str()).host().to_owned());
    resolve(&mut machine, &host.into_iter().collect::<Vec<_>>(), RESOLVER_TIMEOUT);
    machine
}

/// Reads what there is. Never fails: what cannot be read is a fact, too.
#[must_use]
pub fn gather(places: &Places) -> Gathered {
    let root = Root::new(&places.root);
    let config = places.config.clone().unwrap_or_else(|| "/etc/ejabberd".into());
    let hostname = root.text("/proc/sys/kernel/hostname").trim().to_owned();
    let mut files = Vec::new();

    let (file, script) = parsed(&root, Role::Ctl, format!("{config}/ejabberdctl.cfg"), |file, text| {
        let script = shell::parse(text, &given(&config, places));
        file.broken = script.broken.clone();
        file.unclear = script.unclear.clone();
        script
    });
    files.push(file);
    let (file, vm_args) =
        parsed(&root, Role::VmArgs, format!("{config}/vm.args"), |_, text| arguments::parse(text));
    files.push(file);
    let mut script = script.unwrap_or_default();
    // What ejabberdctl sets itself before it reads its configuration does not come from outside.
    script.inherit(&environment(&root));
    let (settings, argument_cookie) = settings(&script, vm_args.as_deref().unwrap_or_default(), &hostname);

    let path = settings.yml.clone().unwrap_or_else(|| format!("{config}/ejabberd.yml"));
    let (file, yml) = parsed(&root, Role::Yml, path, |file, text| {
        let yml = ejabberd_yml::parse(text).map_err(|broken| file.broken = Some(broken)).ok()?;
        if !yml.includes.is_empty() {
            let reason = format!("it includes {}, which the doctor does not read", yml.includes.join(", "));
            file.unclear.push(Unclear { line: line_of(text, "include_config_file"), reason });
        }
        Some(yml)
    });
    files.push(file);
    let (file, inetrc) = parsed(&root, Role::Inetrc, format!("{config}/inetrc"), |file, text| {
        hosts::parse_inetrc(text).map_err(|broken| file.broken = Some(broken)).unwrap_or_default()
    });
    files.push(file);
    let inetrc = inetrc.unwrap_or_default();
    let listed = hosts_files(&root, &inetrc, &mut files);
    let (file, resolver) =
        parsed(&root, Role::Resolver, "/etc/resolv.conf".into(), |_, text| hosts::parse_resolver(text));
    files.push(file);

    let users = users::parse(&root.text("/etc/passwd"));
    let own = || fs::metadata(root.at("/proc/self")).map(|metadata| metadata.uid()).ok();
    let user = match &places.user {
        Some(name) => users.iter().find(|user| user.name == *name),
        None => own().and_then(|uid| users.iter().find(|user| user.uid == uid)),
    };
    let name = places.user.clone().or_else(|| user.map(|user| user.name.clone())).unwrap_or_default();
    let (cookies, file_cookie) = cookies(&root, places, &users, user, &name);
    let cookie = argument_cookie.or(file_cookie);
    let spool = settings.spool.clone().or_else(|| places.spool.clone());
    let machine = Machine {
        format: FORMAT,
        hostname,
        addresses: addresses(&root),
        user: name,
        uid: user.map(|user| user.uid),
        files,
        yml: yml.flatten(),
        cookies,
        cookie: cookie.as_ref().map(Secret::fingerprint),
        hosts: listed,
        inetrc,
        resolver: resolver.unwrap_or_default(),
        resolved: Vec::new(),
        listeners: ["/proc/net/tcp", "/proc/net/tcp6"]
            .iter()
            .flat_map(|path| sockets::parse(&root.text(path)))
            .collect(),
        database: database(&root, spool.unwrap_or_else(|| usual_spool(&root).into())),
        versions: versions::versions(&root),
        settings,
    };
    Gathered { machine, cookie }
}

/// Variables of the environment that ejabberdctl heeds: of the first process, which a container's settings go to, and of
/// this one where it runs on the machine that it looks at. Nothing else is kept of it.
fn environment(root: &Root) -> BTreeMap<String, String> {
    let first = root.text("/proc/1/environ");
    let first = first.split('\0').filter_map(|pair| pair.split_once('='));
    let mut found: BTreeMap<String, String> = first
        .filter(|(name, _)| HEEDED.contains(name))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    for name in HEEDED.iter().filter(|_| root.is_here()) {
        found.extend(std::env::var(name).ok().map(|value| ((*name).to_owned(), value)));
    }
    found
}

/// Without the cookie, which ejabberdctl heeds as well.
const HEEDED: [&str; 6] =
    ["ERLANG_NODE_ARG", "ERL_OPTIONS", "ERL_DIST_PORT", "ERL_EPMD_PORT", "ERL_EPMD_ADDRESS", "SPOOL_DIR"];

/// Where the database is: packages of distributions, installers and images each have a place of their own.
fn usual_spool(root: &Root) -> &'static str {
    let there = |path: &&&str| fs::metadata(root.at(path)).is_ok();
    ["/var/lib/ejabberd", "/opt/ejabberd", "/home/ejabberd"]
        .iter()
        .find(there)
        .copied()
        .unwrap_or("/var/lib/ejabberd")
}

/// What `ejabberdctl` has set before it reads its configuration.
fn given(config: &str, places: &Places) -> BTreeMap<String, String> {
    let mut given: BTreeMap<String, String> = [
        ("CONFIG_DIR", config),
        ("LOGS_DIR", "/var/log/ejabberd"),
        ("ERLANG_NODE", "ejabberd@localhost"),
        ("FIREWALL_WINDOW", ""),
        ("INET_DIST_INTERFACE", ""),
    ]
    .into_iter()
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .collect();
    given.insert("EJABBERD_CONFIG_PATH".into(), format!("{config}/ejabberd.yml"));
    given.insert("EJABBERDCTL_CONFIG_PATH".into(), format!("{config}/ejabberdctl.cfg"));
    given.insert("VMARGS".into(), format!("{config}/vm.args"));
    if let Some(spool) = &places.spool {
        given.insert("SPOOL_DIR".into(), spool.clone());
    }
    given
}

/// A file, and what `parse` makes of it if it can be read.
fn parsed<T>(
    root: &Root,
    role: Role,
    path: String,
    parse: impl FnOnce(&mut File, &str) -> T,
) -> (File, Option<T>) {
    let read = root.read(&path, CONFIGURATION);
    let mut file =
        File { role, path, state: State::Read, bom: false, crlf: None, broken: None, unclear: Vec::new() };
    match read {
        Err(state) => {
            file.state = state;
            (file, None)
        }
        Ok((bytes, _)) => {
            let text = text::parse(&bytes);
            (file.bom, file.crlf) = (text.bom, text.crlf);
            let parsed = parse(&mut file, &text.text);
            (file, Some(parsed))
        }
    }
}

fn line_of(text: &str, beginning: &str) -> u32 {
    let index = text.lines().position(|line| line.starts_with(beginning)).unwrap_or_default();
    u32::try_from(index + 1).unwrap_or(u32::MAX)
}

/// The system's hosts file, and those that Erlang's own configuration names.
fn hosts_files(root: &Root, inetrc: &Inetrc, files: &mut Vec<File>) -> Vec<HostsEntry> {
    let mut entries = Vec::new();
    let own = inetrc.hosts_files.iter().map(String::as_str).filter(|path| *path != "/etc/hosts");
    for path in ["/etc/hosts"].into_iter().chain(own) {
        let (file, found) = parsed(root, Role::Hosts, path.into(), |file, text| {
            let (entries, bad) = hosts::parse(text);
            let reason = "it does not begin with an address".to_owned();
            file.broken = bad.first().map(|line| Broken { line: *line, reason });
            entries
        });
        files.push(file);
        entries.extend(found.unwrap_or_default());
    }
    entries
}

/// ejabberd's cookie first, then those of the users who type its commands.
fn cookies(
    root: &Root,
    places: &Places,
    users: &[User],
    user: Option<&User>,
    name: &str,
) -> (Vec<CookieFile>, Option<Secret>) {
    let home = user.map_or("/var/lib/ejabberd", |user| user.home.as_str());
    let there = |folder: &&str| fs::symlink_metadata(root.at(&cookie_path(folder))).is_ok();
    // Erlang looks into HOME. Who keeps several nodes on a machine gives each its own, which is its spool.
    let folder = places.spool.as_deref().filter(there).unwrap_or(home);
    let (own, secret) = cookie_file(root, cookie_path(folder), name, users);
    let mut files = vec![own];
    let typing = std::env::var("SUDO_USER").unwrap_or_default();
    for other in users.iter().filter(|other| other.name == "root" || other.name == typing) {
        let path = cookie_path(&other.home);
        if files.iter().all(|file| file.path != path) && there(&other.home.as_str()) {
            files.push(cookie_file(root, path, &other.name, users).0);
        }
    }
    (files, secret)
}

fn cookie_path(folder: &str) -> String {
    format!("{}/.erlang.cookie", folder.trim_end_matches('/'))
}

fn cookie_file(root: &Root, path: String, user: &str, users: &[User]) -> (CookieFile, Option<Secret>) {
    let read = root.read(&path, CONFIGURATION);
    let mut file = CookieFile {
        path,
        user: user.to_owned(),
        state: State::Read,
        mode: 0,
        owner: 0,
        owner_name: String::new(),
        facts: None,
    };
    match read {
        Err(state) => {
            file.state = state;
            (file, None)
        }
        Ok((bytes, metadata)) => {
            let (facts, secret) = cookie::parse(&bytes);
            (file.mode, file.owner) = (metadata.mode() & 0o7777, metadata.uid());
            let owner = users.iter().find(|user| user.uid == metadata.uid());
            file.owner_name =
                owner.map_or_else(|| format!("user {}", metadata.uid()), |user| user.name.clone());
            file.facts = Some(facts);
            (file, secret)
        }
    }
}

fn addresses(root: &Root) -> Vec<IpAddr> {
    let mut addresses = sockets::parse_ipv4(&root.text("/proc/net/fib_trie"));
    addresses.extend(sockets::parse_ipv6(&root.text("/proc/net/if_inet6")));
    addresses
}

fn database(root: &Root, directory: String) -> Database {
    let looked = fs::metadata(root.at(&directory)).and_then(|metadata| {
        fs::read_dir(root.at(&directory))?;
        Ok(metadata)
    });
    let mut database = Database {
        state: State::Read,
        owner: None,
        mode: 0,
        schema: State::Missing,
        members: Vec::new(),
        others: Vec::new(),
        directory,
    };
    match looked {
        Err(error) => database.state = state(&error),
        Ok(metadata) => {
            (database.owner, database.mode) = (Some(metadata.uid()), metadata.mode() & 0o7777);
            let read = root.read(&format!("{}/schema.DAT", database.directory), SCHEMA);
            let members = read.and_then(|(bytes, _)| schema::parse(&bytes).map_err(State::Unreadable));
            match members {
                Ok(members) => (database.schema, database.members) = (State::Read, members),
                Err(state) => database.schema = state,
            }
            if database.schema == State::Missing {
                database.others = databases_below(root, &database.directory);
            }
        }
    }
    database
}

/// Databases of other names: installers and images keep each in `database/NODE`.
fn databases_below(root: &Root, directory: &str) -> Vec<OtherDatabase> {
    let mut found = Vec::new();
    for folder in [
        directory.to_owned(),
        format!("{directory}/database"),
        "/opt/ejabberd/database".into(),
        "/home/ejabberd/database".into(),
    ] {
        for name in root.names(&folder) {
            let directory = format!("{folder}/{name}");
            let read = root.read(&format!("{directory}/schema.DAT"), SCHEMA).ok();
            let Some(Ok(members)) = read.map(|(bytes, _)| schema::parse(&bytes)) else { continue };
            found.push(OtherDatabase { directory, members });
        }
    }
    found
}

/// Asks the system's resolver for hosts that no file has, all at once and for as long as `timeout`.
pub fn resolve(machine: &mut Machine, hosts: &[String], timeout: Duration) {
    if !machine.inetrc.asks_the_system() {
        return;
    }
    let deadline = Instant::now() + timeout;
    let (sender, receiver) = mpsc::channel();
    let mut open: Vec<String> = Vec::new();
    for host in hosts {
        let known = host.is_empty() || host.parse::<IpAddr>().is_ok() || !machine.listed(host).is_empty();
        if known || open.contains(host) {
            continue;
        }
        let (host, sender) = (host.clone(), sender.clone());
        open.push(host.clone());
        // Resolvers block and cannot be interrupted; one that hangs ends with the program.
        thread::spawn(move || {
            let answer = (host.as_str(), 0).to_socket_addrs();
            let answer = answer.map(|found| found.map(|address| address.ip()).collect::<Vec<_>>());
            let _nobody_waits = sender.send((host, answer.map_err(|error| words(&error))));
        });
    }
    while !open.is_empty() {
        let Ok((host, answer)) = receiver.recv_timeout(deadline.saturating_duration_since(Instant::now()))
        else {
            break;
        };
        open.retain(|waiting| *waiting != host);
        let (mut addresses, reason) = match answer {
            Ok(addresses) => (addresses, None),
            Err(reason) => (Vec::new(), Some(reason)),
        };
        addresses.dedup();
        machine.resolved.push(Resolved { host, addresses, reason });
    }
    for host in open {
        machine.resolved.push(Resolved { host, addresses: Vec::new(), reason: Some("timeout".into()) });
    }
}
