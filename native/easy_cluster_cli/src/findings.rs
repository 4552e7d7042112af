//! What is wrong, as `--json` and the exit status tell it.

use std::process::ExitCode;

use easy_cluster::explain::known::Paths;
use easy_cluster::validate::problem::{Problem, Severity};
use serde::Serialize;
use serde_json::Value;

/// A problem with everything that the catalogue says about it.
#[derive(Serialize)]
pub(crate) struct Finding {
    code: &'static str,
    layer: &'static str,
    severity: &'static str,
    evidence: String,
    cause: &'static str,
    fix: String,
    link: String,
    details: Value,
}

/// The problems, each with what the catalogue says.
pub(crate) fn findings(problems: &[Problem]) -> Vec<Finding> {
    findings_of(problems, &Paths::default())
}

/// The same, with fixes for an installation whose paths are known.
pub(crate) fn findings_of(problems: &[Problem], paths: &Paths) -> Vec<Finding> {
    problems.iter().map(|problem| finding(problem, paths)).collect()
}

/// 0 nothing is wrong, 1 there are errors, 3 there are warnings only. 2 is the arguments'.
pub(crate) fn exit_code(problems: &[Problem]) -> ExitCode {
    match problems.iter().map(Problem::severity).min() {
        None => ExitCode::SUCCESS,
        Some(Severity::Error) => ExitCode::from(1),
        Some(Severity::Warning) => ExitCode::from(3),
    }
}

fn finding(problem: &Problem, paths: &Paths) -> Finding {
    // A problem serialises as its code with its details inside.
    let details = match serde_json::to_value(problem) {
        Ok(Value::Object(fields)) => fields.into_iter().next().map(|(_, details)| details),
        Ok(_) | Err(_) => None,
    };
    Finding {
        code: problem.code(),
        layer: problem.layer().as_str(),
        severity: problem.severity().as_str(),
        evidence: problem.to_string(),
        cause: problem.cause(),
        fix: paths.put_into(&problem.fix()),
        link: problem.link(),
        details: details.unwrap_or_default(),
    }
}
