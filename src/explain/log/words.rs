//! What was found in a text, in words and as data.

use std::fmt::Write as _;

use serde::Serialize;

use super::{Explanation, Sighting, related};
use crate::explain::errors;
use crate::explain::known::Paths;
use crate::model::name::{AtomName, NodeName};
use crate::validate::problem::Problem;

/// A sighting with everything that the catalogue says about it. All facts are text: names out of a log are nobody's atoms.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Told {
    /// The code of the problem.
    pub code: AtomName,
    /// The line where it is first.
    pub line: u64,
    /// How often it is there.
    pub count: u64,
    /// That line.
    pub text: String,
    /// Where it sits.
    pub layer: &'static str,
    /// How bad it is.
    pub severity: &'static str,
    /// What was seen.
    pub evidence: String,
    /// When it happens.
    pub cause: &'static str,
    /// What to do.
    pub fix: String,
    /// Where the documentation has it.
    pub link: String,
    /// What was found on this machine that may be why.
    pub here: Vec<String>,
}

impl Told {
    /// A sighting, and what is wrong `here`, on this machine.
    #[must_use]
    pub fn new(sighting: &Sighting, here: &[Problem]) -> Self {
        Self::of(sighting, here, &Paths::default())
    }

    /// The same, with a fix for an installation whose paths are known.
    #[must_use]
    pub fn of(sighting: &Sighting, here: &[Problem], paths: &Paths) -> Self {
        let problem = &sighting.problem;
        Self {
            code: problem.code().into(),
            line: sighting.line,
            count: sighting.count,
            text: sighting.text.clone(),
            layer: problem.layer().as_str(),
            severity: problem.severity().as_str(),
            evidence: problem.to_string(),
            cause: problem.cause(),
            fix: paths.put_into(&problem.fix()),
            link: problem.link(),
            here: evidence_here(sighting, here),
        }
    }
}

/// Whether this machine may show why something that was found is so.
#[must_use]
pub fn is_local(explanation: &Explanation) -> bool {
    explanation.sightings.iter().any(|sighting| !related(sighting.problem.code()).is_empty())
}

/// Whether a log that names its own nodes is of the machine of this node.
#[must_use]
pub fn is_of(explanation: &Explanation, node: Option<&NodeName>) -> bool {
    explanation.nodes.is_empty() || node.is_some_and(|node| explanation.nodes.contains(node))
}

fn evidence_here(sighting: &Sighting, here: &[Problem]) -> Vec<String> {
    let related = related(sighting.problem.code());
    let found = here.iter().filter(|problem| related.contains(&problem.code()));
    found.map(|problem| format!("{}: {}", problem.code(), errors::printable(&problem.to_string()))).collect()
}

/// Everything that was found, one paragraph each, with what is wrong `here`, on this machine, and may be why.
#[must_use]
pub fn words(explanation: &Explanation, here: &[Problem]) -> String {
    let mut text = String::new();
    for sighting in &explanation.sightings {
        let times = if sighting.count == 1 { String::new() } else { format!(", {} times", sighting.count) };
        let _ = writeln!(text, "line {}{times}: {}", sighting.line, sighting.text);
        text.push_str(&errors::problems_of(std::slice::from_ref(&sighting.problem), &explanation.paths));
        for found in evidence_here(sighting, here) {
            let _ = writeln!(text, "  here      {found}");
        }
        text.push('\n');
    }
    if explanation.left_off > 0 {
        let _ = writeln!(text, "{} more sightings with other facts are not listed", explanation.left_off);
    }
    text
}
