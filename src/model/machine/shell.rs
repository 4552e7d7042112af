//! Shell variables as `ejabberdctl.cfg` sets them.
//!
//! The file is a shell script. What can be told without running it is told, the rest is named and not guessed.

use std::collections::{BTreeMap, BTreeSet};
use std::iter::Peekable;
use std::str::Chars;

use serde::{Deserialize, Serialize};

use super::{Broken, Unclear};

/// `NAME=value`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Assignment {
    /// The variable.
    pub name: String,
    /// Its value, or why only running the script would tell it.
    pub value: Result<String, String>,
    /// The line.
    pub line: u32,
}

/// What a script sets.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Script {
    /// In the order of the file.
    pub assignments: Vec<Assignment>,
    /// Variables that programs see which the script starts.
    pub exported: BTreeSet<String>,
    /// Commands that may set anything.
    pub unclear: Vec<Unclear>,
    /// Lines that should set a variable and are something else to the shell.
    pub idle: Vec<Idle>,
    /// Where no shell could read on.
    pub broken: Option<Broken>,
}

/// A line that should set a variable, and does not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Idle {
    /// The line.
    pub line: u32,
    /// The variable that it should set.
    pub variable: String,
    /// What the line is instead, in words.
    pub found: String,
    /// The value that was meant, where it is one plain word and can be nothing secret.
    pub value: String,
}

/// Variables whose values are no secrets.
const PLAIN: [&str; 6] = [
    "ERLANG_NODE",
    "ERLANG_NODE_ARG",
    "INET_DIST_INTERFACE",
    "FIREWALL_WINDOW",
    "ERL_DIST_PORT",
    "ERL_EPMD_PORT",
];

/// What `ejabberdctl` reads from its configuration.
const VARIABLES: [&str; 22] = [
    "ERLANG_NODE",
    "ERLANG_NODE_ARG",
    "ERLANG_COOKIE",
    "INET_DIST_INTERFACE",
    "FIREWALL_WINDOW",
    "ERL_OPTIONS",
    "ERL_DIST_PORT",
    "ERL_EPMD_PORT",
    "ERL_EPMD_ADDRESS",
    "ERL_MAX_PORTS",
    "ERL_PROCESSES",
    "ERL_MAX_ETS_TABLES",
    "SPOOL_DIR",
    "LOGS_DIR",
    "EJABBERD_CONFIG_PATH",
    "EJABBERD_PID_PATH",
    "EJABBERD_OPTS",
    "EJABBERD_BYPASS_WARNINGS",
    "CONTRIB_MODULES_PATH",
    "CONTRIB_MODULES_CONF_DIR",
    "POLL",
    "SMP",
];

impl Script {
    /// The last assignment of a variable, which is the one that counts.
    #[must_use]
    pub fn last(&self, name: &str) -> Option<&Assignment> {
        self.assignments.iter().rev().find(|assignment| assignment.name == name)
    }

    /// Variables that were set before the script ran and that it does not set.
    pub fn inherit(&mut self, environment: &BTreeMap<String, String>) {
        for (name, value) in environment {
            if self.last(name).is_none() {
                self.assignments.push(Assignment { name: name.clone(), value: Ok(value.clone()), line: 0 });
                self.exported.insert(name.clone());
            }
        }
    }

    /// Whether programs that the script starts see the variable.
    #[must_use]
    pub fn exports(&self, name: &str) -> bool {
        self.exported.contains(name)
    }
}

/// Reads a script. `given` are the variables that it finds set.
#[must_use]
pub fn parse(text: &str, given: &BTreeMap<String, String>) -> Script {
    let mut reader = Reader {
        chars: text.chars().peekable(),
        line: 1,
        known: given.iter().map(|(name, value)| (name.clone(), Some(value.clone()))).collect(),
        script: Script::default(),
        depth: 0,
        parentheses: 0,
        budget: MAX_EXPANDED,
        pending: BTreeSet::new(),
    };
    if let Err(broken) = reader.script() {
        reader.script.broken = Some(broken);
    }
    reader.script
}

/// Bytes that variables may expand to in one script: each line could double a value.
const MAX_EXPANDED: usize = 1 << 20;
/// Commands of the shell itself that can set variables in ways that are not plain assignments.
const SETTING: [&str; 16] = [
    ".", "source", "eval", "read", "declare", "local", "typeset", "readonly", "let", "getopts", "mapfile",
    "printf", "exec", "exit", "return", ":",
];
/// Other commands of the shell itself before which an assignment may stay.
const SPECIAL: [&str; 8] = ["export", "unset", "set", "shift", "times", "trap", "break", "continue"];
/// Words that begin and end what is carried out conditionally or more than once.
const OPENING: [&str; 6] = ["if", "case", "for", "while", "until", "{"];
const CLOSING: [&str; 4] = ["fi", "esac", "done", "}"];
const INSIDE: [&str; 6] = ["then", "else", "elif", "do", "in", "!"];

/// How a command ends.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    /// By a line or a semicolon.
    Plain,
    /// By `&&` or `||`: the next one is carried out or not.
    Conditional,
    /// By `|` or `&`: it ran in a shell of its own.
    Apart,
    /// By the end of the file.
    File,
}

/// One word of a command.
struct Word {
    /// What stands there unquoted, with a mark for everything else; enough to recognise keywords and names.
    raw: String,
    /// After expansion.
    value: Result<String, String>,
    /// Where an unquoted `=` stands in `raw`.
    equals: Option<usize>,
    /// The variable that it begins with, as in `$NAME=value`.
    dollar: Option<String>,
}

struct Reader<'t> {
    chars: Peekable<Chars<'t>>,
    line: u32,
    known: BTreeMap<String, Option<String>>,
    script: Script,
    /// How many conditions and loops are open.
    depth: u32,
    /// How many subshells are open.
    parentheses: u32,
    /// What is left of [`MAX_EXPANDED`].
    budget: usize,
    /// Variables that the command sets which is being read.
    pending: BTreeSet<String>,
}

impl Reader<'_> {
    fn script(&mut self) -> Result<(), Broken> {
        let mut conditional = false;
        loop {
            let line = self.line;
            let apart = conditional || self.parentheses > 0;
            let (words, end) = self.command()?;
            // What a condition is for may stand on the next line.
            conditional = end == End::Conditional || (conditional && words.is_empty());
            self.carry_out(words, line, apart || end == End::Apart);
            if end == End::File {
                return Ok(());
            }
        }
    }

    /// The words up to the end of the command.
    fn command(&mut self) -> Result<(Vec<Word>, End), Broken> {
        let mut words = Vec::new();
        self.pending.clear();
        loop {
            match self.chars.peek().copied() {
                None => return Ok((words, End::File)),
                Some(' ' | '\t') => drop(self.next()),
                Some('\n' | ';') => {
                    self.next();
                    return Ok((words, End::Plain));
                }
                Some('#') => self.skip_line(),
                // The line goes on.
                Some('\\') if self.chars.clone().nth(1) == Some('\n') => {
                    self.next();
                    self.next();
                }
                Some(first @ ('&' | '|')) => {
                    self.next();
                    let doubled = self.chars.next_if_eq(&first).is_some();
                    return Ok((words, if doubled { End::Conditional } else { End::Apart }));
                }
                Some('(') => {
                    self.next();
                    while self.chars.next_if(|c| " \t".contains(*c)).is_some() {}
                    if self.chars.next_if_eq(&')').is_some() {
                        // The body of a function is carried out when it is called.
                        return Ok((words, End::Conditional));
                    }
                    self.parentheses += 1;
                    return Ok((words, End::Plain));
                }
                Some(')') => {
                    self.next();
                    // The pattern of a `case` has no opening one.
                    self.parentheses = self.parentheses.saturating_sub(1);
                    return Ok((words, End::Plain));
                }
                Some('<' | '>') => {
                    let redirection = self.next();
                    if redirection == Some('<') && self.chars.peek() == Some(&'<') {
                        return Err(self.broken("a here-document cannot be read without running the script"));
                    }
                }
                Some(_) => {
                    let word = self.word()?;
                    self.pending.extend(word.assigned().map(|(name, _)| name));
                    words.push(word);
                }
            }
        }
    }

    fn word(&mut self) -> Result<Word, Broken> {
        let mut word = Word { raw: String::new(), value: Ok(String::new()), equals: None, dollar: None };
        while let Some(c) = self.chars.peek().copied() {
            match c {
                '(' if word.raw.ends_with('=') => {
                    word.append(Err("an array".into()));
                    break;
                }
                ' ' | '\t' | '\n' | ';' | '&' | '|' | '(' | ')' | '<' | '>' => break,
                '\'' => {
                    self.next();
                    word.raw.push('?');
                    self.single_quoted(&mut word)?;
                }
                '"' => {
                    self.next();
                    word.raw.push('?');
                    self.double_quoted(&mut word)?;
                }
                '\\' => {
                    self.next();
                    match self.next() {
                        Some('\n') | None => {}
                        Some(escaped) => word.push_quoted(escaped),
                    }
                }
                '$' | '`' => {
                    if word.raw.is_empty() {
                        let name = |c: &char| c.is_ascii_alphanumeric() || *c == '_';
                        word.dollar = Some(self.chars.clone().skip(1).take_while(name).collect());
                    }
                    let part = self.expansion()?;
                    word.append(part);
                }
                '=' => {
                    self.next();
                    word.equals.get_or_insert(word.raw.len());
                    word.push('=');
                }
                '~' if word.raw.is_empty() || word.raw.ends_with('=') => {
                    self.next();
                    word.append(Err("a home directory (~)".into()));
                }
                _ => {
                    self.next();
                    word.push(c);
                }
            }
        }
        Ok(word)
    }

    fn single_quoted(&mut self, word: &mut Word) -> Result<(), Broken> {
        let opened = self.line;
        loop {
            match self.next() {
                None => return Err(Broken { line: opened, reason: "a ' is not closed".into() }),
                Some('\'') => return Ok(()),
                Some(c) => word.push_quoted(c),
            }
        }
    }

    fn double_quoted(&mut self, word: &mut Word) -> Result<(), Broken> {
        let opened = self.line;
        loop {
            match self.chars.peek().copied() {
                None => return Err(Broken { line: opened, reason: "a \" is not closed".into() }),
                Some('"') => {
                    self.next();
                    return Ok(());
                }
                Some('\\') => {
                    self.next();
                    match self.next() {
                        Some('\n') | None => {}
                        Some(c @ ('$' | '`' | '"' | '\\')) => word.push_quoted(c),
                        Some(c) => {
                            word.push_quoted('\\');
                            word.push_quoted(c);
                        }
                    }
                }
                Some('$' | '`') => {
                    let part = self.expansion()?;
                    word.append(part);
                }
                Some(c) => {
                    self.next();
                    word.push_quoted(c);
                }
            }
        }
    }

    /// What stands behind a `$` or between backticks: the text, or why it cannot be told.
    fn expansion(&mut self) -> Result<Result<String, String>, Broken> {
        let opened = self.line;
        if self.next() == Some('`') {
            while let Some(c) = self.next() {
                match c {
                    '`' => return Ok(Err("the output of a command".into())),
                    '\\' => drop(self.next()),
                    _ => {}
                }
            }
            return Err(Broken { line: opened, reason: "a ` is not closed".into() });
        }
        match self.chars.peek().copied() {
            Some('(') => self.skip_command(opened).map(|()| Err("the output of a command".into())),
            Some('{') => {
                self.next();
                let mut inside = String::new();
                loop {
                    match self.next() {
                        None => return Err(Broken { line: opened, reason: "a ${ is not closed".into() }),
                        Some('}') => break,
                        Some(c) => inside.push(c),
                    }
                }
                Ok(self.variable(&inside))
            }
            Some(c) if c.is_ascii_alphabetic() || c == '_' => {
                let mut name = String::new();
                while let Some(c) = self.chars.next_if(|c| c.is_ascii_alphanumeric() || *c == '_') {
                    name.push(c);
                }
                Ok(self.variable(&name))
            }
            Some('$' | '!' | '?' | '*' | '@' | '#' | '-' | '0'..='9') => {
                self.next();
                Ok(Err("a variable of the running shell".into()))
            }
            _ => Ok(Ok("$".into())),
        }
    }

    /// `NAME` or `NAME:-default`.
    fn variable(&mut self, inside: &str) -> Result<String, String> {
        let length = self.looked_up(inside)?.len();
        let Some(left) = self.budget.checked_sub(length) else {
            return Err("more text than a setting has".into());
        };
        self.budget = left;
        self.looked_up(inside).map(str::to_owned)
    }

    fn looked_up<'a>(&'a self, inside: &'a str) -> Result<&'a str, String> {
        let (name, default) = match inside.split_once(":-") {
            Some((name, default)) => (name, Some(default)),
            None => (inside, None),
        };
        if !is_name(name) || default.is_some_and(|text| text.contains(['$', '`', '"', '\'', '\\'])) {
            return Err("an expansion that only a shell computes".into());
        }
        if self.pending.contains(name) {
            return Err(format!("${name}, which the same command sets"));
        }
        match (self.known.get(name), default) {
            (Some(Some(value)), Some(default)) if value.is_empty() => Ok(default),
            (Some(Some(value)), Some(_) | None) => Ok(value),
            (Some(None), _) => Err(format!("${name}, which cannot be told itself")),
            (None, _) => Err(format!("${name}, which this file does not set")),
        }
    }

    /// `$( ... )`, with all that nests in it.
    fn skip_command(&mut self, opened: u32) -> Result<(), Broken> {
        let (mut depth, mut quote) = (0_u32, None);
        while let Some(c) = self.next() {
            match (c, quote) {
                ('\\', Some('"') | None) => drop(self.next()),
                (c, Some(open)) if c == open => quote = None,
                (_, Some(_)) => {}
                ('\'' | '"', None) => quote = Some(c),
                ('(', None) => depth += 1,
                (')', None) if depth == 1 => return Ok(()),
                (')', None) => depth = depth.saturating_sub(1),
                (_, None) => {}
            }
        }
        Err(Broken { line: opened, reason: "a $( is not closed".into() })
    }

    fn carry_out(&mut self, words: Vec<Word>, line: u32, apart: bool) {
        let mut words = words.into_iter().peekable();
        while let Some(word) = words.next_if(|word| is_keyword(&word.raw)) {
            if OPENING.contains(&word.raw.as_str()) {
                self.depth += 1;
            } else if CLOSING.contains(&word.raw.as_str()) {
                self.depth = self.depth.saturating_sub(1);
            }
        }
        let mut words: Vec<Word> = words.collect();
        let command = words.iter().position(|word| word.assigned().is_none());
        let named = command.and_then(|at| words.get(at)).map(|word| word.value.clone());
        let exported = command == Some(0) && named == Some(Ok("export".into()));
        self.idle(&words, command, line);
        if exported {
            words.remove(0);
        } else if let (Some(at), Some(named)) = (command, named) {
            let rest = words.split_off(at);
            let arguments = rest.get(1..).unwrap_or_default();
            match named {
                Ok(name) => {
                    self.before(&name, words, line);
                    self.other(&name, arguments, line, apart);
                }
                Err(_) => self.unclear(line, "a computed command"),
            }
            return;
        }
        // To a shell without += it is a command, and what stands beside it is the command's.
        let append = words.iter().any(|word| word.assigned().is_some_and(|(_, append)| append));
        for word in words {
            match word.assigned() {
                Some((name, _)) => self.assign(&name, append, word, line, exported, apart),
                None => self.export(word, line, apart),
            }
        }
    }

    /// Notes a line that should set a variable and is a command with arguments instead.
    fn idle(&mut self, words: &[Word], command: Option<usize>, line: u32) {
        let Some(command) = command else { return };
        let Some(word) = words.get(command) else { return };
        let raw = word.raw.trim_end_matches(':');
        let known = |name: &str| VARIABLES.contains(&name);
        let set = words
            .get(..command)
            .unwrap_or_default()
            .iter()
            .filter_map(Word::assigned)
            .find(|(name, _)| known(name));
        let mut next = words.get(command + 1..).unwrap_or_default().iter();
        let (variable, found) = if known(raw) {
            (raw.to_owned(), format!("{} is a command", word.raw))
        } else if let Some((name, _)) = set {
            (name, "the words behind the value are a command, for which alone it is set".to_owned())
        } else if matches!(raw, "set" | "setenv" | "env") {
            let first = next.next().map(|word| word.assigned().map_or(word.raw.clone(), |(name, _)| name));
            let Some(name) = first.filter(|name| known(name)) else { return };
            (name, format!("{raw} is a command that sets something else"))
        } else if raw == "export" {
            let names: Vec<&str> = next.map(|word| word.raw.as_str()).collect();
            let [name, sign, ..] = names.as_slice() else { return };
            if !(known(name) && sign.starts_with('=')) {
                return;
            }
            ((*name).to_owned(), "export takes the blank for the end of the name".to_owned())
        } else if let (Some(name), true) = (self.script_word(word), word.equals.is_some()) {
            (name, "the sign before the name makes it a command".to_owned())
        } else {
            return;
        };
        let meant = |word: &Word| {
            let text = word.value.clone().unwrap_or_default();
            text.trim_start_matches(variable.as_str()).trim_start_matches(['=', ':']).to_owned()
        };
        let others: Vec<String> = words.iter().map(meant).filter(|text| !text.is_empty()).collect();
        let others: Vec<&String> = others
            .iter()
            .filter(|text| !matches!(text.as_str(), "set" | "setenv" | "env" | "export"))
            .collect();
        let plain = |text: &str| {
            text.len() < 100 && text.chars().all(|c| c.is_ascii_alphanumeric() || "@._:-".contains(c))
        };
        let value = match others.as_slice() {
            [only] if PLAIN.contains(&variable.as_str()) && plain(only) => (*only).clone(),
            _none_or_several => String::new(),
        };
        self.script.idle.push(Idle { line, variable, found, value });
    }

    /// `$NAME=value`.
    fn script_word(&self, word: &Word) -> Option<String> {
        word.raw.starts_with('?').then_some(())?;
        word.dollar.clone().filter(|name| VARIABLES.contains(&name.as_str()))
    }

    /// Assignments before a command are that command's own, except that shells differ about those of their own.
    fn before(&mut self, command: &str, words: Vec<Word>, line: u32) {
        if SETTING.contains(&command) || SPECIAL.contains(&command) {
            for word in words {
                if let Some((name, _)) = word.assigned() {
                    self.assign(&name, false, word, line, false, true);
                }
            }
        }
    }

    fn assign(&mut self, name: &str, append: bool, word: Word, line: u32, exported: bool, apart: bool) {
        let skipped = word.equals.map_or(0, |at| at + 1);
        let value = match word.value {
            Ok(_) if append => Err("+=, which not every shell knows".to_owned()),
            Ok(text) => Ok(text.get(skipped..).unwrap_or_default().to_owned()),
            Err(reason) => Err(reason),
        };
        let value = match value {
            Ok(_) if apart || self.depth > 0 => Err("a condition, a loop or a function".to_owned()),
            value => value,
        };
        self.known.insert(name.to_owned(), value.clone().ok());
        if exported {
            self.script.exported.insert(name.to_owned());
        }
        self.script.assignments.push(Assignment { name: name.to_owned(), value, line });
    }

    /// `export NAME`, and `export "NAME=value"`.
    fn export(&mut self, word: Word, line: u32, apart: bool) {
        let Ok(text) = word.value else {
            self.unclear(line, "`export`");
            return;
        };
        if let Some(at) = text.find('=') {
            let name = text.get(..at).unwrap_or_default().to_owned();
            if is_name(&name) {
                let word = Word { raw: String::new(), value: Ok(text), equals: Some(at), dollar: None };
                self.assign(&name, false, word, line, true, apart);
            }
        } else {
            self.script.exported.insert(text);
        }
    }

    /// A command. Programs cannot change the variables of the shell that calls them.
    fn other(&mut self, command: &str, arguments: &[Word], line: u32, apart: bool) {
        let plain = arguments.iter().all(|word| is_name(&word.raw) && word.value.is_ok());
        if command == "unset" && plain {
            for word in arguments {
                let unset = Word { raw: String::new(), value: Ok(String::new()), equals: None, dollar: None };
                self.assign(&word.raw, false, unset, line, false, apart);
            }
        } else if command == "unset" || SETTING.contains(&command) {
            self.unclear(line, &format!("`{command}`"));
        }
    }

    fn unclear(&mut self, line: u32, what: &str) {
        self.script.unclear.push(Unclear { line, reason: format!("{what} may set anything") });
    }

    fn next(&mut self) -> Option<char> {
        let c = self.chars.next();
        if c == Some('\n') {
            self.line = self.line.saturating_add(1);
        }
        c
    }

    fn skip_line(&mut self) {
        while self.chars.next_if(|c| *c != '\n').is_some() {}
    }

    fn broken(&self, reason: &str) -> Broken {
        Broken { line: self.line, reason: reason.to_owned() }
    }
}

impl Word {
    fn push(&mut self, c: char) {
        self.raw.push(c);
        if let Ok(value) = &mut self.value {
            value.push(c);
        }
    }

    /// What is quoted is part of the value, and neither of a keyword nor of a name.
    fn push_quoted(&mut self, c: char) {
        self.raw.push('?');
        if let Ok(value) = &mut self.value {
            value.push(c);
        }
    }

    fn append(&mut self, part: Result<String, String>) {
        match part {
            Ok(text) => text.chars().for_each(|c| self.push_quoted(c)),
            Err(reason) => {
                self.raw.push('?');
                self.value = Err(reason);
            }
        }
    }

    /// The variable, and whether something is added to it (`+=`).
    fn assigned(&self) -> Option<(String, bool)> {
        let left = self.raw.get(..self.equals?)?;
        let (name, append) = left.strip_suffix('+').map_or((left, false), |name| (name, true));
        is_name(name).then(|| (name.to_owned(), append))
    }
}

fn is_name(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

fn is_keyword(word: &str) -> bool {
    OPENING.contains(&word) || CLOSING.contains(&word) || INSIDE.contains(&word)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Script {
        parse(text, &BTreeMap::from([("CONFIG_DIR".to_owned(), "/etc/ejabberd".to_owned())]))
    }

    /// The value of X; `?` where it cannot be told, `-` where it is not set.
    fn x(text: &str) -> String {
        let script = read(text);
        assert_eq!(script.broken, None, "{text:?}");
        script.last("X").map_or("-".into(), |found| found.value.clone().unwrap_or_else(|_| "?".into()))
    }

    #[test]
    fn values_are_read_as_a_shell_reads_them() {
        for (text, value) in [
            ("X=a@b.c", "a@b.c"),
            ("  X='a b'\"c d\"e # comment", "a bc de"),
            ("\tX=a#b", "a#b"),
            ("X=\"a\\\"b\\n\"", "a\"b\\n"),
            ("X=a\\ b", "a b"),
            ("X=1;X=2", "2"),
            ("X=a\\\nb", "ab"),
            ("X=a \\\n", "a"),
            ("export X=1 Y=2", "1"),
            ("export \"X=1 2\"", "1 2"),
            ("X=", ""),
            ("X=1\nunset X", ""),
            ("#X=1", "-"),
            ("ulimit -n 65536\nX=1", "1"),
            ("X=1 command", "-"),
            ("\"\"X=1", "-"),
            ("X=$", "$"),
        ] {
            assert_eq!(x(text), value, "{text:?}");
        }
    }

    #[test]
    fn variables_refer_to_earlier_ones_and_to_the_given_ones() {
        assert_eq!(x("HOST=foo.bar\nX=ejabberd@$HOST"), "ejabberd@foo.bar");
        assert_eq!(x("X=\"${CONFIG_DIR}/ejabberd.yml\""), "/etc/ejabberd/ejabberd.yml");
        assert_eq!(x("Y=\nX=${Y:-two}"), "two");
    }

    #[test]
    fn what_only_running_it_would_tell_is_not_guessed() {
        for text in [
            "X=$(hostname -f)",
            "X=\"a`hostname`\"",
            "X=a@$HOSTNAME",
            "Y=$(x)\nX=$Y",
            "if [ -f /x ]; then\nX=1\nfi",
            "[ -f /x ] && X=1",
            "[ -f /x ] &&\nX=1",
            "case a in\na) X=1;;\nesac",
            "X=~/x",
            "Y=1 X=$Y",
            "false && unset X",
            "X=1\nX+=2",
            "X=${Y%.*}",
            "X=1 | cat",
            "f() {\nX=1\n}",
            "(X=1)",
            "f() X=1",
            "X=(1 2)",
        ] {
            assert_eq!(x(text), "?", "{text:?}");
        }
    }

    #[test]
    fn commands_that_may_set_anything_are_named() {
        let unclear = read("X=1\n. /etc/more\n'ev'al \"Y=1\"\nulimit -n 9\n").unclear;
        assert_eq!(unclear.iter().map(|unclear| unclear.line).collect::<Vec<_>>(), [2, 3]);
    }

    #[test]
    fn after_a_condition_values_are_told_again() {
        assert_eq!(x("if true; then Y=1; else Y=2; fi\nX=1"), "1");
    }

    #[test]
    fn a_carriage_return_belongs_to_the_value() {
        assert_eq!(x("X=1\r\n"), "1\r");
    }

    #[test]
    fn lines_are_counted() {
        let script = read("# one\n\nX='\n'\nY=2\nZ=$(\n)\n");
        let lines: Vec<u32> = script.assignments.iter().map(|assignment| assignment.line).collect();
        assert_eq!(lines, [3, 5, 6]);
    }

    #[test]
    fn what_is_not_closed_is_told_with_its_line() {
        for text in ["A=1\nX='a\n\n", "A=1\nX=\"a\n", "A=1\nX=$(a\n", "A=1\nX=${a\n", "A=1\nX=`a\n"] {
            assert_eq!(read(text).broken.map(|broken| broken.line), Some(2), "{text:?}");
        }
    }

    #[test]
    fn a_value_that_doubles_with_each_line_is_given_up() {
        assert_eq!(x(&format!("X=aa\n{}", "X=$X$X\n".repeat(10_000))), "?");
    }

    #[test]
    fn only_what_is_exported_reaches_other_programs() {
        let script = read("A=1\nexport B=2\nC=3\nexport C\n");
        assert_eq!(["A", "B", "C"].map(|name| script.exports(name)), [false, true, true]);
        assert_eq!(script.last("C").and_then(|found| found.value.clone().ok()), Some("3".into()));
    }
}
