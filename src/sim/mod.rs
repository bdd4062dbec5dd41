//! To be written.

pub mod klippy;
pub mod moonraker;
