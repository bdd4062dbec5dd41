//! Checks `[mqtt]` and `[[mqtt.client]]`.

use std::collections::BTreeSet;
use std::path::Path;

use super::check::{Context, name};
use super::checked::{HomeAssistant, Login, Managed, Mqtt, Tls};
use super::problem::{Key, nearest};
use super::raw;
use super::shape::one_of;
use crate::core::authz::{Grant, Grants, Right, Trust, is_reserved};
use crate::core::types::Name;

/// Presets of [`Right::from_word`].
const PRESETS: [&str; 3] = ["observer", "household", "owner"];

/// The broker, if there is one. `store` is the store's file: a broker of our own has its folder beside it.
pub(super) fn check(context: &mut Context<'_>, raw: &raw::Mqtt, store: &Path) -> Option<Mqtt> {
    let section = Key::new("mqtt");
    let base = base(context, &section.at("base"), &raw.base);
    let inferred = if raw.host.is_some() { raw::Broker::External } else { raw::Broker::Managed };
    match raw.broker.unwrap_or(inferred) {
        raw::Broker::Managed => managed(context, raw, base, store),
        raw::Broker::External => external(context, raw, base),
        raw::Broker::None => {
            if !raw.client.is_empty() {
                let why = "there are clients, and no broker to hear them through";
                context.warning(&section.at("broker"), why, "write broker = \"managed\"");
            }
            None
        }
    }
}

/// The ports of our own broker: not those that Debian's takes.
const LOCAL_PORT: u16 = 21883;
const LAN_PORT: u16 = 28883;

fn managed(
    context: &mut Context<'_>,
    raw: &raw::Mqtt,
    base: Option<String>,
    store: &Path,
) -> Option<Mqtt> {
    let section = Key::new("mqtt");
    let foreign = [
        ("host", raw.host.is_some()),
        ("port", raw.port.is_some()),
        ("tls", raw.tls),
        ("ca_file", raw.ca_file.is_some()),
        ("username", raw.username.is_some()),
        ("client_id", raw.client_id.is_some()),
        ("canary", raw.canary.is_some()),
    ];
    for (key, _) in foreign.iter().filter(|(_, given)| *given) {
        let why = "belongs to a broker of yours, and this one is Strandwatch's own";
        let write = "write broker = \"external\" and its host, or leave this out";
        context.error(&section.at(key), why, write);
    }
    let secrets = [context.keyring.mqtt.take(), context.keyring.canary.take()];
    if secrets.iter().any(Option::is_some) {
        let why =
            "the secrets file has a password under [mqtt], and the broker is Strandwatch's own";
        let write = "write broker = \"external\" and its host, or take the password out of the secrets file";
        context.error(&section.at("broker"), why, write);
    }
    let local_port = raw.local_port.unwrap_or(LOCAL_PORT);
    let lan_port = Some(raw.lan_port.unwrap_or(LAN_PORT)).filter(|port| *port != 0);
    if lan_port == Some(local_port) {
        let write = format!("write lan_port = {LAN_PORT}, or any other that is free");
        context.error(&section.at("lan_port"), "is the same as local_port", write);
    }
    if let Some(host) = &raw.public_host {
        host_is_good(context, "public_host", host);
    }
    let keys = std::mem::take(&mut context.keyring.keys);
    check_trust(context, raw, false, |client| {
        Name::parse(client).is_ok_and(|client| keys.contains_key(&client))
    });
    let base = base?;
    Some(Mqtt {
        host: "127.0.0.1".to_owned(),
        port: local_port,
        tls: None,
        login: None,
        client_id: base.replace('/', "-"),
        base,
        trust: raw.trust,
        canary: None,
        keys,
        managed: Some(Managed {
            folder: store.with_file_name("broker"),
            lan_port,
            public_host: raw.public_host.clone(),
        }),
    })
}

fn external(context: &mut Context<'_>, raw: &raw::Mqtt, base: Option<String>) -> Option<Mqtt> {
    let section = Key::new("mqtt");
    let own = [
        ("local_port", raw.local_port.is_some()),
        ("lan_port", raw.lan_port.is_some()),
        ("public_host", raw.public_host.is_some()),
    ];
    for (key, _) in own.iter().filter(|(_, given)| *given) {
        let why = "is not used, as the broker is yours";
        context.warning(&section.at(key), why, "leave it out, or write broker = \"managed\"");
    }
    let tls = tls(context, raw);
    let Some(host) = &raw.host else {
        let why = "the broker is yours, and it is not said where it is";
        context.error(&section.at("host"), why, "write host = \"127.0.0.1\" under [mqtt]");
        return None;
    };
    let host_is_good = host_is_good(context, "host", host);
    let login = login(context, raw);
    if tls.is_none() && login.as_ref().is_some_and(|login| login.password.is_some()) {
        let local = matches!(host.as_str(), "localhost" | "127.0.0.1" | "::1");
        if host_is_good && !local {
            let why = "the password crosses the network as plain text";
            context.warning(&section.at("tls"), why, "write tls = true, if the broker speaks TLS");
        }
    }
    let canary = canary(context, raw);
    let keys = std::mem::take(&mut context.keyring.keys);
    check_trust(context, raw, canary.is_some(), |client| {
        Name::parse(client).is_ok_and(|client| keys.contains_key(&client))
    });
    let client_id = raw.client_id.clone().unwrap_or_else(|| raw.base.replace('/', "-"));
    Some(Mqtt {
        host: host.clone(),
        port: raw.port.unwrap_or(if tls.is_some() { 8883 } else { 1883 }),
        tls,
        login,
        base: base?,
        client_id,
        managed: None,
        trust: raw.trust,
        canary,
        keys,
    })
}

fn tls(context: &mut Context<'_>, raw: &raw::Mqtt) -> Option<Tls> {
    let key = Key::new("mqtt").at("ca_file");
    let ca_file = raw.ca_file.as_ref().map(|file| context.path(file));
    if let Some(file) = &ca_file {
        if !raw.tls {
            let write = "write tls = true, or leave ca_file out";
            context.warning(&key, "is not used without TLS", write);
        }
        if let Err(error) = std::fs::File::open(file) {
            let write = format!("put the authority's PEM file at {}", file.display());
            context.error(&key, format!("cannot be read: {error}"), write);
        }
    }
    raw.tls.then_some(Tls { ca_file })
}

fn host_is_good(context: &mut Context<'_>, name: &str, host: &str) -> bool {
    let bare = host.rsplit("://").next().unwrap_or_default();
    let bare = bare.split('/').next().unwrap_or_default();
    let is_address = bare.parse::<std::net::IpAddr>().is_ok();
    let (bare, port) = match bare.rsplit_once(':') {
        Some((bare, port)) if !is_address => (bare, Some(port)),
        _ => (bare, None),
    };
    let odd = bare.is_empty() || bare.contains(|c: char| c.is_whitespace() || "@#?[]".contains(c));
    if bare == host && !odd {
        return true;
    }
    let bare = if odd { "127.0.0.1" } else { bare };
    let port = port.map(|port| format!(" and port = {port}")).unwrap_or_default();
    let why = "must be a host name or an address alone";
    let write = format!("write {name} = \"{bare}\"{port}");
    context.error(&Key::new("mqtt").at(name), why, write);
    false
}

fn login(context: &mut Context<'_>, raw: &raw::Mqtt) -> Option<Login> {
    let key = Key::new("mqtt").at("username");
    let password = context.keyring.mqtt.take();
    match (&raw.username, &password) {
        (None, Some(_)) => {
            let why = "is missing, and the secrets file has a password for it";
            context.error(&key, why, "write username = \"strandwatch\" under [mqtt]");
        }
        (Some(_), None) => {
            let write = "write into the secrets file: [mqtt] password = \"…\"";
            context.warning(&key, "has no password in the secrets file", write);
        }
        (None, None) if !raw.client.is_empty() => {
            let why = "the broker is used without a login, so nobody's name is proven: every command will be refused";
            let write = "give the broker logins and an ACL (config/README.md), then write username = \"strandwatch\"";
            context.warning(&key, why, write);
        }
        _ => {}
    }
    raw.username.clone().map(|username| Login { username, password })
}

/// Whom the audit logs in as.
fn canary(context: &mut Context<'_>, raw: &raw::Mqtt) -> Option<Login> {
    let key = Key::new("mqtt").at("canary");
    let password = context.keyring.canary.take();
    match (&raw.canary, &password) {
        (None, Some(_)) => {
            let why = "is missing, and the secrets file has a password for it";
            context.error(&key, why, "write canary = \"strandwatch-canary\" under [mqtt]");
        }
        (Some(_), None) => {
            let write = "write into the secrets file: [mqtt] canary_password = \"…\"";
            context.warning(&key, "has no password in the secrets file", write);
        }
        (None, None) | (Some(_), Some(_)) => {}
    }
    let canary = raw.canary.as_ref()?;
    let is_client = raw.client.iter().any(|client| client.name.as_ref() == Some(canary));
    if is_client || raw.username.as_ref() == Some(canary) {
        let why = "is somebody already, and the canary must be nobody";
        context.error(&key, why, "give it a user of its own at the broker");
    }
    // Its name stands in topics, as a client's does.
    name(context, &key, canary)?;
    Some(Login { username: canary.clone(), password })
}

/// Whether what is trusted can ever be shown.
fn check_trust(
    context: &mut Context<'_>,
    raw: &raw::Mqtt,
    has_canary: bool,
    has_key: impl Fn(&str) -> bool,
) {
    let section = Key::new("mqtt");
    let names = raw.client.iter().enumerate().filter_map(|(index, client)| {
        client.name.as_deref().map(|name| (section.at("client").item(index).at("name"), name))
    });
    match raw.trust {
        Trust::Isolation if raw.username.is_some() && !has_canary && !raw.client.is_empty() => {
            let why = "is missing: that the broker keeps clients apart cannot be shown, and every command will be refused";
            let write = "give the broker one more user with a client's rules (config/README.md has them), then write canary = \"strandwatch-canary\"";
            context.warning(&section.at("canary"), why, write);
        }
        Trust::Isolation => {}
        Trust::Signatures => {
            for (key, name) in names.filter(|(_, name)| !has_key(name)) {
                let why = "has no signing key: everything it asks for will be refused";
                let write =
                    format!("write into the secrets file: [mqtt.client.{name}] key = \"…\"");
                context.warning(&key, why, write);
            }
        }
        Trust::AnyLogin => {
            let why = "lets every login of the broker speak as any client";
            let write = "keep it only if every user of this broker may do everything to the printer; \"isolation\" and \"signatures\" are the others";
            context.warning(&section.at("trust"), why, write);
        }
    }
}

fn base(context: &mut Context<'_>, key: &Key, base: &str) -> Option<String> {
    if is_topic(base) {
        return Some(base.to_owned());
    }
    let why = "must be levels of letters, digits, _, - and . joined by /, such as home/printers";
    context.error(key, why, "write base = \"strandwatch\"");
    None
}

/// Whether every level is plain.
fn is_topic(text: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-.".contains(c);
    let is_level = |level: &str| !level.is_empty() && level.chars().all(plain);
    text.len() <= 128 && text.split('/').all(is_level)
}

/// Home Assistant's topics and client, if Strandwatch is to appear there.
pub(super) fn home_assistant(
    context: &mut Context<'_>,
    raw: &raw::HomeAssistant,
    base: &str,
) -> Option<HomeAssistant> {
    let section = Key::new("home_assistant");
    let default = raw::HomeAssistant::default();
    let client = name(context, &section.at("client"), &raw.client);
    let topics = [
        ("discovery_prefix", &raw.discovery_prefix, &default.discovery_prefix),
        ("birth_topic", &raw.birth_topic, &default.birth_topic),
    ];
    for (key, topic, usual) in topics {
        let write = format!("write {key} = {usual:?}, or what Home Assistant has");
        if !is_topic(topic) {
            let why = "must be levels of letters, digits, _, - and . joined by /";
            context.error(&section.at(key), why, write);
        } else if topic == base || topic.starts_with(&format!("{base}/")) {
            context.error(&section.at(key), "lies below mqtt.base, which is Strandwatch's", write);
        }
    }
    let (discovery_prefix, birth_topic) = (raw.discovery_prefix.clone(), raw.birth_topic.clone());
    client.filter(|_| raw.enabled).map(|client| HomeAssistant {
        client,
        discovery_prefix,
        birth_topic,
    })
}

/// Every client's rights.
pub(super) fn grants(context: &mut Context<'_>, raw: &raw::Raw) -> Grants {
    let mut grants = Grants::default();
    let mut voters = 0;
    for (index, client) in raw.mqtt.client.iter().enumerate() {
        let key = Key::new("mqtt").at("client").item(index);
        let rights = rights(context, &key.at("rights"), client);
        let printers = printers(context, &key.at("printers"), client, &raw.printer);
        // Where the name is missing altogether, that has been said already.
        let Some(text) = &client.name else { continue };
        let Some(name) = name(context, &key.at("name"), text) else { continue };
        if is_reserved(&name) || raw.mqtt.username.as_ref() == Some(text) {
            let why = "is a name that strandwatch has for itself";
            context.error(&key.at("name"), why, "give the client a name of its own");
        }
        voters += u32::from(rights.contains(&Right::Vote));
        if grants.0.insert(name, Grant { rights, printers }).is_some() {
            let why = format!("another client has the name {text:?}");
            context.error(&key.at("name"), why, "give each its own, or put their rights together");
        }
    }
    // Where the store has the clients, only the daemon can count them.
    if raw.act.votes_needed > voters.max(1) && !raw.mqtt.client.is_empty() {
        let why = format!("only {voters} clients of this file have the right to vote");
        let write = format!("write votes_needed = {}", voters.max(1));
        context.warning(&Key::new("act").at("votes_needed"), why, write);
    }
    grants
}

fn rights(context: &mut Context<'_>, key: &Key, client: &raw::Client) -> BTreeSet<Right> {
    let Some(words) = &client.rights else { return BTreeSet::new() };
    let all: Vec<&str> = Right::ALL.iter().map(|right| right.name()).chain(PRESETS).collect();
    if words.is_empty() {
        let write = "write rights = [\"observer\"], or take the client out";
        context.error(key, "a client without rights is refused everything", write);
    }
    let mut rights = BTreeSet::new();
    for (index, word) in words.iter().enumerate() {
        match Right::from_word(word) {
            Some(meant) => rights.extend(meant),
            None => {
                let shown: Vec<String> = all.iter().map(|word| format!("{word:?}")).collect();
                let write = match nearest(word, all.iter().copied()) {
                    Some(meant) => format!("did you mean {meant:?}?"),
                    None => format!("write {}", one_of(&shown)),
                };
                context.error(&key.item(index), "there is no such right or preset", write);
            }
        }
    }
    rights
}

fn printers(
    context: &mut Context<'_>,
    key: &Key,
    client: &raw::Client,
    printers: &[raw::Printer],
) -> Option<BTreeSet<Name>> {
    let words = client.printers.as_ref()?;
    let default = [raw::Printer::default()];
    let printers = if printers.is_empty() { &default[..] } else { printers };
    let known: Vec<&str> = printers.iter().map(|printer| printer.name.as_str()).collect();
    if words.is_empty() {
        let write = format!("write printers = [{:?}], or leave it out for every printer", known[0]);
        context.error(key, "a client without printers is refused everything", write);
    }
    let mut names = BTreeSet::new();
    for (index, word) in words.iter().enumerate() {
        if !known.contains(&word.as_str()) {
            let shown: Vec<String> = known.iter().map(|word| format!("{word:?}")).collect();
            let write = match nearest(word, known.iter().copied()) {
                Some(meant) => format!("did you mean {meant:?}?"),
                None => format!("write {}", one_of(&shown)),
            };
            context.error(&key.item(index), "there is no printer of that name", write);
        }
        // A known name that is not valid has been reported where it is given.
        names.extend(Name::parse(word).ok());
    }
    Some(names)
}
