//! `ejabberd.yml`, as far as it matters to a cluster.

use saphyr_parser::{Event, Parser};
use serde::{Deserialize, Serialize};

use super::Broken;

/// Deeper files are none of ejabberd's.
const MAX_DEPTH: usize = 64;
/// More values than a megabyte of sensible text has.
const MAX_NODES: usize = 200_000;

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
    let Some(root) = read(text)? else { return Ok(yml) };
    let Node::Map(options) = root else {
        return Err(Broken { line: 1, reason: "options (`name: value`) were expected".into() });
    };
    for (key, value) in options {
        match key.as_str() {
            "hosts" => yml.hosts = value.scalars(),
            "modules" => yml.modules = value.keys(),
            "auth_method" => yml.auth_methods = value.scalars(),
            "net_ticktime" => yml.net_ticktime = value.scalars().first().and_then(|text| seconds(text)),
            "include_config_file" => {
                yml.includes = match &value {
                    Node::Map(_) => value.keys(),
                    Node::Scalar(_) | Node::List(_) => value.scalars(),
                }
            }
            "listen" => {
                if let Node::List(entries) = value {
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
    let Node::Map(options) = entry else { return None };
    let option = |name: &str| {
        let found = options.iter().find(|(key, _)| key == name);
        found.and_then(|(_, value)| value.scalars().into_iter().next())
    };
    Some(ListenPort { port: option("port")?, module: option("module").unwrap_or_default() })
}

/// A value. What an alias refers to is not followed: it may be larger than the file.
enum Node {
    Scalar(String),
    List(Vec<Node>),
    Map(Vec<(String, Node)>),
}

impl Node {
    fn scalars(&self) -> Vec<String> {
        match self {
            Self::Scalar(text) => vec![text.clone()],
            Self::List(nodes) => nodes
                .iter()
                .filter_map(|node| match node {
                    Self::Scalar(text) => Some(text.clone()),
                    Self::List(_) | Self::Map(_) => None,
                })
                .collect(),
            Self::Map(_) => Vec::new(),
        }
    }

    fn keys(&self) -> Vec<String> {
        match self {
            Self::Map(entries) => entries.iter().map(|(key, _)| key.clone()).collect(),
            Self::Scalar(_) | Self::List(_) => Vec::new(),
        }
    }
}

/// A list or mapping that is still open.
enum Open {
    List(Vec<Node>),
    Map(Vec<(String, Node)>, Option<String>),
}

/// The parser counts one more line than there is where a file ends too early, and counts carriage returns.
fn line_in(text: &str, line: usize) -> u32 {
    u32::try_from(line.min(text.split('\n').count())).unwrap_or(u32::MAX)
}

/// The first document.
fn read(text: &str) -> Result<Option<Node>, Broken> {
    let mut open: Vec<Open> = Vec::new();
    let mut count = 0_usize;
    for event in Parser::new_from_str(text) {
        let (event, span) = event.map_err(|error| Broken {
            line: line_in(text, error.marker().line()),
            reason: error.info().to_owned(),
        })?;
        count += 1;
        if open.len() > MAX_DEPTH || count > MAX_NODES {
            let line = line_in(text, span.start.line());
            return Err(Broken { line, reason: "it nests too deep or has too many values".into() });
        }
        let closed = match event {
            Event::SequenceStart(..) => {
                open.push(Open::List(Vec::new()));
                continue;
            }
            Event::MappingStart(..) => {
                open.push(Open::Map(Vec::new(), None));
                continue;
            }
            Event::SequenceEnd | Event::MappingEnd => open.pop().map(|ended| match ended {
                Open::List(nodes) => Node::List(nodes),
                Open::Map(entries, _) => Node::Map(entries),
            }),
            Event::Scalar(value, ..) => Some(Node::Scalar(value.into_owned())),
            Event::Alias(_) => Some(Node::Scalar(String::new())),
            Event::Nothing
            | Event::StreamStart
            | Event::StreamEnd
            | Event::DocumentStart(_)
            | Event::DocumentEnd => continue,
        };
        let Some(node) = closed else { continue };
        match open.last_mut() {
            None => return Ok(Some(node)),
            Some(Open::List(nodes)) => nodes.push(node),
            Some(Open::Map(entries, key)) => match (key.take(), node) {
                (Some(name), value) => entries.push((name, value)),
                (None, Node::Scalar(name)) => *key = Some(name),
                (None, Node::List(_) | Node::Map(_)) => *key = Some(String::new()),
            },
        }
    }
    Ok(None)
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
