//! Whether what an operation stops could be started again.

use super::problem::Problem;
use super::view::View;
use crate::model::snapshot::Configuration;

/// ejabberd runs with the configuration that it has read, and starts with the one on disc.
#[must_use]
pub fn problems(view: &View<'_>) -> Vec<Problem> {
    match &view.here_facts().configuration {
        Some(Configuration::Invalid { path, reason }) => {
            vec![Problem::ConfigurationInvalid { path: path.clone(), reason: reason.clone() }]
        }
        Some(Configuration::Valid | Configuration::Unchecked { .. }) | None => Vec::new(),
    }
}

/// What could not be found out about it.
#[must_use]
pub fn warnings(view: &View<'_>) -> Vec<Problem> {
    match &view.here_facts().configuration {
        Some(Configuration::Unchecked { reason }) => {
            vec![Problem::ConfigurationUnchecked { reason: reason.clone() }]
        }
        Some(Configuration::Valid | Configuration::Invalid { .. }) | None => Vec::new(),
    }
}
