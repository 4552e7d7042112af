//! From what an operator typed to a node's name.

use core::net::IpAddr;

use super::problem::Problem;
use crate::model::name::NodeName;

/// Atoms hold 255 characters, and so do the names on the wire, in bytes.
const MAX_BYTES: usize = 255;
/// RFC 1035: one label, and the whole name.
const MAX_LABEL: usize = 63;
const MAX_HOST: usize = 253;

/// Whether hosts in node names have dots.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// `-name`: the host has a dot, or is an address.
    Long,
    /// `-sname`: the host is one label.
    Short,
}

/// The mode that a node's own name implies; `None` without distribution (`nonode@nohost`).
#[must_use]
pub fn mode(here: &NodeName) -> Option<Mode> {
    (here.as_str() != "nonode@nohost").then(|| if is_long(here.host()) { Mode::Long } else { Mode::Short })
}

fn is_long(host: &str) -> bool {
    host.contains('.') || host.parse::<IpAddr>().is_ok()
}

/// Reads `text` as the name of a node that `here` could talk to. A bare host gets this node's own name part, so
/// that `foo.bar` on `ejabberd@hello.world` is `ejabberd@foo.bar`.
///
/// # Errors
/// [`Problem::NotDistributed`], [`Problem::BadNodeName`], [`Problem::NameModeMismatch`]. The rules are those of
/// `net_kernel` for the part before the `@`, and of RFC 1035 for the host: Erlang itself accepts hosts that no
/// resolver can find.
pub fn parse(text: &str, here: &NodeName) -> Result<NodeName, Problem> {
    let Some(mode) = mode(here) else {
        return Err(Problem::NotDistributed { here: here.clone() });
    };
    let name = if text.contains('@') { text.to_owned() } else { format!("{}@{text}", here.alive()) };
    let node = well_formed(&name)
        .map_err(|reason| Problem::BadNodeName { text: shorten(text), reason: reason.into() })?;
    let host = node.host();
    let mismatch = |reason: &str| Problem::NameModeMismatch {
        node: node.to_string(),
        here: here.clone(),
        reason: reason.into(),
    };
    match mode {
        Mode::Long if !is_long(host) => Err(mismatch("this node has a long name, that host has no dot")),
        Mode::Short if is_long(host) => Err(mismatch("this node has a short name, that host has a dot")),
        Mode::Long | Mode::Short => Ok(node.clone()),
    }
}

/// Reads `text` as the full name of a node.
///
/// # Errors
/// Why it is none, in words.
pub fn well_formed(text: &str) -> Result<NodeName, &'static str> {
    let Some((alive, host)) = text.split_once('@') else {
        return Err("it has no @");
    };
    if text.len() > MAX_BYTES {
        return Err("it is longer than the 255 bytes that an atom holds");
    }
    if host.contains('@') {
        return Err("it has more than one @");
    }
    if alive.is_empty() {
        return Err("nothing stands before the @");
    }
    if !alive.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-') {
        return Err("before the @, Erlang accepts letters, digits, _ and - only");
    }
    host_is_well_formed(host)?;
    Ok(NodeName::from(text))
}

fn host_is_well_formed(host: &str) -> Result<(), &'static str> {
    if host.is_empty() {
        return Err("no host stands after the @");
    }
    if host.parse::<IpAddr>().is_ok() {
        return Ok(());
    }
    if host.len() > MAX_HOST {
        return Err("its host is longer than 253 bytes, which Erlang accepts and no resolver does");
    }
    for label in host.strip_suffix('.').unwrap_or(host).split('.') {
        if label.is_empty() {
            return Err("its host has an empty label");
        }
        if label.len() > MAX_LABEL {
            return Err(
                "a label of its host is longer than 63 bytes, which Erlang accepts and no resolver does",
            );
        }
        if !label.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_') {
            return Err("its host has a character that no host name has");
        }
        if label.starts_with('-') || label.ends_with('-') {
            return Err("a label of its host begins or ends with -");
        }
    }
    Ok(())
}

/// An error text need not repeat a megabyte.
fn shorten(text: &str) -> String {
    text.chars().take(80).map(|c| if c.is_control() { '?' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn long(text: &str) -> Result<String, &'static str> {
        parse(text, &"ejabberd@hello.world".into()).map(|n| n.to_string()).map_err(|p| p.code())
    }

    #[test]
    fn a_full_name_is_taken_as_it_is() {
        assert_eq!(long("ejabberd@foo.bar"), Ok("ejabberd@foo.bar".into()));
        assert_eq!(long("a-b_1@127.0.0.1"), Ok("a-b_1@127.0.0.1".into()));
    }

    #[test]
    fn a_bare_host_gets_this_nodes_name_part() {
        assert_eq!(long("foo.bar"), Ok("ejabberd@foo.bar".into()));
    }

    #[test]
    fn what_erlang_or_the_resolver_cannot_take_is_no_name() {
        let label = "a".repeat(64);
        for text in
            ["", "@", "@foo.bar", "a@", "a@b@c.d", "a b@foo.bar", "a@foo bar", "a@foo..bar", "ä@foo.bar"]
        {
            assert_eq!(long(text), Err("bad_node_name"), "{text:?}");
        }
        assert_eq!(long(&format!("a@{label}.org")), Err("bad_node_name"));
        assert_eq!(long(&format!("{}@foo.bar", "a".repeat(250))), Err("bad_node_name"));
        assert_eq!(long("a@-foo.bar"), Err("bad_node_name"));
    }

    #[test]
    fn long_and_short_names_do_not_mix() {
        assert_eq!(long("ejabberd@foo"), Err("name_mode_mismatch"));
        let short = parse("ejabberd@foo.bar", &"ejabberd@hello".into()).map_err(|p| p.code());
        assert_eq!(short, Err("name_mode_mismatch"));
        assert_eq!(parse("foo", &"ejabberd@hello".into()), Ok("ejabberd@foo".into()));
    }

    #[test]
    fn a_vm_without_distribution_can_join_nobody() {
        let answer = parse("ejabberd@foo.bar", &"nonode@nohost".into()).map_err(|p| p.code());
        assert_eq!(answer, Err("not_distributed"));
    }
}
