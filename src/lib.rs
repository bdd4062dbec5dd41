//! Strandwatch watches a Klipper printer through its webcam and stops it before a failed print becomes spaghetti.
//!
//! ```text
//!    Moonraker        webcam          picture            broker
//!        │               │               │                  │
//!   [moonraker]      [camera] ──▶ [vision] scores       [mqtt]  [store]     adapters
//!        │ status        │ frames        │              ▲   │       ▲
//!        │               └───────────────┤              │   │       │
//!        ▼                               ▼              │   ▼       │
//!   ┌────────────────────────────── [app] ──────────────┴───────────┴──┐    tasks, wiring
//!   │   inputs ──▶  [core]: (state, now, Input) -> Outputs  ──▶ outputs │    the decision, pure
//!   └──────────────────────────────────────────────────────────────────┘
//! ```
//!
//! One task owns the [`core`]; everything that happens reaches it as an [`Input`](core::contract::Input), everything
//! that is to be done leaves it as an [`Output`](core::contract::Output). The core has no clock, no I/O and no
//! randomness, so a journal of inputs replays to the same outputs, byte for byte.
//!
//! # The dependency rule
//! `main -> cli -> app -> adapters -> ports -> core`, one way. Adapters ([`moonraker`], [`camera`], [`vision`],
//! [`web`], [`mqtt`], [`hass`], [`store`], [`config`]) never import each other; only [`app::wiring`], [`app::doctor`] and [`cli`] name
//! them. [`sim`] is used by `demo`, `bench` and the tests, never by the daemon. `tests/it/structure.rs` guards all of this.
//!
//! # Where do I add …
//! | what | where |
//! |---|---|
//! | a command | one row of [`core::command::COMMANDS`], and its arm in `core/printer/commands.rs` |
//! | an event | one variant of [`core::event::EventKind`]; the schema under `config/` follows |
//! | a config key | one field of `config/raw.rs` with its doc comment; `config/reference.toml` follows |
//! | a kind of camera | one file below `camera/kind/` and one variant of [`camera::SourceKind`] |
//! | a kind of model | one variant of the manifest's `kind`, decoded in `vision/postprocess.rs` |
//! | an entity of Home Assistant | one row of [`hass::entities::ENTITIES`]; a button is part of its command's row |
//! | a topic | one variant of [`mqtt::topics::Topic`], one row of [`mqtt::wire::delivery`] |
//! | who may publish or read a topic | [`mqtt::access`] |
//! | a rule | one file below `core/detect/`, one variant of [`core::detect::Rule`] |
//! | a line in the printer's console | one arm of `line_of` in `core/screen.rs` |
//! | a subcommand | one file below `cli/` |
//!
//! # What must not break
//! Identity is a verified credential, never a place ([`core::authz`]). The command plane fails closed
//! ([`app::health`]), the watching plane fails loud ([`core::watch`]). An event is on disk before it is announced
//! ([`app::persist`]). An action counts as done when the printer *reports* it ([`core::action`]).

pub mod app;
pub mod camera;
pub mod cli;
pub mod config;
pub mod core;
pub mod hass;
pub mod moonraker;
pub mod mqtt;
pub mod ports;
pub mod sim;
pub mod store;
pub mod vision;
pub mod web;
