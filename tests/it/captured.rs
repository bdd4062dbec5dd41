//! Somebody reads the network: what was signed for one printer, moment and client is of no use for anything else.

use std::time::Duration;

use secrecy::SecretString;
use serde_json::{Value, json};
use strandwatch::core::types::PrintState;
use strandwatch::mqtt::client::Received;
use strandwatch::mqtt::requester::Requester;
use strandwatch::mqtt::signing::sign;
use strandwatch::mqtt::wire::{Delivery, Qos};
use strandwatch::sim::stage::BASE;
use tokio::sync::broadcast::Receiver;

use crate::support::mqtt::soon;
use crate::support::stage::{Stage, ask, fresh, program, unix_now};

const KEY: &str = "0123456789abcdef0123456789abcdef";

/// A client that sends bytes as they are.
struct Sender {
    name: &'static str,
    requester: Requester,
    messages: Receiver<Received>,
}

impl Sender {
    async fn connect(stage: &Stage, name: &'static str) -> Self {
        let (requester, messages) = stage.broker.connect(name).await.unwrap();
        Self { name, requester, messages }
    }

    /// Publishes the bytes on its own topic and gives the answer.
    async fn send(&mut self, printer: &str, command: &str, bytes: &str) -> Value {
        let topic = |kind| format!("{BASE}/client/{}/{kind}/{printer}/{command}", self.name);
        let plain = Delivery { qos: Qos::AtLeastOnce, retain: false, expiry: None };
        let answers = topic("response");
        self.requester.publish(topic("request"), bytes.as_bytes().to_vec(), plain).await.unwrap();
        soon("the answer", async {
            loop {
                let seen = self.messages.recv().await.unwrap();
                if seen.topic == answers {
                    return serde_json::from_slice(&seen.payload).unwrap();
                }
            }
        })
        .await
    }

    #[track_caller]
    fn says(answer: &Value, reason: &str) {
        assert_eq!(answer["status"], "refused", "{answer}");
        let said = answer["reason"].as_str().unwrap();
        assert!(said.contains(reason), "{reason:?} is not in {said:?}");
    }
}

fn signed(id: &str, printer: &str, command: &str) -> String {
    let body = json!({
        "id": id, "issued_at": unix_now(), "client": "phone", "printer": printer, "command": command,
    });
    sign(&SecretString::from(KEY.to_owned()), &body.to_string())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_captured_request_is_good_for_nothing() {
    let clients = [("owner", "owner", None), ("phone", "owner", None)];
    let stage = Stage::set(&["left", "right"], &clients).await;
    let secrets = stage.folder.path().join("secrets.toml");
    let text = std::fs::read_to_string(&secrets).unwrap();
    std::fs::write(&secrets, format!("{text}\n[mqtt.client.phone]\nkey = {KEY:?}\n")).unwrap();
    let mut watcher = stage.watcher().await;
    let daemon = stage.daemon(&mut watcher).await;
    let [left, right] = &stage.printers[..] else { panic!("two printers") };
    left.prints("left.gcode");
    right.prints("right.gcode");
    for printer in ["left", "right"] {
        watcher.state(printer, "the job", |state| state["job"].is_string()).await;
    }
    let mut phone = Sender::connect(&stage, "phone").await;
    let mut owner = Sender::connect(&stage, "owner").await;

    let captured = signed("p", "left", "pause");
    let answer = phone.send("left", "pause", &captured).await;
    assert_eq!(answer["status"], "ok", "{answer}");
    assert_eq!(left.rig.klippy.snapshot().print, PrintState::Paused);
    let answer = ask(&owner.requester, "left", "resume", &fresh("r")).await;
    assert_eq!(answer["status"], "ok", "{answer}");

    Sender::says(&phone.send("left", "pause", &captured).await, "replayed");
    Sender::says(&phone.send("right", "pause", &captured).await, "\"printer\": \"right\"");
    Sender::says(&phone.send("left", "cancel", &captured).await, "\"command\": \"cancel\"");
    Sender::says(&owner.send("left", "pause", &captured).await, "owner has no signing key here");
    let changed = captured.replace("\"p\"", "\"q\"");
    assert_ne!(changed, captured);
    Sender::says(&phone.send("left", "pause", &changed).await, "not by this client's key");
    let unsigned = captured.split_once('{').unwrap().1;
    let answer = phone.send("left", "pause", &format!("{{{unsigned}")).await;
    Sender::says(&answer, "phone has a signing key, and this is not signed");
    let answer = phone.send("left", "pause", &signed("p", "left", "pause")).await;
    Sender::says(&answer, "replayed");

    daemon.kill().await;
    let daemon = stage.daemon(&mut watcher).await;
    watcher.state("left", "the job again", |state| state["job"].is_string()).await;
    Sender::says(&phone.send("left", "pause", &captured).await, "");

    for printer in [left, right] {
        assert_eq!(printer.rig.klippy.snapshot().print, PrintState::Printing);
    }
    let pauses = left.rig.klippy.gcode_log().iter().filter(|line| *line == "PAUSE").count();
    assert_eq!(pauses, 1, "{:?}", left.rig.klippy.gcode_log());

    let config = stage.config.clone();
    let log = tokio::task::spawn_blocking(move || {
        let mut command = std::process::Command::new(program());
        command.args(["client", "log", "phone", "--json", "--config"]).arg(config);
        command.output().unwrap()
    });
    let log = log.await.unwrap();
    let told = String::from_utf8(log.stdout).unwrap();
    let lines: Vec<Value> = told.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines[0]["status"], "ok", "{told}");
    assert!(lines.iter().all(|line| line["client"] == "phone"), "{told}");
    let unverified = lines.iter().filter(|line| line["verified"] == false).count();
    assert_eq!(unverified, 4, "{told}");
    let ended = daemon.stop(Duration::from_secs(5)).await;
    assert!(ended.is_some_and(|status| status.success()), "{}", stage.log());
}
