//! Home Assistant: what it is told, when, and what it makes of it.

mod golden;
mod life;
mod managed;
mod real;
mod rules;
