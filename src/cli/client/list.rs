//! `strandwatch client list`.

use serde_json::{Value, json};

use super::desk::Desk;
use crate::app::clients;
use crate::cli::output::say;
use crate::cli::{Exit, OrExit, Outcome};
use crate::core::types::Name;
use crate::mqtt::managed::accounts::Accounts;

pub(super) async fn show(desk: &Desk, as_json: bool) -> Outcome {
    let stored = desk.stored().await?;
    let grants = clients::combined(&desk.config.grants, &stored);
    let accounts = match &desk.managed {
        Some(settings) => Some(Accounts::look(&settings.folder).await.or_exit(Exit::Internal)?),
        None => None,
    };
    let mut rows = Vec::new();
    for (name, grant) in &grants.0 {
        rows.push(json!({
            "client": name, "rights": grant.rights, "printers": grant.printers,
            "from": if desk.config.grants.0.contains_key(name) { "configuration" } else { "store" },
            "added_at": stored.get(name).map(|client| client.added_at),
            // Whether it has a login is known of our own broker alone.
            "login": accounts.as_ref().map(|accounts| accounts.has(name.as_str())),
        }));
    }
    if as_json {
        say(json!({ "clients": rows }));
    } else if rows.is_empty() {
        say("There is no client. `strandwatch client add NAME --rights household` adds one.");
    } else {
        for (name, row) in grants.0.keys().zip(&rows) {
            say(line(name, row));
        }
    }
    Ok(Exit::Well)
}

fn line(name: &Name, row: &Value) -> String {
    let words = |key: &str| {
        let words = row[key].as_array()?.iter().filter_map(Value::as_str);
        Some(words.collect::<Vec<_>>().join(","))
    };
    let rights = words("rights").unwrap_or_default();
    let printers = words("printers").unwrap_or_else(|| "every printer".to_owned());
    let login = match row["login"].as_bool() {
        Some(false) => format!("; no login yet: strandwatch client rotate {name}"),
        Some(true) | None => String::new(),
    };
    let from = row["from"].as_str().unwrap_or_default();
    format!("{:<16} {rights} on {printers} ({from}{login})", name.as_str())
}
