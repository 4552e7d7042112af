//! What was found in a text, in words and as data.

use std::fmt::Write as _;

use serde::Serialize;

use super::{Explanation, Sighting, related};
use crate::explain::errors;
use crate::model::name::AtomName;

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
    /// Codes of findings on this machine that would be evidence for it.
    pub related: &'static [&'static str],
}

impl From<&Sighting> for Told {
    fn from(sighting: &Sighting) -> Self {
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
            fix: problem.fix(),
            link: problem.link(),
            related: related(problem.code()),
        }
    }
}

/// Everything that was found, one paragraph each.
#[must_use]
pub fn words(explanation: &Explanation) -> String {
    let mut text = String::new();
    for sighting in &explanation.sightings {
        let times = if sighting.count == 1 { String::new() } else { format!(", {} times", sighting.count) };
        let _ = writeln!(text, "line {}{times}: {}", sighting.line, sighting.text);
        text.push_str(&errors::problems(std::slice::from_ref(&sighting.problem)));
        text.push('\n');
    }
    if explanation.left_off > 0 {
        let _ = writeln!(text, "{} more sightings with other facts are not listed", explanation.left_off);
    }
    text
}
