//! Terms as a real Erlang writes them; `fixtures/make.escript` made them.

use std::collections::BTreeMap;

use easy_cluster_wire::{Error, from_bytes, to_bytes};
use serde::{Deserialize, Serialize};

const CONTRACT: &[u8] = include_bytes!("fixtures/contract.etf");
const STRANGERS: &[u8] = include_bytes!("fixtures/strangers.etf");
const LATIN1: &[u8] = include_bytes!("fixtures/latin1.etf");
const COMPRESSED: &[u8] = include_bytes!("fixtures/compressed.etf");

#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename = "$atom")]
struct Atom(String);

#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Variant {
    RamCopies,
    Silent(String),
    Copy { table: Atom, rows: u64 },
    Moved(u8, u8),
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Contract {
    node: Atom,
    wide_atom: Atom,
    long_atom: Atom,
    binary: String,
    string: String,
    characters: String,
    empty_string: String,
    numbers: Vec<i64>,
    unsigned: u64,
    float: f64,
    yes: bool,
    no: bool,
    nothing: Option<u8>,
    something: Option<u8>,
    bytes: Vec<u8>,
    none: Vec<u8>,
    pair: (String, u32),
    by_name: BTreeMap<String, u32>,
    unit: Variant,
    newtype: Variant,
    fields: Variant,
    parts: Variant,
    binary_key: Atom,
}

fn expected() -> Contract {
    Contract {
        node: Atom("ejabberd@hello.world".into()),
        wide_atom: Atom("при".into()),
        long_atom: Atom("я".repeat(255)),
        binary: "grün".into(),
        string: "grün".into(),
        characters: "при".into(),
        empty_string: String::new(),
        numbers: vec![0, 255, 256, -1, i32::MAX.into(), i32::MIN.into(), 2_147_483_648, i64::MAX, i64::MIN],
        unsigned: u64::MAX,
        float: 1.5,
        yes: true,
        no: false,
        nothing: None,
        something: Some(7),
        bytes: vec![1, 2, 3],
        none: vec![],
        pair: ("a".into(), 1),
        by_name: [("a".into(), 1), ("b".into(), 2)].into(),
        unit: Variant::RamCopies,
        newtype: Variant::Silent("timeout".into()),
        fields: Variant::Copy { table: Atom("passwd".into()), rows: 3 },
        parts: Variant::Moved(1, 2),
        binary_key: Atom("yes".into()),
    }
}

#[test]
fn everything_of_the_contract_is_read_from_erlang() {
    assert_eq!(from_bytes(CONTRACT), Ok(expected()));
}

#[test]
fn what_is_written_is_read_again() {
    let written = to_bytes(&expected()).unwrap();
    assert_eq!(from_bytes(&written), Ok(expected()));
}

#[test]
fn a_stranger_under_an_unknown_key_is_passed_over() {
    #[derive(Debug, PartialEq, Deserialize)]
    struct Known {
        known: u8,
        last: u8,
    }
    assert_eq!(from_bytes(STRANGERS), Ok(Known { known: 1, last: 2 }));
}

#[test]
fn a_stranger_under_a_known_key_is_an_error_that_says_where() {
    #[derive(Debug, PartialEq, Deserialize)]
    struct Known {
        strangers: Vec<String>,
    }
    let error = from_bytes::<Known>(STRANGERS).unwrap_err();
    assert!(matches!(error, Error::Unexpected { tag: 88, at: 36.. }), "{error}");
}

#[test]
fn an_atom_in_latin1_is_text() {
    #[derive(Debug, PartialEq, Deserialize)]
    struct Old {
        name: Atom,
        word: String,
    }
    assert!(LATIN1.contains(&252), "the fixture is Latin-1");
    assert_eq!(from_bytes(LATIN1), Ok(Old { name: Atom("grün".into()), word: "plain".into() }));
    let as_utf8_it_were_one_character = [131, 100, 0, 2, 195, 188];
    assert_eq!(from_bytes(&as_utf8_it_were_one_character), Ok(Atom("Ã¼".into())));
}

#[test]
fn a_compressed_term_is_refused() {
    assert_eq!(from_bytes::<Vec<Atom>>(COMPRESSED), Err(Error::Unexpected { tag: 80, at: 1 }));
}

#[test]
fn every_beginning_of_a_term_is_an_error() {
    for length in 0..CONTRACT.len() {
        assert_eq!(
            from_bytes::<Contract>(&CONTRACT[..length]),
            Err(Error::Truncated(length)),
            "{length} bytes"
        );
    }
    for length in 0..STRANGERS.len() {
        let error = from_bytes::<serde::de::IgnoredAny>(&STRANGERS[..length]).unwrap_err();
        assert_eq!(error, Error::Truncated(length), "{length} bytes");
    }
}

#[test]
fn what_follows_a_term_is_an_error() {
    let longer = [CONTRACT, &[106]].concat();
    assert_eq!(from_bytes::<Contract>(&longer), Err(Error::Trailing(CONTRACT.len())));
}

#[test]
fn no_flipped_bit_makes_it_panic() {
    for at in 0..CONTRACT.len() * 8 {
        let mut flipped = CONTRACT.to_vec();
        flipped[at / 8] ^= 1 << (at % 8);
        let _either = from_bytes::<Contract>(&flipped);
        let _either = from_bytes::<serde::de::IgnoredAny>(&flipped);
    }
    for at in 0..STRANGERS.len() {
        let mut flipped = STRANGERS.to_vec();
        flipped[at] ^= 1 << (at % 8);
        let _either = from_bytes::<serde::de::IgnoredAny>(&flipped);
    }
}
