//! The secrets file: who may read it, where it lies, what is in it. No message ever shows a value of it.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;

use super::checked::Keyring;
use super::document::Document;
use super::paths;
use super::problem::{Key, Level, Report, nearest};
use super::raw::{ClientSecrets, Raw, Secrets};
use super::shape;
use crate::core::types::Name;

/// Reads the secrets that belong to the main document. Gives its path, if it is there, and what is in it.
pub(super) fn read(main: &Document, raw: &Raw, report: &mut Report) -> (Option<PathBuf>, Keyring) {
    let main_path = main.path.as_deref();
    let path = raw
        .secrets
        .as_ref()
        .map_or_else(|| paths::default_secrets(main_path), |path| paths::resolve(path, main_path));
    let text = match std::fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == ErrorKind::NotFound => {
            if raw.secrets.is_some() {
                let write = format!("create it: install -m 600 /dev/null {}", path.display());
                main.error(report, &Key::new("secrets"), "there is no such file", write);
            }
            return (None, Keyring::default());
        }
        Err(error) => {
            let write = format!("ls -l {} shows who may read it", path.display());
            report.file(Level::Error, &path, format!("cannot be read: {error}"), write);
            return (None, Keyring::default());
        }
    };
    check_keeping(&path, main_path, report);
    let Some((document, mut values)) = Document::secrets(&path, text, report) else {
        return (Some(path), Keyring::default());
    };
    shape::fit(&document, &shape::schema_of::<Secrets>(), &Key::default(), &mut values, report);
    (Some(path), keyring(&document, raw, values, report))
}

/// Reports when others could read or replace the file.
fn check_keeping(path: &Path, main: Option<&Path>, report: &mut Report) {
    let shown = path.display();
    if let Ok(metadata) = std::fs::metadata(path) {
        let mode = metadata.mode() & 0o777;
        if mode & 0o077 != 0 {
            let why = format!("others may read it (mode {mode:03o}), and it holds passwords");
            report.file(Level::Error, path, why, format!("run: chmod 600 {shown}"));
        }
        let owner = metadata.uid();
        let ours = paths::user_id();
        let mains = main.and_then(|main| std::fs::metadata(main).ok()).map(|main| main.uid());
        if ours != Some(owner) && mains != Some(owner) {
            let ours = ours.map_or_else(|| "$USER".to_owned(), |user| user.to_string());
            let why = format!("it belongs to user {owner}, and Strandwatch runs as user {ours}");
            report.file(Level::Error, path, why, format!("run: sudo chown {ours} {shown}"));
        }
    }
    let real = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let names: Vec<_> = real.iter().collect();
    if names.windows(2).any(|pair| pair[0] == "printer_data" && pair[1] == "config") {
        let aim = paths::default_secrets(main);
        let folder = aim.parent().unwrap_or(&aim).display();
        let write = format!("run: mkdir -p {folder} && mv {shown} {}", aim.display());
        let why = "it lies in printer_data/config, which the web interface shows and people back up in public";
        report.file(Level::Error, path, why.to_owned(), write);
    }
}

fn keyring(document: &Document, raw: &Raw, values: Value, report: &mut Report) -> Keyring {
    let Ok(secrets) = serde_json::from_value::<Secrets>(values) else { return Keyring::default() };
    let keys = signing_keys(document, raw, secrets.mqtt.client, report);
    let mut keyring = Keyring {
        mqtt: secrets.mqtt.password,
        canary: secrets.mqtt.canary_password,
        keys,
        ..Keyring::default()
    };
    let defaults = [super::raw::Printer::default()];
    let printers = if raw.printer.is_empty() { &defaults[..] } else { &raw.printer[..] };
    let known = Key::new("printer");
    for (name, of_printer) in secrets.printer {
        let key = known.at(&name);
        let Some(printer) = printers.iter().find(|printer| printer.name == name) else {
            no_such(document, &key, "printer", printers.iter().map(|p| p.name.as_str()), report);
            continue;
        };
        if let Some(api_key) = of_printer.api_key {
            keyring.api_keys.insert(name.clone(), api_key);
        }
        for (camera, secret) in of_printer.camera {
            let cameras = printer.camera.iter().map(|camera| camera.name.as_str());
            if !cameras.clone().any(|known| known == camera) {
                no_such(document, &key.at("camera").at(&camera), "camera", cameras, report);
            } else if let Some(password) = secret.password {
                keyring.cameras.insert((name.clone(), camera), password);
            }
        }
    }
    keyring
}

/// The fewest characters of a signing key: 128 bits in base64.
const SHORTEST_KEY: usize = 22;

fn signing_keys(
    document: &Document,
    raw: &Raw,
    clients: BTreeMap<String, ClientSecrets>,
    report: &mut Report,
) -> BTreeMap<Name, SecretString> {
    let mut keys = BTreeMap::new();
    let known = raw.mqtt.client.iter().filter_map(|client| client.name.as_deref());
    for (name, of_client) in clients {
        let at = Key::new("mqtt").at("client").at(&name);
        if !known.clone().any(|known| known == name) {
            no_such(document, &at, "client", known.clone(), report);
            continue;
        }
        let (Some(key), Ok(client)) = (of_client.key, Name::parse(&name)) else { continue };
        if key.expose_secret().len() < SHORTEST_KEY {
            let why = format!("is shorter than {SHORTEST_KEY} characters");
            document.error_unseen(
                report,
                &at.at("key"),
                why,
                "write what `openssl rand -hex 32` prints",
            );
        }
        keys.insert(client, key);
    }
    keys
}

fn no_such<'a>(
    document: &Document,
    key: &Key,
    what: &str,
    known: impl Iterator<Item = &'a str> + Clone,
    report: &mut Report,
) {
    let full = key.to_string();
    let found = full.rsplit('.').next().unwrap_or_default();
    let write = match nearest(found, known.clone()) {
        Some(meant) => format!("did you mean {meant}?"),
        None => format!("use one of: {}", known.collect::<Vec<_>>().join(", ")),
    };
    document.error(report, key, format!("the main file has no {what} {found:?}"), write);
}

/// The secret that was asked for, taken out.
pub(super) fn camera(keyring: &mut Keyring, printer: &str, camera: &str) -> Option<SecretString> {
    keyring.cameras.remove(&(printer.to_owned(), camera.to_owned()))
}
