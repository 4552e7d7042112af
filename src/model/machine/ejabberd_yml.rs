//! `ejabberd.yml`, as far as it matters to a cluster.

use serde::{Deserialize, Serialize};

use super::Broken;
use crate::model::yaml::{self, Node, Value};

/// What the file sets.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct EjabberdYml {
    /// XMPP domains.
    pub hosts: Vec<String>,
    /// Ports, with the module that serves each.
    pub listen: Vec<ListenPort>,
    /// Modules that are started.
    pub modules: Vec<String>,
    /// `net_ticktime`, seconds.
    pub net_ticktime: Option<u32>,
    /// `auth_method`.
    pub auth_methods: Vec<String>,
    /// Files that it includes.
    pub includes: Vec<String>,
}

/// One entry of `listen`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListenPort {
    /// The port, or the path of a socket.
    pub port: String,
    /// The module.
    pub module: String,
}

/// Reads the file.
///
/// # Errors
/// The first place that is not YAML, or not a mapping of options.
pub fn parse(text: &str) -> Result<EjabberdYml, Broken> {
    let mut yml = EjabberdYml::default();
    let Some(root) = yaml::read(text)? else { return Ok(yml) };
    let Value::Map(options) = root.value else {
        return Err(Broken { line: 1, reason: "options (`name: value`) were expected".into() });
    };
    for (key, value) in options {
        match key.text.as_str() {
            "hosts" => yml.hosts = value.scalars(),
            "modules" => yml.modules = value.keys(),
            "auth_method" => yml.auth_methods = value.scalars(),
            "net_ticktime" => yml.net_ticktime = value.scalars().first().and_then(|text| seconds(text)),
            "include_config_file" => {
                yml.includes = match &value.value {
                    Value::Map(_) => value.keys(),
                    Value::Scalar(_) | Value::List(_) | Value::Alias => value.scalars(),
                }
            }
            "listen" => {
                if let Value::List(entries) = &value.value {
                    yml.listen = entries.iter().filter_map(listen_port).collect();
                }
            }
            _other_option => {}
        }
    }
    Ok(yml)
}

/// `60`, or `60 s` and `1 minute` as ejabberd also takes them.
fn seconds(text: &str) -> Option<u32> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at_checked(digits)?;
    let factor = match unit.trim() {
        "" | "s" | "sec" | "secs" | "second" | "seconds" => 1,
        "min" | "mins" | "minute" | "minutes" => 60,
        "h" | "hour" | "hours" => 3_600,
        _ => return None,
    };
    number.parse::<u32>().ok()?.checked_mul(factor)
}

fn listen_port(entry: &Node) -> Option<ListenPort> {
    let Value::Map(_) = entry.value else { return None };
    let option = |name: &str| entry.get(name).and_then(|value| value.scalars().into_iter().next());
    Some(ListenPort { port: option("port")?, module: option("module").unwrap_or_default() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_matters_to_a_cluster_is_read() {
        let text = "# ours\nhosts:\n  - hello.world\n  - \"foo.bar\"\nloglevel: info\nnet_ticktime: 30\n\
                    listen:\n  -\n    port: 5222\n    module: ejabberd_c2s\n    ip: \"::\"\n  - port: \"unix:/x\"\n\
                    auth_method: [internal, ldap]\nmodules:\n  mod_roster: {}\n  mod_muc:\n    access: all\n\
                    include_config_file:\n  /etc/ejabberd/more.yml:\n    allow_only: [acl]\n";
        let yml = parse(text).unwrap();
        assert_eq!(yml.hosts, ["hello.world", "foo.bar"]);
        assert_eq!(yml.net_ticktime, Some(30));
        assert_eq!(yml.modules, ["mod_roster", "mod_muc"]);
        assert_eq!(yml.auth_methods, ["internal", "ldap"]);
        assert_eq!(yml.includes, ["/etc/ejabberd/more.yml"]);
        let ports: Vec<_> = yml.listen.iter().map(|l| (l.port.as_str(), l.module.as_str())).collect();
        assert_eq!(ports, [("5222", "ejabberd_c2s"), ("unix:/x", "")]);
    }

    #[test]
    fn times_have_units() {
        assert_eq!(
            ["60", "60 s", "2 minutes", "1h", "x", "60 x"].map(seconds),
            [Some(60), Some(60), Some(120), Some(3600), None, None]
        );
    }

    #[test]
    fn the_line_of_a_mistake_is_told() {
        for (text, line) in [
            ("hosts:\n  - a\n\tb: c\n", 2),
            ("a: [1, 2\nb: 3\n", 2),
            ("- a\n", 1),
            ("%TAG ! x", 1),
            ("a: 1\r\rb", 1),
        ] {
            assert_eq!(parse(text).map(|_| ()).map_err(|broken| broken.line), Err(line), "{text:?}");
        }
    }

    #[test]
    fn bombs_do_not_explode() {
        let nested = "[".repeat(100_000);
        assert!(parse(&nested).is_err());
        let blocks: String = (0..500).map(|depth| format!("{}a:\n", " ".repeat(depth))).collect();
        assert!(parse(&blocks).is_err());
        let laughs =
            "a: &a [x,x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a]\nhosts: [*b,*b,*b,*b,*b,*b]\n";
        assert!(parse(laughs).is_ok());
    }

    #[test]
    fn an_empty_file_sets_nothing() {
        assert_eq!(parse("").unwrap(), EjabberdYml::default());
        assert_eq!(parse("# nothing\n").unwrap(), EjabberdYml::default());
    }
}
