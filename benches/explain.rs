//! How fast a log is read, healthy and ill.

use divan::counter::BytesCount;
use easy_cluster::explain::log::Explainer;

const HEALTHY: &str = include_str!("../tests/fixtures/logs/ejabberd2301_healthy.log");
const SPLIT: &str = include_str!("../tests/fixtures/logs/otp25_split_other_side.log");
const DIED: &str = include_str!("../tests/fixtures/logs/otp25_bad_table_cookie_at_start.log");
const OVERLOADED: &str = include_str!("../tests/fixtures/logs/otp25_overloaded.log");

fn main() {
    divan::main();
}

fn read(bencher: divan::Bencher<'_, '_>, text: &str) {
    bencher.counter(BytesCount::new(text.len())).bench(|| {
        let mut explainer = Explainer::new();
        for bite in text.as_bytes().chunks(64 << 10) {
            explainer.feed(bite);
        }
        explainer.finish()
    });
}

/// The log of a start, over and over: twice the text, twice the time.
#[divan::bench(args = [4, 8, 16])]
fn healthy(bencher: divan::Bencher<'_, '_>, megabytes: usize) {
    read(bencher, &HEALTHY.repeat((megabytes << 20) / HEALTHY.len()));
}

/// A crash or a split in every page.
#[divan::bench]
fn ill(bencher: divan::Bencher<'_, '_>) {
    let page = [HEALTHY, SPLIT, DIED].concat();
    read(bencher, &page.repeat((8 << 20) / page.len()));
}

/// Every second line is a sighting.
#[divan::bench]
fn flood(bencher: divan::Bencher<'_, '_>) {
    read(bencher, &OVERLOADED.repeat((8 << 20) / OVERLOADED.len()));
}

/// One line without an end.
#[divan::bench]
fn one_line(bencher: divan::Bencher<'_, '_>) {
    read(bencher, &"[{a,<<\"b\">>} | c], ".repeat(8 << 16));
}
