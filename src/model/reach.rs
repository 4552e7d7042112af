//! How far a probe got on its way to a node, layer by layer.

use core::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::name::NodeName;

/// What a probe of one node found. Each layer's facts are there as far as the probe came.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reach {
    /// The node that was looked for.
    pub node: NodeName,
    /// The node that looked.
    pub here: NodeName,
    /// Addresses that its host resolves to, in the order of the resolver; empty when it does not.
    pub addresses: Vec<IpAddr>,
    /// The one of them that all that follows is about: where the probe got furthest.
    pub address: Option<IpAddr>,
    /// Port of the epmd that was asked; none where nodes have a fixed port.
    pub epmd_port: Option<u16>,
    /// Names that the epmd there knows.
    pub registered: Vec<Registered>,
    /// The distribution port.
    pub port: Option<u16>,
    /// Microseconds until the distribution port took the connection: one round trip.
    pub round_trip: Option<u64>,
    /// Steps of the handshake that were passed.
    pub steps: Vec<Step>,
    /// Release of the peer, as far as its flags tell.
    pub release: Option<Release>,
    /// Whether the port wants TLS, inside of which nothing was tried.
    pub tls: bool,
    /// The first layer that failed, if one did.
    pub failure: Option<ReachFailure>,
    /// Microseconds from the first packet to the last answer.
    pub microseconds: u64,
}

impl Reach {
    /// Below this [`depth`](Self::depth), no epmd has answered.
    pub const EPMD: u8 = 2;
    /// From this [`depth`](Self::depth) on the node itself has spoken, and what other addresses say does not matter.
    pub const SPOKE: u8 = 7;

    /// How many layers the probe passed.
    #[must_use]
    pub fn depth(&self) -> u8 {
        match self.failure {
            Some(ReachFailure::UnknownHost { .. } | ReachFailure::FirstAddress { .. }) => 0,
            Some(ReachFailure::EpmdSilent { .. } | ReachFailure::EpmdUnreachable { .. }) => 1,
            Some(ReachFailure::NotEpmd { .. }) => Self::EPMD,
            Some(ReachFailure::NotRegistered { .. }) => 3,
            Some(
                ReachFailure::StaleEntry { .. }
                | ReachFailure::DistributionPortClosed { .. }
                | ReachFailure::DistributionPortSilent { .. },
            ) => 4,
            Some(
                ReachFailure::PeerSilent { .. }
                | ReachFailure::NotANode { .. }
                | ReachFailure::HandshakeFailed { .. },
            ) => 5,
            Some(ReachFailure::OtherName { .. }) => 6,
            Some(
                ReachFailure::TlsRequired { .. }
                | ReachFailure::TlsMissing { .. }
                | ReachFailure::NameRefused { .. }
                | ReachFailure::DuplicateName { .. }
                | ReachFailure::Incompatible { .. }
                | ReachFailure::WrongCookie,
            ) => Self::SPOKE,
            None => Self::SPOKE + 1,
        }
    }

    /// Of a node of which nothing is known yet.
    #[must_use]
    pub fn new(node: NodeName, here: NodeName) -> Self {
        Self {
            node,
            here,
            addresses: Vec::new(),
            address: None,
            epmd_port: None,
            registered: Vec::new(),
            port: None,
            round_trip: None,
            steps: Vec::new(),
            release: None,
            tls: false,
            failure: None,
            microseconds: 0,
        }
    }
}

/// A line of epmd's list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Registered {
    /// The part before the `@`.
    pub name: String,
    /// The distribution port.
    pub port: u16,
}

/// A step of the distribution handshake, in its order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    /// The peer took a name and let it in.
    Status,
    /// The peer said its name and flags, and both fit.
    Challenge,
    /// Both proved the cookie.
    Cookie,
    /// The name of the node that looked is free there.
    Name,
}

impl Step {
    /// The word that reports print.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Status => "status",
            Self::Challenge => "challenge",
            Self::Cookie => "cookie",
            Self::Name => "name",
        }
    }
}

/// Releases of Erlang/OTP that have the same flags.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Release {
    /// The oldest.
    pub from: u16,
    /// The newest, if a newer one can be told from it.
    pub to: Option<u16>,
}

/// The first layer that a probe could not pass.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ReachFailure {
    /// The host's name does not resolve to an address that Erlang here would use.
    UnknownHost {
        /// The host.
        host: String,
        /// The resolver's words.
        reason: String,
    },
    /// Erlang uses the first address only; that one fails and another answers.
    FirstAddress {
        /// The host.
        host: String,
        /// The address that Erlang would use.
        first: IpAddr,
        /// What is wrong there.
        reason: String,
        /// The one that answers.
        other: IpAddr,
    },
    /// epmd's port refuses connections, or no way leads there.
    EpmdUnreachable {
        /// Address and port that were tried.
        address: String,
        /// The operating system's words.
        reason: String,
    },
    /// epmd's port does not answer at all.
    EpmdSilent {
        /// Address and port that were tried.
        address: String,
        /// Whether a connection came about.
        reason: String,
    },
    /// What answers on epmd's port is something else.
    NotEpmd {
        /// Address and port that were tried.
        address: String,
        /// What it said.
        heard: String,
    },
    /// epmd answers and does not know the name.
    NotRegistered {
        /// Address and port of epmd.
        address: String,
        /// The name before the `@`.
        alive: String,
    },
    /// epmd on this machine knows the name, and no process listens on the port.
    StaleEntry {
        /// Address and port of epmd.
        address: String,
        /// The name before the `@`.
        alive: String,
        /// The port that nobody listens on.
        port: u16,
    },
    /// The distribution port refuses connections.
    DistributionPortClosed {
        /// Address and port that were tried.
        address: String,
        /// The operating system's words.
        reason: String,
    },
    /// The distribution port does not answer at all.
    DistributionPortSilent {
        /// Address and port that were tried.
        address: String,
    },
    /// The port takes connections and says nothing.
    PeerSilent {
        /// Address and port.
        address: String,
    },
    /// What answers on the distribution port is something else.
    NotANode {
        /// Address and port.
        address: String,
        /// What it said.
        heard: String,
    },
    /// The peer wants TLS, and this node does not use it.
    TlsRequired {
        /// Address and port.
        address: String,
    },
    /// This node uses TLS, and the peer does not.
    TlsMissing {
        /// Address and port.
        address: String,
    },
    /// The peer refused the name of this node.
    NameRefused {
        /// `not_allowed`, or another status of the handshake.
        status: String,
    },
    /// The peer is connected with another node that has the name of this one.
    DuplicateName {
        /// The status of the handshake, `alive`.
        status: String,
    },
    /// The peer is called something else than it was looked for, as with long against short names.
    OtherName {
        /// What the peer calls itself.
        name: String,
    },
    /// The peer lacks what Erlang demands today.
    Incompatible {
        /// What it lacks.
        missing: String,
    },
    /// The peer closed the connection at the cookie's challenge, or answered ours with another cookie's digest.
    WrongCookie,
    /// The peer speaks the protocol and stopped in the middle, or broke it.
    HandshakeFailed {
        /// The step: `status`, `challenge`, `challenge_ack`, or that which could not be sent.
        step: String,
        /// What was seen.
        reason: String,
    },
}
