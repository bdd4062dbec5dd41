//! The decision, pure: `(state, now, Input) -> Outputs`. No async, no clock, no randomness, no I/O, no logging.

pub mod authz;
pub mod command;
pub mod event;
pub mod types;
