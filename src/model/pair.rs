//! Whether one node reaches another, as the first one sees it.

use serde::{Deserialize, Serialize};

use super::name::NodeName;
use super::reach::ReachFailure;

/// What `from` found when it tried to reach `to` by a connection of its own. A connection that is there already says
/// nothing about it: the other side may have made it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pair {
    /// The node that tried.
    pub from: NodeName,
    /// The node that it tried to reach.
    pub to: NodeName,
    /// The first layer that failed, if one did.
    pub failure: Option<ReachFailure>,
}
