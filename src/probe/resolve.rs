//! From a host to its addresses.

use std::io;
use std::net::{IpAddr, SocketAddr};

use tokio::net::lookup_host;

use super::deadline::Deadline;

/// All addresses of `host`, each once, IPv4 and IPv6, in the order of the resolver. `known` comes first, as Erlang's
/// own table does.
pub(super) async fn addresses(
    host: &str,
    known: &[(String, IpAddr)],
    deadline: Deadline,
) -> io::Result<Vec<SocketAddr>> {
    let own = known.iter().filter(|(name, _)| name.eq_ignore_ascii_case(host));
    let mut found: Vec<SocketAddr> = own.map(|(_, address)| SocketAddr::new(*address, 0)).collect();
    if found.is_empty() {
        found.extend(deadline.io(lookup_host((host, 0))).await?);
    }
    let mut addresses = Vec::with_capacity(found.len());
    for address in found {
        if !addresses.contains(&address) {
            addresses.push(address);
        }
    }
    Ok(addresses)
}
