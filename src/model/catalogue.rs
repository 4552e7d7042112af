//! What is known about the tables of ejabberd: one line each, data only.

use serde::{Deserialize, Serialize};

use super::name::TableName;

/// The fence: a table of no rows that every member knows. It is made anew when a node is forgotten, so that a node that
/// still has the old one is turned away by Mnesia before it merges.
pub const FENCE: &str = "easy_cluster_fence";

/// What a table is for, which decides what becomes of its rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Class {
    /// Its rows are the users' data. Unknown tables are durable.
    Durable,
    /// Its rows belong to a process or a node and go with it: sessions, routes, online rooms.
    OwnerKeyed,
    /// Every node has its own rows (`local_content`).
    Local,
    /// Its rows can be computed again: counters, search indexes, caches.
    Derived,
}

impl Class {
    /// The word that plans print.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Durable => "durable",
            Self::OwnerKeyed => "rows of processes",
            Self::Local => "local",
            Self::Derived => "derived",
        }
    }
}

/// Tables that are not durable, from the `ejabberd_mnesia:create` calls of ejabberd 23.01 to 26.07.
const KNOWN: &[(&str, Class)] = &[
    ("bosh", Class::OwnerKeyed),
    ("bytestream", Class::OwnerKeyed),
    ("caps_features", Class::Local),
    ("captcha", Class::OwnerKeyed),
    ("carboncopy", Class::OwnerKeyed),
    (FENCE, Class::Derived),
    ("ejabberd_commands", Class::Local),
    ("http_bind", Class::OwnerKeyed),
    ("http_poll", Class::OwnerKeyed),
    ("iq_response", Class::OwnerKeyed),
    ("matrix_direct", Class::Derived),
    ("matrix_room", Class::OwnerKeyed),
    ("matrix_s2s", Class::OwnerKeyed),
    ("mod_register_ip", Class::Local),
    ("mqtt_session", Class::OwnerKeyed),
    ("mqtt_sub", Class::OwnerKeyed),
    ("muc_occupantid", Class::Local),
    ("muc_online_room", Class::OwnerKeyed),
    ("muc_online_users", Class::OwnerKeyed),
    ("muc_rtbl", Class::Local),
    ("multicastc", Class::Derived),
    ("pubsub_last_item", Class::Derived),
    ("reg_users_counter", Class::Derived),
    ("route", Class::OwnerKeyed),
    ("route_multicast", Class::OwnerKeyed),
    ("s2s", Class::OwnerKeyed),
    ("session", Class::OwnerKeyed),
    ("session_counter", Class::Derived),
    ("sip_session", Class::OwnerKeyed),
    ("temporarily_blocked", Class::Local),
    ("vcard_search", Class::Derived),
];

/// The class of a table by its name.
#[must_use]
pub fn class(table: &TableName) -> Class {
    KNOWN
        .binary_search_by_key(&table.as_str(), |(name, _)| name)
        .ok()
        .and_then(|index| KNOWN.get(index))
        .map_or(Class::Durable, |(_, class)| *class)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_is_sorted_so_that_every_line_is_found() {
        for (name, expected) in KNOWN {
            assert_eq!(class(&(*name).into()), *expected, "{name}");
        }
    }

    #[test]
    fn rows_of_gateways_and_caches_are_not_durable() {
        let classes = ["matrix_room", "matrix_s2s", "multicastc", "muc_rtbl", "muc_occupantid"]
            .map(|name| class(&name.into()));
        let [owned, derived, local] = [Class::OwnerKeyed, Class::Derived, Class::Local];
        assert_eq!(classes, [owned, owned, derived, local, local]);
    }

    #[test]
    fn unknown_tables_are_durable() {
        assert_eq!(class(&"passwd".into()), Class::Durable);
        assert_eq!(class(&"my_table".into()), Class::Durable);
    }
}
