//! What the files add up to: with which name and network settings ejabberd would start.
//!
//! `ejabberdctl` calls `erl -name|-sname NODE ... $ERL_OPTIONS -kernel ... -args_file vm.args`, in this order.

use serde::{Deserialize, Serialize};

use super::arguments::{self, Flag};
use super::cookie::{self, Secret};
use super::shell::{Idle, Script};

/// ejabberdctl's own default.
const DEFAULT_NODE: &str = "ejabberd@localhost";
/// epmd's own default.
const EPMD_PORT: u16 = 4369;

/// The name that the node would get.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OwnName {
    /// The name, with a host.
    pub name: String,
    /// Whether it is a long one (`-name`).
    pub long: bool,
    /// Where it comes from, in words.
    pub source: String,
}

/// How ejabberd would start.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settings {
    /// `None` where it cannot be told without running the files.
    pub node: Option<OwnName>,
    /// The address that the node listens on for other nodes; `None` for all.
    pub interface: Option<String>,
    /// Ports that the node may listen on for other nodes, `FIRST-LAST`.
    pub port_window: Option<String>,
    /// The one port for other nodes, where there is no epmd.
    pub dist_port: Option<u16>,
    /// Where epmd listens.
    pub epmd_port: u16,
    /// The addresses that an epmd started with the node listens on; `None` for all.
    pub epmd_address: Option<String>,
    /// The distribution's carrier, `inet_tcp` where nothing is said.
    pub proto_dist: String,
    /// Seconds, as the VM's arguments have it.
    pub net_ticktime: Option<u32>,
    /// Where a cookie is given among the arguments, for everybody to see.
    pub cookie_source: Option<String>,
    /// Where the Mnesia directory is set, and to what.
    pub spool: Option<String>,
    /// The path of `ejabberd.yml`.
    pub yml: Option<String>,
    /// Values that cannot be told without running the files.
    pub untold: Vec<Untold>,
    /// Why the cookie among the arguments could be guessed.
    #[serde(default)]
    pub cookie_weak: Option<String>,
    /// Lines of `ejabberdctl.cfg` that should set something and do not.
    #[serde(default)]
    pub idle: Vec<Idle>,
}

/// A variable whose value cannot be told without running the file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Untold {
    /// The variable.
    pub name: String,
    /// The line.
    pub line: u32,
    /// Why.
    pub reason: String,
}

impl Settings {
    /// Whether a variable has a value that cannot be told.
    #[must_use]
    pub fn is_untold(&self, name: &str) -> bool {
        self.untold.iter().any(|untold| untold.name == name)
    }
}

/// The settings of `ejabberdctl.cfg` and `vm.args`, and the cookie that the arguments give.
#[must_use]
pub fn settings(script: &Script, vm_args: &[Flag], hostname: &str) -> (Settings, Option<Secret>) {
    let mut untold = Vec::new();
    let mut value = |name: &str| {
        let assignment = script.last(name)?;
        match &assignment.value {
            Ok(value) => Some(value.trim_end().to_owned()).filter(|value| !value.is_empty()),
            Err(reason) => {
                let reason = format!("{name} depends on {reason}");
                untold.push(Untold { name: name.to_owned(), line: assignment.line, reason });
                None
            }
        }
    };
    let options = value("ERL_OPTIONS");
    // ejabberdctl takes it behind all else, wherever it is set.
    let argument = value("ERLANG_NODE_ARG");
    let origin = if argument.is_some() { "ERLANG_NODE_ARG" } else { "ERLANG_NODE" };
    let node = if argument.is_some() { argument } else { value("ERLANG_NODE") };
    let interface = value("INET_DIST_INTERFACE");
    let window = value("FIREWALL_WINDOW");
    let dist_port = value("ERL_DIST_PORT");
    let epmd_port = value("ERL_EPMD_PORT").filter(|_| script.exports("ERL_EPMD_PORT"));
    let epmd_address = value("ERL_EPMD_ADDRESS");
    let (spool, yml) = (value("SPOOL_DIR"), value("EJABBERD_CONFIG_PATH"));
    let told = !untold.iter().any(|untold| matches!(untold.name.as_str(), "ERLANG_NODE" | "ERLANG_NODE_ARG"));
    let options = arguments::split(options.as_deref().unwrap_or_default());
    let flags = Flags { parts: [("ERL_OPTIONS", &options), ("vm.args", vm_args)] };
    let (cookie_source, cookie): (_, Option<Secret>) = match flags.own_cookies().as_slice() {
        [] => (None, None),
        [(source, cookie)] => (Some((*source).to_owned()), Some(Secret::from(*cookie))),
        // Releases differ in which of them counts.
        _several => {
            let line = script.last("ERL_OPTIONS").map_or(1, |assignment| assignment.line);
            let reason = "-setcookie is given more than once".to_owned();
            untold.push(Untold { name: "-setcookie".into(), line, reason });
            (None, None)
        }
    };
    let text = |text: Option<String>| text.map(|text| without_cookie(&text));
    let settings = Settings {
        node: told.then(|| own_name(node.as_deref(), origin, &flags, hostname)),
        interface: text(
            interface.or_else(|| flags.kernel("inet_dist_use_interface").map(|text| dotted(&text))),
        ),
        port_window: text(window.or_else(|| flags.window())),
        dist_port: dist_port.or_else(|| flags.value("-erl_epmd_port")).and_then(|text| text.parse().ok()),
        epmd_port: epmd_port
            .or_else(|| flags.environment("ERL_EPMD_PORT"))
            .and_then(|text| text.parse().ok())
            .unwrap_or(EPMD_PORT),
        epmd_address: text(epmd_address.or_else(|| flags.environment("ERL_EPMD_ADDRESS"))),
        proto_dist: text(flags.value("-proto_dist")).unwrap_or_else(|| "inet_tcp".into()),
        net_ticktime: flags.kernel("net_ticktime").and_then(|text| text.parse().ok()),
        cookie_source,
        spool: text(spool),
        yml: text(yml),
        untold,
        cookie_weak: cookie.as_ref().and_then(|cookie| cookie::parse(cookie.expose().as_bytes()).0.weak),
        idle: script.idle.clone(),
    };
    (settings, cookie)
}

/// A quote that is not closed takes what follows with it, and settings are told.
fn without_cookie(value: &str) -> String {
    value.split("-setcookie").next().unwrap_or_default().to_owned()
}

/// Erlang takes the first `-sname`, and a `-name` only if there is none.
fn own_name(node: Option<&str>, origin: &'static str, flags: &Flags<'_>, hostname: &str) -> OwnName {
    let own = node.unwrap_or(DEFAULT_NODE);
    let source = if node.is_some() { origin } else { "the default" };
    // ejabberdctl: a dot anywhere makes it a long name.
    let own = (own.to_owned(), own.contains('.'), source);
    let given = |flag: &str, long: bool| {
        let (source, found) = flags.first(flag)?;
        Some((found.values.first()?.clone(), long, source))
    };
    let (name, long, source) = match own {
        (_, true, _) => given("-sname", false).unwrap_or(own),
        (_, false, _) => own,
    };
    let name = without_cookie(&name);
    let name = match (name.contains('@'), long) {
        (true, _) => name,
        (false, true) => format!("{name}@{hostname}"),
        (false, false) => format!("{name}@{}", hostname.split('.').next().unwrap_or_default()),
    };
    OwnName { name, long, source: source.to_owned() }
}

/// The VM's arguments in the order in which it gets them.
struct Flags<'f> {
    parts: [(&'static str, &'f [Flag]); 2],
}

impl Flags<'_> {
    fn all(&self) -> impl DoubleEndedIterator<Item = (&'static str, &Flag)> {
        self.parts.iter().flat_map(|(source, flags)| flags.iter().map(|flag| (*source, flag)))
    }

    fn first(&self, name: &str) -> Option<(&'static str, &Flag)> {
        self.all().find(|(_, flag)| flag.name == name)
    }

    /// `-setcookie Cookie`; `-setcookie Node Cookie` is for one other node.
    fn own_cookies(&self) -> Vec<(&'static str, &str)> {
        let cookies = self.all().filter(|(_, flag)| flag.name == "-setcookie");
        cookies
            .filter_map(|(source, flag)| match flag.values.as_slice() {
                [cookie] => Some((source, cookie.as_str())),
                _for_another_node => None,
            })
            .collect()
    }

    fn value(&self, name: &str) -> Option<String> {
        self.first(name)?.1.values.first().cloned()
    }

    /// `-kernel KEY VALUE ...`: the last flag that has the key counts, and in it the first value.
    fn kernel(&self, key: &str) -> Option<String> {
        let kernel = self.all().rev().filter(|(_, flag)| flag.name == "-kernel");
        let value = |flag: &Flag| {
            flag.values.chunks_exact(2).find_map(|pair| match pair {
                [name, value] if name == key => Some(value.clone()),
                _another_key => None,
            })
        };
        kernel.filter_map(|(_, flag)| value(flag)).next()
    }

    /// `-env NAME VALUE`.
    fn environment(&self, name: &str) -> Option<String> {
        let found = self.all().filter(|(_, flag)| flag.name == "-env");
        let value = |flag: &Flag| {
            let of_name = flag.values.first().is_some_and(|first| first == name);
            of_name.then(|| flag.values.get(1).cloned()).flatten()
        };
        found.filter_map(|(_, flag)| value(flag)).next_back()
    }

    fn window(&self) -> Option<String> {
        let first = self.kernel("inet_dist_listen_min")?;
        let last = self.kernel("inet_dist_listen_max").unwrap_or_else(|| first.clone());
        Some(format!("{first}-{last}"))
    }
}

/// `{10,0,0,1}` as people write it.
fn dotted(term: &str) -> String {
    let inside = term.trim_start_matches('{').trim_end_matches('}');
    if inside.split(',').count() == 4 { inside.replace(',', ".") } else { term.to_owned() }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::super::shell;
    use super::*;

    fn read(cfg: &str, vm_args: &str) -> Settings {
        settings(&shell::parse(cfg, &BTreeMap::new()), &arguments::parse(vm_args), "hello.world").0
    }

    fn name(cfg: &str, vm_args: &str) -> (String, bool) {
        read(cfg, vm_args).node.map(|node| (node.name, node.long)).unwrap_or_default()
    }

    #[test]
    fn a_dot_makes_a_long_name() {
        assert_eq!(name("", ""), ("ejabberd@localhost".into(), false));
        assert_eq!(name("ERLANG_NODE=ejabberd@foo.bar", ""), ("ejabberd@foo.bar".into(), true));
        assert_eq!(name("ERLANG_NODE=ejabberd", ""), ("ejabberd@hello".into(), false));
    }

    #[test]
    fn a_short_name_among_the_arguments_wins() {
        assert_eq!(name("ERLANG_NODE=a@b.c", "-sname d"), ("d@hello".into(), false));
        assert_eq!(name("ERLANG_NODE=a@b.c\nERL_OPTIONS='-name d@e.f'", ""), ("a@b.c".into(), true));
    }

    #[test]
    fn a_name_that_only_the_shell_knows_is_not_told() {
        let settings = read("ERLANG_NODE=ejabberd@$(hostname -f)", "");
        assert_eq!((settings.is_untold("ERLANG_NODE"), settings.node), (true, None));
    }

    #[test]
    fn the_network_is_told_by_variables_and_by_arguments() {
        let one = read(
            "INET_DIST_INTERFACE=10.0.0.1\r\nFIREWALL_WINDOW=4370-4375\nexport ERL_EPMD_PORT=4000\n\
             ERL_OPTIONS=\"-kernel net_ticktime 30 -proto_dist inet_tls\"\n",
            "",
        );
        let other = read(
            "",
            "-kernel inet_dist_use_interface {10,0,0,1} inet_dist_listen_min 4370\n-kernel inet_dist_listen_max 4375\n\
             -kernel net_ticktime 20 -env ERL_EPMD_PORT 4000 -proto_dist inet_tls -kernel net_ticktime 30",
        );
        for settings in [&one, &other] {
            assert_eq!(settings.interface.as_deref(), Some("10.0.0.1"));
            assert_eq!(settings.port_window.as_deref(), Some("4370-4375"));
            assert_eq!((settings.epmd_port, settings.net_ticktime), (4000, Some(30)));
            assert_eq!(settings.proto_dist, "inet_tls");
        }
        assert_eq!(read("ERL_EPMD_PORT=4000", "").epmd_port, 4369, "it is not exported");
    }

    #[test]
    fn a_cookie_among_the_arguments_is_found_and_not_kept() {
        let flags = arguments::parse("-setcookie ABCDEF");
        let (settings, cookie) = settings(&shell::Script::default(), &flags, "h");
        assert_eq!(settings.cookie_source.as_deref(), Some("vm.args"));
        assert_eq!(cookie.as_ref().map(Secret::expose), Some("ABCDEF"));
        assert!(!format!("{settings:?}").contains("ABCDEF"));
        assert_eq!(read("", "-setcookie a@b.c ABCDEF").cookie_source, None);
        let twice = read("ERL_OPTIONS='-setcookie A'", "-setcookie B");
        assert_eq!((twice.cookie_source.as_deref(), twice.is_untold("-setcookie")), (None, true));
    }

    #[test]
    fn a_cookie_that_a_wrong_quotation_has_swallowed_is_not_told() {
        for (cfg, vm_args) in [
            ("", "-sname \"a\n-setcookie ABCDEF"),
            ("", "-kernel inet_dist_use_interface \"x\n-setcookie ABCDEF"),
            ("", "-kernel inet_dist_listen_min 'x -setcookie ABCDEF'"),
            ("", "-proto_dist \"x\n-setcookie ABCDEF"),
            ("", "-env ERL_EPMD_ADDRESS \"x\n-setcookie ABCDEF"),
            ("ERLANG_NODE=a@b.c\\\nERL_OPTIONS=\"-setcookie ABCDEF\"", ""),
            ("SPOOL_DIR='x\nERL_OPTIONS=-setcookie ABCDEF'", ""),
            ("EJABBERD_CONFIG_PATH='x\nERL_OPTIONS=-setcookie ABCDEF'", ""),
        ] {
            let settings = read(cfg, vm_args);
            assert!(!format!("{settings:?}").contains("ABCDEF"), "{settings:?}");
        }
    }

    #[test]
    fn of_values_given_twice_the_one_counts_that_erlang_takes() {
        let tick_time = |vm_args: &str| read("", vm_args).net_ticktime;
        assert_eq!(tick_time("-kernel net_ticktime 20 -kernel net_ticktime 30"), Some(30));
        assert_eq!(tick_time("-kernel net_ticktime 20 net_ticktime 30"), Some(20));
        assert_eq!(read("", "-proto_dist inet_tls -proto_dist inet_tcp").proto_dist, "inet_tls");
    }
}
