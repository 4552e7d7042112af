//! The lines of one program: records put together again, and searched.

use std::borrow::Cow;
use std::mem;

use super::column::{self, Columns, Place};
use super::{Findings, json, line, patterns, quote, secret};
use crate::validate::problem::Problem;

/// Nodes that wrote under their own names; so many are kept.
const MAX_WRITERS: usize = 20;
/// So much is collected before it is searched, bytes.
const BATCH: usize = 128 << 10;
/// So much stays for the next search: a match that begins before it is whole, bytes.
const OVERLAP: usize = 8 << 10;
/// What a pattern may look at behind the words that it begins with, bytes.
const REACH: usize = 4 << 10;

/// The lines of one program, in their order.
#[derive(Debug, Default)]
pub(super) struct Stream {
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
    /// Lines that were read.
    lines: u64,
}

impl Stream {
    /// Takes a line without escapes.
    pub(super) fn take_line(&mut self, mut bare: Cow<'_, str>, findings: &mut Findings) {
        let number = findings.found.lines;
        self.lines += 1;
        if bare.contains("{error_logger,")
            && let Some(formatted) = line::formatted(&bare)
        {
            bare = formatted.into();
        }
        let Some(carried) = json::carried(&bare, &mut self.key) else {
            self.place(&bare, number);
            self.search_enough(findings);
            return;
        };
        // What an object carries may have escapes again, and several lines.
        let mut lines = carried.split('\n').map(line::within);
        if let Some(first) = lines.next() {
            self.place(&first, number);
        }
        for line in lines.filter(|line| !line.trim_ascii().is_empty()) {
            let start = if column::begins_record(line.trim_ascii_start()) {
                line::begin(&mut self.window, &line)
            } else {
                line::join(&mut self.window, &line, false)
            };
            self.starts.push((start, number));
        }
        self.search_enough(findings);
    }

    /// Takes more of a long line.
    pub(super) fn go_on(&mut self, text: &str, findings: &mut Findings) {
        line::append(&mut self.window, text);
        self.search_enough(findings);
    }

    /// Nothing more comes.
    pub(super) fn end(&mut self, findings: &mut Findings) {
        self.hide();
        self.search(self.window.len(), findings);
        self.silence(findings);
    }

    fn search_enough(&mut self, findings: &mut Findings) {
        if self.window.len() > BATCH {
            self.hide();
            let cut = self.window.floor_char_boundary(self.window.len().saturating_sub(OVERLAP));
            self.search(cut, findings);
            self.forget(cut);
        }
    }

    /// Puts a line where it belongs.
    fn place(&mut self, line: &str, number: u64) {
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
        self.starts.push((start, number));
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
    fn search(&mut self, cut: usize, findings: &mut Findings) {
        let window = mem::take(&mut self.window);
        if !mem::replace(&mut findings.searched, true) {
            patterns::product(&window).clone_into(&mut findings.found.product);
        }
        for (start, end, pattern) in patterns::beginnings(&window, cut) {
            pattern.path(window.get(end..).unwrap_or_default(), &mut findings.found.paths);
            if let Some(node) = pattern.writer(window.get(end..).unwrap_or_default())
                && findings.found.nodes.len() < MAX_WRITERS
                && !findings.found.nodes.contains(&node)
            {
                findings.found.nodes.push(node);
            }
            if start < self.covered {
                continue;
            }
            let reach = window.floor_char_boundary((end + REACH).min(window.len()));
            let Some(text) = window.get(end..reach) else { continue };
            if let Some((problem, length)) = pattern.read(text) {
                self.covered = end + length;
                self.note(problem, &window, start, findings);
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

    fn note(&mut self, problem: Problem, window: &str, at: usize, findings: &mut Findings) {
        let after = self.starts.partition_point(|(start, _)| *start <= at);
        let (start, line) = after.checked_sub(1).and_then(|i| self.starts.get(i)).copied().unwrap_or((0, 1));
        let end = self.starts.get(after).map_or(window.len(), |(start, _)| *start);
        findings.note(problem, line, || {
            quote(window.get(start..end).unwrap_or_default(), at.saturating_sub(start))
        });
    }

    /// A log that ends where ejabberd waits for tables is the log of a start that hangs.
    fn silence(&mut self, findings: &mut Findings) {
        let Some((start, _)) = self.starts.last().copied() else { return };
        // One line is what a search has found: it says nothing of what came behind it.
        if self.lines < 2 {
            return;
        }
        let last = self.window.get(start..).unwrap_or_default();
        if let Some(problem) = patterns::silence(last) {
            let window = mem::take(&mut self.window);
            self.note(problem, &window, start, findings);
        }
    }
}
