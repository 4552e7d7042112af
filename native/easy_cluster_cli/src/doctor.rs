//! `easy-cluster doctor`.

use std::process::ExitCode;

/// To be written.
#[derive(clap::Args)]
pub(crate) struct Arguments {}

pub(crate) fn run(_arguments: &Arguments) -> ExitCode {
    ExitCode::SUCCESS
}
