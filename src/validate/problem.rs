//! Everything that can be wrong, once: the code, the evidence, the fix.
//!
//! The refusals of an operation, the warnings of a plan, the failures of a step and `docs/errors.md` all come from
//! this one list. A problem serialises as `{code, #{field => value}}`.

use std::fmt;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::model::name::{AtomName, NodeName, TableName};

/// Nodes, printed with commas between them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Nodes(pub Vec<NodeName>);

impl fmt::Display for Nodes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("none");
        }
        self.0.iter().enumerate().try_for_each(|(i, node)| {
            if i > 0 {
                f.write_str(", ")?;
            }
            fmt::Display::fmt(node, f)
        })
    }
}

/// Tables, the first of them printed by name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tables(pub Vec<TableName>);

impl Tables {
    const NAMED: usize = 12;
}

impl fmt::Display for Tables {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<String> = self.0.iter().take(Self::NAMED).map(TableName::to_string).collect();
        write!(
            f,
            "{} {} ({}",
            self.0.len(),
            if self.0.len() == 1 { "table" } else { "tables" },
            names.join(", ")
        )?;
        f.write_str(if self.0.len() > Self::NAMED { ", …)" } else { ")" })
    }
}

/// Lines of a text, printed with their numbers.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lines(pub Vec<u32>);

impl Lines {
    /// Lines in order, each once.
    pub fn of(lines: impl IntoIterator<Item = u32>) -> Self {
        let mut lines: Vec<u32> = lines.into_iter().collect();
        lines.sort_unstable();
        lines.dedup();
        Self(lines)
    }
}

impl fmt::Display for Lines {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let numbers: Vec<String> = self.0.iter().map(ToString::to_string).collect();
        match numbers.split_last() {
            None => f.write_str("what holds by default"),
            Some((only, [])) => write!(f, "line {only}"),
            Some((last, others)) => write!(f, "lines {} and {last}", others.join(", ")),
        }
    }
}

/// Bytes, printed in the unit that reads best.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bytes(pub u64);

impl fmt::Display for Bytes {
    #[expect(clippy::cast_precision_loss, reason = "two digits are shown")]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            n if n < 1_000 => write!(f, "{n} bytes"),
            n if n < 1_000_000 => write!(f, "{:.1} kB", n as f64 / 1e3),
            n if n < 1_000_000_000 => write!(f, "{:.1} MB", n as f64 / 1e6),
            n => write!(f, "{:.2} GB", n as f64 / 1e9),
        }
    }
}

/// A duration in milliseconds, printed in the unit that reads best.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Milliseconds(pub u64);

impl fmt::Display for Milliseconds {
    #[expect(clippy::cast_precision_loss, reason = "two digits are shown")]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            n if n < 1_000 => write!(f, "{n} ms"),
            n if n < 120_000 => write!(f, "{:.1} s", n as f64 / 1e3),
            n => write!(f, "{:.1} min", n as f64 / 6e4),
        }
    }
}

/// Where in the stack a problem sits, from the outside in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Layer {
    /// What was asked for.
    Request,
    /// Names of nodes and hosts.
    Names,
    /// Getting there: epmd, ports, cookie.
    Distribution,
    /// Who belongs to which cluster.
    Membership,
    /// Table definitions and contents.
    Tables,
    /// Memory and disk.
    Capacity,
    /// Carrying a plan out.
    Operation,
    /// easy_cluster's own parts.
    Installation,
    /// Files and sockets of a machine, before ejabberd starts.
    Machine,
}

impl Layer {
    /// The word that reports print.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Request => "request",
            Self::Names => "names",
            Self::Distribution => "distribution",
            Self::Membership => "membership",
            Self::Tables => "tables",
            Self::Capacity => "capacity",
            Self::Operation => "operation",
            Self::Installation => "installation",
            Self::Machine => "machine",
        }
    }
}

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// What was asked for cannot work like this.
    Error,
    /// It works now and should be known, as it may not for long.
    Warning,
}

impl Severity {
    /// The word that reports print.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
        }
    }
}

/// One line of the catalogue, with the names of fields in braces.
#[derive(Debug, Clone, Copy)]
pub struct Entry {
    /// The code.
    pub code: &'static str,
    /// Where it sits.
    pub layer: Layer,
    /// How bad it is.
    pub severity: Severity,
    /// When it happens.
    pub cause: &'static str,
    /// What was seen.
    pub evidence: &'static str,
    /// What to do.
    pub fix: &'static str,
    /// What to do where more is known, the first that fits.
    pub with_facts: &'static [&'static str],
}

/// A fix is pasted into a shell: nothing in it may act on its own or go unseen.
fn pasteable(fix: &str) -> String {
    fix.chars()
        .map(|c| {
            if c == '\n' || c == '\t' {
                ' '
            } else if c.is_control() {
                '?'
            } else {
                c
            }
        })
        .collect()
}

/// Whether it is a node's name, and not what stands for one.
fn is_node(text: &str) -> bool {
    text.split_once('@')
        .is_some_and(|(name, host)| !name.is_empty() && !host.is_empty() && !text.contains(' '))
}

/// The only one of some nodes.
fn only(nodes: &Nodes) -> Option<&NodeName> {
    match nodes.0.as_slice() {
        [node] if is_node(node.as_str()) => Some(node),
        _none_or_several => None,
    }
}

/// Nodes as arguments of `easy_cluster:forget`: one, or one and the others.
fn to_forget(nodes: &Nodes) -> String {
    let quoted: Vec<String> = nodes.0.iter().map(|node| format!("'{node}'")).collect();
    match quoted.split_first() {
        None => "Node".into(),
        Some((first, [])) => first.clone(),
        Some((first, others)) => format!("{first}, #{{also => [{}]}}", others.join(", ")),
    }
}

/// The first of some addresses.
fn first_of(addresses: &str) -> &str {
    addresses.split(", ").next().unwrap_or_default()
}

/// The calls by which two members that list different nodes would list the same ones.
fn to_unlist(node: &NodeName, lists: &Nodes, other: &NodeName, other_lists: &Nodes) -> String {
    let only = |of: &Nodes, not_of: &Nodes, by: &NodeName| -> Vec<String> {
        let extra = of.0.iter().filter(|listed| !not_of.0.contains(listed));
        extra.map(|listed| format!("on {by} mnesia:del_table_copy(schema, '{listed}')")).collect()
    };
    let calls = [only(lists, other_lists, node), only(other_lists, lists, other)].concat();
    calls.join(", or ")
}

/// Where a file is; ejabberd's usual folder where that is not known.
fn folder(path: &str) -> &str {
    path.rsplit_once('/')
        .map(|(folder, _)| folder)
        .filter(|folder| !folder.is_empty())
        .unwrap_or("/var/lib/ejabberd")
}

/// Tables as an Erlang list.
fn quoted_list(tables: &Tables) -> String {
    let quoted: Vec<String> = tables.0.iter().map(|table| format!("'{table}'")).collect();
    format!("[{}]", quoted.join(", "))
}

macro_rules! problems {
    ($(
        #[doc = $cause:literal]
        $layer:ident $severity:ident $variant:ident = $code:literal { $($(#[$fdoc:meta])* $field:ident: $type:ty),* $(,)? }
        evidence $evidence:literal
        $(fix if ($known:expr) $special:literal $(with $(($sname:ident = $svalue:expr))+)?)*
        fix $fix:literal $(with $(($name:ident = $value:expr))+)?
    )*) => {
        /// Something that is wrong, with the facts that show it.
        #[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Error)]
        #[non_exhaustive]
        #[expect(missing_docs, reason = "the fields are described by the evidence that prints them")]
        pub enum Problem {
            $(
                #[doc = $cause]
                #[error($evidence)]
                #[serde(rename = $code)]
                $variant { $($(#[$fdoc])* $field: $type),* },
            )*
        }

        impl Problem {
            /// The stable code, an atom in Erlang.
            #[must_use]
            pub fn code(&self) -> &'static str {
                match self { $(Self::$variant { .. } => $code,)* }
            }

            /// Where it sits.
            #[must_use]
            pub fn layer(&self) -> Layer {
                match self { $(Self::$variant { .. } => Layer::$layer,)* }
            }

            /// How bad it is.
            #[must_use]
            pub fn severity(&self) -> Severity {
                match self { $(Self::$variant { .. } => Severity::$severity,)* }
            }

            /// Where the documentation has it.
            #[must_use]
            pub fn link(&self) -> String {
                format!("docs/errors.md#{}", self.code())
            }

            /// When it happens, in general.
            #[must_use]
            pub fn cause(&self) -> &'static str {
                match self { $(Self::$variant { .. } => $cause.trim_ascii(),)* }
            }

            /// What to do about it, for these facts.
            #[must_use]
            pub fn fix(&self) -> String {
                let fix = match self {
                    $(Self::$variant { $($field),* } => {
                        $(let _ = $field;)*
                        $(if $known {
                            $($(let $sname = $svalue;)+)?
                            format!($special)
                        } else)* {
                            $($(let $name = $value;)+)?
                            format!($fix)
                        }
                    })*
                };
                pasteable(&fix)
            }

            /// The whole catalogue, in its order.
            #[must_use]
            pub fn catalogue() -> Vec<Entry> {
                vec![$(Entry {
                    code: $code,
                    layer: Layer::$layer,
                    severity: Severity::$severity,
                    cause: $cause.trim_ascii(),
                    evidence: $evidence,
                    fix: $fix,
                    with_facts: &[$($special),*],
                },)*]
            }
        }
    };
}

problems! {
    /// What was typed is not the name of an Erlang node, or no resolver could find such a host.
    Names Error BadNodeName = "bad_node_name" { text: String, reason: String }
    evidence "'{text}' is not the name of a node: {reason}"
    fix "write name@host as `nodename` or ejabberd's ERLANG_NODE prints it, for example ejabberd@foo.bar"

    /// A node with long names cannot talk to one with short names.
    Names Error NameModeMismatch = "name_mode_mismatch" { node: String, here: NodeName, reason: String }
    evidence "{here} and {node} do not use the same kind of names: {reason}"
    fix "give both nodes long names (a host with a dot) or both short names in ERLANG_NODE, ejabberdctl.cfg"

    /// This Erlang VM runs without distribution.
    Names Error NotDistributed = "not_distributed" { here: NodeName }
    evidence "this VM is {here}: it was started without a node name"
    fix "start it with -name or -sname (ERLANG_NODE in ejabberdctl.cfg)"

    /// A node was asked to join itself.
    Request Error CannotJoinItself = "cannot_join_itself" { node: NodeName }
    evidence "{node} is this node"
    fix "name another node: the one whose database the cluster shall keep"

    /// A node was asked to forget itself.
    Request Error CannotForgetItself = "cannot_forget_itself" { node: NodeName }
    evidence "{node} is this node"
    fix "forget it on another member, while it is stopped; a node that runs leaves by itself: easy_cluster:leave()"

    /// An option that does not exist.
    Request Error UnknownOption = "unknown_option" { option: String, known: String }
    evidence "there is no option {option}"
    fix "the options are {known}"

    /// An option with a value that it cannot have.
    Request Error BadOption = "bad_option" { option: String, value: String, expected: String }
    evidence "option {option} cannot be {value}"
    fix "give {option} as {expected}"

    /// An operation that does not exist.
    Request Error BadOperation = "bad_operation" { operation: String, known: String }
    evidence "{operation} is not an operation"
    fix "the operations are {known}"

    /// What was given to `commit/1` is not a plan.
    Request Error BadPlan = "bad_plan" { reason: String }
    evidence "this is not a plan: {reason}"
    fix "make one with easy_cluster:plan(Operation), then easy_cluster:commit(last); in a program, give the Plan of easy_cluster_api:plan(Operation) to easy_cluster_api:commit(Plan)"

    /// A plan was named that this node does not remember: it has the last sixteen, until easy_cluster stops.
    Request Error UnknownPlan = "unknown_plan" { id: String, known: String }
    evidence "no plan {id} is remembered here"
    fix if (!known.is_empty()) "name one of {known}, or make a new one: easy_cluster:plan(Operation), then easy_cluster:commit(last)"
    fix "make one: easy_cluster:plan(Operation), then easy_cluster:commit(last)"

    /// No plan was made on this node since easy_cluster started.
    Request Error NoPlan = "no_plan" { here: NodeName }
    evidence "{here} remembers no plan"
    fix "make one: easy_cluster:plan(Operation), then easy_cluster:commit(last)"

    /// The plan may hurt in a way that the operator should agree to first.
    Request Error ConsentNeeded = "consent_needed" { reason: String }
    evidence "{reason}"
    fix "choose a quiet hour and pass #{{yes => true}} to agree"

    /// A file that was asked for cannot be written.
    Request Error FileNotWritten = "file_not_written" { path: String, reason: String }
    evidence "{path} cannot be written: {reason}"
    fix "name a file in a folder that the node's user can write, such as /tmp/cluster.snapshot"

    /// No known text of ejabberd, Mnesia or Erlang's distribution is in it.
    Request Error NotRecognised = "not_recognised" { text: String, product: String }
    evidence "nothing known is in: {text}"
    fix if (!product.is_empty()) "this text is {product}'s, and easy_cluster knows the words of ejabberd, Mnesia and Erlang's distribution: look for lines of Mnesia itself around that time (`grep -i mnesia`), or see the documentation of {product}; please report nothing to easy_cluster"
    fix "give the whole log of both nodes around that time; if it keeps a cluster from forming, please report it as an issue of easy_cluster, without cookies and passwords"

    /// More text than is explained at once inside a running node.
    Request Error TextTooLong = "text_too_long" { limit: Bytes }
    evidence "the text is larger than {limit}"
    fix "let the program read it, which takes files of any size: easy-cluster explain /var/log/ejabberd/ejabberd.log"

    /// The host's name has no address.
    Names Error UnknownHost = "unknown_host" { node: NodeName, host: String, reason: String, addresses: String }
    evidence "the host {host} of {node} does not resolve here: {reason}"
    fix if (!addresses.is_empty()) "echo '{first} {host}' >> /etc/hosts on this machine, or mend DNS; that host has {addresses}" with (first = first_of(addresses))
    fix "add a line `ADDRESS {host}` to /etc/hosts on this machine (and this machine's host to theirs), or mend DNS"

    /// A wrong line in /etc/hosts sends this machine to itself.
    Names Error LoopbackTrap = "loopback_trap" { node: NodeName, host: String, address: String }
    evidence "the host {host} of {node} resolves here to {address}, which is this machine itself"
    fix "in /etc/hosts on this machine take {host} out of the line of {address}, and add one with its real address: `ADDRESS {host}`"

    /// Erlang takes the first address of a host and tries no other.
    Names Error FirstAddress = "first_address_fails" { node: NodeName, host: String, first: String, reason: String, other: String }
    evidence "the host {host} of {node} resolves to {first} first, and {reason}; {other} would do, but Erlang tries the first address only"
    fix "take {first} away from {host} in /etc/hosts on this machine or in DNS, or have the node listen there too (INET_DIST_INTERFACE)"

    /// epmd's port refuses connections, or no way leads to that machine.
    Distribution Error EpmdUnreachable = "epmd_unreachable" { node: NodeName, address: String, reason: String }
    evidence "no epmd is at {address}, where that of {node} should be: {reason}"
    fix "start ejabberd on that machine, which starts epmd (`ejabberdctl start`); see that {address} is that machine and that epmd listens there: `epmd -names` and `ss -ltn` on it"

    /// Nothing comes back from epmd's port: a firewall drops the packets, the machine is down, or the address is wrong.
    Distribution Error EpmdSilent = "epmd_silent" { node: NodeName, address: String, reason: String }
    evidence "{address}, where the epmd of {node} should be, does not answer: {reason}"
    fix "see that this is the address of that machine (`ip address` on it) and that it is up, and let TCP through its firewall: `ufw allow proto tcp to any port 4369,4370:4375` or the like"

    /// Another program has epmd's port.
    Distribution Error NotEpmd = "not_epmd" { node: NodeName, address: String, heard: String }
    evidence "what answers at {address}, where the epmd of {node} should be, is not epmd; it says {heard}"
    fix "see on that machine what it is (`ss -ltnp`), stop it or move it, and restart ejabberd there; or give epmd another port on all machines (ERL_EPMD_PORT in ejabberdctl.cfg)"

    /// epmd runs there and does not know the node.
    Distribution Error NotRegistered = "not_registered" { node: NodeName, address: String, alive: String, registered: String }
    evidence "epmd at {address} does not know '{alive}'; it knows: {registered}"
    fix "start the node there, or use the name that ERLANG_NODE has in its ejabberdctl.cfg"

    /// epmd on this machine knows a node that is not there any more.
    Distribution Error StaleEpmdEntry = "stale_epmd_entry" { node: NodeName, address: String, alive: String, port: u16 }
    evidence "epmd at {address}, on this machine, knows '{alive}' at port {port}, and nobody listens on that port"
    fix "end the process that registered it and hangs (`ss -tnp` shows who is connected to epmd), or, when no node runs here, restart epmd: `epmd -kill`; then start the node"

    /// epmd knows the node, but its distribution port refuses connections.
    Distribution Error DistributionPortClosed = "distribution_port_closed" { node: NodeName, address: String, reason: String }
    evidence "the distribution port {address} of {node} does not take connections: {reason}"
    fix "see INET_DIST_INTERFACE in its ejabberdctl.cfg, as the node listens on that address only, and let this machine through a firewall that rejects: FIREWALL_WINDOW=4370-4375 there, then `ufw allow proto tcp to any port 4370:4375`"

    /// Nothing comes back from the distribution port although epmd answers: a firewall drops the packets.
    Distribution Error DistributionPortSilent = "distribution_port_silent" { node: NodeName, address: String }
    evidence "packets to the distribution port {address} of {node} are lost"
    fix "fix the port with FIREWALL_WINDOW=4370-4375 in its ejabberdctl.cfg, restart it, and let the port through its firewall: `ufw allow proto tcp to any port 4370:4375` or the like"

    /// Something takes connections on the distribution port and says nothing: a stopped or hanging node, mostly.
    Distribution Error PeerSilent = "peer_silent" { node: NodeName, address: String }
    evidence "{address} of {node} takes connections and says nothing"
    fix "look whether that process is stopped (`ps -o pid,stat,args -C beam.smp`, state T: `kill -CONT PID`) or hangs; restart it if it does"

    /// Another program listens on the distribution port.
    Distribution Error NotANode = "not_a_node" { node: NodeName, address: String, heard: String }
    evidence "what listens at {address} is not an Erlang node; it says {heard}"
    fix "see on the machine of {node} which program has that port (`ss -ltnp`); move it, or keep Erlang out of its ports with FIREWALL_WINDOW=4370-4375, and restart the node"

    /// The peer wants TLS for the distribution.
    Distribution Error TlsRequired = "tls_required" { node: NodeName, address: String }
    evidence "{address} of {node} wants TLS, which the distribution of this node does not use"
    fix "start this node with what {node} has in ERL_OPTIONS: -proto_dist inet_tls -ssl_dist_optfile FILE; or take it out there"

    /// This node uses TLS for the distribution, and the peer does not.
    Distribution Error TlsMissing = "tls_missing" { node: NodeName, address: String }
    evidence "{address} of {node} speaks without TLS, which the distribution of this node demands"
    fix "start {node} with what this node has in ERL_OPTIONS: -proto_dist inet_tls -ssl_dist_optfile FILE; or take it out here"

    /// The peer refuses this node by its name.
    Distribution Error NameRefused = "name_refused" { node: NodeName, status: String }
    evidence "{node} refused the handshake with the status {status}"
    fix "{node} has an allow list, which lacks this node: add its name in a shell there, net_kernel:allow([Name]), and where the list is set at the start"

    /// The peer is connected with another node that has this node's name.
    Distribution Error DuplicateName = "duplicate_name" { node: NodeName, here: NodeName, status: String }
    evidence "{node} has another node by the name of this one, {here} (status {status})"
    fix "give each node a name of its own: ERLANG_NODE in ejabberdctl.cfg, then restart; if {here} crashed a moment ago, wait a minute until {node} has noticed"

    /// The peer calls itself something else.
    Names Error OtherName = "other_name" { node: NodeName, name: String }
    evidence "the node that answers as {node} calls itself {name}"
    fix "use {name}; if one of the names has a dotted host and the other has not, set ERLANG_NODE alike on both machines"

    /// The node's name is taken: the node runs already, an epmd entry of a dead one was left behind, or ERLANG_NODE ends with a carriage return from a Windows editor.
    Names Error NameInUse = "name_in_use" { name: String }
    evidence "epmd has a node of the name {name} already"
    fix "look with `epmd -names` and `ps -C beam.smp`; stop the node that runs under the name, or end a stale entry with `epmd -kill` once no Erlang node runs on the machine, and make ERLANG_NODE free of CRLF: sed -i --follow-symlinks 's/\\r$//' /etc/ejabberd/ejabberdctl.cfg"

    /// Erlang could not make the node's full name: for long names the host needs a name with a dot that resolves, for short ones a name without.
    Names Error CannotSetNodeName = "cannot_set_node_name" { kind: String }
    evidence "the node cannot get its {kind} name from this host"
    fix "set ERLANG_NODE=ejabberd@host.example.org in ejabberdctl.cfg, with this host's whole name, and add a line `ADDRESS host.example.org host` to /etc/hosts (for a short name: ERLANG_NODE=ejabberd@host)"

    /// A node with long names was asked to connect to a host without a dot, or one with short names to a host with one.
    Names Error IllegalHostname = "illegal_hostname" { host: String, names: String }
    evidence "this node uses {names} names and cannot connect to a node on host {host}"
    fix "give all nodes names of one kind in ERLANG_NODE, ejabberdctl.cfg: all with a dot in the host (ejabberd@foo.bar) or all without"

    /// The Mnesia directory belongs to a node of another name: the host was renamed, or a new container got an old volume.
    Names Error NodeNameMismatch = "node_name_mismatch" { node: NodeName, owners: Nodes }
    evidence "the node is {node}, and the database belongs to {owners}"
    fix if (only(owners).is_some() && is_node(node.as_str())) "set ERLANG_NODE={owners} in ejabberdctl.cfg and start again; to keep the new name, with ejabberd stopped: sudo -u ejabberd easy-cluster rename {owners} {node} /var/lib/ejabberd"
    fix if (!owners.0.is_empty() && owners.0.iter().all(|owner| is_node(owner.as_str()))) "this is the database of a cluster: set ERLANG_NODE in ejabberdctl.cfg back to the name that this node had among {owners}, and start again; only a node that has left its cluster can be renamed (easy_cluster:leave(), then easy-cluster rename)"
    fix "set ERLANG_NODE in ejabberdctl.cfg back to the name that owns the database (`easy-cluster doctor` names it) and start again; to keep the new name, with ejabberd stopped: sudo -u ejabberd easy-cluster rename OLD NEW /var/lib/ejabberd"

    /// The peer's Erlang is too old to talk to that of today.
    Distribution Error IncompatibleFlags = "incompatible_flags" { node: NodeName, missing: String }
    evidence "{node} lacks what Erlang's distribution demands: {missing}"
    fix "bring both machines to the same release of Erlang/OTP, 25 or later; Erlang promises that nodes up to two releases apart understand each other"

    /// The two nodes have different cookies.
    Distribution Error WrongCookie = "wrong_cookie" { node: NodeName }
    evidence "{node} does not accept this node's cookie"
    fix "copy .erlang.cookie (mode 400, owner ejabberd) from the home of {node}'s user to that of this node's user and restart ejabberd here"

    /// What answers on the distribution port stopped in the middle of the handshake, or broke its rules.
    Distribution Error HandshakeFailed = "handshake_failed" { node: NodeName, step: String, reason: String }
    evidence "the handshake with {node} failed at {step}: {reason}"
    fix "see that an Erlang node of OTP 24 or later listens there and what its log says; a proxy or firewall in between may cut the connection"

    /// A node that should answer does not.
    Distribution Error NoConnection = "no_connection" { node: NodeName, reason: String }
    evidence "{node} does not answer: {reason}"
    fix if (is_node(node.as_str())) "see how far one gets: easy_cluster:test_node('{node}'), or without a running node: easy-cluster doctor {node}"
    fix "see how far one gets: easy_cluster:test_node(Node) with the other node's name, or without a running node: easy-cluster doctor NODE"

    /// One member reaches another, which does not reach it back.
    Distribution Warning OneWayBlock = "one_way_block" { from: NodeName, to: NodeName, reason: String }
    evidence "{from} does not reach {to}, although {to} reaches {from}: {reason}"
    fix "look at it from there: easy_cluster:test_node('{to}') on {from}; open the way, as after a cut the two may never find each other again"

    /// Two members do not reach each other.
    Distribution Error PairUnreachable = "pair_unreachable" { from: NodeName, to: NodeName, reason: String }
    evidence "{from} does not reach {to}: {reason}"
    fix "look at it from there: easy_cluster:test_node('{to}') on {from}; all members of a cluster have to reach each other"

    /// ejabberd's own commands found that a node does not answer: DNS, epmd, distribution port, cookie, or names of different kinds.
    Distribution Error CannotReachNode = "cannot_reach_node" {}
    evidence "ejabberd reports that this node cannot reach the other one, and not why"
    fix "run easy_cluster:test_node('ejabberd@foo.bar') with the other node's name to see how far one gets"

    /// `ejabberdctl` waited in vain: the command stopped ejabberd under itself, as `join_cluster` does, or the distribution port is filtered.
    Distribution Error RpcTimeout = "rpc_timeout" { node: NodeName }
    evidence "ejabberdctl had no answer from {node} in time"
    fix "see whether it was done all the same: ejabberdctl list_cluster; if that times out too, set FIREWALL_WINDOW=4370-4375 in ejabberdctl.cfg and open these ports"

    /// `ejabberdctl` does not get to its node: another ERLANG_NODE or cookie than ejabberd has, or ejabberd is down.
    Distribution Error RpcNodedown = "rpc_nodedown" { node: NodeName }
    evidence "ejabberdctl cannot connect to {node}"
    fix "run it as ejabberd's user: sudo -u ejabberd ejabberdctl status; compare ERLANG_NODE in ejabberdctl.cfg with what `epmd -names` lists; start ejabberd if it is down"

    /// `ejabberdctl` reached its node and the command failed there.
    Distribution Error RpcFailed = "rpc_failed" { node: NodeName, reason: String }
    evidence "the command of ejabberdctl failed on {node}: {reason}"
    fix "see whether ejabberd itself runs there (ejabberdctl status) and what its log says at that time"

    /// A node was turned away by name: its cookie is another one, often that of the user who runs ejabberdctl, or it is not on an allow list.
    Distribution Error NodeDisallowed = "node_disallowed" { node: NodeName }
    evidence "{node} was not allowed to connect"
    fix "run ejabberdctl as ejabberd's user (sudo -u ejabberd ejabberdctl status), and give both machines the same /var/lib/ejabberd/.erlang.cookie (mode 400, owner ejabberd); if net_kernel:allow/1 is in use, add the node there"

    /// A node has another cookie than this one, as newer OTP reports it.
    Distribution Error PeerCookieDiffers = "peer_cookie_differs" { node: NodeName }
    evidence "the cookie of {node} is not that of this node"
    fix "copy .erlang.cookie (mode 400, owner ejabberd) from one machine to the other, restart ejabberd where it changed, and run ejabberdctl as ejabberd's user: sudo -u ejabberd ejabberdctl status"

    /// Erlang refuses the file that the cookie should come from.
    Distribution Error CookieFile = "cookie_file" { reason: String, path: String }
    evidence "Erlang cannot use its cookie file: {reason}"
    fix if (path.ends_with(".erlang.cookie") && reason.contains("cannot be made")) "run it as ejabberd's user (sudo -u ejabberd ejabberdctl status), whose home has to be writable: chown ejabberd: {folder}; a file that is there already: chown ejabberd: {path} && chmod 400 {path}" with (folder = folder(path))
    fix if (path.ends_with(".erlang.cookie")) "make it a file of one line of letters and digits that belongs to ejabberd's user: chown ejabberd: {path} && chmod 400 {path}"
    fix "make it a file of one line of letters and digits that belongs to ejabberd's user: chown ejabberd: /var/lib/ejabberd/.erlang.cookie && chmod 400 /var/lib/ejabberd/.erlang.cookie"

    /// The two OTP releases are too far apart for the distribution protocol.
    Distribution Error OtpIncompatible = "otp_incompatible" { node: NodeName, missing: String }
    evidence "{node} cannot handle {missing}"
    fix "bring both nodes to OTP releases that are at most two apart"

    /// A peer was silent for the whole tick time: its machine hangs, or the network between is cut without a word.
    Distribution Error NodeNotResponding = "node_not_responding" { node: NodeName }
    evidence "{node} was silent for the tick time and was disconnected"
    fix "see whether {node} and its machine run, then whether the network drops idle connections; afterwards look for a split with easy_cluster:status()"

    /// The address in INET_DIST_INTERFACE does not fit the protocol: an IPv6 address without `-proto_dist inet6_tcp`.
    Distribution Error ListenBadarg = "listen_badarg" {}
    evidence "the distribution cannot listen: the address is not one of its protocol (badarg)"
    fix "for an IPv6 address in INET_DIST_INTERFACE add ERL_OPTIONS=\"-proto_dist inet6_tcp\" to ejabberdctl.cfg, on all nodes; otherwise give an IPv4 address"

    /// The distribution could not listen or could not tell epmd.
    Distribution Error ListenFailed = "listen_failed" { reason: String }
    evidence "the distribution cannot listen or register: {reason}"
    fix if (reason.contains("eaddrnotavail")) "set INET_DIST_INTERFACE in ejabberdctl.cfg to an address of this machine (`ip address`), or take the line out, and start again"
    fix if (reason.contains("eaddrinuse")) "see who has the port (`ss -ltnp`): another Erlang VM that still runs (`ps -C beam.smp`; stop it), or another node with the same ERL_DIST_PORT; where all ports of FIREWALL_WINDOW in ejabberdctl.cfg are taken, widen it; then start again"
    fix if (reason.contains("epmd_close")) "epmd closed the connection: it is another program or version, or it refuses names from this address. Look with `epmd -names` and `ss -ltnp sport = :4369`; when no Erlang node runs on the machine, restart it: `epmd -kill`, then `epmd -daemon`"
    fix "eaddrnotavail: INET_DIST_INTERFACE is not an address of this machine; eaddrinuse: another VM has the port, or widen FIREWALL_WINDOW; econnrefused, timeout, no_reg_reply_from_epmd: start epmd with `epmd -daemon` and let the loopback through; mend ejabberdctl.cfg and start again"

    /// A setting of the Erlang VM is not an Erlang term, most often INET_DIST_INTERFACE.
    Distribution Error BadEnvironmentValue = "bad_environment_value" { value: String }
    evidence "the VM was started with a value that it cannot read: {value}"
    fix "write INET_DIST_INTERFACE as a plain address in ejabberdctl.cfg, for example INET_DIST_INTERFACE=10.0.0.1, and look for quotes that the shell took away in ERL_OPTIONS"

    /// Mnesia is not running where it has to.
    Membership Error MnesiaNotRunning = "mnesia_not_running" { node: NodeName, state: String }
    evidence "Mnesia on {node} does not run, or nobody reaches it: {state}"
    fix if (is_node(node.as_str())) "see how far one gets: easy_cluster:test_node('{node}'), or without a running node: easy-cluster doctor {node}; where only its Mnesia is stopped, start ejabberd there (ejabberdctl start) and try again"
    fix "start ejabberd on that node (`ejabberdctl start`), or see what is in the way: easy_cluster:test_node(Node)"

    /// The node already belongs to that cluster.
    Membership Error AlreadyMember = "already_member" { node: NodeName, members: Nodes }
    evidence "this node is already in one cluster with {node}: {members}"
    fix "nothing to join; easy_cluster:sync_node('{node}') copies the tables that are not here yet"

    /// The node belongs to another cluster.
    Membership Error AlreadyClustered = "already_clustered" { here: NodeName, members: Nodes }
    evidence "{here} is in a cluster of its own: {members}"
    fix "leave that cluster first, which keeps the database: easy_cluster:leave() on {here}"

    /// The node shares its database with others.
    Membership Error StillAMember = "still_a_member" { here: NodeName, members: Nodes }
    evidence "{here} belongs to a cluster: {members}"
    fix "leave it first, which keeps the database: easy_cluster:leave(#{{data => empty}}) does both"

    /// The node is not in the cluster whose tables it should copy.
    Membership Error NotAMember = "not_a_member" { here: NodeName, node: NodeName, members: Nodes }
    evidence "{here} is not in the cluster of {node}: {members}"
    fix "join first: easy_cluster:join_as_master('{node}')"

    /// There is no cluster that the node could leave.
    Membership Error NotInACluster = "not_in_a_cluster" { here: NodeName }
    evidence "{here} is alone"
    fix "nothing to leave; easy_cluster:reset() goes on with an empty database"

    /// A member of the cluster is down; what changes the schema now is lost on it, or brought back by it.
    Membership Error MemberDown = "member_down" { node: NodeName, listed_by: NodeName, reason: String }
    evidence "{node} belongs to the cluster of {listed_by} and does not take part: {reason}"
    fix "start {node}; if it is gone for good, on {listed_by}: easy_cluster:forget('{node}')"

    /// The node that is to be forgotten is not in this node's cluster.
    Membership Error NoSuchMember = "no_such_member" { node: NodeName, members: Nodes }
    evidence "{node} is not in this node's cluster: {members}"
    fix "see easy_cluster:status() for how the members are written; one that was forgotten already needs nothing more"

    /// A node that runs cannot be forgotten: it goes on with the database of the cluster, and comes back.
    Membership Error NodeIsAlive = "node_is_alive" { node: NodeName, seen_by: Nodes, how: String }
    evidence "{node} is alive: {how}"
    fix "if it is to leave, call easy_cluster:leave() there, or stop it for good first; if it died a moment ago without a word, wait until the tick time (net_ticktime, 60 s) has passed"

    /// Another member that is down during a forget would bring the forgotten node back, or be turned away itself.
    Membership Error OtherMemberDown = "other_member_down" { node: NodeName, forgotten: NodeName, reason: String }
    evidence "{node} does not take part either, and would bring {forgotten} back or be turned away with it: {reason}"
    fix "start {node} first; if it is gone for good as well, forget both at once: easy_cluster:forget('{forgotten}', #{{also => ['{node}']}})"

    /// The members that are left are not more than half of all: those that are missing may serve elsewhere.
    Membership Error NoQuorum = "no_quorum" { forgotten: Nodes, rest: Nodes, members: u64 }
    evidence "of {members} members only {rest} would be left without {forgotten}, which is no majority: what is missing here may be running elsewhere, behind a cut"
    fix "see on the machines of {forgotten} that they are stopped and will stay so, then say so: easy_cluster:forget({arguments})" with (arguments = match forgotten.0.as_slice() { [node] => format!("'{node}', #{{quorum => false}}"), _several => to_forget(forgotten).replace("#{", "#{quorum => false, ") })

    /// A node was forgotten and came back with its old database, which would bring deleted tables back.
    Membership Error ForgottenReturned = "forgotten_returned" { between: String, returned: String, member: String }
    evidence "a node that its cluster has forgotten came back with its old database, and Mnesia turned it away: the fence is {between}"
    fix if (is_node(returned) && is_node(member)) "on {returned}, with ejabberd stopped: touch easy_cluster/reenter in its Mnesia directory (`install -D -o ejabberd /dev/null /var/lib/ejabberd/easy_cluster/reenter`) and start it, which keeps its database aside and starts it empty; then easy_cluster:join_as_master('{member}') there"
    fix "on the node that does not start: touch easy_cluster/reenter in its Mnesia directory (`install -D -o ejabberd /dev/null /var/lib/ejabberd/easy_cluster/reenter`) and start it, which keeps its database aside and starts it empty; then easy_cluster:join_as_master(Node) there"

    /// A node that does not know the fence was forgotten, and this Mnesia has no function by which the schema could keep it out.
    Membership Warning NotFenced = "not_fenced" { node: NodeName }
    evidence "nothing keeps {node} out: Mnesia would let it in if it was started with its old database"
    fix "move its database aside before anybody starts it; sync_node on any member gives a cluster its fence, which then keeps out whoever is forgotten later"

    /// Members list different clusters.
    Membership Error MembersDisagree = "members_disagree" { node: NodeName, lists: Nodes, other: NodeName, other_lists: Nodes }
    evidence "{node} lists {lists}, but {other} lists {other_lists}"
    fix if (lists != other_lists) "the cluster has to agree before it grows. If one of these nodes left the cluster, take it out of the schema where it is still listed: {calls}" with (calls = to_unlist(node, lists, other, other_lists))
    fix "the cluster has to agree before it grows: see which view is right and take the wrong entries out with mnesia:del_table_copy(schema, Node)"

    /// Members run, but do not replicate to each other.
    Membership Error Partitioned = "partitioned" { node: NodeName, lists: Nodes, sees: Nodes }
    evidence "{node} lists {lists} as members, but replicates with {sees} only"
    fix "the cluster is split. To end the split, restart every node of one side: stop all of them, then start them. That side's rows are replaced by the other side's, so keep them first: easy_cluster:backup(Folder) on a node of that side, or, with it stopped, `cp -a /var/lib/ejabberd FOLDER`"

    /// A node lists this one as a member, and this one knows nothing of it.
    Membership Error StaleMember = "stale_member" { here: NodeName, listed_by: NodeName }
    evidence "{listed_by} still lists {here} as a member, but {here} is alone"
    fix "with {here} stopped, run easy_cluster:forget('{here}') on {listed_by} (without easy_cluster: mnesia:del_table_copy(schema, '{here}')), then start {here} and try again"

    /// This node lists members that do not list it.
    Membership Error ForgottenHere = "forgotten_here" { here: NodeName, node: NodeName }
    evidence "{here} lists {node} as a member, but {node} does not list {here}"
    fix "it can come back as a new member: on {here}, touch easy_cluster/reenter in its Mnesia directory (`install -D -o ejabberd /dev/null /var/lib/ejabberd/easy_cluster/reenter`) and start it, which keeps its database aside and starts it empty; then easy_cluster:join_as_master('{node}') there"

    /// A node that this one lists runs with a database of its own: it has left the cluster, or its database was deleted.
    Membership Warning MemberLeft = "member_left" { here: NodeName, node: NodeName }
    evidence "{here} lists {node} as a member, but {node} runs with another database, of which no table comes from this cluster, and does not list {here}"
    fix "keep the database of {here}, which is the cluster's. If {node} has easy_cluster, {here} forgets it within seconds. Otherwise stop ejabberd on {node}, run easy_cluster:forget('{node}') on {here}, and start {node} again"

    /// Mnesia was killed in the middle of a transaction, and does not start before a node that took part says how the transaction ended.
    Membership Error WaitsForDecision = "waits_for_decision" { node: NodeName, awaited: Nodes }
    evidence "Mnesia on {node} is starting and waits for {awaited}: it was killed in the middle of a transaction, and only {awaited} can say how it ended"
    fix "start ejabberd on {awaited}. If {awaited} will not come back, stop ejabberd on {node} and start it once with `-mnesia max_wait_for_decision 3000` in ERL_OPTIONS of ejabberdctl.cfg, by which Mnesia takes the transaction back after 3 s"

    /// A member prefers copies on certain nodes at load; a dead one there keeps tables from loading.
    Membership Warning MasterNodesSet = "master_nodes_set" { node: NodeName, masters: Nodes }
    evidence "{node} has master nodes set: {masters}"
    fix "clear them when they are no longer wanted: mnesia:set_master_nodes([])"

    /// An operation that was begun here has not ended.
    Operation Error UnfinishedOperation = "unfinished_operation" { id: String }
    evidence "operation {id} was begun here and has not ended"
    fix "have it brought to its end: easy_cluster:resume(); what was done so far: easy_cluster:history(\"{id}\")"

    /// Software of different versions in one cluster.
    Membership Warning VersionsDiffer = "versions_differ" { application: String, here: String, node: NodeName, there: String }
    evidence "{application} is {here} here and {there} on {node}"
    fix "run the same version on all members as soon as possible; different ejabberd builds fail at table transforms"

    /// A program that makes clusters with tools of its own owns Mnesia here: it would know nothing of what easy_cluster changes.
    Membership Warning OwnClusterTools = "own_cluster_tools" { application: AtomName, here: NodeName, tool: String }
    evidence "{application} runs on {here}, owns Mnesia there and has cluster tools of its own"
    fix "use these: {tool}; to do it with easy_cluster all the same pass #{{yes => true}}"

    /// Different releases of ejabberd: at its start, each brings the rows into a form that the others may die of.
    Membership Warning EjabberdReleasesDiffer = "ejabberd_releases_differ" { here: String, node: NodeName, there: String }
    evidence "ejabberd is {here} here and {there} on {node}"
    fix "bring all nodes to one release first; to join all the same pass #{{yes => true}}: nodes of the older release may then not start again"

    /// Clocks are apart.
    Membership Warning ClockOffset = "clock_offset" { node: NodeName, offset: i64 }
    evidence "the clock of {node} is {offset} ms from this node's"
    fix "let NTP set both clocks; rows are merged by their times"

    /// Different times until a silent peer counts as dead.
    Membership Warning TickTimeDiffers = "tick_time_differs" { here: u32, node: NodeName, there: u32 }
    evidence "net_ticktime is {here} s here and {there} s on {node}"
    fix "set the same net_ticktime in ERL_OPTIONS on all members"

    /// The same table was created independently on both sides, or a wiped member is still listed by the others.
    Membership Error BadTableCookie = "bad_table_cookie" { table: TableName, between: String, node: String, other: String, wiped: bool }
    evidence "table {table} is two tables of one name: {between}"
    fix if (*wiped) "by their definitions {node} was wiped: {other} lists it as a holder, and it does not list {other}. On {other}: easy_cluster:forget('{node}') (without easy_cluster: mnesia:del_table_copy(schema, '{node}')); then on {node}: easy_cluster:join_as_master('{other}'), which keeps its database aside"
    fix if (is_node(node) && is_node(other)) "the node with less to lose gives way, and its database is kept aside: on {node} easy_cluster:join_as_master('{other}'), or on {other} easy_cluster:join_as_master('{node}'). Until then start neither of them with the other in its cluster"
    fix "the node with less to lose gives way: easy_cluster:join_as_master('ejabberd@foo.bar') there, with the other node's name, keeps its database aside; if it was wiped and a member still lists it, on that member first: easy_cluster:forget('ejabberd@hello.world')"

    /// A table is defined differently on the two sides.
    Membership Error CannotMergeDefinitions = "cannot_merge_definitions" { table: TableName, other: String }
    evidence "the definitions of table {table} on the two sides cannot be merged"
    fix if (is_node(other)) "run the same ejabberd version with the same modules on both nodes, then join with easy_cluster:join_as_master('{other}')"
    fix "run the same ejabberd version with the same modules on both nodes, then join with easy_cluster:join_as_master('ejabberd@foo.bar')"

    /// One side has its schema on disc where the other says it is in memory.
    Membership Error SchemaStorageDiffers = "schema_storage_differs" { node: NodeName, other: String }
    evidence "the members do not agree how {node} stores a table"
    fix if (is_node(other)) "start the members one after another, the one stopped last first; if it stays so, on {other}: easy_cluster:forget('{node}'), then on {node}: easy_cluster:join_as_master('{other}')"
    fix "start the members one after another, the one stopped last first; if it stays so, have {node} forgotten by the others and join anew with easy_cluster:join_as_master('ejabberd@foo.bar')"

    /// Two databases on disc that have nothing to do with each other, or no more: one of the nodes was forgotten.
    Membership Error IncompatibleSchemaCookies = "incompatible_schema_cookies" { between: String, node: String, other: String, wiped: bool }
    evidence "the databases have different origins, or one of the nodes was forgotten by the cluster of the other: {between}"
    fix if (*wiped) "by their definitions {node} was wiped: {other} lists it as a member, and it does not list {other}. On {other}: easy_cluster:forget('{node}') (without easy_cluster: mnesia:del_table_copy(schema, '{node}')); then on {node}: easy_cluster:join_as_master('{other}'), which keeps its database aside"
    fix if (is_node(node) && is_node(other)) "the node with less to lose gives way, and its database is kept aside: on {node} easy_cluster:join_as_master('{other}'), or on {other} easy_cluster:join_as_master('{node}'); one that was forgotten and does not start needs `install -D -o ejabberd /dev/null /var/lib/ejabberd/easy_cluster/reenter` first"
    fix "on the node whose database shall give way run easy_cluster:join_as_master('ejabberd@foo.bar') with the other node's name: its database is kept aside; one that was forgotten and does not start needs `install -D -o ejabberd /dev/null /var/lib/ejabberd/easy_cluster/reenter` first"

    /// Mnesia could not make one schema of two.
    Membership Error MergeSchemaFailed = "merge_schema_failed" { reason: String }
    evidence "the schemas could not be merged: {reason}"
    fix "see which members run and agree (easy_cluster:status() on each), start the missing ones, and try again"

    /// The cluster is split: both sides served on their own, seen while they run.
    Membership Error SplitWhileRunning = "split_while_running" { node: NodeName }
    evidence "this node and {node} have run apart, and their tables may differ"
    fix "see both sides with easy_cluster:status() and keep other members from booting. To end the split, restart every node of one side: stop all of them, then start them. That side's rows are replaced by the other side's, so keep them first: easy_cluster:backup(Folder) on a node of that side, or, with it stopped, `cp -a /var/lib/ejabberd FOLDER`"

    /// The cluster was split when this node started: both sides went on without the other.
    Membership Error SplitAtStart = "split_at_start" { node: NodeName }
    evidence "this node and {node} each went on while the other was away, and their tables may differ"
    fix "if {node} is right, this node's rows are replaced, so keep them first: easy_cluster:backup(Folder) here; then here mnesia:set_master_nodes(['{node}']), restart, mnesia:set_master_nodes([]). If this node is right, the same on {node} with this node's name"

    /// Two nodes ended one transaction differently.
    Membership Error BadDecision = "bad_decision" { node: NodeName }
    evidence "this node and {node} ended a transaction differently"
    fix "if {node} is right, this node's rows are replaced, so keep them first: easy_cluster:backup(Folder) here; then here mnesia:set_master_nodes(['{node}']), restart, mnesia:set_master_nodes([]). If this node is right, the same on {node} with this node's name"

    /// The schema of a node is in memory only: at its restart the node knows neither its tables nor its cluster.
    Membership Error RamSchema = "ram_schema" { node: NodeName }
    evidence "the schema of {node} is in memory only, and its restart would forget the tables and the cluster"
    fix "put it on disc, on {node}: mnesia:change_table_copy_type(schema, node(), disc_copies)"

    /// A node is not connected to all others, so Erlang dissolves connections until no two groups overlap.
    Membership Warning OverlappingPartitions = "overlapping_partitions" { node: NodeName, action: String, other: NodeName }
    evidence "{node} {action} {other}, as not all nodes are connected to each other"
    fix "find the link that is broken: run easy_cluster:test_node('{other}') on {node}, and easy_cluster:doctor() for the ways between all members; start tools and shells with -hidden"

    /// Messages to processes of the time before a restart: something still holds old pids, often sessions in a table of another member.
    Membership Warning OldIncarnation = "old_incarnation" { old: String, now: String }
    evidence "messages to processes of incarnation {old} of this node, which is now {now}, were thrown away"
    fix "nothing, if it stops by itself; if it goes on, restart the member that sends them, so that its sessions of this node are cleaned"

    /// A write where only a minority of the copies can be reached.
    Membership Error NoMajority = "no_majority" { table: TableName }
    evidence "less than half of the copies of table {table} can be reached"
    fix "start the members that are down (easy_cluster:status() names them) or mend the network to them"

    /// The same table with another definition on each side.
    Tables Error TableDefinitionDiffers = "table_definition_differs" { table: TableName, item: String, here: String, there: String }
    evidence "table {table} has {item} {here} here and {there} in the cluster"
    fix "bring both nodes to the same version of the module that owns {table}, or delete the table on the side where its rows are not needed"

    /// Forgetting a node deletes each table that nobody else has a copy of.
    Tables Error OnlyCopyOnDeadNode = "only_copy_on_dead_node" { node: NodeName, tables: Tables, known: String, kept: String }
    evidence "{node} has the only copy of {tables}, which would be gone with it. {known}. {kept}"
    fix "start {node} once more, if it can be, and copy them: easy_cluster:sync_node('{node}'); to lose them: easy_cluster:forget('{node}', #{{lose => {list}}})" with (list = quoted_list(tables))

    /// Tables wait for the node that is to be forgotten, which was the last to stop.
    Tables Error ForceLoadNeeded = "force_load_needed" { node: NodeName, tables: Tables, holders: String }
    evidence "{tables} wait for {node}, whose rows may be newer. Without it these copies are taken as they are, and what was written elsewhere since is given up: {holders}"
    fix "start {node} once more, if it can be; otherwise forget it on the member that was stopped last of those that are left, whose own copies are taken, and agree to that: easy_cluster:forget('{node}', #{{yes => true}})"

    /// A table of the cluster that no member has loaded.
    Tables Error TableNotLoaded = "table_not_loaded" { table: TableName, holders: Nodes }
    evidence "no copy of {table} is loaded; it should be on {holders}"
    fix "see why it waits with mnesia:table_info({table}, active_replicas) there; start the holder that is down, or force_load_table"

    /// A table that would be lost, as no other copy of it is loaded.
    Tables Error OnlyCopyHere = "only_copy_here" { table: TableName, reason: String }
    evidence "the only loaded copy of {table} is on this node: {reason}"
    fix "bring a copy to a member, mnesia:add_table_copy({table}, Member, disc_copies), or have the copy that is there load"

    /// A table with `{majority, true}` of which no majority would be left: Mnesia would refuse to take the node out of the schema.
    Tables Error MajorityBlocks = "majority_blocks" { node: NodeName, member: NodeName, tables: Tables, change: String, change_back: String }
    evidence "majority is true for {tables}: without the copy on {node}, half of the copies or fewer are left, and Mnesia refuses to take {node} out of the schema"
    fix "on {member} first: {change}; afterwards again: {change_back}"

    /// A read-only table is in the way: Mnesia writes no row of it, deletes no copy of it, and ends on a node that restarts with one of several copies.
    Tables Error ReadOnlyTables = "read_only_tables" { tables: Tables, member: NodeName, reason: String, change: String }
    evidence "access_mode is read_only for {tables}: {reason}"
    fix "on {member}: {change}; set read_only again only where one node holds the table"

    /// A table of a backend that easy_cluster does not copy.
    Tables Warning ExternalTable = "external_table" { table: TableName }
    evidence "table {table} is stored by an external backend and is left alone"
    fix "copy it with mnesia:add_table_copy/3 once the backend is set up here"

    /// Rows could not be compared.
    Tables Error RowsNotCompared = "rows_not_compared" { table: TableName, reason: String }
    evidence "the rows of {table} could not be compared with the cluster's: {reason}"
    fix "try again; if it stays so, look whether {table} can be read on the members"

    /// A table was named that this node's cluster does not have.
    Request Error UnknownTable = "unknown_table" { table: String, here: NodeName }
    evidence "the cluster of {here} has no table {table}"
    fix "see what it has: mnesia:system_info(tables)"

    /// A table was to be repaired whose copies need not be the same, or cannot be read row by row.
    Tables Error NotRepairable = "not_repairable" { table: TableName, reason: String }
    evidence "{table} is not repaired: {reason}"
    fix "leave it to the program that it belongs to"

    /// The node that was named has no copy whose rows the others could get.
    Tables Error WinnerWithoutCopy = "winner_without_copy" { table: TableName, winner: NodeName, holders: Nodes }
    evidence "{winner} has no copy of {table}; {holders} have"
    fix "name one of these as the winner"

    /// A table has one copy, which differs from no other.
    Tables Error NoOtherCopy = "no_other_copy" { table: TableName, holder: NodeName }
    evidence "the only copy of {table} is on {holder}"
    fix "nothing has to be mended; for a second copy: easy_cluster:sync_node('{holder}') on another member"

    /// A copy is not loaded, so that it cannot be compared with the others.
    Tables Error CopyNotLoaded = "copy_not_loaded" { table: TableName, node: NodeName }
    evidence "the copy of {table} on {node} is not loaded"
    fix "wait until it is, or see on {node} why it waits: easy_cluster:doctor()"

    /// The copies of a table could not be compared.
    Tables Error CopiesNotCompared = "copies_not_compared" { table: TableName, node: NodeName, reason: String }
    evidence "the copies of {table} could not be compared: {node}: {reason}"
    fix "see that {node} runs this version of easy_cluster and that {table} can be read there, and try again"

    /// A member could not be asked what it holds: it is frozen, cut off or down, or its copies are not loaded.
    Tables Error NodeNotCompared = "node_not_compared" { node: NodeName, tables: Tables, reason: String }
    evidence "the copies on {node} were not compared ({reason}): {tables}"
    fix "see what is wrong there: easy_cluster:doctor('{node}'); then compare its copies: easy_cluster:diff('{node}')"

    /// A copy that was to be deleted, or stored in another way, has other rows than those that would stay: what only it has would be lost.
    Tables Error CopyDiffers = "copy_differs" { table: TableName, node: NodeName, other: NodeName, keys: u64, more: bool, only_there: u64, missing_there: u64 }
    evidence "the copy of {table} on {node} is not that on {other}: {keys} keys differ ({only_there} of them only on {node}, {missing_there} only on {other}; more than were looked at: {more})"
    fix "see which: easy_cluster:diff(); then make all copies what one node has, the other rows being archived: easy_cluster:repair(#{{table => {table}, winner => '{other}'}}), or with '{node}', and try again"

    /// With this copy deleted, too few would be left that are loaded; with none left, Mnesia would delete the table.
    Tables Error TooFewOtherCopies = "too_few_other_copies" { table: TableName, node: NodeName, others: Nodes, wanted: u64 }
    evidence "the copy of {table} on {node} stays: of the other copies {wanted} have to be loaded, and these are: {others}"
    fix "see that the other copies are there and loaded, and try again: easy_cluster:tables()"

    /// The copies of a table that was to be repaired are the same.
    Tables Error NothingDiffers = "nothing_differs" { table: TableName, nodes: Nodes }
    evidence "no row of {table} differs between {nodes}"
    fix "nothing has to be mended; easy_cluster:diff() looks at all tables"

    /// So much of a table differs that it is no matter of some rows.
    Tables Error TooManyDiffer = "too_many_differ" { table: TableName, keys: u64, winner: NodeName }
    evidence "more than {keys} keys of {table} differ, which is too much to be mended key by key"
    fix "on each node that differs, keep its rows, easy_cluster_rows:archive({table}, File), delete its copy, mnesia:del_table_copy({table}, node()), and copy it anew: easy_cluster:sync_node('{winner}')"

    /// Rows hold local funs, which are other terms on every node that loads them, so that nobody can tell whether copies are the same.
    Tables Error RowsNotComparable = "rows_not_comparable" { table: TableName, rows: u64 }
    evidence "{rows} of the rows of {table} cannot be compared: local funs are in them"
    fix "have the program that owns {table} write no funs, or funs of the form fun Module:Function/Arity"

    /// While all was healthy, copies of a table were compared in the background and are not the same.
    Tables Warning CopiesDiffer = "copies_differ" { table: TableName, keys: u64, nodes: Nodes, seen: String }
    evidence "at least {keys} keys of {table} differ between {nodes}, seen {seen}"
    fix "see which: easy_cluster:diff(); then make all copies what one node has, the other rows being archived: easy_cluster:repair(#{{table => {table}, winner => '{first}'}}), or another of them" with (first = nodes.0.first().map_or("Node", NodeName::as_str))

    /// Tables wait for a node: a newer copy is elsewhere, or a dead master node is set.
    Tables Error WaitingForTables = "waiting_for_tables" { tables: String, nodes: Nodes }
    evidence "the node waits for tables: {tables}"
    fix if (!nodes.0.is_empty()) "start the one of {nodes} that was stopped last: `easy-cluster boot-order DIRECTORY…` tells which from their Mnesia directories; if it is gone for good, go on without it: easy_cluster:force_boot(); dead master nodes are cleared with mnesia:set_master_nodes([])"
    fix "start the member that was stopped last: `easy-cluster boot-order DIRECTORY…` tells which from the Mnesia directories of all; if it is gone for good, go on without it: easy_cluster:force_boot(); dead master nodes are cleared with mnesia:set_master_nodes([])"

    /// Tables were stopped on this node before they were on another one, which may have newer rows: they wait for it.
    Tables Error TablesWait = "tables_wait" { here: NodeName, tables: Tables, nodes: Nodes, seen: String }
    evidence "on {here} wait {tables}: {nodes} may have newer rows{seen}"
    fix "start {nodes}; if it is gone for good, see first what would be given up, then go on without it: easy_cluster:force_boot()"

    /// Nothing is to be forced: every table here is loaded, or is being loaded from another member.
    Request Error NothingWaits = "nothing_waits" { here: NodeName }
    evidence "no table with a copy on {here} waits for a node"
    fix "see what is wrong with easy_cluster:doctor()"

    /// A node that tables wait for is not gone: what it has may be newer, and would be lost.
    Membership Error AwaitedIsThere = "awaited_is_there" { node: NodeName, tables: Tables, found: String }
    evidence "{node}, for which wait {tables}, is not gone: {found}"
    fix "start ejabberd on {node} (test_node('{node}') tells what is in the way); if it waits itself, go on from there: easy_cluster:force_boot() on {node}"

    /// Tables are loaded without a node that may have newer rows. When it comes back its rows are replaced by these.
    Tables Warning NewerRowsGivenUp = "newer_rows_given_up" { tables: Tables, nodes: Nodes, seen: String }
    evidence "what {nodes} wrote last into {tables} is given up ({seen})"
    fix "bring its directory here and look with easy-cluster boot-order who has the newest rows; to go on without it pass #{{yes => true}}. Where easy_cluster is installed it keeps its database when it comes back"

    /// This node started with rows of which the others knew nothing: they had gone on without it, and theirs replace them.
    Tables Warning DatabaseOverridden = "database_overridden" { here: NodeName, tables: Tables, nodes: Nodes, kept: String }
    evidence "{nodes} serve {tables} already, of which {here} may have had newer rows; its database as it was is kept in {kept}"
    fix "compare the kept rows with the cluster's if something is missed; when nothing is, drop them: easy_cluster:drop_kept/2"

    /// The master nodes that a node was told to load tables from are down: until one comes, even the newest copy is not loaded.
    Tables Error DeadMasterNodes = "dead_master_nodes" { node: NodeName, masters: Nodes, tables: Tables }
    evidence "{node} loads {tables} from its master nodes only, which are {masters}, and none of them is there"
    fix "start one of {masters}; or, where {node} runs, clear them with mnesia:set_master_nodes([]), and load what waits: easy_cluster:force_boot()"

    /// The node that was last is not among those that could be looked at: tables wait for it.
    Tables Error LastNodeMissing = "last_node_missing" { nodes: Nodes, tables: Tables, best: NodeName }
    evidence "without {nodes}, which may have newer rows, there wait {tables}; of what is there the copies on {best} are the newest"
    fix "start {nodes}, or give its directory, too; if it is gone for good, start {best} and go on without it there: easy_cluster:force_boot()"

    /// The only copies of tables are on a node that is not among those that could be looked at.
    Tables Error OnlyCopyMissing = "only_copy_missing" { nodes: Nodes, tables: Tables }
    evidence "on disc only {nodes} has a copy of {tables}"
    fix "start {nodes}; if it is gone for good, restore a backup of these tables"

    /// No node saw all the others go: they were killed at once, or stopped and started in turns.
    Tables Warning NobodyLast = "nobody_was_last" { nodes: Nodes, tables: Tables, from: NodeName, hint: String }
    evidence "none of {nodes} saw all others go down, so {tables} load when all of them are up, from the disc of {from}, and what another one alone had written is replaced{hint}"
    fix "copy the directories first, then start all of {nodes}, as none of them serves these tables before; to keep another one's rows, start that one alone and have it go on: easy_cluster:force_boot()"

    /// A record that a node went down is older than that node's own: it has run since, and may have newer rows than the node that will not wait for it.
    Tables Error RanSince = "ran_since" { node: NodeName, other: NodeName, down: String, ran: String }
    evidence "{other} saw {node} go down at {down}, and {node} has run since, at {ran} (each by its own clock): {other} does not wait for it"
    fix "copy both directories; if the clocks were right, start {node} alone and have it go on: easy_cluster:force_boot(), then start {other}"

    /// Two nodes have each a record that the other one went first: they ran apart, and each may have rows of its own.
    Tables Error BothOutlived = "both_outlived" { node: NodeName, other: NodeName, down: String, other_down: String }
    evidence "{node} saw {other} go down at {down}, and {other} saw {node} go down at {other_down} (each by its own clock)"
    fix "copy both directories, then start first the one whose rows shall stay: the other one's are replaced by them"

    /// A transaction was prepared on a node, and only another one knows whether it was committed: Mnesia asks before it starts.
    Tables Warning UnclearTransaction = "unclear_transaction" { node: NodeName, nodes: Nodes }
    evidence "{node} does not know how a transaction ended, and waits with its start until {nodes} can say so"
    fix "start {nodes} along with {node}"

    /// The schema cannot be changed while a node that holds a copy is down: a dead node is still a member. Mnesia says the same of a node that never was one and is not connected.
    Tables Error ReplicasNotActive = "replicas_not_active" { table: TableName, nodes: Nodes }
    evidence "table {table} cannot be changed without {nodes}"
    fix if (table.as_str() == "schema") "start Mnesia on {nodes} and connect it (easy_cluster:test_node('{first}') tells what is in the way); if it is a member that is gone for good: easy_cluster:forget({arguments})" with (first = nodes.0.first().map_or("Node", NodeName::as_str)) (arguments = to_forget(nodes))
    fix "start {nodes}; if it is gone for good: easy_cluster:forget({arguments}), which tells first what only it holds" with (arguments = to_forget(nodes))

    /// The table has no copy on the node whose copy was to be changed.
    Tables Error NoCopyHere = "no_copy_here" { table: TableName }
    evidence "there is no copy of table {table} on this node"
    fix "copy it here first: easy_cluster:sync_node(Node) with the name of a member that has it (`easy_cluster:tables()` lists them); without easy_cluster: mnesia:add_table_copy({table}, node(), disc_copies)"

    /// A table was asked for that does not exist or is not ready yet, as after a join; the same comes of every table when Mnesia is stopped.
    Tables Error TableMissing = "table_missing" { table: TableName }
    evidence "table {table} does not exist here or is not ready"
    fix "see that Mnesia runs: mnesia:system_info(is_running); wait until the table is loaded: mnesia:wait_for_tables(['{table}'], 60000); if it does not exist, restart ejabberd, whose modules create their tables when they start"

    /// A table is to get another layout and the function for it does not exist on a member: different ejabberd builds in one cluster.
    Tables Error BadTransform = "bad_transform" { table: TableName, node: String }
    evidence "table {table} could not be brought to its new layout on {node}"
    fix "install the same ejabberd build on all members; stop the others, start the upgraded one, then start the others"

    /// A backup of another ejabberd version has a table that this one lacks, or the other way round.
    Tables Error RestoreTableMissing = "restore_table_missing" { table: TableName, path: String }
    evidence "the backup {path} cannot be restored: table {table} does not exist here"
    fix "restore it with the ejabberd version that made it, then upgrade; or write a dump there and load it here: ejabberdctl dump FILE, ejabberdctl load FILE"

    /// The backup is not there for the user that ejabberd runs as.
    Tables Error RestoreFileMissing = "restore_file_missing" { path: String }
    evidence "there is no backup {path}"
    fix "give the whole path of a file that ejabberd's user may read: sudo -u ejabberd ls -l FILE"

    /// Mnesia cannot dump its log as fast as it is written.
    Tables Warning MnesiaOverloaded = "mnesia_overloaded" { reason: String }
    evidence "Mnesia is overloaded: {reason}"
    fix "now and then it is harmless; if it goes on, set ERL_OPTIONS=\"-mnesia dump_log_write_threshold 50000 -mnesia dc_dump_limit 40\" in ejabberdctl.cfg, give the directory a faster disk, or move busy tables to SQL"

    /// A schema was to be deleted or created while Mnesia runs.
    Tables Error MnesiaNotStopped = "mnesia_not_stopped" { nodes: Nodes }
    evidence "Mnesia runs on {nodes}, so the schema there was neither created nor deleted"
    fix "nothing was deleted; to join a cluster use easy_cluster:join_as_master(Node) with the name of one of its members, which keeps the database aside and stops Mnesia itself"

    /// Mnesia ends itself where it cannot go on, and ejabberd ends with it: the reason stands behind FATAL.
    Tables Error MnesiaDied = "mnesia_died" { node: NodeName, reason: String, path: String, why: String }
    evidence "the log says that Mnesia on {node} ended itself: {reason}"
    fix if (matches!(why.as_str(), "eacces" | "eperm")) "ejabberd was started once as another user, most often root: `chown -R ejabberd: {folder}`, then start it as ejabberd's user (`ejabberdctl start` does)" with (folder = folder(path))
    fix if (matches!(why.as_str(), "enospc" | "edquot")) "the disk is full: see `df -h {folder}`, make room and start ejabberd again" with (folder = folder(path))
    fix if (matches!(why.as_str(), "emfile" | "enfile" | "system_limit")) "the VM has no file or port left: raise LimitNOFILE of the service (`systemctl edit ejabberd`) and ERL_MAX_PORTS in ejabberdctl.cfg, and start ejabberd again"
    fix if (matches!(why.as_str(), "enoent" | "enotdir" | "erofs" | "eio")) "the directory is gone, read-only or damaged: see `ls -ld {folder}`, `findmnt -T {folder}` and `dmesg`, and mount or mend it before ejabberd starts again" with (folder = folder(path))
    fix if (!why.is_empty()) "the file is damaged. Stop ejabberd and keep a copy first: `cp -a {folder} FOLDER`. Then have Mnesia fetch the table from a member that holds it (easy_cluster:sync_node(Node) after the damaged copy was taken out), or restore a backup" with (folder = folder(path))
    fix "keep a copy of the Mnesia directory before anything else (`cp -a /var/lib/ejabberd FOLDER`), then start ejabberd again; if it dies again, look at what stands before the reason in the log, and restore a backup or join the cluster anew: easy_cluster:join_as_master(Node)"

    /// A file of a table or of Mnesia's log cannot be used: its rights, its disk, or what is in it.
    Tables Error TableFile = "table_file" { path: String, why: String }
    evidence "the log says that {path} cannot be used: {why}"
    fix if (matches!(why.as_str(), "eacces" | "eperm")) "ejabberd was started once as another user, most often root: `chown -R ejabberd: {folder}`, then start it as ejabberd's user (`ejabberdctl start` does)" with (folder = folder(path))
    fix if (matches!(why.as_str(), "enospc" | "edquot")) "the disk is full: see `df -h {folder}`, make room and start ejabberd again" with (folder = folder(path))
    fix if (matches!(why.as_str(), "emfile" | "enfile" | "system_limit")) "the VM has no file or port left: raise LimitNOFILE of the service (`systemctl edit ejabberd`) and ERL_MAX_PORTS in ejabberdctl.cfg, and start ejabberd again"
    fix if (matches!(why.as_str(), "enoent" | "enotdir" | "erofs" | "eio")) "the directory is gone, read-only or damaged: see `ls -ld {folder}`, `findmnt -T {folder}` and `dmesg`, and mount or mend it before ejabberd starts again" with (folder = folder(path))
    fix if (!why.is_empty()) "the file is damaged. Stop ejabberd and keep a copy first: `cp -a {folder} FOLDER`. Then have Mnesia fetch the table from a member that holds it (easy_cluster:sync_node(Node) after the damaged copy was taken out), or restore a backup" with (folder = folder(path))
    fix "see what `ls -l {path}` says, and keep a copy before anything else"

    /// The directory has the schema of this Mnesia already: a schema is created once, before the first start.
    Tables Warning DatabaseExists = "database_exists" { node: NodeName }
    evidence "there is a database of {node} already, and it was left as it is"
    fix "nothing, if this is its database; if another directory was meant, start the VM with -mnesia dir (SPOOL_DIR in ejabberdctl.cfg)"

    /// A line that worries people and means no harm.
    Operation Warning Harmless = "harmless" { text: String, meaning: String }
    evidence "{text}: {meaning}"
    fix "nothing: this line alone is no fault"

    /// Mnesia's log on disc was damaged at its end, as after a power loss or on a full disc, and Mnesia cut off what it could not read.
    Tables Warning LogRepaired = "log_repaired" { path: String, lost: String }
    evidence "Mnesia repaired its log {path}: {lost}"
    fix "compare the tables with those of another member, as the last transactions before that may be missing here: easy_cluster:diff(); a node that is alone has lost them, and a backup may have them"

    /// A table or a copy was to be made that is there already, and stored in this way: harmless.
    Tables Warning CopyExists = "copy_exists" { table: TableName, node: String }
    evidence "{table} is there already{node}"
    fix "nothing: it is as it was asked for"

    /// A row does not fit the definition of its table: another release of ejabberd, or another module, has made one of them.
    Tables Error RowLayout = "row_layout" { table: TableName }
    evidence "a row of {table} was refused, as it does not fit the table's definition"
    fix "see mnesia:table_info({table}, attributes), and install the same ejabberd release with the same modules on all members; a backup of another release is restored with that release first"

    /// Mnesia does not run on this node.
    Membership Error MnesiaStopped = "mnesia_stopped" {}
    evidence "Mnesia does not run on the node of this text: not even its schema is there"
    fix "start ejabberd (`ejabberdctl start`), and if it ends again see what its log says of Mnesia"

    /// epmd could not take its port: another epmd or another program has it, or this user may not listen there.
    Distribution Error EpmdPortTaken = "epmd_port_taken" { reason: String }
    evidence "epmd could not listen: {reason}"
    fix "see who has the port: `ss -ltnp sport = :4369`; if it is an epmd already, nothing has to be done; with systemd, epmd.socket has the port: `systemctl status epmd.socket epmd.service`, and mend ListenStream there"

    /// An epmd was started where one runs already: harmless, as one serves all nodes of a machine.
    Distribution Warning EpmdRuns = "epmd_runs" {}
    evidence "an epmd runs on this machine already, and the second one ended"
    fix "nothing: one epmd serves all nodes of a machine; `epmd -names` lists them"

    /// ejabberdctl was called by a user that may not: it has to be root or ejabberd's own.
    Distribution Error CtlUser = "ctl_user" { user: String }
    evidence "ejabberdctl may be run by root or the user {user} only"
    fix "run it as that user: sudo -u {user} ejabberdctl status"

    /// The copies would not fit into memory.
    Capacity Error NotEnoughMemory = "not_enough_memory" { here: NodeName, needed: Bytes, free: Bytes }
    evidence "the copies need {needed} of memory on {here}, which has {free} for them"
    fix "add memory, or join with easy_cluster:join/1, which reads the tables where they are"

    /// The copies would not fit on the disk.
    Capacity Error NotEnoughDisk = "not_enough_disk" { here: NodeName, directory: String, needed: Bytes, free: Bytes }
    evidence "the copies need {needed} in {directory} on {here}, which has {free}"
    fix "free space there, or move the Mnesia directory (SPOOL_DIR) to a larger disk"

    /// A disc_only_copies table near the 2 GB that dets can hold.
    Capacity Error DetsLimit = "dets_limit" { table: TableName, bytes: Bytes, limit: Bytes }
    evidence "table {table} has {bytes}, and a disc_only_copies copy holds {limit} at most"
    fix "change it to disc_copies first, while nobody writes to it: mnesia:change_table_copy_type({table}, Node, disc_copies), or fragment it"

    /// The Mnesia directory of this node or of a member cannot be written: Mnesia there ends at the next change of the schema.
    Capacity Error DirectoryNotWritable = "directory_not_writable" { node: NodeName, directory: String }
    evidence "the Mnesia directory {directory} on {node} cannot be written"
    fix "give it to the user that ejabberd runs as there: `chown -R ejabberd: {directory}; chmod u+rwx {directory}`; if the file system is read-only (`findmnt -T {directory}`), mount it to be written"

    /// A Mnesia file that is a link, a folder or a device: it cannot be given a second name and kept.
    Capacity Error NotAPlainFile = "not_a_plain_file" { path: String, kind: String }
    evidence "{path} has the name of a Mnesia file and is a {kind}"
    fix "stop ejabberd, then move it away, or for a link, put the file itself there: `cp -p --remove-destination \"$(readlink -f '{path}')\" '{path}'`; start ejabberd and try again"

    /// A file that ejabberd may not write, or a folder that it cannot make, beside the database that is to be kept.
    Capacity Error NotUsable = "not_usable" { path: String, reason: String }
    evidence "{path} cannot be used by ejabberd: {reason}"
    fix "give it to the user that ejabberd runs as: `chown -R ejabberd: '{path}'; chmod u+rwX '{path}'`; move away what is there in the place of a folder"

    /// A process outside Mnesia has a dets file of Mnesia's open, which would stay open when Mnesia stops.
    Operation Error FileInUse = "file_in_use" { path: String, users: String }
    evidence "{path} is open in {users} as well as in Mnesia"
    fix "have {users} close it with dets:close/1, or end what owns that process"

    /// A file cannot be given a second name, by which a database is kept in no time and without room.
    Capacity Error NoHardLinks = "no_hard_links" { path: String, reason: String }
    evidence "files of the Mnesia directory cannot be given second names in {path}: {reason}"
    fix "have {path} on the file system of the Mnesia directory (`findmnt -T '{path}'`), one with hard links such as ext4 or xfs"

    /// A slave of ejabberd does not read all tables where they are.
    Tables Warning CopiedAtStart = "copied_at_start" { tables: u64, rows: u64, bytes: Bytes }
    evidence "when ejabberd starts, its modules copy {tables} of the cluster's tables here ({rows} rows, {bytes})"
    fix "nothing; where these copies are not wanted, take the modules out of ejabberd.yml"

    /// A transaction on a large table would have to wait long.
    Tables Warning LongStall = "long_stall" { table: TableName, stall: Milliseconds }
    evidence "transactions on {table} wait up to {stall} on every member while it is copied"
    fix "choose a quiet hour"

    /// The cluster is not what the plan was made for.
    Operation Error PlanChanged = "plan_changed" { id: String, changed: String }
    evidence "since plan {id} was made, {changed} changed"
    fix "make a new plan and look at it: easy_cluster:plan(Operation)"

    /// ejabberd.yml has changed since ejabberd was started and would not be accepted: ejabberd, stopped, would not start again.
    Operation Error ConfigurationInvalid = "configuration_invalid" { path: String, reason: String }
    evidence "ejabberd could not start again with {path}: {reason}"
    fix "mend it there, see that ejabberd takes it (`ejabberdctl reload_config`) and try again"

    /// The configuration on disc could not be looked at without stopping ejabberd.
    Operation Warning ConfigurationUnchecked = "configuration_unchecked" { reason: String }
    evidence "it could not be found out whether ejabberd would start again with its configuration: {reason}"
    fix "if it was changed since ejabberd was started, see that ejabberd takes it: `ejabberdctl reload_config`"

    /// This node took too long to answer about itself: it is overloaded, or its disk hangs.
    Operation Error SilentHere = "silent_here" { here: NodeName, reason: String }
    evidence "{here} did not get an answer from itself: {reason}"
    fix "look what keeps it busy (`top`, `dmesg`, `df` on its Mnesia directory), and try again with more time: #{{timeout => 30000}}"

    /// Somebody else is changing the cluster.
    Operation Error OperationInProgress = "operation_in_progress" { holder: NodeName }
    evidence "{holder} is changing this cluster right now"
    fix "wait until it is done (easy_cluster:status() there) and try again"

    /// There is no operation that could be taken back, or nothing of it is kept.
    Operation Error NothingToRollBack = "nothing_to_roll_back" { reason: String }
    evidence "there is nothing to take back: {reason}"
    fix "easy_cluster:history() lists what was done here and what is kept since"

    /// The database that an operation has kept was deleted since.
    Operation Error KeptDatabaseGone = "kept_database_gone" { id: String }
    evidence "the database that {id} has kept is not there any more"
    fix "restore a backup, or join the cluster as a new node: easy_cluster:join_as_master(Node)"

    /// A file of a kept database is not what it was.
    Operation Error KeptDatabaseDamaged = "kept_database_damaged" { id: String, path: String, reason: String }
    evidence "the database that {id} has kept is damaged at {path}: {reason}"
    fix "put that file back from a copy of the folder if there is one; otherwise restore a backup"

    /// Rows that an operation has written to the cluster do not go with it.
    Operation Warning MergedRowsStay = "merged_rows_stay" { id: String, tables: String }
    evidence "rows that {id} has written to the cluster stay there: {tables}"
    fix "delete them there by hand if they are not wanted; pass #{{yes => true}} to take the rest back"

    /// A step failed; what was done before was taken back, or not.
    Operation Error StepFailed = "step_failed" { id: String, step: String, number: u32, reason: String, outcome: String }
    evidence "step {number} ({step}) of {id} failed: {reason}. {outcome}"
    fix "mend the reason and ask again; the journal has every step: easy_cluster:status()"

    /// The goal was not reached although every step succeeded.
    Operation Error VerifyFailed = "verify_failed" { expected: String, found: String }
    evidence "expected {expected}, found {found}"
    fix "see in easy_cluster:status() what is missing; easy_cluster:sync_node with the name of a member copies what that member has and this node has not"

    /// An operation that was interrupted can be brought neither to its end nor back.
    Operation Error RecoveryFailed = "recovery_failed" { id: String, step: String, reason: String }
    evidence "{id} was interrupted, and its recovery failed at {step}: {reason}"
    fix "mend the reason and start the node again; until then it does not start, as it would serve half a database"

    /// The operation's process died.
    Operation Error OperationDied = "operation_died" { id: String, reason: String }
    evidence "the process that carried out {id} died: {reason}"
    fix "look at easy_cluster:status() and the journal; what was kept is untouched"

    /// The journal could not be written; without it nothing is changed.
    Operation Error JournalWrite = "journal_write" { path: String, reason: String }
    evidence "the journal {path} could not be written: {reason}"
    fix "make room or mend the permissions there"

    /// There is a journal of that name already.
    Operation Error JournalExists = "journal_exists" { path: String, reason: String }
    evidence "the journal {path} exists already: {reason}"
    fix "a plan is carried out once; make a new one with easy_cluster:plan(Operation)"

    /// A journal that cannot be read.
    Operation Error JournalRead = "journal_read" { path: String, reason: String }
    evidence "the journal {path} could not be read: {reason}"
    fix "mend the permissions there"

    /// The name of an operation that cannot be the name of a file.
    Operation Error BadId = "bad_id" { path: String, reason: String }
    evidence "an operation in {path} has no usable name: {reason}"
    fix "make the plan anew with easy_cluster:plan(Operation)"

    /// Files were to be moved while Mnesia runs.
    Operation Error MnesiaRunning = "mnesia_running" { path: String, reason: String }
    evidence "Mnesia runs in {path} (is_running is {reason}) where it must not"
    fix "let the operation stop it; do not start Mnesia meanwhile"

    /// A backup was installed as fallback and takes the database's place at the next start of Mnesia.
    Operation Error FallbackInstalled = "fallback_installed" { path: String, reason: String }
    evidence "a fallback waits in {path} to take the database's place: {reason}"
    fix "on the node of {path}, give it up with mnesia:uninstall_fallback(), or restart ejabberd to let it take the database's place; then try again"

    /// The transaction log holds what the table files lack.
    Operation Error LogNotDumped = "log_not_dumped" { path: String, reason: String }
    evidence "the transaction log in {path} is not empty: {reason}"
    fix "something wrote to Mnesia while it was stopped for the operation: stop it and try again"

    /// A journal that cannot be trusted. The database is whole: the marks beside it told the last start what to do.
    Operation Error JournalCorrupt = "journal_corrupt" { path: String, reason: String }
    evidence "the journal {path} is damaged: {reason}"
    fix "see that the members agree (easy_cluster:doctor()) and that no table is missing here (easy_cluster:sync_node(Node)); look after the disk; then move the file away"

    /// A journal of another version. Nothing is written to it.
    Operation Error JournalVersion = "journal_version" { path: String, reason: String }
    evidence "another version of easy_cluster wrote the journal {path}: {reason}"
    fix "if that operation has not ended, install that version again to end it; otherwise move the file away"

    /// A journal that is not there.
    Operation Error JournalMissing = "journal_missing" { path: String, reason: String }
    evidence "there is no journal {path}: {reason}"
    fix "easy_cluster:history() lists the operations that are known"

    /// An exchange of the database was interrupted, its journal cannot be read, and the marks beside it do not tell enough.
    Operation Error HalfExchanged = "half_exchanged" { id: String, path: String, reason: String, why: String }
    evidence "{id} was interrupted in the middle of an exchange of the database, and its journal {path} cannot be read ({reason}): {why}"
    fix "nothing is lost: the old files are in the folder easy_cluster/kept/{id} of the Mnesia directory. For a journal of another version, install that version. Otherwise put the journal back from a copy; or have the old database back by hand: with the node stopped, copy the files of that folder into the Mnesia directory and move the journal away"

    /// There is no operation that was interrupted.
    Operation Error NothingToResume = "nothing_to_resume" { here: NodeName }
    evidence "every operation that was begun on {here} has ended"
    fix "easy_cluster:history() tells how"

    /// What cannot be brought back has to be typed twice.
    Operation Error ConfirmationNeeded = "confirmation_needed" { id: String, files: u64, bytes: Bytes }
    evidence "the database that {id} has kept ({files} files, {bytes}) would be deleted for good"
    fix "type easy_cluster:drop_kept(\"{id}\", #{{confirm => \"{id}\"}})"

    /// There is no kept database of that name.
    Operation Error NotKept = "not_kept" { id: String, known: String }
    evidence "no database is kept under {id}"
    fix "those that are kept: {known}"

    /// The kept database is needed still.
    Operation Error KeptInUse = "kept_in_use" { id: String, reason: String }
    evidence "the database that {id} has kept stays: {reason}"
    fix "have the operation brought to its end first: easy_cluster:resume()"

    /// An archive holds rows that may be nowhere else, and has to be typed twice.
    Operation Error ArchiveConfirmationNeeded = "archive_confirmation_needed" { id: String, files: u64, bytes: Bytes }
    evidence "the rows that {id} has archived ({files} files, {bytes}) would be deleted for good"
    fix "type easy_cluster:drop_archive(\"{id}\", #{{confirm => \"{id}\"}})"

    /// There is no archive of that name.
    Operation Error NotArchived = "not_archived" { id: String, known: String }
    evidence "no rows are archived under {id}"
    fix "those that are there: {known}"

    /// Rows of an archive may have to come back still.
    Operation Error ArchiveInUse = "archive_in_use" { id: String, unfinished: String }
    evidence "the rows that {id} has archived stay: {unfinished} has not ended and may need them"
    fix "have the operation brought to its end first: easy_cluster:resume()"

    /// Databases that were kept, and archives of rows, take more room than they should. None is ever deleted by itself.
    Capacity Warning KeptQuota = "kept_quota" { databases: u64, archives: u64, bytes: Bytes, limit: Bytes, reason: String, oldest: String, oldest_bytes: Bytes, function: String }
    evidence "kept databases: {databases}, archives of rows: {archives}, together {bytes} in the folder easy_cluster of the Mnesia directory; the limit is {limit} ({reason})"
    fix "give the oldest up ({oldest_bytes}): easy_cluster:{function}(\"{oldest}\", #{{confirm => \"{oldest}\"}}); or allow more, in bytes: kept_quota of mod_easy_cluster in ejabberd.yml, or of the application easy_cluster"

    /// A file operation in the Mnesia directory failed.
    Operation Error DirectoryError = "directory_error" { path: String, reason: String }
    evidence "{path}: {reason}"
    fix "mend the permissions or the file system there and try again"

    /// A backup is written to a folder of its own.
    Capacity Error BackupFolderNotEmpty = "backup_folder_not_empty" { path: String, found: String }
    evidence "the folder {path} is not empty: it has {found}"
    fix "name a folder that is empty or not there yet, as in easy_cluster:backup(\"{path}/2026-01-31\")"

    /// The cluster has no table that a backup takes: it is new, or all its tables are made anew at each start.
    Tables Error NothingToBackUp = "nothing_to_back_up" { here: NodeName, left_out: u64 }
    evidence "the cluster of {here} has no table that a backup takes, and {left_out} that a backup leaves out"
    fix "no backup is needed yet; ask again when an application has made its tables: mnesia:system_info(tables) lists them"

    /// The rows would not fit on the disk that the backup is written to.
    Capacity Error NoRoomForBackup = "no_room_for_backup" { path: String, needed: Bytes, free: Bytes }
    evidence "a backup in {path} needs about {needed}, and there are {free}"
    fix "name a folder on a larger disk, or make room there"

    /// A backup could not be finished; what had been written of it was taken away.
    Operation Error BackupFailed = "backup_failed" { path: String, reason: String }
    evidence "the backup in {path} could not be finished: {reason}"
    fix "see that the members stay up meanwhile and the disk has room, and try again"

    /// There is no manifest: it is written last, so this is no backup, or one that was interrupted.
    Operation Error BackupMissing = "backup_missing" { path: String }
    evidence "there is no {path}, which every finished backup has"
    fix "name the folder that was given to easy_cluster:backup(Folder); an interrupted backup has to be made anew"

    /// A file of a backup is not what was written.
    Operation Error BackupDamaged = "backup_damaged" { path: String, table: TableName, reason: String }
    evidence "{path} (table {table}) is not what was written: {reason}"
    fix "use another backup or another copy of this one; nothing was changed"

    /// A backup of a later version.
    Operation Error BackupVersion = "backup_version" { path: String, format: String }
    evidence "the backup {path} has the format {format}"
    fix "use the version of easy_cluster that made it, or a later one"

    /// A table that a backup does not have: it is not there after the restore.
    Tables Warning NotInBackup = "not_in_backup" { table: TableName, rows: u64 }
    evidence "table {table} ({rows} rows) is not in the backup and will be gone; it stays in the kept database"
    fix "easy_cluster:rollback() brings it back with all else; or archive it first: easy_cluster_rows:archive({table}, File)"

    /// A table is defined in another way in the backup; as ejabberd starts, its modules bring it to their own layout.
    Tables Warning BackupDefinitionDiffers = "backup_definition_differs" { table: TableName, item: String, here: String, backup: String }
    evidence "table {table} has {item} {here} here and {backup} in the backup"
    fix "restore with the ejabberd version that the backup was made with, then upgrade"

    /// The database in a directory is another node's.
    Machine Error DatabaseOfOther = "database_of_other" { path: String, owner: NodeName, from: NodeName }
    evidence "the database in {path} is owned by {owner}, not by {from}"
    fix "give the name of its owner: easy-cluster rename {owner} NEW {path}"

    /// The others know a member by its old name: it cannot be renamed here alone.
    Membership Error CannotRenameMember = "cannot_rename_member" { path: String, members: Nodes }
    evidence "the database in {path} is that of a cluster: {members}"
    fix "start the node under its old name and let it leave (easy_cluster:leave()), or have the others forget it; rename it then, and join again"

    /// Files that another user makes in ejabberd's directory cannot be read by ejabberd.
    Machine Error WrongUser = "wrong_user" { path: String, owner: u64, user: u64 }
    evidence "{path} belongs to user {owner}, and this runs as user {user}"
    fix "run it as the user that ejabberd runs as: `sudo -u '#{owner}' easy-cluster …`"

    /// An ejabberd has the directory open.
    Machine Error DirectoryInUse = "directory_in_use" { path: String, process: u64 }
    evidence "process {process} has the database in {path} open"
    fix "stop it first: `ejabberdctl stop`, or `ps -p {process}` tells what it is"

    /// Members that could not be told to forget this node; they will be when they are back.
    Operation Warning ForgetPending = "forget_pending" { members: Nodes }
    evidence "{members} could not be told to forget this node and will be told when they are back"
    fix "start them; until then this node refuses to connect to them, so that they can start"

    /// The native library could not be loaded.
    Installation Error NativeLibrary = "native_library" { path: String, reason: String }
    evidence "{path} could not be loaded: {reason}"
    fix "install a Rust toolchain and run module_install again, or use a release archive with a prebuilt library"

    /// The OTP application did not start.
    Installation Error ApplicationNotStarted = "application_not_started" { reason: String }
    evidence "the application easy_cluster did not start: {reason}"
    fix "install it again; in ejabberd, enable mod_easy_cluster in the modules section of ejabberd.yml"

    /// Members whose releases of easy_cluster do not understand one another, as in the middle of an upgrade.
    Installation Error OtherVersion = "other_version" { nodes: Nodes }
    evidence "the easy_cluster on {nodes} speaks another version of the protocol between members than this one"
    fix "install the same release of easy_cluster on all members; until then, nothing is changed by itself, and copies on these members are not compared"

    /// A request to the core that it cannot read.
    Installation Error BadRequest = "bad_request" { reason: String }
    evidence "the core could not read a request: {reason}"
    fix "the Erlang modules and the native library may be of different versions: install again and restart"

    /// A file that ejabberd needs is not there.
    Machine Error ConfigMissing = "config_missing" { path: String }
    evidence "there is no {path}"
    fix "install ejabberd's package again, or name the folder of its configuration: easy-cluster doctor --config DIR"

    /// A file is there and cannot be read.
    Machine Error ConfigUnreadable = "config_unreadable" { path: String, reason: String }
    evidence "{path} cannot be read: {reason}"
    fix "run the doctor as root; if it should be a file and is something else, move that away: ls -ld {path}"

    /// A byte order mark stands before the first line, which is lost by it.
    Machine Error ConfigBom = "config_bom" { path: String }
    evidence "{path} begins with a byte order mark"
    fix "take it off: sed -i --follow-symlinks '1s/^\\xEF\\xBB\\xBF//' {path}"

    /// Lines end as Windows ends them, and the carriage return becomes part of each value.
    Machine Error ConfigCrlf = "config_crlf" { path: String, line: u32 }
    evidence "line {line} of {path} ends with a carriage return and a newline"
    fix "make them newlines: sed -i --follow-symlinks 's/\\r$//' {path}"

    /// A file has a mistake that keeps it from being read to its end.
    Machine Error ConfigSyntax = "config_syntax" { path: String, line: u32, reason: String }
    evidence "{path} has a mistake in line {line}: {reason}"
    fix "mend that line, or the one above it"

    /// A file computes or includes something, so that reading it does not tell everything.
    Machine Warning ConfigUnclear = "config_unclear" { path: String, line: u32, reason: String }
    evidence "line {line} of {path} cannot be told without running it: {reason}"
    fix "where it decides the node's name, its cookie or its ports, write the value itself there"

    /// A line that should set a variable and is another command to the shell: blanks around =, a colon, `set`, or more words behind the value.
    Machine Error ConfigSetsNothing = "config_sets_nothing" { path: String, line: u32, variable: String, found: String, value: String }
    evidence "line {line} of {path} does not set {variable}: to the shell, {found}"
    fix if (!value.is_empty()) "write line {line} of {path} as {variable}={value}"
    fix "write it without blanks around =, and in quotes if the value has blanks: {variable}=VALUE"

    /// There is no cookie, so that Erlang would make one that no other node has.
    Machine Error CookieMissing = "cookie_missing" { path: String, user: String }
    evidence "there is no cookie file {path}"
    fix "bring .erlang.cookie here from the machine of the node that is to be joined, and put it there: install -m 400 -o {user} .erlang.cookie {path}"

    /// The cookie is there and cannot be read.
    Machine Error CookieUnreadable = "cookie_unreadable" { path: String, reason: String }
    evidence "the cookie file {path} cannot be read: {reason}"
    fix "run the doctor as root; if it is not a file, move it away and copy the cookie of the other node there"

    /// Erlang does not start with a cookie that others can read.
    Machine Error CookieMode = "cookie_mode" { path: String, mode: String }
    evidence "the cookie file {path} has mode {mode}: others than its owner may use it, and Erlang refuses it"
    fix "chmod 400 {path}"

    /// The cookie belongs to another user than ejabberd's.
    Machine Error CookieOwner = "cookie_owner" { path: String, owner: String, user: String }
    evidence "the cookie file {path} belongs to {owner}, and ejabberd runs as {user}"
    fix "chown {user}: {path}"

    /// The cookie file has nothing in it.
    Machine Error CookieEmpty = "cookie_empty" { path: String, user: String }
    evidence "the cookie file {path} is empty"
    fix "bring .erlang.cookie here from the machine of the node that is to be joined, and put it there: install -m 400 -o {user} .erlang.cookie {path}"

    /// Cookies are atoms, which hold 255 characters.
    Machine Error CookieTooLong = "cookie_too_long" { path: String, length: u64 }
    evidence "the cookie in {path} has {length} characters; 255 are the most"
    fix "give all nodes a shorter one"

    /// Erlang refuses a cookie with this character.
    Machine Error CookieCharacters = "cookie_characters" { path: String, found: String }
    evidence "the cookie in {path} has {found}, and Erlang refuses it"
    fix "write it anew, in letters and digits and without an editor: printf %s COOKIE > {path}"

    /// A space at an end of the cookie, which nobody sees and which counts.
    Machine Warning CookieSpace = "cookie_space" { path: String, place: String }
    evidence "the cookie in {path} {place}, which is part of it"
    fix "if the other nodes' cookie has none, write it anew: printf %s COOKIE > {path}"

    /// Erlang leaves out an end of line behind the cookie; other programs may not.
    Machine Warning CookieLineEnd = "cookie_line_end" { path: String, found: String }
    evidence "the cookie in {path} is followed by {found}; Erlang leaves that out, copying by hand may not"
    fix "write it without: (umask 077; tr -d '\\r\\n' < {path} > {path}.new) && chown --reference={path} {path}.new && mv {path}.new {path}"

    /// Whoever guesses the cookie owns the machine.
    Machine Warning CookieWeak = "cookie_weak" { path: String, reason: String }
    evidence "the cookie in {path} can be guessed: {reason}"
    fix if (!path.starts_with('/')) "give all nodes one of twenty random letters in .erlang.cookie, while they are stopped, and take -setcookie out of {path}"
    fix "give all nodes one of twenty random letters, while they are stopped: tr -dc A-Z < /dev/urandom | head -c 20 > {path}"

    /// Users of this machine have different cookies; commands of one do not reach the node of the other.
    Machine Warning SeveralCookies = "several_cookies" { path: String, fingerprint: String, other_path: String, other_fingerprint: String }
    evidence "{path} has the cookie {fingerprint}, and {other_path} has {other_fingerprint} (fingerprints)"
    fix "where that user calls Erlang's programs for this node, copy the file: install -m 400 {path} {other_path}"

    /// The cookie is among the VM's arguments, where every user of the machine can read it.
    Machine Warning CookieInArguments = "cookie_in_arguments" { origin: String }
    evidence "{origin} sets the cookie with -setcookie: it counts instead of the file's, and the list of processes shows it"
    fix "write it into .erlang.cookie and take -setcookie out of {origin}"

    /// The node's host is the machine itself, whichever that is: no other machine can find it by this name.
    Machine Error NodeNameDefault = "node_name_default" { node: NodeName, origin: String, hostname: String }
    evidence "the node would be called {node} ({origin}), which no other machine can reach"
    fix if (hostname.contains('.')) "set ERLANG_NODE=ejabberd@{hostname} in ejabberdctl.cfg, if the other machines resolve {hostname}"
    fix "set ERLANG_NODE=ejabberd@HOST in ejabberdctl.cfg, with a host that the other machines can resolve, such as ejabberd@foo.bar"

    /// A node whose host has no dot has a short name, and long and short names do not mix.
    Machine Warning HostWithoutDot = "host_without_dot" { node: NodeName, origin: String }
    evidence "the node would be called {node} ({origin}): a short name, which nodes with long names cannot talk to"
    fix "set ERLANG_NODE to a name whose host has a dot, such as ejabberd@foo.bar, on all machines"

    /// Beside an empty directory, the database of another name: the node was renamed, and would begin anew.
    Machine Warning OtherDatabase = "other_database" { directory: String, other: String, owner: Nodes, node: NodeName }
    evidence "there is no database in {directory}, and {other} has that of {owner}"
    fix if (only(owner).is_some()) "to go on with it under the new name, with ejabberd stopped: sudo -u ejabberd easy-cluster rename {owner} {node} {other}, then move it to {directory}; or set ERLANG_NODE={owner} in ejabberdctl.cfg"
    fix "set ERLANG_NODE in ejabberdctl.cfg back to the name that this node had among {owner}; if the database is to be begun anew, nothing has to be done"

    /// The node's own host has no address on its own machine.
    Machine Error OwnHostUnknown = "own_host_unknown" { node: NodeName, host: String, reason: String, address: String }
    evidence "{host}, the host of {node}, does not resolve on its own machine: {reason}"
    fix if (!address.is_empty()) "echo '{address} {host}' >> /etc/hosts, if the others reach {address}"
    fix "echo 'ADDRESS {host}' >> /etc/hosts, with an address of this machine that the others reach"

    /// The machine's own name leads to the loopback, as Debian's installer sets it.
    Machine Warning OwnHostLoopback = "own_host_loopback" { node: NodeName, host: String, address: String, place: String, addresses: String }
    evidence "{host}, the host of {node}, is {address} here ({place}), which leads nowhere else: who copies that line to another machine reaches only himself"
    fix "give {host} in {place} an address of this machine that the others reach, of {addresses}"

    /// The node's own host leads to another machine.
    Machine Warning OwnHostElsewhere = "own_host_elsewhere" { node: NodeName, host: String, address: String, addresses: String }
    evidence "{host}, the host of {node}, is {address} here, and this machine has {addresses}"
    fix "mend the line of {host} in /etc/hosts or its DNS entry, unless something translates that address to this machine"

    /// The node shall listen on an address that this machine does not have.
    Machine Error InterfaceNotHere = "interface_not_here" { interface: String, addresses: String }
    evidence "INET_DIST_INTERFACE is {interface}, and this machine has {addresses}"
    fix "set INET_DIST_INTERFACE in ejabberdctl.cfg to one of these, or take the line out to listen on all"

    /// Only this machine reaches a node that listens on the loopback.
    Machine Error InterfaceLoopback = "interface_loopback" { interface: String }
    evidence "INET_DIST_INTERFACE is {interface}: no other machine reaches the node"
    fix "set INET_DIST_INTERFACE in ejabberdctl.cfg to an address of this machine that the others reach"

    /// The address to listen on is no address.
    Machine Error InterfaceMalformed = "interface_malformed" { text: String }
    evidence "INET_DIST_INTERFACE is '{text}', which is no IP address"
    fix "write an address such as 10.0.0.1, not a host and not the name of an interface"

    /// The distribution speaks IPv4 unless it is told otherwise.
    Machine Error InterfaceIpv6WithoutProtoDist = "interface_ipv6_without_proto_dist" { interface: String, proto_dist: String }
    evidence "INET_DIST_INTERFACE is the IPv6 address {interface}, and the distribution uses {proto_dist}"
    fix "add -proto_dist inet6_tcp to ERL_OPTIONS in ejabberdctl.cfg, on all machines"

    /// epmd tells everybody who can reach it which nodes run, and on which ports.
    Machine Warning EpmdOpen = "epmd_open" { address: String }
    evidence "epmd listens on {address}, which is every network of this machine"
    fix "let only the other members through the firewall to it, or set ERL_EPMD_ADDRESS in ejabberdctl.cfg to an address that they reach and restart epmd"

    /// No other machine reaches an epmd that listens on the loopback only.
    Machine Error EpmdLocal = "epmd_local" { address: String }
    evidence "epmd listens on {address} only: no other machine can ask it"
    fix "set ERL_EPMD_ADDRESS in ejabberdctl.cfg to an address that the others reach (with systemd, ListenStream of epmd.socket too) and restart epmd"

    /// The node accepts other nodes on every network; only the cookie protects it.
    Machine Warning DistributionOpen = "distribution_open" { node: NodeName }
    evidence "INET_DIST_INTERFACE is not set: {node} would accept other nodes on every network of this machine"
    fix "set INET_DIST_INTERFACE in ejabberdctl.cfg to the address that the other members reach, or keep its ports behind a firewall"

    /// The port for other nodes is another one at each start, so that no firewall can let it through.
    Machine Warning NoPortWindow = "no_port_window" { node: NodeName }
    evidence "FIREWALL_WINDOW is not set: {node} would listen on a random port"
    fix "set FIREWALL_WINDOW=4370-4375 in ejabberdctl.cfg and let the other members through to these ports and epmd's"

    /// The range of ports is not one.
    Machine Error PortWindowMalformed = "port_window_malformed" { text: String }
    evidence "FIREWALL_WINDOW is '{text}', which is no range of ports"
    fix "write the first and the last port, such as FIREWALL_WINDOW=4370-4375"

    /// Nodes talk through TLS, so all of them have to.
    Machine Warning TlsDistribution = "tls_distribution" { proto_dist: String }
    evidence "the distribution uses TLS ({proto_dist}): only nodes that do so too can connect, and the probe sees their port and no more"
    fix "set -proto_dist {proto_dist} and certificates of one authority on all members"

    /// Mnesia refuses the database of another node.
    Machine Error MnesiaOwnerDiffers = "mnesia_owner_differs" { directory: String, owner: Nodes, node: NodeName }
    evidence "the database in {directory} belongs to {owner}, and the node would be called {node}"
    fix if (only(owner).is_some()) "set ERLANG_NODE={owner} in ejabberdctl.cfg; to keep the new name, with ejabberd stopped: sudo -u ejabberd easy-cluster rename {owner} {node} {directory}; to begin anew, move {directory} aside"
    fix "this is the database of a cluster: set ERLANG_NODE in ejabberdctl.cfg back to the name that this node had among {owner}; only a node that has left its cluster can be renamed (easy-cluster rename); to begin anew, move {directory} aside and have a member forget the old name"

    /// The database cannot be looked at.
    Machine Error MnesiaDirectoryUnreadable = "mnesia_directory_unreadable" { directory: String, reason: String }
    evidence "the Mnesia directory {directory} cannot be read: {reason}"
    fix "run the doctor as root, or name the directory: easy-cluster doctor --spool DIR"

    /// The file that makes a directory a database is damaged.
    Machine Error MnesiaSchemaDamaged = "mnesia_schema_damaged" { directory: String, reason: String }
    evidence "schema.DAT in {directory} cannot be read: {reason}"
    fix "keep a copy of {directory}, then restore a backup, or move it aside and join the cluster anew"

    /// What was given is not the database of a node.
    Machine Error NotADatabase = "not_a_database" { directory: String, reason: String }
    evidence "{directory} is not the database of a node: {reason}"
    fix "name a Mnesia directory, the one with schema.DAT in it, /var/lib/ejabberd in most cases, as a user who may read it"

    /// A log of Mnesia is damaged: what it said about the other nodes may be lost, and Mnesia repairs or deletes it at the start.
    Machine Warning MnesiaLogDamaged = "mnesia_log_damaged" { path: String, reason: String }
    evidence "{path} cannot be read as a whole: {reason}"
    fix "keep a copy of the directory before the node is started; without its records the node waits for more others than it has to"

    /// A directory is of another cluster than those before it.
    Machine Error ForeignDatabase = "foreign_database" { directory: String, node: NodeName, lists: Nodes, other: NodeName }
    evidence "{directory} is the database of {node}, whose cluster is {lists}: neither it nor {other} lists the other"
    fix "give the directories of one cluster at a time"

    /// Two directories are of one node: a copy, or an old one.
    Machine Error DatabaseTwice = "database_twice" { node: NodeName, directory: String, other: String }
    evidence "{directory} and {other} are both the database of {node}; the second one is left aside"
    fix "give the directory that {node} starts from, and no copy of it"

    /// ejabberd's user cannot write its own database.
    Machine Error MnesiaDirectoryOwner = "mnesia_directory_owner" { directory: String, owner: String, user: String }
    evidence "the Mnesia directory {directory} belongs to {owner}, and ejabberd runs as {user}"
    fix "chown -R {user}: {directory}"

    /// The machine does not have the user that ejabberd shall run as.
    Machine Error UserUnknown = "user_unknown" { user: String }
    evidence "there is no user {user} on this machine"
    fix "install ejabberd, or name its user: easy-cluster doctor --user NAME"

    /// Two places set the tick time, and one is not what is seen.
    Machine Warning TickTimeTwice = "tick_time_twice" { arguments: u32, yml: u32 }
    evidence "net_ticktime is {arguments} s among the VM's arguments and {yml} s in ejabberd.yml, which wins once ejabberd has started"
    fix "set it in ejabberd.yml only, alike on all members"

    /// A tick time so short that a busy node counts as dead, or so long that a dead one is not noticed.
    Machine Warning TickTimeExtreme = "tick_time_extreme" { seconds: u32 }
    evidence "net_ticktime is {seconds} s"
    fix "set it to something from 8 to 300 s, alike on all members; the default is 60 s"

    /// An Erlang that is older than what clusters here are tested with.
    Machine Error OtpTooOld = "otp_too_old" { release: String }
    evidence "Erlang/OTP {release} is installed"
    fix "upgrade to Erlang/OTP 24 or later, 25 to 29 being what is tested"

    /// A line of a hosts file without an address at its beginning.
    Machine Warning HostsLine = "hosts_line" { path: String, line: u32, reason: String }
    evidence "line {line} of {path} is passed over: {reason}"
    fix "write the address first and the names behind it, such as 10.0.0.1 foo.bar"

    /// The report of the other machine cannot be used.
    Machine Error ReportUnreadable = "report_unreadable" { path: String, reason: String }
    evidence "the report {path} cannot be used: {reason}"
    fix "make it on the other machine, with the same version: easy-cluster doctor --json > report.json"

    /// Two machines would start nodes of one name.
    Machine Error SameNodeName = "same_node_name" { node: NodeName }
    evidence "both machines would call their node {node}"
    fix "give each its own ERLANG_NODE"

    /// Two machines have different cookies.
    Machine Error CookiesDiffer = "cookies_differ" { here: String, node: NodeName, there: String }
    evidence "the cookie is {here} here and {there} on {node} (fingerprints)"
    fix "copy .erlang.cookie (mode 400, owner ejabberd) from one machine to the other and restart ejabberd there"

    /// A machine whose hosts file does not have the other one.
    Machine Warning HostNotListed = "host_not_listed" { machine: NodeName, host: String, addresses: String }
    evidence "{host} is in no hosts file of {machine}"
    fix if (!addresses.is_empty()) "on the machine of {machine}: echo '{first} {host}' >> /etc/hosts, unless DNS has it; that host has {addresses}" with (first = first_of(addresses))
    fix "on the machine of {machine}: echo 'ADDRESS {host}' >> /etc/hosts, unless DNS has it"

    /// A machine has another address for a node than that node's machine has.
    Machine Warning HostOtherAddress = "host_other_address" { machine: NodeName, host: String, address: String, addresses: String }
    evidence "{host} is {address} for {machine}, and that machine itself has {addresses}"
    fix "mend the line of {host} in /etc/hosts on the machine of {machine}, unless something translates that address"

    /// epmd is asked on one port on every machine.
    Machine Error EpmdPortsDiffer = "epmd_ports_differ" { here: u16, node: NodeName, there: u16 }
    evidence "epmd's port is {here} here and {there} on {node}"
    fix "export the same ERL_EPMD_PORT in ejabberdctl.cfg on all machines, or on none"

    /// Without epmd, nodes are looked for on one's own port.
    Machine Error DistPortsDiffer = "dist_ports_differ" { here: String, node: NodeName, there: String }
    evidence "ERL_DIST_PORT is {here} here and {there} on {node}"
    fix "set the same ERL_DIST_PORT in ejabberdctl.cfg on all machines, or on none"

    /// One node speaks TLS or IPv6 and the other does not.
    Machine Error ProtoDistDiffers = "proto_dist_differs" { here: String, node: NodeName, there: String }
    evidence "the distribution uses {here} here and {there} on {node}"
    fix "give ERL_OPTIONS the same -proto_dist on all machines"

    /// Tables of modules that run on one machine only are not copied by ejabberd.
    Machine Warning ModulesDiffer = "modules_differ" { node: NodeName, only_here: String, only_there: String }
    evidence "modules only here: {only_here}; only on {node}: {only_there}"
    fix "give both machines the same modules in ejabberd.yml"

    /// One cluster serves the same domains everywhere.
    Machine Warning DomainsDiffer = "domains_differ" { node: NodeName, only_here: String, only_there: String }
    evidence "XMPP domains only here: {only_here}; only on {node}: {only_there}"
    fix "give both machines the same hosts in ejabberd.yml"

    /// Accounts are looked up in different places.
    Machine Warning AuthMethodsDiffer = "auth_methods_differ" { here: String, node: NodeName, there: String }
    evidence "auth_method is {here} here and {there} on {node}"
    fix "give both machines the same auth_method in ejabberd.yml"

    /// The text of a policy is not one document of YAML.
    Request Error PolicyNotYaml = "policy_not_yaml" { line: u32, reason: String }
    evidence "line {line}: {reason}"
    fix "mend that line; docs/policy.md has a whole policy to begin from"

    /// An ejabberd.yml was given that has no policy of easy_cluster.
    Request Error PolicyMissing = "policy_missing" { line: u32 }
    evidence "line {line}: there is no policy under modules: mod_easy_cluster: policy:"
    fix "write one there, or give a file that is a policy; docs/policy.md has one to begin from"

    /// A key that no policy has.
    Request Error PolicyUnknownKey = "policy_unknown_key" { line: u32, key: String, place: String, nearest: String, known: String }
    evidence "line {line}: {place} has no key {key}"
    fix "perhaps {nearest} was meant; the keys are {known}"

    /// A key of a policy with a value that it cannot have.
    Request Error PolicyBadValue = "policy_bad_value" { line: u32, key: String, value: String, expected: String }
    evidence "line {line}: {key} cannot be {value}"
    fix "give {expected}"

    /// A key or a name of a policy stands twice, and only one of them could count.
    Request Error PolicyTwice = "policy_twice" { key: String, lines: Lines }
    evidence "{lines}: {key} stands twice"
    fix "keep one of them"

    /// A table is wanted on a node and not wanted there.
    Request Error PolicyPinExcluded = "policy_pin_excluded" { table: TableName, node: NodeName, lines: Lines }
    evidence "{lines}: {table} is pinned to {node} and excluded from it"
    fix "keep one of them"

    /// A witness holds no table.
    Request Error PolicyPinOnWitness = "policy_pin_on_witness" { table: TableName, node: NodeName, lines: Lines }
    evidence "{lines}: {table} is pinned to {node}, which is a witness"
    fix "make {node} a slave, which holds what is pinned to it, or pin {table} elsewhere"

    /// A table is pinned to more nodes than shall hold it.
    Request Error PolicyPinsAboveCopies = "policy_pins_above_copies" { table: TableName, pins: Nodes, copies: u32, lines: Lines }
    evidence "{lines}: {table} is pinned to {pins}, and {copies} copies of it are wanted"
    fix "take pins away, or give {table} more copies of its own under tables:"

    /// A table that nothing shall be done with has wishes all the same.
    Request Error PolicyLeftAlone = "policy_left_alone" { table: TableName, lines: Lines }
    evidence "{lines}: {table} is to be left alone, and something is wanted of it"
    fix "keep one of them"

    /// A storage type that does not go with what a table is, or with a node that shall hold it.
    Request Error PolicyStorage = "policy_storage" { table: String, storage: String, reason: String, lines: Lines }
    evidence "{lines}: {table} cannot be {storage}: {reason}"
    fix "choose another storage type"

    /// The number of copies and their places are wishes for durable tables only: every node that serves has a copy of the others.
    Request Error PolicyNotDurable = "policy_not_durable" { table: TableName, class: String, lines: Lines }
    evidence "{lines}: copies or pins are wanted of {table}, which is {class} and has a copy wherever clients are served"
    fix "take them away, or say that its rows have to be kept: class: durable"

    /// More copies are wanted than there are nodes that may hold them.
    Request Error PolicyTooFewNodes = "policy_too_few_nodes" { tables: Tables, copies: u32, may: Nodes, lines: Lines }
    evidence "{lines}: {copies} copies are wanted of {tables}, and these nodes may hold them: {may}"
    fix "want fewer copies, make more nodes masters, take exclusions away, or add nodes"

    /// A node would have to hold more than its memory.
    Request Error PolicyNoMemory = "policy_no_memory" { node: NodeName, needed: Bytes, limit: Bytes, lines: Lines }
    evidence "{lines}: {node} would have to hold {needed} in memory, and {limit} is its limit"
    fix "raise the limit, give it fewer pins, or want fewer copies"

    /// A node would have to hold more than its disk.
    Request Error PolicyNoDisk = "policy_no_disk" { node: NodeName, needed: Bytes, limit: Bytes, lines: Lines }
    evidence "{lines}: {node} would have to hold {needed} on disc, and {limit} is its limit"
    fix "raise the limit, give it fewer pins, or want fewer copies"

    /// There is no room for all copies that are wanted.
    Request Error PolicyNoPlace = "policy_no_place" { tables: Tables, needed: Bytes, room: Bytes, lines: Lines }
    evidence "{lines}: no room was found for all copies of {tables}: {needed} are needed, and the nodes that may hold them have room for {room}"
    fix "raise limits, want fewer copies, or add nodes; a large table has to fit on one node as a whole"

    /// Nodes are so full that no copy can be made before another one goes.
    Request Error PolicyNoWay = "policy_no_way" { tables: Tables, nodes: Nodes }
    evidence "the wanted places of {tables} are known and cannot be reached without going beyond a limit of {nodes} on the way"
    fix "raise their limits for as long as it takes, or add a node"

    /// A policy names a node that is no member.
    Request Warning PolicyUnknownNode = "policy_unknown_node" { node: NodeName, line: u32 }
    evidence "line {line}: {node} is no member of the cluster"
    fix "correct the name; if it has yet to join, its wishes will count then"

    /// A policy names a table that does not exist.
    Request Warning PolicyUnknownTable = "policy_unknown_table" { table: TableName, line: u32 }
    evidence "line {line}: there is no table {table}"
    fix "correct the name; if a module has yet to create it, its wishes will count then"

    /// What is wanted of a node or a table has to wait until a member is back.
    Membership Warning PolicyWaits = "policy_waits" { node: NodeName, tables: u64 }
    evidence "{node} does not answer or its Mnesia does not run: {tables} of its tables keep what they have, and it gets none"
    fix "start it, or take it out of the cluster if it is gone for good: easy_cluster:forget('{node}')"

    /// A table whose copies are all of a kind that is not Mnesia's own, or of which none is loaded.
    Tables Warning PolicyNotMovable = "policy_not_movable" { tables: Tables, reason: String }
    evidence "{tables} are left as they are: {reason}"
    fix "nothing has to be done for those of an external backend; read-only ones need mnesia:change_table_access_mode(Table, read_write); others load when the nodes that hold them run"

    /// The copies of a table cannot be in as many zones as they could be without limits and exclusions.
    Request Warning PolicyFewerZones = "policy_fewer_zones" { tables: Tables, lines: Lines }
    evidence "{lines}: the copies of {tables} are in fewer zones than there are copies and zones"
    fix "make room in the other zones, or take exclusions there away"

    /// A repair was asked for, and there is no policy.
    Request Error NoPolicy = "no_policy" {}
    evidence "nothing says what the cluster should look like"
    fix "write it in ejabberd.yml under modules, mod_easy_cluster, policy (docs/policy.md), and reload; elsewhere: application:set_env(easy_cluster, policy, Text)"

    /// Members with different policies: none is followed before they agree.
    Request Error PolicyDiffers = "policy_differs" { nodes: Nodes }
    evidence "the policy of {nodes} is another one than this node's"
    fix "give every member the same policy and reload it, or carry this one out by hand: easy_cluster:repair()"

    /// Copies that would keep transactions waiting for longer than the policy allows.
    Tables Warning PolicyStalls = "policy_stalls" { tables: Tables, stall: Milliseconds, windows: bool }
    evidence "{tables} stay as they are for now: to copy them keeps transactions waiting for up to {stall}"
    fix "nothing, where the policy has a window: they come then; to do it now: easy_cluster:repair(#{{yes => true}})"

    /// Something undoes again and again what is done for the policy.
    Tables Warning PolicyUndone = "policy_undone" { tables: Tables, times: u64 }
    evidence "{tables} stay as they are: what was changed for the policy was undone {times} times within an hour"
    fix "find out what changes them (a module that starts again and again, another program), or put them under leave_alone; to do it once more: easy_cluster:repair()"

    /// The file that says so could not be written or deleted on a member.
    Operation Error NotPaused = "not_paused" { node: NodeName, reason: String }
    evidence "{node} could not note it: {reason}"
    fix "make room on its disk, see that its Mnesia directory can be written, and call the function again"

    /// A repair has ended before its end, as somebody asked for.
    Operation Error Paused = "paused" { id: String, done: u64, left: u64 }
    evidence "{id} has ended behind {done} of its steps, {left} are left: easy_cluster is paused"
    fix "easy_cluster:resume(), and what is left is planned anew"

    /// A repair has ended before its end, as what is left may not be done now.
    Operation Error NoLongerOpen = "no_longer_open" { table: TableName, stall: Milliseconds }
    evidence "transactions on {table} would wait up to {stall}, and the policy's window has closed"
    fix "nothing: it goes on when the window is open again; or at once with easy_cluster:repair(#{{yes => true}})"

    /// A repair has ended before its end, as it is not what the policy here says now.
    Operation Error OtherPolicy = "other_policy" { node: NodeName }
    evidence "{node} has another policy now than the one that this repair follows"
    fix "nothing with sync: auto, which follows the new one; otherwise easy_cluster:repair()"

    /// ejabberd gives its node a copy of every table that its modules use, each time it starts.
    Tables Warning PolicyEjabberdCopies = "policy_ejabberd_copies" { copies: u64, tables: Tables }
    evidence "copies that are not wanted go ({copies}, of {tables}); ejabberd makes those of its own modules' tables anew when it starts there"
    fix "nothing, where another program uses them; else want a copy on each node that runs such a module, or stop the module there"
}
