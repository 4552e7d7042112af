//! The decoders of the probe, for a fuzzer: a peer that says `bytes` and then leaves.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, join, sink};
use tokio::runtime::Builder;

use super::deadline::Deadline;
use super::{Target, epmd, handshake};
use easy_cluster::model::reach::{Reach, ReachFailure, Registered};

/// How long a peer that is all in memory may take.
const LIMIT: Duration = Duration::from_secs(1);

/// What a handshake with such a peer comes to.
#[must_use]
pub fn shake(bytes: &[u8]) -> Option<Reach> {
    let target = Target { node: "a@b.c".into(), cookie: "cookie".into() };
    let deadline = Deadline::after(LIMIT);
    blocking(async {
        let mut reach = Reach::new(target.node.clone(), "d@e.f".into());
        let outcome = async {
            let mut peer = handshake::greet(saying(bytes), "d@e.f", "192.0.2.1:4370", deadline).await?;
            let challenge = peer.introduce(&target, deadline, &mut reach).await?;
            peer.prove(challenge, &target, deadline, &mut reach).await
        };
        let failure = outcome.await.err();
        Reach { failure, ..reach }
    })
}

/// The port of a node, as such an epmd gives it.
#[must_use]
pub fn epmd_port(bytes: &[u8]) -> Option<Result<Option<u16>, ReachFailure>> {
    let epmd = SocketAddr::from((Ipv4Addr::LOCALHOST, 4369));
    blocking(async {
        let entry = epmd::port_please(&mut saying(bytes), epmd, "a", Deadline::after(LIMIT)).await;
        entry.map(|known| known.map(|entry| entry.port))
    })
}

/// The names that such an epmd knows.
#[must_use]
pub fn epmd_names(bytes: &[u8]) -> Option<Vec<Registered>> {
    blocking(async { epmd::list(saying(bytes), Deadline::after(LIMIT)).await })
}

fn saying(bytes: &[u8]) -> impl AsyncRead + AsyncWrite + Unpin {
    join(bytes, sink())
}

fn blocking<T>(work: impl Future<Output = T>) -> Option<T> {
    Builder::new_current_thread().enable_time().build().ok().map(|runtime| runtime.block_on(work))
}
