//! How long things take, from measurements on real nodes (`docs/performance.md`).

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use super::step::TableCopy;
use crate::model::name::TableName;
use crate::model::snapshot::Copied;
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
pub(crate) const ARCHIVED_ROWS_PER_MS: u64 = 250;
pub(crate) const MERGED_ROWS_PER_MS: u64 = 60;
/// A backup is read twice, written once, loaded and compared.
pub(crate) const BUILT_ROWS_PER_MS: u64 = 40;
/// Transactions waited 3.7 s of a copy of 4.4 s.
const STALL_PERCENT: u64 = 85;

/// Duration of one table's copy and the longest stall of its transactions, milliseconds.
#[must_use]
pub fn copy(storage: Storage, rows: u64, bytes: u64) -> (u64, u64) {
    let transfer = transfer(storage, rows, bytes);
    (SCHEMA_TRANSACTION_MS + transfer, transfer.saturating_mul(STALL_PERCENT) / 100)
}

/// What copies took that were made here before, against what had been thought: a machine may be slower than the one that the figures
/// above are from, and the rows of a table larger or smaller than most.
#[derive(Debug, Default)]
pub struct Learned<'a> {
    /// In thousandths.
    by_table: HashMap<(&'a TableName, Storage), u64>,
    by_storage: HashMap<Storage, u64>,
}

/// Of fewer rows, most is the schema transaction.
const ROWS_TO_LEARN_FROM: u64 = 1_000;
/// What took less was there already; what took longer may have waited for something, and rather counts as slow than not at all.
const BELIEVED: std::ops::RangeInclusive<u64> = 50..=20_000;

impl<'a> Learned<'a> {
    /// From the copies that a snapshot knows.
    #[must_use]
    pub fn new(copied: &'a [Copied]) -> Self {
        let mut learned = Self::default();
        let mut all: HashMap<Storage, Vec<u64>> = HashMap::new();
        for made in copied.iter().filter(|made| made.rows >= ROWS_TO_LEARN_FROM) {
            let thought = transfer(made.storage, made.rows, made.bytes).max(1);
            let took =
                made.milliseconds.saturating_sub(SCHEMA_TRANSACTION_MS).saturating_mul(1_000) / thought;
            if took < *BELIEVED.start() {
                continue;
            }
            let thousandths = took.min(*BELIEVED.end());
            learned.by_table.insert((&made.table, made.storage), thousandths);
            all.entry(made.storage).or_default().push(thousandths);
        }
        for (storage, mut each) in all {
            each.sort_unstable();
            learned.by_storage.extend(each.get(each.len() / 2).map(|median| (storage, *median)));
        }
        learned
    }

    /// Duration of one table's copy and the longest stall of its transactions, milliseconds: by what that table took, or else what most
    /// tables took that are stored so.
    #[must_use]
    pub fn copy(&self, table: &TableName, storage: Storage, rows: u64, bytes: u64) -> (u64, u64) {
        let of_table = self.by_table.get(&(table, storage)).or_else(|| self.by_storage.get(&storage));
        let thousandths = of_table.copied().unwrap_or(1_000);
        let transfer = transfer(storage, rows, bytes).saturating_mul(thousandths) / 1_000;
        (SCHEMA_TRANSACTION_MS + transfer, transfer.saturating_mul(STALL_PERCENT) / 100)
    }
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
pub(crate) fn transfer(storage: Storage, rows: u64, bytes: u64) -> u64 {
    let rows_per_ms = match storage {
        Storage::RamCopies | Storage::DiscCopies => ROWS_PER_MS,
        Storage::DiscOnlyCopies => DETS_ROWS_PER_MS,
    };
    rows / rows_per_ms + bytes / BYTES_PER_MS
}

#[cfg(test)]
mod tests {
    use super::*;

    fn copied(table: &str, storage: Storage, rows: u64, milliseconds: u64) -> Copied {
        Copied { table: table.into(), storage, rows, bytes: rows * 150, milliseconds }
    }

    #[test]
    fn a_table_takes_what_it_took_and_another_what_most_took() {
        let disc = Storage::DiscCopies;
        let (thought, stall) = copy(disc, 450_000, 450_000 * 150);
        let made = [
            copied("slow", disc, 450_000, 4 * thought),
            copied("quick", disc, 450_000, thought / 2),
            copied("usual", disc, 450_000, 2 * thought),
            copied("tiny", disc, 3, 10_000),
            copied("odd", Storage::DiscOnlyCopies, 70_000, 86_400_000),
        ];
        let learned = Learned::new(&made);
        let of = |table: &str, storage| learned.copy(&table.into(), storage, 450_000, 450_000 * 150);
        let about = |(duration, stall): (u64, u64), times: f64| {
            let close = |is: u64, of: u64| (is as f64 / (of as f64 * times) - 1.0).abs() < 0.02;
            close(duration, thought) && close(stall, self::copy(disc, 450_000, 450_000 * 150).1)
        };
        assert!(about(of("slow", disc), 4.0), "{:?} of {thought}, {stall}", of("slow", disc));
        assert!(about(of("quick", disc), 0.5), "{:?} of {thought}, {stall}", of("quick", disc));
        assert!(about(of("never seen", disc), 2.0) && about(of("tiny", disc), 2.0));
        assert_eq!(of("slow", Storage::RamCopies), copy(Storage::RamCopies, 450_000, 450_000 * 150));
        let (odd, _) = of("odd", Storage::DiscOnlyCopies);
        assert_eq!(
            odd / copy(Storage::DiscOnlyCopies, 450_000, 450_000 * 150).0,
            19,
            "a day is not believed"
        );
    }

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
