//! The application: wires the adapters to the core and keeps everything going.
//!
//! One task owns the core ([`core_task`]); a task for each camera captures and scores ([`camera_task`]); everything that
//! must be durable passes through one queue in order ([`persist`]). [`wiring`] and [`doctor`] alone name adapters.

pub mod album;
pub mod camera_task;
pub mod clients;
pub mod clock;
pub mod core_task;
pub mod daemon;
pub mod doctor;
pub mod enrolment;
pub mod evidence;
pub mod gallery;
pub mod health;
pub mod journal;
pub mod judge;
pub mod onnx;
pub mod persist;
pub mod recorder;
pub mod replay;
pub mod scoring;
pub mod screens;
pub mod still;
pub mod thin;
pub mod watchdog;
pub mod webcams;
pub mod wiring;
