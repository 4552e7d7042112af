//! `easy-cluster explain`.

use std::fs::File;
use std::io::{self, ErrorKind, IsTerminal, Read, Write};
use std::mem;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::builder::NonEmptyStringValueParser;
use easy_cluster::explain::errors;
use easy_cluster::explain::known::Paths;
use easy_cluster::explain::log::{self, Explainer, Explanation, Told};
use easy_cluster::model::machine::{Machine, Role, State};
use easy_cluster::model::name::NodeName;
use easy_cluster::validate::machine;
use easy_cluster::validate::problem::Problem;
use easy_cluster_probe::machine::{self as machine_files, Places};
use flate2::read::MultiGzDecoder;
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
/// Reads files of any size, also compressed by gzip, or what is typed or piped in. Cookies are not printed. With the code of
/// a problem instead of a file, it prints what the documentation says about it.
#[derive(clap::Args)]
#[command(
    after_help = "Exit codes:\n  0  something was recognised\n  1  nothing was recognised\n  2  wrong usage, or the file cannot be read"
)]
pub(crate) struct Arguments {
    /// Logs, as /var/log/ejabberd/ejabberd.log, or one code, as name_in_use; - is the standard input
    #[arg(value_name = "FILE|CODE", default_value = "-", value_parser = NonEmptyStringValueParser::new())]
    files: Vec<String>,
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

/// What `--json` prints for several files.
#[derive(Serialize)]
struct FileReport {
    file: String,
    #[serde(flatten)]
    report: Report,
}

pub(crate) fn run(arguments: &Arguments) -> ExitCode {
    if let [code] = arguments.files.as_slice()
        && !Path::new(code).exists()
        && let Some(entry) = errors::entry(code)
    {
        let _ = io::stdout().write_all(entry.as_bytes());
        return RECOGNISED.into();
    }
    let mut explained = Vec::new();
    let mut unusable = false;
    for file in &arguments.files {
        match explanation(file) {
            Ok(explanation) => explained.push((file.as_str(), explanation)),
            Err(reason) => {
                unusable = true;
                let _ = writeln!(io::stderr(), "{file}: {reason}");
            }
        }
    }
    // Why it is so may be seen on this machine, where there is an ejabberd.
    let machine = machine(&arguments.places.places(), &explained);
    for (_, explanation) in &mut explained {
        if let Some(machine) = machine.as_ref().filter(|machine| is_its(explanation, machine)) {
            explanation.paths = mem::take(&mut explanation.paths).or(&Paths::of(machine));
        }
    }
    let several = arguments.files.len() > 1;
    let text = if arguments.json {
        json(&explained, machine.as_ref(), several)
    } else {
        explained
            .iter()
            .map(|(file, explanation)| words(explanation, file, machine.as_ref(), several))
            .collect()
    };
    // Who closed the pipe has read enough.
    let _ = io::stdout().write_all(text.as_bytes());
    if unusable {
        UNUSABLE.into()
    } else if explained.iter().all(|(_, explanation)| explanation.sightings.is_empty()) {
        NOT_RECOGNISED.into()
    } else {
        RECOGNISED.into()
    }
}

/// This machine, if there is an ejabberd on it and something was found.
fn machine(places: &Places, explained: &[(&str, Explanation)]) -> Option<Machine> {
    if explained.iter().all(|(_, explanation)| explanation.sightings.is_empty()) {
        return None;
    }
    let looked = explained.iter().any(|(_, explanation)| log::is_local(explanation));
    let machine = if looked { machine_files::look(places) } else { machine_files::gather(places).machine };
    let installed = machine.file(Role::Ctl).is_some_and(|file| file.state != State::Missing);
    installed.then_some(machine)
}

/// Whether a log is of the node of this machine, or names none.
fn is_its(explanation: &Explanation, machine: &Machine) -> bool {
    let node = machine.settings.node.as_ref().map(|own| NodeName::from(own.name.as_str()));
    log::is_of(explanation, node.as_ref())
}

/// What is wrong on this machine, where the log is of its node.
fn here(explanation: &Explanation, machine: Option<&Machine>) -> Vec<Problem> {
    machine.filter(|machine| is_its(explanation, machine)).map(machine::problems).unwrap_or_default()
}

fn explanation(file: &str) -> Result<Explanation, String> {
    if file != "-" {
        return read(open(&PathBuf::from(file))?, file);
    }
    let stdin = io::stdin();
    if stdin.is_terminal() {
        let _ = writeln!(io::stderr(), "paste the text, then press Ctrl-D on a line of its own");
    }
    read(stdin.lock(), "FILE")
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

/// How compressors begin their files, and what undoes it.
const COMPRESSED: [(&[u8], &str, &str); 4] = [
    (&[0xfd, 0x37, 0x7a, 0x58, 0x5a, 0x00], "xz", "xzcat"),
    (&[0x28, 0xb5, 0x2f, 0xfd], "zstd", "zstdcat"),
    (b"BZh", "bzip2", "bzcat"),
    (&[0x04, 0x22, 0x4d, 0x18], "lz4", "lz4cat"),
];
const GZIP: [u8; 2] = [0x1f, 0x8b];

fn read(mut source: impl Read, file: &str) -> Result<Explanation, String> {
    let mut head = Vec::new();
    source.by_ref().take(6).read_to_end(&mut head).map_err(said)?;
    if let Some((_, name, command)) = COMPRESSED.iter().find(|(magic, _, _)| head.starts_with(magic)) {
        return Err(format!("it is compressed by {name}; run {command} '{file}' | easy-cluster explain -"));
    }
    let is_gzip = head.starts_with(&GZIP);
    let whole = io::Cursor::new(head).chain(source);
    if is_gzip { feed(MultiGzDecoder::new(whole)) } else { feed(whole) }
}

fn feed(mut source: impl Read) -> Result<Explanation, String> {
    let mut explainer = Explainer::new();
    let mut bite = vec![0; BITE];
    loop {
        match source.read(&mut bite) {
            Ok(0) => return Ok(explainer.finish()),
            Ok(count) => explainer.feed(bite.get(..count).unwrap_or_default()),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error)
                if matches!(
                    error.kind(),
                    ErrorKind::InvalidInput | ErrorKind::InvalidData | ErrorKind::UnexpectedEof
                ) =>
            {
                return Err("it is compressed by gzip, and damaged or cut off".into());
            }
            Err(error) => return Err(said(error)),
        }
    }
}

fn words(explanation: &Explanation, file: &str, machine: Option<&Machine>, several: bool) -> String {
    let name = if file == "-" { "the standard input" } else { file };
    if explanation.sightings.is_empty() {
        let text = format!("{name} ({} lines)", explanation.lines);
        return errors::problems(&[Problem::NotRecognised { text, product: explanation.product.clone() }]);
    }
    let text = log::words(explanation, &here(explanation, machine));
    if several { format!("{}:\n{text}", errors::printable(name)) } else { text }
}

fn json(explained: &[(&str, Explanation)], machine: Option<&Machine>, several: bool) -> String {
    let report = |explanation: &Explanation| {
        let here = here(explanation, machine);
        let told = |sighting| Told::of(sighting, &here, &explanation.paths);
        Report {
            lines: explanation.lines,
            left_off: explanation.left_off,
            sightings: explanation.sightings.iter().map(told).collect(),
        }
    };
    let text = match explained {
        [(_, explanation)] if !several => serde_json::to_string_pretty(&report(explanation)),
        _none_or_several => {
            let reports = explained.iter().map(|(file, explanation)| FileReport {
                file: (*file).to_owned(),
                report: report(explanation),
            });
            serde_json::to_string_pretty(&reports.collect::<Vec<_>>())
        }
    };
    text.unwrap_or_default() + "\n"
}
