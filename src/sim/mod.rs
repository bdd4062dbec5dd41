//! Simulated printers and cameras, and real peers started as children: what `demo` and the tests share. The daemon
//! itself uses none of it.

pub mod klippy;
pub mod moonraker;
pub mod mosquitto;
pub mod stage;
//! A printer that is not there: for `demo` and for tests.

pub mod scene;
pub mod webcam;
