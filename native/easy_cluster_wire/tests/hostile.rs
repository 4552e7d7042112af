//! Terms that were made to do harm, and values that have no term.

#![expect(clippy::panic, clippy::unwrap_used, reason = "helpers of tests")]

use std::collections::BTreeMap;

use easy_cluster_wire::{Error, MAX_DEPTH, MAX_SIZE, answer, from_bytes, to_bytes};
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Nested(Vec<Nested>);

#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
enum Any {
    List(Vec<Any>),
    Number(i64),
}

/// `[[[...]]]` with so many lists.
fn nested(depth: u32) -> Vec<u8> {
    let mut bytes = vec![131];
    for _ in 1..depth {
        bytes.extend([108, 0, 0, 0, 1]);
    }
    bytes.push(106);
    bytes.extend((1..depth).map(|_| 106));
    bytes
}

#[test]
fn a_term_as_deep_as_allowed_is_read() {
    assert!(from_bytes::<Nested>(&nested(MAX_DEPTH + 1)).is_ok());
}

#[test]
fn a_deeper_term_is_refused_where_it_is_too_deep() {
    let at = 1 + 5 * (MAX_DEPTH as usize + 1);
    assert_eq!(from_bytes::<Nested>(&nested(MAX_DEPTH + 2)), Err(Error::TooDeep(at)));
    assert_eq!(from_bytes::<Any>(&nested(1_000_000)), Err(Error::TooDeep(at)));
}

#[test]
fn terms_beside_each_other_are_not_deep() {
    let rows = vec![vec![300_u64]; 2 * MAX_DEPTH as usize];
    assert_eq!(from_bytes(&to_bytes(&rows).unwrap()), Ok(rows));
}

#[test]
fn a_depth_that_nobody_looks_at_does_no_harm() {
    assert!(from_bytes::<IgnoredAny>(&nested(1_000_000)).is_ok());
}

#[test]
fn a_length_beyond_the_input_reserves_nothing() {
    let bombs: [&[u8]; 8] = [
        &[131, 108, 255, 255, 255, 255],
        &[131, 105, 255, 255, 255, 255],
        &[131, 116, 255, 255, 255, 255],
        &[131, 109, 255, 255, 255, 255],
        &[131, 77, 255, 255, 255, 255, 8],
        &[131, 111, 255, 255, 255, 255, 0],
        &[131, 112, 255, 255, 255, 255],
        &[131, 114, 255, 255, 119, 1, 97],
    ];
    for bomb in bombs {
        assert_eq!(from_bytes::<IgnoredAny>(bomb), Err(Error::Truncated(bomb.len())), "{bomb:?}");
    }
    assert_eq!(from_bytes::<Vec<u64>>(bombs[0]), Err(Error::Truncated(6)));
    assert_eq!(from_bytes::<String>(bombs[0]), Err(Error::Truncated(6)));
    assert_eq!(from_bytes::<(u8, u8)>(bombs[1]), Err(Error::Truncated(6)));
    assert_eq!(from_bytes::<BTreeMap<u8, u8>>(bombs[2]), Err(Error::Truncated(6)));
    assert_eq!(from_bytes::<String>(bombs[3]), Err(Error::Truncated(6)));
}

#[test]
fn a_term_of_a_hundred_megabytes_is_refused_by_its_size() {
    let size = 100_000_000;
    let mut bytes = vec![0; size];
    bytes[0] = 131;
    assert_eq!(from_bytes::<IgnoredAny>(&bytes), Err(Error::TooLarge(size)));
    assert!(from_bytes::<IgnoredAny>(&bytes[..MAX_SIZE]) != Err(Error::TooLarge(MAX_SIZE)));
}

#[test]
fn another_version_of_the_format_is_refused() {
    assert_eq!(from_bytes::<IgnoredAny>(&[130, 106]), Err(Error::Unexpected { tag: 130, at: 0 }));
    assert_eq!(from_bytes::<IgnoredAny>(&[]), Err(Error::Truncated(0)));
}

#[test]
fn a_term_of_another_shape_is_refused_with_its_place() {
    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Point {
        x: u8,
        y: u8,
    }
    let list = to_bytes(&[1_u8, 2].as_slice()).unwrap();
    assert_eq!(from_bytes::<Point>(&list), Err(Error::Unexpected { tag: 108, at: 1 }), "a list is no struct");
    let pair = to_bytes(&(1_u8, 2_u8)).unwrap();
    assert_eq!(
        from_bytes::<Vec<u8>>(&pair),
        Err(Error::Unexpected { tag: 105, at: 1 }),
        "a tuple is no list"
    );
    let triple = to_bytes(&(1_u8, 2_u8, 3_u8)).unwrap();
    let error = from_bytes::<(u8, u8)>(&triple).unwrap_err();
    assert_eq!(error.to_string(), "1 elements too many, before byte 10");
    let error = from_bytes::<u8>(&to_bytes(&256).unwrap()).unwrap_err();
    assert!(error.to_string().ends_with("before byte 6"), "{error}");
    let half = to_bytes(&Half { x: 1 }).unwrap();
    let error = from_bytes::<Point>(&half).unwrap_err();
    assert_eq!(error.to_string(), "missing field `y`, before byte 11");
}

#[derive(Serialize)]
struct Half {
    x: u8,
}

#[test]
fn text_that_is_not_utf8_is_refused() {
    assert_eq!(from_bytes::<String>(&[131, 119, 1, 255]), Err(Error::Text(3)));
    assert_eq!(from_bytes::<String>(&[131, 109, 0, 0, 0, 1, 255]), Err(Error::Text(1)));
    assert_eq!(from_bytes::<String>(&[131, 108, 0, 0, 0, 1, 98, 0, 0, 216, 0, 106]), Err(Error::Text(6)));
}

#[test]
fn an_integer_of_more_than_64_bits_is_refused() {
    let error = from_bytes::<u64>(&[131, 110, 9, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]).unwrap_err();
    assert_eq!(error.to_string(), "the integer does not fit into 64 bits, before byte 13");
    assert_eq!(from_bytes::<u64>(&[131, 110, 9, 0, 7, 0, 0, 0, 0, 0, 0, 0, 0]), Ok(7));
}

#[test]
fn a_value_without_a_term_is_an_error() {
    #[derive(Serialize)]
    #[serde(rename = "$atom")]
    struct Atom(String);
    assert!(to_bytes(&Atom("я".repeat(255))).is_ok());
    assert!(matches!(to_bytes(&Atom("я".repeat(256))), Err(Error::Text(_))));
    assert!(matches!(to_bytes(&f64::NAN), Err(Error::Message(_))));
    assert!(matches!(to_bytes(&f64::INFINITY), Err(Error::Message(_))));
}

#[derive(Debug, PartialEq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Outcome {
    Ok { version: String },
    Error(Vec<Problem>),
}

#[derive(Debug, PartialEq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Problem {
    BadRequest { reason: String },
}

fn asked(request: &[u8]) -> Outcome {
    from_bytes(&answer(request)).unwrap()
}

fn reason(request: &[u8]) -> String {
    match asked(request) {
        Outcome::Error(problems) => {
            let [Problem::BadRequest { reason }] = &problems[..] else { panic!("{problems:?}") };
            reason.clone()
        }
        answer @ Outcome::Ok { .. } => panic!("{answer:?}"),
    }
}

#[test]
fn a_good_request_is_answered() {
    #[derive(Serialize)]
    #[serde(rename_all = "snake_case")]
    enum Request {
        Version {},
    }
    let version = env!("CARGO_PKG_VERSION").to_owned();
    assert_eq!(asked(&to_bytes(&Request::Version {}).unwrap()), Outcome::Ok { version });
}

#[test]
fn what_is_no_request_is_answered_with_the_reason() {
    assert_eq!(reason(&[]), "the term ends at byte 0, in the middle");
    assert_eq!(reason(&[131, 106]), "a term with tag 106 at byte 1 is not part of the contract");
    assert_eq!(reason(&vec![131; 100_000_000]), "the term has 100000000 bytes; 67108864 are the most");
    let unknown = reason(&[131, 104, 2, 119, 3, b'f', b'o', b'o', 116, 0, 0, 0, 0]);
    assert!(unknown.starts_with("unknown variant `foo`"), "{unknown}");
}

#[test]
fn a_bomb_for_a_request_is_answered() {
    for depth in [100, 1_000_000] {
        let mut request = vec![131, 104, 2, 119, 7];
        request.extend(b"options");
        request.extend([116, 0, 0, 0, 1, 119, 7]);
        request.extend(b"options");
        request.extend([116, 0, 0, 0, 1, 119, 1, b'a']);
        request.extend(&nested(depth)[1..]);
        assert!(reason(&request).contains("nests deeper than 64"), "{}", reason(&request));
    }
}

#[test]
fn a_fun_at_the_very_end_is_passed_over() {
    assert!(from_bytes::<IgnoredAny>(&[131, 112, 0, 0, 0, 5, 1]).is_ok());
    assert_eq!(from_bytes::<IgnoredAny>(&[131, 112, 0, 0, 0, 5]), Err(Error::Truncated(6)));
    assert_eq!(from_bytes::<IgnoredAny>(&[131, 112, 0, 0, 0, 3]), Err(Error::Truncated(6)));
}
