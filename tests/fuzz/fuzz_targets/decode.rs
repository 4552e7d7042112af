//! An Erlang that asks anything; what is read takes no memory for what is not there.

#![no_main]

use libfuzzer_sys::fuzz_target;
use peak_alloc::PeakAlloc;

#[path = "../properties/decode.rs"]
mod decode;

#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

/// The automaton of the known texts is made once.
const ONCE: usize = 64 << 20;
/// Of a term that is read, answered and read again, for a byte of it.
const A_BYTE: usize = 4 << 10;

fuzz_target!(|bytes: &[u8]| {
    MEMORY.reset_peak_usage();
    let before = MEMORY.current_usage();
    decode::hold(bytes);
    let taken = MEMORY.peak_usage().saturating_sub(before);
    assert!(taken < ONCE + A_BYTE * bytes.len(), "{taken} bytes for {}", bytes.len());
});
