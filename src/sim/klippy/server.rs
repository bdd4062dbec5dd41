use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::unix::OwnedWriteHalf;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::mpsc;
use tokio::time::{MissedTickBehavior, interval, sleep};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::console::Happening;
use super::gcode::Outcome;
use super::{Comeback, Order, Shared, objects};

/// Ends a message.
const END: u8 = 0x03;

/// How long Klippy is away when it was told to restart by G-code.
const RESTARTING: Duration = Duration::from_millis(300);

const ENDPOINTS: [&str; 16] = [
    "list_endpoints",
    "info",
    "emergency_stop",
    "register_remote_method",
    "objects/list",
    "objects/query",
    "objects/subscribe",
    "gcode/help",
    "gcode/script",
    "gcode/restart",
    "gcode/firmware_restart",
    "gcode/subscribe_output",
    "pause_resume/pause",
    "pause_resume/resume",
    "pause_resume/cancel",
    "query_endstops/status",
];

/// Opens the socket, replacing one that was left behind; its folder is made.
pub(super) fn listen(path: &Path) -> io::Result<UnixListener> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    UnixListener::bind(path)
}

/// Serves the socket until cancelled.
pub(super) async fn run(
    path: PathBuf,
    first: UnixListener,
    shared: Arc<Shared>,
    mut orders: mpsc::Receiver<Order>,
    cancel: CancellationToken,
) {
    let mut listener = Some(first);
    let (restarts, mut restarted) = mpsc::channel(1);
    while !cancel.is_cancelled() {
        let Ok(open) = listener.take().map_or_else(|| listen(&path), Ok) else {
            tracing::error!(path = %path.display(), "the simulated Klippy cannot open its socket");
            return;
        };
        let connections = cancel.child_token();
        let tracker = TaskTracker::new();
        let away = loop {
            tokio::select! {
                () = cancel.cancelled() => break None,
                accepted = open.accept() => if let Ok((stream, _)) = accepted {
                    let client = Client::new(stream, Arc::clone(&shared), restarts.clone());
                    let gone = connections.clone();
                    tracker.spawn(async move {
                        tokio::select! {
                            () = gone.cancelled() => {}
                            _ = client.serve() => {}
                        }
                    });
                },
                Some(()) = restarted.recv() => {
                    shared.with(|machine| machine.restart(RESTARTING, Comeback::Ready));
                    break Some(RESTARTING);
                }
                Some(order) = orders.recv() => match order {
                    Order::Disconnect => break Some(Duration::ZERO),
                    Order::Leave(away) => break Some(away),
                },
            }
        };
        connections.cancel();
        tracker.close();
        tracker.wait().await;
        match away {
            Some(Duration::ZERO) => listener = Some(open),
            Some(away) => {
                drop(open);
                // Best effort: the next listen() replaces what is left.
                let _ = std::fs::remove_file(&path);
                tokio::select! {
                    () = cancel.cancelled() => {}
                    () = sleep(away) => {}
                }
            }
            None => {}
        }
    }
    let _ = std::fs::remove_file(&path);
}

#[derive(Deserialize)]
struct Request {
    #[serde(default)]
    id: Value,
    method: String,
    #[serde(default)]
    params: Map<String, Value>,
}

struct Subscription {
    wanted: Map<String, Value>,
    template: Map<String, Value>,
    known: Map<String, Value>,
}

/// What a request leads to.
enum Answer {
    Now(Result<Value, String>),
    /// The answer of a macro that takes a while.
    Later(BoxFuture<'static, Value>),
}

struct Client {
    shared: Arc<Shared>,
    lines: BufReader<tokio::net::unix::OwnedReadHalf>,
    writer: OwnedWriteHalf,
    subscription: Option<Subscription>,
    /// How console lines are sent, once subscribed to.
    output: Option<Map<String, Value>>,
    /// How calls of remote methods are sent, by method.
    methods: Map<String, Value>,
    restarts: mpsc::Sender<()>,
}

impl Client {
    fn new(stream: UnixStream, shared: Arc<Shared>, restarts: mpsc::Sender<()>) -> Self {
        let (reader, writer) = stream.into_split();
        let lines = BufReader::new(reader);
        Self {
            shared,
            lines,
            writer,
            subscription: None,
            output: None,
            methods: Map::new(),
            restarts,
        }
    }

    async fn serve(mut self) -> io::Result<()> {
        let mut updates = interval(self.shared.options.update_interval);
        updates.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut running: FuturesUnordered<BoxFuture<'static, Value>> = FuturesUnordered::new();
        let mut message = Vec::new();
        let mut happenings = self.shared.with(|machine| machine.console.happenings.subscribe());
        loop {
            tokio::select! {
                happening = happenings.recv() => if let Ok(happening) = happening {
                    self.tell(happening).await?;
                },
                read = self.lines.read_until(END, &mut message) => {
                    if read? == 0 {
                        return Ok(());
                    }
                    message.pop();
                    if let Some(later) = self.take(&message).await? {
                        running.push(later);
                    }
                    message.clear();
                }
                Some(answer) = running.next() => self.send(&answer).await?,
                _ = updates.tick(), if self.subscription.is_some() => self.update().await?,
            }
        }
    }

    async fn take(&mut self, message: &[u8]) -> io::Result<Option<BoxFuture<'static, Value>>> {
        let Ok(request) = serde_json::from_slice::<Request>(message) else { return Ok(None) };
        let id = request.id.clone();
        match self.answer(request) {
            Answer::Now(result) => {
                self.send(&envelope(&id, result)).await?;
                Ok(None)
            }
            Answer::Later(result) => Ok(Some(result)),
        }
    }

    fn answer(&mut self, request: Request) -> Answer {
        let Request { id, method, params } = request;
        Answer::Now(Ok(match method.as_str() {
            "list_endpoints" => json!({ "endpoints": ENDPOINTS }),
            "info" => self.info(),
            "objects/list" => {
                let names = self.shared.with(|machine| objects::all(machine));
                json!({ "objects": names.keys().collect::<Vec<_>>() })
            }
            "objects/query" => {
                let (time, status) = self.status(&wanted(&params));
                json!({ "eventtime": time, "status": status })
            }
            "objects/subscribe" => self.subscribe(&params),
            "gcode/help" => json!({ "PAUSE": "Pauses the current print" }),
            "register_remote_method" => {
                let method =
                    params.get("remote_method").and_then(Value::as_str).unwrap_or_default();
                self.methods.insert(method.to_owned(), Value::Object(template(&params)));
                json!({})
            }
            "gcode/subscribe_output" => {
                self.output = Some(template(&params));
                json!({})
            }
            "query_endstops/status" => json!({ "x": "open", "y": "open", "z": "open" }),
            "emergency_stop" => {
                self.shared.with(|machine| machine.shutdown("Shutdown due to webhooks request"));
                json!({})
            }
            "gcode/script" => {
                let text = params.get("script").and_then(Value::as_str).unwrap_or_default();
                return self.run(&id, text);
            }
            "gcode/restart" | "gcode/firmware_restart" => return self.run(&id, "RESTART"),
            "pause_resume/pause" => return self.run(&id, "PAUSE"),
            "pause_resume/resume" => return self.run(&id, "RESUME"),
            "pause_resume/cancel" => return self.run(&id, "CANCEL_PRINT"),
            unknown => {
                let message = format!("webhooks: No registered callback for path '{unknown}'");
                return Answer::Now(Err(message));
            }
        }))
    }

    /// Runs a script line by line; a macro that takes a while ends it.
    fn run(&self, id: &Value, script: &str) -> Answer {
        for line in script.lines().map(str::trim) {
            match self.shared.with(|machine| machine.gcode(line)) {
                Err(refused) => return Answer::Now(Err(refused.0)),
                Ok(Outcome::Done) => {}
                Ok(Outcome::Restarts) => {
                    // Full: it restarts already.
                    let _ = self.restarts.try_send(());
                }
                Ok(Outcome::Runs(ran)) => {
                    let (shared, id) = (Arc::clone(&self.shared), id.clone());
                    return Answer::Later(Box::pin(async move {
                        sleep(shared.options.macro_delay).await;
                        shared.with(|machine| machine.finish(ran));
                        envelope(&id, Ok(json!({})))
                    }));
                }
            }
        }
        Answer::Now(Ok(json!({})))
    }

    fn info(&self) -> Value {
        let (state, message) = self
            .shared
            .with(|machine| (objects::klippy_word(machine.klippy), machine.klippy_message.clone()));
        json!({
            "state": state, "state_message": message, "hostname": "simulated", "software_version": "v0.13.0-simulated",
            "klipper_path": "/nonexistent/klipper", "python_path": "/nonexistent/python", "process_id": std::process::id(),
            "user_id": 0, "group_id": 0, "log_file": null, "config_file": null, "cpu_info": "simulated",
        })
    }

    fn status(&self, wanted: &Map<String, Value>) -> (f64, Map<String, Value>) {
        let (time, all) = self.shared.with(|machine| (machine.event_time, objects::all(machine)));
        (time, objects::chosen(&all, wanted))
    }

    fn subscribe(&mut self, params: &Map<String, Value>) -> Value {
        let wanted = wanted(params);
        let (time, known) = self.status(&wanted);
        let answer = json!({ "eventtime": time, "status": known });
        self.subscription = Some(Subscription { wanted, template: template(params), known });
        answer
    }

    async fn tell(&mut self, happening: Happening) -> io::Result<()> {
        let (template, params) = match happening {
            Happening::Said(line) => (self.output.clone(), json!({ "response": line })),
            Happening::Called(method, params) => {
                let template = self.methods.get(&method).and_then(Value::as_object);
                (template.cloned(), Value::Object(params))
            }
        };
        let Some(mut message) = template else { return Ok(()) };
        message.insert("params".into(), params);
        self.send(&Value::Object(message)).await
    }

    async fn update(&mut self) -> io::Result<()> {
        let Some(mut subscription) = self.subscription.take() else { return Ok(()) };
        let (time, now) = self.status(&subscription.wanted);
        let changed = objects::changed(&subscription.known, &now);
        let mut message = subscription.template.clone();
        subscription.known = now;
        self.subscription = Some(subscription);
        if changed.is_empty() {
            return Ok(());
        }
        message.insert("params".into(), json!({ "eventtime": time, "status": changed }));
        self.send(&Value::Object(message)).await
    }

    async fn send(&mut self, message: &Value) -> io::Result<()> {
        let mut frame = message.to_string().into_bytes();
        frame.push(END);
        self.writer.write_all(&frame).await
    }
}

fn envelope(id: &Value, result: Result<Value, String>) -> Value {
    match result {
        Ok(result) => json!({ "id": id, "result": result }),
        Err(message) => {
            json!({ "id": id, "error": { "error": "WebRequestError", "message": message } })
        }
    }
}

fn wanted(params: &Map<String, Value>) -> Map<String, Value> {
    params.get("objects").and_then(Value::as_object).cloned().unwrap_or_default()
}

fn template(params: &Map<String, Value>) -> Map<String, Value> {
    params.get("response_template").and_then(Value::as_object).cloned().unwrap_or_default()
}
