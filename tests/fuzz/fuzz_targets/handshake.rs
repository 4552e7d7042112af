//! A peer that says anything in the handshake: it is a failure, or a node that proved a cookie, and is told in words.

#![no_main]

use easy_cluster::explain;
use easy_cluster_probe::fuzz;
use easy_cluster::validate::reach::problems;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let reach = fuzz::shake(bytes).expect("a runtime");
    // The digest of a challenge that is chosen at random cannot be foreseen.
    assert!(reach.failure.is_some());
    let found = problems(&reach);
    assert_eq!(found.len(), 1);
    let words = explain::reach::layers(&reach) + &explain::errors::problems(&found);
    assert!(words.len() < 4_096 && words.chars().all(|c| c == '\n' || !c.is_control()), "{words:?}");
});
