//! To be written.

pub mod mosquitto;
