//! One moment by which everything has ended.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::{Instant, sleep, sleep_until, timeout_at};

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

    /// A deadline for something that may take one of `parts` equal parts of what is left.
    pub(super) fn part(self, parts: u32) -> Self {
        Self::after(self.0.saturating_duration_since(Instant::now()) / parts.max(1))
    }

    /// Waits until it has come.
    pub(super) async fn passed(self) {
        sleep_until(self.0).await;
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

/// Whether packets vanish without a word: the deadline came, or the operating system's own.
pub(super) fn is_silence(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::TimedOut
}

/// Whether the other side ended the connection.
pub(super) fn is_closed(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::UnexpectedEof
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionAborted
            | io::ErrorKind::BrokenPipe
    )
}

/// An error as the operator reads it.
pub(super) fn words(error: &io::Error) -> String {
    if is_silence(error) {
        "no answer in time".into()
    } else if is_closed(error) {
        "it closed the connection".into()
    } else if error.kind() == io::ErrorKind::ConnectionRefused {
        "the connection was refused".into()
    } else {
        error.to_string()
    }
}
