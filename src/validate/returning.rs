//! A node that starts with a database of its own, before its Mnesia runs.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::problem::{Nodes, Problem};
use crate::model::machine::schema::Holders;
use crate::model::name::{NodeName, TableName};
use crate::model::store::Store;

/// What a node says of itself whose Mnesia runs, and which this node's schema lists.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Known {
    /// The node.
    pub node: NodeName,
    /// All that it lists as members (`db_nodes`).
    pub members: Vec<NodeName>,
    /// The cookies of its tables and of its schema.
    pub cookies: BTreeMap<TableName, String>,
}

impl Known {
    /// Whether its database and one with these cookies were one: a table or the schema still has the same cookie. Forgetting a node
    /// gives the others another fence, or another schema; a node that leaves, is taken back or is wiped has nothing of the
    /// cluster any more.
    fn is_of(&self, own: &BTreeMap<TableName, String>) -> bool {
        own.iter().any(|(table, cookie)| self.cookies.get(table) == Some(cookie))
    }
}

/// A problem for each that this node counts among the members, that has the same database and does not count this node: to start
/// Mnesia would bring this node back there with all that was deleted since, or end it with `Bad cookie`.
///
/// # Errors
/// These problems. Otherwise the nodes that run with another database and do not count this node: they are no members any more,
/// and must not meet this node's Mnesia.
pub fn departed(
    here: &NodeName,
    own: &BTreeMap<TableName, String>,
    known: &[Known],
) -> Result<Vec<NodeName>, Vec<Problem>> {
    let without_us = known.iter().filter(|known| !known.members.contains(here));
    let (forgot, left): (Vec<_>, Vec<_>) = without_us.partition(|known| known.is_of(own));
    if forgot.is_empty() {
        return Ok(left.into_iter().map(|known| known.node.clone()).collect());
    }
    let problem = |known: &Known| Problem::ForgottenHere { here: here.clone(), node: known.node.clone() };
    Err(forgot.into_iter().map(problem).collect())
}

/// What forbids this node to give its database up and come in as a new one: others count on it, or it has what the cluster had.
#[must_use]
pub fn reentry(here: &NodeName, own: &BTreeMap<TableName, String>, known: &[Known]) -> Vec<Problem> {
    let listing = known.iter().find(|known| known.members.contains(here));
    let member =
        |known: &Known| Problem::StillAMember { here: here.clone(), members: Nodes(known.members.clone()) };
    let left = known.iter().find(|known| !known.is_of(own));
    let forgot = known.iter().any(|known| known.is_of(own));
    let departed = left.filter(|_| !forgot);
    let departed = departed.map(|known| Problem::MemberLeft { here: here.clone(), node: known.node.clone() });
    listing.map(member).or(departed).into_iter().collect()
}

/// The members that may list this node still after each was asked what it lists, none where it did not answer. One that does not
/// list this node any more has it again when another one of its cluster comes back that does.
#[must_use]
pub fn left_behind(here: &NodeName, members: &[Member]) -> Vec<NodeName> {
    let may_list = |member: &&Member| member.lists.as_ref().is_none_or(|lists| lists.contains(here));
    let untold: BTreeSet<&NodeName> = members.iter().filter(may_list).map(|member| &member.node).collect();
    let lists_one = |member: &Member| member.lists.iter().flatten().any(|node| untold.contains(node));
    let left = members.iter().filter(|member| untold.contains(&member.node) || lists_one(member));
    left.map(|member| member.node.clone()).collect()
}

/// A member that was asked what it lists.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// Its name.
    pub node: NodeName,
    /// What its schema lists (`db_nodes`), where its Mnesia runs.
    pub lists: Option<Vec<NodeName>>,
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

    fn names(nodes: &[&str]) -> Vec<NodeName> {
        nodes.iter().map(|node| (*node).into()).collect()
    }

    fn cookies(cookies: &[(&str, &str)]) -> BTreeMap<TableName, String> {
        cookies.iter().map(|(table, cookie)| ((*table).into(), (*cookie).into())).collect()
    }

    fn known(node: &str, members: &[&str], of: &[(&str, &str)]) -> Known {
        Known { node: node.into(), members: names(members), cookies: cookies(of) }
    }

    const OURS: [(&str, &str); 3] = [("schema", "1"), ("easy_cluster_fence", "1"), ("passwd", "1")];

    #[test]
    fn one_of_the_same_database_that_does_not_know_this_node_any_more_is_enough() {
        let here = "a@x.y".into();
        let own = cookies(&OURS);
        assert_eq!(departed(&here, &own, &[known("b@x.y", &["a@x.y", "b@x.y"], &OURS)]), Ok(vec![]));
        assert_eq!(departed(&here, &own, &[]), Ok(vec![]), "nobody answered");
        let forgotten = [("schema", "1"), ("easy_cluster_fence", "2"), ("passwd", "1")];
        let both = [
            known("b@x.y", &["b@x.y"], &forgotten),
            known("c@x.y", &["a@x.y", "b@x.y", "c@x.y"], &forgotten),
        ];
        let expected = vec![Problem::ForgottenHere { here: here.clone(), node: "b@x.y".into() }];
        assert_eq!(departed(&here, &own, &both), Err(expected));
        assert_eq!(
            reentry(&here, &own, &both).iter().map(Problem::code).collect::<Vec<_>>(),
            ["still_a_member"]
        );
        assert_eq!(reentry(&here, &own, &[known("b@x.y", &["b@x.y"], &forgotten)]), []);
        let other_schema = [("schema", "2"), ("passwd", "1")];
        assert!(departed(&here, &own, &[known("b@x.y", &["b@x.y"], &other_schema)]).is_err());
    }

    #[test]
    fn one_with_another_database_has_left_and_this_node_has_what_the_cluster_had() {
        let here = "a@x.y".into();
        let own = cookies(&OURS);
        let left =
            [known("b@x.y", &["b@x.y"], &[("schema", "3"), ("easy_cluster_fence", "3"), ("passwd", "3")])];
        assert_eq!(departed(&here, &own, &left), Ok(names(&["b@x.y"])));
        assert_eq!(
            reentry(&here, &own, &left).iter().map(Problem::code).collect::<Vec<_>>(),
            ["member_left"]
        );
        let wiped = [known("b@x.y", &["b@x.y"], &[("schema", "4")])];
        assert_eq!(departed(&here, &own, &wiped), Ok(names(&["b@x.y"])));
    }

    #[test]
    fn who_lists_one_that_was_not_told_may_list_this_node_again() {
        let here = "a@x.y".into();
        let member =
            |node: &str, lists: Option<&[&str]>| Member { node: node.into(), lists: lists.map(names) };
        assert_eq!(left_behind(&here, &[member("b@x.y", Some(&["b@x.y"]))]), names(&[]));
        assert_eq!(left_behind(&here, &[member("b@x.y", Some(&["a@x.y", "b@x.y"]))]), names(&["b@x.y"]));
        let silent = [member("b@x.y", Some(&["b@x.y", "c@x.y"])), member("c@x.y", None)];
        assert_eq!(left_behind(&here, &silent), names(&["b@x.y", "c@x.y"]));
        let apart = [member("b@x.y", Some(&["b@x.y"])), member("c@x.y", None)];
        assert_eq!(left_behind(&here, &apart), names(&["c@x.y"]));
    }
}
