//! `strandwatch run`.

use std::path::PathBuf;

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use super::output::complain;
use super::{Exit, Failure, OrExit, Outcome, log};
use crate::app::wiring;
use crate::config::{self, Checked};

/// Arguments of `strandwatch run`.
#[derive(clap::Args)]
pub struct Arguments {
    /// The configuration file [default: ~/printer_data/config/strandwatch.toml, then /etc/strandwatch/strandwatch.toml]
    #[arg(long, value_name = "PATH")]
    config: Option<PathBuf>,
}

/// Runs the daemon until SIGTERM or SIGINT.
pub fn run(arguments: Arguments) -> Outcome {
    let config = load(arguments.config.as_deref())?;
    log::start(config.log);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .or_exit(Exit::Internal)?;
    let outcome = runtime.block_on(async {
        let cancel = CancellationToken::new();
        tokio::spawn(on_signals(cancel.clone()).or_exit(Exit::Internal)?);
        daemon(&config, cancel).await
    });
    // A model that is just being loaded is waited for, as ending in the midst of it would be a crash; a thread that is
    // stuck must not keep the process from ending.
    runtime.shutdown_timeout(std::time::Duration::from_millis(2_500));
    outcome
}

/// Loads the configuration for a command that needs it: warnings are printed, errors end it.
pub fn load(path: Option<&std::path::Path>) -> Result<Checked, Failure> {
    match config::load(path) {
        Ok(config) => {
            if !config.warnings.is_empty() {
                complain(config::by_place(&config.warnings));
            }
            Ok(config)
        }
        Err(problems) => {
            complain(config::by_place(&problems.list));
            Err(anyhow::anyhow!("the configuration has errors; `strandwatch check` shows them"))
                .or_exit(Exit::Usage)
        }
    }
}

async fn daemon(config: &Checked, cancel: CancellationToken) -> Outcome {
    for line in config.summary() {
        tracing::info!("{line}");
    }
    let wired = wiring::wire(config).await.or_exit(Exit::Unreachable)?;
    wired.run(cancel).await;
    tracing::info!("ended");
    Ok(Exit::Well)
}

/// The first SIGTERM or SIGINT asks for the end, the second ends at once.
fn on_signals(cancel: CancellationToken) -> std::io::Result<impl Future<Output = ()>> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        for _ in 0..2 {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            if cancel.is_cancelled() {
                std::process::exit(Exit::Internal as i32);
            }
            cancel.cancel();
        }
    })
}
