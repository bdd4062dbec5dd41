//! Home Assistant: every printer appears there by itself, over MQTT discovery.
//!
//! Home Assistant is nothing special to the daemon: it is a client with a credential and rights of its own, and reads the
//! same topics as every other. What it needs beside them is a retained document for each device that tells which topics
//! to read and to write. `entities` is the table of what there is to show, `discovery` makes the documents of it, `plan`
//! compares them with what was announced before, and `announcer` publishes them.

mod announcer;
mod discovery;
pub mod entities;
pub mod plan;

use std::collections::BTreeMap;

pub use announcer::run;
pub use discovery::{Device, devices};

use crate::core::types::Name;

/// What Home Assistant is told. The topics are whole ones.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setup {
    /// The first levels of its discovery topics, such as `homeassistant`.
    pub prefix: String,
    /// The daemon's base topic, of which the devices' ids are made.
    pub base: String,
    /// The daemon's version.
    pub version: String,
    /// `<base>/status`.
    pub status: String,
    /// `<base>/health`.
    pub health: String,
    /// Every printer.
    pub printers: Vec<Printer>,
}

/// A printer, for Home Assistant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Printer {
    /// Its name.
    pub name: Name,
    /// Its cameras.
    pub cameras: Vec<Name>,
    /// `<base>/<printer>/availability`.
    pub availability: String,
    /// `<base>/<printer>/state`.
    pub state: String,
    /// `<base>/<printer>/incident`.
    pub incident: String,
    /// `<base>/<printer>/event`.
    pub event: String,
    /// `<base>/<printer>/image/failure`.
    pub failure_image: String,
    /// `<base>/<printer>/image/preview`.
    pub preview_image: String,
    /// The request topic of each command that Home Assistant's client may use here.
    pub requests: BTreeMap<&'static str, String>,
}
