//! Logs of Mnesia that say anything; what is read takes no memory for what is not there.

#![no_main]

use libfuzzer_sys::fuzz_target;
use peak_alloc::PeakAlloc;

#[path = "../properties/boot.rs"]
mod boot;

#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

/// For a byte of them.
const A_BYTE: usize = 1 << 10;
const ONCE: usize = 1 << 20;

fuzz_target!(|bytes: &[u8]| {
    MEMORY.reset_peak_usage();
    let before = MEMORY.current_usage();
    boot::hold(bytes);
    let taken = MEMORY.peak_usage().saturating_sub(before);
    assert!(taken < ONCE + A_BYTE * bytes.len(), "{taken} bytes for {}", bytes.len());
});
