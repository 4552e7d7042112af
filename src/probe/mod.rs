//! The one place with I/O: how far one can get towards a node, layer by layer.
//!
//! Resolver, epmd, distribution port, handshake: the first that fails is the answer. The handshake is our own:
//! `erl_dist` 0.8 runs challenge and acknowledgement as one call, so that a wrong cookie and a peer that dies look
//! alike, and `edp_client` 0.16 does the same with all of tokio and a second term codec behind it.

mod cookie;
mod deadline;
mod epmd;
mod handshake;
mod resolve;

use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use futures_util::stream::{FuturesUnordered, StreamExt};
use serde::Deserialize;
use tokio::runtime::Builder;

pub use self::cookie::Cookie;
use self::deadline::{Deadline, words};
use crate::model::name::NodeName;
use crate::model::reach::{Reach, ReachFailure};

/// Names that the probe goes by. Each is an atom that a peer never frees, so they come round again.
const OWN_NAMES: u32 = 1_000;
/// Resolvers block, so each host that is looked up holds a thread until it has answered.
const MAX_RESOLVERS: usize = 1_000;

/// A node to look for.
#[derive(Debug, Clone)]
pub struct Target {
    /// Its name.
    pub node: NodeName,
    /// The cookie that it should have.
    pub cookie: Cookie,
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
}

impl TryFrom<Wire> for ProbeRequest {
    type Error = String;

    fn try_from(wire: Wire) -> Result<Self, String> {
        let Wire { nodes, cookies, timeout_ms, epmd_port, dist_port, hosts, here } = wire;
        if nodes.len() != cookies.len() {
            return Err(format!("{} nodes and {} cookies", nodes.len(), cookies.len()));
        }
        let targets = nodes.into_iter().zip(cookies).map(|(node, cookie)| Target { node, cookie }).collect();
        Ok(Self { targets, timeout_ms, epmd_port, dist_port, hosts, here })
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
            request.targets.iter().map(|target| unknown_host(target, reason.clone())).collect()
        }
    }
}

/// As [`probe`], for callers that have a tokio runtime with I/O and time.
pub async fn probe_all(request: &ProbeRequest) -> Vec<Reach> {
    let deadline = Deadline::after(Duration::from_millis(request.timeout_ms));
    join_all(request.targets.iter().map(|target| look_for(target, request, deadline))).await
}

async fn look_for(target: &Target, request: &ProbeRequest, deadline: Deadline) -> Reach {
    let addresses = match resolve::addresses(target.node.host(), &request.hosts, deadline).await {
        Ok(addresses) => addresses,
        Err(error) => return unknown_host(target, words(&error)),
    };
    let mut ways: FuturesUnordered<_> = addresses
        .iter()
        .enumerate()
        .map(|(index, address)| async move { (index, try_way(*address, target, request, deadline).await) })
        .collect();
    let mut best: Option<(usize, Way)> = None;
    while let Some((index, way)) = ways.next().await {
        let conclusive = way.depth() >= SPOKE;
        let better =
            best.as_ref().is_none_or(|(other, known)| (way.depth(), *other) > (known.depth(), index));
        if better {
            best = Some((index, way));
        }
        if conclusive {
            break;
        }
    }
    let Some((_, way)) = best else {
        return unknown_host(target, "the host has no address".into());
    };
    Reach {
        node: target.node.clone(),
        addresses: addresses.iter().map(SocketAddr::ip).collect(),
        port: way.port,
        registered: way.registered,
        failure: way.failure,
        microseconds: way.microseconds,
    }
}

fn unknown_host(target: &Target, reason: String) -> Reach {
    Reach {
        node: target.node.clone(),
        addresses: Vec::new(),
        port: None,
        registered: Vec::new(),
        failure: Some(ReachFailure::UnknownHost { host: target.node.host().to_owned(), reason }),
        microseconds: 0,
    }
}

/// What was found at one address of a node.
#[derive(Default)]
struct Way {
    port: Option<u16>,
    registered: Vec<String>,
    failure: Option<ReachFailure>,
    microseconds: u64,
}

/// From this [`Way::depth`] on an Erlang node has spoken, and what other addresses say does not matter.
const SPOKE: u8 = 5;

impl Way {
    /// How many layers were passed.
    fn depth(&self) -> u8 {
        match self.failure {
            Some(ReachFailure::UnknownHost { .. }) => 0,
            Some(ReachFailure::EpmdUnreachable { .. }) => 1,
            Some(ReachFailure::NotRegistered { .. }) => 2,
            Some(ReachFailure::DistributionPortClosed { .. }) => 3,
            Some(ReachFailure::HandshakeFailed { .. }) => 4,
            Some(
                ReachFailure::NameRefused { .. } | ReachFailure::OtherName { .. } | ReachFailure::WrongCookie,
            ) => SPOKE,
            None => SPOKE + 1,
        }
    }
}

async fn try_way(
    mut address: SocketAddr,
    target: &Target,
    request: &ProbeRequest,
    deadline: Deadline,
) -> Way {
    let start = Instant::now();
    let mut way = Way { port: request.dist_port, ..Way::default() };
    address.set_port(request.epmd_port);
    way.failure = layers(address, target, request, deadline, &mut way).await.err();
    way.microseconds = u64::try_from(start.elapsed().as_micros()).unwrap_or(u64::MAX);
    way
}

async fn layers(
    epmd: SocketAddr,
    target: &Target,
    request: &ProbeRequest,
    deadline: Deadline,
    way: &mut Way,
) -> Result<(), ReachFailure> {
    if way.port.is_none() {
        let alive = target.node.alive();
        let unreachable =
            |error| ReachFailure::EpmdUnreachable { address: epmd.to_string(), reason: words(&error) };
        way.port = epmd::port_please(epmd, alive, deadline).await.map_err(unreachable)?;
        // They are for the report only: an epmd that is slow with them must not cost the handshake its time.
        way.registered = epmd::names(epmd, deadline.quarter()).await;
    }
    let Some(port) = way.port else {
        let alive = target.node.alive().to_owned();
        return Err(ReachFailure::NotRegistered { address: epmd.to_string(), alive });
    };
    let address = SocketAddr::new(epmd.ip(), port);
    let closed =
        |error| ReachFailure::DistributionPortClosed { address: address.to_string(), reason: words(&error) };
    let stream = deadline.connect(address).await.map_err(closed)?;
    handshake::shake(stream, &own_name(&request.here), target, deadline).await
}

/// A name that no other process has, on the host and in the mode of names of the node that asks.
fn own_name(here: &NodeName) -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed) % OWN_NAMES;
    format!("easy_cluster_probe_{}_{number}@{}", std::process::id(), here.host())
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

    #[test]
    fn own_names_are_unique_and_stay_in_the_mode_of_the_caller() {
        let (one, other) =
            (own_name(&"ejabberd@hello.world".into()), own_name(&"ejabberd@hello.world".into()));
        assert_ne!(one, other);
        assert!(one.starts_with("easy_cluster_probe_") && one.ends_with("@hello.world"), "{one}");
        assert!(own_name(&"ejabberd@hello".into()).ends_with("@hello"));
    }
}
