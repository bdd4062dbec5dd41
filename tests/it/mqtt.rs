//! The bus against a real Mosquitto, and against brokers that misbehave.

mod access;
mod arbitrary;
mod audit;
mod events;
mod fake;
mod life;
mod login;
mod signing;
mod topics;
