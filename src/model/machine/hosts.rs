//! The hosts file, Erlang's own `inetrc`, and the resolver's settings.

use core::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::Broken;
use super::terms::{self, Term};

/// An address and its names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostsEntry {
    /// The address.
    pub address: IpAddr,
    /// The names.
    pub names: Vec<String>,
    /// The line.
    pub line: u32,
}

/// Reads a hosts file. A line that has no address at its beginning is told by its number.
#[must_use]
pub fn parse(text: &str) -> (Vec<HostsEntry>, Vec<u32>) {
    let (mut entries, mut bad) = (Vec::new(), Vec::new());
    for (number, text) in (1..).zip(text.lines()) {
        let mut words = text.split('#').next().unwrap_or_default().split_ascii_whitespace();
        let Some(first) = words.next() else { continue };
        // The address of a link has its interface behind it.
        match first.split('%').next().unwrap_or_default().parse() {
            Ok(address) => {
                entries.push(HostsEntry { address, names: words.map(str::to_owned).collect(), line: number });
            }
            Err(_) => bad.push(number),
        }
    }
    (entries, bad)
}

/// How Erlang looks up hosts.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Inetrc {
    /// `file`, `native`, `dns`, in order; empty where the file leaves it open, which means `native`.
    pub lookup: Vec<String>,
    /// Its own hosts.
    pub hosts: Vec<HostsEntry>,
    /// Hosts files that it names beside the system's.
    pub hosts_files: Vec<String>,
}

impl Inetrc {
    /// Whether anything but files is asked.
    #[must_use]
    pub fn asks_the_system(&self) -> bool {
        self.lookup.is_empty() || self.lookup.iter().any(|way| way == "native" || way == "dns")
    }
}

/// Reads an `inetrc`.
///
/// # Errors
/// The first place that is no Erlang term.
pub fn parse_inetrc(text: &str) -> Result<Inetrc, Broken> {
    let mut inetrc = Inetrc::default();
    for term in terms::parse(text)? {
        match term.tuple() {
            Some([Term::Atom(key), Term::List(ways)]) if key == "lookup" => {
                inetrc.lookup = ways.iter().filter_map(Term::text).map(str::to_owned).collect();
            }
            Some([Term::Atom(key), address, Term::List(names)]) if key == "host" => {
                let names: Vec<String> = names.iter().filter_map(Term::text).map(str::to_owned).collect();
                let line = names.first().map_or(0, |name| line_with_host(text, name));
                inetrc.hosts.extend(ip(address).map(|address| HostsEntry { address, names, line }));
            }
            Some([Term::Atom(key), Term::Atom(kind), Term::Text(path)])
                if key == "file" && kind == "hosts" =>
            {
                inetrc.hosts_files.push(path.clone());
            }
            Some([Term::Atom(key), Term::Text(path)]) if key == "hosts_file" => {
                inetrc.hosts_files.push(path.clone())
            }
            _other_settings => {}
        }
    }
    Ok(inetrc)
}

/// Terms have no lines; the first one is told that names the host outside of a comment.
fn line_with_host(text: &str, name: &str) -> u32 {
    let mut lines = (1..).zip(text.lines());
    let found = lines.find(|(_, line)| line.split('%').next().is_some_and(|line| line.contains(name)));
    found.map_or(0, |(line, _)| line)
}

/// `{127,0,0,1}`, or the text of an address.
fn ip(term: &Term) -> Option<IpAddr> {
    if let Some(text) = term.text() {
        return text.parse().ok();
    }
    let numbers: Vec<u16> = term
        .tuple()?
        .iter()
        .map(|part| match part {
            Term::Integer(number) => u16::try_from(*number).ok(),
            Term::Atom(_) | Term::Text(_) | Term::Tuple(_) | Term::List(_) => None,
        })
        .collect::<Option<_>>()?;
    if let Ok(parts) = <[u16; 8]>::try_from(numbers.as_slice()) {
        return Some(IpAddr::from(parts));
    }
    let bytes: Vec<u8> = numbers.iter().map(|number| u8::try_from(*number).ok()).collect::<Option<_>>()?;
    <[u8; 4]>::try_from(bytes.as_slice()).ok().map(IpAddr::from)
}

/// What `resolv.conf` says.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resolver {
    /// Servers that are asked.
    pub nameservers: Vec<String>,
    /// Domains that are tried behind a name.
    pub search: Vec<String>,
}

/// Reads `resolv.conf`.
#[must_use]
pub fn parse_resolver(text: &str) -> Resolver {
    let mut resolver = Resolver::default();
    for line in text.lines().filter(|line| !line.starts_with(['#', ';'])) {
        let mut words = line.split_ascii_whitespace();
        match words.next() {
            Some("nameserver") => resolver.nameservers.extend(words.next().map(str::to_owned)),
            Some("search" | "domain") => resolver.search = words.map(str::to_owned).collect(),
            _other_settings => {}
        }
    }
    resolver
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hosts_file_has_addresses_and_names() {
        let text =
            "127.0.0.1\tlocalhost # x\n\n# y\n::1 localhost ip6\r\nfe80::1%eth0 link\nfoo.bar 10.0.0.1\n";
        let (entries, bad) = parse(text);
        let read: Vec<_> =
            entries.iter().map(|e| (e.address.to_string(), e.names.join(" "), e.line)).collect();
        let expected = [("127.0.0.1", "localhost", 1), ("::1", "localhost ip6", 4), ("fe80::1", "link", 5)];
        assert_eq!(read, expected.map(|(address, names, line)| (address.to_owned(), names.to_owned(), line)));
        assert_eq!(bad, [6]);
    }

    #[test]
    fn debians_inetrc_asks_files_and_then_the_system() {
        let text = "{lookup,[\"file\",\"native\"]}.\n{host,{127,0,0,1}, [\"localhost\",\"hostalias\"]}.\n\
                    {file, resolv, \"/etc/resolv.conf\"}.\n";
        let inetrc = parse_inetrc(text).unwrap();
        assert_eq!(inetrc.lookup, ["file", "native"]);
        assert!(inetrc.asks_the_system());
        assert_eq!(inetrc.hosts[0].names, ["localhost", "hostalias"]);
        assert_eq!(inetrc.hosts[0].address.to_string(), "127.0.0.1");
    }

    #[test]
    fn an_inetrc_may_look_into_files_only() {
        let inetrc = parse_inetrc(
            "{lookup, [file]}. {host, {0,0,0,0,0,0,0,1}, [a]}. {file, hosts, \"/x\"}. {hosts_file, \"/y\"}.",
        )
        .unwrap();
        assert!(!inetrc.asks_the_system());
        assert_eq!(
            (inetrc.hosts[0].address.to_string().as_str(), inetrc.hosts_files.join(" ").as_str()),
            ("::1", "/x /y")
        );
        assert!(parse_inetrc("").unwrap().asks_the_system());
        assert!(parse_inetrc("{host, {1,2,3}, [a]}. {host, {256,0,0,1}, [b]}.").unwrap().hosts.is_empty());
    }

    #[test]
    fn the_resolver_has_servers_and_domains() {
        let resolver = parse_resolver("# x\nnameserver 10.0.0.1\nsearch a.b c.d\noptions x\n");
        assert_eq!(
            (resolver.nameservers, resolver.search),
            (vec!["10.0.0.1".into()], vec!["a.b".into(), "c.d".into()])
        );
    }
}
