//! How long things take, from measurements on real nodes (`docs/performance.md`).

use serde::{Deserialize, Serialize};

use super::step::TableCopy;
use crate::model::name::TableName;
use crate::model::table::Storage;

/// What a plan costs as a whole.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Estimate {
    /// Rows to be copied.
    pub rows: u64,
    /// Bytes to be copied.
    pub bytes: u64,
    /// Duration, milliseconds.
    pub milliseconds: u64,
    /// The longest that a transaction on one table may have to wait, milliseconds.
    pub longest_stall: u64,
    /// That table.
    pub stalled_table: Option<TableName>,
}

/// Creating an empty copy is one schema transaction.
const SCHEMA_TRANSACTION_MS: u64 = 8;
/// Each further table of the same transaction.
const SHARED_TRANSACTION_MS: u64 = 2;
/// 1,001,000 rows of 164 MB took 4.4 s: half of it goes with the rows, half with the bytes.
const ROWS_PER_MS: u64 = 450;
const BYTES_PER_MS: u64 = 75_000;
/// dets writes each row to its file: 50,000 rows took 0.15 to 1.0 s.
const DETS_ROWS_PER_MS: u64 = 70;
/// Rows to an archive, and from it to a cluster that has most of them already.
pub(super) const ARCHIVED_ROWS_PER_MS: u64 = 250;
pub(super) const MERGED_ROWS_PER_MS: u64 = 60;
/// A backup is read twice, written once, loaded and compared.
pub(super) const BUILT_ROWS_PER_MS: u64 = 40;
/// Transactions waited 3.7 s of a copy of 4.4 s.
const STALL_PERCENT: u64 = 85;

/// Duration of one table's copy and the longest stall of its transactions, milliseconds.
#[must_use]
pub fn copy(storage: Storage, rows: u64, bytes: u64) -> (u64, u64) {
    let transfer = transfer(storage, rows, bytes);
    (SCHEMA_TRANSACTION_MS + transfer, transfer.saturating_mul(STALL_PERCENT) / 100)
}

/// Duration of several tables' copies in one transaction, milliseconds.
#[must_use]
pub fn copies<'a>(copies: impl IntoIterator<Item = &'a TableCopy>) -> u64 {
    copies.into_iter().fold(0, |sum, copy| {
        sum.saturating_add(SHARED_TRANSACTION_MS).saturating_add(transfer(
            copy.storage,
            copy.rows,
            copy.bytes,
        ))
    })
}

/// How long the rows of a table take, milliseconds.
pub(super) fn transfer(storage: Storage, rows: u64, bytes: u64) -> u64 {
    let rows_per_ms = match storage {
        Storage::RamCopies | Storage::DiscCopies => ROWS_PER_MS,
        Storage::DiscOnlyCopies => DETS_ROWS_PER_MS,
    };
    rows / rows_per_ms + bytes / BYTES_PER_MS
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_million_rows_take_about_what_was_measured() {
        let (duration, stall) = copy(Storage::DiscCopies, 1_001_000, 164_000_000);
        assert!((3_500..5_500).contains(&duration), "{duration}");
        assert!((3_000..4_500).contains(&stall), "{stall}");
    }

    #[test]
    fn an_empty_table_stalls_nobody() {
        assert_eq!(copy(Storage::RamCopies, 0, 0), (8, 0));
    }
}
