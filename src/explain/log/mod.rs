//! From the text of a log to its causes: which known problems are in it, where first, how often.
//!
//! Each line is made plain (`line`) and put behind the one before it, so that a term which was printed over several
//! lines is one text again. The words that patterns begin with are looked for in one pass; only where one is found its
//! pattern is tried, on a bounded piece (`patterns`).

mod column;
mod json;
mod line;
mod patterns;
mod related;
mod secret;
mod source;
mod stream;
mod words;

use std::collections::HashMap;
use std::mem;

use serde::{Deserialize, Serialize};

use crate::explain::known::Paths;
use crate::model::name::NodeName;
use crate::validate::problem::{Bytes, Problem};

pub use related::related;
use source::Sources;
use stream::Stream;
pub use words::{Told, is_local, is_of, words};

/// Sightings that are kept apart; what is beyond is only counted.
pub const MAX_SIGHTINGS: usize = 1_000;
/// Sightings of one code that are kept apart, so that one flood does not hide everything else.
pub const MAX_OF_ONE_CODE: usize = 100;
/// The longest text that [`explain`] takes, bytes.
pub const MAX_TEXT: usize = 10_000_000;

/// The longest quotation of a line, characters.
const QUOTE: usize = 300;
/// Of which so many are from the beginning of the line, where the time is.
const QUOTE_HEAD: usize = 60;
/// Longer lines are taken in pieces of this size, bytes.
const PIECE: usize = 8 << 10;

/// A known problem in a text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sighting {
    /// What it is, with the facts that the text has.
    pub problem: Problem,
    /// The line where it is first, from 1.
    pub line: u64,
    /// How often it is there, with the same facts.
    pub count: u64,
    /// That line, shortened in the middle, without secrets.
    pub text: String,
}

/// All that was found in a text.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Explanation {
    /// In the order of the first lines.
    pub sightings: Vec<Sighting>,
    /// Lines that were read.
    pub lines: u64,
    /// How many more sightings there were, beyond what is kept apart.
    pub left_off: u64,
    /// Another Mnesia product whose text it is; empty where that is not seen.
    pub product: String,
    /// Nodes that wrote in it under their own names.
    pub nodes: Vec<NodeName>,
    /// Where the installation that wrote it has its files, as far as it says.
    pub paths: Paths,
}

/// The known problems in a text, those with the same facts as one.
#[must_use]
pub fn sightings(text: &str) -> Vec<Sighting> {
    let mut explainer = Explainer::new();
    explainer.feed(text.as_bytes());
    explainer.finish().sightings
}

/// The known problems in a text of moderate size.
///
/// # Errors
/// [`Problem::TextTooLong`] beyond [`MAX_TEXT`], [`Problem::NotRecognised`] where nothing known is in it.
pub fn explain(text: &str) -> Result<Explanation, Problem> {
    if text.len() > MAX_TEXT {
        return Err(Problem::TextTooLong { limit: Bytes(MAX_TEXT as u64) });
    }
    let mut explainer = Explainer::new();
    explainer.feed(text.as_bytes());
    let explanation = explainer.finish();
    if explanation.sightings.is_empty() {
        return Err(Problem::NotRecognised { text: beginning(text), product: explanation.product });
    }
    Ok(explanation)
}

/// The same for a text that comes bit by bit and may have any size: constant memory, linear time.
#[derive(Debug, Default)]
pub struct Explainer {
    /// The line that has not ended yet, or the rest of a long one.
    pending: Vec<u8>,
    /// What comes next belongs to a line of which a piece was taken already.
    in_line: bool,
    /// Whose lines these are.
    sources: Sources,
    /// The lines of each source; at least one.
    streams: Vec<Stream>,
    /// The source of the line before.
    current: usize,
    /// Lines were read that have nothing to do with the configuration.
    whole: bool,
    findings: Findings,
}

impl Explainer {
    /// Nothing read yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the next bytes, wherever they begin and end. What is not UTF-8 is replaced.
    pub fn feed(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let end = bytes.iter().position(|byte| *byte == b'\n');
            let (part, rest) = bytes.split_at(end.unwrap_or(bytes.len()));
            self.collect(part);
            bytes = rest.get(1..).unwrap_or_default();
            if end.is_some() {
                self.end_line();
            }
        }
    }

    /// Takes a whole line.
    pub fn line(&mut self, line: &str) {
        self.feed(line.as_bytes());
        self.end_line();
    }

    /// What was found in all that was taken.
    #[must_use]
    pub fn finish(mut self) -> Explanation {
        if !self.pending.is_empty() || self.in_line {
            self.end_line();
        }
        self.decide();
        for stream in &mut self.streams {
            stream.end(&mut self.findings);
        }
        let mut found = self.findings.found;
        if !self.whole {
            // Only what somebody searched for: lines that are not there prove nothing.
            found.sightings.retain(|sighting| !patterns::is_restart(&sighting.problem));
        }
        // Mnesia's processes that are killed die of what another one had died of.
        let others = found.sightings.iter().any(|sighting| !is_consequence(&sighting.problem));
        found.sightings.retain(|sighting| !(others && is_consequence(&sighting.problem)));
        found.sightings.sort_by_key(|sighting| sighting.line);
        found
    }

    fn collect(&mut self, mut part: &[u8]) {
        while self.pending.len() + part.len() > PIECE {
            let room = PIECE.saturating_sub(self.pending.len());
            let (head, tail) = part.split_at(room);
            self.pending.extend_from_slice(head);
            part = tail;
            self.take_piece();
        }
        self.pending.extend_from_slice(part);
    }

    /// Takes what is pending of a long line, except for a character that is cut.
    fn take_piece(&mut self) {
        let cut = self.pending.iter().rposition(|byte| (*byte).cast_signed() >= -64).unwrap_or(0);
        let rest = if cut == 0 { Vec::new() } else { self.pending.split_off(cut) };
        self.take();
        self.pending = rest;
        self.in_line = true;
    }

    fn end_line(&mut self) {
        self.take();
        self.in_line = false;
    }

    fn take(&mut self) {
        let bytes = mem::take(&mut self.pending);
        let text = String::from_utf8_lossy(&bytes);
        if self.in_line {
            self.go_on(&text);
        } else if let Some(held) = self.sources.sample(&text) {
            self.take_all(&held);
        } else if !self.sources.is_sampling() {
            self.take_line(&text);
        }
        // The buffer is used again.
        self.pending = bytes;
        self.pending.clear();
    }

    /// What was held until the sources are known.
    fn decide(&mut self) {
        let held = self.sources.decide();
        self.take_all(&held);
        if self.streams.is_empty() {
            self.streams.push(Stream::default());
        }
    }

    fn take_all(&mut self, held: &[String]) {
        for line in held {
            // A long line is taken in pieces.
            let cut = line.floor_char_boundary(PIECE.min(line.len()));
            self.take_line(line.get(..cut).unwrap_or_default());
            let mut rest = line.get(cut..).unwrap_or_default();
            while !rest.is_empty() {
                let (piece, more) = rest.split_at(rest.floor_char_boundary(PIECE.min(rest.len())));
                self.go_on(piece);
                rest = more;
            }
        }
    }

    /// More of a long line.
    fn go_on(&mut self, text: &str) {
        if self.sources.is_sampling() {
            if self.sources.lengthen(text) {
                self.decide();
            }
        } else if let Some(stream) = self.streams.get_mut(self.current) {
            stream.go_on(text, &mut self.findings);
        }
    }

    fn take_line(&mut self, raw: &str) {
        self.findings.found.lines += 1;
        let bare = line::bare(raw);
        self.whole = self.whole || !bare.contains("onfig") && !bare.contains("Mnesia synchronization");
        self.current = self.sources.of(&bare, self.current);
        while self.streams.len() <= self.current {
            self.streams.push(Stream::default());
        }
        if let Some(stream) = self.streams.get_mut(self.current) {
            stream.take_line(bare, &mut self.findings);
        }
    }
}

/// What was found so far, and what is needed to count the same again.
#[derive(Debug, Default)]
struct Findings {
    found: Explanation,
    /// The beginning was searched for whose text it is.
    searched: bool,
    by_facts: HashMap<String, usize>,
    by_code: HashMap<&'static str, usize>,
}

impl Findings {
    /// Counts what is known already with the same facts.
    fn note(&mut self, problem: Problem, line: u64, text: impl FnOnce() -> String) {
        let facts = format!("{problem:?}");
        if let Some(known) = self.by_facts.get(&facts).and_then(|i| self.found.sightings.get_mut(*i)) {
            known.count += 1;
            return;
        }
        let of_code = self.by_code.entry(problem.code()).or_default();
        if *of_code >= MAX_OF_ONE_CODE || self.found.sightings.len() >= MAX_SIGHTINGS {
            self.found.left_off += 1;
            return;
        }
        *of_code += 1;
        self.by_facts.insert(facts, self.found.sightings.len());
        self.found.sightings.push(Sighting { problem, line, count: 1, text: text() });
    }
}

fn is_consequence(problem: &Problem) -> bool {
    matches!(problem, Problem::MnesiaDied { reason, .. } if reason.contains("crashed") && reason.contains("killed"))
}

/// A line that has no secrets any more, with at most `QUOTE` characters, among them those at byte `at`.
fn quote(line: &str, at: usize) -> String {
    let line = line.trim();
    let length = line.chars().count();
    if length <= QUOTE {
        return line.to_owned();
    }
    let at = line.get(..at.min(line.len())).map_or(0, |before| before.chars().count());
    let room = QUOTE - QUOTE_HEAD - 2;
    let from = at.saturating_sub(room / 4).clamp(QUOTE_HEAD, length - room);
    let head: String = line.chars().take(QUOTE_HEAD).collect();
    let body: String = line.chars().skip(from).take(room).collect();
    let gap = if from > QUOTE_HEAD { "…" } else { "" };
    let end = if from + room < length { "…" } else { "" };
    format!("{head}{gap}{body}{end}")
}

/// The beginning of a text as one short line.
fn beginning(text: &str) -> String {
    let head: String = text.chars().take(4 * QUOTE).collect();
    let mut plain = String::new();
    line::append(&mut plain, &head);
    if plain.is_empty() { "an empty text".into() } else { quote(&secret::hidden(&plain), 0) }
}
