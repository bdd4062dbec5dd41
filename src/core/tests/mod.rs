//! The core as a specification: what goes in, what comes out, told in the order in which it happens.

#![expect(clippy::wildcard_enum_match_arm, reason = "a test looks for one kind among many")]

mod actions;
mod authority;
mod clutter;
mod console;
mod cooling;
mod incidents;
mod invariants;
mod life;
mod lift;
mod limits;
mod objects;
mod requests;
pub(crate) mod scenario;
pub(crate) mod stories;
pub(crate) mod teller;
mod votes;
mod watching;
