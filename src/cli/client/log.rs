//! `strandwatch client log`: what clients asked for, what became of it and why, as the daemon wrote it down.

use std::path::Path;

use anyhow::anyhow;
use jiff::{Timestamp, tz::TimeZone};
use serde_json::json;

use crate::cli::output::say;
use crate::cli::{Exit, OrExit, Outcome, run};
use crate::core::contract::{Decision, ReplyStatus};
use crate::ports::Store;
use crate::store::{OUTBOX_LIMIT, SqliteStore};

/// Arguments of `strandwatch client log`.
#[derive(clap::Args)]
pub struct Arguments {
    /// Of this client only
    #[arg(value_name = "NAME")]
    client: Option<String>,
    /// How many, the newest
    #[arg(long, default_value_t = 50, value_name = "N")]
    limit: usize,
}

/// Runs it.
pub fn run(arguments: &Arguments, config: Option<&Path>, as_json: bool) -> Outcome {
    let config = run::load(config)?;
    let path = &config.store.path;
    if !path.exists() {
        let why = anyhow!(
            "there is no {} yet: start the daemon first (`strandwatch run`)",
            path.display()
        );
        return Err(why).or_exit(Exit::Unreachable);
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .or_exit(Exit::Internal)?;
    let decisions = runtime.block_on(async {
        let store = SqliteStore::open(path, OUTBOX_LIMIT).or_exit(Exit::Unreachable)?;
        let found = store.decisions(arguments.client.clone(), arguments.limit).await;
        store.close().await;
        found.or_exit(Exit::Unreachable)
    })?;
    // The newest at the end, where one looks.
    for decision in decisions.iter().rev() {
        if as_json {
            say(json!(decision));
        } else {
            say(line(decision));
        }
    }
    if decisions.is_empty() && !as_json {
        say("nothing has been asked for");
    }
    Ok(Exit::Well)
}

fn line(decision: &Decision) -> String {
    let at = Timestamp::from_millisecond((decision.at * 1_000.0) as i64)
        .unwrap_or_default()
        .to_zoned(TimeZone::system())
        .strftime("%F %T");
    let Decision { client, printer, command, .. } = decision;
    let who = if decision.verified { "" } else { " (not verified)" };
    let status = match decision.status {
        ReplyStatus::Ok => "ok",
        ReplyStatus::Refused => "refused",
        ReplyStatus::Failed => "failed",
    };
    let reason = decision.reason.as_ref().map(|why| format!(": {why}")).unwrap_or_default();
    format!("{at}  {client}{who}  {printer} {command}  {status}{reason}")
}
