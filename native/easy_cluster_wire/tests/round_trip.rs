//! Any value comes back as it was.

use std::collections::BTreeMap;

use easy_cluster_wire::{from_bytes, to_bytes};
use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename = "$atom")]
struct Atom(String);

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
enum Shape {
    Unit,
    Newtype(i64),
    Tuple(u64, String),
    Struct { list: Vec<Shape>, float: f64 },
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Value {
    shape: Shape,
    maybe: Option<Atom>,
    by_text: BTreeMap<String, bool>,
    by_atom: BTreeMap<Atom, char>,
    tuple: (i8, u16, i32, f64),
    unit: (),
}

fn atom() -> impl Strategy<Value = Atom> {
    vec(any::<char>(), 0..=255).prop_map(|text| Atom(text.into_iter().collect()))
}

fn finite() -> impl Strategy<Value = f64> {
    any::<f64>().prop_filter("Erlang has no others", |float| float.is_finite())
}

fn shape() -> impl Strategy<Value = Shape> {
    let leaf = prop_oneof![
        Just(Shape::Unit),
        any::<i64>().prop_map(Shape::Newtype),
        (any::<u64>(), any::<String>()).prop_map(|(number, text)| Shape::Tuple(number, text)),
    ];
    leaf.prop_recursive(5, 50, 5, |inner| {
        (vec(inner, 0..5), finite()).prop_map(|(list, float)| Shape::Struct { list, float })
    })
}

fn value() -> impl Strategy<Value = Value> {
    // `undefined` is how nothing is written.
    let maybe = proptest::option::of(atom().prop_filter("nothing", |atom| atom.0 != "undefined"));
    (
        shape(),
        maybe,
        btree_map(any::<String>(), any::<bool>(), 0..5),
        btree_map(atom(), any::<char>(), 0..5),
        (any::<i8>(), any::<u16>(), any::<i32>(), finite()),
    )
        .prop_map(|(shape, maybe, by_text, by_atom, tuple)| Value {
            shape,
            maybe,
            by_text,
            by_atom,
            tuple,
            unit: (),
        })
}

proptest! {
    #[test]
    fn a_value_comes_back_as_it_was(value in value()) {
        let bytes = to_bytes(&value).unwrap();
        prop_assert_eq!(from_bytes::<Value>(&bytes), Ok(value));
    }

    #[test]
    fn a_value_that_is_ignored_is_passed_over_to_its_end(value in value()) {
        let bytes = to_bytes(&value).unwrap();
        prop_assert!(from_bytes::<serde::de::IgnoredAny>(&bytes).is_ok());
    }

    #[test]
    fn bytes_of_any_kind_do_not_panic(mut bytes in vec(any::<u8>(), 0..200)) {
        let _either = from_bytes::<Value>(&bytes);
        bytes.insert(0, 131);
        let _either = from_bytes::<Value>(&bytes);
        let _either = from_bytes::<serde::de::IgnoredAny>(&bytes);
    }
}
