//! From what a probe found to what is wrong.

use super::problem::Problem;
use crate::model::name::NodeName;
use crate::model::reach::{Reach, ReachFailure};

/// The problem that kept the probe from its goal, if any.
#[must_use]
pub fn problem(reach: &Reach) -> Option<Problem> {
    Some(failed(&reach.node, reach.failure.clone()?, Some(&reach.registered)))
}

/// The problem of not having reached `node`; `registered` are the names that the epmd there knows, if it was asked.
#[must_use]
pub fn failed(node: &NodeName, failure: ReachFailure, registered: Option<&[String]>) -> Problem {
    let node = node.clone();
    match failure {
        ReachFailure::UnknownHost { host, reason } => Problem::UnknownHost { node, host, reason },
        ReachFailure::EpmdUnreachable { address, reason } => {
            Problem::EpmdUnreachable { node, address, reason }
        }
        ReachFailure::NotRegistered { address, alive } => {
            let registered = match registered {
                None => "not asked".into(),
                Some([]) => "nobody".into(),
                Some(names) => names.join(", "),
            };
            Problem::NotRegistered { node, address, alive, registered }
        }
        ReachFailure::DistributionPortClosed { address, reason } => {
            Problem::DistributionPortClosed { node, address, reason }
        }
        ReachFailure::NameRefused { status } => Problem::NameRefused { node, status },
        ReachFailure::OtherName { name } => Problem::OtherName { node, name },
        ReachFailure::WrongCookie => Problem::WrongCookie { node },
        ReachFailure::HandshakeFailed { step, reason } => Problem::HandshakeFailed { node, step, reason },
    }
}
