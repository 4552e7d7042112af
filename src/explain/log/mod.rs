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
mod words;

use std::collections::HashMap;
use std::mem;

use serde::{Deserialize, Serialize};

use crate::explain::known::Paths;
use crate::model::name::NodeName;
use crate::validate::problem::{Bytes, Problem};

use column::{Columns, Place};
pub use related::related;
pub use words::{Told, is_local, is_of, words};

/// Sightings that are kept apart; what is beyond is only counted.
pub const MAX_SIGHTINGS: usize = 1_000;
/// Sightings of one code that are kept apart, so that one flood does not hide everything else.
pub const MAX_OF_ONE_CODE: usize = 100;
/// The longest text that [`explain`] takes, bytes.
pub const MAX_TEXT: usize = 10_000_000;

/// So many nodes are kept that wrote under their own names.
const MAX_WRITERS: usize = 20;
/// The longest quotation of a line, characters.
const QUOTE: usize = 300;
/// Of which so many are from the beginning of the line, where the time is.
const QUOTE_HEAD: usize = 60;
/// Longer lines are taken in pieces of this size, bytes.
const PIECE: usize = 8 << 10;
/// So much is collected before it is searched, bytes.
const BATCH: usize = 128 << 10;
/// So much stays for the next search: a match that begins before it is whole, bytes.
const OVERLAP: usize = 8 << 10;
/// What a pattern may look at behind the words that it begins with, bytes.
const REACH: usize = 4 << 10;

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
    /// Plain text that is to be searched; lines that belong together have a space between them, others a line feed.
    window: String,
    /// Where lines begin in the window.
    starts: Vec<(usize, u64)>,
    /// What stands before each line.
    columns: Columns,
    /// Under which key the JSON objects carry their text.
    key: String,
    /// How long the last two lines were, bytes.
    widths: (usize, usize),
    /// An empty line was last: nothing before it belongs to what follows.
    boundary: bool,
    /// Up to here the window belongs to a sighting or was searched; what begins before is part of it, or known.
    covered: usize,
    /// Lines were read that have nothing to do with the configuration.
    whole: bool,
    /// The beginning was searched.
    searched: bool,
    found: Explanation,
    by_facts: HashMap<String, usize>,
    by_code: HashMap<&'static str, usize>,
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
        self.hide();
        self.search(self.window.len());
        self.silence();
        // Mnesia's processes that are killed die of what another one had died of.
        if !self.whole {
            // Only what somebody searched for: lines that are not there prove nothing.
            self.found.sightings.retain(|sighting| !patterns::is_restart(&sighting.problem));
        }
        let others = self.found.sightings.iter().any(|sighting| !is_consequence(&sighting.problem));
        self.found.sightings.retain(|sighting| !(others && is_consequence(&sighting.problem)));
        self.found
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
            line::append(&mut self.window, &text);
        } else {
            self.found.lines += 1;
            self.take_line(&text);
        }
        // The buffer is used again.
        self.pending = bytes;
        self.pending.clear();
        if self.window.len() > BATCH {
            self.hide();
            let cut = self.window.floor_char_boundary(self.window.len().saturating_sub(OVERLAP));
            self.search(cut);
            self.forget(cut);
        }
    }

    fn take_line(&mut self, raw: &str) {
        let mut bare = line::bare(raw);
        if bare.contains("{error_logger,")
            && let Some(formatted) = line::formatted(&bare)
        {
            bare = formatted.into();
        }
        let Some(carried) = json::carried(&bare, &mut self.key) else {
            self.place(&bare);
            return;
        };
        // What an object carries may have escapes again, and several lines.
        let mut lines = carried.split('\n').map(line::within);
        if let Some(first) = lines.next() {
            self.place(&first);
        }
        for line in lines.filter(|line| !line.trim_ascii().is_empty()) {
            let start = if column::begins_record(line.trim_ascii_start()) {
                line::begin(&mut self.window, &line)
            } else {
                line::join(&mut self.window, &line, false)
            };
            self.starts.push((start, self.found.lines));
        }
    }

    /// Puts a line where it belongs.
    fn place(&mut self, line: &str) {
        self.whole = self.whole || !line.contains("onfig") && !line.contains("Mnesia synchronization");
        let ended = self.window.trim_ascii_end();
        let before = self.widths;
        self.widths = (before.1, line.len());
        let start = match self.columns.place(line, ended.ends_with("**")) {
            Place::Empty => {
                self.boundary = true;
                return;
            }
            Place::Glued(at) if !self.boundary && !ended.is_empty() => {
                line::join(&mut self.window, line.get(at..).unwrap_or_default(), true)
            }
            Place::GoesOn(at) if !self.boundary && !ended.is_empty() => {
                let column = line.get(..at).unwrap_or_default();
                let own = line::inside(&mut self.window, column, line.get(at..).unwrap_or_default());
                let ended = self.window.trim_ascii_end();
                let glued = line::is_cut(before, line.len(), ended, own);
                line::join(&mut self.window, own, glued)
            }
            Place::Begins | Place::GoesOn(_) | Place::Glued(_) => line::begin(&mut self.window, line),
        };
        self.boundary = false;
        self.starts.push((start, self.found.lines));
    }

    /// Replaces cookies, before anything is told: what makes one of a text may stand on the line before.
    fn hide(&mut self) {
        let cookies = secret::cookies(&self.window);
        if cookies.is_empty() {
            return;
        }
        let mut window = String::with_capacity(self.window.len());
        // The ends of cookies, before and after.
        let mut ends = vec![(0, 0)];
        for cookie in &cookies {
            let from = ends.last().map_or(0, |(end, _)| *end);
            window.push_str(self.window.get(from..cookie.start).unwrap_or_default());
            window.push_str(secret::HIDDEN);
            ends.push((cookie.end, window.len()));
        }
        let moved = |at: usize| {
            let passed = cookies.partition_point(|cookie| cookie.end <= at);
            let (before, after) = ends.get(passed).copied().unwrap_or_default();
            match cookies.get(passed) {
                Some(cookie) if cookie.start < at => after + (cookie.start - before) + secret::HIDDEN.len(),
                Some(_) | None => after + (at - before),
            }
        };
        self.covered = moved(self.covered);
        for (start, _) in &mut self.starts {
            *start = moved(*start);
        }
        let rest = ends.last().map_or(0, |(end, _)| *end);
        window.push_str(self.window.get(rest..).unwrap_or_default());
        self.window = window;
    }

    /// Finds what begins before `cut`.
    fn search(&mut self, cut: usize) {
        let window = mem::take(&mut self.window);
        if !mem::replace(&mut self.searched, true) {
            patterns::product(&window).clone_into(&mut self.found.product);
        }
        for (start, end, pattern) in patterns::beginnings(&window, cut) {
            pattern.path(window.get(end..).unwrap_or_default(), &mut self.found.paths);
            if let Some(node) = pattern.writer(window.get(end..).unwrap_or_default())
                && self.found.nodes.len() < MAX_WRITERS
                && !self.found.nodes.contains(&node)
            {
                self.found.nodes.push(node);
            }
            if start < self.covered {
                continue;
            }
            let reach = window.floor_char_boundary((end + REACH).min(window.len()));
            let Some(text) = window.get(end..reach) else { continue };
            if let Some((problem, length)) = pattern.read(text) {
                self.covered = end + length;
                self.note(problem, &window, start);
            }
        }
        self.window = window;
    }

    /// Drops what was searched, except for the beginning of a line that goes on, as the line may be quoted yet.
    fn forget(&mut self, cut: usize) {
        self.covered = self.covered.max(cut);
        let before = self.starts.partition_point(|(start, _)| *start <= cut).saturating_sub(1);
        let line = self.starts.get(before).map_or(cut, |(start, _)| *start);
        let most = self.window.floor_char_boundary(cut.saturating_sub(OVERLAP));
        let from = line.clamp(most, cut);
        self.window.drain(..from);
        self.covered = self.covered.saturating_sub(from);
        self.starts.drain(..before);
        for (start, _) in &mut self.starts {
            *start = start.saturating_sub(from);
        }
    }

    fn note(&mut self, problem: Problem, window: &str, at: usize) {
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
        let after = self.starts.partition_point(|(start, _)| *start <= at);
        let (start, line) = after.checked_sub(1).and_then(|i| self.starts.get(i)).copied().unwrap_or((0, 1));
        let end = self.starts.get(after).map_or(window.len(), |(start, _)| *start);
        let text = quote(window.get(start..end).unwrap_or_default(), at.saturating_sub(start));
        self.by_facts.insert(facts, self.found.sightings.len());
        self.found.sightings.push(Sighting { problem, line, count: 1, text });
    }

    /// A log that ends where ejabberd waits for tables is the log of a start that hangs.
    fn silence(&mut self) {
        let Some((start, _)) = self.starts.last().copied() else { return };
        // One line is what a search has found: it says nothing of what came behind it.
        if self.found.lines < 2 {
            return;
        }
        let last = self.window.get(start..).unwrap_or_default();
        if let Some(problem) = patterns::silence(last) {
            let window = mem::take(&mut self.window);
            self.note(problem, &window, start);
        }
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
