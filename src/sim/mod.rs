//! Simulated printers and cameras, and real peers started as children: what `demo` and the tests share. The daemon
//! itself uses none of it.

pub mod film;
pub mod klippy;
pub mod moonraker;
pub mod mosquitto;
pub mod newcomer;
pub mod ports;
pub mod scene;
pub mod stage;
pub mod webcam;
pub mod workload;
