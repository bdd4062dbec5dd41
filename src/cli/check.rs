//! `strandwatch check`.

use std::path::PathBuf;

use serde_json::json;

use super::output::say;
use super::{Exit, Outcome};
use crate::config::{self, Level, Problem};

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
        Ok(checked) => (checked.file.clone(), checked.summary(), checked.warnings, Exit::Well),
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
