//! The walls of `src/lib.rs`'s map, guarded: who may name whom, what the core may not touch, what lies where. Each guard
//! is itself tried on a snippet that it must catch.

use std::collections::BTreeSet;
use std::process::Command;

use crate::support::source::{Source, root, sources};

/// A part of the crate and the parts it may name besides itself.
const MAY_NAME: &[(&str, &[&str])] = &[
    ("core", &[]),
    ("ports", &["core"]),
    ("moonraker", &["core", "ports"]),
    ("camera", &["core", "ports"]),
    ("vision", &["core", "ports"]),
    ("mqtt", &["core", "ports"]),
    ("hass", &["core", "ports"]),
    ("store", &["core", "ports"]),
    ("web", &["core", "ports"]),
    ("config", &["core", "ports"]),
    // The demo's clients speak through the same client as the daemon.
    ("sim", &["core", "ports", "mqtt"]),
    ("app", ADAPTERS_AND_BELOW),
    (
        "cli",
        &[
            "app",
            "core",
            "ports",
            "moonraker",
            "camera",
            "vision",
            "mqtt",
            "hass",
            "store",
            "web",
            "config",
        ],
    ),
    ("main", &["cli"]),
    ("lib", &[]),
];

const ADAPTERS_AND_BELOW: &[&str] =
    &["core", "ports", "moonraker", "camera", "vision", "mqtt", "hass", "store", "web", "config"];

/// A crate and where alone it may be named.
const ONLY_IN: &[(&str, &[&str])] = &[
    ("rumqttc", &["src/mqtt/client.rs"]),
    ("ort", &["src/vision/"]),
    ("gstreamer", &["src/camera/"]),
    ("gstreamer_app", &["src/camera/"]),
    ("gstreamer_video", &["src/camera/"]),
    ("rusqlite", &["src/store/"]),
    ("tokio_tungstenite", &["src/moonraker/"]),
    ("figment", &["src/config/"]),
    ("axum", &["src/sim/", "src/web/"]),
    ("rcgen", &["src/mqtt/managed/"]),
    ("qrcode", &["src/cli/client/"]),
    ("clap", &["src/cli/", "src/main.rs"]),
    ("anyhow", &["src/cli/", "src/main.rs"]),
];

/// The crates that the pure core may name.
const CORE_CRATES: &[&str] = &["serde", "serde_json", "schemars", "thiserror"];

/// What of the standard library is no business of a pure core.
const IMPURE: &[&str] = &[
    "std::collections::HashMap",
    "std::collections::HashSet",
    "std::collections::hash_map",
    "std::env",
    "std::fs",
    "std::io",
    "std::net",
    "std::os",
    "std::process",
    "std::sync",
    "std::thread",
    "std::time::Instant",
    "std::time::SystemTime",
];

const PRINTING: &[&str] = &["print!", "println!", "eprint!", "eprintln!", "dbg!"];

/// Lines; a longer file is two things in one.
const LONGEST: usize = 450;

/// What may be seen at the top of the repository.
const TOP: &[&str] = &[
    "Cargo.lock",
    "Cargo.toml",
    "LICENSE",
    "README.md",
    "config",
    "klipper",
    "models",
    "src",
    "tests",
];

/// The parts that `source` names and may not.
fn forbidden_parts(source: &Source) -> Vec<String> {
    let layer = source.layer();
    let Some((_, allowed)) = MAY_NAME.iter().find(|(name, _)| *name == layer) else {
        return vec![format!("{}: {layer} is no part of the crate's map", source.path)];
    };
    // The demo plays a whole workshop, bench measures on one, simulate makes up prints; nothing else of the program knows
    // the simulation.
    let playing = ["src/cli/demo/", "src/cli/bench/", "src/cli/simulate/"];
    let plays = playing.iter().any(|at| source.path.starts_with(at));
    source
        .layers()
        .filter(|named| MAY_NAME.iter().any(|(part, _)| part == named))
        .filter(|named| *named != layer && !allowed.contains(named) && !(plays && *named == "sim"))
        .map(|named| format!("{}: {layer} may not name {named}", source.path))
        .collect()
}

/// The crates that `source` names outside the place they are kept in.
fn strayed_crates(source: &Source) -> Vec<String> {
    let strays = |name: &&String| {
        let root = name.split("::").next().unwrap_or_default();
        let rule = ONLY_IN.iter().find(|(kept, _)| *kept == root);
        rule.is_some_and(|(_, places)| !places.iter().any(|place| source.path.starts_with(place)))
    };
    let strayed = source.names.iter().filter(strays);
    strayed.map(|name| format!("{}: {name} belongs elsewhere", source.path)).collect()
}

/// The crates that `Cargo.toml` names, as code writes them.
fn dependencies() -> BTreeSet<String> {
    let manifest = std::fs::read_to_string(root().join("Cargo.toml")).unwrap();
    let manifest: toml::Table = toml::from_str(&manifest).unwrap();
    let crates = manifest["dependencies"].as_table().unwrap();
    crates.keys().map(|name| name.replace('-', "_")).collect()
}

/// What `source`, a file of the core, names and may not.
fn impurities(source: &Source) -> Vec<String> {
    let crates = dependencies();
    let is_impure = |name: &&String| {
        let parts: Vec<&str> = name.split("::").collect();
        let under = |banned: &str| {
            let banned: Vec<&str> = banned.split("::").collect();
            // Naming the module of something impure, or all of that module, is naming the thing.
            let above = parts.strip_suffix(&["*"]).unwrap_or(&parts);
            parts.starts_with(&banned) || banned.starts_with(above)
        };
        PRINTING.contains(&name.as_str())
            || crates.contains(parts[0]) && !CORE_CRATES.contains(&parts[0])
            || parts[0] == "std" && IMPURE.iter().any(|banned| under(banned))
    };
    let impure = source.names.iter().filter(is_impure);
    impure.map(|name| format!("{}: the core may not name {name}", source.path)).collect()
}

#[track_caller]
fn assert_none(found: Vec<String>) {
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[track_caller]
fn assert_caught(guard: fn(&Source) -> Vec<String>, path: &str, text: &str) {
    assert!(!guard(&Source::parse(path, text)).is_empty(), "not caught in {path}: {text}");
}

#[track_caller]
fn assert_passes(guard: fn(&Source) -> Vec<String>, path: &str, text: &str) {
    assert_none(guard(&Source::parse(path, text)));
}

#[test]
fn dependencies_run_one_way() {
    assert_none(sources().iter().flat_map(forbidden_parts).collect());
}

#[test]
fn the_guard_of_dependencies_catches() {
    for (path, text) in [
        ("src/core/x.rs", "use crate::ports::Clock;"),
        ("src/mqtt/x.rs", "use crate::{core, store::Outbox};"),
        ("src/mqtt/x.rs", "use super::super::camera::Kind;"),
        ("src/camera/mod.rs", "use super::config;"),
        ("src/vision/x.rs", "fn f() -> crate::app::Daemon { todo!() }"),
        ("src/store/x.rs", "fn f() { assert!(crate::mqtt::ready()); }"),
        ("src/app/x.rs", "use crate::sim::scene;"),
        ("src/cli/run.rs", "use crate::sim::scene;"),
        ("src/main.rs", "fn main() { strandwatch::app::run() }"),
        ("src/new/x.rs", "fn f() {}"),
    ] {
        assert_caught(forbidden_parts, path, text);
    }
    for (path, text) in [
        ("src/mqtt/x.rs", "use crate::core::event::Event; use super::topics::Topic;"),
        ("src/mqtt/x.rs", "#[cfg(test)] mod tests { use crate::store::Store; }"),
        ("src/cli/demo/mod.rs", "use crate::sim::scene;"),
        ("src/app/x.rs", "use crate::config::Checked;"),
    ] {
        assert_passes(forbidden_parts, path, text);
    }
}

#[test]
fn each_crate_is_named_where_it_is_kept_only() {
    assert_none(sources().iter().flat_map(strayed_crates).collect());
}

#[test]
fn the_guard_of_crates_catches() {
    for (path, text) in [
        ("src/mqtt/outbox.rs", "use rumqttc::v5::AsyncClient;"),
        ("src/app/x.rs", "fn f(session: &ort::session::Session) {}"),
        ("src/vision/x.rs", "use gstreamer as gst;"),
        ("src/config/x.rs", "fn f() -> anyhow::Result<()> { anyhow::bail!(\"no\") }"),
    ] {
        assert_caught(strayed_crates, path, text);
    }
    assert_passes(strayed_crates, "src/mqtt/client.rs", "use rumqttc::v5::AsyncClient;");
}

#[test]
fn the_core_is_pure() {
    let core = sources().into_iter().filter(|source| source.layer() == "core");
    assert_none(core.flat_map(|source| impurities(&source)).collect());
}

#[test]
fn the_guard_of_purity_catches() {
    for text in [
        "use tokio::sync::mpsc;",
        "use std::fs;",
        "use std::{fmt, net::IpAddr};",
        "use std::collections::HashMap;",
        "use std::collections::*;",
        "use std::time;",
        "fn f() -> std::time::Instant { std::time::Instant::now() }",
        "fn f() { tracing::info!(\"hello\"); }",
        "fn f() { let x = rand::random::<u8>(); }",
        "fn f() { println!(\"hello\"); }",
        "fn f() { assert!(std::thread::panicking()); }",
        "async fn f() { futures_util::future::ready(1).await; }",
        "fn f() { dbg!(1); }",
    ] {
        assert_caught(impurities, "src/core/x.rs", text);
    }
    assert_passes(
        impurities,
        "src/core/x.rs",
        "use std::collections::{BTreeMap, VecDeque}; use std::time::Duration; use serde::Serialize; \
         fn print() -> u64 { print(); u64::from(3_u8).max(Self::N) }",
    );
}

/// Files in which it is decided who may do what.
const DECIDING: &[&str] = &[
    "src/core/authz.rs",
    "src/core/request.rs",
    "src/core/command.rs",
    "src/core/limit.rs",
    "src/core/audit.rs",
    "src/core/mod.rs",
];

/// Words of a place. (Who a message was *written for* is a client, a printer and a command.)
const PLACES: &[&str] = &[
    "addr",
    "address",
    "dns",
    "forwarded",
    "host",
    "hostname",
    "ip",
    "ipaddr",
    "ipv4",
    "ipv6",
    "lan",
    "mac",
    "mdns",
    "net",
    "network",
    "peer",
    "port",
    "proxy",
    "remote",
    "socket",
    "subnet",
    "uri",
    "url",
];

/// The words of every identifier of `text`, its tests included: `PeerAddr` and `peer_addr` are `peer` and `addr`.
fn words(text: &str) -> BTreeSet<String> {
    struct Idents(BTreeSet<String>);
    impl<'ast> syn::visit::Visit<'ast> for Idents {
        fn visit_ident(&mut self, ident: &'ast syn::Ident) {
            let mut word = String::new();
            for letter in ident.to_string().chars() {
                if (letter == '_' || letter.is_uppercase()) && !word.is_empty() {
                    self.0.insert(std::mem::take(&mut word));
                }
                if letter != '_' {
                    word.extend(letter.to_lowercase());
                }
            }
            self.0.insert(word);
        }
    }
    let mut idents = Idents(BTreeSet::new());
    syn::visit::Visit::visit_file(&mut idents, &syn::parse_file(text).unwrap());
    idents.0
}

#[test]
fn what_decides_can_hold_no_address() {
    let places = |text: &str| {
        words(text).into_iter().filter(|word| PLACES.contains(&word.as_str())).collect::<Vec<_>>()
    };
    for file in DECIDING {
        let text = std::fs::read_to_string(root().join(file)).unwrap();
        assert_eq!(places(&text), [""; 0], "{file} names a place");
    }
    for caught in [
        "struct Principal { peer: String }",
        "enum Credential { FromAddr(u32) }",
        "fn allow(source_ip: [u8; 4]) {}",
        "use std::net::IpAddr;",
    ] {
        assert!(!places(caught).is_empty(), "not caught: {caught}");
    }
}

#[test]
fn a_client_cannot_be_named_by_an_address() {
    use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
    let mut bits = 1_u128;
    for _ in 0..1_000 {
        // Any numbers will do: those of an LCG (Knuth's MMIX).
        bits = bits.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let addresses =
            [IpAddr::V4(Ipv4Addr::from_bits(bits as u32)), IpAddr::V6(Ipv6Addr::from_bits(bits))];
        for address in addresses {
            strandwatch::core::types::Name::parse(&address.to_string()).unwrap_err();
        }
    }
}

/// Whether `source` is longer than a file should be.
fn too_long(source: &Source) -> Vec<String> {
    let length = (source.lines > LONGEST).then_some(source.lines);
    length
        .map(|lines| format!("{}: {lines} lines, more than {LONGEST}", source.path))
        .into_iter()
        .collect()
}

#[test]
fn no_file_is_too_long() {
    assert_none(sources().iter().flat_map(too_long).collect());
    assert_caught(too_long, "src/app/x.rs", &"\n".repeat(LONGEST + 1));
    assert_passes(too_long, "src/app/x.rs", &"\n".repeat(LONGEST));
}

/// The visible top-level names among `files` that may not be there.
fn strange_at_the_top(files: &str) -> BTreeSet<&str> {
    let names = files.lines().filter_map(|file| file.split('/').next());
    names.filter(|name| !name.starts_with('.') && !TOP.contains(name)).collect()
}

#[test]
fn nothing_strange_lies_at_the_top() {
    let output = Command::new("git").arg("ls-files").current_dir(root()).output().unwrap();
    if !output.status.success() {
        // A released archive is no repository, and has nothing to keep clean.
        return;
    }
    assert_eq!(strange_at_the_top(&String::from_utf8(output.stdout).unwrap()), BTreeSet::new());
    assert!(strange_at_the_top("src/lib.rs\nexamples/x.rs\n.ci/run\n").contains("examples"));
}
