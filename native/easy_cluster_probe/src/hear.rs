//! Listening to something that may say anything, and for how long it likes.

use std::io;

use tokio::io::{AsyncRead, AsyncReadExt};

use super::deadline::{is_silence, words};

/// A banner is recognised by its first words.
const QUOTED: usize = 40;

/// What has come of a message that has not come whole.
#[derive(Debug)]
pub(super) struct Unheard {
    pub(super) heard: Vec<u8>,
    pub(super) error: io::Error,
}

impl Unheard {
    /// Not a byte came in time.
    pub(super) fn is_silence(&self) -> bool {
        self.heard.is_empty() && is_silence(&self.error)
    }

    /// As the operator reads it.
    pub(super) fn words(&self) -> String {
        match self.heard.len() {
            0 => words(&self.error),
            bytes => format!("{} after {bytes} bytes: {}", words(&self.error), quote(&self.heard)),
        }
    }
}

/// Reads on until `heard` has `size` bytes. What came before a failure stays in `heard`.
pub(super) async fn fill<R: AsyncRead + Unpin>(
    reader: &mut R,
    heard: &mut Vec<u8>,
    size: usize,
) -> io::Result<()> {
    while heard.len() < size {
        let missing = u64::try_from(size - heard.len()).unwrap_or(u64::MAX);
        if (&mut *reader).take(missing).read_buf(heard).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    Ok(())
}

/// The beginning of what a peer said, safe to print.
pub(super) fn quote(bytes: &[u8]) -> String {
    let start = bytes.get(..QUOTED).unwrap_or(bytes);
    let rest = if start.len() < bytes.len() { "..." } else { "" };
    format!("\"{}{rest}\"", start.escape_ascii())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_peer_says_cannot_reach_a_terminal() {
        assert_eq!(quote(b"\x1b[2Jhello\r\n"), r#""\x1b[2Jhello\r\n""#);
        assert_eq!(quote(&[b'a'; 41]), format!("\"{}...\"", "a".repeat(40)));
    }
}
