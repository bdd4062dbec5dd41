//! From the raw shape to the checked configuration: what no schema can say.

use std::path::{Path, PathBuf};

use super::checked::{Act, Checked, Keyring, Log, Rule, Store, Watch};
use super::document::Document;
use super::problem::{Key, Level, Report};
use super::raw::{self, Raw};
use super::{broker, paths, printers, secrets, web};
use crate::core::types::Name;

/// What every check needs.
pub(super) struct Context<'a> {
    pub document: &'a Document,
    pub report: &'a mut Report,
    pub keyring: &'a mut Keyring,
}

impl Context<'_> {
    /// Adds an error.
    pub fn error(&mut self, key: &Key, why: impl Into<String>, write: impl Into<String>) {
        self.document.error(self.report, key, why, write);
    }

    /// Adds an error without showing what was found.
    pub fn secret_error(&mut self, key: &Key, why: impl Into<String>, write: impl Into<String>) {
        self.document.error_unseen(self.report, key, why, write);
    }

    /// Adds a warning.
    pub fn warning(&mut self, key: &Key, why: impl Into<String>, write: impl Into<String>) {
        self.document.warning(self.report, key, why, write);
    }

    /// A path of the main file: `~/` and relative ones resolved.
    pub fn path(&self, path: &Path) -> PathBuf {
        paths::resolve(path, self.document.path.as_deref())
    }
}

/// Checks everything, and reports all of it.
pub(super) fn check(document: &Document, raw: &Raw, report: &mut Report) -> Checked {
    let (secrets_file, mut keyring) = secrets::read(document, raw, report);
    let mut context = Context { document, report, keyring: &mut keyring };
    let store = store(&mut context, &raw.store);
    Checked {
        file: document.path.clone(),
        secrets_file,
        printers: printers::check(&mut context, &raw.printer),
        watch: watch(&mut context, &raw.watch),
        act: act(&raw.act),
        mqtt: broker::check(&mut context, &raw.mqtt, &store.path),
        grants: broker::grants(&mut context, raw),
        home_assistant: broker::home_assistant(&mut context, &raw.home_assistant, &raw.mqtt.base),
        web: web::check(&mut context, &raw.web),
        store,
        log: Log { level: raw.log.level, format: raw.log.format },
        warnings: report.problems.iter().filter(|p| p.level == Level::Warning).cloned().collect(),
    }
}

/// Takes `text` as a name, or reports it with the nearest that would be one.
pub(super) fn name(context: &mut Context<'_>, key: &Key, text: &str) -> Option<Name> {
    let bad = match Name::parse(text) {
        Ok(name) => return Some(name),
        Err(bad) => bad,
    };
    let plain: String = text
        .to_lowercase()
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() || c == '_' { c } else { '-' })
        .take(64)
        .collect();
    let plain = plain.trim_matches(['-', '_']);
    let plain = if plain.is_empty() { "printer" } else { plain };
    let field = key.last().unwrap_or("name");
    context.error(key, bad.to_string(), format!("write {field} = {plain:?}"));
    None
}

fn watch(context: &mut Context<'_>, raw: &raw::Watch) -> Watch {
    let section = Key::new("watch");
    let act_rate = raw.false_alarms_per_100h;
    let alert_rate = raw.alert_false_alarms_per_100h.unwrap_or(5.0 * act_rate);
    if alert_rate < act_rate {
        let why = "is less than false_alarms_per_100h: alerts would come after the action";
        let write =
            format!("write alert_false_alarms_per_100h = {act_rate:?} or more, or leave it out");
        context.error(&section.at("alert_false_alarms_per_100h"), why, write);
    }
    if raw.suspect_interval > raw.clear_interval {
        let (suspect, clear) = (raw.suspect_interval, raw.clear_interval);
        let why = format!("{suspect} is longer than clear_interval, {clear}");
        let write = format!("write suspect_interval = \"{}\" or less", raw.clear_interval);
        context.error(&section.at("suspect_interval"), why, write);
    }
    let models = raw.models.as_ref().map(|path| context.path(path));
    if let Some(folder) = models.as_ref().filter(|folder| !folder.join("manifest.toml").is_file()) {
        let why = format!("there is no {}", folder.join("manifest.toml").display());
        context.error(&section.at("models"), why, "leave it out to use the models that came along");
    }
    let onnxruntime = raw.onnxruntime.as_ref().map(|path| context.path(path));
    if onnxruntime.as_ref().is_some_and(|file| !file.is_file()) {
        let write = "give the path of libonnxruntime.so, or leave it out";
        context.error(&section.at("onnxruntime"), "there is no such file", write);
    }
    Watch {
        rule: match raw.rule {
            raw::Rule::Evidence => Rule::Evidence,
            raw::Rule::Tsd => Rule::Tsd { sensitivity: raw.tsd_sensitivity },
        },
        false_alarms_per_100h: raw.false_alarms_per_100h,
        alert_false_alarms_per_100h: alert_rate,
        clear_interval: raw.clear_interval.0,
        suspect_interval: raw.suspect_interval.0,
        correlation_time: raw.correlation_time.0,
        self_test_every: raw.self_test_every.0,
        blind_alert_after: raw.blind_alert_after.0,
        model: raw.model.clone(),
        models,
        onnxruntime,
        threads: raw.threads,
    }
}

fn act(raw: &raw::Act) -> Act {
    Act {
        armed: raw.armed,
        on_failure: raw.on_failure,
        on_blind: raw.on_blind,
        veto: raw.veto.0,
        votes_needed: raw.votes_needed,
        on_confirmed: raw.on_confirmed,
        answer_within: raw.answer_within.0,
        if_unanswered: raw.if_unanswered,
        heaters_off_after: raw.heaters_off_after.map(|span| span.0),
        attempts: raw.attempts,
        confirm_within: raw.confirm_within.0,
    }
}

fn store(context: &mut Context<'_>, raw: &raw::Store) -> Store {
    let section = Key::new("store");
    let path = raw
        .path
        .as_ref()
        .map_or_else(|| paths::default_state().join("strandwatch.db"), |path| context.path(path));
    if path.is_dir() {
        let write = format!("write path = \"{}\"", path.join("strandwatch.db").display());
        context.error(&section.at("path"), "is a folder; a file is needed", write);
    }
    let evidence = raw
        .evidence
        .as_ref()
        .map_or_else(|| path.with_file_name("evidence"), |path| context.path(path));
    if evidence.is_file() {
        context.error(&section.at("evidence"), "is a file; a folder is needed", "choose another");
    }
    Store { path, evidence, evidence_quota: raw.evidence_quota.0 }
}
