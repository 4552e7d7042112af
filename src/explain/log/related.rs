//! Which findings on the machine would be evidence for what a log says.

const COOKIES: &[&str] = &[
    "several_cookies",
    "cookie_missing",
    "cookie_unreadable",
    "cookie_mode",
    "cookie_owner",
    "cookie_empty",
    "cookie_characters",
    "cookie_weak",
];
const HOST: &[&str] = &["own_host_unknown", "host_without_dot", "own_host_loopback"];
const INTERFACE: &[&str] =
    &["interface_malformed", "interface_ipv6_without_proto_dist", "interface_not_here"];
const ANY: &[&str] = &[
    "several_cookies",
    "cookie_missing",
    "cookie_unreadable",
    "own_host_unknown",
    "own_host_loopback",
    "host_without_dot",
    "interface_not_here",
];

const RELATED: &[(&str, &[&str])] = &[
    ("wrong_cookie", COOKIES),
    ("node_disallowed", COOKIES),
    ("peer_cookie_differs", COOKIES),
    ("cookie_file", COOKIES),
    ("no_connection", ANY),
    ("cannot_reach_node", ANY),
    ("rpc_nodedown", ANY),
    ("rpc_timeout", &["interface_not_here", "own_host_loopback"]),
    ("name_in_use", &["config_crlf"]),
    ("cannot_set_node_name", &["own_host_unknown", "host_without_dot"]),
    ("illegal_hostname", HOST),
    ("node_name_mismatch", &["mnesia_owner_differs"]),
    ("listen_badarg", INTERFACE),
    ("listen_failed", INTERFACE),
    ("bad_environment_value", INTERFACE),
];

/// The codes of findings on this machine that go with a code from a log.
#[must_use]
pub fn related(code: &str) -> &'static [&'static str] {
    RELATED.iter().find(|(known, _)| *known == code).map_or(&[], |(_, related)| related)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::validate::problem::Problem;

    #[test]
    fn what_is_related_belongs_to_codes_that_exist() {
        let known: Vec<_> = Problem::catalogue().iter().map(|entry| entry.code).collect();
        for (code, related) in RELATED {
            assert!(known.contains(code), "{code}");
            assert!(related.iter().all(|code| known.contains(code)), "{related:?}");
        }
    }

    #[test]
    fn a_stranger_turned_away_points_to_the_cookies() {
        assert!(related("node_disallowed").contains(&"several_cookies"));
        assert!(related("no_majority").is_empty());
    }
}
