//! Files of a machine that say anything.

#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../properties/machine.rs"]
mod machine;

fuzz_target!(|bytes: &[u8]| machine::hold(bytes));
