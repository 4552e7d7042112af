//! `easy-cluster rename`: another name for the database of a stopped node. Mnesia's files are Erlang's to write, so that an
//! Erlang VM does the work; here is only what it is called with.

use std::io::{self, Write as _};
use std::path::PathBuf;
use std::process::{Command, ExitCode};

/// Where `ejabberdctl module_install` puts easy_cluster, for the usual homes of ejabberd.
const INSTALLED: [&str; 3] = [
    "/var/lib/ejabberd/.ejabberd-modules/easy_cluster/ebin",
    "/opt/ejabberd/.ejabberd-modules/easy_cluster/ebin",
    "/home/ejabberd/.ejabberd-modules/easy_cluster/ebin",
];

/// Give the database of a stopped node to another name.
///
/// For a container or a machine whose name has changed, when ejabberd says that "the mnesia database is owned by" the old
/// one. The old database is kept beside it. Run it as the user that ejabberd runs as.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// The name that owns the database, as ejabberd@old.host.
    from: String,
    /// The name that shall own it, as ejabberd@new.host.
    to: String,
    /// The Mnesia directory, where schema.DAT is.
    directory: PathBuf,
    /// Tell what would be done, and do nothing.
    #[arg(long)]
    dry_run: bool,
    /// The folder of easy_cluster's compiled Erlang modules; where module_install puts it by default.
    #[arg(long)]
    ebin: Option<PathBuf>,
    /// The Erlang that ejabberd runs on.
    #[arg(long, default_value = "erl")]
    erl: PathBuf,
}

pub(crate) fn run(arguments: &Arguments) -> ExitCode {
    let installed = || INSTALLED.iter().map(PathBuf::from).find(|folder| folder.is_dir());
    let Some(ebin) = arguments.ebin.clone().or_else(installed) else {
        let _ = writeln!(
            io::stderr(),
            "easy_cluster's Erlang modules are not in {}: name their folder with --ebin",
            INSTALLED.join(", ")
        );
        return ExitCode::from(2);
    };
    let kind = if arguments.dry_run { "dry_run" } else { "commit" };
    let status = Command::new(&arguments.erl)
        .args(["-noinput", "-hidden", "-kernel", "logger_level", "none", "-pa"])
        .arg(&ebin)
        .args(["-run", "easy_cluster_rename_main", "main", &arguments.from, &arguments.to])
        .arg(&arguments.directory)
        .arg(kind)
        .status();
    match status {
        Ok(status) if status.success() => ExitCode::SUCCESS,
        Ok(_refused) => ExitCode::FAILURE,
        Err(error) => {
            let _ = writeln!(io::stderr(), "{} could not be started: {error}", arguments.erl.display());
            ExitCode::from(2)
        }
    }
}
