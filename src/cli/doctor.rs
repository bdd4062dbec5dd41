//! `strandwatch doctor`.

use std::path::PathBuf;

use serde_json::json;
use tokio::sync::mpsc;

use super::output::say;
use super::{Exit, OrExit, Outcome, run};
use crate::app::doctor::{Finding, Verdict, examine};

/// Arguments of `strandwatch doctor`.
#[derive(clap::Args)]
pub struct Arguments {
    /// The configuration file [default: ~/printer_data/config/strandwatch.toml, then /etc/strandwatch/strandwatch.toml]
    #[arg(long, value_name = "PATH")]
    config: Option<PathBuf>,
    /// Print one JSON object a line instead
    #[arg(long)]
    json: bool,
}

/// Runs it.
pub fn run(arguments: Arguments) -> Outcome {
    let config = run::load(arguments.config.as_deref())?;
    let runtime =
        tokio::runtime::Builder::new_multi_thread().enable_all().build().or_exit(Exit::Internal)?;
    let worst = runtime.block_on(async {
        let (findings, mut made) = mpsc::channel(8);
        let examination = tokio::spawn(async move { examine(&config, findings).await });
        let mut bad = false;
        while let Some(finding) = made.recv().await {
            bad |= finding.verdict == Verdict::Bad;
            show(&finding, arguments.json);
        }
        let _ = examination.await;
        bad
    });
    runtime.shutdown_timeout(std::time::Duration::from_millis(500));
    Ok(if worst { Exit::ProblemsFound } else { Exit::Well })
}

fn show(finding: &Finding, as_json: bool) {
    if as_json {
        say(json!(finding));
        return;
    }
    let mark = match finding.verdict {
        Verdict::Good => "ok  ",
        Verdict::Warning => "look",
        Verdict::Bad => "BAD ",
    };
    say(format_args!("{mark} {}: {}", finding.what, finding.detail));
}
