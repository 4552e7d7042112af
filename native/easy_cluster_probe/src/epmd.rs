//! The two questions for the Erlang port mapper daemon.

use std::io;
use std::net::SocketAddr;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;

use super::deadline::{Deadline, is_silence, words};
use super::hear::{Unheard, fill, quote};
use easy_cluster::model::reach::{ReachFailure, Registered};

const PORT_PLEASE2_REQ: u8 = b'z';
const PORT2_RESP: u8 = b'w';
const NAMES_REQ: u8 = b'n';
/// More names than this are no use to anybody who reads them.
const MAX_NAMES_BYTES: u64 = 64 * 1024;
/// Tag, result, port, type, protocol, and the versions that the node speaks at most and at least.
const ENTRY_BYTES: usize = 10;

/// What epmd knows of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Entry {
    /// The distribution port.
    pub(super) port: u16,
    /// The newest version of the handshake that the node speaks.
    pub(super) version: u16,
}

pub(super) async fn connect(epmd: SocketAddr, deadline: Deadline) -> Result<TcpStream, ReachFailure> {
    deadline.connect(epmd).await.map_err(|error| {
        let address = epmd.to_string();
        if is_silence(&error) {
            ReachFailure::EpmdSilent { address, reason: "no connection comes about".into() }
        } else {
            ReachFailure::EpmdUnreachable { address, reason: words(&error) }
        }
    })
}

/// The entry of the node `alive`, `None` if epmd does not know it.
pub(super) async fn port_please<S: AsyncRead + AsyncWrite + Unpin>(
    stream: &mut S,
    epmd: SocketAddr,
    alive: &str,
    deadline: Deadline,
) -> Result<Option<Entry>, ReachFailure> {
    let mut heard = Vec::with_capacity(ENTRY_BYTES);
    let asked = async {
        ask(stream, PORT_PLEASE2_REQ, alive.as_bytes()).await?;
        fill(stream, &mut heard, 2).await?;
        if heard == [PORT2_RESP, 0] { fill(stream, &mut heard, ENTRY_BYTES).await } else { Ok(()) }
    };
    let ended = deadline.io(asked).await;
    match heard[..] {
        [PORT2_RESP, 0, high, low, _type, _protocol, newest, version, _, _] => {
            let version = u16::from_be_bytes([newest, version]);
            Ok(Some(Entry { port: u16::from_be_bytes([high, low]), version }))
        }
        [PORT2_RESP, not_zero, ..] if not_zero != 0 => Ok(None),
        _ => Err(no_answer(epmd, heard, ended.err())),
    }
}

fn no_answer(epmd: SocketAddr, heard: Vec<u8>, error: Option<io::Error>) -> ReachFailure {
    let address = epmd.to_string();
    let unheard = Unheard { error: error.unwrap_or_else(|| io::ErrorKind::InvalidData.into()), heard };
    if unheard.heard.first().is_some_and(|tag| *tag != PORT2_RESP) {
        ReachFailure::NotEpmd { address, heard: quote(&unheard.heard) }
    } else if unheard.is_silence() {
        ReachFailure::EpmdSilent { address, reason: "it takes connections and says nothing".into() }
    } else if is_silence(&unheard.error) {
        ReachFailure::EpmdSilent { address, reason: "it does not finish its answer".into() }
    } else {
        ReachFailure::NotEpmd { address, heard: unheard.words() }
    }
}

/// The names that epmd knows, as far as they have arrived by the deadline.
pub(super) async fn names(epmd: SocketAddr, deadline: Deadline) -> Vec<Registered> {
    match deadline.connect(epmd).await {
        Ok(stream) => list(stream, deadline).await,
        Err(_unreachable_meanwhile) => Vec::new(),
    }
}

pub(super) async fn list<S: AsyncRead + AsyncWrite + Unpin>(
    mut stream: S,
    deadline: Deadline,
) -> Vec<Registered> {
    let mut answer = Vec::new();
    let reading = deadline.io(async {
        ask(&mut stream, NAMES_REQ, b"").await?;
        stream.take(MAX_NAMES_BYTES).read_to_end(&mut answer).await
    });
    // A part of them is better than none.
    let _all_or_a_part = reading.await;
    listed(&answer)
}

async fn ask<S: AsyncWrite + Unpin>(stream: &mut S, tag: u8, argument: &[u8]) -> io::Result<()> {
    let length = u16::try_from(argument.len() + 1).map_err(|_| io::ErrorKind::InvalidInput)?;
    let message = [&length.to_be_bytes()[..], &[tag], argument].concat();
    stream.write_all(&message).await
}

/// The names in an answer: epmd's own port in four bytes, then lines of `name NAME at port PORT`.
fn listed(answer: &[u8]) -> Vec<Registered> {
    let text = String::from_utf8_lossy(answer.get(4..).unwrap_or_default());
    let entry = |line: &str| {
        let (name, port) = line.strip_prefix("name ")?.split_once(" at port ")?;
        let printable = !name.chars().any(char::is_control);
        Some(Registered { name: name.to_owned(), port: port.parse().ok()? }).filter(|_| printable)
    };
    // A line that is cut off could have a port that is cut off.
    let whole = text.rfind('\n').and_then(|end| text.get(..end)).unwrap_or_default();
    whole.lines().filter_map(entry).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names_in(answer: &[u8]) -> Vec<(String, u16)> {
        listed(answer).into_iter().map(|entry| (entry.name, entry.port)).collect()
    }

    #[test]
    fn lines_that_are_cut_off_name_nobody() {
        let answer = b"\0\0\x11\x11name a at port 1\nname b at port 2\nname cc at port 3";
        assert_eq!(names_in(answer), [("a".into(), 1), ("b".into(), 2)]);
        assert_eq!(names_in(b"\0\0"), []);
        assert_eq!(names_in(b"\0\0\x11\x11\xff\xfe\n"), []);
    }

    #[test]
    fn a_name_with_control_characters_is_no_name() {
        assert_eq!(names_in(b"\0\0\x11\x11name \x1b[2J at port 1\nname b at port 99999\n"), []);
    }
}
