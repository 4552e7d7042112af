//! What another node's operation explains: it stops Mnesia, starts it elsewhere, and changes who lists whom.

use super::problem::Problem;
use crate::model::name::NodeName;
use crate::model::snapshot::{Answer, Snapshot};

/// The problems, with [`Problem::OperationInProgress`] instead of those that an operation under way brings about and takes away again.
#[must_use]
pub fn explained(snapshot: &Snapshot, problems: Vec<Problem>) -> Vec<Problem> {
    let operating: Vec<&NodeName> = snapshot
        .members
        .iter()
        .filter(|member| matches!(&member.answer, Answer::Facts(facts) if facts.operating))
        .map(|member| &member.node)
        .collect();
    let (passing, lasting): (Vec<_>, Vec<_>) =
        problems.into_iter().partition(|problem| is_passing(problem, &operating));
    if passing.is_empty() {
        return lasting;
    }
    let holders = operating.into_iter().map(|node| Problem::OperationInProgress { holder: node.clone() });
    holders.chain(lasting).collect()
}

fn is_passing(problem: &Problem, operating: &[&NodeName]) -> bool {
    if let Problem::MnesiaNotRunning { node, .. }
    | Problem::RamSchema { node }
    | Problem::MemberDown { node, .. }
    | Problem::OtherMemberDown { node, .. } = problem
    {
        return operating.contains(&node);
    }
    if let Problem::TableNotLoaded { holders, .. } = problem {
        return holders.0.iter().any(|node| operating.contains(&node));
    }
    is_of_two(problem) && !operating.is_empty()
}

/// What two nodes say of each other: one of them may have gone on, or have stopped.
fn is_of_two(problem: &Problem) -> bool {
    matches!(
        problem,
        Problem::MembersDisagree { .. }
            | Problem::Partitioned { .. }
            | Problem::StaleMember { .. }
            | Problem::ForgottenHere { .. }
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::validate::problem::Nodes;

    fn problems() -> Vec<Problem> {
        let down = |node: &str| Problem::MemberDown {
            node: node.into(),
            listed_by: "a@x.y".into(),
            reason: "its Mnesia does not run".into(),
        };
        vec![
            Problem::RamSchema { node: "b@x.y".into() },
            Problem::MnesiaNotRunning { node: "b@x.y".into(), state: "no".into() },
            down("b@x.y"),
            down("c@x.y"),
            Problem::Partitioned { node: "a@x.y".into(), lists: Nodes(Vec::new()), sees: Nodes(Vec::new()) },
            Problem::WrongCookie { node: "b@x.y".into() },
        ]
    }

    #[test]
    fn what_an_operation_brings_about_is_that_operation() {
        let operating: NodeName = "b@x.y".into();
        let passing: Vec<bool> =
            problems().iter().map(|problem| is_passing(problem, &[&operating])).collect();
        assert_eq!(passing, [true, true, true, false, true, false]);
    }

    #[test]
    fn without_an_operation_everything_is_what_it_seems() {
        assert!(problems().iter().all(|problem| !is_passing(problem, &[])));
    }
}
