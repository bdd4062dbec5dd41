//! `strandwatch check`.

use std::path::PathBuf;

use serde_json::json;

use super::output::say;
use super::{Exit, Outcome};
use crate::app::clients;
use crate::config::{self, Checked, Level, Problem};
use crate::store;

/// Arguments of `strandwatch check`.
#[derive(clap::Args)]
pub struct Arguments {
    /// The configuration file [default: ~/printer_data/config/strandwatch.toml, then /etc/strandwatch/strandwatch.toml]
    #[arg(long, value_name = "PATH")]
    config: Option<PathBuf>,
    /// Print one JSON object instead
    #[arg(long)]
    json: bool,
    /// Print every key with its documentation and its default
    #[arg(long, conflicts_with_all = ["config", "json", "event_schema"])]
    reference: bool,
    /// Print the JSON schema of the events
    #[arg(long, conflicts_with_all = ["config", "json"])]
    event_schema: bool,
}

/// Runs it.
pub fn run(arguments: Arguments) -> Outcome {
    if arguments.reference {
        say(config::reference().trim_end());
        return Ok(Exit::Well);
    }
    if arguments.event_schema {
        say(config::event_schema().trim_end());
        return Ok(Exit::Well);
    }
    let (file, summary, problems, exit) = match config::load(arguments.config.as_deref()) {
        Ok(checked) => {
            let twice = named_twice(&checked);
            let exit = if twice.is_empty() { Exit::Well } else { Exit::ProblemsFound };
            let problems = checked.warnings.iter().cloned().chain(twice).collect();
            (checked.file.clone(), checked.summary(), problems, exit)
        }
        Err(problems) => {
            let exit = if problems.unreadable { Exit::Usage } else { Exit::ProblemsFound };
            let first = || config::default_files().into_iter().find(|path| path.exists());
            (arguments.config.or_else(first), Vec::new(), problems.list, exit)
        }
    };
    if arguments.json {
        let ok = exit == Exit::Well;
        say(json!({ "ok": ok, "config": file, "problems": problems, "summary": summary }));
    } else {
        let file = file.map_or_else(
            || "no configuration file: the defaults hold".to_owned(),
            |file| file.display().to_string(),
        );
        for_people(&file, &summary, &problems);
    }
    Ok(exit)
}

/// Clients that stand in the configuration and in the store: their rights must not be given twice.
fn named_twice(config: &Checked) -> Vec<Problem> {
    // A store that cannot be read is the daemon's trouble, not the configuration's.
    let stored =
        clients::read(store::look(&config.store.path, clients::PREFIX).unwrap_or_default());
    let twice = stored.keys().filter(|name| config.grants.0.contains_key(*name));
    twice
        .map(|name| Problem {
            level: Level::Error,
            place: config.file.as_ref().map_or_else(String::new, |file| file.display().to_string()),
            line: None,
            column: None,
            key: "mqtt.client".to_owned(),
            found: Some(format!("{:?}", name.as_str())),
            why: "has its rights here, and others from `strandwatch client add`; these here hold"
                .to_owned(),
            write: format!(
                "take it out of the configuration to let the others hold, or give it another name; \
                 `strandwatch client rm {name}` works once it stands here no more"
            ),
        })
        .collect()
}

fn for_people(file: &str, summary: &[String], problems: &[Problem]) {
    if !problems.is_empty() {
        say(config::by_place(problems));
    }
    let count = |level| problems.iter().filter(|problem| problem.level == level).count();
    let (errors, warnings) = (count(Level::Error), count(Level::Warning));
    let plural =
        |count: usize, what| format!("{count} {what}{}", if count == 1 { "" } else { "s" });
    say(format_args!("{file}: {}, {}", plural(errors, "error"), plural(warnings, "warning")));
    for line in summary {
        say(format_args!("  {line}"));
    }
}
