//! An epmd that says anything: it has a port, has none, or is none; and its names can be printed.

#![no_main]

use easy_cluster_probe::fuzz;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let port = fuzz::epmd_port(bytes).expect("a runtime");
    assert_eq!(matches!(port, Ok(Some(_))), bytes.len() >= 10 && bytes.starts_with(b"w\0"));
    for entry in fuzz::epmd_names(bytes).expect("a runtime") {
        assert!(!entry.name.chars().any(char::is_control), "{entry:?}");
    }
});
