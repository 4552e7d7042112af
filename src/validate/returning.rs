//! A node that starts with a database of its own, before its Mnesia runs.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::problem::{Nodes, Problem};
use crate::model::machine::schema::Holders;
use crate::model::name::{NodeName, TableName};
use crate::model::store::Store;

/// What a member says whose Mnesia runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Known {
    /// The member.
    pub node: NodeName,
    /// All that it lists as members.
    pub members: Vec<NodeName>,
}

/// A problem for each that this node counts among the members and that does not count this node: to start Mnesia would bring
/// this node back there with all that was deleted since, or end it with `Bad cookie`.
#[must_use]
pub fn problems(here: &NodeName, known: &[Known]) -> Vec<Problem> {
    let forgot = known.iter().filter(|known| !known.members.contains(here));
    forgot.map(|known| Problem::ForgottenHere { here: here.clone(), node: known.node.clone() }).collect()
}

/// What forbids this node to give its database up and come in as a new one: others count on it.
#[must_use]
pub fn reentry(here: &NodeName, known: &[Known]) -> Vec<Problem> {
    let listing = known.iter().find(|known| known.members.contains(here));
    let member =
        |known: &Known| Problem::StillAMember { here: here.clone(), members: Nodes(known.members.clone()) };
    listing.map(member).into_iter().collect()
}

/// The tables that this node would load from its own disc, as it had outlived all others that have them there.
#[must_use]
pub fn newest(store: &Store) -> Vec<TableName> {
    let is_newest = |(table, holders): &(&TableName, &Holders)| {
        holders.disc.contains(&store.node)
            && !holders.local_content
            && holders.all().any(|node| *node != store.node)
            && store.masters(table).is_empty()
            && store.loads(table, holders).is_ok()
    };
    store.held().filter(is_newest).map(|(table, _)| table.clone()).collect()
}

/// Those of them that others serve already: they have gone on without this node, and theirs replace what is here. With
/// them, who serves.
#[must_use]
pub fn overridden(store: &Store, serving: &[(NodeName, Vec<TableName>)]) -> (Vec<TableName>, Vec<NodeName>) {
    let newest = newest(store);
    let (mut tables, mut nodes) = (BTreeSet::new(), BTreeSet::new());
    for (node, served) in serving {
        for table in served.iter().filter(|table| newest.contains(table)) {
            tables.insert(table.clone());
            nodes.insert(node.clone());
        }
    }
    (tables.into_iter().collect(), nodes.into_iter().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_that_does_not_know_this_node_any_more_is_enough() {
        let known = |node: &str, members: &[&str]| Known {
            node: node.into(),
            members: members.iter().map(|member| (*member).into()).collect(),
        };
        let here = "a@x.y".into();
        assert_eq!(problems(&here, &[known("b@x.y", &["a@x.y", "b@x.y"])]), []);
        assert_eq!(problems(&here, &[]), [], "nobody answered");
        let both = [known("b@x.y", &["b@x.y"]), known("c@x.y", &["a@x.y", "b@x.y", "c@x.y"])];
        let expected = [Problem::ForgottenHere { here: here.clone(), node: "b@x.y".into() }];
        assert_eq!(problems(&here, &both), expected);
        assert_eq!(reentry(&here, &both).iter().map(Problem::code).collect::<Vec<_>>(), ["still_a_member"]);
        assert_eq!(reentry(&here, &[known("b@x.y", &["b@x.y"])]), []);
    }
}
