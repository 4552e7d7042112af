//! Everything that asks the network or a machine: how far this node gets towards another one, layer by layer, and
//! what the files of this machine say ([`machine`]).
//!
//! Resolver, epmd, distribution port, handshake: the first that fails is the answer. The handshake is our own:
//! `erl_dist` 0.8 runs challenge and acknowledgement as one call, so that a wrong cookie and a peer that dies look
//! alike, and `edp_client` 0.16 does the same with all of tokio and a second term codec behind it.

mod cookie;
mod deadline;
mod distribution;
mod epmd;
#[doc(hidden)]
pub mod fuzz;
mod handshake;
mod hear;
pub mod machine;
mod resolve;
mod tls;

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use futures_util::future::{join, join_all};
use futures_util::stream::{FuturesUnordered, StreamExt};
use serde::Deserialize;
use tokio::net::{TcpSocket, TcpStream};
use tokio::runtime::Builder;

pub use self::cookie::Cookie;
use self::deadline::{Deadline, words};
use self::distribution::{Question, examine};
use self::epmd::Entry;
use easy_cluster::model::name::NodeName;
use easy_cluster::model::reach::{Reach, ReachFailure};

/// Resolvers block, so each host that is looked up holds a thread until it has answered.
const MAX_RESOLVERS: usize = 1_000;
/// What OTP speaks since release 23, and demands since release 25.
const HANDSHAKE_VERSION: u16 = 6;

/// A node to look for.
#[derive(Debug, Clone)]
pub struct Target {
    /// Its name.
    pub node: NodeName,
    /// The cookie that it should have.
    pub cookie: Cookie,
}

/// The addresses that the asking node's distribution uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Family {
    /// `inet_tcp`, which is the default of Erlang, and `inet_tls`.
    Inet,
    /// `-proto_dist inet6_tcp` and `inet6_tls`.
    Inet6,
}

/// What to look for, and what only the asking VM knows of its network.
#[derive(Debug, Clone, Deserialize)]
#[serde(try_from = "Wire")]
pub struct ProbeRequest {
    /// The nodes, all looked for at once. On the wire they are two lists of one length, `nodes` and `cookies`.
    pub targets: Vec<Target>,
    /// Milliseconds for the whole report.
    pub timeout_ms: u64,
    /// Where epmd listens, on every host.
    pub epmd_port: u16,
    /// Where nodes listen, where there is no epmd.
    pub dist_port: Option<u16>,
    /// Hosts that Erlang resolves by itself; those listed here are not looked up.
    pub hosts: Vec<(String, IpAddr)>,
    /// The node that asks. The probe's own name gets its host, and so its mode of names.
    pub here: NodeName,
    /// Nodes that it is connected with: there its own name is taken, by itself.
    pub connected: Vec<NodeName>,
    /// What its distribution uses; all addresses are tried where that is not known.
    pub family: Option<Family>,
    /// Whether its distribution goes through TLS.
    pub tls: bool,
}

/// [`ProbeRequest`] as it arrives.
#[derive(Deserialize)]
struct Wire {
    nodes: Vec<NodeName>,
    cookies: Vec<Cookie>,
    timeout_ms: u64,
    epmd_port: u16,
    dist_port: Option<u16>,
    #[serde(default)]
    hosts: Vec<(String, IpAddr)>,
    here: NodeName,
    #[serde(default)]
    connected: Vec<NodeName>,
    #[serde(default)]
    family: Option<Family>,
    #[serde(default)]
    tls: bool,
}

impl TryFrom<Wire> for ProbeRequest {
    type Error = String;

    fn try_from(wire: Wire) -> Result<Self, String> {
        let Wire { nodes, cookies, timeout_ms, epmd_port, dist_port, hosts, here, connected, family, tls } =
            wire;
        if nodes.len() != cookies.len() {
            return Err(format!("{} nodes and {} cookies", nodes.len(), cookies.len()));
        }
        let targets = nodes.into_iter().zip(cookies).map(|(node, cookie)| Target { node, cookie }).collect();
        Ok(Self { targets, timeout_ms, epmd_port, dist_port, hosts, here, connected, family, tls })
    }
}

/// Looks for all nodes of `request` and returns one [`Reach`] each, in their order, within its time-out.
///
/// Blocks; must not be called from asynchronous code, which has [`probe_all`].
#[must_use]
pub fn probe(request: &ProbeRequest) -> Vec<Reach> {
    let resolvers = request.targets.len().clamp(1, MAX_RESOLVERS);
    match Builder::new_current_thread().enable_all().max_blocking_threads(resolvers).build() {
        Ok(runtime) => {
            let reaches = runtime.block_on(probe_all(request));
            // Dropping it would wait for resolvers that nobody waits for any more.
            runtime.shutdown_background();
            reaches
        }
        Err(error) => {
            let reason = format!("the resolver could not be started: {error}");
            let unknown = |target| unknown_host(unprobed(target, request), reason.clone());
            request.targets.iter().map(unknown).collect()
        }
    }
}

/// As [`probe`], for callers that have a tokio runtime with I/O and time.
pub async fn probe_all(request: &ProbeRequest) -> Vec<Reach> {
    let deadline = Deadline::after(Duration::from_millis(request.timeout_ms));
    join_all(request.targets.iter().map(|target| look_for(target, request, deadline))).await
}

fn unprobed(target: &Target, request: &ProbeRequest) -> Reach {
    Reach::new(target.node.clone(), request.here.clone())
}

fn unknown_host(reach: Reach, reason: String) -> Reach {
    let host = reach.node.host().to_owned();
    Reach { failure: Some(ReachFailure::UnknownHost { host, reason }), ..reach }
}

async fn look_for(target: &Target, request: &ProbeRequest, deadline: Deadline) -> Reach {
    let mut reach = unprobed(target, request);
    match resolve::addresses(target.node.host(), &request.hosts, deadline).await {
        Ok(addresses) => reach.addresses = addresses,
        Err(error) => return unknown_host(reach, words(&error)),
    }
    let usable = resolve::usable(&reach.addresses, request.family);
    if usable.is_empty() {
        let reason = if reach.addresses.is_empty() {
            "the host has no address"
        } else {
            "it has addresses of IPv6 only, and Erlang here uses IPv4"
        };
        return unknown_host(reach, reason.into());
    }
    by_the_best_way(&reach, &usable, target, request, deadline).await
}

/// Tries all addresses at once. The answer is that of the one that got furthest; the first one of each family has a word
/// in it, since Erlang tries no other.
async fn by_the_best_way(
    reach: &Reach,
    usable: &[IpAddr],
    target: &Target,
    request: &ProbeRequest,
    deadline: Deadline,
) -> Reach {
    let mut ways: FuturesUnordered<_> = usable
        .iter()
        .map(|address| {
            let way = Reach { address: Some(*address), ..reach.clone() };
            try_way(way, *address, target, request, deadline)
        })
        .collect();
    let mut found: Vec<Reach> = Vec::with_capacity(usable.len());
    let mut conclusive = false;
    while let Some(way) = ways.next().await {
        conclusive = way.depth() >= Reach::SPOKE;
        found.push(way);
        if conclusive {
            break;
        }
    }
    let order = |way: &Reach| usable.iter().position(|address| Some(*address) == way.address);
    let best = |found: &[Reach]| {
        found.iter().max_by_key(|way| (way.depth(), std::cmp::Reverse(order(way)))).cloned()
    };
    let Some(mut winner) = best(&found) else { return reach.clone() };
    let first = winner.address.and_then(|address| first_of_its_family(address, usable));
    if let Some(first) = first.filter(|first| conclusive && Some(*first) != winner.address) {
        let grace = deadline.part(8);
        while !found.iter().any(|way| way.address == Some(first)) {
            match grace.io(async { Ok(ways.next().await) }).await {
                Ok(Some(way)) => found.push(way),
                Ok(None) | Err(_) => break,
            }
        }
        winner = judged_by_the_first(winner, first, &found);
    }
    winner
}

fn first_of_its_family(address: IpAddr, usable: &[IpAddr]) -> Option<IpAddr> {
    usable.iter().copied().find(|first| first.is_ipv4() == address.is_ipv4())
}

/// What is true of a node that answers at `winner`, when Erlang goes to `first`.
fn judged_by_the_first(winner: Reach, first: IpAddr, found: &[Reach]) -> Reach {
    let reason = match found.iter().find(|way| way.address == Some(first)) {
        Some(way) if way.depth() >= Reach::SPOKE => return way.clone(),
        Some(way) if way.depth() <= Reach::EPMD => "no epmd answers there",
        Some(_) => "another machine or node answers there",
        None => "nothing answers there",
    };
    match (&winner.failure, winner.address) {
        (None, Some(other)) => {
            let host = winner.node.host().to_owned();
            let failure = ReachFailure::FirstAddress { host, first, reason: reason.into(), other };
            Reach { failure: Some(failure), ..winner }
        }
        (Some(_) | None, _) => winner,
    }
}

async fn try_way(
    mut way: Reach,
    address: IpAddr,
    target: &Target,
    request: &ProbeRequest,
    deadline: Deadline,
) -> Reach {
    let start = Instant::now();
    let outcome = match request.dist_port {
        Some(port) => {
            let address = SocketAddr::new(address, port);
            examine(&Question { address, target, request, deadline }, &mut way).await
        }
        None => by_epmd(address, target, request, deadline, &mut way).await,
    };
    way.failure = outcome.err();
    way.microseconds = micros(start);
    way
}

async fn by_epmd(
    address: IpAddr,
    target: &Target,
    request: &ProbeRequest,
    deadline: Deadline,
    way: &mut Reach,
) -> Result<(), ReachFailure> {
    let epmd = SocketAddr::new(address, request.epmd_port);
    let alive = target.node.alive();
    way.epmd_port = Some(request.epmd_port);
    let mut stream = epmd::connect(epmd, deadline).await?;
    let entry = epmd::port_please(&mut stream, epmd, alive, deadline).await?;
    // They are for the report only: an epmd that is slow with them must not cost the handshake its time.
    let names = epmd::names(epmd, deadline.part(4));
    let Some(Entry { port, version }) = entry else {
        way.registered = names.await;
        return Err(ReachFailure::NotRegistered { address: epmd.to_string(), alive: alive.to_owned() });
    };
    if version < HANDSHAKE_VERSION {
        way.registered = names.await;
        way.port = Some(port);
        return Err(ReachFailure::Incompatible { missing: "version 6 of the handshake".into() });
    }
    let question = Question { address: SocketAddr::new(address, port), target, request, deadline };
    let (registered, outcome) = join(names, examine(&question, way)).await;
    way.registered = registered;
    match outcome {
        Err(ReachFailure::DistributionPortClosed { .. }) if is_here(&stream) && is_free(question.address) => {
            Err(ReachFailure::StaleEntry { address: epmd.to_string(), alive: alive.to_owned(), port })
        }
        outcome => outcome,
    }
}

/// Whether the other end of `stream` is on this machine.
fn is_here(stream: &TcpStream) -> bool {
    match (stream.local_addr(), stream.peer_addr()) {
        (Ok(near), Ok(far)) => near.ip() == far.ip(),
        (Ok(_) | Err(_), _) => false,
    }
}

/// Whether no process of this machine listens on the port, on whatever address: then it can be taken, which is not
/// done.
fn is_free(address: SocketAddr) -> bool {
    let (socket, any) = match address {
        SocketAddr::V4(_) => (TcpSocket::new_v4(), IpAddr::from([0; 4])),
        SocketAddr::V6(_) => (TcpSocket::new_v6(), IpAddr::from([0; 16])),
    };
    let bound = socket.and_then(|socket| {
        socket.set_reuseaddr(true)?;
        socket.bind(SocketAddr::new(any, address.port()))
    });
    bound.is_ok()
}

fn micros(start: Instant) -> u64 {
    u64::try_from(start.elapsed().as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wire(nodes: &[&str], cookies: &[&str]) -> Wire {
        Wire {
            nodes: nodes.iter().map(|node| NodeName::from(*node)).collect(),
            cookies: cookies.iter().map(|cookie| Cookie::from(*cookie)).collect(),
            timeout_ms: 1,
            epmd_port: 4369,
            dist_port: None,
            hosts: Vec::new(),
            here: "ejabberd@hello.world".into(),
            connected: Vec::new(),
            family: None,
            tls: false,
        }
    }

    #[test]
    fn every_node_needs_a_cookie() {
        let refused = ProbeRequest::try_from(wire(&["a@b.c", "d@e.f"], &["x"])).map(|_| ());
        assert_eq!(refused, Err("2 nodes and 1 cookies".to_owned()));
    }

    #[test]
    fn each_node_keeps_its_cookie() {
        let request = ProbeRequest::try_from(wire(&["a@b.c", "d@e.f"], &["x", "y"])).unwrap();
        let pairs: Vec<_> = request.targets.iter().map(|t| (t.node.as_str(), t.cookie.bytes())).collect();
        assert_eq!(pairs, [("a@b.c", b"x".to_vec()), ("d@e.f", b"y".to_vec())]);
    }
}
