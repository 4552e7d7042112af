//! The distribution handshake, version 6 (OTP 23 and later), from the side that connects.
//!
//! `send_name` → ← `status` ← `challenge` `challenge_reply` → ← `challenge_ack`, each with a length of two bytes.
//! <https://www.erlang.org/doc/apps/erts/erl_dist_protocol.html#distribution-handshake>

use std::hash::{BuildHasher, RandomState};
use std::io;

use md5::{Digest, Md5};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use super::Target;
use super::cookie::Cookie;
use super::deadline::{Deadline, words};
use crate::model::reach::ReachFailure;

/// What a peer requires, and nothing that would make it send more. Without `DFLAG_PUBLISHED` (1) the probe is a
/// hidden node, which the peer's `nodes()` and `global` do not see.
const FLAGS: u64 = {
    const EXTENDED_REFERENCES: u64 = 0x4;
    const FUN_TAGS: u64 = 0x10;
    const NEW_FUN_TAGS: u64 = 0x80;
    const EXTENDED_PIDS_PORTS: u64 = 0x100;
    const EXPORT_PTR_TAG: u64 = 0x200;
    const BIT_BINARIES: u64 = 0x400;
    const NEW_FLOATS: u64 = 0x800;
    const UTF8_ATOMS: u64 = 0x1_0000;
    const MAP_TAG: u64 = 0x2_0000;
    const BIG_CREATION: u64 = 0x4_0000;
    const HANDSHAKE_23: u64 = 0x100_0000;
    // Mandatory since OTP 26.
    const UNLINK_ID: u64 = 0x200_0000;
    const V4_NC: u64 = 0x4 << 32;
    // Stands for those above it in OTP 25, and has to be there since OTP 27.
    const MANDATORY_25_DIGEST: u64 = 0x400_0000;
    EXTENDED_REFERENCES
        | FUN_TAGS
        | NEW_FUN_TAGS
        | EXTENDED_PIDS_PORTS
        | EXPORT_PTR_TAG
        | BIT_BINARIES
        | NEW_FLOATS
        | UTF8_ATOMS
        | MAP_TAG
        | BIG_CREATION
        | HANDSHAKE_23
        | UNLINK_ID
        | V4_NC
        | MANDATORY_25_DIGEST
};

/// No message of the handshake is longer: 19 bytes and a name of 255 characters.
const MAX_MESSAGE: usize = 2048;
/// How a TLS alert begins, which is what a node with `-proto_dist inet_tls` answers.
const TLS_ALERT: [u8; 2] = [21, 3];

/// Goes through the handshake with whatever is at the other end of `stream`, and closes it.
pub(super) async fn shake<S: AsyncRead + AsyncWrite + Unpin>(
    mut stream: S,
    own_name: &str,
    target: &Target,
    deadline: Deadline,
) -> Result<(), ReachFailure> {
    send(&mut stream, "send_name", &send_name(own_name), deadline).await?;

    let message = receive(&mut stream, deadline).await.map_err(|error| failed("status", words(&error)))?;
    match message.strip_prefix(b"s") {
        Some(b"ok" | b"ok_simultaneous") => {}
        Some(status) if is_word(status) => {
            return Err(ReachFailure::NameRefused { status: String::from_utf8_lossy(status).into_owned() });
        }
        _ => return Err(failed("status", unexpected(&message))),
    }

    let message = receive(&mut stream, deadline).await.map_err(|error| failed("challenge", words(&error)))?;
    let Some(challenge) = Challenge::read(&message) else {
        return Err(failed("challenge", unexpected(&message)));
    };
    if challenge.name != target.node.as_str().as_bytes() {
        return Err(ReachFailure::OtherName { name: String::from_utf8_lossy(challenge.name).into_owned() });
    }

    let own_challenge = random();
    let reply = challenge_reply(own_challenge, &digest(&target.cookie, challenge.number));
    send(&mut stream, "challenge_reply", &reply, deadline).await?;

    let message = match receive(&mut stream, deadline).await {
        Ok(message) => message,
        Err(error) if is_closed(&error) => return Err(ReachFailure::WrongCookie),
        Err(error) => return Err(failed("challenge_ack", words(&error))),
    };
    match message.strip_prefix(b"a") {
        Some(theirs) if theirs == digest(&target.cookie, own_challenge) => Ok(()),
        Some(theirs) if theirs.len() == 16 => Err(ReachFailure::WrongCookie),
        _ => Err(failed("challenge_ack", unexpected(&message))),
    }
}

fn failed(step: &str, reason: String) -> ReachFailure {
    ReachFailure::HandshakeFailed { step: step.into(), reason }
}

fn unexpected(message: &[u8]) -> String {
    let start = message.get(..32).unwrap_or(message);
    format!("an unexpected message of {} bytes: {}", message.len(), start.escape_ascii())
}

/// A status is a word; anything else that begins with an `s` is an accident.
fn is_word(status: &[u8]) -> bool {
    (1..=32).contains(&status.len()) && status.iter().all(|byte| byte.is_ascii_lowercase() || *byte == b'_')
}

fn is_closed(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe
    )
}

fn send_name(own_name: &str) -> Vec<u8> {
    let name = own_name.as_bytes().get(..usize::from(u16::MAX)).unwrap_or(own_name.as_bytes());
    let length = u16::try_from(name.len()).unwrap_or(u16::MAX).to_be_bytes();
    // Zero is no creation; beyond that any will do, as no pid of the probe is ever seen.
    let creation = random().max(1).to_be_bytes();
    [b"N", &FLAGS.to_be_bytes()[..], &creation, &length, name].concat()
}

/// What the peer asks in return, and what it calls itself.
struct Challenge<'a> {
    number: u32,
    name: &'a [u8],
}

impl<'a> Challenge<'a> {
    fn read(message: &'a [u8]) -> Option<Self> {
        let rest = message.strip_prefix(b"N")?;
        let (_flags, rest) = rest.split_first_chunk::<8>()?;
        let (number, rest) = rest.split_first_chunk::<4>()?;
        let (_creation, rest) = rest.split_first_chunk::<4>()?;
        let (length, rest) = rest.split_first_chunk::<2>()?;
        // Later versions may add something behind the name.
        let name = rest.get(..usize::from(u16::from_be_bytes(*length)))?;
        Some(Self { number: u32::from_be_bytes(*number), name })
    }
}

fn challenge_reply(own_challenge: u32, digest: &[u8]) -> Vec<u8> {
    [b"r", &own_challenge.to_be_bytes()[..], digest].concat()
}

/// Proof of the cookie: MD5 of its characters and of the challenge in decimal.
fn digest(cookie: &Cookie, challenge: u32) -> [u8; 16] {
    Md5::new().chain_update(cookie.bytes()).chain_update(challenge.to_string()).finalize().into()
}

/// A number that the peer cannot foresee. The keys of [`RandomState`] come from the operating system.
fn random() -> u32 {
    (RandomState::new().hash_one(()) >> 32) as u32
}

async fn send<S: AsyncWrite + Unpin>(
    stream: &mut S,
    step: &str,
    message: &[u8],
    deadline: Deadline,
) -> Result<(), ReachFailure> {
    let length = u16::try_from(message.len()).map_err(|_| failed(step, "the message is too long".into()))?;
    let frame = [&length.to_be_bytes()[..], message].concat();
    deadline.io(stream.write_all(&frame)).await.map_err(|error| failed(step, words(&error)))
}

async fn receive<S: AsyncRead + Unpin>(stream: &mut S, deadline: Deadline) -> io::Result<Vec<u8>> {
    deadline
        .io(async {
            let mut length = [0; 2];
            stream.read_exact(&mut length).await?;
            let size = usize::from(u16::from_be_bytes(length));
            if size > MAX_MESSAGE {
                let reason = if length == TLS_ALERT {
                    "it answers with a TLS alert".to_owned()
                } else {
                    format!(
                        "it announces a message of {size} bytes, beginning with {}",
                        length.escape_ascii()
                    )
                };
                return Err(io::Error::new(io::ErrorKind::InvalidData, reason));
            }
            let mut message = vec![0; size];
            stream.read_exact(&mut message).await?;
            Ok(message)
        })
        .await
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use futures_util::future::join;
    use tokio::io::{DuplexStream, duplex};

    use super::*;

    const NODE: &str = "ejabberd@foo.bar";
    const OWN: &str = "easy_cluster_probe_1_0@hello.world";

    /// What the probe makes of a peer that is `script`.
    fn against<F: Future<Output = ()>>(script: impl FnOnce(DuplexStream) -> F) -> Result<(), ReachFailure> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(async {
            let (ours, theirs) = duplex(4096);
            let target = Target { node: NODE.into(), cookie: "secret".into() };
            let deadline = Deadline::after(Duration::from_secs(5));
            join(shake(ours, OWN, &target, deadline), script(theirs)).await.0
        })
    }

    async fn take(peer: &mut DuplexStream) -> Vec<u8> {
        receive(peer, Deadline::after(Duration::from_secs(5))).await.unwrap()
    }

    async fn give(peer: &mut DuplexStream, parts: &[&[u8]]) {
        send(peer, "", &parts.concat(), Deadline::after(Duration::from_secs(5))).await.unwrap();
    }

    /// Everything up to the challenge reply, which is returned.
    async fn up_to_the_reply(peer: &mut DuplexStream, status: &[u8], name: &str) -> Vec<u8> {
        take(peer).await;
        give(peer, &[b"s", status]).await;
        let length = u16::try_from(name.len()).unwrap().to_be_bytes();
        give(peer, &[b"N", &FLAGS.to_be_bytes(), &7_u32.to_be_bytes(), &[0; 4], &length, name.as_bytes()])
            .await;
        take(peer).await
    }

    fn step(outcome: &Result<(), ReachFailure>) -> &str {
        match outcome {
            Err(ReachFailure::HandshakeFailed { step, .. }) => step,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_peer_with_our_cookie_lets_us_in_and_sees_a_hidden_node_with_our_name() {
        for status in [&b"ok"[..], b"ok_simultaneous"] {
            let outcome = against(|mut peer| async move {
                let name = take(&mut peer).await;
                let (flags, rest) = name[1..].split_first_chunk::<8>().unwrap();
                // MANDATORY_DFLAGS_25, MANDATORY_DFLAGS_26 and the digest of the former, and no PUBLISHED.
                assert_eq!(u64::from_be_bytes(*flags), 0x4_0707_0f94);
                assert_eq!(rest[4..6], [0, u8::try_from(OWN.len()).unwrap()]);
                assert_eq!(&rest[6..], OWN.as_bytes());
                give(&mut peer, &[b"s", status]).await;
                let length = [0, u8::try_from(NODE.len()).unwrap()];
                let (flags, challenge) = (FLAGS.to_be_bytes(), 7_u32.to_be_bytes());
                give(&mut peer, &[b"N", &flags, &challenge, &[0; 4], &length, NODE.as_bytes(), b"later"])
                    .await;
                let reply = take(&mut peer).await;
                assert_eq!(reply[0], b'r');
                assert_eq!(reply[5..], digest(&"secret".into(), 7));
                let ours = u32::from_be_bytes(reply[1..5].try_into().unwrap());
                give(&mut peer, &[b"a", &digest(&"secret".into(), ours)]).await;
            });
            assert_eq!(outcome, Ok(()));
        }
    }

    #[test]
    fn the_digest_is_that_of_erlang() {
        // erlang:md5("secret" ++ "4294967295")
        let expected =
            [0x5d, 0xfd, 0x18, 0x1e, 0x69, 0xaa, 0x58, 0x7c, 0xc8, 0x12, 0xeb, 0x33, 0x3e, 0x65, 0x36, 0xb6];
        assert_eq!(digest(&"secret".into(), u32::MAX), expected);
    }

    #[test]
    fn a_status_that_is_not_ok_is_a_refusal_of_the_name() {
        for status in ["nok", "not_allowed", "alive"] {
            let outcome = against(|mut peer| async move {
                take(&mut peer).await;
                give(&mut peer, &[b"s", status.as_bytes()]).await;
            });
            assert_eq!(outcome, Err(ReachFailure::NameRefused { status: status.into() }));
        }
    }

    #[test]
    fn a_status_that_is_no_word_is_a_failed_handshake() {
        for status in [&b"snamed:\0\x01x\0\0\0\0"[..], b"s", b"", b"HTTP/1.1 400"] {
            let outcome = against(|mut peer| async move {
                take(&mut peer).await;
                give(&mut peer, &[status]).await;
            });
            assert_eq!(step(&outcome), "status", "{status:?}");
        }
    }

    #[test]
    fn a_peer_with_another_name_is_not_told_the_digest() {
        let outcome = against(|mut peer| async move {
            take(&mut peer).await;
            give(&mut peer, &[b"sok"]).await;
            give(&mut peer, &[b"N", &[0; 16], &[0, 3], b"x@y"]).await;
            assert_eq!(peer.read(&mut [0; 64]).await.unwrap(), 0);
        });
        assert_eq!(outcome, Err(ReachFailure::OtherName { name: "x@y".into() }));
    }

    #[test]
    fn a_challenge_that_is_cut_short_is_a_failed_handshake() {
        for challenge in [&b"N"[..], b"N\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x09abc", b"n\0\x05"] {
            let outcome = against(|mut peer| async move {
                take(&mut peer).await;
                give(&mut peer, &[b"sok"]).await;
                give(&mut peer, &[challenge]).await;
            });
            assert_eq!(step(&outcome), "challenge", "{challenge:?}");
        }
    }

    #[test]
    fn a_peer_that_closes_before_our_digest_does_not_mean_the_cookie() {
        let outcome = against(|mut peer| async move {
            take(&mut peer).await;
            give(&mut peer, &[b"sok"]).await;
        });
        assert_eq!(step(&outcome), "challenge");
    }

    #[test]
    fn a_peer_that_closes_at_our_digest_has_another_cookie() {
        let outcome = against(|mut peer| async move {
            up_to_the_reply(&mut peer, b"ok", NODE).await;
        });
        assert_eq!(outcome, Err(ReachFailure::WrongCookie));
    }

    #[test]
    fn a_peer_that_proves_another_cookie_has_another_cookie() {
        let outcome = against(|mut peer| async move {
            let reply = up_to_the_reply(&mut peer, b"ok", NODE).await;
            let ours = u32::from_be_bytes(reply[1..5].try_into().unwrap());
            give(&mut peer, &[b"a", &digest(&"other".into(), ours)]).await;
        });
        assert_eq!(outcome, Err(ReachFailure::WrongCookie));
    }

    #[test]
    fn an_acknowledgement_without_a_digest_does_not_mean_the_cookie() {
        for ack in [&b"a"[..], b"ashort", b"x0123456789abcdef"] {
            let outcome = against(|mut peer| async move {
                up_to_the_reply(&mut peer, b"ok", NODE).await;
                give(&mut peer, &[ack]).await;
            });
            assert_eq!(step(&outcome), "challenge_ack", "{ack:?}");
        }
    }

    #[test]
    fn an_alert_of_tls_is_called_by_its_name() {
        let outcome = against(|mut peer| async move {
            take(&mut peer).await;
            peer.write_all(&[21, 3, 1, 0, 2, 2, 70]).await.unwrap();
        });
        assert_eq!(outcome, Err(failed("status", "it answers with a TLS alert".into())));
    }
}
