//! Whether something speaks TLS: enough of a client to be answered, and no more.

use std::hash::{BuildHasher, RandomState};
use std::io;
use std::net::SocketAddr;

use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};

use super::deadline::Deadline;
use super::hear::fill;

const ALERT: u8 = 21;
const HANDSHAKE: u8 = 22;

/// Whether `bytes` begin as an answer in TLS does: an alert or a handshake, of version 3 of what was SSL.
pub(super) fn is_record(bytes: &[u8]) -> bool {
    matches!(bytes, [ALERT | HANDSHAKE, 3, ..])
}

/// Whether what listens there answers a `ClientHello` in TLS, be it with an alert.
pub(super) async fn answers(address: SocketAddr, deadline: Deadline) -> bool {
    match deadline.connect(address).await {
        Ok(stream) => deadline.io(greeted(stream)).await.unwrap_or(false),
        Err(_unreachable_meanwhile) => false,
    }
}

async fn greeted<S: AsyncRead + AsyncWrite + Unpin>(mut stream: S) -> io::Result<bool> {
    stream.write_all(&client_hello()).await?;
    let mut heard = Vec::with_capacity(2);
    fill(&mut stream, &mut heard, 2).await?;
    Ok(is_record(&heard))
}

/// Offers TLS 1.3 and 1.2 with what every peer has; what comes of it does not matter.
fn client_hello() -> Vec<u8> {
    let versions = extension(43, &[4, 3, 4, 3, 3]);
    let groups = extension(10, &[0, 4, 0, 29, 0, 23]);
    let signatures = extension(13, &[0, 8, 4, 3, 8, 4, 4, 1, 8, 7]);
    // No share of a key yet: a peer with TLS 1.3 then asks for one, which is an answer.
    let shares = extension(51, &[0, 0]);
    let extensions = [versions, groups, signatures, shares].concat();
    let suites = [0x13, 0x01, 0x13, 0x02, 0xc0, 0x2b, 0xc0, 0x2f, 0xc0, 0x30, 0x00, 0x9c, 0x00, 0x2f];
    let (no_session, no_compression) = ([0], [1, 0]);
    let hello =
        [&[3, 3][..], &random(), &no_session, &sized(&suites), &no_compression, &sized(&extensions)].concat();
    let message = [&[1, 0][..], &sized(&hello)].concat();
    [&[HANDSHAKE, 3, 1][..], &sized(&message)].concat()
}

fn extension(number: u16, body: &[u8]) -> Vec<u8> {
    [&number.to_be_bytes()[..], &sized(body)].concat()
}

/// `body` behind its length in two bytes.
fn sized(body: &[u8]) -> Vec<u8> {
    let length = u16::try_from(body.len()).unwrap_or(u16::MAX);
    [&length.to_be_bytes()[..], body].concat()
}

fn random() -> [u8; 32] {
    let mut bytes = [0; 32];
    for chunk in bytes.chunks_exact_mut(8) {
        chunk.copy_from_slice(&RandomState::new().hash_one(()).to_be_bytes());
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lengths_of_a_hello_add_up() {
        let hello = client_hello();
        let length = |at: usize| usize::from(u16::from_be_bytes([hello[at], hello[at + 1]]));
        assert_eq!(length(3) + 5, hello.len());
        assert_eq!(length(7) + 9, hello.len());
    }

    #[test]
    fn only_alerts_and_handshakes_are_answers_in_tls() {
        assert!(is_record(&[21, 3, 3]) && is_record(&[22, 3]));
        assert!(!is_record(b"HT") && !is_record(&[0, 3, b's']) && !is_record(&[22]));
    }
}
