//! The `strandwatch` binary: from the command line to an exit code, nothing else.

use std::process::ExitCode;

fn main() -> ExitCode {
    strandwatch::cli::main()
}
