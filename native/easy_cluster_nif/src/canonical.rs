//! Bytes of a term that are the same on every node and every OTP release, and differ for terms that differ.
//!
//! `term_to_binary/2` is not that: the bytes of atoms, ports and references differ between releases. A term begins with a tag;
//! integers and floats that compare equal have different ones. The pairs of a map are in the order of their keys' bytes.
//! What a local fun does depends on the code that a node has loaded, so that it has no such bytes.

use rustler::codegen_runtime::ErlNifTerm;
use rustler::dynamic::get_type;
use rustler::types::map::MapIterator;
use rustler::types::tuple::get_tuple;
use rustler::{Binary, Term, TermType};

/// What stands before the bytes of a term. 0 and 1 end a list, so no tag is either.
#[derive(Clone, Copy)]
enum Tag {
    ListEnd = 0,
    ImproperTail = 1,
    SmallInteger = 2,
    LargeInteger = 3,
    Float = 4,
    Atom = 5,
    Binary = 6,
    Bits = 7,
    Tuple = 8,
    List = 9,
    Map = 10,
    Pid = 11,
    Port = 12,
    Reference = 13,
    ExternalFun = 14,
}

/// A term without canonical bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotComparable;

type Written = Result<(), NotComparable>;

/// What is left to write of the terms around the one that is being written.
enum Open<'a> {
    Tuple(std::vec::IntoIter<Term<'a>>),
    List(Term<'a>),
    Map { from: usize, pairs: Box<MapIterator<'a>>, value: Option<Term<'a>>, written: Vec<Pair> },
}

/// Where the bytes of a key and its value begin and end.
struct Pair {
    key: usize,
    value: usize,
    end: usize,
}

/// Writes terms one after another into one buffer. Terms may be nested as deeply as memory permits.
#[derive(Default)]
pub struct Writer {
    /// The bytes of the last terms.
    pub bytes: Vec<u8>,
    atoms: Vec<(ErlNifTerm, Vec<u8>)>,
}

/// So many atoms are remembered by a writer; rows repeat a few.
const ATOMS: usize = 64;

impl Writer {
    /// Adds the bytes of the term.
    pub fn write(&mut self, term: Term<'_>) -> Written {
        let mut open = Vec::new();
        self.begin(term, &mut open)?;
        while let Some(mut innermost) = open.pop() {
            if let Some(next) = self.proceed(&mut innermost) {
                open.push(innermost);
                self.begin(next, &mut open)?;
            }
        }
        Ok(())
    }

    /// Writes a term without parts; of another, what comes before its parts.
    fn begin<'a>(&mut self, term: Term<'a>, open: &mut Vec<Open<'a>>) -> Written {
        match get_type(term) {
            TermType::Integer => self.integer(term)?,
            TermType::Float => {
                let float: f64 = term.decode().map_err(|_| NotComparable)?;
                self.tagged(Tag::Float, &float.to_bits().to_le_bytes());
            }
            TermType::Atom => self.atom(term)?,
            TermType::Binary => self.bits(term)?,
            TermType::Tuple => {
                let parts = get_tuple(term).map_err(|_| NotComparable)?;
                self.tagged(Tag::Tuple, &length(parts.len()));
                open.push(Open::Tuple(parts.into_iter()));
            }
            TermType::List => {
                self.tag(Tag::List);
                open.push(Open::List(term));
            }
            TermType::Map => {
                let pairs = Box::new(MapIterator::new(term).ok_or(NotComparable)?);
                self.tagged(Tag::Map, &length(term.map_size().map_err(|_| NotComparable)?));
                open.push(Open::Map { from: self.bytes.len(), pairs, value: None, written: Vec::new() });
            }
            TermType::Pid | TermType::Port | TermType::Ref | TermType::Fun => {
                external(term.to_binary().as_slice(), &mut self.bytes)?;
            }
            TermType::Unknown => return Err(NotComparable),
        }
        Ok(())
    }

    /// The next part of a term; none when it is whole.
    fn proceed<'a>(&mut self, open: &mut Open<'a>) -> Option<Term<'a>> {
        match open {
            Open::Tuple(parts) => parts.next(),
            Open::List(rest) => {
                if let Ok((head, tail)) = rest.list_get_cell() {
                    *rest = tail;
                    return Some(head);
                }
                if rest.is_empty_list() {
                    self.tag(Tag::ListEnd);
                    return None;
                }
                self.tag(Tag::ImproperTail);
                // The tail is the last part; behind it there is nothing but the end.
                let tail = *rest;
                *open = Open::Tuple(Vec::new().into_iter());
                Some(tail)
            }
            Open::Map { from, pairs, value, written } => {
                if let Some(pair) = written.last_mut() {
                    match value {
                        Some(_) => pair.value = self.bytes.len(),
                        None => pair.end = self.bytes.len(),
                    }
                }
                if let Some(value) = value.take() {
                    return Some(value);
                }
                if let Some((key, its_value)) = pairs.next() {
                    *value = Some(its_value);
                    written.push(Pair { key: self.bytes.len(), value: 0, end: 0 });
                    return Some(key);
                }
                self.sort(*from, written);
                None
            }
        }
    }

    fn sort(&mut self, from: usize, pairs: &mut [Pair]) {
        let bytes = |from: usize, to: usize| self.bytes.get(from..to).unwrap_or_default();
        pairs.sort_unstable_by(|one, other| bytes(one.key, one.value).cmp(bytes(other.key, other.value)));
        let sorted: Vec<u8> = pairs.iter().flat_map(|pair| bytes(pair.key, pair.end)).copied().collect();
        self.bytes.truncate(from);
        self.bytes.extend_from_slice(&sorted);
    }

    fn tag(&mut self, tag: Tag) {
        self.bytes.push(tag as u8);
    }

    fn tagged(&mut self, tag: Tag, bytes: &[u8]) {
        self.tag(tag);
        self.bytes.extend_from_slice(bytes);
    }

    fn sized(&mut self, tag: Tag, bytes: &[u8]) {
        self.tagged(tag, &length(bytes.len()));
        self.bytes.extend_from_slice(bytes);
    }

    fn integer(&mut self, term: Term<'_>) -> Written {
        if let Ok(small) = term.decode::<i64>() {
            self.tagged(Tag::SmallInteger, &small.to_le_bytes());
            return Ok(());
        }
        // SMALL_BIG_EXT has one byte for the length, LARGE_BIG_EXT four; then the sign and the magnitude.
        match term.to_binary().as_slice() {
            [131, 110, _, digits @ ..] | [131, 111, _, _, _, _, digits @ ..] => {
                self.sized(Tag::LargeInteger, digits)
            }
            _ => return Err(NotComparable),
        }
        Ok(())
    }

    fn atom(&mut self, term: Term<'_>) -> Written {
        let handle = term.as_c_arg();
        let known = self.atoms.iter().position(|(atom, _)| *atom == handle);
        let at = match known {
            Some(at) => at,
            None => {
                let mut name = Vec::new();
                atom_name(term, &mut name)?;
                if self.atoms.len() == ATOMS {
                    self.atoms.clear();
                }
                self.atoms.push((handle, name));
                self.atoms.len() - 1
            }
        };
        if let Some((_, name)) = self.atoms.get(at) {
            self.bytes.push(Tag::Atom as u8);
            self.bytes.extend_from_slice(&length(name.len()));
            self.bytes.extend_from_slice(name);
        }
        Ok(())
    }

    fn bits(&mut self, term: Term<'_>) -> Written {
        if let Ok(whole) = Binary::from_term(term) {
            self.sized(Tag::Binary, whole.as_slice());
            return Ok(());
        }
        // BIT_BINARY_EXT: the bytes, and how many bits of the last one count, from its top.
        match term.to_binary().as_slice() {
            [131, 77, _, _, _, _, used, bytes @ .., last] => {
                self.tagged(Tag::Bits, &[*used]);
                self.bytes.extend_from_slice(&length(bytes.len()));
                self.bytes.extend_from_slice(bytes);
                self.bytes.push(last & !(0xff_u8.checked_shr(u32::from(*used)).unwrap_or(0)));
            }
            _ => return Err(NotComparable),
        }
        Ok(())
    }
}

fn length(length: usize) -> [u8; 8] {
    (length as u64).to_le_bytes()
}

fn atom_name(term: Term<'_>, into: &mut Vec<u8>) -> Written {
    if let Ok(latin1) = term.atom_to_string() {
        into.extend_from_slice(latin1.as_bytes());
        return Ok(());
    }
    let external = term.to_binary();
    let mut rest = external.as_slice().get(1..).ok_or(NotComparable)?;
    let name = atom_ext(&mut rest)?;
    into.extend_from_slice(&name);
    Ok(())
}

/// Takes an atom from external term format: UTF-8, or Latin-1 as releases before 26 have it.
fn atom_ext(rest: &mut &[u8]) -> Result<Vec<u8>, NotComparable> {
    let tag = take(rest, 1)?[0];
    let length = match tag {
        100 | 118 => take(rest, 2)?.iter().fold(0, |sum, byte| sum << 8 | usize::from(*byte)),
        115 | 119 => usize::from(take(rest, 1)?[0]),
        _ => return Err(NotComparable),
    };
    let name = take(rest, length)?;
    Ok(match tag {
        118 | 119 => name.to_vec(),
        _ => name.iter().map(|byte| char::from(*byte)).collect::<String>().into_bytes(),
    })
}

fn take<'b>(rest: &mut &'b [u8], count: usize) -> Result<&'b [u8], NotComparable> {
    let (taken, left) = rest.split_at_checked(count).ok_or(NotComparable)?;
    *rest = left;
    Ok(taken)
}

/// Writes what external term format says of a pid, port, reference or `fun m:f/a`, whose tags differ between releases.
fn external(bytes: &[u8], into: &mut Vec<u8>) -> Written {
    let rest = &mut bytes.get(1..).ok_or(NotComparable)?;
    let tag = take(rest, 1)?[0];
    let own = match tag {
        88 => Tag::Pid,
        89 | 120 => Tag::Port,
        90 => Tag::Reference,
        113 => Tag::ExternalFun,
        _ => return Err(NotComparable),
    };
    into.push(own as u8);
    // The number of words of a reference comes before its node.
    let words = if tag == 90 { take(rest, 2)?.to_vec() } else { Vec::new() };
    let atoms = if tag == 113 { 2 } else { 1 };
    for _ in 0..atoms {
        let name = atom_ext(rest)?;
        into.extend_from_slice(&length(name.len()));
        into.extend_from_slice(&name);
    }
    into.extend_from_slice(&words);
    if tag == 89 {
        // A port's number has 32 bits here, and 64 in V4_PORT_EXT.
        into.extend_from_slice(&[0; 4]);
    }
    into.extend_from_slice(rest);
    Ok(())
}
