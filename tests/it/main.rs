//! The one integration binary: real peers, scripted misbehaviour. `tests/README.md` says how to run it.

#![allow(
    clippy::unwrap_used,
    clippy::unwrap_in_result,
    clippy::print_stdout,
    dead_code,
    reason = "a test fails by panicking; not every test file uses every helper"
)]

#[path = "../support/mod.rs"]
mod support;

mod bench_eval;
mod blind;
mod camera;
mod captured;
mod check;
mod client;
mod daemon;
mod enrolment;
mod generated;
mod hass;
mod moonraker;
mod mqtt;
mod real_pictures;
mod replay;
mod simulate;
mod store;
mod structure;
mod view;
mod vision;
