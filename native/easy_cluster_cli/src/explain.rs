//! `easy-cluster explain`.

use std::fs::File;
use std::io::{self, ErrorKind, IsTerminal, Read, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::builder::NonEmptyStringValueParser;
use easy_cluster::explain::errors;
use easy_cluster::explain::log::{self, Explainer, Explanation, Told};
use easy_cluster::probe;
use easy_cluster::validate::machine;
use easy_cluster::validate::problem::Problem;
use serde::Serialize;

use crate::places::Whereabouts;

/// Something was recognised.
const RECOGNISED: u8 = 0;
/// Nothing was.
const NOT_RECOGNISED: u8 = 1;
/// The arguments or the file are no good.
const UNUSABLE: u8 = 2;

const BITE: usize = 64 << 10;

/// Recognise what a log of ejabberd, Mnesia or Erlang says about a cluster: evidence, cause and fix
///
/// Reads a file of any size, or what is typed or piped in. Cookies are not printed.
#[derive(clap::Args)]
#[command(
    after_help = "Exit codes:\n  0  something was recognised\n  1  nothing was recognised\n  2  wrong usage, or the file cannot be read"
)]
pub(crate) struct Arguments {
    /// The log, as /var/log/ejabberd/ejabberd.log; - is the standard input
    #[arg(default_value = "-", value_parser = NonEmptyStringValueParser::new())]
    file: String,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    places: Whereabouts,
}

#[derive(Serialize)]
struct Report {
    lines: u64,
    left_off: u64,
    sightings: Vec<Told>,
}

pub(crate) fn run(arguments: &Arguments) -> ExitCode {
    let explanation = match explanation(&arguments.file) {
        Ok(explanation) => explanation,
        Err(reason) => {
            let _ = writeln!(io::stderr(), "{}: {reason}", arguments.file);
            return UNUSABLE.into();
        }
    };
    // Why it is so may be seen on this machine.
    let here = if log::is_local(&explanation) {
        machine::problems(&probe::machine::look(&arguments.places.places()))
    } else {
        Vec::new()
    };
    let text =
        if arguments.json { json(&explanation, &here) } else { words(&explanation, &arguments.file, &here) };
    // Who closed the pipe has read enough.
    let _ = io::stdout().write_all(text.as_bytes());
    if explanation.sightings.is_empty() { NOT_RECOGNISED.into() } else { RECOGNISED.into() }
}

fn explanation(file: &str) -> Result<Explanation, String> {
    if file != "-" {
        return read(open(&PathBuf::from(file))?);
    }
    let stdin = io::stdin();
    if stdin.is_terminal() {
        let _ = writeln!(io::stderr(), "paste the text, then press Ctrl-D on a line of its own");
    }
    read(stdin.lock())
}

fn open(path: &Path) -> Result<File, String> {
    // Before it is opened: opening a pipe waits for a writer.
    let metadata = path.metadata().map_err(said)?;
    if metadata.is_dir() {
        return Err("it is a directory; name a file in it, such as ejabberd.log".into());
    }
    if !metadata.is_file() {
        return Err("it is not a regular file; pipe it in, with - for the file".into());
    }
    File::open(path).map_err(said)
}

fn said(error: io::Error) -> String {
    if error.kind() == ErrorKind::NotFound {
        "there is no such file".into()
    } else if error.kind() == ErrorKind::PermissionDenied {
        "it may not be read by this user; try sudo -u ejabberd".into()
    } else {
        error.to_string()
    }
}

fn read(mut source: impl Read) -> Result<Explanation, String> {
    let mut explainer = Explainer::new();
    let mut bite = vec![0; BITE];
    let mut first = true;
    loop {
        let bytes = match source.read(&mut bite) {
            Ok(0) => return Ok(explainer.finish()),
            Ok(count) => bite.get(..count).unwrap_or_default(),
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(error) => return Err(said(error)),
        };
        if std::mem::take(&mut first) && bytes.starts_with(&[0x1f, 0x8b]) {
            return Err("it is compressed; run zcat FILE | easy-cluster explain -".into());
        }
        explainer.feed(bytes);
    }
}

fn words(explanation: &Explanation, file: &str, here: &[Problem]) -> String {
    if !explanation.sightings.is_empty() {
        return log::words(explanation, here);
    }
    let name = if file == "-" { "the standard input" } else { file };
    let text = format!("{name} ({} lines)", explanation.lines);
    errors::problems(&[Problem::NotRecognised { text, product: explanation.product.clone() }])
}

fn json(explanation: &Explanation, here: &[Problem]) -> String {
    let report = Report {
        lines: explanation.lines,
        left_off: explanation.left_off,
        sightings: explanation.sightings.iter().map(|sighting| Told::new(sighting, here)).collect(),
    };
    serde_json::to_string_pretty(&report).unwrap_or_default() + "\n"
}
