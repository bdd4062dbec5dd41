//! Lines for people and programs, on standard output and standard error. A closed pipe is no error.

use std::fmt::Display;
use std::io::Write;

/// Writes one line to standard output.
pub fn say(line: impl Display) {
    // A reader that has gone away (`| head`) is no fault of ours.
    let _ = writeln!(std::io::stdout().lock(), "{line}");
}

/// Writes one line to standard error.
pub fn complain(line: impl Display) {
    let _ = writeln!(std::io::stderr().lock(), "{line}");
}
