//! Whether another program makes clusters of this Mnesia.

use super::problem::Problem;
use super::view::View;
use crate::model::name::AtomName;
use crate::model::owners;
use crate::model::request::{Operation, Rollback, Way};

/// The program whose own tools are to be used for an operation that changes the cluster, or the database, of this node.
#[must_use]
pub fn warning(view: &View<'_>, operation: &Operation) -> Option<Problem> {
    let owner = owners::owner(&view.here_facts().running_applications)?;
    let tool = match operation {
        Operation::Join(node) | Operation::JoinAsMaster(node) => owner.join.replace("NODE", node.as_str()),
        Operation::Reset
        | Operation::Leave
        | Operation::Restore(_)
        | Operation::Rollback(Rollback { way: Way::Kept { .. }, .. }) => {
            owner.leave.replace("NODE", view.here().as_str())
        }
        Operation::SyncNode(_)
        | Operation::Forget(_)
        | Operation::Rename(_)
        | Operation::ForceBoot(_)
        | Operation::Repair(_)
        | Operation::RepairTable(_)
        | Operation::Rollback(Rollback { way: Way::Copies { .. }, .. }) => return None,
    };
    Some(Problem::OwnClusterTools {
        application: AtomName::from(owner.application),
        here: view.here().clone(),
        tool,
    })
}
