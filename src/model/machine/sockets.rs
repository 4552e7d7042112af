//! Who listens where, and which addresses this machine has, as the kernel tells it in `/proc/net`.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use serde::{Deserialize, Serialize};

/// A port that accepts connections.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Listener {
    /// The address, `0.0.0.0` or `::` for all.
    pub address: IpAddr,
    /// The port.
    pub port: u16,
}

/// `TCP_LISTEN` of the kernel.
const LISTENING: &str = "0A";

/// Reads `/proc/net/tcp` or `/proc/net/tcp6`. Lines that are something else are passed over.
#[must_use]
pub fn parse(text: &str) -> Vec<Listener> {
    text.lines().filter_map(listener).collect()
}

fn listener(line: &str) -> Option<Listener> {
    let mut columns = line.split_ascii_whitespace().skip(1);
    let local = columns.next()?;
    let state = columns.nth(1)?;
    if state != LISTENING {
        return None;
    }
    let (address, port) = local.split_once(':')?;
    Some(Listener { address: address_of_words(address)?, port: u16::from_str_radix(port, 16).ok()? })
}

/// Addresses stand there as words of the machine's own order of bytes.
fn address_of_words(hex: &str) -> Option<IpAddr> {
    let word = |at: usize| Some(u32::from_str_radix(hex.get(at..at + 8)?, 16).ok()?.to_ne_bytes());
    match hex.len() {
        8 => Some(IpAddr::from(word(0)?)),
        32 => {
            let bytes: Vec<u8> = [word(0)?, word(8)?, word(16)?, word(24)?].concat();
            let address = Ipv6Addr::from(<[u8; 16]>::try_from(bytes).ok()?);
            Some(address.to_ipv4_mapped().map_or(IpAddr::V6(address), IpAddr::V4))
        }
        _ => None,
    }
}

/// Reads the machine's IPv4 addresses in `/proc/net/fib_trie`: leaves whose next line says `host LOCAL`.
#[must_use]
pub fn parse_ipv4(text: &str) -> Vec<IpAddr> {
    let mut addresses = Vec::new();
    let mut leaf: Option<Ipv4Addr> = None;
    for line in text.lines().map(str::trim) {
        if let Some(address) = line.strip_prefix("|-- ") {
            leaf = address.parse().ok();
        } else if line == "/32 host LOCAL" {
            addresses.extend(leaf.map(IpAddr::V4));
        }
    }
    sorted(addresses)
}

/// Reads the machine's IPv6 addresses in `/proc/net/if_inet6`.
#[must_use]
pub fn parse_ipv6(text: &str) -> Vec<IpAddr> {
    let address = |line: &str| {
        let digits = line.split_ascii_whitespace().next().filter(|word| word.len() == 32)?;
        Some(IpAddr::from(u128::from_str_radix(digits, 16).ok()?.to_be_bytes()))
    };
    sorted(text.lines().filter_map(address).collect())
}

fn sorted(mut addresses: Vec<IpAddr>) -> Vec<IpAddr> {
    addresses.sort_unstable();
    addresses.dedup();
    addresses
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid\n";

    #[test]
    fn only_what_listens_is_read() {
        let any = format!(
            "{HEAD}   0: 00000000:1111 00000000:0000 0A 0:0\n   1: 00000000:1112 00000000:0000 01 0:0\n"
        );
        assert_eq!(parse(&any), [Listener { address: "0.0.0.0".parse().unwrap(), port: 4369 }]);
    }

    #[test]
    fn addresses_have_the_machines_order_of_bytes() {
        let word = format!("{:08X}", u32::from_ne_bytes([127, 0, 0, 1]));
        let v6 = format!("{:08X}", u32::from_ne_bytes([0, 0, 0, 1]));
        let text = format!(
            "{HEAD}   0: {word}:1111 00000000:0000 0A 0\n   1: 000000000000000000000000{v6}:1111 0:0 0A 0\n"
        );
        let read: Vec<String> = parse(&text).iter().map(|l| l.address.to_string()).collect();
        assert_eq!(read, ["127.0.0.1", "::1"]);
    }

    #[test]
    fn the_machines_addresses_are_the_leaves_that_are_local() {
        let trie = "Main:\n  +-- 0.0.0.0/0 3 0 5\n     |-- 0.0.0.0\n        /0 universe UNICAST\n        |-- 127.0.0.1\n\
                    \x20          /32 host LOCAL\n           |-- 192.0.2.2\n              /32 host LOCAL\n        \
                    |-- 192.0.2.255\n           /32 link BROADCAST\n";
        let read: Vec<String> = parse_ipv4(trie).iter().map(ToString::to_string).collect();
        assert_eq!(read, ["127.0.0.1", "192.0.2.2"]);
        let v6 = "fd000000000000000000000000000002 04 40 00 82     eth0\n00000000000000000000000000000001 01 80 10 80 lo\n";
        let read: Vec<String> = parse_ipv6(v6).iter().map(ToString::to_string).collect();
        assert_eq!(read, ["::1", "fd00::2"]);
    }
}
