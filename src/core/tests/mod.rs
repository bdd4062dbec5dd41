//! The core as a specification: what goes in, what comes out, told in the order in which it happens.

mod actions;
mod incidents;
mod invariants;
mod life;
mod requests;
pub(crate) mod scenario;
mod stories;
mod votes;
mod watching;
