//! The distribution handshake, version 6 (OTP 23 and later), from the side that connects.
//!
//! `send_name` → ← `status` ← `challenge` `challenge_reply` → ← `challenge_ack`, each with a length of two bytes.
//! <https://www.erlang.org/doc/apps/erts/erl_dist_protocol.html#distribution-handshake>

use std::hash::{BuildHasher, RandomState};
use std::io;

use md5::{Digest, Md5};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};

use super::Target;
use super::cookie::Cookie;
use super::deadline::{Deadline, is_closed, words};
use super::hear::{Unheard, fill, quote};
use super::tls;
use easy_cluster::model::reach::{Reach, ReachFailure, Release, Step};

/// What every peer needs since OTP 26, by the names that `dist_util` prints.
const MANDATORY: [(u64, &str); 13] = [
    (0x4, "EXTENDED_REFERENCES"),
    (0x10, "FUN_TAGS"),
    (0x80, "NEW_FUN_TAGS"),
    (0x100, "EXTENDED_PIDS_PORTS"),
    (0x200, "EXPORT_PTR_TAG"),
    (0x400, "BIT_BINARIES"),
    (0x800, "NEW_FLOATS"),
    (0x1_0000, "UTF8_ATOMS"),
    (0x2_0000, "MAP_TAG"),
    (0x4_0000, "BIG_CREATION"),
    (HANDSHAKE_23, "HANDSHAKE_23"),
    (UNLINK_ID, "UNLINK_ID"),
    (V4_NC, "V4_NC"),
];
const HANDSHAKE_23: u64 = 0x100_0000;
const UNLINK_ID: u64 = 0x200_0000;
const V4_NC: u64 = 0x4 << 32;
/// Stands for the mandatory ones of OTP 25, which are all but these two, and is sent since then.
const MANDATORY_25_DIGEST: u64 = 0x400_0000;
/// Since OTP 28.
const ALTACT_SIG: u64 = 0x20 << 32;

/// What a peer requires, and nothing that would make it send more. Without `DFLAG_PUBLISHED` (1) the probe is a
/// hidden node, which the peer's `nodes()` and `global` do not see.
const FLAGS: u64 = {
    let mut flags = MANDATORY_25_DIGEST;
    let mut rest: &[(u64, &str)] = &MANDATORY;
    while let [(flag, _), others @ ..] = rest {
        flags |= *flag;
        rest = others;
    }
    flags
};

/// No message of the handshake is longer: 19 bytes and a name of 255 characters.
const MAX_MESSAGE: usize = 2048;
/// The first step: no peer has said anything before it.
pub(super) const FIRST_STEP: &str = "status";

/// A peer that has let a name in.
pub(super) struct Peer<S> {
    stream: BufReader<S>,
}

/// Says `own_name` and hears whether the peer lets it in; it then awaits [`Peer::introduce`]. A peer that already
/// knows such a node is told to stay with that one. `address` is for the evidence.
pub(super) async fn greet<S: AsyncRead + AsyncWrite + Unpin>(
    stream: S,
    own_name: &str,
    address: &str,
    deadline: Deadline,
) -> Result<Peer<S>, ReachFailure> {
    let mut peer = Peer { stream: BufReader::with_capacity(MAX_MESSAGE, stream) };
    peer.send(FIRST_STEP, &send_name(own_name), deadline).await?;
    let message = match peer.receive(deadline).await {
        Ok(message) => message,
        Err(unheard) => return Err(peer.unheard_at_first(&unheard, address)),
    };
    match message.strip_prefix(b"s") {
        Some(b"ok" | b"ok_simultaneous") => Ok(peer),
        Some(status) if is_word(status) => {
            if status == b"alive" {
                // It ends the handshake either way.
                let _told = peer.send(FIRST_STEP, b"false", deadline).await;
            }
            Err(ReachFailure::NameRefused { status: String::from_utf8_lossy(status).into_owned() })
        }
        Some(status) if status.starts_with(b"named:") => {
            Err(failed(FIRST_STEP, "it gives a name to a node that has one".into()))
        }
        Some(_) | None => Err(not_a_node(address, &message)),
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Peer<S> {
    /// Breaks the handshake off, and waits until the peer has noticed: as long as it has not, a real connection of the same
    /// name is one too many to it.
    pub(super) async fn leave(mut self, deadline: Deadline) {
        let mut rest = [0; 64];
        let _hangs_up = deadline.io(self.stream.shutdown()).await;
        while let Ok(1..) = deadline.io(self.stream.read(&mut rest)).await {}
    }

    /// Hears what the peer calls itself and what it can do. The challenge that it sets is for [`Self::prove`].
    pub(super) async fn introduce(
        &mut self,
        target: &Target,
        deadline: Deadline,
        reach: &mut Reach,
    ) -> Result<u32, ReachFailure> {
        reach.steps.push(Step::Status);
        let step = "challenge";
        let message = self.receive(deadline).await.map_err(|unheard| failed(step, unheard.words()))?;
        let Some(challenge) = Challenge::read(&message) else {
            return Err(failed(step, unexpected(&message)));
        };
        if challenge.name != target.node.as_str().as_bytes() {
            return Err(ReachFailure::OtherName { name: printable(challenge.name) });
        }
        reach.release = release(challenge.flags);
        let missing = missing(challenge.flags);
        if !missing.is_empty() {
            return Err(ReachFailure::Incompatible { missing: missing.join(", ") });
        }
        reach.steps.push(Step::Challenge);
        Ok(challenge.number)
    }

    /// Proves the cookie, has the peer prove it, and closes.
    pub(super) async fn prove(
        mut self,
        challenge: u32,
        target: &Target,
        deadline: Deadline,
        reach: &mut Reach,
    ) -> Result<(), ReachFailure> {
        let own_challenge = random();
        let reply = challenge_reply(own_challenge, &digest(&target.cookie, challenge));
        self.send("challenge_reply", &reply, deadline).await?;
        let step = "challenge_ack";
        let message = match self.receive(deadline).await {
            Ok(message) => message,
            Err(unheard) if is_closed(&unheard.error) => return Err(ReachFailure::WrongCookie),
            Err(unheard) => return Err(failed(step, unheard.words())),
        };
        match message.strip_prefix(b"a") {
            Some(theirs) if theirs == digest(&target.cookie, own_challenge) => {
                reach.steps.push(Step::Cookie);
                Ok(())
            }
            Some(theirs) if theirs.len() == 16 => Err(ReachFailure::WrongCookie),
            Some(_) | None => Err(failed(step, unexpected(&message))),
        }
    }

    async fn send(&mut self, step: &str, message: &[u8], deadline: Deadline) -> Result<(), ReachFailure> {
        let length =
            u16::try_from(message.len()).map_err(|_| failed(step, "the message is too long".into()))?;
        let frame = [&length.to_be_bytes()[..], message].concat();
        deadline.io(self.stream.write_all(&frame)).await.map_err(|error| failed(step, words(&error)))
    }

    async fn receive(&mut self, deadline: Deadline) -> Result<Vec<u8>, Unheard> {
        let mut heard = Vec::new();
        match deadline.io(self.frame(&mut heard)).await {
            Ok(()) => Ok(heard.split_off(2)),
            Err(error) => Err(Unheard { heard, error }),
        }
    }

    async fn frame(&mut self, heard: &mut Vec<u8>) -> io::Result<()> {
        fill(&mut self.stream, heard, 2).await?;
        let size = heard.first_chunk::<2>().map_or(0, |length| usize::from(u16::from_be_bytes(*length)));
        if size > MAX_MESSAGE {
            return Err(io::ErrorKind::InvalidData.into());
        }
        fill(&mut self.stream, heard, 2 + size).await
    }

    /// What it means that the very first message did not come.
    fn unheard_at_first(&self, unheard: &Unheard, address: &str) -> ReachFailure {
        if tls::is_record(&unheard.heard) {
            ReachFailure::TlsRequired { address: address.into() }
        } else if unheard.error.kind() == io::ErrorKind::InvalidData {
            not_a_node(address, &[&unheard.heard, self.stream.buffer()].concat())
        } else if unheard.is_silence() {
            ReachFailure::PeerSilent { address: address.into() }
        } else {
            failed(FIRST_STEP, unheard.words())
        }
    }
}

fn failed(step: &str, reason: String) -> ReachFailure {
    ReachFailure::HandshakeFailed { step: step.into(), reason }
}

fn not_a_node(address: &str, heard: &[u8]) -> ReachFailure {
    ReachFailure::NotANode { address: address.into(), heard: quote(heard) }
}

fn unexpected(message: &[u8]) -> String {
    format!("an unexpected message of {} bytes: {}", message.len(), quote(message))
}

/// A name that a peer gives itself, fit to be printed.
fn printable(name: &[u8]) -> String {
    String::from_utf8_lossy(name).chars().take(255).map(|c| if c.is_control() { '?' } else { c }).collect()
}

/// A status is a word; anything else that begins with an `s` is an accident.
fn is_word(status: &[u8]) -> bool {
    (1..=32).contains(&status.len()) && status.iter().all(|byte| byte.is_ascii_lowercase() || *byte == b'_')
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
    flags: u64,
    number: u32,
    name: &'a [u8],
}

impl<'a> Challenge<'a> {
    fn read(message: &'a [u8]) -> Option<Self> {
        let rest = message.strip_prefix(b"N")?;
        let (flags, rest) = rest.split_first_chunk::<8>()?;
        let (number, rest) = rest.split_first_chunk::<4>()?;
        let (_creation, rest) = rest.split_first_chunk::<4>()?;
        let (length, rest) = rest.split_first_chunk::<2>()?;
        // Later versions may add something behind the name.
        let name = rest.get(..usize::from(u16::from_be_bytes(*length)))?;
        Some(Self { flags: u64::from_be_bytes(*flags), number: u32::from_be_bytes(*number), name })
    }
}

/// The names of mandatory flags that are not there.
fn missing(flags: u64) -> Vec<&'static str> {
    let implied = |flag| flags & MANDATORY_25_DIGEST != 0 && flag != UNLINK_ID && flag != V4_NC;
    let lacks = |flag| flags & flag == 0 && !implied(flag);
    MANDATORY.iter().filter(|(flag, _)| lacks(*flag)).map(|(_, name)| *name).collect()
}

/// The releases that send these flags. Nothing tells OTP 25, 26 and 27 apart.
fn release(flags: u64) -> Option<Release> {
    let has = |flag| flags & flag != 0;
    if has(ALTACT_SIG) {
        Some(Release { from: 28, to: None })
    } else if has(MANDATORY_25_DIGEST) {
        Some(Release { from: 25, to: Some(27) })
    } else if has(V4_NC) {
        Some(Release { from: 24, to: Some(24) })
    } else if has(HANDSHAKE_23) {
        Some(Release { from: 23, to: Some(23) })
    } else {
        None
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use futures_util::future::join;
    use tokio::io::{AsyncReadExt, DuplexStream, duplex};

    use super::*;

    const NODE: &str = "ejabberd@foo.bar";
    const OWN: &str = "easy_cluster_probe_1@hello.world";
    const ADDRESS: &str = "192.0.2.2:4370";
    /// Within it every peer of these tests has answered, where one does.
    const PLENTY: Duration = Duration::from_secs(5);
    const SHORT: Duration = Duration::from_millis(50);

    /// What the probe makes of a peer that is `script`.
    fn against<F: Future>(script: impl FnOnce(DuplexStream) -> F) -> (Result<(), ReachFailure>, Reach) {
        within(PLENTY, script)
    }

    fn within<F: Future>(
        limit: Duration,
        script: impl FnOnce(DuplexStream) -> F,
    ) -> (Result<(), ReachFailure>, Reach) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let (ours, theirs) = duplex(4096);
        let target = Target { node: NODE.into(), cookie: "secret".into() };
        let mut reach = Reach::new(NODE.into(), "ejabberd@hello.world".into());
        let outcome = runtime.block_on(async {
            let deadline = Deadline::after(limit);
            let probe = async {
                let mut peer = greet(ours, OWN, ADDRESS, deadline).await?;
                let challenge = peer.introduce(&target, deadline, &mut reach).await?;
                peer.prove(challenge, &target, deadline, &mut reach).await
            };
            join(probe, script(theirs)).await.0
        });
        (outcome, reach)
    }

    async fn take(peer: &mut DuplexStream) -> Vec<u8> {
        let size = peer.read_u16().await.unwrap();
        let mut message = vec![0; usize::from(size)];
        peer.read_exact(&mut message).await.unwrap();
        message
    }

    async fn give(peer: &mut DuplexStream, parts: &[&[u8]]) {
        let message = parts.concat();
        peer.write_u16(u16::try_from(message.len()).unwrap()).await.unwrap();
        peer.write_all(&message).await.unwrap();
    }

    async fn give_challenge(peer: &mut DuplexStream, flags: u64, name: &[u8]) {
        let length = u16::try_from(name.len()).unwrap().to_be_bytes();
        give(peer, &[b"N", &flags.to_be_bytes(), &7_u32.to_be_bytes(), &[0; 4], &length, name, b"later"])
            .await;
    }

    /// Everything up to the challenge reply, which is returned.
    async fn up_to_the_reply(peer: &mut DuplexStream, status: &[u8]) -> Vec<u8> {
        take(peer).await;
        give(peer, &[b"s", status]).await;
        give_challenge(peer, FLAGS, NODE.as_bytes()).await;
        take(peer).await
    }

    fn failed_step(outcome: &Result<(), ReachFailure>) -> &str {
        match outcome {
            Err(ReachFailure::HandshakeFailed { step, .. }) => step,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_peer_with_our_cookie_lets_us_in_and_sees_a_hidden_node_with_our_name() {
        for status in [&b"ok"[..], b"ok_simultaneous"] {
            let (outcome, reach) = against(|mut peer| async move {
                let name = take(&mut peer).await;
                let (flags, rest) = name[1..].split_first_chunk::<8>().unwrap();
                // MANDATORY_DFLAGS_25, MANDATORY_DFLAGS_26 and the digest of the former, and no PUBLISHED.
                assert_eq!(u64::from_be_bytes(*flags), 0x4_0707_0f94);
                assert_eq!(rest[4..6], [0, u8::try_from(OWN.len()).unwrap()]);
                assert_eq!(&rest[6..], OWN.as_bytes());
                give(&mut peer, &[b"s", status]).await;
                give_challenge(&mut peer, FLAGS, NODE.as_bytes()).await;
                let reply = take(&mut peer).await;
                assert_eq!(reply[0], b'r');
                assert_eq!(reply[5..], digest(&"secret".into(), 7));
                let ours = u32::from_be_bytes(reply[1..5].try_into().unwrap());
                give(&mut peer, &[b"a", &digest(&"secret".into(), ours)]).await;
            });
            assert_eq!(outcome, Ok(()));
            assert_eq!(reach.steps, [Step::Status, Step::Challenge, Step::Cookie]);
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
            let (outcome, _) = against(|mut peer| async move {
                take(&mut peer).await;
                give(&mut peer, &[b"s", status.as_bytes()]).await;
            });
            assert_eq!(outcome, Err(ReachFailure::NameRefused { status: status.into() }));
        }
    }

    #[test]
    fn a_peer_that_knows_our_name_is_told_to_keep_the_node_it_has() {
        let (outcome, _) = against(|mut peer| async move {
            take(&mut peer).await;
            give(&mut peer, &[b"salive"]).await;
            assert_eq!(take(&mut peer).await, b"false");
        });
        assert_eq!(outcome, Err(ReachFailure::NameRefused { status: "alive".into() }));
    }

    #[test]
    fn a_peer_that_renames_us_breaks_the_rules() {
        let (outcome, _) = against(|mut peer| async move {
            take(&mut peer).await;
            give(&mut peer, &[b"snamed:\0\x01x\0\0\0\0"]).await;
        });
        assert_eq!(failed_step(&outcome), "status");
    }

    #[test]
    fn what_begins_with_no_status_is_not_a_node() {
        for (message, heard) in [
            (&b"HTTP/1.1 400"[..], r#""HTTP/1.1 400""#),
            (b"s", r#""s""#),
            (b"s\xff", r#""s\xff""#),
            (b"", r#""""#),
        ] {
            let (outcome, _) = against(|mut peer| async move {
                take(&mut peer).await;
                give(&mut peer, &[message]).await;
            });
            let address = ADDRESS.into();
            assert_eq!(outcome, Err(ReachFailure::NotANode { address, heard: heard.into() }));
        }
    }

    #[test]
    fn a_banner_is_not_a_node_and_is_quoted() {
        let (outcome, _) = against(|mut peer| async move {
            take(&mut peer).await;
            peer.write_all(b"SSH-2.0-OpenSSH_9.2\r\n").await.unwrap();
        });
        let heard = r#""SSH-2.0-OpenSSH_9.2\r\n""#.into();
        assert_eq!(outcome, Err(ReachFailure::NotANode { address: ADDRESS.into(), heard }));
    }

    #[test]
    fn a_peer_that_says_nothing_is_silent() {
        let (outcome, _) = within(SHORT, |peer| async move { peer });
        assert_eq!(outcome, Err(ReachFailure::PeerSilent { address: ADDRESS.into() }));
    }

    #[test]
    fn half_a_status_is_a_failed_handshake_that_tells_what_came() {
        let (outcome, _) = within(SHORT, |mut peer| async move {
            peer.write_all(&[0, 3, b's']).await.unwrap();
            peer
        });
        let Err(ReachFailure::HandshakeFailed { step, reason }) = outcome else { panic!("{outcome:?}") };
        assert_eq!(step, "status");
        assert_eq!(reason, r#"no answer in time after 3 bytes: "\x00\x03s""#);
    }

    #[test]
    fn a_peer_with_another_name_is_not_told_the_digest() {
        let (outcome, _) = against(|mut peer| async move {
            take(&mut peer).await;
            give(&mut peer, &[b"sok"]).await;
            give_challenge(&mut peer, FLAGS, b"x@y\x1b").await;
            assert_eq!(peer.read(&mut [0; 64]).await.unwrap(), 0);
        });
        assert_eq!(outcome, Err(ReachFailure::OtherName { name: "x@y?".into() }));
    }

    #[test]
    fn a_peer_that_lacks_a_mandatory_flag_is_incompatible() {
        const MAP_TAG: u64 = 0x2_0000;
        for (flags, lacks) in [
            (FLAGS & !MANDATORY_25_DIGEST & !MAP_TAG, "MAP_TAG"),
            (FLAGS & !UNLINK_ID & !V4_NC, "UNLINK_ID, V4_NC"),
        ] {
            let (outcome, _) = against(|mut peer| async move {
                take(&mut peer).await;
                give(&mut peer, &[b"sok"]).await;
                give_challenge(&mut peer, flags, NODE.as_bytes()).await;
                assert_eq!(peer.read(&mut [0; 64]).await.unwrap(), 0);
            });
            assert_eq!(outcome, Err(ReachFailure::Incompatible { missing: lacks.into() }));
        }
    }

    #[test]
    fn one_flag_stands_for_those_that_otp_25_demands() {
        assert_eq!(missing(MANDATORY_25_DIGEST | UNLINK_ID | V4_NC), [] as [&str; 0]);
        assert_eq!(missing(0).len(), MANDATORY.len());
    }

    #[test]
    fn flags_tell_releases() {
        let range = |flags| release(flags).map(|Release { from, to }| (from, to));
        // What an installed OTP 25 prints for element(2, erts_internal:get_dflags()).
        assert_eq!(range(0xD_07DF_7FBC), Some((25, Some(27))));
        assert_eq!(range(0xD_07DF_7FBC | ALTACT_SIG), Some((28, None)));
        assert_eq!(range(V4_NC | HANDSHAKE_23), Some((24, Some(24))));
        assert_eq!(range(HANDSHAKE_23), Some((23, Some(23))));
        assert_eq!(range(0), None);
    }

    #[test]
    fn a_challenge_that_is_cut_short_is_a_failed_handshake() {
        for challenge in [&b"N"[..], b"N\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x09abc", b"n\0\x05"] {
            let (outcome, _) = against(|mut peer| async move {
                take(&mut peer).await;
                give(&mut peer, &[b"sok"]).await;
                give(&mut peer, &[challenge]).await;
            });
            assert_eq!(failed_step(&outcome), "challenge", "{challenge:?}");
        }
    }

    #[test]
    fn a_peer_that_closes_before_our_digest_does_not_mean_the_cookie() {
        let (outcome, reach) = against(|mut peer| async move {
            take(&mut peer).await;
            give(&mut peer, &[b"sok"]).await;
        });
        assert_eq!(failed_step(&outcome), "challenge");
        assert_eq!(reach.steps, [Step::Status]);
    }

    #[test]
    fn a_peer_that_closes_at_our_digest_has_another_cookie() {
        let (outcome, reach) = against(|mut peer| async move {
            up_to_the_reply(&mut peer, b"ok").await;
        });
        assert_eq!(outcome, Err(ReachFailure::WrongCookie));
        assert_eq!(reach.steps, [Step::Status, Step::Challenge]);
    }

    #[test]
    fn a_peer_that_proves_another_cookie_has_another_cookie() {
        let (outcome, _) = against(|mut peer| async move {
            let reply = up_to_the_reply(&mut peer, b"ok").await;
            let ours = u32::from_be_bytes(reply[1..5].try_into().unwrap());
            give(&mut peer, &[b"a", &digest(&"other".into(), ours)]).await;
        });
        assert_eq!(outcome, Err(ReachFailure::WrongCookie));
    }

    #[test]
    fn an_acknowledgement_without_a_digest_does_not_mean_the_cookie() {
        for ack in [&b"a"[..], b"ashort", b"x0123456789abcdef"] {
            let (outcome, _) = against(|mut peer| async move {
                up_to_the_reply(&mut peer, b"ok").await;
                give(&mut peer, &[ack]).await;
            });
            assert_eq!(failed_step(&outcome), "challenge_ack", "{ack:?}");
        }
    }

    #[test]
    fn an_alert_of_tls_wants_tls() {
        let (outcome, _) = against(|mut peer| async move {
            take(&mut peer).await;
            peer.write_all(&[21, 3, 1, 0, 2, 2, 70]).await.unwrap();
        });
        assert_eq!(outcome, Err(ReachFailure::TlsRequired { address: ADDRESS.into() }));
    }
}
