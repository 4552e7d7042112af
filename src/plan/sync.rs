//! Copying what is missing, with everything running.

use super::step::{Action, OnFailure, Step, UndoStep};
use super::{copy, numbered};
use crate::validate::copies::WantedCopy;
use crate::validate::forget;
use crate::validate::view::View;

/// The steps that bring `wanted` here, and the fence to all members where one lacks it. A copy that was made is good in itself,
/// so nothing is taken back.
pub(super) fn steps(view: &View<'_>, wanted: &[WantedCopy<'_>]) -> (Vec<Step>, Vec<UndoStep>) {
    let copies = copy::actions(wanted).into_iter();
    let fence = (!forget::is_fenced(view)).then_some(Action::EnsureFence);
    let actions = copies.chain(fence).chain([Action::Verify]).map(|action| (action, OnFailure::Keep));
    (numbered(actions), Vec::new())
}
