//! What is wrong with a machine before ejabberd starts there, and between two of them.

mod compare;
mod cookie;
mod database;
mod files;
mod name;
mod network;

pub use compare::compare;

use super::problem::Problem;
use crate::model::machine::Machine;

/// Everything that is wrong with one machine, from its files inwards.
#[must_use]
pub fn problems(machine: &Machine) -> Vec<Problem> {
    let mut problems = Vec::new();
    files::check(machine, &mut problems);
    name::check(machine, &mut problems);
    cookie::check(machine, &mut problems);
    network::check(machine, &mut problems);
    database::check(machine, &mut problems);
    problems
}
