//! The one integration binary: real peers, scripted misbehaviour. `tests/README.md` says how to run it.

#[path = "../support/mod.rs"]
mod support;

mod bench_eval;
mod camera;
mod check;
mod daemon;
mod moonraker;
mod mqtt;
mod store;
mod structure;
mod vision;
