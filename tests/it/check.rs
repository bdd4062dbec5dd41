//! The configuration as people meet it: through `strandwatch check`.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;

use serde_json::{Value, json};
use strandwatch::config;

use crate::support::config::Home;

/// The problems of a main file with `text`, as `level key` and the whole of each.
pub fn problems(text: &str) -> Vec<(String, Value)> {
    let home = Home::new();
    let (code, answer) = home.check(&home.write("strandwatch.toml", text));
    let list = listed(&answer);
    let errors = list.iter().any(|(what, _)| what.starts_with("error"));
    assert_eq!(code, i32::from(errors), "{answer:#}");
    assert_eq!(answer["ok"], json!(!errors));
    list
}

fn listed(answer: &Value) -> Vec<(String, Value)> {
    let problems = answer["problems"].as_array().unwrap();
    let what = |problem: &Value| {
        format!("{} {}", problem["level"].as_str().unwrap(), problem["key"].as_str().unwrap())
    };
    problems.iter().map(|problem| (what(problem), problem.clone())).collect()
}

/// Asserts that `text` has exactly one problem, `what`, and that it says to write `write`.
#[track_caller]
fn expect_one(text: &str, what: &str, write: &str) {
    let found = problems(text);
    let [(only, problem)] = found.as_slice() else {
        panic!("not one problem with {text:?}: {found:#?}")
    };
    assert_eq!(only, what, "{text:?}");
    let said = problem["write"].as_str().unwrap();
    assert!(said.contains(write), "{text:?} was answered with {said:?}, not {write:?}");
}

#[test]
fn without_any_file_the_printer_of_this_host_is_watched() {
    let home = Home::new();
    let output = home.strandwatch().args(["check", "--json"]).output().unwrap();
    let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(answer["config"], Value::Null);
    let summary = answer["summary"].to_string();
    assert!(summary.contains("printer at ws://127.0.0.1:7125/websocket"), "{summary}");
    assert!(summary.contains("the first enabled in Moonraker"), "{summary}");
    assert!(summary.contains("runs its own broker: 127.0.0.1:21883"), "{summary}");
}

#[test]
fn the_file_in_printer_data_is_found_by_itself() {
    let home = Home::new();
    home.write("printer_data/config/strandwatch.toml", "[[printer]]\nname = 'voron'\n");
    let output = home.strandwatch().args(["check"]).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("printer_data/config/strandwatch.toml: 0 errors, 0 warnings"), "{text}");
    assert!(text.contains("watches voron"), "{text}");
}

#[test]
fn every_problem_is_reported_at_once_with_its_line_and_what_to_write() {
    let found = problems(
        r#"
[[printer]]
name = "My Printer"
[[printer.camera]]
rotate = 45

[watch]
clear_interval = 2
[act]
on_failure = "stop"
[mqtt]
host = "mqtt://broker.lan:1884"
prot = 1883
[[mqtt.client]]
name = "phone"
rights = ["veiw"]
"#,
    );
    let mut short: Vec<_> = found
        .iter()
        .map(|(what, problem)| {
            (problem["line"].as_u64().unwrap(), what.as_str(), problem["write"].as_str().unwrap())
        })
        .collect();
    short.sort_unstable();
    assert_eq!(
        short,
        [
            (3, "error printer[0].name", "write name = \"my-printer\""),
            (5, "error printer[0].camera[0].rotate", "write rotate = 0"),
            (8, "error watch.clear_interval", "write clear_interval = \"2s\""),
            (10, "error act.on_failure", "write on_failure = \"pause\""),
            (
                11,
                "warning mqtt.username",
                "give the broker logins and an ACL (config/README.md), then write username = \"strandwatch\""
            ),
            (12, "error mqtt.host", "write host = \"broker.lan\" and port = 1884"),
            (13, "error mqtt.prot", "did you mean port?"),
            (16, "error mqtt.client[0].rights[0]", "did you mean \"view\"?"),
        ]
    );
    let stop = found.iter().find(|(what, _)| what == "error act.on_failure").unwrap();
    assert_eq!(stop.1["found"], "\"stop\"");
}

#[test]
fn every_error_of_the_syntax_has_its_line_and_column() {
    let found = problems("[mqtt\nhost = 'a'\n[watch]\nthreads = 1\nthreads = 2\n");
    let places: Vec<_> =
        found.iter().map(|(_, p)| (p["line"].clone(), p["column"].clone())).collect();
    assert_eq!(places, [(json!(1), json!(6)), (json!(5), json!(1))]);

    let found = problems("[mqtt]\nport = 99999999999999999999\n");
    assert_eq!(found.len(), 1, "{found:#?}");
    assert_eq!(found[0].1["line"], 2);
}

#[test]
fn values_that_make_no_sense_together_are_found() {
    for (text, what, write) in [
        ("[[printer]]\n[[printer]]\nmoonraker = 'ws://b'", "error printer[1].name", "printer-2"),
        ("[[printer]]\nname = 'status'", "error printer[0].name", "status-1"),
        (
            "[[printer]]\nmoonraker = 'voron.local'",
            "error printer[0].moonraker",
            "ws://voron.local:7125",
        ),
        ("[[printer]]\nmoonraker = 'ftp://h/x'", "error printer[0].moonraker", "ws://h:7125"),
        ("[[printer]]\nmoonraker = 'ws://k:v@h'", "error printer[0].moonraker", "secrets file"),
        (
            "[[printer]]\n[[printer]]\nname = 'b'",
            "warning printer[1].moonraker",
            "correct the address",
        ),
        (
            "[[printer]]\n[[printer.camera]]\nurl = 'http://h/'\npath = '/'",
            "error printer[0].camera[0].path",
            "keep url",
        ),
        (
            "[[printer]]\n[[printer.camera]]\n[[printer.camera]]",
            "error printer[0].camera[1].name",
            "camera-2",
        ),
        (
            "[[printer]]\n[[printer.camera]]\nurl = '/dev/video0'",
            "error printer[0].camera[0].url",
            "device = \"/dev/video0\"",
        ),
        (
            "[[printer]]\n[[printer.camera]]\nurl = 'http://h/'\nkind = 'rtsp'",
            "error printer[0].camera[0].kind",
            "leave kind out",
        ),
        (
            "[[printer]]\n[[printer.camera]]\npath = 'none'",
            "error printer[0].camera[0].path",
            "put a video",
        ),
        (
            "[[printer]]\n[[printer.camera]]\npath = '/'\nwebcam = 'bed'",
            "error printer[0].camera[0].webcam",
            "leave webcam out",
        ),
        ("[watch]\nsuspect_interval = '3s'", "error watch.suspect_interval", "\"2s\" or less"),
        (
            "[watch]\nfalse_alarms_per_100h = 9\nalert_false_alarms_per_100h = 8",
            "error watch.alert_false_alarms_per_100h",
            "9.0 or more",
        ),
        ("[watch]\nmodels = 'none'", "error watch.models", "leave it out"),
        ("[watch]\nonnxruntime = 'none'", "error watch.onnxruntime", "libonnxruntime.so"),
        (
            "[act]\nvotes_needed = 2\n[[mqtt.client]]\nname = 'a'\nrights = ['vote']",
            "warning act.votes_needed",
            "votes_needed = 1",
        ),
        ("[mqtt]\nhost = 'h'\nbase = 'a/#'", "error mqtt.base", "strandwatch"),
        ("[mqtt]\nhost = 'h'\nca_file = '/dev/null'", "warning mqtt.ca_file", "tls = true"),
        ("[mqtt]\nhost = 'h'\nusername = 'sw'", "warning mqtt.username", "[mqtt] password"),
        (
            "[mqtt]\nhost = 'h'\n[[mqtt.client]]\nname = 'a'\nrights = ['owner']",
            "warning mqtt.username",
            "logins and an ACL",
        ),
        (
            "[mqtt]\nbroker = 'none'\n[[mqtt.client]]\nname = 'a'\nrights = ['view']",
            "warning mqtt.broker",
            "broker = \"managed\"",
        ),
        ("[web]\nlisten = '7130'", "error web.listen", "127.0.0.1:7130"),
        ("[web]\nlisten = '0.0.0.0:7130'", "error web.listen", "url = \"http://printer.lan:7130\""),
        ("[web]\nlisten = '127.0.0.1:1'\nurl = 'x'", "error web.url", "url = \"/strandwatch\""),
        ("[web]\nurl = '/x'", "warning web.url", "listen = \"127.0.0.1:7130\""),
        ("[act]\nheaters_off_after = '5s'", "error act.heaters_off_after", "\"30m\""),
        ("[mqtt]\nbroker = 'external'", "error mqtt.host", "host = \"127.0.0.1\""),
        ("[mqtt]\nbroker = 'managed'\nhost = 'h'", "error mqtt.host", "\"external\""),
        ("[mqtt]\nport = 1883", "error mqtt.port", "\"external\""),
        ("[mqtt]\nusername = 'sw'", "error mqtt.username", "\"external\""),
        ("[mqtt]\nlocal_port = 9\nlan_port = 9", "error mqtt.lan_port", "28883"),
        ("[mqtt]\nhost = 'h'\nlan_port = 9", "warning mqtt.lan_port", "leave it out"),
        ("[mqtt]\npublic_host = 'mqtt://h:1'", "error mqtt.public_host", "public_host = \"h\""),
        ("[store]\npath = '/'", "error store.path", "strandwatch.db"),
        ("secrets = 'none.toml'", "error secrets", "install -m 600"),
    ] {
        expect_one(text, what, write);
    }
}

#[test]
fn wrong_types_and_ranges_are_found_by_the_schema() {
    for (text, what, write) in [
        ("printer = 5", "error printer", "[[printer]]"),
        ("[printer]\nname = 'a'", "error printer", "[[printer]]"),
        ("watch = 'often'", "error watch", "[watch]"),
        ("[watch]\nmodel = 1979-05-27", "error watch.model", "model = \"strands\""),
        ("[watch]\nmodel = ''", "error watch.model", "model = \"strands\""),
        ("[watch]\nthreads = 0", "error watch.threads", "threads = 2"),
        ("[watch]\nthreads = 1.5", "error watch.threads", "threads = 2"),
        ("[watch]\nfalse_alarms_per_100h = nan", "error watch.false_alarms_per_100h", "1.0"),
        ("[watch]\nclear_interval = '1h'", "error watch.clear_interval", "\"2s\""),
        ("[act]\nveto = '30 s'", "error act.veto", "\"30s\""),
        ("[act]\narmed = 'yes'", "error act.armed", "armed = true"),
        ("[mqtt]\nport = 0", "error mqtt.port", "port = 1883"),
        ("[mqtt]\nport = 65536", "error mqtt.port", "port = 1883"),
        ("[store]\nevidence_quota = '5 gigs'", "error store.evidence_quota", "\"500MB\""),
        ("home_assistant = true", "error home_assistant", "[home_assistant]"),
        ("homeassistant = true", "error homeassistant", "home_assistant"),
        ("[home_assistant]\nclient = 'HA'", "error home_assistant.client", "client = \"ha\""),
        (
            "[home_assistant]\ndiscovery_prefix = 'a/#'",
            "error home_assistant.discovery_prefix",
            "discovery_prefix = \"homeassistant\"",
        ),
        (
            "[home_assistant]\nbirth_topic = 'strandwatch/status'",
            "error home_assistant.birth_topic",
            "birth_topic = \"homeassistant/status\"",
        ),
    ] {
        expect_one(text, what, write);
    }
}

#[test]
fn clients_are_checked_against_rights_and_printers() {
    let client =
        |lines: &str| format!("[mqtt]\nhost='::1'\nusername='sw'\n[[mqtt.client]]\n{lines}");
    for (lines, what, write) in [
        ("name = 'a'", "error mqtt.client[0].rights", "rights = [\"household\"]"),
        ("rights = ['view']", "error mqtt.client[0].name", "name = \"phone\""),
        ("name = 'a'\nrights = []", "error mqtt.client[0].rights", "observer"),
        ("name = 'a'\nrights = ['gcode']", "error mqtt.client[0].rights[0]", "\"owner\""),
        ("name = 'strandwatch'\nrights = ['view']", "error mqtt.client[0].name", "its own"),
        ("name = 'sw'\nrights = ['view']", "error mqtt.client[0].name", "its own"),
        ("name = 'console'\nrights = ['view']", "error mqtt.client[0].name", "its own"),
        ("name = 'A'\nrights = ['view']", "error mqtt.client[0].name", "name = \"a\""),
        (
            "name = 'a'\nrights = ['view']\nprinters = ['prnter']",
            "error mqtt.client[0].printers[0]",
            "did you mean \"printer\"?",
        ),
        (
            "name = 'a'\nrights = ['view']\nprinters = []",
            "error mqtt.client[0].printers",
            "leave it out",
        ),
        (
            "name='a'\nrights=['view']\n[[mqtt.client]]\nname='a'\nrights=['vote']",
            "error mqtt.client[1].name",
            "their rights together",
        ),
    ] {
        let found = problems(&client(lines));
        // The password that is not there is warned of every time.
        let errors: Vec<_> = found.iter().filter(|(what, _)| what.starts_with("error")).collect();
        assert_eq!(errors.len(), 1, "{lines:?}: {errors:#?}");
        assert_eq!(errors[0].0, what, "{lines:?}");
        let said = errors[0].1["write"].as_str().unwrap();
        assert!(said.contains(write), "{lines:?} was answered with {said:?}");
    }
}

#[test]
fn the_environment_goes_before_the_file_and_is_checked_like_it() {
    let home = Home::new();
    let file = home.write("strandwatch.toml", "[mqtt]\nhost = 'one'\n");
    let variables =
        [("STRANDWATCH_MQTT__HOST", "two"), ("STRANDWATCH_RIG", "x"), ("STRANDWATCH_TEST_Y", "z")];
    let (code, answer) = home.check_with(&file, &variables);
    assert_eq!(code, 0, "{answer:#}");
    assert!(answer["summary"].to_string().contains("the broker two:1883"), "{answer:#}");

    let variables = [
        ("STRANDWATCH_MQTT__PROT", "1"),
        ("STRANDWATCH_ACT__ATTEMPTS", "99"),
        // A number in the environment may be a text in the file.
        ("STRANDWATCH_MQTT__USERNAME", "0123"),
    ];
    let (code, answer) = home.check_with(&file, &variables);
    assert_eq!(code, 1);
    let found: Vec<_> = listed(&answer)
        .into_iter()
        .map(|(what, problem)| (what, problem["place"].clone(), problem["found"].clone()))
        .collect();
    let expected = [
        ("error act.attempts", "$STRANDWATCH_ACT__ATTEMPTS", "99"),
        ("error mqtt.prot", "$STRANDWATCH_MQTT__PROT", "1"),
        ("warning mqtt.username", "$STRANDWATCH_MQTT__USERNAME", "0123"),
    ];
    let expected: Vec<_> =
        expected.map(|(what, place, found)| (what.to_owned(), json!(place), json!(found))).into();
    assert_eq!(found, expected);
}

#[test]
fn secrets_are_read_from_their_own_file_only() {
    use secrecy::ExposeSecret;
    let home = Home::new();
    home.write_secret(
        "secrets.toml",
        "[mqtt]\npassword = 'm'\n[printer.ender]\napi_key = 'k'\n[printer.ender.camera.bed]\npassword = 'c'\n",
    );
    let file = home.write(
        "strandwatch.toml",
        "secrets = 'secrets.toml'\n[mqtt]\nhost='::1'\nusername='sw'\n[[printer]]\nname='ender'\n\
         moonraker='https://ender.lan/'\n[[printer.camera]]\nname='bed'\nurl='rtsp://me@cam.lan/live'\n",
    );
    let checked = config::load(Some(&file)).unwrap();
    let printer = &checked.printers[0];
    assert_eq!(printer.moonraker, config::Endpoint::Websocket("wss://ender.lan/websocket".into()));
    assert_eq!(printer.api_key.as_ref().unwrap().expose_secret(), "k");
    let config::CameraSource::Url { url, kind, login } = &printer.cameras[0].source else {
        panic!("{:?}", printer.cameras[0].source)
    };
    assert_eq!((url.as_str(), *kind), ("rtsp://cam.lan/live", config::UrlKind::Rtsp));
    let login = login.as_ref().unwrap();
    assert_eq!(login.username, "me");
    assert_eq!(login.password.as_ref().unwrap().expose_secret(), "c");
    let mqtt = checked.mqtt.as_ref().unwrap();
    assert_eq!(mqtt.login.as_ref().unwrap().password.as_ref().unwrap().expose_secret(), "m");
    let debug = format!("{checked:?}");
    assert!(!debug.contains("\"k\"") && debug.contains("REDACTED"), "{debug}");
}

#[test]
fn a_secret_in_the_main_file_is_refused_and_never_shown() {
    for (text, key) in [
        ("[[printer]]\napi_key = 'hunter2'", "printer[0].api_key"),
        ("[mqtt]\npasword = 'hunter2'", "mqtt.pasword"),
        (
            "[[printer]]\n[[printer.camera]]\nurl = 'http://me:hunter2@h/'",
            "printer[0].camera[0].url",
        ),
    ] {
        let found = problems(text);
        assert_eq!(found.len(), 1, "{found:#?}");
        assert_eq!(found[0].0, format!("error {key}"));
        assert!(!found[0].1.to_string().contains("hunter2"), "{:#}", found[0].1);
        assert!(found[0].1["write"].as_str().unwrap().contains("secrets file"));
    }
}

#[test]
fn a_secrets_file_that_others_may_read_is_refused_with_the_command_that_helps() {
    let home = Home::new();
    let secrets =
        home.write_secret("secrets.toml", "[mqtt]\npassword = 5\n[printer.x]\nkey = 'hunter2'\n");
    let file = home.write("strandwatch.toml", "secrets = 'secrets.toml'\n");
    for mode in [0o640, 0o604, 0o660] {
        std::fs::set_permissions(&secrets, Permissions::from_mode(mode)).unwrap();
        let (code, answer) = home.check(&file);
        assert_eq!(code, 1);
        let text = answer.to_string();
        assert!(text.contains(&format!("run: chmod 600 {}", secrets.display())), "{text}");
        assert!(text.contains("mqtt.password") && text.contains("printer.x"), "{text}");
        assert!(!text.contains("hunter2"), "{text}");
    }
}

#[test]
fn a_secrets_file_in_printer_data_is_refused_with_the_command_that_helps() {
    let home = Home::new();
    home.write_secret("printer_data/config/secrets.toml", "");
    let file = home.write("printer_data/config/strandwatch.toml", "secrets = 'secrets.toml'\n");
    let (code, answer) = home.check(&file);
    assert_eq!(code, 1);
    let write = answer["problems"][0]["write"].as_str().unwrap();
    assert!(
        write.contains("mv ") && write.ends_with(".config/strandwatch/secrets.toml"),
        "{write}"
    );
}

#[test]
fn a_file_that_cannot_be_read_ends_with_2() {
    let home = Home::new();
    assert_eq!(home.check(&home.path("none.toml")).0, 2);
    assert_eq!(home.check(home.0.path()).0, 2);
    let file = home.path("latin.toml");
    std::fs::write(&file, b"# caf\xe9\n").unwrap();
    let (code, answer) = home.check(&file);
    assert_eq!(code, 2);
    assert_eq!(answer["problems"][0]["write"], "save it as UTF-8");
}

#[test]
fn paths_begin_at_home_or_at_the_files_folder() {
    let home = Home::new();
    let file = home.write("etc/strandwatch.toml", "[store]\npath = 'state/s.db'\n");
    let checked = config::load(Some(&file)).unwrap();
    assert_eq!(checked.store.path, home.path("etc/state/s.db"));
    assert_eq!(checked.store.evidence, home.path("etc/state/evidence"));
}
