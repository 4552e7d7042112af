//! External term format as it lies in Mnesia's files: as much of it as anybody looks at here, the rest passed over.

use crate::model::name::NodeName;

/// What a term begins with.
const VERSION: u8 = 131;
/// Terms that nest deeper are none of ours.
const MAX_DEPTH: u32 = 32;

/// A term, as far as it is looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Reading {
    Atom(String),
    Integer(i64),
    /// A number of more than four bytes: its sign and its digits, as they lie there.
    Big(Vec<u8>),
    Tuple(Vec<Reading>),
    List(Vec<Reading>),
    Other,
}

impl Reading {
    pub(super) fn atom(&self) -> Option<&str> {
        match self {
            Self::Atom(text) => Some(text),
            Self::Integer(_) | Self::Big(_) | Self::Tuple(_) | Self::List(_) | Self::Other => None,
        }
    }

    pub(super) fn tuple(&self) -> Option<&[Self]> {
        match self {
            Self::Tuple(parts) => Some(parts),
            Self::Atom(_) | Self::Integer(_) | Self::Big(_) | Self::List(_) | Self::Other => None,
        }
    }

    pub(super) fn list(&self) -> Option<&[Self]> {
        match self {
            Self::List(elements) => Some(elements),
            Self::Atom(_) | Self::Integer(_) | Self::Big(_) | Self::Tuple(_) | Self::Other => None,
        }
    }

    pub(super) fn integer(&self) -> Option<i64> {
        match self {
            Self::Integer(number) => Some(*number),
            Self::Atom(_) | Self::Big(_) | Self::Tuple(_) | Self::List(_) | Self::Other => None,
        }
    }

    /// The atoms of a list, which are nodes.
    pub(super) fn nodes(&self) -> impl Iterator<Item = NodeName> {
        self.list().unwrap_or_default().iter().filter_map(Self::atom).map(NodeName::from)
    }
}

/// Reads terms one behind the other. Lengths are believed only as far as there are bytes: every element takes one at least.
pub(super) struct Terms<'b, 'l> {
    bytes: &'b [u8],
    /// Terms that may still be read.
    budget: &'l mut usize,
}

impl<'b, 'l> Terms<'b, 'l> {
    /// The terms of an object that begins as external terms do.
    pub(super) fn new(object: &'b [u8], budget: &'l mut usize) -> Option<Self> {
        Some(Self { bytes: object.strip_prefix(&[VERSION])?, budget })
    }

    /// Enters a tuple: how many terms follow.
    pub(super) fn enter(&mut self) -> Option<usize> {
        match self.number(1)? {
            104 => self.number(1),
            105 => self.number(4),
            _other_tag => None,
        }
    }

    /// Enters a list: how many terms follow before its tail.
    pub(super) fn enter_list(&mut self) -> Option<usize> {
        match self.number(1)? {
            106 => Some(0),
            108 => self.number(4),
            _other_tag => None,
        }
    }

    /// Reads a term.
    pub(super) fn next(&mut self) -> Option<Reading> {
        self.term(0)
    }

    /// Passes over a term and returns its bytes.
    pub(super) fn pass(&mut self) -> Option<&'b [u8]> {
        let before = self.bytes;
        self.term(0)?;
        before.get(..before.len().checked_sub(self.bytes.len())?)
    }

    /// Whether a tuple is next.
    pub(super) fn at_tuple(&self) -> bool {
        matches!(self.bytes.first(), Some(104 | 105))
    }

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
        let length = match tag {
            97 => return Some(Reading::Integer(i64::from(*self.take(1)?.first()?))),
            98 => {
                let four: [u8; 4] = self.take(4)?.try_into().ok()?;
                return Some(Reading::Integer(i64::from(i32::from_be_bytes(four))));
            }
            110 => {
                let length = self.number(1)?.checked_add(1)?;
                return Some(Reading::Big(self.take(length)?.to_vec()));
            }
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
            116 => return self.parts(4, 2, depth),
            113 => {
                self.several(3, depth)?;
                return Some(Reading::Other);
            }
            // Floats.
            70 => 8,
            99 => 31,
            // Strings, binaries, bits and the largest numbers, these two with one more byte.
            107 => self.number(2)?,
            109 => self.number(4)?,
            77 | 111 => self.number(4)?.checked_add(1)?,
            // A fun counts the four bytes of its size.
            112 => self.number(4)?.checked_sub(4)?,
            // Ports, pids and references: a node and some bytes.
            102 => self.behind_node(5, depth)?,
            89 => self.behind_node(8, depth)?,
            103 => self.behind_node(9, depth)?,
            88 | 120 => self.behind_node(12, depth)?,
            114 => self.number(2)?.checked_mul(4)?.checked_add(self.behind_node(1, depth)?)?,
            90 => self.number(2)?.checked_mul(4)?.checked_add(self.behind_node(4, depth)?)?,
            _other_tag => return None,
        };
        self.take(length)?;
        Some(Reading::Other)
    }

    fn behind_node(&mut self, length: usize, depth: u32) -> Option<usize> {
        self.term(depth + 1)?.atom().map(|_node| length)
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

    fn parts(&mut self, width: usize, each: usize, depth: u32) -> Option<Reading> {
        let count = self.number(width)?.checked_mul(each)?;
        self.several(count, depth)?;
        Some(Reading::Other)
    }

    fn several(&mut self, count: usize, depth: u32) -> Option<()> {
        for _ in 0..count {
            self.term(depth + 1)?;
        }
        Some(())
    }
}
