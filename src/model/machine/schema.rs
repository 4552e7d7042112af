//! Whose database a directory holds, read from its `schema.DAT` without Mnesia.
//!
//! The file is a dets table of version 9. Its objects are `{schema, Table, Properties}` in external term format; each
//! group of them has a size and a mark in front that tells living ones from those that were freed.

use crate::model::name::NodeName;

/// What stands in a dets file behind the pointer to its free space.
const DETS: u32 = 0x00ab_cdef;
/// Marks a group of objects that is in use.
const ACTIVE: u32 = 0x1234_5678;
/// Of the term formats.
const MAX_DEPTH: u32 = 32;

/// The nodes that hold the schema, which are the members of the cluster. One that is alone names itself only.
///
/// # Errors
/// Why the file does not tell it.
pub fn parse(bytes: &[u8]) -> Result<Vec<NodeName>, String> {
    if word(bytes, 4) != Some(DETS) {
        return Err("it is not a dets file".into());
    }
    let mut at = 8;
    // Marks may overlap in a file that was made to. An honest one is read once.
    let mut budget = bytes.len();
    // Every offset is tried: a file that was cut or written over still has the other objects.
    while let Some(mark) = word(bytes, at) {
        if mark == ACTIVE
            && let Some(members) = group(bytes, at, &mut budget)
        {
            return Ok(members);
        }
        at += 1;
    }
    Err("it has no definition of the table schema: it was cut off or is damaged".into())
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    let four = bytes.get(at..at.checked_add(4)?)?;
    <[u8; 4]>::try_from(four).ok().map(u32::from_be_bytes)
}

/// The members that the group whose mark stands at `mark` names, if the schema's definition is in it.
fn group(bytes: &[u8], mark: usize, budget: &mut usize) -> Option<Vec<NodeName>> {
    let size = usize::try_from(word(bytes, mark.checked_sub(4)?)?).ok()?;
    let start = mark + 4;
    let group = bytes.get(start..start.checked_add(size)?.min(bytes.len()))?;
    let mut rest = group;
    loop {
        *budget = budget.checked_sub(4)?;
        let length = usize::try_from(word(rest, 0)?).ok()?;
        let object = rest.get(4..length.checked_add(4)?)?;
        if let Some(members) = members(object, budget) {
            return Some(members);
        }
        rest = rest.get(length + 4..)?;
    }
}

fn members(object: &[u8], budget: &mut usize) -> Option<Vec<NodeName>> {
    let Reading::Tuple(parts) = (Terms { bytes: object.strip_prefix(&[131])?, budget }).term(0)? else {
        return None;
    };
    let [Reading::Atom(table), Reading::Atom(name), Reading::List(properties)] = parts.as_slice() else {
        return None;
    };
    if table != "schema" || name != "schema" {
        return None;
    }
    let mut members = Vec::new();
    for property in properties {
        let Reading::Tuple(pair) = property else { continue };
        let [Reading::Atom(key), Reading::List(nodes)] = pair.as_slice() else { continue };
        if ["disc_copies", "ram_copies", "disc_only_copies"].contains(&key.as_str()) {
            members.extend(nodes.iter().filter_map(|node| match node {
                Reading::Atom(node) => Some(NodeName::from(node.as_str())),
                Reading::Tuple(_) | Reading::List(_) | Reading::Other => None,
            }));
        }
    }
    members.sort_unstable();
    members.dedup();
    (!members.is_empty()).then_some(members)
}

/// A term, as far as it is looked at.
enum Reading {
    Atom(String),
    Tuple(Vec<Reading>),
    List(Vec<Reading>),
    Other,
}

/// External term format. Lengths are believed only as far as there are bytes: every element takes one at least.
struct Terms<'b, 'l> {
    bytes: &'b [u8],
    /// Terms, and four times objects, that may still be read.
    budget: &'l mut usize,
}

impl<'b> Terms<'b, '_> {
    fn take(&mut self, count: usize) -> Option<&'b [u8]> {
        let (taken, rest) = self.bytes.split_at_checked(count)?;
        self.bytes = rest;
        Some(taken)
    }

    fn number(&mut self, width: usize) -> Option<usize> {
        let number = self.take(width)?.iter().fold(0_u32, |number, byte| (number << 8) | u32::from(*byte));
        usize::try_from(number).ok()
    }

    fn term(&mut self, depth: u32) -> Option<Reading> {
        if depth > MAX_DEPTH {
            return None;
        }
        *self.budget = self.budget.checked_sub(1)?;
        let tag = *self.take(1)?.first()?;
        let (length_width, tail) = match tag {
            // Small and large integers, floats, the empty list.
            97 => (0, 1),
            98 => (0, 4),
            70 => (0, 8),
            99 => (0, 31),
            106 => return Some(Reading::List(Vec::new())),
            // Atoms in Latin-1 and UTF-8.
            100 | 118 => return self.atom(2),
            115 | 119 => return self.atom(1),
            104 => return self.elements(1, depth).map(Reading::Tuple),
            105 => return self.elements(4, depth).map(Reading::Tuple),
            108 => {
                let elements = self.elements(4, depth)?;
                self.term(depth + 1)?;
                return Some(Reading::List(elements));
            }
            // Strings, binaries, big numbers with their sign.
            107 => (2, 0),
            109 => (4, 0),
            110 => (1, 1),
            111 => (4, 1),
            116 => {
                let pairs = self.number(4)?;
                for _ in 0..pairs.checked_mul(2)? {
                    self.term(depth + 1)?;
                }
                return Some(Reading::Other);
            }
            // Pids, references and functions have no place in a definition that matters.
            _other_tag => return None,
        };
        let length = if length_width == 0 { 0 } else { self.number(length_width)? };
        self.take(length.checked_add(tail)?)?;
        Some(Reading::Other)
    }

    fn atom(&mut self, width: usize) -> Option<Reading> {
        let length = self.number(width)?;
        Some(Reading::Atom(String::from_utf8_lossy(self.take(length)?).into_owned()))
    }

    fn elements(&mut self, width: usize, depth: u32) -> Option<Vec<Reading>> {
        let count = self.number(width)?;
        let mut elements = Vec::new();
        for _ in 0..count {
            elements.push(self.term(depth + 1)?);
        }
        Some(elements)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `{schema, schema, [{disc_copies, [Node]}, {cookie, {1.0, 2}}]}` as OTP 25 and OTP 26 write atoms.
    fn file(node: &str, utf8: bool, mark: u32) -> Vec<u8> {
        table("schema", node, utf8, mark)
    }

    fn table(name: &str, node: &str, utf8: bool, mark: u32) -> Vec<u8> {
        let atom = |text: &str| {
            let mut bytes = if utf8 { vec![119] } else { vec![100, 0] };
            bytes.push(u8::try_from(text.len()).unwrap());
            bytes.extend(text.as_bytes());
            bytes
        };
        let mut term = vec![131, 104, 3];
        term.extend(
            [atom("schema"), atom(name), vec![108, 0, 0, 0, 2, 104, 2], atom("disc_copies")].concat(),
        );
        term.extend([vec![108, 0, 0, 0, 1], atom(node), vec![106, 104, 2], atom("cookie")].concat());
        term.extend([&[104, 2, 70][..], &[0; 8], &[97, 2, 106]].concat());
        let length = u32::try_from(term.len()).unwrap();
        let words = [0, DETS, 0, 0, length + 8, mark, length].map(u32::to_be_bytes).concat();
        [words, term].concat()
    }

    #[test]
    fn the_owner_is_read_as_every_release_writes_it() {
        for utf8 in [false, true] {
            assert_eq!(parse(&file("ejabberd@foo.bar", utf8, ACTIVE)), Ok(vec!["ejabberd@foo.bar".into()]));
        }
    }

    #[test]
    fn what_was_freed_does_not_count() {
        let freed = file("old@foo.bar", false, 0x03ab_cdef);
        let living = file("new@foo.bar", false, ACTIVE);
        assert_eq!(parse(&[freed, living].concat()), Ok(vec!["new@foo.bar".into()]));
    }

    #[test]
    fn other_tables_name_no_member() {
        let other = table("passwd", "other@foo.bar", false, ACTIVE);
        assert!(parse(&other).is_err());
        let own = file("own@foo.bar", false, ACTIVE);
        assert_eq!(parse(&[other, own].concat()), Ok(vec!["own@foo.bar".into()]));
    }

    #[test]
    fn a_file_that_was_cut_anywhere_is_refused() {
        let whole = file("ejabberd@foo.bar", false, ACTIVE);
        for length in 0..whole.len() {
            assert!(parse(&whole[..length]).is_err(), "{length} bytes");
        }
    }

    /// Read again from each mark to the end, these eight megabytes would take an hour.
    #[test]
    fn groups_that_lie_within_each_other_are_read_once() {
        let nested = [1 << 30, ACTIVE, 12, 0].map(u32::to_be_bytes).concat().repeat(1 << 19);
        let head = [0, DETS].map(u32::to_be_bytes).concat();
        assert!(parse(&[head, nested].concat()).is_err());
    }

    #[test]
    fn lengths_are_not_believed() {
        let mut lying = file("ejabberd@foo.bar", true, ACTIVE);
        for at in 16..lying.len() {
            let kept = lying[at];
            lying[at] = 255;
            // It may be refused or read, and does not take memory for what is not there.
            let _ = parse(&lying);
            lying[at] = kept;
        }
        let bomb = [
            [0, DETS, 0, 0, 1 << 30, ACTIVE, 100].map(u32::to_be_bytes).concat(),
            vec![131, 105, 255, 255, 255, 255],
        ];
        assert!(parse(&bomb.concat()).is_err());
    }
}
