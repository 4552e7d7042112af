//! The items of a log of Erlang's `disk_log`, the halt logs of Mnesia: `LATEST.LOG`, `PREVIOUS.LOG`, `DECISION_TAB.LOG`.
//!
//! Eight bytes of head say what it is and whether it was closed. An item is its size, a mark and the term; from 65,528 bytes
//! on, 16 bytes of digest stand before the term. OTP 25 to 29 write and read it alike.

const MAGIC: u32 = 0x0102_0304;
const CLOSED: u32 = 0x6358_4d0b;
const OPENED: u32 = 0x0607_0809;
/// In front of each term.
const MARK: u32 = 0x6257_4c41;
/// The same in logs of very old releases, which have no digests.
const OLD_MARK: u32 = 0x0c21_2c37;
/// Terms from this size on have a digest.
const DIGEST_FROM: usize = 65_528;
const DIGEST: usize = 16;
/// What a term begins with.
const TERM: u8 = 131;

/// A log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Log<'b> {
    /// The terms, in order.
    pub items: Vec<&'b [u8]>,
    /// Whether its writer closed it; one that runs or was killed has not.
    pub closed: bool,
    /// Bytes that belong to no item: a torn end, or what was written over.
    pub lost: usize,
}

/// Reads a log as `disk_log` repairs it: what is no item is passed over byte by byte.
///
/// # Errors
/// Why it is none.
pub fn parse(bytes: &[u8]) -> Result<Log<'_>, String> {
    if word(bytes, 0) != Some(MAGIC) {
        return Err("it is not a log of Erlang's disk_log".into());
    }
    let closed = match word(bytes, 4) {
        Some(CLOSED) => true,
        Some(OPENED) => false,
        Some(_) | None => return Err("its head is damaged".into()),
    };
    let mut log = Log { items: Vec::new(), closed, lost: 0 };
    let mut at = 8;
    while at < bytes.len() {
        if let Some((item, end)) = item(bytes, at) {
            log.items.push(item);
            at = end;
        } else {
            log.lost += 1;
            at += 1;
        }
    }
    Ok(log)
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    let four = bytes.get(at..at.checked_add(4)?)?;
    <[u8; 4]>::try_from(four).ok().map(u32::from_be_bytes)
}

/// The item that begins here, and where the next one does.
fn item(bytes: &[u8], at: usize) -> Option<(&[u8], usize)> {
    let size = usize::try_from(word(bytes, at)?).ok()?;
    let digest = match word(bytes, at + 4)? {
        MARK if size >= DIGEST_FROM => DIGEST,
        MARK | OLD_MARK => 0,
        _no_mark => return None,
    };
    let start = at + 8 + digest;
    let end = start.checked_add(size)?;
    let term = bytes.get(start..end)?;
    (term.first() == Some(&TERM)).then_some((term, end))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log(items: &[&[u8]], state: u32) -> Vec<u8> {
        let mut bytes = [MAGIC, state].map(u32::to_be_bytes).concat();
        for item in items {
            bytes.extend(u32::try_from(item.len()).unwrap().to_be_bytes());
            bytes.extend(MARK.to_be_bytes());
            if item.len() >= DIGEST_FROM {
                bytes.extend([7; DIGEST]);
            }
            bytes.extend(*item);
        }
        bytes
    }

    #[test]
    fn small_and_large_items_are_read_in_order() {
        let large = [vec![TERM], vec![1; DIGEST_FROM]].concat();
        let largest_without_digest = [vec![TERM], vec![2; DIGEST_FROM - 2]].concat();
        let items: [&[u8]; 4] = [&[TERM, 106], &large, &largest_without_digest, &[TERM, 97, 1]];
        let bytes = log(&items, CLOSED);
        assert_eq!(parse(&bytes), Ok(Log { items: items.to_vec(), closed: true, lost: 0 }));
        assert!(!parse(&log(&items, OPENED)).unwrap().closed);
    }

    #[test]
    fn a_log_that_is_cut_anywhere_has_the_items_before_the_cut() {
        let items: [&[u8]; 3] = [&[TERM, 106], &[TERM, 97, 1], &[TERM, 97, 2]];
        let bytes = log(&items, OPENED);
        for length in 8..bytes.len() {
            let read = parse(&bytes[..length]).unwrap();
            assert!(items.starts_with(&read.items), "{length}");
            let whole = read.items.iter().map(|item| item.len() + 8).sum::<usize>();
            assert_eq!(read.lost, length - 8 - whole, "{length}");
        }
    }

    #[test]
    fn behind_what_was_written_over_it_goes_on() {
        let items: [&[u8]; 3] = [&[TERM, 106], &[TERM, 97, 1], &[TERM, 97, 2]];
        let mut bytes = log(&items, OPENED);
        bytes[18 + 4] = 0;
        assert_eq!(parse(&bytes).unwrap().items, [items[0], items[2]]);
    }

    #[test]
    fn other_files_are_none() {
        for other in [&b""[..], b"\x01\x02\x03", b"schema.DAT is no log", b"\x01\x02\x03\x04\x01\x02\x03\x04"]
        {
            assert!(parse(other).is_err(), "{other:?}");
        }
    }
}
