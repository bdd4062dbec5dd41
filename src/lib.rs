//! Strandwatch (the map is written when the walls stand).

pub mod app;
pub mod camera;
pub mod cli;
pub mod config;
pub mod core;
pub mod moonraker;
pub mod mqtt;
pub mod ports;
pub mod sim;
pub mod store;
pub mod vision;
