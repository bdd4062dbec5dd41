//! MQTT 5.
pub mod client;
pub mod fault;
pub mod tls;
pub mod topics;
pub mod wire;
