//! The command line: one file a subcommand, each turning arguments into an [`Exit`].

use std::process::ExitCode;

use clap::{Parser, Subcommand};

mod bench;
mod calibrate;
mod check;
mod client;
mod demo;
mod doctor;
mod eval;
mod log;
mod mask;
mod model;
pub mod output;
mod pictures;
mod replay;
mod run;
mod score;
mod simulate;
mod tune;
mod view;

/// How a command ends; the number is the process's exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// All is well.
    Well = 0,
    /// The check that was asked for found problems.
    ProblemsFound = 1,
    /// Wrong usage or configuration.
    Usage = 2,
    /// Something could not be reached.
    Unreachable = 3,
    /// A fault of ours.
    Internal = 4,
}

/// Why a command could not do its work.
#[derive(Debug)]
pub struct Failure {
    /// The exit code it ends with.
    pub exit: Exit,
    /// What happened, with its causes.
    pub error: anyhow::Error,
}

/// What a subcommand returns.
pub type Outcome = Result<Exit, Failure>;

/// Gives an error the exit code it ends with.
pub trait OrExit<T> {
    /// Ends with `exit` when this is an error.
    fn or_exit(self, exit: Exit) -> Result<T, Failure>;
}

impl<T, E: Into<anyhow::Error>> OrExit<T> for Result<T, E> {
    fn or_exit(self, exit: Exit) -> Result<T, Failure> {
        self.map_err(|error| Failure { exit, error: error.into() })
    }
}

/// Watches a Klipper printer through its webcam and stops it before a failed print becomes spaghetti.
#[derive(Parser)]
#[command(name = "strandwatch", version, about, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Watch the configured printers: the daemon
    Run(run::Arguments),
    /// Check the configuration and print every problem at once
    Check(check::Arguments),
    /// Show the whole system on this machine, with nothing to set up
    Demo(demo::Arguments),
    /// Check the live system: Moonraker, cameras, model, broker, clock, disk
    Doctor(doctor::Arguments),
    /// Give clients credentials and rights, list them, take them away, show what they asked for
    Client(client::Arguments),
    /// Show which part of a camera's picture counts
    Mask(mask::Arguments),
    /// Mark where the bed lies in a camera's picture, so that a failure can be told to be one object's
    Calibrate(calibrate::Arguments),
    /// Score pictures, folders or videos
    Score(score::Arguments),
    /// Measure a model on a labelled set of pictures
    Eval(eval::Arguments),
    /// Decide recorded prints, videos or pictures again, with other settings
    Replay(replay::Arguments),
    /// Propose settings from this printer's own prints and the answers to its alerts
    Tune(tune::Arguments),
    /// Judge the rules on whole simulated prints: failures found, how fast, and false alarms per 100 hours
    Simulate(simulate::Arguments),
    /// Measure frames per second, CPU per frame by stage, and memory
    Bench(bench::Arguments),
}

/// Runs the command line of this process.
pub fn main() -> ExitCode {
    let outcome = match Cli::parse().command {
        Command::Run(arguments) => run::run(arguments),
        Command::Demo(arguments) => demo::run(arguments),
        Command::Doctor(arguments) => doctor::run(arguments),
        Command::Check(arguments) => check::run(arguments),
        Command::Client(arguments) => client::run(arguments),
        Command::Mask(arguments) => mask::run(arguments),
        Command::Calibrate(arguments) => calibrate::run(arguments),
        Command::Score(arguments) => score::run(arguments),
        Command::Eval(arguments) => eval::run(arguments),
        Command::Replay(arguments) => replay::run(arguments),
        Command::Tune(arguments) => tune::run(arguments),
        Command::Simulate(arguments) => simulate::run(arguments),
        Command::Bench(arguments) => bench::run(arguments),
    };
    let exit = outcome.unwrap_or_else(|failure| {
        output::complain(format_args!("strandwatch: {:#}", failure.error));
        failure.exit
    });
    ExitCode::from(exit as u8)
}
