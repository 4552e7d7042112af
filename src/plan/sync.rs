//! Copying what is missing, with everything running.

use super::step::{Action, OnFailure, Step, UndoStep};
use super::{copy_action, numbered};
use crate::validate::copies::WantedCopy;

/// The steps that bring `wanted` here. A copy that was made is good in itself, so nothing is taken back.
pub(super) fn steps(wanted: &[WantedCopy<'_>]) -> (Vec<Step>, Vec<UndoStep>) {
    let copies = wanted.iter().map(copy_action);
    let actions = copies.chain([Action::Verify]).map(|action| (action, OnFailure::Keep));
    (numbered(actions), Vec::new())
}
