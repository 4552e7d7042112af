//! The texts that are known, as data: the words that one begins with, what follows, and what problem it is.
//!
//! In what follows, `<name>` is an atom or a name as Erlang or Elixir print it, quoted or not; `<name:list>` a list,
//! `<name:text>` as little as possible and `<name:rest>` all up to the end of the record. A line's end inside of a record
//! is a space here. Everything else is a regular expression.

use std::fmt::Write as _;
use std::sync::{LazyLock, OnceLock};

use aho_corasick::{AhoCorasick, AhoCorasickKind};
use regex::{Captures, Regex};

use crate::model::catalogue;
use crate::model::name::{NodeName, TableName};
use crate::validate::problem::{Nodes, Problem};

/// The longest fact, characters.
const FACT: usize = 200;
const ATOM: &str = r#":?(?:'[^'\n]+'|"[^"\n]+"|[^\s'",;:\[\](){}=|]+)"#;

/// A known text.
pub(super) struct Pattern {
    /// The words that it begins with.
    begins: &'static str,
    follows: &'static str,
    /// Nothing when another pattern has more to say.
    problem: fn(&Facts<'_>) -> Option<Problem>,
    regex: OnceLock<Option<Regex>>,
}

macro_rules! patterns {
    ($($begins:literal, $follows:literal => $facts:pat => $problem:expr;)*) => {
        vec![$(Pattern {
            begins: $begins,
            follows: $follows,
            problem: { fn problem($facts: &Facts<'_>) -> Option<Problem> { $problem.into() } problem },
            regex: OnceLock::new(),
        },)*]
    };
}

static PATTERNS: LazyLock<Vec<Pattern>> = LazyLock::new(|| {
    patterns! {
        // Names
        "the name ", "<name> seems to be in use by another Erlang node"
            => f => Problem::NameInUse { name: f.text("name") };
        "The ejabberd node ", "<name> is (?:already running|registered)"
            => f => Problem::NameInUse { name: f.text("name") };
        "Can't set ", "(?P<kind>long|short) node name"
            => f => Problem::CannotSetNodeName { kind: f.text("kind") };
        "System running to use fully qualified hostnames", r" ?\*\*[ ,]* \*\* Hostname <host> is illegal"
            => f => Problem::IllegalHostname { host: f.text("host"), names: "long".into() };
        "System NOT running to use fully qualified hostnames", r" ?\*\*[ ,]* \*\* Hostname <host> is illegal"
            => f => Problem::IllegalHostname { host: f.text("host"), names: "short".into() };
        "ode name mismatch: I'm ", r"(?:running in node )?\[<node>\],? (?:but )?the (?:mnesia )?database is owned by <owners:list>"
            => f => Problem::NodeNameMismatch { node: f.node("node"), owners: f.nodes("owners") };

        // Distribution
        "no_ping,", " ?<node> ?[})]"
            => f => Problem::NoConnection { node: f.node("node"), reason: "ejabberd's ping had no answer".into() };
        "This node cannot reach that node", ""
            => _ => Problem::CannotReachNode {};
        "Failed RPC connection to the node ", "<node>: ?(?:(?P<word>timeout|nodedown)|<reason:rest>)"
            => f => match f.text("word").as_str() {
                "timeout" => Problem::RpcTimeout { node: f.node("node") },
                "nodedown" => Problem::RpcNodedown { node: f.node("node") },
                _ => Problem::RpcFailed { node: f.node("node"), reason: f.text("reason") },
            };
        "Connection attempt from disallowed node ", "<node>"
            => f => Problem::NodeDisallowed { node: f.node("node") };
        "Connection attempt with disallowed node ", "<node>"
            => f => Problem::NodeDisallowed { node: f.node("node") };
        // Up to OTP 21.
        "Connection attempt to disallowed node ", "<node>"
            => f => Problem::PeerCookieDiffers { node: f.node("node") };
        "Connection attempt from node ", r"<node> rejected\. Invalid challenge reply"
            => f => Problem::PeerCookieDiffers { node: f.node("node") };
        "Connection attempt to node ", r"<node> cancelled\. Invalid challenge ack"
            => f => Problem::PeerCookieDiffers { node: f.node("node") };
        "Connection attempt from node ", "<node> rejected since it cannot handle <missing:list>"
            => f => Problem::OtpIncompatible { node: f.node("node"), missing: f.text("missing") };
        "Connection attempt to node ", "<node> aborted since it cannot handle <missing:list>"
            => f => Problem::OtpIncompatible { node: f.node("node"), missing: f.text("missing") };
        "** Node ", r"<node> not responding \*\*[ ,]* \*\* Removing \(timed ?out\) connection"
            => f => Problem::NodeNotResponding { node: f.node("node") };
        "register/listen error: ", "<reason:rest>"
            => f => match f.text("reason") {
                reason if reason.starts_with("badarg") => Problem::ListenBadarg {},
                reason => Problem::ListenFailed { reason },
            };
        "bad_environment_value,", r#" ?["']<value:text>["'] ?[})]"#
            => f => Problem::BadEnvironmentValue { value: f.text("value") };
        "Cookie file ", "<path:text> (?P<what>must be accessible by owner only|is of type [a-z]+)"
            => f => Problem::CookieFile { reason: format!("{} {}", f.text("path"), f.text("what")) };
        // "Cookie file ": a bug of OTP prints the reason as numbers when the file is not a regular one.
        "67,111,111,107,105,101,32,102,105,108,101,32,", r"[0-9, ]+\| ?<kind>\]"
            => f => Problem::CookieFile { reason: format!("it is of type {}", f.text("kind")) };
        "Bad characters in cookie", ""
            => _ => Problem::CookieFile { reason: "it has characters that a cookie cannot have".into() };
        "Too short cookie string", ""
            => _ => Problem::CookieFile { reason: "it is empty".into() };
        "Error when reading ", r"(?P<path>[^\n]*?\.erlang\.cookie): ?<what>"
            => f => Problem::CookieFile { reason: format!("{}: {}", f.text("path"), f.text("what")) };
        "Failed to create cookie file ", "<path>: ?<what>"
            => f => Problem::CookieFile { reason: format!("{} cannot be made: {}", f.text("path"), f.text("what")) };

        // Membership
        "Bad cookie in table definition ", r"<table>: ?<node> =(?:[^\n]*?\}, ?<other> = ?\{cstruct)?"
            => f => bad_cookie(f, f.between());
        "Bad cookies. Cannot merge definitions of table ", r"<table>\."
            => f => bad_cookie(f, "one here and one on another member".into());
        "Cannot merge definitions of table ", r"<table>\. Local"
            => f => Problem::CannotMergeDefinitions { table: f.table("table") };
        "Cannot merge storage type for node ", "<node> in cstruct"
            => f => Problem::SchemaStorageDiffers { node: f.node("node") };
        "Incompatible schema storage types (", r"(?:local|remote)\)\. on <node>"
            => f => Problem::SchemaStorageDiffers { node: f.node("node") };
        "Incompatible schema cookies. Please, restart from old backup.", r" ?(?:<node> = ?\[(?:[^\n]*?\], ?<other> = ?\[)?)?"
            => f => Problem::IncompatibleSchemaCookies { between: f.between() };
        "merge_schema_failed,", " ?<reason:rest>"
            => f => merge_failed(f);
        "Failed to merge schema: ", "<reason:rest>"
            => f => merge_failed(f);
        "inconsistent_database,", " ?:?(?P<context>running_partitioned_network|starting_partitioned_network|bad_decision), ?<node> ?[})]"
            => f => match f.text("context").as_str() {
                "running_partitioned_network" => Problem::SplitWhileRunning { node: f.node("node") },
                "starting_partitioned_network" => Problem::SplitAtStart { node: f.node("node") },
                _ => Problem::BadDecision { node: f.node("node") },
            };
        "'global' at node ", "<node> (?P<action>[a-z ]+?)(?: node)? <other> in order to prevent overlapping partitions"
            => f => Problem::OverlappingPartitions { node: f.node("node"), action: f.text("action"), other: f.node("other") };
        "'global' at ", "<node> (?P<action>failed to connect to) <other>"
            => f => Problem::OverlappingPartitions { node: f.node("node"), action: f.text("action"), other: f.node("other") };
        "in an old incarnation", r" \(?(?P<old>[0-9]+)\)? of this node \(?(?P<now>[0-9]+)\)?"
            => f => Problem::OldIncarnation { old: f.text("old"), now: f.text("now") };
        "node_not_running,", " ?<node> ?[})]"
            => f => Problem::MnesiaNotRunning { node: f.node("node"), state: "no".into() };
        "no_majority,", " ?<table> ?[})]"
            => f => Problem::NoMajority { table: f.table("table") };

        // Tables
        "timeout_waiting_for_tables,", r" ?(?:<node>, ?|\[[^\]\n]*\], ?)?<tables:list>"
            => f => Problem::WaitingForTables { tables: f.names("tables") };
        "{timeout,", r" ?<tables:list> ?\}"
            => f => f.waiting();
        "{:timeout,", r" ?<tables:list> ?\}"
            => f => f.waiting();
        // Killed, or started anew, where ejabberd had begun to wait.
    "Configuration loaded successfully", r"\n[^\n]{0,200}?(?:SIGTERM received|Loading configuration from)"
        => _ => waits();
    "Waiting for Mnesia synchronization to complete", r"\n[^\n]{0,200}?(?:SIGTERM received|Loading configuration from)"
        => _ => waits();
    "not_active,", r#" ?(?:~c)?["']All replicas on diskfull nodes are not active yet["'], ?<table>, ?<nodes:list>"#
            => f => Problem::ReplicasNotActive { table: f.table("table"), nodes: f.nodes("nodes") };
        "not_active,", " ?<table>, ?<node> ?[})]"
            => f => Problem::ReplicasNotActive { table: f.table("table"), nodes: Nodes(vec![f.node("node")]) };
        "badarg,", " ?<table>, ?:?unknown ?[})]"
            => f => Problem::NoCopyHere { table: f.table("table") };
        "no_exists,", r" ?\[? ?<table> ?[,\]})]"
            => f => Problem::TableMissing { table: f.table("table") };
        "Bad transform function", r#"["']?, ?<table>, ?(?:#Fun<[^>\n]*>|[^,\n]+), ?<node>"#
            => f => Problem::BadTransform { table: f.table("table"), node: f.text("node") };
        "Can't restore backup from ", r#""<path:text>" at node <node>: Table <table> does not exist"#
            => f => Problem::RestoreTableMissing { table: f.table("table"), path: f.text("path") };
        "Can't restore backup from ", r#""<path:text>" at node <node>: File not found"#
            => f => Problem::RestoreFileMissing { path: f.text("path") };
        "Mnesia is overloaded: ", r"(?P<what>\{[^\n}]*\}|[^\s]+)"
            => f => Problem::MnesiaOverloaded { reason: f.text("what").replace([' ', ':'], "") };
        "mnesia_overload,", r" ?(?P<what>\{[^\n}]*\}|[^\s})]+)"
            => f => Problem::MnesiaOverloaded { reason: f.text("what").replace([' ', ':'], "") };
        "Mnesia is not stopped everywhere", r#"["']?, ?<nodes:list>"#
            => f => Problem::MnesiaNotStopped { nodes: f.nodes("nodes") };
    }
});

/// What another pattern tells better is left to it.
fn merge_failed(facts: &Facts<'_>) -> Option<Problem> {
    let reason = facts.text("reason");
    let plain = reason.trim_start_matches(['"', '\'', '<', '~', 'c']);
    let known = ["Bad cookie", "Cannot merge ", "Incompatible schema "];
    (!known.iter().any(|text| plain.starts_with(text))).then_some(Problem::MergeSchemaFailed { reason })
}

/// The fence does not differ by accident.
fn bad_cookie(facts: &Facts<'_>, between: String) -> Problem {
    let table = facts.table("table");
    if table.as_str() == catalogue::FENCE {
        Problem::ForgottenReturned { between }
    } else {
        Problem::BadTableCookie { table, between }
    }
}

fn waits() -> Problem {
    Problem::WaitingForTables { tables: "its start stands still where ejabberd waits for Mnesia".into() }
}

/// The problem of a log that ends with this line: ejabberd waits for tables without a word.
pub(super) fn silence(last: &str) -> Option<Problem> {
    let begins_to_wait =
        ["Configuration loaded successfully", "Waiting for Mnesia synchronization to complete"];
    begins_to_wait.iter().any(|text| last.trim_end().ends_with(text)).then(waits)
}

/// Where patterns may begin before `cut`: from, to, which; in order.
pub(super) fn beginnings(text: &str, cut: usize) -> Vec<(usize, usize, &'static Pattern)> {
    static BEGINNINGS: LazyLock<Option<AhoCorasick>> = LazyLock::new(|| {
        let words = PATTERNS.iter().map(|pattern| pattern.begins);
        AhoCorasick::builder().kind(Some(AhoCorasickKind::DFA)).build(words).ok()
    });
    let Some(words) = BEGINNINGS.as_ref() else { return Vec::new() };
    let mut found: Vec<_> = words
        .find_overlapping_iter(text)
        .filter(|word| word.start() < cut)
        .filter_map(|word| Some((word.start(), word.end(), PATTERNS.get(word.pattern().as_usize())?)))
        .collect();
    found.sort_by_key(|(start, end, _)| (*start, usize::MAX - end));
    found
}

impl Pattern {
    /// The problem, and how much of the text it takes.
    pub(super) fn read(&self, text: &str) -> Option<(Problem, usize)> {
        let captures = self.compiled()?.captures(text)?;
        let problem = (self.problem)(&Facts(&captures))?;
        Some((problem, captures.get(0)?.end()))
    }

    fn compiled(&self) -> Option<&Regex> {
        self.regex.get_or_init(|| Regex::new(&format!(r"\A(?:{})", expand(self.follows))).ok()).as_ref()
    }
}

/// Replaces `<name>` and `<name:kind>` by groups of that name.
fn expand(follows: &str) -> String {
    let mut out = String::new();
    let mut rest = follows;
    while let Some((before, after)) = rest.split_once('<') {
        let group = after
            .split_once('>')
            .filter(|(name, _)| name.bytes().all(|b| b.is_ascii_lowercase() || b == b':'));
        // A group that is written out, or the < of a fun.
        let Some((name, after)) = group.filter(|_| !before.ends_with("?P") && !before.ends_with("#Fun"))
        else {
            out.push_str(before);
            out.push('<');
            rest = after;
            continue;
        };
        let (name, kind) = name.split_once(':').unwrap_or((name, "atom"));
        let kind = match kind {
            "list" => r"\[[^\]\n]*\]",
            "text" => r"[^\n]+?",
            "rest" => r"[^\n]+",
            _ => ATOM,
        };
        out.push_str(before);
        let _ = write!(out, "(?P<{name}>{kind})");
        rest = after;
    }
    out + rest
}

/// What a pattern found.
struct Facts<'a>(&'a Captures<'a>);

impl Facts<'_> {
    fn raw(&self, name: &str) -> &str {
        self.0.name(name).map_or("", |group| group.as_str())
    }

    /// Without quotes, and short.
    fn text(&self, name: &str) -> String {
        short(unquoted(self.raw(name)))
    }

    fn node(&self, name: &str) -> NodeName {
        plain_name(&self.text(name)).into()
    }

    fn table(&self, name: &str) -> TableName {
        plain_name(&self.text(name)).into()
    }

    fn elements(&self, name: &str) -> impl Iterator<Item = &str> {
        self.raw(name).trim_matches(['[', ']']).split(',').map(unquoted).filter(|element| !element.is_empty())
    }

    fn nodes(&self, name: &str) -> Nodes {
        Nodes(self.elements(name).take(50).map(|element| plain_name(&short(element)).into()).collect())
    }

    fn names(&self, name: &str) -> String {
        short(&self.elements(name).collect::<Vec<_>>().join(", "))
    }

    /// The two sides of a merge, as far as they are told.
    fn between(&self) -> String {
        match (self.text("node").as_str(), self.text("other").as_str()) {
            ("", _) => "one here and one on another member".into(),
            (node, "") => format!("one on {node} and one on another member"),
            (node, other) => format!("one on {node} and one on {other}"),
        }
    }

    /// `{timeout, [Table, ...]}`; anything but atoms in the list is not what Mnesia returns.
    fn waiting(&self) -> Option<Problem> {
        let atom = |name: &str| {
            name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'@' | b'.'))
                && !name.starts_with(|c: char| c.is_ascii_digit())
        };
        let tables = self.names("tables");
        (!tables.is_empty() && self.elements("tables").all(atom))
            .then_some(Problem::WaitingForTables { tables })
    }
}

fn unquoted(text: &str) -> &str {
    let text = text.trim();
    let text = text.strip_prefix(':').unwrap_or(text);
    ['\'', '"'].iter().find_map(|q| text.strip_prefix(*q)?.strip_suffix(*q)).unwrap_or(text).trim()
}

/// Names are printed in fixes that people paste, and strangers can have their words logged: no name ends a quotation.
fn plain_name(text: &str) -> String {
    text.chars().map(|c| if c.is_alphanumeric() || "@._-:+…".contains(c) { c } else { '?' }).collect()
}

fn short(text: &str) -> String {
    let fits = text.chars().nth(FACT).is_none();
    if fits { text.to_owned() } else { text.chars().take(FACT - 1).chain(['…']).collect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_pattern_compiles() {
        for pattern in PATTERNS.iter() {
            let compiled = Regex::new(&expand(pattern.follows));
            assert!(compiled.is_ok(), "{} {}: {compiled:?}", pattern.begins, expand(pattern.follows));
        }
        assert!(!beginnings("the name ", 1).is_empty());
    }

    #[test]
    fn a_group_is_an_atom_in_any_quotes() {
        let regex = Regex::new(&expand("^<node>$")).unwrap();
        for text in ["a@b.c", "'a@b.c'", ":\"a@b.c\"", ":a@b"] {
            assert!(regex.is_match(text), "{text}");
        }
        assert_eq!(unquoted(":\"a@b.c\""), "a@b.c");
        assert_eq!(unquoted("'a@b.c'"), "a@b.c");
    }
}
