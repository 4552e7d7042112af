//! Copying what is missing, with everything running.

use super::step::{Action, OnFailure, Step, UndoStep};
use super::{copy, numbered};
use crate::validate::copies::WantedCopy;

/// The steps that bring `wanted` here. A copy that was made is good in itself, so nothing is taken back.
pub(super) fn steps(wanted: &[WantedCopy<'_>]) -> (Vec<Step>, Vec<UndoStep>) {
    let copies = copy::actions(wanted).into_iter();
    let actions = copies.chain([Action::Verify]).map(|action| (action, OnFailure::Keep));
    (numbered(actions), Vec::new())
}
