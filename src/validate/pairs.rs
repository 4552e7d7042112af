//! Whether every member reaches every other, in both directions.

use std::collections::HashMap;

use super::problem::Problem;
use super::reach;
use crate::model::name::NodeName;
use crate::model::pair::Pair;
use crate::model::reach::ReachFailure;

/// A problem for each pair of which one or both do not reach the other, in the order of the pairs.
#[must_use]
pub fn problems(pairs: &[Pair]) -> Vec<Problem> {
    let failures: HashMap<(&NodeName, &NodeName), Option<&ReachFailure>> =
        pairs.iter().map(|pair| ((&pair.from, &pair.to), pair.failure.as_ref())).collect();
    pairs.iter().filter_map(|pair| of_pair(pair, failures.get(&(&pair.to, &pair.from)).copied())).collect()
}

/// `back` is what was found the other way: `None` when it was not tried.
fn of_pair(pair: &Pair, back: Option<Option<&ReachFailure>>) -> Option<Problem> {
    let reason = reach::between(&pair.from, &pair.to, pair.failure.as_ref()?).to_string();
    let (from, to) = (pair.from.clone(), pair.to.clone());
    match back {
        Some(None) => Some(Problem::OneWayBlock { from, to, reason }),
        // One problem for both directions: that of the first of the two.
        Some(Some(_)) if to < from => None,
        Some(Some(_)) | None => Some(Problem::PairUnreachable { from, to, reason }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair(from: &str, to: &str, host: Option<&str>) -> Pair {
        let failure =
            host.map(|host| ReachFailure::UnknownHost { host: host.into(), reason: "nxdomain".into() });
        Pair { from: from.into(), to: to.into(), failure }
    }

    fn codes(pairs: &[Pair]) -> Vec<(&'static str, String)> {
        problems(pairs).iter().map(|problem| (problem.code(), problem.to_string())).collect()
    }

    #[test]
    fn pairs_that_reach_each_other_are_no_problem() {
        assert_eq!(codes(&[pair("a@x", "b@y", None), pair("b@y", "a@x", None)]), []);
    }

    #[test]
    fn a_block_in_one_direction_names_the_direction() {
        let found = codes(&[pair("a@x", "b@y", None), pair("b@y", "a@x", Some("x"))]);
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].0, "one_way_block");
        assert!(found[0].1.starts_with("b@y does not reach a@x"), "{}", found[0].1);
    }

    #[test]
    fn a_block_in_both_directions_is_one_problem() {
        let found = codes(&[pair("b@y", "a@x", Some("x")), pair("a@x", "b@y", Some("y"))]);
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].0, "pair_unreachable");
        assert!(found[0].1.starts_with("a@x does not reach b@y"), "{}", found[0].1);
    }

    #[test]
    fn a_direction_that_was_not_tried_does_not_excuse_the_other() {
        assert_eq!(codes(&[pair("b@y", "a@x", Some("x"))])[0].0, "pair_unreachable");
    }
}
