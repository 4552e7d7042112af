//! How far a probe got on its way to a node, layer by layer.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::name::NodeName;

/// What a probe of one node found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reach {
    /// The node that was looked for.
    pub node: NodeName,
    /// Addresses that its host resolves to, in the order of the resolver; empty when it does not.
    pub addresses: Vec<IpAddr>,
    /// The distribution port that epmd gave.
    pub port: Option<u16>,
    /// Names that the epmd there knows.
    pub registered: Vec<String>,
    /// The first layer that failed, if one did.
    pub failure: Option<ReachFailure>,
    /// Microseconds from the first packet to the last answer.
    pub microseconds: u64,
}

/// The first layer that a probe could not pass.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ReachFailure {
    /// The host's name does not resolve.
    UnknownHost {
        /// The host.
        host: String,
        /// The resolver's words.
        reason: String,
    },
    /// Nothing accepts connections on epmd's port.
    EpmdUnreachable {
        /// Address and port that were tried.
        address: String,
        /// The operating system's words, or `timeout`.
        reason: String,
    },
    /// epmd answers and does not know the name.
    NotRegistered {
        /// Address and port of epmd.
        address: String,
        /// The name before the `@`.
        alive: String,
    },
    /// epmd knows the name, and its port does not accept connections.
    DistributionPortClosed {
        /// Address and port that were tried.
        address: String,
        /// The operating system's words, or `timeout`.
        reason: String,
    },
    /// The peer refused the name of this node or the mode of names.
    NameRefused {
        /// `not_allowed`, `nok`, `alive`, or another status of the handshake.
        status: String,
    },
    /// The peer is called something else than it was looked for, as with long against short names.
    OtherName {
        /// What the peer calls itself.
        name: String,
    },
    /// The peer closed the connection at the cookie's challenge, or answered ours with another cookie's digest.
    WrongCookie,
    /// The peer speaks something else, or stopped in the middle.
    HandshakeFailed {
        /// The step: `send_name`, `status`, `challenge`, `challenge_ack`.
        step: String,
        /// What was seen.
        reason: String,
    },
}
