//! `strandwatch client` and the broker of our own: real Mosquitto with its dynamic security plugin, the daemon as its own
//! process, clients over TLS.

use std::net::TcpListener;
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};
use strandwatch::core::types::PrintState;
use strandwatch::mqtt::fault::{Fault, Refusal};
use strandwatch::mqtt::managed::fingerprint_of;
use strandwatch::mqtt::requester::{RequestError, Requester};
use strandwatch::mqtt::wire::{Delivery, Qos};
use strandwatch::mqtt::{Broker, Login};
use strandwatch::sim::mosquitto::{Account, Mosquitto, Settings};

use crate::support::mqtt::{LONG, name, soon};
use crate::support::own::{Own, base, ends, files_with, health};
use crate::support::stage::{Printer, ask, fresh};
use crate::support::{free_port, wait_for};

const PLAIN: Delivery = Delivery { qos: Qos::AtLeastOnce, retain: false, expiry: None };

fn reason(answer: &Value) -> &str {
    assert_eq!(answer["status"], "refused", "{answer}");
    answer["reason"].as_str().unwrap()
}

/// The broker's process: the only one that was started on this configuration.
fn broker_pid(own: &Own) -> Option<u32> {
    let config = own.broker_folder().join("mosquitto.conf");
    std::fs::read_dir("/proc").unwrap().flatten().find_map(|entry| {
        let line = std::fs::read(entry.path().join("cmdline")).ok()?;
        let mut words = line.split(|byte| *byte == 0);
        let program = words.next()?;
        (program.ends_with(b"mosquitto")
            && words.any(|word| word == config.as_os_str().as_encoded_bytes()))
        .then(|| entry.file_name().to_str()?.parse().ok())?
    })
}

fn kill(pid: u32) {
    let pid = rustix::process::Pid::from_raw(pid as i32).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
}

/// README's "From a fresh install to a phone that can pause and not cancel": three commands.
#[tokio::test(flavor = "multi_thread")]
async fn from_a_fresh_install_to_a_phone_that_can_pause_and_not_cancel_in_three_commands() {
    let folder = tempfile::tempdir().unwrap();
    let printer = Printer::start(&folder, "voron", 7).await;
    let own = Own::new(&format!(
        "[[printer]]\nname = \"voron\"\nmoonraker = {:?}\n",
        printer.rig.moonraker.options().url()
    ));
    // 1. strandwatch check
    let (code, told) = own.strandwatch("check");
    assert_eq!(code, Some(0), "{told}");
    // 2. strandwatch run
    let _daemon = own.daemon();
    // 3. strandwatch client add phone --rights household
    let (code, told) = own.strandwatch("client add phone --rights household");
    assert_eq!(code, Some(0), "{told}");
    assert!(told.contains("client phone may view, vote, pause on every printer"), "{told}");
    assert!(told.contains('█') || told.contains('▀'), "a QR code: {told}");
    let secret = told.lines().find_map(|line| line.trim().strip_prefix("secret")).unwrap().trim();
    assert_eq!(secret.len(), 22, "128 bits in base64");
    let authority = fingerprint_of(&own.broker_folder().join("ca.pem")).unwrap();
    assert!(told.contains(&authority), "{told}");

    let credential = json!({
        "client": "phone", "secret": secret,
        "broker": { "host": "localhost", "port": own.lan_port, "tls": true },
    });
    printer.prints("part.gcode");
    let (phone, _) = own.connect(&credential).await;
    wait_for("the print", LONG, || {
        (printer.rig.klippy.snapshot().print == PrintState::Printing).then_some(())
    });
    let refused = ask(&phone, "voron", "cancel", &fresh("c")).await;
    assert!(reason(&refused).contains("lacks the right cancel"), "{refused}");
    let done = soon("the pause", async {
        let mut number = 0;
        loop {
            number += 1;
            // The daemon may not have heard of the print yet.
            let answer = ask(&phone, "voron", "pause", &fresh(&format!("p{number}"))).await;
            if answer["status"] == "ok" {
                return answer;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    });
    assert_eq!(done.await["status"], "ok");
    let (_, told) = own.strandwatch("doctor");
    assert!(told.contains("ok   broker: its own one, runs on 127.0.0.1"), "{told}");
    assert_eq!(printer.rig.klippy.snapshot().print, PrintState::Paused);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_broker_keeps_its_clients_apart() {
    let own = Own::new("[[printer]]\nname = \"voron\"\n[[printer]]\nname = \"prusa\"\n");
    let owner = own.client("add owner --rights owner");
    let _daemon = own.daemon();
    let (owner, mut heard) = own.connect(&owner).await;
    // Added while the daemon runs, and known at once.
    let guest = own.client("add guest --rights view,pause --printer prusa");
    own.logged("clients changed", 1).await;
    let (guest_client, _) = own.connect(&guest).await;

    for topic in [
        "strandwatch/client/owner/request/voron/cancel",
        "strandwatch/client/owner/response/voron/cancel",
        "strandwatch/client/guest/response/prusa/pause",
        "strandwatch/client/guest/request/prusa/pause/more",
        "strandwatch/prusa/state",
        "strandwatch/prusa/event",
        "strandwatch/status",
        "strandwatch/health",
        "$CONTROL/dynamic-security/v1",
        "anything",
    ] {
        let forged = guest_client.publish(topic.to_owned(), b"{}".to_vec(), PLAIN).await;
        let denied =
            matches!(forged, Err(RequestError::Refused { refusal: Refusal::NotAuthorised, .. }));
        assert!(denied, "{topic}: {forged:?}");
    }
    for filter in [
        "#",
        "strandwatch/#",
        "strandwatch/client/+/response/+/+",
        "strandwatch/client/owner/response/+/+",
        "strandwatch/client/guest/request/+/+",
        "strandwatch/voron/state",
        "strandwatch/+/state",
        "$CONTROL/dynamic-security/v1/response",
        "$SYS/#",
    ] {
        let read = own.try_connect(&guest, &[filter.to_owned()]).await;
        let denied =
            matches!(&read, Err(Fault::Refused { why, .. }) if why.contains("not authorised"));
        assert!(denied, "{filter}: {:?}", read.err());
    }
    own.try_connect(&guest, &["strandwatch/prusa/state".to_owned()]).await.unwrap();

    // What is its own works, and what it may not is refused with a reason.
    assert_eq!(ask(&guest_client, "prusa", "status", &fresh("s")).await["status"], "ok");
    let refused = ask(&guest_client, "voron", "status", &fresh("v")).await;
    assert!(reason(&refused).contains("no rights on printer voron"), "{refused}");
    let refused = ask(&guest_client, "prusa", "cancel", &fresh("c")).await;
    assert!(reason(&refused).contains("lacks the right"), "{refused}");
    assert_eq!(ask(&owner, "voron", "status", &fresh("o")).await["status"], "ok");
    while let Ok(seen) = heard.try_recv() {
        assert!(!seen.topic.contains("/guest/"), "{seen:?}");
    }

    // Nobody without a credential, over neither listener.
    for (port, tls) in [(own.local_port, None), (own.lan_port, own.login(&guest).tls)] {
        for login in [None, Some(Login { user: "guest".to_owned(), password: "wrong".into() })] {
            let broker = Broker { host: "localhost".to_owned(), port, tls: tls.clone(), login };
            let broker = Broker {
                host: if port == own.local_port {
                    "127.0.0.1".to_owned()
                } else {
                    broker.host.clone()
                },
                ..broker
            };
            let refused = Requester::connect(&broker, base(), name("guest"), &[]).await;
            assert!(matches!(refused, Err(Fault::Login { .. })), "{:?}", refused.err());
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_can_be_changed_and_taken_away_and_lies_nowhere() {
    let own = Own::new("");
    let first = own.client("add phone --rights household");
    let daemon = own.daemon();
    let (_phone, mut messages) = own.connect(&first).await;

    let second = own.client("rotate phone");
    assert_ne!(first["secret"], second["secret"]);
    assert_eq!(first["rights"], second["rights"]);
    ends(&mut messages).await;
    let old = own.try_connect(&first, &[]).await;
    assert!(matches!(old, Err(Fault::Login { .. })), "{:?}", old.err());
    let (phone, mut messages) = own.connect(&second).await;
    assert_eq!(ask(&phone, "printer", "status", &fresh("1")).await["status"], "ok");

    let removed = own.client("rm phone");
    assert_eq!(removed, json!({ "client": "phone", "removed": true }));
    ends(&mut messages).await;
    let gone = own.try_connect(&second, &[]).await;
    assert!(matches!(gone, Err(Fault::Login { .. })), "{:?}", gone.err());
    own.logged("command plane closed: there is no client", 1).await;

    assert!(
        daemon.stop(Duration::from_secs(5)).await.is_some_and(|status| status.success()),
        "{}",
        own.log()
    );
    assert_eq!(broker_pid(&own), None, "the broker does not outlive the daemon");
    for credential in [&first, &second] {
        let secret = credential["secret"].as_str().unwrap();
        assert_eq!(files_with(own.folder.path(), secret), Vec::<std::path::PathBuf>::new());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_broker_is_started_again_and_its_clients_come_back() {
    let own = Own::new("");
    let credential = own.client("add phone --rights household");
    let daemon = own.daemon();
    let (_phone, mut messages) = own.connect(&credential).await;
    let before = broker_pid(&own).unwrap();
    kill(before);
    ends(&mut messages).await;
    let (phone, mut messages) = own.connect(&credential).await;
    assert_ne!(broker_pid(&own), Some(before));
    assert_eq!(ask(&phone, "printer", "status", &fresh("1")).await["status"], "ok");
    let filters = base().daemon_filters();
    let (_again, mut retained) = own.try_connect(&credential, &filters).await.unwrap();
    let told =
        health(&mut retained, "health tells of it", |health| health["broker"]["restarts"] == 1);
    assert_eq!(told.await["broker"]["kind"], "managed");

    // The daemon dies as in a power cut: the broker goes with it, and the next daemon has the same clients.
    daemon.kill().await;
    ends(&mut messages).await;
    wait_for("the broker ends with its daemon", LONG, || broker_pid(&own).is_none().then_some(()));
    // One that stayed nevertheless is ended.
    let mut stray = Command::new("/usr/sbin/mosquitto")
        .arg("-c")
        .arg(own.broker_folder().join("mosquitto.conf"))
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    wait_for("the stray listens", LONG, || {
        std::net::TcpStream::connect(("127.0.0.1", own.local_port)).ok()
    });
    let _daemon = own.daemon();
    wait_for("the stray has ended", LONG, || stray.try_wait().unwrap());
    let (phone, _) = own.connect(&credential).await;
    assert_eq!(ask(&phone, "printer", "status", &fresh("2")).await["status"], "ok");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_taken_port_is_named_and_taken_again_when_it_is_free() {
    let own = Own::new("");
    let credential = own.client("add phone --rights household");
    let taken = TcpListener::bind(("0.0.0.0", own.lan_port)).unwrap();
    let complaint = format!("port {} is taken by another program", own.lan_port);
    let _daemon = own.daemon();
    own.logged(&complaint, 1).await;
    own.logged("set mqtt.lan_port", 1).await;
    own.logged("command plane closed: there is no MQTT broker", 1).await;
    let (code, told) = own.strandwatch("client rotate phone");
    assert_eq!(code, Some(3), "{told}");
    assert!(told.contains("a running strandwatch has charge of the broker"), "{told}");
    drop(taken);
    let (phone, _) = own.connect(&credential).await;
    assert_eq!(ask(&phone, "printer", "status", &fresh("1")).await["status"], "ok");
}

#[tokio::test]
async fn clients_of_the_configuration_and_of_the_store_stand_side_by_side() {
    let own = Own::new("[[mqtt.client]]\nname = \"panel\"\nrights = [\"observer\"]\n");
    let (code, told) = own.strandwatch("client add panel --rights owner");
    assert_eq!(code, Some(2));
    assert!(told.contains("client rotate panel"), "{told}");
    own.client("add phone --rights pause");
    let list = own.client("list");
    let row = |name: &str| {
        list["clients"]
            .as_array()
            .unwrap()
            .iter()
            .find(|row| row["client"] == name)
            .unwrap()
            .clone()
    };
    assert_eq!(
        (&row("panel")["from"], &row("panel")["login"]),
        (&json!("configuration"), &json!(false))
    );
    assert_eq!((&row("phone")["from"], &row("phone")["login"]), (&json!("store"), &json!(true)));
    own.client("rotate panel");
    for (arguments, says) in [
        ("client add phone --rights owner", "there is a client phone already"),
        ("client add strandwatch --rights owner", "a name that strandwatch has for itself"),
        ("client add strandwatch-canary --rights owner", "a name that strandwatch has for itself"),
        ("client add Phone --rights owner", "not a valid name"),
        ("client add tablet --rights gcode", "there is no right \"gcode\""),
        ("client add tablet --rights view --printer mk4", "there is no printer mk4"),
        ("client rm panel", "take its [[mqtt.client]] out"),
        ("client rm nobody", "there is no client nobody"),
        ("client rotate nobody", "there is no client nobody"),
    ] {
        let (code, told) = own.strandwatch(arguments);
        assert_eq!(code, Some(2), "{arguments}: {told}");
        assert!(told.contains(says), "{arguments}: {told}");
    }
    let text = std::fs::read_to_string(&own.config).unwrap();
    std::fs::write(&own.config, text.replace("panel", "phone")).unwrap();
    let (code, told) = own.strandwatch("check");
    assert_eq!(code, Some(1), "{told}");
    assert!(told.contains("mqtt.client = \"phone\""), "{told}");
}

#[tokio::test]
async fn for_a_broker_of_yours_the_lines_are_printed_and_work_there() {
    let folder = tempfile::tempdir().unwrap();
    let account = |name: &str| Account { name: name.to_owned(), password: "secret".into() };
    let settings = Settings {
        base: "strandwatch".to_owned(),
        daemon: account("strandwatch"),
        clients: Vec::new(),
        persistence: false,
        extra: Vec::new(),
    };
    let broker = Mosquitto::start(&folder.path().join("broker"), &settings).await.unwrap();
    let port = broker.port();
    let config = folder.path().join("strandwatch.toml");
    let store = folder.path().join("strandwatch.db");
    std::fs::write(
        &config,
        format!("[store]\npath = {store:?}\n[mqtt]\nhost = \"127.0.0.1\"\nport = {port}\nusername = \"strandwatch\"\n"),
    )
    .unwrap();
    let own = Own { config, local_port: port, lan_port: free_port(), folder };
    let told = own.client("add phone --rights household");
    let at = own.folder.path().join("broker");
    for (file, lines) in [("passwords", "password_file"), ("acl", "acl_file")] {
        let text = std::fs::read_to_string(at.join(file)).unwrap();
        std::fs::write(at.join(file), format!("{text}\n{}\n", told[lines].as_str().unwrap()))
            .unwrap();
    }
    let pid = rustix::process::Pid::from_raw(broker.pid().unwrap() as i32).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::HUP).unwrap();
    let login = Broker {
        host: "127.0.0.1".to_owned(),
        port,
        tls: None,
        login: Some(Login {
            user: "phone".to_owned(),
            password: told["secret"].as_str().unwrap().to_owned().into(),
        }),
    };
    let phone = soon("the broker has read its files", async {
        loop {
            match Requester::connect(&login, base(), name("phone"), &[]).await {
                Ok((phone, _)) => return phone,
                Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
            }
        }
    })
    .await;
    let mine = "strandwatch/client/phone/request/printer/pause".to_owned();
    phone.publish(mine.clone(), b"{}".to_vec(), PLAIN).await.unwrap();
    let others = mine.replace("phone", "owner");
    phone.publish(others, b"{}".to_vec(), PLAIN).await.unwrap_err();
    let (_, told) = own.strandwatch("client rotate phone");
    for expected in ["password_file", "user phone", "logins", "- username: phone"] {
        assert!(told.contains(expected), "{expected:?} is not in {told}");
    }
}
