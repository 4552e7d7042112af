//! What a collector puts before each line: a time, a name, a level, a bracket, in any order and number.
//!
//! No tool is known here. A line is held against the one before: what both begin with alike (the same characters, any
//! digits) is a column where a record begins behind it, or where what follows goes on. A column that was seen is taken
//! off from then on.

/// So much of a line may be columns, bytes.
const HEAD: usize = 256;
/// So many places of a line may end its columns.
const ENDS: usize = 48;
/// A time to the microsecond, bytes.
const MOMENT: usize = 26;
/// What stands for a JSON object around a line, which is a column too.
pub(super) const OBJECT: char = '\u{1}';

/// Where a line belongs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// No program wrote anything on it.
    Empty,
    /// It begins a record.
    Begins,
    /// It goes on with the record before; what the program wrote begins at this byte.
    GoesOn(usize),
    /// It goes on in the middle of a word.
    Glued(usize),
}

/// The columns of a log, learned line by line.
#[derive(Debug, Default)]
pub(super) struct Columns {
    /// The beginning of the line before.
    before: String,
    /// The column as it stood when it was learned; empty where there is none.
    column: String,
    /// Records behind the column have beginnings of their own.
    outer: bool,
    /// A container's log has cut the line before, wherever that was.
    partial: bool,
    /// Behind the time that the line before begins with stands another one.
    twice: bool,
}

impl Columns {
    /// Where a line belongs that has no escapes any more. `stars`: the record before ends with `**`.
    pub(super) fn place(&mut self, line: &str, stars: bool) -> Place {
        let place = self.decide(line, stars);
        let head = head(line);
        let behind = if begins_own(line) { behind_time(head) } else { "" };
        self.twice = begins_own(behind);
        self.partial = behind.starts_with("stdout P ") || behind.starts_with("stderr P ");
        self.before.clear();
        self.before.push_str(head);
        place
    }

    /// Whether a line that begins with a time need not be held against the one before: most lines of most logs.
    fn stands_alone(&self, line: &str) -> bool {
        let head = head(line);
        let moment = head.as_bytes().get(..MOMENT);
        self.column.is_empty()
            && !self.twice
            && begins_own(line)
            && !head.contains("  ")
            && !head.contains("**")
            && (moment.is_none() || moment != self.before.as_bytes().get(..MOMENT))
    }

    fn decide(&mut self, line: &str, stars: bool) -> Place {
        if line.trim_ascii().is_empty() {
            return Place::Empty;
        }
        if self.partial
            && let Some(at) = behind_flag(line)
        {
            return Place::Glued(at);
        }
        if self.stands_alone(line) {
            return Place::Begins;
        }
        let known = self.known(line);
        if let Some(at) = known {
            let rest = line.get(at..).unwrap_or_default();
            if rest.trim_ascii().is_empty() {
                return Place::Empty;
            }
            let goes_on = if self.outer {
                !begins_record(rest.trim_ascii_start())
            } else {
                is_indented(rest) && !begins_record(rest.trim_ascii_start())
            };
            if goes_on {
                return Place::GoesOn(at);
            }
        }
        let place = if self.before.is_empty() { None } else { self.learn(line, stars) };
        if let Some(place) = place {
            return place;
        }
        let own = known.and_then(|at| line.get(at..)).unwrap_or(line);
        if begins_record(own.trim_ascii_start())
            || begins_record(line.trim_ascii_start())
            || begins_with_time(line)
        {
            return Place::Begins;
        }
        Place::GoesOn(0)
    }

    /// Where the column ends in a line that has it.
    fn known(&self, line: &str) -> Option<usize> {
        if self.column.is_empty() {
            return None;
        }
        let mut ends = Ends::default();
        let (of_column, of_line) = alike(self.column.as_bytes(), head(line).as_bytes(), &mut ends);
        if of_column == self.column.len() {
            return Some(of_line);
        }
        // A line without anything behind its column may lack the blank, too.
        let only = of_line == line.trim_ascii_end().len() && of_column >= self.column.trim_ascii_end().len();
        only.then_some(line.len())
    }

    /// Holds a line against the one before.
    fn learn(&mut self, line: &str, stars: bool) -> Option<Place> {
        let mut ends = Ends::default();
        let (of_before, of_line) = alike(self.before.as_bytes(), head(line).as_bytes(), &mut ends);
        if of_line == line.trim_ascii_end().len() {
            // It may be a column and nothing else.
            let rest = self.before.get(of_before..).unwrap_or_default();
            let is_column = rest.starts_with(' ') && begins_own(rest.trim_ascii_start());
            return is_column.then_some(Place::Empty);
        }
        for (at_before, at) in ends.last_first() {
            let (Some(column), Some(rest)) = (line.get(..at), line.get(at..)) else { continue };
            let Some(former) = self.before.get(at_before..) else { continue };
            if column.trim_ascii().is_empty() {
                break;
            }
            let after_stars = stars && rest.starts_with("**") && first_word(rest) != first_word(former);
            let indented = is_indented_behind(column, rest, former);
            let begun = begins_record(former);
            let alike = at + 8 > of_line && self.before.get(..at_before) == Some(column);
            if !(after_stars || indented || begun || alike) {
                continue;
            }
            if rest.trim_ascii().is_empty() {
                return Some(Place::Empty);
            }
            if begins_record(rest.trim_ascii_start()) {
                // It was no column of the collector's, or more than that.
                continue;
            }
            let outer = begun && (begins_own(former) || !has_time(column));
            let one_moment = alike && has_time(column) && is_of_one_moment(column);
            if outer || after_stars || indented || one_moment {
                if outer || self.column.is_empty() || !self.outer {
                    column.clone_into(&mut self.column);
                    self.outer = outer;
                }
                return Some(Place::GoesOn(at));
            }
        }
        None
    }
}

/// The places where columns may end, in the line before and in this one.
struct Ends {
    places: [(usize, usize); ENDS],
    count: usize,
}

impl Default for Ends {
    fn default() -> Self {
        Self { places: [(0, 0); ENDS], count: 0 }
    }
}

impl Ends {
    fn push(&mut self, before: usize, line: usize) {
        if let Some(place) = self.places.get_mut(self.count) {
            *place = (before, line);
            self.count += 1;
        }
    }

    fn last_first(&self) -> impl Iterator<Item = (usize, usize)> {
        self.places.iter().take(self.count).rev().copied()
    }
}

/// How far two lines begin alike: the same characters, any digits, any sign of `grep` for a hit or its neighbour.
fn alike(one: &[u8], other: &[u8], ends: &mut Ends) -> (usize, usize) {
    let (mut i, mut j) = (0, 0);
    while let (Some(&a), Some(&b)) = (one.get(i), other.get(j)) {
        if a.is_ascii_digit() && b.is_ascii_digit() {
            i += run(one, i, u8::is_ascii_digit);
            j += run(other, j, u8::is_ascii_digit);
        } else if a == b'@' && b == a && is_tai64n(one, i) && is_tai64n(other, j) {
            i += 25;
            j += 25;
        } else if a == b && matches!(a, b' ' | b'\t') {
            let same = |byte: &u8| *byte == a;
            let (of_one, of_other) = (run(one, i, same), run(other, j, same));
            let both = of_one.min(of_other);
            ends.push(i + both, j + both);
            i += both;
            j += both;
            if of_one != of_other {
                break;
            }
        } else if a == b {
            i += 1;
            j += 1;
            let quoted =
                matches!(a, b'"' | b'\'') && i > 1 && matches!(one.get(i - 2), Some(b'=' | b',' | b':'));
            if quoted || matches!(a, b'|' | b':' | b'-' | b'>' | b']') || a == OBJECT as u8 {
                ends.push(i, j);
            }
        } else if matches!((a, b), (b':', b'-') | (b'-', b':')) {
            i += 1;
            j += 1;
            ends.push(i, j);
        } else if is_flag(one, i, a) && is_flag(other, j, b) {
            i += 1;
            j += 1;
        } else if let (Some(b"std"), Some(b"out" | b"err"), Some(b"out" | b"err")) =
            (i.checked_sub(3).and_then(|from| one.get(from..i)), one.get(i..i + 3), other.get(j..j + 3))
        {
            i += 3;
            j += 3;
        } else {
            break;
        }
    }
    (i, j)
}

/// `@4000000065f1a2b33b9aca00`.
fn is_tai64n(line: &[u8], at: usize) -> bool {
    line.get(at + 1..at + 25).is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit))
}

/// Containers' logs have an F or a P between blanks: a full line, or a part of one.
fn is_flag(line: &[u8], at: usize, byte: u8) -> bool {
    let blank = |place: Option<usize>| place.and_then(|place| line.get(place)) == Some(&b' ');
    matches!(byte, b'F' | b'P') && blank(at.checked_sub(1)) && blank(Some(at + 1))
}

fn run(line: &[u8], from: usize, belongs: impl Fn(&u8) -> bool) -> usize {
    line.get(from..).unwrap_or_default().iter().take_while(|byte| belongs(byte)).count()
}

fn head(line: &str) -> &str {
    line.get(..line.floor_char_boundary(HEAD)).unwrap_or_default()
}

fn is_indented(rest: &str) -> bool {
    rest.starts_with([' ', '\t'])
}

/// Indented further than the column's own blank.
fn is_indented_behind(column: &str, rest: &str, former: &str) -> bool {
    let blanks = run(rest.as_bytes(), 0, u8::is_ascii_whitespace);
    let tight = blanks > 1 || !is_indented(former);
    blanks > 0 && (column.ends_with([' ', '\t', OBJECT]) || tight && column.ends_with([':', '-', '|']))
}

/// The word behind the stars that a message begins with.
fn first_word(text: &str) -> Option<&str> {
    text.trim_start_matches(['*', ' ']).split(' ').next()
}

/// A record of a log begins with its time, its title, a JSON object, or a word that begins nothing else.
pub(super) fn begins_record(own: &str) -> bool {
    begins_own(own)
        || own.starts_with("{\"")
            && own.get(..own.floor_char_boundary(48)).is_some_and(|head| head.contains("\":"))
        || own.starts_with("Mnesia(")
        || own.starts_with("Protocol ")
}

/// A time or a title, which is never a part of a message.
pub(super) fn begins_own(own: &str) -> bool {
    let bytes = own.as_bytes();
    let digit = |at: usize| bytes.get(at).is_some_and(u8::is_ascii_digit);
    let is = |at: usize, byte: u8| bytes.get(at) == Some(&byte);
    let date = |at: usize| digit(at) && digit(at + 1) && digit(at + 2) && digit(at + 3) && is(at + 4, b'-');
    let time = digit(0) && digit(1) && is(2, b':') && digit(3) && digit(4) && is(5, b':');
    match bytes.first() {
        Some(b'0'..=b'9') => date(0) || time,
        Some(b'[') => date(1),
        Some(b'=') => own.contains("REPORT===="),
        Some(b'{') => own.starts_with("{error_logger,"),
        Some(&first) => first == OBJECT as u8,
        None => false,
    }
}

/// Where the text begins in a line of a container's log: behind the time, the stream and the flag.
fn behind_flag(line: &str) -> Option<usize> {
    let behind = behind_time(line);
    let flags = ["stdout F ", "stdout P ", "stderr F ", "stderr P "];
    let flag = flags.iter().find(|flag| behind.starts_with(**flag))?;
    Some(line.len() - behind.len() + flag.len())
}

/// What follows the time that a line begins with.
fn behind_time(line: &str) -> &str {
    let bytes = line.as_bytes();
    let of_time =
        |byte: u8| byte.is_ascii_digit() || matches!(byte, b':' | b'.' | b',' | b'+' | b'-' | b'T' | b'Z');
    let mut at = 0;
    while bytes.get(at).is_some_and(|byte| of_time(*byte)) {
        at += 1;
        // A date and its time are one.
        if at == 10 && bytes.get(at) == Some(&b' ') && bytes.get(at + 1).is_some_and(u8::is_ascii_digit) {
            at += 1;
        }
    }
    line.get(at..).unwrap_or_default().trim_ascii_start()
}

/// A time within the first words, as system logs have it, or a number that can only be one.
fn begins_with_time(line: &str) -> bool {
    if is_indented(line) {
        return false;
    }
    let words = head(line).split([' ', '\t']).filter(|word| !word.is_empty()).take(7);
    words.take_while(|word| !word.contains(['*', '{', '(', '"'])).any(has_time)
}

/// `07:10:29`, seconds since 1970, or TAI64N.
pub(super) fn has_time(text: &str) -> bool {
    let bytes = text.as_bytes();
    if bytes.contains(&(OBJECT as u8)) {
        return true;
    }
    let digits = |at: usize| {
        bytes.get(at).is_some_and(u8::is_ascii_digit) && bytes.get(at + 1).is_some_and(u8::is_ascii_digit)
    };
    let clock = |at: usize| {
        bytes.get(at) == Some(&b':') && digits(at + 1) && bytes.get(at + 3) == Some(&b':') && digits(at + 4)
    };
    let is_clock = bytes.iter().enumerate().any(|(at, byte)| *byte == b':' && clock(at));
    is_clock || text.contains("@4000000") || longest_number(bytes) >= 10
}

fn longest_number(bytes: &[u8]) -> usize {
    bytes.split(|byte| !byte.is_ascii_digit()).map(<[u8]>::len).max().unwrap_or_default()
}

/// A process, and a time to the microsecond: no two records share both.
fn is_of_one_moment(column: &str) -> bool {
    let mut fractions = column.split(['.', ',']).skip(1);
    let precise = fractions.any(|part| run(part.as_bytes(), 0, u8::is_ascii_digit) >= 6);
    precise && column.contains("<0.")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places(lines: &[&str]) -> Vec<Place> {
        let mut columns = Columns::default();
        let mut stars = false;
        lines
            .iter()
            .map(|line| {
                let place = columns.place(line, stars);
                stars = line.trim_ascii_end().ends_with("**");
                place
            })
            .collect()
    }

    #[test]
    fn a_column_is_what_two_lines_begin_with_alike() {
        let lines = ["[pod/a] 2026-11-25 07:10:29 [error] x **", "[pod/a] ** y **", "[pod/a] z"];
        assert_eq!(places(&lines), [Place::Begins, Place::GoesOn(8), Place::GoesOn(8)]);
    }

    #[test]
    fn records_with_times_of_their_own_stay_apart_behind_a_column() {
        let lines =
            ["a | 2026-11-25 07:10:29 x", "a | y", "a | 2026-11-25 07:10:30 x", "a | 2026-11-25 07:10:31 x"];
        assert_eq!(places(&lines)[1..], [Place::GoesOn(4), Place::Begins, Place::Begins]);
    }

    #[test]
    fn a_program_that_repeats_its_own_time_goes_on_where_it_indents() {
        let lines = [
            "2026-11-25 07:10:29.688602+00:00 [warning] <0.235.0> {a,",
            "2026-11-25 07:10:29.688602+00:00 [warning] <0.235.0>    [b,",
            "2026-11-25 07:10:29.688602+00:00 [warning] <0.235.0>   c]}",
            "2026-11-25 07:10:30.688602+00:00 [warning] <0.236.0> d",
        ];
        assert_eq!(places(&lines), [Place::Begins, Place::GoesOn(53), Place::GoesOn(53), Place::Begins]);
    }

    #[test]
    fn two_messages_that_begin_alike_are_no_column() {
        let lines = [
            "Failed RPC connection to the node 'a@b': nodedown",
            "Failed RPC connection to the node 'c@d': nodedown",
        ];
        assert_eq!(places(&lines), [Place::GoesOn(0), Place::GoesOn(0)]);
        let lines = ["Nov 25 07:10:29 a b[1]: Failed RPC", "Nov 25 07:10:29 a b[1]: Failed RPC"];
        assert_eq!(places(&lines), [Place::Begins, Place::Begins]);
    }
}
