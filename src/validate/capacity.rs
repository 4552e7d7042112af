//! Whether the copies fit.

use super::copies::WantedCopy;
use super::problem::{Bytes, Problem};
use super::view::View;
use crate::model::table::Storage;

/// What a dets file holds at most; beyond it, it is corrupted without a word.
pub(crate) const DETS_LIMIT: u64 = 1 << 31;
/// A copy's file is laid out anew and may be larger than its source's.
pub(crate) const DETS_MARGIN: u64 = DETS_LIMIT / 10;

/// Problems of holding all of `copies` on this node, and `archived` bytes of rows on its disk.
#[must_use]
pub fn problems(view: &View<'_>, copies: &[WantedCopy], archived: u64) -> Vec<Problem> {
    let here = view.here();
    let facts = view.here_facts();
    let (mut memory, mut disk) = (0_u64, archived);
    let mut problems = Vec::new();
    for copy in copies {
        match copy.storage {
            Storage::RamCopies => memory = memory.saturating_add(copy.bytes),
            Storage::DiscCopies => {
                memory = memory.saturating_add(copy.bytes);
                disk = disk.saturating_add(copy.bytes);
            }
            Storage::DiscOnlyCopies => {
                disk = disk.saturating_add(copy.bytes);
                if copy.bytes > DETS_LIMIT - DETS_MARGIN {
                    problems.push(Problem::DetsLimit {
                        table: copy.table.name.clone(),
                        bytes: Bytes(copy.bytes),
                        limit: Bytes(DETS_LIMIT),
                    });
                }
            }
        }
    }
    if let Some(free) = facts.memory_free.filter(|free| *free < memory) {
        problems.push(Problem::NotEnoughMemory {
            here: here.clone(),
            needed: Bytes(memory),
            free: Bytes(free),
        });
    }
    if let Some(free) = facts.disk_free.filter(|free| *free < disk) {
        problems.push(Problem::NotEnoughDisk {
            here: here.clone(),
            directory: facts.directory.clone(),
            needed: Bytes(disk),
            free: Bytes(free),
        });
    }
    problems
}
