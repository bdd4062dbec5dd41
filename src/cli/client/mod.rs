//! `strandwatch client …`: who may ask for what, and what they asked for.

mod log;

use clap::Subcommand;

use super::Outcome;

/// Arguments of `strandwatch client`.
#[derive(clap::Args)]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Show what clients asked for, and what became of it
    Log(log::Arguments),
}

/// Runs it.
pub fn run(arguments: Arguments) -> Outcome {
    match arguments.command {
        Command::Log(arguments) => log::run(&arguments),
    }
}
