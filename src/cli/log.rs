//! Where log lines go: to journald under systemd, else to standard error.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use crate::config::{Log, LogFormat, LogLevel};

/// Starts logging. `RUST_LOG` overrides the level. Called once, by commands that run long.
pub fn start(log: Log) {
    let level = match log.level {
        LogLevel::Error => "error",
        LogLevel::Warn => "warn",
        LogLevel::Info => "info",
        LogLevel::Debug => "debug",
        LogLevel::Trace => "trace",
    };
    // rumqttc and tungstenite say everything that we say, once more.
    let default = format!("{level},rumqttc=error,tungstenite=warn,tokio_tungstenite=warn");
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(default));
    let registry = tracing_subscriber::registry().with(filter);
    let colours = std::io::stderr().is_terminal();
    let stderr = || {
        tracing_subscriber::fmt::layer()
            .with_writer(std::io::stderr)
            .with_target(false)
            .with_ansi(colours)
    };
    let under_systemd = std::env::var_os("JOURNAL_STREAM").is_some();
    let to_journal = match log.format {
        LogFormat::Journal => true,
        LogFormat::Auto => under_systemd,
        LogFormat::Text | LogFormat::Json => false,
    };
    let journal = if to_journal { tracing_journald::layer().ok() } else { None };
    // A subscriber that is there already, as in a test, is as good.
    let _ = match (log.format, journal) {
        (_, Some(journal)) => registry.with(journal).try_init(),
        (LogFormat::Json, None) => registry.with(stderr().json()).try_init(),
        (LogFormat::Auto | LogFormat::Text | LogFormat::Journal, None) => {
            registry.with(stderr()).try_init()
        }
    };
}
