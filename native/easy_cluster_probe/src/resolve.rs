//! From a host to its addresses.

use std::io;
use std::net::{IpAddr, SocketAddr};

use tokio::net::lookup_host;

use super::Family;
use super::deadline::Deadline;

/// All addresses of `host`, each once, IPv4 and IPv6, in the order of the resolver. `known` comes first, as Erlang's
/// own table does.
pub(super) async fn addresses(
    host: &str,
    known: &[(String, IpAddr)],
    deadline: Deadline,
) -> io::Result<Vec<IpAddr>> {
    let own = known.iter().filter(|(name, _)| name.eq_ignore_ascii_case(host));
    let mut found: Vec<IpAddr> = own.map(|(_, address)| *address).collect();
    if found.is_empty() {
        found.extend(deadline.io(lookup_host((host, 0))).await?.map(|address: SocketAddr| address.ip()));
    }
    let mut addresses = Vec::with_capacity(found.len());
    for address in found {
        if !addresses.contains(&address) {
            addresses.push(address);
        }
    }
    Ok(addresses)
}

/// Those of `addresses` that Erlang would use: with `inet6_tcp` those of IPv6, or else those of IPv4 by way of mapping.
pub(super) fn usable(addresses: &[IpAddr], family: Option<Family>) -> Vec<IpAddr> {
    let of = |wanted: fn(&IpAddr) -> bool| addresses.iter().copied().filter(wanted).collect::<Vec<_>>();
    match family {
        None => addresses.to_vec(),
        Some(Family::Inet) => of(IpAddr::is_ipv4),
        Some(Family::Inet6) => {
            let six = of(IpAddr::is_ipv6);
            if six.is_empty() { addresses.to_vec() } else { six }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, Ipv6Addr};

    use super::*;

    const FOUR: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
    const SIX: IpAddr = IpAddr::V6(Ipv6Addr::LOCALHOST);

    #[test]
    fn erlang_uses_the_addresses_of_its_own_family() {
        assert_eq!(usable(&[SIX, FOUR], None), [SIX, FOUR]);
        assert_eq!(usable(&[SIX, FOUR], Some(Family::Inet)), [FOUR]);
        assert_eq!(usable(&[SIX, FOUR], Some(Family::Inet6)), [SIX]);
        assert_eq!(usable(&[FOUR], Some(Family::Inet6)), [FOUR]);
        assert_eq!(usable(&[SIX], Some(Family::Inet)), [] as [IpAddr; 0]);
    }
}
