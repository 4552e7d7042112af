//! From the text of a policy to a [`Policy`], and what is wrong with it: everything, with the lines.

mod contradictions;
mod read;

use super::problem::{Problem, Severity};
use crate::model::policy::Policy;

/// Reads a policy: the text of a file of its own, or an `ejabberd.yml` that has it under `modules: mod_easy_cluster: policy:`.
///
/// # Errors
/// Each key that is unknown or stands twice, each value that does not fit, and each two wishes that exclude each other.
pub fn parse(text: &str) -> Result<Policy, Vec<Problem>> {
    let (policy, mut problems) = read::read(text);
    problems.extend(contradictions::problems(&policy));
    problems.sort_by_key(|problem| lines(problem).first().copied());
    if problems.iter().any(|problem| problem.severity() == Severity::Error) {
        Err(problems)
    } else {
        Ok(policy)
    }
}

/// The lines that a problem of a policy is about; none where it is none of a policy, or about what is not written.
#[must_use]
pub fn lines(problem: &Problem) -> &[u32] {
    if let Problem::PolicyNotYaml { line, .. }
    | Problem::PolicyMissing { line }
    | Problem::PolicyUnknownKey { line, .. }
    | Problem::PolicyBadValue { line, .. }
    | Problem::PolicyUnknownNode { line, .. }
    | Problem::PolicyUnknownTable { line, .. } = problem
    {
        return std::slice::from_ref(line);
    }
    if let Problem::PolicyTwice { lines, .. }
    | Problem::PolicyPinExcluded { lines, .. }
    | Problem::PolicyPinOnWitness { lines, .. }
    | Problem::PolicyPinsAboveCopies { lines, .. }
    | Problem::PolicyLeftAlone { lines, .. }
    | Problem::PolicyStorage { lines, .. }
    | Problem::PolicyNotDurable { lines, .. }
    | Problem::PolicyTooFewNodes { lines, .. }
    | Problem::PolicyNoMemory { lines, .. }
    | Problem::PolicyNoDisk { lines, .. }
    | Problem::PolicyNoPlace { lines, .. }
    | Problem::PolicyFewerZones { lines, .. } = problem
    {
        return &lines.0;
    }
    &[]
}
