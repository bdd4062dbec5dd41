//! Logging in, TLS, and what the broker's access rules forbid: every fault names the broker and a remedy.

use std::path::Path;
use std::process::{Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;
use strandwatch::mqtt::{Login, Tls};
use strandwatch::ports::{Bus, Publication};
use strandwatch::sim::mosquitto::Account;

use crate::support::mqtt::{Daemon, Rig, name};
use crate::support::{Child, free_port};

#[tokio::test]
async fn a_wrong_password_is_told_and_a_mended_one_lets_in() {
    let right = "strandwatch's secret";
    let mut rig =
        Rig::start_with(|settings| settings.daemon.password = "other".to_owned().into()).await;
    let mut setup = rig.setup();
    setup.broker.login =
        Some(Login { user: "strandwatch".to_owned(), password: right.to_owned().into() });
    let daemon = Daemon::begin(setup, &rig.store_file());
    let why = daemon.down("refused the login").await;
    assert!(why.contains(&format!("127.0.0.1:{}", rig.port)), "{why}");
    assert!(why.contains("\"strandwatch\"") && why.contains("password"), "{why}");
    assert!(!why.contains(right), "{why}");
    rig.stop().await;
    rig.settings.daemon =
        Account { name: "strandwatch".to_owned(), password: right.to_owned().into() };
    rig.start_again().await;
    daemon.up().await;
}

#[tokio::test]
async fn anonymous_is_told_to_give_a_user() {
    let rig = Rig::start().await;
    let mut setup = rig.setup();
    setup.broker.login = None;
    let daemon = Daemon::begin(setup, &rig.store_file());
    daemon.down("refused the login without a user").await;
}

#[test]
fn no_secret_is_ever_shown() {
    let login = Login { user: "strandwatch".to_owned(), password: "s3cr3t".to_owned().into() };
    assert!(!format!("{login:?}").contains("s3cr3t"));
}

fn openssl(folder: &Path, arguments: &str) {
    let status = Command::new("openssl")
        .args(arguments.split_whitespace())
        .current_dir(folder)
        .stderr(Stdio::null())
        .status()
        .unwrap();
    assert!(status.success(), "openssl {arguments}");
}

/// An authority, and a certificate of it for 127.0.0.1; `other.pem` is an authority that signed nothing.
fn certificates(folder: &Path) {
    let key = "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes";
    for ca in ["ca", "other"] {
        openssl(
            folder,
            &format!("req -x509 {key} -days 2 -subj /CN={ca} -keyout {ca}.key -out {ca}.pem"),
        );
    }
    openssl(folder, &format!("req {key} -subj /CN=broker -keyout broker.key -out broker.csr"));
    std::fs::write(folder.join("names"), "subjectAltName=IP:127.0.0.1\n").unwrap();
    openssl(
        folder,
        "x509 -req -in broker.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile names -out broker.pem",
    );
}

async fn tls_rig() -> (Rig, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    certificates(folder.path());
    let at = |file: &str| folder.path().join(file).display().to_string();
    let extra = [format!("certfile {}", at("broker.pem")), format!("keyfile {}", at("broker.key"))];
    let rig = Rig::start_with(|settings| settings.extra.extend(extra)).await;
    (rig, folder)
}

#[tokio::test]
async fn tls_with_an_own_authority() {
    let (rig, folder) = tls_rig().await;
    let mut setup = rig.setup();
    setup.broker.tls = Some(Tls { ca_file: Some(folder.path().join("ca.pem")) });
    let daemon = Daemon::begin(setup, &rig.store_file());
    daemon.up().await;
    daemon.raise(1).await;
    daemon.outbox_empties().await;
    daemon.close().await;
}

#[tokio::test]
async fn tls_that_cannot_be_trusted_is_refused_with_a_remedy() {
    let (rig, folder) = tls_rig().await;
    let cases = [
        (Some(Tls { ca_file: Some(folder.path().join("other.pem")) }), "ca_file"),
        (Some(Tls { ca_file: Some(folder.path().join("no such file")) }), "no such file"),
        (Some(Tls { ca_file: Some(folder.path().join("names")) }), "no usable certificate"),
        (Some(Tls { ca_file: None }), "ca_file"),
        (None, "expects TLS"),
    ];
    for (tls, because) in cases {
        let mut setup = rig.setup();
        setup.broker.tls = tls;
        let daemon = Daemon::begin(setup, &rig.folder.path().join(because.replace(' ', "_")));
        let why = daemon.down(because).await;
        assert!(why.contains("127.0.0.1"), "{why}");
    }
}

#[tokio::test]
async fn tls_towards_a_plain_port_is_told() {
    let rig = Rig::start().await;
    let folder = tempfile::tempdir().unwrap();
    certificates(folder.path());
    let mut setup = rig.setup();
    setup.broker.tls = Some(Tls { ca_file: Some(folder.path().join("ca.pem")) });
    let daemon = Daemon::begin(setup, &rig.store_file());
    daemon.down("TLS").await;
}

#[tokio::test]
async fn a_topic_that_the_broker_forbids_is_named_and_published_once_it_is_allowed() {
    let mut rig = Rig::start().await;
    // The daemon logs in as a mere client: it may read, and write nothing.
    let observer = rig.settings.clients[2].clone();
    rig.settings.daemon = observer;
    let daemon = Daemon::begin(rig.setup(), &rig.store_file());
    let why = daemon.down("refuses messages on strandwatch/status").await;
    assert!(
        why.contains("not authorised") && why.contains("topic readwrite strandwatch/#"),
        "{why}"
    );
    daemon.bus.publish(Publication::State { printer: name("voron"), document: json!({}) });
    daemon.raise(1).await;
    let broker = rig.broker.as_ref().unwrap();
    let rules = "user observer\ntopic readwrite strandwatch/#\n";
    std::fs::write(broker.folder().join("acl"), rules).unwrap();
    kill_process(Pid::from_raw(broker.pid().unwrap() as i32).unwrap(), Signal::HUP).unwrap();
    daemon.up().await;
    daemon.outbox_empties().await;
    let (_household, mut watcher) = rig.client("observer", &["voron/state"]).await;
    watcher.until_reads("voron/state", "{}").await;
    daemon.close().await;
}

/// Mosquitto's `acl_file` grants every subscription; its dynamic-security plugin does not.
#[tokio::test]
async fn a_refused_subscription_is_named_with_the_missing_rule() {
    let rig = Rig::start().await;
    let folder = tempfile::tempdir().unwrap();
    let port = free_port();
    let _broker = dynamic_security(folder.path(), port);
    let mut setup = rig.setup_at(port);
    setup.broker.login =
        Some(Login { user: "daemon".to_owned(), password: "daemon's".to_owned().into() });
    let daemon = Daemon::begin(setup, &rig.store_file());
    let why = daemon.down("refuses the subscription to strandwatch/client/+/request/+/+").await;
    assert!(why.contains("topic read strandwatch/client/+/request/#"), "{why}");
}

/// A broker whose one user may publish and receive, and subscribe to nothing.
fn dynamic_security(folder: &Path, port: u16) -> Child {
    let roles = folder.join("roles.json");
    let status = Command::new("mosquitto_ctrl")
        .args(["dynsec", "init"])
        .arg(&roles)
        .args(["daemon", "daemon's"])
        .stdout(Stdio::null())
        .status()
        .unwrap();
    assert!(status.success());
    let text = std::fs::read_to_string(&roles).unwrap();
    let mut config: serde_json::Value = serde_json::from_str(&text).unwrap();
    config["roles"][0]["acls"] = json!([
        { "acltype": "publishClientSend", "topic": "#", "allow": true },
        { "acltype": "publishClientReceive", "topic": "#", "allow": true },
    ]);
    std::fs::write(&roles, config.to_string()).unwrap();
    let plugin = ["x86_64", "aarch64"]
        .map(|arch| format!("/usr/lib/{arch}-linux-gnu/mosquitto_dynamic_security.so"))
        .into_iter()
        .find(|file| Path::new(file).exists())
        .expect("mosquitto's dynamic-security plugin");
    let file = folder.join("mosquitto.conf");
    let text = format!(
        "user root\nlistener {port} 127.0.0.1\nallow_anonymous false\nplugin {plugin}\nplugin_opt_config_file {}\n",
        roles.display()
    );
    std::fs::write(&file, text).unwrap();
    let path = format!("{}:/usr/sbin", std::env::var("PATH").unwrap());
    Child(
        Command::new("mosquitto")
            .env("PATH", path)
            .arg("-c")
            .arg(file)
            .stderr(Stdio::null())
            .spawn()
            .unwrap(),
    )
}
