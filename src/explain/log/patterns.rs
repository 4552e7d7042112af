//! The texts that are known, as data: the words that one begins with, what follows, and what problem it is.
//!
//! In what follows, `<name>` is an atom or a name as Erlang or Elixir print it, quoted or not; `<name:list>` a list,
//! `<name:text>` as little as possible and `<name:rest>` all up to the end of the record. A line's end inside of a record
//! is a space here. Everything else is a regular expression.

use std::fmt::Write as _;
use std::sync::{LazyLock, OnceLock};

use aho_corasick::{AhoCorasick, AhoCorasickKind};
use regex::{Captures, Regex};

use crate::explain::known::Paths;
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
        // The line before says which kind of names; Erlang minds a dot in the one and none in the other.
        "** Hostname ", r"<host> is illegal \*\*"
            => f => {
                let host = f.text("host");
                let names = if host.contains('.') { "short" } else { "long" };
                Problem::IllegalHostname { host, names: names.into() }
            };
        "ode name mismatch: I'm ", r"(?:running in node )?\[<node>\],? (?:but )?the (?:mnesia )?database is owned by <owners:list>"
            => f => Problem::NodeNameMismatch { node: f.node("node"), owners: f.nodes("owners") };

        // What `easy_cluster_undecided` logs, as Mnesia itself is silent meanwhile.
        "Mnesia on ", r"<node> is starting and waits for (?P<awaited>[^:]+): it was killed in the middle of a transaction"
            => f => Problem::WaitsForDecision { node: f.node("node"), awaited: f.nodes("awaited") };

        // Distribution
        "badrpc,", " ?:?(?P<what>nodedown|timeout) ?[})]"
            => f => Problem::NoConnection {
                node: "the other node".into(),
                reason: if f.text("what") == "timeout" { "a call to it had no answer in time" } else { "a call found it down" }.into(),
            };
        "net_adm:ping(", r" ?<node> ?\)\.? +pang"
            => f => Problem::NoConnection { node: f.node("node"), reason: "net_adm:ping said pang".into() };
        "failed_to_cluster_with,", " ?<nodes:list>"
            => f => f.first_node("nodes").map(|node| Problem::NoConnection { node, reason: "Mnesia could not connect to it".into() });
        "Timeout contacting cluster nodes: ", "<nodes:list>"
            => f => f.first_node("nodes").map(|node| Problem::NoConnection { node, reason: "there was no answer in time".into() });
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
        "** Node ", r"<node> not responding \*\*(?:[ ,]* \*\* Removing \(timed ?out\) connection)?"
            => f => Problem::NodeNotResponding { node: f.node("node") };
        "register/listen error: ", r"(?:\{(?P<reason>[^\n{}]+)\}|<word>)"
            => f => match f.text("word") + &f.text("reason") {
                reason if reason.starts_with("badarg") => Problem::ListenBadarg {},
                reason => Problem::ListenFailed { reason },
            };
        "bad_environment_value,", r#" ?["']<value:text>["'] ?[})]"#
            => f => Problem::BadEnvironmentValue { value: f.text("value") };
        "Cookie file ", "<path:text> (?P<what>must be accessible by owner only|is of type [a-z]+)"
            => f => f.cookie_file(&format!("{} {}", f.text("path"), f.text("what")));
        // "Cookie file ": a bug of OTP prints the reason as numbers when the file is not a regular one.
        "67,111,111,107,105,101,32,102,105,108,101,32,", r"[0-9, ]+\| ?<kind>\]"
            => f => f.cookie_file(&format!("it is of type {}", f.text("kind")));
        // A shell's words for what it may not write.
        "can't create ", r"(?P<path>[^\n]{0,200}?\.erlang\.cookie): ?<what:text>(?:\n|$)"
            => f => f.cookie_file_not_made();
        "cannot create ", r"(?P<path>[^\n]{0,200}?\.erlang\.cookie): ?<what:text>(?:\n|$)"
            => f => f.cookie_file_not_made();
        ": line ", r"[0-9]+: (?P<path>[^\n: ]{0,200}\.erlang\.cookie): ?<what:text>(?:\n|$)"
            => f => f.cookie_file_not_made();
        "epmd: failed to ", r"(?P<what>bind|listen on) socket(?:: <why:text>(?:\n|$))?"
            => f => Problem::EpmdPortTaken { reason: format!("failed to {} socket {}", f.text("what"), f.text("why")).trim().to_owned() };
        "epmd.socket: Failed to ", "<what:rest>"
            => f => Problem::EpmdPortTaken { reason: format!("systemd failed to {}", f.text("what")) };
        "there is already a epmd running at port", ""
            => _ => Problem::EpmdRuns {};
        "This command can only be run by root or ", "(?:the )?(?:user )?<user>"
            => f => Problem::CtlUser { user: plain_name(f.text("user").trim_matches(['.', '\''])) };
        "Bad characters in cookie", ""
            => f => f.cookie_file("it has characters that a cookie cannot have");
        "Too short cookie string", ""
            => f => f.cookie_file("it is empty");
        "Error when reading ", r"(?P<path>[^\n]*?\.erlang\.cookie): ?<what>"
            => f => f.cookie_file(&format!("{}: {}", f.text("path"), f.text("what")));
        "Failed to create cookie file ", "<path>: ?<what>"
            => f => f.cookie_file_not_made();

        // Membership
        "Bad cookie in table definition ", r"<table>: ?<node> =(?: ?(?P<one>[^\n]*?)\}, ?<other> = ?(?P<two>\{cstruct[^\n]*)?)?"
            => f => f.bad_cookie();
        "Bad cookies. Cannot merge definitions of table ", r"<table>\."
            => f => f.bad_cookie();
        "Cannot merge definitions of table ", r"<table>\. Local(?: = <one:cstruct>, Remote = <two:cstruct>)?"
            => f => Problem::CannotMergeDefinitions { table: f.table("table"), other: f.other_holder() };
        "Cannot merge storage type for node ", "<node> in cstruct"
            => f => Problem::SchemaStorageDiffers { node: f.node("node"), other: String::new() };
        "Incompatible schema storage types (", r"(?:local|remote)\)\. on <node>(?: storage [a-z_]+, on <other>)?"
            => f => Problem::SchemaStorageDiffers { node: f.node("node"), other: plain_name(&f.text("other")) };
        "Incompatible schema cookies. Please, restart from old backup.", r" ?(?:<node> = ?(?:(?P<one>\[[^\n]*?\]), ?<other> = ?(?P<two>\[[^\n]*))?)?"
            => f => {
                let (node, other, wiped) = f.sides();
                Problem::IncompatibleSchemaCookies { between: f.between(), node, other, wiped }
            };
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
            => f => not_running(f.node("node"));
        "node_down,", " ?<node> ?[})]"
            => f => Some(f.node("node")).filter(|node| node.as_str().contains('@')).map(not_running);
        "auto-cluster with node ", r"<node>: ?\{error, ?tables_not_present"
            => f => Problem::MnesiaNotRunning { node: f.node("node"), state: "the log says that its tables are not there yet".into() };
        "tables_not_present", ""
            => _ => Problem::MnesiaNotRunning { node: "the other node".into(), state: "the log says that its tables are not there yet".into() };
        "{error,mnesia_not_running", ""
            => _ => not_running("the other node".into());
        "{error,{mnesia_not_running,", " ?<node>"
            => f => not_running(f.node("node"));
        "inconsistent_database event: ", " ?:?(?P<context>running_partitioned_network|starting_partitioned_network), ?<node>"
            => f => match f.text("context").as_str() {
                "running_partitioned_network" => Problem::SplitWhileRunning { node: f.node("node") },
                _ => Problem::SplitAtStart { node: f.node("node") },
            };
        "Node ", r"<node> thinks it's clustered with node <other>, but"
            => f => Problem::StaleMember { here: f.node("other"), listed_by: f.node("node") };
        "OTP version mismatch: local node is ", r"<here>, remote (?:node )?(?:is )?<there>"
            => f => Problem::OtpIncompatible { node: "the remote node".into(), missing: format!("OTP {}, as it has {}", f.text("here"), f.text("there")) };
        "Mnesia version mismatch: local node is ", r"<here>, remote (?:node )?(?:is )?<there>"
            => f => f.versions_differ("Mnesia");
        "RabbitMQ version mismatch: local node is ", r"<here>, remote (?:node )?(?:is )?<there>"
            => f => f.versions_differ("RabbitMQ");
        "no_majority,", " ?<table> ?[})]"
            => f => Problem::NoMajority { table: f.table("table") };

        // Tables
        "timeout_waiting_for_tables,", r" ?(?:(?:<node>|<nodes:list>), ?)?(?:<tables:list>|(?P<cut>\[[^\]\n]*))?"
            => f => f.timed_out();
        "still waiting for table(s): ", "<tables:list>"
            => f => f.waiting();
        "{timeout,", r" ?<tables:list> ?\}"
            => f => f.waiting();
        "{:timeout,", r" ?<tables:list> ?\}"
            => f => f.waiting();
        // Killed, or started anew, where ejabberd had begun to wait.
    "Configuration loaded successfully", r"\n[^\n]{0,200}?(?:SIGTERM received|Loading configuration from)"
        => _ => restarts();
    "Waiting for Mnesia synchronization to complete", r"\n[^\n]{0,200}?(?:SIGTERM received|Loading configuration from)"
        => _ => restarts();
    "not_active,", r#" ?(?:~c)?["']All replicas on diskfull nodes are not active yet["'], ?<table>, ?<nodes:list>"#
            => f => Problem::ReplicasNotActive { table: f.table("table"), nodes: f.nodes("nodes") };
        "not_active,", " ?<table>, ?<node> ?[})]"
            => f => Problem::ReplicasNotActive { table: f.table("table"), nodes: Nodes(vec![f.node("node")]) };
        // The schema lists everybody but the node that reads it.
        "badarg,", " ?:?schema, ?:?(?:unknown|disc_copies|ram_copies|disc_only_copies) ?[})]"
            => _ => Problem::NodeNameMismatch { node: "this one".into(), owners: Nodes(vec!["a node of another name".into()]) };
        "badarg,", " ?<table>, ?:?unknown ?[})]"
            => f => Problem::NoCopyHere { table: f.table("table") };
        "no_exists,", r" ?\[? ?:?schema ?[,\]})]"
            => _ => Problem::MnesiaStopped {};
        "already_exists,", " ?<table>, ?<node>(?:, ?:?<storage>)? ?[})]"
            => f => f.copy_exists();
        "already_exists,", " ?<what> ?[})]"
            => f => match f.text("what") {
                what if what.contains('@') => Problem::DatabaseExists { node: plain_name(&what).into() },
                what => Problem::CopyExists { table: plain_name(&what).into(), node: String::new() },
            };
        "bad_type,", " ?<table>, ?:?disc(?:_only)?_copies, ?<node> ?[})]"
            => f => Problem::RamSchema { node: f.node("node") };
        "bad_type,", r" ?\{ ?<table> ?,"
            => f => Problem::RowLayout { table: f.table("table") };
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
        "Mnesia(", r"<node>\): \*+\\?\*? ERROR \*\*[ ,]*(?:\([^\n]{0,400}?\)[ ,]*)?\*\* FATAL \*\* ?<reason:rest>"
            => f => f.died();
        "** FATAL ** ", "<reason:rest>"
            => f => f.died();
        "bad_object,", r#" ?<what> ?\},? ?~?c?["'](?P<path>/[^"'\n]+)["']"#
            => f => f.table_file(&format!("bad_object {}", f.text("what")));
        "premature_eof,", r#" ?~?c?["'](?P<path>/[^"'\n]+)["']"#
            => f => f.table_file("premature_eof");
        "not_a_dets_file,", r#" ?~?c?["'](?P<path>/[^"'\n]+)["']"#
            => f => f.table_file("not_a_dets_file");
        "not_a_log_file,", r#" ?~?c?["'](?P<path>/[^"'\n]+)["']"#
            => f => f.table_file("not_a_log_file");
        "file_error,", r#" ?~?c?["'](?P<path>/[^"'\n]+)["'], ?:?<why>"#
            => f => f.table_file(&f.text("why"));
        "not properly closed, repairing", ""
            => _ => harmless("a table's file was not properly closed, repairing", "dets does so when it opens a file that was open while its node was killed; the rows stay, and the start takes longer");
        "has been deactivated, last table copy deleted", ""
            => _ => harmless("a checkpoint has been deactivated", "a table was deleted while a backup was reading it");
        "Cannot get connection id for node ", "<node>"
            => f => harmless(&format!("cannot get connection id for node {}", f.node("node")), "the connection ended just when it was looked up");
        "Data may be missing, log ", r#"~?c?["'](?P<path>/[^"'\n]+)["'] repaired: Lost (?P<bytes>[0-9]+) bytes"#
            => f => f.log_repaired(format!("{} bytes of it could not be read", f.text("bytes")));
        "Data may be missing, Corrupt logfile deleted: ", r#"~?c?["'](?P<path>/[^"'\n]+)["']"#
            => f => f.log_repaired("it could not be read and was deleted".into());
        " repaired, lost ", "(?P<bytes>[0-9]+) bad bytes"
            => f => f.log_repaired(format!("{} bytes of it could not be read", f.text("bytes")));
        "Mnesia on ", "<node> could not connect to node(?:\\(s\\))? (?:<nodes:list>|<other>)"
            => f => {
                let reason = format!("Mnesia on {} could not connect to it", f.node("node"));
                let other = f.first_node("nodes").or_else(|| Some(f.node("other")));
                other.map(|node| Problem::NoConnection { node, reason })
            };
        // These tell only where files are.
        "Loading configuration from ", "never" => _ => None;
        "(core dumped to file: ", "never" => _ => None;
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

fn waits() -> Problem {
    Problem::WaitingForTables {
        tables: "its start stands still where ejabberd waits for Mnesia".into(),
        nodes: Nodes(Vec::new()),
    }
}

fn harmless(text: &str, meaning: &str) -> Problem {
    Problem::Harmless { text: text.into(), meaning: meaning.into() }
}

const RESTARTED: &str = "its start was ended, or begun anew, where ejabberd waits for Mnesia";

fn restarts() -> Problem {
    Problem::WaitingForTables { tables: RESTARTED.into(), nodes: Nodes(Vec::new()) }
}

/// Whether it was concluded from what is not in the log.
pub(super) fn is_restart(problem: &Problem) -> bool {
    matches!(problem, Problem::WaitingForTables { tables, .. } if tables == RESTARTED)
}

/// What a log says, and nobody has seen.
fn not_running(node: NodeName) -> Problem {
    Problem::MnesiaNotRunning { node, state: "the log says so".into() }
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

/// The Mnesia product that writes in these words, other than ejabberd.
pub(super) fn product(text: &str) -> &'static str {
    let head = text.get(..text.floor_char_boundary(PRODUCT_REACH)).unwrap_or_default();
    let known = |words: &&(&str, &[&str])| words.1.iter().any(|word| head.contains(word));
    PRODUCTS.iter().find(known).map_or("", |(product, _)| product)
}

/// Where a text tells whose it is, bytes.
const PRODUCT_REACH: usize = 64 << 10;
const PRODUCTS: [(&str, &[&str]); 6] = [
    ("RabbitMQ", &["rabbit@", "RabbitMQ", "rabbitmq", "rabbit_"]),
    ("EMQX", &["emqx", "EMQX", "ekka", "mria"]),
    ("VerneMQ", &["vmq_", "VerneMQ", "vernemq"]),
    ("MongooseIM", &["mongooseim", "MongooseIM", "mongoose_"]),
    ("CouchDB", &["couchdb", "CouchDB"]),
    ("Riak", &["riak@", "riak_"]),
];

impl Pattern {
    /// Notes where the installation has its files, where the text has it.
    pub(super) fn path(&self, text: &str, paths: &mut Paths) {
        let place = match self.begins {
            "Loading configuration from " => &mut paths.configuration,
            "(core dumped to file: " => &mut paths.database,
            _ => return,
        };
        if !place.is_empty() {
            return;
        }
        let text = text
            .get(..text.floor_char_boundary(FACT))
            .unwrap_or_default()
            .trim_start_matches(['"', '\'', '~', 'c']);
        let path = text.split(['"', '\'', ' ', '\n', ')']).next().unwrap_or_default();
        let Some((folder, file)) = path.rsplit_once('/').filter(|(folder, _)| folder.starts_with('/')) else {
            return;
        };
        if file == "ejabberd.yml" {
            *place = plain_path(&format!("{folder}/ejabberdctl.cfg"));
        } else if file.starts_with("MnesiaCore.") && folder != "/etc/ejabberd" {
            *place = plain_path(folder);
        }
    }

    /// The node that says so itself: `Mnesia('ejabberd@foo.bar'): ...`.
    pub(super) fn writer(&self, text: &str) -> Option<NodeName> {
        if self.begins != "Mnesia(" {
            return None;
        }
        let node = unquoted(text.get(..text.floor_char_boundary(FACT))?.split_once(')')?.0);
        node.contains('@').then(|| plain_name(node).into())
    }

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
            "cstruct" => r"\{cstruct[^\n]*?\}",
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

    fn first_node(&self, name: &str) -> Option<NodeName> {
        self.nodes(name).0.into_iter().next()
    }

    /// The fence does not differ by accident.
    fn bad_cookie(&self) -> Problem {
        let (table, between) = (self.table("table"), self.between());
        if table.as_str() == catalogue::FENCE {
            // The fence is made anew when a node is forgotten: who is listed on the other side only is that node.
            let (member, returned, known) = self.sides();
            let [member, returned] = [member, returned].map(|node| if known { node } else { String::new() });
            return Problem::ForgottenReturned { between, returned, member };
        }
        let (node, other, wiped) = self.sides();
        Problem::BadTableCookie { table, between, node, other, wiped }
    }

    /// The two nodes of a merge. Where one of them was wiped, that one first: the other one's definition lists it, and its
    /// own does not list the other.
    fn sides(&self) -> (String, String, bool) {
        let (node, other) = (plain_name(&self.text("node")), plain_name(&self.text("other")));
        if node.is_empty() || other.is_empty() {
            return (String::new(), String::new(), false);
        }
        let lists = |side: &str, who: &str| holders(self.raw(side)).contains(&who);
        let known = !holders(self.raw("one")).is_empty() && !holders(self.raw("two")).is_empty();
        match (lists("one", &other), lists("two", &node)) {
            (true, false) if known => (other, node, true),
            (false, true) if known => (node, other, true),
            (true | false, true | false) => (node, other, false),
        }
    }

    /// A node of the other side of a merge: one that only the other definition lists.
    fn other_holder(&self) -> String {
        let here = holders(self.raw("one"));
        let there = holders(self.raw("two"));
        let other = there.iter().find(|node| !here.contains(node));
        other.map(|node| plain_name(&short(node))).unwrap_or_default()
    }

    /// `{timeout_waiting_for_tables, Nodes, Tables}`, or without the nodes, or cut off.
    fn timed_out(&self) -> Option<Problem> {
        let is_node = |name: &&str| name.contains('@');
        let mut nodes = self.nodes("nodes");
        let tables = if self.elements("tables").any(|name| is_node(&name)) {
            nodes = self.nodes("tables");
            String::new()
        } else if self.elements("tables").all(is_table) {
            self.names("tables")
        } else {
            String::new()
        };
        if nodes.0.is_empty() && self.elements("cut").next().as_ref().is_some_and(is_node) {
            nodes = Nodes(
                self.elements("cut")
                    .filter(|name| name.ends_with(char::is_alphanumeric))
                    .filter(is_node)
                    .map(|name| plain_name(&short(name)).into())
                    .collect(),
            );
        }
        nodes.0.retain(|node| node.as_str().contains('@'));
        let node = plain_name(&self.text("node"));
        if nodes.0.is_empty() && node.contains('@') {
            nodes.0.push(node.into());
        }
        let tables = if tables.is_empty() { "which ones is cut off".into() } else { tables };
        Some(Problem::WaitingForTables { tables, nodes })
    }

    fn copy_exists(&self) -> Problem {
        let (node, storage) = (plain_name(&self.text("node")), plain_name(&self.text("storage")));
        let storage = if storage.is_empty() { String::new() } else { format!(", as {storage}") };
        let (table, node) = (self.text("table"), format!(" on {node}{storage}"));
        Problem::CopyExists { table: plain_name(&table).into(), node }
    }

    fn versions_differ(&self, application: &str) -> Problem {
        Problem::VersionsDiffer {
            application: application.into(),
            here: self.text("here"),
            node: "the remote node".into(),
            there: self.text("there"),
        }
    }

    fn cookie_file_not_made(&self) -> Problem {
        self.cookie_file(&format!("{} cannot be made: {}", self.text("path"), self.text("what")))
    }

    fn cookie_file(&self, reason: &str) -> Problem {
        Problem::CookieFile { reason: reason.to_owned(), path: plain_path(&self.text("path")) }
    }

    fn log_repaired(&self, lost: String) -> Problem {
        let path = plain_path(&self.text("path"));
        Problem::LogRepaired { path: if path.is_empty() { "LATEST.LOG".into() } else { path }, lost }
    }

    fn table_file(&self, why: &str) -> Problem {
        Problem::TableFile { path: plain_path(&self.text("path")), why: why.to_owned() }
    }

    /// What another pattern tells better is left to it.
    fn died(&self) -> Option<Problem> {
        let raw = self.raw("reason");
        let known = [
            "Failed to merge schema",
            "Bad cookie",
            "Cannot merge ",
            "Incompatible schema ",
            "Mnesia is not stopped",
        ];
        if known.iter().any(|text| raw.contains(text)) {
            return None;
        }
        let node = plain_name(&self.text("node"));
        let node = if node.is_empty() { "a node".to_owned() } else { node };
        let quoted =
            raw.split(['"', '\'']).filter(|part| part.starts_with('/')).max_by_key(|part| part.len());
        let words = || raw.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
        let why = words().rfind(|word| REASONS.contains(word)).unwrap_or_default();
        Some(Problem::MnesiaDied {
            node: node.into(),
            reason: self.text("reason"),
            path: plain_path(quoted.unwrap_or_default()),
            why: why.to_owned(),
        })
    }

    /// `{timeout, [Table, ...]}`; anything but atoms in the list is not what Mnesia returns.
    fn waiting(&self) -> Option<Problem> {
        let tables = self.names("tables");
        (!tables.is_empty() && self.elements("tables").all(is_table))
            .then_some(Problem::WaitingForTables { tables, nodes: Nodes(Vec::new()) })
    }
}

/// What Mnesia says of a file that it cannot use.
const REASONS: [&str; 17] = [
    "eacces",
    "eperm",
    "enospc",
    "edquot",
    "emfile",
    "enfile",
    "system_limit",
    "enoent",
    "enotdir",
    "erofs",
    "eio",
    "bad_object",
    "bad_object_header",
    "premature_eof",
    "not_a_dets_file",
    "not_a_log_file",
    "corrupt_log_file",
];

/// No list of tables has numbers or nodes in it.
fn is_table(name: &str) -> bool {
    name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.'))
        && !name.starts_with(|c: char| c.is_ascii_digit())
}

/// The nodes that a table's definition lists as holders: `{cstruct,Name,Type,Ram,Disc,DiscOnly,...}` or its properties.
fn holders(definition: &str) -> Vec<&str> {
    let mut nodes = Vec::new();
    if definition.starts_with("{cstruct") {
        for list in definition.split('[').skip(1).take(4) {
            let names = list.split(']').next().unwrap_or_default().split(',').map(unquoted);
            nodes.extend(names.filter(|name| name.contains('@')));
        }
        return nodes;
    }
    for key in ["{ram_copies,", "{disc_copies,", "{disc_only_copies,"] {
        let Some((_, rest)) = definition.split_once(key) else { continue };
        let Some((names, _)) = rest.split_once(']') else { continue };
        let names = names.trim_start_matches([' ', '[']).split(',').map(unquoted);
        nodes.extend(names.filter(|name| name.contains('@')));
    }
    nodes
}

/// A path goes into commands that people paste.
fn plain_path(text: &str) -> String {
    text.chars().map(|c| if c.is_alphanumeric() || "/@._-+".contains(c) { c } else { '?' }).collect()
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
