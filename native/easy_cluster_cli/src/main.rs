//! `easy-cluster`: the core in a terminal, before ejabberd starts.

mod boot_order;
mod doctor;
mod explain;
mod findings;
mod places;
mod plan;
mod rename;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Clustering for ejabberd that cannot lose data and explains itself.
#[derive(Parser)]
#[command(name = "easy-cluster", version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    BootOrder(boot_order::Arguments),
    Doctor(doctor::Arguments),
    Explain(explain::Arguments),
    Plan(plan::Arguments),
    Rename(rename::Arguments),
}

fn main() -> ExitCode {
    match Arguments::parse().command {
        Command::BootOrder(arguments) => boot_order::run(&arguments),
        Command::Doctor(arguments) => doctor::run(&arguments),
        Command::Explain(arguments) => explain::run(&arguments),
        Command::Plan(arguments) => plan::run(&arguments),
        Command::Rename(arguments) => rename::run(&arguments),
    }
}
