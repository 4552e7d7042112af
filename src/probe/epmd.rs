//! The two questions for the Erlang port mapper daemon.

use std::io;
use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::deadline::Deadline;

const PORT_PLEASE2_REQ: u8 = b'z';
const PORT2_RESP: u8 = b'w';
const NAMES_REQ: u8 = b'n';
/// More names than this are no use to anybody who reads them.
const MAX_NAMES_BYTES: u64 = 64 * 1024;

/// The distribution port of the node `alive`, `None` if epmd does not know it.
pub(super) async fn port_please(
    epmd: SocketAddr,
    alive: &str,
    deadline: Deadline,
) -> io::Result<Option<u16>> {
    let mut stream = deadline.connect(epmd).await?;
    deadline
        .io(async {
            ask(&mut stream, PORT_PLEASE2_REQ, alive.as_bytes()).await?;
            if stream.read_u8().await? != PORT2_RESP {
                return Err(io::Error::new(io::ErrorKind::InvalidData, "what answers there is not epmd"));
            }
            match stream.read_u8().await? {
                0 => stream.read_u16().await.map(Some),
                _not_found => Ok(None),
            }
        })
        .await
}

/// The names that epmd knows, as far as they have arrived by the deadline.
pub(super) async fn names(epmd: SocketAddr, deadline: Deadline) -> Vec<String> {
    let mut answer = Vec::new();
    let Ok(mut stream) = deadline.connect(epmd).await else { return Vec::new() };
    let reading = deadline.io(async {
        ask(&mut stream, NAMES_REQ, b"").await?;
        stream.take(MAX_NAMES_BYTES).read_to_end(&mut answer).await
    });
    // A part of them is better than none.
    let _all_or_a_part = reading.await;
    listed(&answer)
}

async fn ask(stream: &mut TcpStream, tag: u8, argument: &[u8]) -> io::Result<()> {
    let length = u16::try_from(argument.len() + 1).map_err(|_| io::ErrorKind::InvalidInput)?;
    let message = [&length.to_be_bytes()[..], &[tag], argument].concat();
    stream.write_all(&message).await
}

/// The names in an answer: epmd's own port in four bytes, then lines of `name NAME at port PORT`.
fn listed(answer: &[u8]) -> Vec<String> {
    let text = String::from_utf8_lossy(answer.get(4..).unwrap_or_default());
    let name = |line: &str| Some(line.strip_prefix("name ")?.split_once(" at port ")?.0.to_owned());
    text.lines().filter_map(name).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_that_are_cut_off_name_nobody() {
        assert_eq!(listed(b"\0\0\x11\x11name a at port 1\nname b at port 2\nname cc a"), ["a", "b"]);
        assert_eq!(listed(b"\0\0"), Vec::<String>::new());
        assert_eq!(listed(b"\0\0\x11\x11\xff\xfe\n"), Vec::<String>::new());
    }
}
