//! One moment by which everything has ended.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::{Instant, sleep, timeout_at};

/// Nobody waits longer, and adding it to the clock cannot overflow.
const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);
/// How soon to ask again for a file descriptor that other probes hold.
const DESCRIPTOR_PAUSE: Duration = Duration::from_millis(10);

/// When to give up.
#[derive(Debug, Clone, Copy)]
pub(super) struct Deadline(Instant);

impl Deadline {
    pub(super) fn after(time: Duration) -> Self {
        Self(Instant::now() + time.min(LONGEST))
    }

    /// A deadline for something that may take a quarter of what is left.
    pub(super) fn quarter(self) -> Self {
        Self::after(self.0.saturating_duration_since(Instant::now()) / 4)
    }

    /// The outcome of `operation`, or [`io::ErrorKind::TimedOut`].
    pub(super) async fn io<T>(self, operation: impl Future<Output = io::Result<T>>) -> io::Result<T> {
        timeout_at(self.0, operation).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
    }

    /// A connection. While this process is out of file descriptors it waits for one: that says nothing about the
    /// peer.
    pub(super) async fn connect(self, address: SocketAddr) -> io::Result<TcpStream> {
        loop {
            match self.io(TcpStream::connect(address)).await {
                Err(error) if is_out_of_descriptors(&error) && Instant::now() + DESCRIPTOR_PAUSE < self.0 => {
                    sleep(DESCRIPTOR_PAUSE).await;
                }
                outcome => return outcome,
            }
        }
    }
}

/// `ENFILE` and `EMFILE`, which have no [`io::ErrorKind`].
fn is_out_of_descriptors(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(23 | 24))
}

/// An error as the operator reads it.
pub(super) fn words(error: &io::Error) -> String {
    if error.kind() == io::ErrorKind::TimedOut {
        "timeout".into()
    } else if error.kind() == io::ErrorKind::UnexpectedEof {
        "it closed the connection".into()
    } else {
        error.to_string()
    }
}
