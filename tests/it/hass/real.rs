//! A real Home Assistant, when one is given: `tests/README.md` says how to start one.

use std::path::PathBuf;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use strandwatch::core::types::PrintState;
use strandwatch::sim::stage::Daemon;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;

use crate::support::config::Home;
use crate::support::mqtt::soon;
use crate::support::stage::{Printer, program, unix_now};

/// What stands in an environment variable without which the test cannot be run.
fn given(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| panic!("{name} is missing: see tests/README.md"))
}

/// Home Assistant's two interfaces.
struct HomeAssistant {
    address: String,
    token: String,
}

impl HomeAssistant {
    fn given() -> Self {
        let url = given("STRANDWATCH_TEST_HASS_URL");
        let address = url.trim_start_matches("http://").trim_end_matches('/').to_owned();
        Self { address, token: given("STRANDWATCH_TEST_HASS_TOKEN").trim().to_owned() }
    }

    /// One request of its REST API: the status and the body.
    async fn http(&self, method: &str, path: &str, body: Option<&Value>) -> (u16, Vec<u8>) {
        let body = body.map(Value::to_string).unwrap_or_default();
        let (address, token) = (&self.address, &self.token);
        let request = format!(
            "{method} {path} HTTP/1.0\r\nHost: {address}\r\nAuthorization: Bearer {token}\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.unwrap();
        let end = answer.windows(4).position(|four| four == b"\r\n\r\n").unwrap();
        let head = String::from_utf8_lossy(&answer[..end]).into_owned();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        assert_ne!(status, 401, "the token is refused: it is good for half an hour only");
        (status, answer.split_off(end + 4))
    }

    /// An entity's state and attributes; `None` when there is no such entity.
    async fn entity(&self, id: &str) -> Option<Value> {
        let (status, body) = self.http("GET", &format!("/api/states/{id}"), None).await;
        (status == 200).then(|| serde_json::from_slice(&body).unwrap())
    }

    /// Waits until an entity is as wanted.
    async fn until(&self, id: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let mut last = None;
        let search = async {
            loop {
                last = self.entity(id).await;
                if let Some(entity) = last.take_if(|entity| wanted(entity)) {
                    return entity;
                }
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
        };
        match tokio::time::timeout(Duration::from_secs(60), search).await {
            Ok(entity) => entity,
            Err(_) => panic!("{id} stays {last:?}"),
        }
    }

    async fn until_reads(&self, id: &str, state: &str) -> Value {
        self.until(id, |entity| entity["state"] == state).await
    }

    async fn call(&self, service: &str, body: Value) {
        let (status, answer) =
            self.http("POST", &format!("/api/services/{service}"), Some(&body)).await;
        assert_eq!(status, 200, "{service} {body}: {}", String::from_utf8_lossy(&answer));
    }

    async fn press(&self, button: &str) {
        let id = format!("button.strandwatch_voron_{button}");
        self.until(&id, |entity| entity["state"] != "unavailable").await;
        self.call("button/press", json!({ "entity_id": id })).await;
    }

    /// Ids of our entities.
    async fn ours(&self) -> Vec<String> {
        let (_, body) = self.http("GET", "/api/states", None).await;
        let states: Vec<Value> = serde_json::from_slice(&body).unwrap();
        let ids = states.iter().filter_map(|state| state["entity_id"].as_str());
        ids.filter(|id| id.contains(".strandwatch_")).map(str::to_owned).collect()
    }

    /// Commands of its websocket API, one after the other; their results.
    async fn commands(&self, commands: Vec<Value>) -> Vec<Value> {
        let url = format!("ws://{}/api/websocket", self.address);
        let (mut socket, _) = tokio_tungstenite::connect_async(url).await.unwrap();
        let login = json!({ "type": "auth", "access_token": self.token });
        socket.send(Message::text(login.to_string())).await.unwrap();
        let mut results = Vec::new();
        for (index, mut command) in commands.into_iter().enumerate() {
            command["id"] = json!(index + 1);
            socket.send(Message::text(command.to_string())).await.unwrap();
            results.push(loop {
                let message = soon("an answer", socket.next()).await.unwrap().unwrap();
                let message: Value = serde_json::from_str(message.to_text().unwrap()).unwrap();
                if message["type"] == "result" {
                    assert_eq!(message["success"], true, "{message}");
                    break message["result"].clone();
                }
            });
        }
        results
    }
}

/// Home Assistant's log from now on.
struct Log(PathBuf, usize);

impl Log {
    fn given() -> Self {
        let path = PathBuf::from(given("STRANDWATCH_TEST_HASS_LOG"));
        let length = std::fs::read_to_string(&path).unwrap().len();
        Self(path, length)
    }

    /// Lines at warning or above that are about us, or about MQTT.
    fn complaints(&self) -> Vec<String> {
        let text = std::fs::read_to_string(&self.0).unwrap();
        let is_ours = |line: &&str| {
            ["WARNING", "ERROR", "CRITICAL"].iter().any(|level| line.contains(level))
                && ["strandwatch", "mqtt", "blueprint", "template"]
                    .iter()
                    .any(|word| line.to_lowercase().contains(word))
        };
        text[self.1..].lines().filter(is_ours).map(str::to_owned).collect()
    }
}

/// The daemon's configuration at the broker that Home Assistant uses.
fn config(folder: &TempDir, printer: &Printer, enabled: bool) -> PathBuf {
    let [port, user, password] =
        ["PORT", "USER", "PASS"].map(|part| given(&format!("STRANDWATCH_TEST_HASS_MQTT_{part}")));
    let home = Home::new();
    let secrets = home.write_secret("secrets.toml", &format!("[mqtt]\npassword = {password:?}\n"));
    let secrets_file = folder.path().join("secrets.toml");
    std::fs::copy(secrets, &secrets_file).unwrap();
    let text = format!(
        "secrets = {secrets_file:?}\n\
         [watch]\nclear_interval = '500ms'\nsuspect_interval = '300ms'\ncorrelation_time = '1s'\n\
         [act]\nveto = '1s'\n\
         [store]\npath = 'strandwatch.db'\nevidence = 'evidence'\n\
         [home_assistant]\nenabled = {enabled}\n\
         [mqtt]\nbroker = 'external'\nhost = '127.0.0.1'\nport = {port}\nusername = {user:?}\n\
         # That the broker keeps clients apart is tested elsewhere.\ntrust = 'any-login'\n\
         [[mqtt.client]]\nname = 'homeassistant'\nrights = ['owner']\n\
         [[printer]]\nname = 'voron'\nmoonraker = {:?}\n[[printer.camera]]\nname = 'bed'\n",
        printer.rig.moonraker.options().url()
    );
    let file = folder.path().join("strandwatch.toml");
    std::fs::write(&file, text).unwrap();
    file
}

fn start(folder: &TempDir, printer: &Printer, enabled: bool) -> Daemon {
    let log = folder.path().join("strandwatch.log");
    Daemon::start(&program(), &config(folder, printer, enabled), &log).unwrap()
}

const PROBLEM: &str = "binary_sensor.strandwatch_voron_problem";
const WATCH: &str = "sensor.strandwatch_voron_watch";
const EVENT: &str = "event.strandwatch_voron_event";

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a real Home Assistant: tests/README.md says how to start one"]
async fn a_real_home_assistant_shows_commands_and_forgets_a_printer() {
    let (home, log) = (HomeAssistant::given(), Log::given());
    assert_eq!(home.ours().await, [""; 0], "left over from another run: delete those devices");
    let folder = TempDir::new().unwrap();
    let printer = Printer::start(&folder, "voron", 7).await;
    let daemon = start(&folder, &printer, true);
    let story = async {
        appears(&home).await;
        printer.prints("part.gcode");
        obeys(&home, &printer).await;
        fails(&home, &printer).await;
        printer.film.clean_up();
        daemon.kill().await;
        home.until_reads(WATCH, "unavailable").await;
        home.until_reads("button.strandwatch_voron_pause", "unavailable").await;
        home.until_reads("binary_sensor.strandwatch_connection", "off").await;
        let daemon = start(&folder, &printer, true);
        home.until_reads("binary_sensor.strandwatch_connection", "on").await;
        home.until(WATCH, |watch| watch["state"] != "unavailable").await;
        daemon.stop(Duration::from_secs(5)).await.unwrap();
        assert_eq!(log.complaints(), [""; 0]);
        let daemon = start(&folder, &printer, false);
        soon("everything is taken back", async {
            while !home.ours().await.is_empty() {
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
        })
        .await;
        daemon.stop(Duration::from_secs(5)).await.unwrap();
    };
    tokio::select! {
        () = story => {}
        () = printer.film.follow(&printer.rig.klippy) => {}
    }
    // Home Assistant itself clears the topic once more for every entity that was disabled, and complains of that.
    let mut complaints = log.complaints();
    complaints.retain(|line| !line.contains("No device components to cleanup"));
    assert_eq!(complaints, [""; 0]);
}

/// An idle printer, as it appears.
async fn appears(home: &HomeAssistant) {
    home.until_reads("binary_sensor.strandwatch_voron_printer_link", "on").await;
    home.until_reads("sensor.strandwatch_command_plane", "open").await;
    for (id, state) in [
        (PROBLEM, "off"),
        (WATCH, "off"),
        ("sensor.strandwatch_voron_confidence", "unknown"),
        ("sensor.strandwatch_voron_evidence", "0.0"),
        ("sensor.strandwatch_voron_snoozed_until", "unknown"),
        ("binary_sensor.strandwatch_voron_camera_bed_link", "unknown"),
        ("switch.strandwatch_voron_armed", "on"),
        ("switch.strandwatch_voron_auto_pause", "on"),
        ("select.strandwatch_voron_action", "pause"),
        ("number.strandwatch_voron_false_alarms", "1.0"),
        ("button.strandwatch_voron_pause", "unknown"),
        ("binary_sensor.strandwatch_connection", "on"),
    ] {
        home.until_reads(id, state).await;
    }
    let ours = home.ours().await;
    assert_eq!(ours.len(), 19, "{ours:#?}");
    // What may ruin a print has to be enabled first.
    for absent in ["button.strandwatch_voron_cancel", "button.strandwatch_voron_resume"] {
        assert!(!ours.iter().any(|id| id == absent), "{ours:#?}");
    }
    let problem = home.entity(PROBLEM).await.unwrap();
    assert_eq!(problem["attributes"]["friendly_name"], "Voron");
}

/// A running print, watched, paused by a button, and settings.
async fn obeys(home: &HomeAssistant, printer: &Printer) {
    home.until_reads(WATCH, "watching").await;
    home.until_reads("binary_sensor.strandwatch_voron_camera_bed_link", "on").await;
    let confidence = "sensor.strandwatch_voron_confidence";
    let is_number = |entity: &Value| entity["state"].as_str().unwrap().parse::<f64>().is_ok();
    home.until(confidence, is_number).await;
    assert_eq!(printer.rig.klippy.snapshot().print, PrintState::Printing);
    home.press("pause").await;
    let paused = home.until(EVENT, |event| event["attributes"]["event_type"] == "paused").await;
    assert_eq!(paused["attributes"]["by"], "homeassistant");
    assert_eq!(printer.rig.klippy.snapshot().print, PrintState::Paused);
    printer.rig.klippy.type_gcode("RESUME").unwrap();
    home.until_reads(WATCH, "watching").await;

    home.press("snooze").await;
    home.until("sensor.strandwatch_voron_snoozed_until", |until| until["state"] != "unknown").await;
    let number = json!({ "entity_id": "number.strandwatch_voron_false_alarms", "value": 2.5 });
    home.call("number/set_value", number).await;
    home.until_reads("number.strandwatch_voron_false_alarms", "2.5").await;
    home.call("switch/turn_off", json!({ "entity_id": "switch.strandwatch_voron_armed" })).await;
    home.until_reads("switch.strandwatch_voron_armed", "off").await;
    home.call("switch/turn_on", json!({ "entity_id": "switch.strandwatch_voron_armed" })).await;
    home.until_reads("switch.strandwatch_voron_armed", "on").await;
    let action = "select.strandwatch_voron_action";
    home.call("select/select_option", json!({ "entity_id": action, "option": "nothing" })).await;
    home.until_reads(action, "nothing").await;
    home.until_reads("switch.strandwatch_voron_auto_pause", "off").await;
}

/// A failing print: the problem, its picture, and the button that calls it fine.
async fn fails(home: &HomeAssistant, printer: &Printer) {
    // Quiet was asked for; a minute of none ends it.
    let quiet = json!({ "id": format!("quiet-{}", unix_now()), "minutes": 0 }).to_string();
    let publish = json!({
        "topic": "strandwatch/client/homeassistant/request/voron/snooze", "payload": quiet, "qos": 1,
    });
    home.call("mqtt/publish", publish).await;
    home.until_reads("sensor.strandwatch_voron_snoozed_until", "unknown").await;
    printer.film.fail(Duration::from_secs(2));
    let problem = home.until_reads(PROBLEM, "on").await;
    home.until(PROBLEM, |problem| problem["attributes"]["camera"] == "bed").await;
    assert!(problem["attributes"]["incident"].is_string(), "{problem}");
    let picture = "image.strandwatch_voron_last_failure";
    let shown = home.until(picture, |picture| picture["state"] != "unknown").await;
    let path = shown["attributes"]["entity_picture"].as_str().unwrap().to_owned();
    let (status, jpeg) = home.http("GET", &path, None).await;
    assert_eq!((status, &jpeg[..2]), (200, &[0xff, 0xd8][..]));
    home.press("dismiss").await;
    home.until(EVENT, |event| event["attributes"]["event_type"] == "dismissed").await;
    home.until_reads(PROBLEM, "off").await;
}

#[tokio::test]
#[ignore = "needs a real Home Assistant: tests/README.md says how to start one"]
async fn a_real_home_assistant_takes_the_blueprints() {
    let home = HomeAssistant::given();
    for (name, input) in [
        ("phone", json!({ "event": "event.e", "picture": "image.i", "phone": "0123" })),
        (
            "critical",
            json!({ "event": "event.e", "lights": ["light.l"], "plug": ["switch.p"], "grace": 5 }),
        ),
    ] {
        let file = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
            .join(format!("config/blueprints/{name}.yaml"));
        let path = format!("strandwatch-test/{name}.yaml");
        let of = json!({ "domain": "automation", "path": path });
        let with = |kind: &str, more: Value| {
            let mut command = of.clone();
            command["type"] = json!(kind);
            command.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            command
        };
        let yaml = std::fs::read_to_string(file).unwrap();
        let results = home
            .commands(vec![
                with("blueprint/save", json!({ "yaml": yaml, "allow_override": true })),
                with("blueprint/substitute", json!({ "input": input })),
                with("blueprint/delete", json!({})),
            ])
            .await;
        let automation = &results[1]["substituted_config"];
        let validate = json!({
            "type": "validate_config",
            "triggers": automation["triggers"],
            "conditions": automation["conditions"],
            "actions": automation["actions"],
        });
        let verdict = &home.commands(vec![validate]).await[0];
        for part in ["triggers", "conditions", "actions"] {
            assert_eq!(verdict[part], json!({ "valid": true, "error": null }), "{name}: {part}");
        }
    }
}
