//! The distribution port: the connection, TLS or not, the handshake, and whether this node's own name is free there.

use std::net::SocketAddr;
use std::pin::pin;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Instant;

use futures_util::future::{Either, select};
use tokio::net::TcpStream;

use super::deadline::{Deadline, is_silence, words};
use super::handshake::{FIRST_STEP, Peer, greet};
use super::{ProbeRequest, Target, micros, tls};
use easy_cluster::model::name::NodeName;
use easy_cluster::model::reach::{Reach, ReachFailure, Step};

/// Names that the probe goes by, all of this host's probes together. Each is an atom that a peer never frees.
const OWN_NAMES: u32 = 1_000;
/// Another probe of this host may go by the same name at the same moment, though hardly three times running.
const NAME_TRIES: u32 = 3;

/// How often this node's own name is said to a peer that is connected with such a node, and which part of the time that is left is waited
/// before.
const OWN_NAME_TRIES: u32 = 8;
const PATIENCE: u32 = 50;

/// The status for the name of a node that the peer is connected with.
const ALIVE: &str = "alive";
/// The status for the name of a node that the peer is about to be connected with.
const UNDER_WAY: &str = "nok";

/// What is asked about, and until when.
pub(super) struct Question<'a> {
    pub(super) address: SocketAddr,
    pub(super) target: &'a Target,
    pub(super) request: &'a ProbeRequest,
    pub(super) deadline: Deadline,
}

/// Goes on from the open question where a node listens.
pub(super) async fn examine(question: &Question<'_>, reach: &mut Reach) -> Result<(), ReachFailure> {
    reach.port = Some(question.address.port());
    let start = Instant::now();
    let stream = connect(question).await?;
    reach.round_trip = Some(micros(start));
    if question.request.tls {
        drop(stream);
        return expect_tls(question, reach).await;
    }
    let outcome = match greet_as_the_probe(stream, question).await {
        Ok(peer) => prove(peer, question, reach).await,
        Err(failure) => Err(failure),
    };
    if matches!(&outcome, Ok(()) | Err(ReachFailure::NameRefused { .. })) && own_name_is_to_be_asked(question)
    {
        return as_this_node(outcome, question, reach).await;
    }
    outcome
}

async fn connect(question: &Question<'_>) -> Result<TcpStream, ReachFailure> {
    question.deadline.connect(question.address).await.map_err(|error| {
        let address = question.address.to_string();
        if is_silence(&error) {
            ReachFailure::DistributionPortSilent { address }
        } else {
            ReachFailure::DistributionPortClosed { address, reason: words(&error) }
        }
    })
}

async fn prove(
    mut peer: Peer<TcpStream>,
    question: &Question<'_>,
    reach: &mut Reach,
) -> Result<(), ReachFailure> {
    let Question { target, deadline, .. } = *question;
    let challenge = peer.introduce(target, deadline, reach).await?;
    peer.prove(challenge, target, deadline, reach).await
}

/// The greeting under a name of the probe, until one is free.
async fn greet_as_the_probe(
    mut stream: TcpStream,
    question: &Question<'_>,
) -> Result<Peer<TcpStream>, ReachFailure> {
    for _try in 0..NAME_TRIES {
        match greet_unless_tls(stream, &own_name(&question.request.here), question).await {
            Err(ReachFailure::NameRefused { status }) if is_taken(&status) => {
                stream = connect(question).await?;
            }
            outcome => return outcome,
        }
    }
    let reason = "other probes go by the names that this one tried".into();
    Err(ReachFailure::HandshakeFailed { step: FIRST_STEP.into(), reason })
}

/// A node that awaits TLS is silent, hangs up or sends an alert when it hears a name: what does not answer the
/// greeting is greeted in TLS as well.
async fn greet_unless_tls(
    stream: TcpStream,
    own_name: &str,
    question: &Question<'_>,
) -> Result<Peer<TcpStream>, ReachFailure> {
    let Question { address, deadline, .. } = *question;
    let shown = address.to_string();
    let greeting = pin!(greet(stream, own_name, &shown, deadline));
    let after_a_while = pin!(async {
        deadline.part(4).passed().await;
        tls::answers(address, deadline).await
    });
    let wants_tls = || ReachFailure::TlsRequired { address: address.to_string() };
    match select(greeting, after_a_while).await {
        Either::Left((Err(failure), _)) if is_mute(&failure) && tls::answers(address, deadline).await => {
            Err(wants_tls())
        }
        Either::Left((outcome, _)) => outcome,
        Either::Right((true, _)) => Err(wants_tls()),
        Either::Right((false, greeting)) => greeting.await,
    }
}

/// Whether the peer may just not have understood.
fn is_mute(failure: &ReachFailure) -> bool {
    matches!(failure, ReachFailure::HandshakeFailed { step, .. } if step == FIRST_STEP)
}

/// As this node itself uses TLS, the port should; the handshake inside would take this node's certificates.
async fn expect_tls(question: &Question<'_>, reach: &mut Reach) -> Result<(), ReachFailure> {
    let Question { address, deadline, request, .. } = *question;
    if tls::answers(address, deadline.part(2)).await {
        reach.tls = true;
        return Ok(());
    }
    let stream = connect(question).await?;
    match greet(stream, &own_name(&request.here), &address.to_string(), deadline).await {
        Ok(_) | Err(ReachFailure::NameRefused { .. }) => {
            Err(ReachFailure::TlsMissing { address: address.to_string() })
        }
        Err(ReachFailure::TlsRequired { .. }) => {
            reach.tls = true;
            Ok(())
        }
        Err(failure) => Err(failure),
    }
}

fn own_name_is_to_be_asked(question: &Question<'_>) -> bool {
    let ProbeRequest { here, connected, .. } = question.request;
    let node = &question.target.node;
    here.as_str() != "nonode@nohost" && node != here && !connected.contains(node)
}

/// Says this node's own name, which may be another's there, or be let in where the probe is not. The handshake is left
/// before its end: the peer never sees a connection of that name.
async fn as_this_node(
    as_the_probe: Result<(), ReachFailure>,
    question: &Question<'_>,
    reach: &mut Reach,
) -> Result<(), ReachFailure> {
    let Question { target, deadline, .. } = *question;
    match greet_by_own_name(question).await {
        Ok(mut peer) => {
            let known = match as_the_probe {
                Ok(()) => Ok(()),
                Err(_) => peer.introduce(target, deadline, reach).await.map(|_challenge| ()),
            };
            peer.leave(deadline.part(2)).await;
            known?;
            reach.steps.push(Step::Name);
            Ok(())
        }
        Err(ReachFailure::NameRefused { status }) if status == ALIVE => {
            Err(ReachFailure::DuplicateName { status })
        }
        // A connection of that name is being made just now, as by this node itself.
        Err(ReachFailure::NameRefused { status }) if status == UNDER_WAY => as_the_probe,
        Err(refused @ ReachFailure::NameRefused { .. }) => Err(refused),
        Err(_says_nothing_of_the_name) => as_the_probe,
    }
}

/// A connection of that name may be this node's own, made or closed just now, as while the other one looks at this node: only a name
/// that stays taken is another's.
async fn greet_by_own_name(question: &Question<'_>) -> Result<Peer<TcpStream>, ReachFailure> {
    let Question { address, request, deadline, .. } = *question;
    for _try in 1..OWN_NAME_TRIES {
        let stream = connect(question).await?;
        match greet(stream, request.here.as_str(), &address.to_string(), deadline).await {
            Err(ReachFailure::NameRefused { status }) if status == ALIVE => {
                deadline.part(PATIENCE).passed().await;
            }
            outcome => return outcome,
        }
    }
    greet(connect(question).await?, request.here.as_str(), &address.to_string(), deadline).await
}

fn is_taken(status: &str) -> bool {
    matches!(status, ALIVE | UNDER_WAY)
}

/// A name on the host and in the mode of names of the node that asks.
fn own_name(here: &NodeName) -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    // Processes start far from each other.
    let start = std::process::id().wrapping_mul(271);
    let number = start.wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed)) % OWN_NAMES;
    format!("easy_cluster_probe_{number}@{}", here.host())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn own_names_are_few_and_stay_in_the_mode_of_the_caller() {
        let here = NodeName::from("ejabberd@hello.world");
        let names: BTreeSet<String> = (0..3 * OWN_NAMES).map(|_| own_name(&here)).collect();
        assert_eq!(names.len(), 1_000);
        assert!(names.iter().all(|n| n.starts_with("easy_cluster_probe_") && n.ends_with("@hello.world")));
        assert!(own_name(&"ejabberd@hello".into()).ends_with("@hello"));
    }
}
