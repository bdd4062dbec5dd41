//! `strandwatch bench`.

use super::{Exit, Outcome};

/// Arguments of `strandwatch bench`.
#[derive(clap::Args)]
pub struct Arguments {}

/// Runs it.
pub fn run(_arguments: Arguments) -> Outcome {
    Ok(Exit::Internal)
}
