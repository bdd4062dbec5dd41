//! The Moonraker link against a scripted server that misbehaves.

use std::time::{Duration, Instant};

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use strandwatch::core::types::{Name, PrintState, PrinterAction};
use strandwatch::moonraker::{Endpoint, Setup, Timing};
use strandwatch::ports::{ActionRefused, OwnWebcam, PrinterLink};
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;

use crate::support::moonraker::{Linked, PATIENCE, setup};

/// Listens as a Moonraker would.
struct Fake {
    listener: TcpListener,
}

/// One connection to it.
struct Peer {
    socket: WebSocketStream<TcpStream>,
}

struct Request {
    id: Value,
    method: String,
    params: Value,
}

impl Fake {
    async fn listen() -> Self {
        Self { listener: TcpListener::bind("127.0.0.1:0").await.unwrap() }
    }

    fn endpoint(&self) -> Endpoint {
        Endpoint::parse(&format!("http://{}", self.listener.local_addr().unwrap())).unwrap()
    }

    async fn accept(&self) -> Peer {
        let accepted = tokio::time::timeout(PATIENCE, self.listener.accept()).await;
        let (stream, _) = accepted.expect("the link connects").unwrap();
        Peer { socket: tokio_tungstenite::accept_async(stream).await.unwrap() }
    }

    /// Accepts a link and answers all it asks until it has subscribed.
    async fn accept_and_serve(&self) -> Peer {
        let mut peer = self.accept().await;
        peer.serve_until("printer.objects.subscribe").await;
        peer
    }
}

impl Peer {
    async fn send(&mut self, message: Value) {
        self.socket.send(Message::from(message.to_string())).await.unwrap();
    }

    async fn notify(&mut self, method: &str, params: Value) {
        self.send(json!({ "jsonrpc": "2.0", "method": method, "params": params })).await;
    }

    async fn print_state(&mut self, state: &str) {
        let update = json!({ "print_stats": { "state": state } });
        self.notify("notify_status_update", json!([update, 1.0])).await;
    }

    async fn answer(&mut self, request: &Request, result: Value) {
        self.send(json!({ "jsonrpc": "2.0", "id": request.id, "result": result })).await;
    }

    /// The next request, answering keep-alives on the way.
    async fn request(&mut self) -> Request {
        loop {
            let next = tokio::time::timeout(PATIENCE, self.socket.next()).await;
            let frame = next.expect("a request comes").expect("the link stays").unwrap();
            let Message::Text(text) = frame else { continue };
            let mut message: Value = serde_json::from_str(&text).unwrap();
            let request = Request {
                id: message["id"].take(),
                method: message["method"].as_str().unwrap().to_owned(),
                params: message["params"].take(),
            };
            if request.method != "server.websocket.id" {
                return request;
            }
            self.answer(&request, json!({ "websocket_id": 1 })).await;
        }
    }

    /// The next request of `method`, answering others as a printing printer would.
    async fn serve_up_to(&mut self, method: &str) -> Request {
        loop {
            let request = self.request().await;
            if request.method == method {
                return request;
            }
            self.answer(&request, usual_answer(&request.method)).await;
        }
    }

    async fn serve_until(&mut self, method: &str) {
        let request = self.serve_up_to(method).await;
        self.answer(&request, usual_answer(method)).await;
    }
}

fn usual_answer(method: &str) -> Value {
    match method {
        "server.info" => json!({ "klippy_state": "ready" }),
        "server.webcams.list" => json!({ "webcams": [] }),
        "printer.objects.list" => json!({ "objects": ["print_stats"] }),
        "printer.objects.subscribe" => {
            json!({ "eventtime": 1.0, "status": { "print_stats": { "state": "printing" } } })
        }
        _ => json!({}),
    }
}

fn impatient(endpoint: Endpoint) -> Setup {
    let mut setup = setup(endpoint);
    setup.timing.keep_alive = Duration::from_millis(300);
    setup.timing.silence = Duration::from_millis(2000);
    setup
}

fn act(linked: &Linked, action: PrinterAction) -> JoinHandle<Result<(), ActionRefused>> {
    let link = linked.link.clone();
    tokio::spawn(async move { link.act(action).await })
}

async fn refusal(acting: JoinHandle<Result<(), ActionRefused>>) -> String {
    let ended = tokio::time::timeout(PATIENCE, acting).await.expect("the action ends");
    ended.unwrap().unwrap_err().to_string()
}

#[tokio::test]
async fn a_half_open_socket_is_noticed_also_while_an_action_is_outstanding() {
    assert!(Timing::default().silence < Duration::from_secs(15));
    let fake = Fake::listen().await;
    let mut linked = Linked::with(impatient(fake.endpoint()));
    let silent = fake.accept_and_serve().await;
    linked.until("up", |_| true).await;
    let why = linked.until_down("has been silent").await;
    assert!(why.contains("printer voron"), "{why}");

    let mut silent_too = fake.accept_and_serve().await;
    linked.until("up again", |_| true).await;
    let pausing = act(&linked, PrinterAction::Pause);
    let request = silent_too.serve_up_to("printer.print.pause").await;
    assert_eq!(request.params, Value::Null);
    let why = refusal(pausing).await;
    assert!(why.contains("lost before it answered printer.print.pause"), "{why}");
    drop((silent, silent_too));
}

#[tokio::test]
async fn a_quiet_peer_that_answers_when_asked_is_kept() {
    let fake = Fake::listen().await;
    let mut linked = Linked::with(impatient(fake.endpoint()));
    let mut peer = fake.accept_and_serve().await;
    linked.until("up", |_| true).await;
    // More than the silence that would end the link.
    for _ in 0..9 {
        let asked =
            tokio::time::timeout(PATIENCE, peer.socket.next()).await.unwrap().unwrap().unwrap();
        let message: Value = serde_json::from_str(asked.to_text().unwrap()).unwrap();
        assert_eq!(message["method"], "server.websocket.id");
        peer.send(json!({ "jsonrpc": "2.0", "id": message["id"], "result": {} })).await;
    }
    peer.print_state("paused").await;
    linked
        .until("paused, on the same connection", |status| status.print == PrintState::Paused)
        .await;
}

#[tokio::test]
async fn cameras_named_while_the_link_comes_up_are_listed() {
    let fake = Fake::listen().await;
    let (requests, _asked) = tokio::sync::mpsc::channel(1);
    let linked = Linked::with(Setup { requests: Some(requests), ..setup(fake.endpoint()) });
    let mut peer = fake.accept().await;
    let subscribing = peer.serve_up_to("printer.objects.subscribe").await;
    let bed = OwnWebcam {
        camera: Name::parse("bed").unwrap(),
        stream_url: "/bed/stream".into(),
        snapshot_url: "/bed/snapshot".into(),
    };
    linked.link.list_own(vec![bed]).await.unwrap_err();
    peer.answer(&subscribing, usual_answer("printer.objects.subscribe")).await;
    let listing = peer.serve_up_to("server.webcams.post_item");
    let listing = tokio::time::timeout(PATIENCE, listing).await.expect("ours is listed");
    assert_eq!(listing.params["name"], "Strandwatch bed");
    assert_eq!(listing.params["stream_url"], "/bed/stream");
}

#[tokio::test]
async fn replies_out_of_order_reach_who_asked() {
    let fake = Fake::listen().await;
    let mut linked = Linked::to(fake.endpoint());
    let mut peer = fake.accept_and_serve().await;
    linked.until("up", |_| true).await;
    let pausing = act(&linked, PrinterAction::Pause);
    let pause = peer.serve_up_to("printer.print.pause").await;
    let cancelling = act(&linked, PrinterAction::Cancel);
    let cancel = peer.serve_up_to("printer.print.cancel").await;
    let error = json!({ "code": 400, "message": "not now" });
    peer.send(json!({ "jsonrpc": "2.0", "id": cancel.id, "error": error })).await;
    assert!(refusal(cancelling).await.contains("refused printer.print.cancel: not now"));
    assert!(!pausing.is_finished());
    peer.answer(&pause, json!("ok")).await;
    pausing.await.unwrap().unwrap();
}

#[tokio::test]
async fn garbage_is_passed_over() {
    let fake = Fake::listen().await;
    let mut linked = Linked::to(fake.endpoint());
    let mut peer = fake.accept_and_serve().await;
    linked.until("up", |_| true).await;
    for garbage in
        ["", "hello", "[]", "{\"id\":", "null", "{\"jsonrpc\":\"2.0\",\"id\":99,\"result\":1}"]
    {
        peer.socket.send(Message::from(garbage)).await.unwrap();
    }
    peer.socket.send(Message::from(vec![0_u8, 3, 255])).await.unwrap();
    for params in
        [json!(null), json!({}), json!([]), json!([[1], 2]), json!([{ "print_stats": 7 }])]
    {
        peer.notify("notify_status_update", params).await;
    }
    peer.print_state("melting").await;
    peer.print_state("paused").await;
    linked
        .until("paused, on the same connection", |status| status.print == PrintState::Paused)
        .await;
}

#[tokio::test]
async fn a_message_that_is_too_large_costs_the_connection_and_no_more() {
    let fake = Fake::listen().await;
    let mut linked = Linked::to(fake.endpoint());
    let mut peer = fake.accept_and_serve().await;
    linked.until("up", |_| true).await;
    // The link may hang up before all of it is written.
    let _ = peer.socket.send(Message::from("x".repeat(5 << 20))).await;
    linked.until_down("larger than 4 MiB").await;
    let _again = fake.accept_and_serve().await;
    linked.until("up again", |_| true).await;
}

#[tokio::test]
async fn a_reply_that_never_comes_ends_in_an_error_and_the_link_stays_up() {
    let fake = Fake::listen().await;
    let mut setup = setup(fake.endpoint());
    setup.timing.action = Duration::from_millis(300);
    let mut linked = Linked::with(setup);
    let mut peer = fake.accept_and_serve().await;
    linked.until("up", |_| true).await;
    let pausing = act(&linked, PrinterAction::Pause);
    let request = peer.serve_up_to("printer.print.pause").await;
    assert!(refusal(pausing).await.contains("has not answered printer.print.pause"));
    peer.answer(&request, json!("ok")).await;
    peer.print_state("paused").await;
    linked
        .until("paused, on the same connection", |status| status.print == PrintState::Paused)
        .await;
}

#[tokio::test]
async fn a_connection_dropped_while_an_action_is_outstanding_is_an_error_and_is_not_repeated() {
    let fake = Fake::listen().await;
    let mut linked = Linked::to(fake.endpoint());
    let mut peer = fake.accept_and_serve().await;
    linked.until("up", |_| true).await;
    let pausing = act(&linked, PrinterAction::Pause);
    peer.serve_up_to("printer.print.pause").await;
    drop(peer);
    assert!(refusal(pausing).await.contains("lost before it answered printer.print.pause"));
    linked.until_down("reconnecting").await;

    let mut peer = fake.accept_and_serve().await;
    linked.until("up again", |_| true).await;
    let resuming = act(&linked, PrinterAction::Resume);
    let next = peer.request().await;
    assert_eq!(next.method, "printer.print.resume", "the pause is not sent again");
    peer.answer(&next, json!("ok")).await;
    resuming.await.unwrap().unwrap();
}

#[tokio::test]
async fn an_update_older_than_the_whole_state_does_not_undo_it() {
    let fake = Fake::listen().await;
    let mut linked = Linked::to(fake.endpoint());
    let mut peer = fake.accept_and_serve().await;
    linked.until("up", |_| true).await;
    peer.notify("notify_klippy_ready", Value::Null).await;
    let subscribing = peer.serve_up_to("printer.objects.subscribe").await;
    peer.print_state("paused").await;
    peer.answer(&subscribing, json!({ "status": { "print_stats": { "state": "complete" } } }))
        .await;
    peer.notify("notify_status_update", json!([{ "print_stats": { "filename": "last" } }])).await;
    let status =
        linked.until("the last update", |status| status.filename.as_deref() == Some("last")).await;
    assert_eq!(status.print, PrintState::Complete);
}

#[tokio::test]
async fn a_name_taken_by_another_agent_is_no_lock_out() {
    let fake = Fake::listen().await;
    let mut linked = Linked::to(fake.endpoint());
    let mut peer = fake.accept().await;
    let identify = peer.serve_up_to("server.connection.identify").await;
    assert_eq!(identify.params["type"], "agent");
    let error =
        json!({ "code": 400, "message": "Agent 'strandwatch' already registered and connected'" });
    peer.send(json!({ "jsonrpc": "2.0", "id": identify.id, "error": error })).await;
    let mut peer = fake.accept().await;
    let identify = peer.serve_up_to("server.connection.identify").await;
    assert_eq!(identify.params["type"], "other");
    peer.answer(&identify, json!({ "connection_id": 2 })).await;
    peer.serve_until("printer.objects.subscribe").await;
    linked.until("up", |status| status.print == PrintState::Printing).await;
    drop(peer);
    let mut peer = fake.accept().await;
    let identify = peer.serve_up_to("server.connection.identify").await;
    assert_eq!(identify.params["type"], "agent", "the name may be free by now");
}

#[tokio::test]
async fn a_server_that_is_no_moonraker_is_said_to_be_none() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let web_server = tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let _ = stream.write_all(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n").await;
        }
    });
    let mut linked = Linked::to(Endpoint::parse(&url).unwrap());
    let why = linked.until_down("cannot be reached").await;
    assert!(why.contains("404") && why.contains("another server"), "{why}");
    linked.end().await;
    web_server.abort();
}

#[tokio::test]
async fn a_server_without_tls_is_an_error_for_wss() {
    let fake = Fake::listen().await;
    let port = fake.listener.local_addr().unwrap().port();
    let mut linked = Linked::to(Endpoint::parse(&format!("https://localhost:{port}")).unwrap());
    let (mut stream, _) = fake.listener.accept().await.unwrap();
    stream.write_all(b"this is no TLS").await.unwrap();
    let why = linked.until_down("cannot be reached").await;
    assert!(why.contains("corrupt message") && why.contains("wss://localhost"), "{why}");
}

#[tokio::test]
async fn attempts_to_reconnect_become_rarer_up_to_a_limit() {
    let fake = Fake::listen().await;
    let setup = setup(fake.endpoint());
    let (mut wait, limit) = (setup.timing.first_retry, setup.timing.last_retry);
    let _linked = Linked::with(setup);
    drop(fake.listener.accept().await.unwrap());
    for _ in 0..6 {
        let dropped = Instant::now();
        let next = tokio::time::timeout(PATIENCE, fake.listener.accept()).await;
        drop(next.expect("it tries again").unwrap());
        assert!(dropped.elapsed() >= wait / 2, "{:?} after {wait:?}", dropped.elapsed());
        wait = (wait * 2).min(limit);
    }
}
