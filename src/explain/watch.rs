//! What happens by itself, in words.

use crate::explain::errors;
use crate::model::count::counted;
use crate::validate::problem::{Nodes, Problem};
use crate::watch::Finding;

/// What the last look at the policy has come to, if there is a policy.
#[must_use]
pub fn finding(finding: &Finding) -> Option<String> {
    let nodes = |nodes: &[_]| Nodes(nodes.to_vec());
    Some(match finding {
        Finding::NotYet | Finding::NoPolicy => return None,
        Finding::Off => "nobody looks (sync: off)".into(),
        Finding::Follows(node) => format!("{node} brings the cluster to the policy"),
        Finding::Paused(paused) => {
            format!("nothing is changed, as {} is paused: easy_cluster:resume() goes on", nodes(paused))
        }
        Finding::Differs(others) => {
            errors::problems(&[Problem::PolicyDiffers { nodes: nodes(others) }]).trim().into()
        }
        Finding::Silent(silent) => {
            format!("nothing is changed before these members answer: {}", nodes(silent))
        }
        Finding::OtherVersion(others) => {
            errors::problems(&[Problem::OtherVersion { nodes: nodes(others) }]).trim().into()
        }
        Finding::Waits(warnings) => format!("not everything is as wanted yet{}", listed(warnings)),
        Finding::AsWanted(warnings) if warnings.is_empty() => "everything is as wanted".into(),
        Finding::AsWanted(warnings) => {
            format!("everything is as wanted, as far as it can be{}", listed(warnings))
        }
        Finding::Proposed { steps, warnings } => {
            let warnings = listed(warnings);
            format!(
                "the policy wants {}; easy_cluster:repair() makes them{warnings}",
                counted(*steps, "change")
            )
        }
        Finding::Brought { id, steps } => format!("operation {id} has made {}", counted(*steps, "change")),
        Finding::InVain { id, steps } => format!(
            "operation {id} has made {}, and the policy wants the same again; that is tried again later",
            counted(*steps, "change")
        ),
        Finding::Impossible(problems) => format!("the policy cannot be followed{}", listed(problems)),
        Finding::Failed(problems) => {
            format!("the cluster was not brought to the policy, and that is tried again{}", listed(problems))
        }
    })
}

fn listed(problems: &[Problem]) -> String {
    if problems.is_empty() { String::new() } else { format!("\n{}", errors::problems(problems).trim_end()) }
}
