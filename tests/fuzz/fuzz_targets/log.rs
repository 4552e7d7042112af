//! Logs that say anything.

#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../properties/log.rs"]
mod log;

fuzz_target!(|bytes: &[u8]| log::hold(bytes));
