//! What holds for the contract with Erlang, whatever arrives.

use std::fmt;

use easy_cluster::explain::doctor::Examination;
use easy_cluster::model::rows::RowDifference;
use easy_cluster::model::snapshot::Snapshot;
use easy_cluster::plan::{Inputs, Plan};
use easy_cluster::validate::problem::Problem;
use easy_cluster_probe::ProbeRequest;
use easy_cluster_wire::{answer, from_bytes, to_bytes};
use serde::de::{IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Reads the bytes as everything that the contract has, and asks the core.
pub fn hold(bytes: &[u8]) {
    comes_back::<Term>(bytes);
    comes_back::<Requests>(bytes);
    comes_back::<Snapshot>(bytes);
    let Ok(told) = from_bytes::<Acting>(bytes) else { return answered(bytes) };
    match told {
        // Those look at the network and at files.
        Acting::Probe(_) | Acting::Diagnose { places: Some(_), .. } => {}
        Acting::Diagnose { places: None, .. } => answered(bytes),
    }
}

/// Requests upon which the core acts. One that does not become any of them is refused before anything is looked at.
#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Acting {
    Probe(#[expect(dead_code, reason = "it is decoded and not carried out")] ProbeRequest),
    Diagnose {
        #[serde(rename = "examination")]
        _examination: Box<Examination>,
        places: Option<easy_cluster_probe::machine::Places>,
    },
}

/// Requests that carry the most.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Requests {
    Plan(Box<Inputs>),
    Recheck { plan: Box<Plan>, snapshot: Snapshot, rows: Option<Vec<RowDifference>> },
    RenderPlan { plan: Box<Plan> },
    RenderProblems { problems: Vec<Problem> },
    Diagnose { examination: Box<Examination> },
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Outcome {
    Ok(Term),
    Error(Vec<Problem>),
}

/// What can be read can be written, and is read again as the same.
fn comes_back<T: Serialize + for<'de> Deserialize<'de> + PartialEq + fmt::Debug>(bytes: &[u8]) {
    let Ok(value) = from_bytes::<T>(bytes) else { return };
    // Erlang has no atoms of more than 255 characters, and no floats that are not numbers.
    let Ok(written) = to_bytes(&value) else { return };
    assert_eq!(from_bytes::<T>(&written), Ok(value));
}

fn answered(request: &[u8]) {
    let told = answer(request);
    assert_eq!(answer(request), told, "the same question, the same answer");
    match from_bytes::<Outcome>(&told).expect("an answer can be read") {
        Outcome::Ok(result) => {
            assert!(from_bytes::<IgnoredAny>(request).is_ok(), "what is no term is refused");
            assert_eq!(to_bytes(&result).and_then(|bytes| from_bytes(&bytes)), Ok(result));
        }
        Outcome::Error(problems) => {
            assert!(!problems.is_empty());
            for problem in problems {
                let words = problem.to_string();
                assert!(!words.contains("the core failed inside"), "{words}");
                if let Problem::BadRequest { reason } = problem {
                    assert!(reason.len() < 1_100, "{reason}");
                }
            }
        }
    }
}

/// Any term of the contract.
#[derive(Debug, PartialEq)]
enum Term {
    Nothing,
    Flag(bool),
    Number(i128),
    Float(f64),
    Text(String),
    Bytes(Vec<u8>),
    List(Vec<Term>),
    Map(Vec<(Term, Term)>),
}

impl<'de> Deserialize<'de> for Term {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct AnyTerm;
        impl<'de> Visitor<'de> for AnyTerm {
            type Value = Term;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a term")
            }

            fn visit_none<E>(self) -> Result<Term, E> {
                Ok(Term::Nothing)
            }

            fn visit_bool<E>(self, flag: bool) -> Result<Term, E> {
                Ok(Term::Flag(flag))
            }

            fn visit_i64<E>(self, number: i64) -> Result<Term, E> {
                Ok(Term::Number(number.into()))
            }

            fn visit_u64<E>(self, number: u64) -> Result<Term, E> {
                Ok(Term::Number(number.into()))
            }

            fn visit_f64<E>(self, number: f64) -> Result<Term, E> {
                Ok(Term::Float(number))
            }

            fn visit_str<E>(self, text: &str) -> Result<Term, E> {
                Ok(Term::Text(text.to_owned()))
            }

            fn visit_bytes<E>(self, bytes: &[u8]) -> Result<Term, E> {
                Ok(Term::Bytes(bytes.to_vec()))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Term, A::Error> {
                let mut elements = Vec::new();
                while let Some(element) = seq.next_element()? {
                    elements.push(element);
                }
                Ok(Term::List(elements))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Term, A::Error> {
                let mut pairs = Vec::new();
                while let Some(pair) = map.next_entry()? {
                    pairs.push(pair);
                }
                Ok(Term::Map(pairs))
            }
        }
        deserializer.deserialize_any(AnyTerm)
    }
}

impl Serialize for Term {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Nothing => serializer.serialize_none(),
            Self::Flag(flag) => serializer.serialize_bool(*flag),
            Self::Number(number) => match (i64::try_from(*number), u64::try_from(*number)) {
                (Ok(signed), _) => serializer.serialize_i64(signed),
                (Err(_), Ok(unsigned)) => serializer.serialize_u64(unsigned),
                (Err(_), Err(_)) => Err(serde::ser::Error::custom("beyond 64 bits")),
            },
            Self::Float(number) => serializer.serialize_f64(*number),
            Self::Text(text) => serializer.serialize_str(text),
            Self::Bytes(bytes) => serializer.serialize_bytes(bytes),
            Self::List(elements) => serializer.collect_seq(elements),
            Self::Map(pairs) => {
                let mut map = serializer.serialize_map(Some(pairs.len()))?;
                for (key, value) in pairs {
                    map.serialize_entry(key, value)?;
                }
                map.end()
            }
        }
    }
}
