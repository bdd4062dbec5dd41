//! One printer's link: connect, log in, subscribe, follow, and begin again.

use std::convert::Infallible;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::future::BoxFuture;
use secrecy::ExposeSecret;
use serde_json::{Value, json};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::fault::MoonrakerFault;
use super::rpc::{self, Client, Notification};
use super::status::Merged;
use super::transport::Transport;
use super::{Endpoint, Setup, action, macros, screen, webcams};
use crate::core::screen::ScreenMessage;
use crate::core::types::{KlippyState, LinkStatus, PrinterAction};
use crate::ports::{ActionRefused, NotListed, NotShown, OwnWebcam, PrinterLink, Webcam};

mod follow;

use follow::Follower;

/// Our name among Moonraker's clients.
const CLIENT: &str = "strandwatch";

/// A connection that held so long was a good one: the next attempt comes soon again.
const HELD: Duration = Duration::from_secs(10);

/// Scripts for our macros that may wait.
const TOLD: usize = 16;

/// As what we log in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Identity {
    /// One a name; may register methods and send events.
    Agent,
    /// As many as come; sees and does the same otherwise.
    Other,
}

/// The link to one printer's Moonraker. A task keeps it up until it is cancelled.
///
/// While Klippy is away the status keeps what was last known beside [`KlippyState::Disconnected`]; the next ready Klippy
/// replaces all of it. While Klippy is not ready, `message` is what it says of itself.
pub struct Link {
    setup: Setup,
    status: watch::Sender<LinkStatus>,
    webcams: watch::Sender<Vec<Webcam>>,
    /// The connection that actions go to, while the link is up.
    client: Mutex<Option<Client>>,
    /// Whether the printer has our macros.
    has_macros: AtomicBool,
    /// What Moonraker is to list of ours.
    own: Mutex<Vec<OwnWebcam>>,
    /// One at a time brings Moonraker's list up to date.
    listing: tokio::sync::Mutex<()>,
}

impl Link {
    /// Starts the link's task on `tracker`; it ends soon after `cancel`. Needs a tokio runtime.
    pub fn spawn(setup: Setup, cancel: CancellationToken, tracker: &TaskTracker) -> Arc<Self> {
        let why =
            format!("printer {}: connecting to Moonraker at {}", setup.printer, setup.endpoint);
        let link = Arc::new(Self {
            setup,
            status: watch::Sender::new(LinkStatus::Down { why }),
            webcams: watch::Sender::new(Vec::new()),
            client: Mutex::new(None),
            has_macros: AtomicBool::new(false),
            own: Mutex::new(Vec::new()),
            listing: tokio::sync::Mutex::new(()),
        });
        let task = Arc::clone(&link);
        tracker.spawn(async move {
            tokio::select! {
                () = cancel.cancelled() => {}
                () = task.keep_up() => {}
            }
            task.offer(None);
        });
        link
    }

    /// Connects again and again.
    async fn keep_up(&self) {
        let timing = self.setup.timing;
        let mut identity = Identity::Agent;
        let mut wait = timing.first_retry;
        loop {
            let begun = Instant::now();
            let fault = self.session(identity).await;
            self.offer(None);
            if let (MoonrakerFault::AgentTaken { .. }, Identity::Agent) = (&fault, identity) {
                tracing::info!("{}; continuing as an ordinary client", self.say(&fault));
                identity = Identity::Other;
                continue;
            }
            self.down(&fault);
            // The other agent may be gone: an earlier connection of ours that Moonraker had not yet given up.
            identity = Identity::Agent;
            if begun.elapsed() >= HELD {
                wait = timing.first_retry;
            }
            sleep(wait.mul_f64(rand::random_range(0.5..1.0))).await;
            wait = (wait * 2).min(timing.last_retry);
        }
    }

    /// One connection, from beginning to end.
    async fn session(&self, identity: Identity) -> MoonrakerFault {
        let transport = match Transport::connect(&self.setup).await {
            Ok(transport) => transport,
            Err(fault) => return fault,
        };
        let (client, connection, notifications) = rpc::open(transport, self.setup.timing);
        let (tell, told) = mpsc::channel(TOLD);
        tokio::select! {
            fault = connection.run() => fault,
            result = self.follow(client.clone(), notifications, identity, tell) => match result {
                Ok(never) => match never {},
                Err(fault) => fault,
            },
            never = self.tell(client, told) => match never {},
        }
    }

    /// Tells our macros how we are. Apart, since Klippy answers only when it is done with what it runs.
    async fn tell(&self, client: Client, mut told: mpsc::Receiver<&'static str>) -> Infallible {
        while let Some(script) = told.recv().await {
            let params = json!({ "script": script });
            let answer = client.call("printer.gcode.script", params, self.setup.timing.screen);
            if let Err(fault) = answer.await {
                tracing::debug!("{}", self.say(&fault));
            }
        }
        std::future::pending().await
    }

    /// Logs in, brings the state up to date and keeps it so.
    async fn follow(
        &self,
        client: Client,
        mut notifications: mpsc::Receiver<Notification>,
        identity: Identity,
        tell: mpsc::Sender<&'static str>,
    ) -> Result<Infallible, MoonrakerFault> {
        let mut poll = interval(self.setup.timing.poll);
        poll.set_missed_tick_behavior(MissedTickBehavior::Delay);
        self.identify(&client, identity).await?;
        self.register(&client, identity).await?;
        self.read_webcams(&client).await?;
        let mut follower = Follower::new(self, client, tell);
        follower.sync().await?;
        self.offer(Some(follower.client.clone()));
        self.publish(&follower.merged);
        // After the offer: whoever wants others listed from now on reaches Moonraker, so none fall between.
        if let Err(fault) = self.sync_own(&follower.client).await {
            tracing::warn!("{}", self.say(&fault));
        }
        let klippy = follower.merged.status().klippy;
        tracing::info!(
            "printer {}: connected to Moonraker at {}, Klippy is {klippy:?}",
            self.setup.printer,
            self.setup.endpoint
        );
        loop {
            let unready = follower.merged.status().klippy != KlippyState::Ready;
            tokio::select! {
                notification = notifications.recv() => match notification {
                    Some(notification) => follower.take(notification).await?,
                    None => return Err(MoonrakerFault::Lost { why: "it ended".into() }),
                },
                _ = poll.tick(), if unready => follower.poll().await?,
            }
            self.publish(&follower.merged);
        }
    }

    async fn identify(&self, client: &Client, identity: Identity) -> Result<(), MoonrakerFault> {
        let mut params = json!({
            "client_name": CLIENT,
            "version": env!("CARGO_PKG_VERSION"),
            "type": match identity { Identity::Agent => "agent", Identity::Other => "other" },
            "url": env!("CARGO_PKG_REPOSITORY"),
        });
        let key = self.setup.api_key.as_ref();
        let key = key.filter(|_| matches!(self.setup.endpoint, Endpoint::Websocket { .. }));
        if let Some(key) = key {
            params["api_key"] = Value::from(key.expose_secret());
        }
        let within = self.setup.timing.query;
        match client.call("server.connection.identify", params, within).await {
            Ok(_) => Ok(()),
            Err(MoonrakerFault::Refused { refusal, .. })
                if refusal.message.contains("already registered") =>
            {
                Err(MoonrakerFault::AgentTaken { name: CLIENT })
            }
            Err(MoonrakerFault::Refused { refusal, .. })
                if refusal.message.contains("Unauthorized")
                    || refusal.message.contains("API Key") =>
            {
                let sent = if key.is_some() { "the API key was sent" } else { "no API key is set" };
                Err(MoonrakerFault::LoginRefused {
                    why: format!("{sent}; it said {:?}", refusal.message),
                })
            }
            Err(fault) => Err(fault),
        }
    }

    /// Lets the printer's macros call us.
    async fn register(&self, client: &Client, identity: Identity) -> Result<(), MoonrakerFault> {
        if self.setup.requests.is_none() || identity != Identity::Agent {
            return Ok(());
        }
        let method = "connection.register_remote_method";
        let params = json!({ "method_name": macros::METHOD });
        match client.call(method, params, self.setup.timing.query).await {
            Err(fault @ MoonrakerFault::Refused { .. }) => {
                tracing::warn!("{}: the printer's macros do not reach us", self.say(&fault));
                Ok(())
            }
            answer => answer.map(drop),
        }
    }

    async fn read_webcams(&self, client: &Client) -> Result<(), MoonrakerFault> {
        match client.call("server.webcams.list", Value::Null, self.setup.timing.query).await {
            Ok(reply) => {
                let listed = webcams::read(&reply.result, &self.setup.endpoint.web_root());
                self.webcams.send_if_modified(|known| {
                    let changed = *known != listed;
                    *known = listed;
                    changed
                });
                Ok(())
            }
            Err(fault @ MoonrakerFault::Refused { .. }) => {
                tracing::warn!("{}: its cameras are not known", self.say(&fault));
                Ok(())
            }
            Err(fault) => Err(fault),
        }
    }

    /// Brings Moonraker's list up to date with what it is to have of ours. Only the daemon has a say in that.
    async fn sync_own(&self, client: &Client) -> Result<(), MoonrakerFault> {
        if self.setup.requests.is_none() {
            return Ok(());
        }
        let _one = self.listing.lock().await;
        let own = self.own.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let within = self.setup.timing.query;
        let list = client.call("server.webcams.list", Value::Null, within).await?;
        for (method, params) in webcams::changes(&list.result, &own) {
            client.call(method, params, within).await?;
        }
        Ok(())
    }

    fn publish(&self, merged: &Merged) {
        self.status.send_if_modified(|known| match known {
            LinkStatus::Up(status) if **status == *merged.status() => false,
            LinkStatus::Up(_) | LinkStatus::Down { .. } => {
                *known = LinkStatus::Up(Box::new(merged.status().clone()));
                true
            }
        });
    }

    fn down(&self, fault: &MoonrakerFault) {
        let why = self.say(fault);
        let changed = self.status.send_if_modified(|known| {
            let now = LinkStatus::Down { why: why.clone() };
            let changed = *known != now;
            *known = now;
            changed
        });
        if changed {
            tracing::warn!("{why}");
        }
    }

    fn offer(&self, client: Option<Client>) {
        *self.client.lock().unwrap_or_else(PoisonError::into_inner) = client;
    }

    fn say(&self, fault: &MoonrakerFault) -> String {
        format!("printer {}: Moonraker at {} {fault}", self.setup.printer, self.setup.endpoint)
    }

    async fn send(&self, action: PrinterAction) -> Result<(), String> {
        let client = self.client.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let request = match &*self.status.borrow() {
            LinkStatus::Up(status) => action::request(&action, status),
            LinkStatus::Down { why } => return Err(why.clone()),
        };
        let (method, params) = request.map_err(|fault| self.say(&fault))?;
        let client = client.ok_or_else(|| self.say(&MoonrakerFault::LostMeanwhile { method }))?;
        let answer = client.call(method, params, self.setup.timing.action).await;
        answer.map(drop).map_err(|fault| self.say(&fault))
    }
}

impl Link {
    async fn display(&self, message: &ScreenMessage) -> Result<(), String> {
        let client = self.client.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let LinkStatus::Down { why } = &*self.status.borrow() {
            return Err(why.clone());
        }
        if !self.has_macros.load(Ordering::Relaxed) {
            return Err(self.say(&MoonrakerFault::NoMacros));
        }
        let method = "printer.gcode.script";
        let script = screen::script(message).map_err(|fault| self.say(&fault))?;
        let client = client.ok_or_else(|| self.say(&MoonrakerFault::LostMeanwhile { method }))?;
        let params = json!({ "script": script });
        let answer = client.call(method, params, self.setup.timing.screen).await;
        answer.map(drop).map_err(|fault| self.say(&fault))
    }
}

impl PrinterLink for Link {
    fn status(&self) -> watch::Receiver<LinkStatus> {
        self.status.subscribe()
    }

    fn act(&self, action: PrinterAction) -> BoxFuture<'_, Result<(), ActionRefused>> {
        Box::pin(async move { self.send(action).await.map_err(ActionRefused) })
    }

    fn show(&self, message: ScreenMessage) -> BoxFuture<'_, Result<(), NotShown>> {
        Box::pin(async move { self.display(&message).await.map_err(NotShown) })
    }

    fn list_own(&self, webcams: Vec<OwnWebcam>) -> BoxFuture<'_, Result<(), NotListed>> {
        *self.own.lock().unwrap_or_else(PoisonError::into_inner) = webcams;
        Box::pin(async move {
            let client = self.client.lock().unwrap_or_else(PoisonError::into_inner).clone();
            let method = "server.webcams.list";
            let synced = match client {
                Some(client) => self.sync_own(&client).await,
                None => Err(MoonrakerFault::LostMeanwhile { method }),
            };
            synced.map_err(|fault| NotListed(self.say(&fault)))
        })
    }

    fn webcams(&self) -> watch::Receiver<Vec<Webcam>> {
        self.webcams.subscribe()
    }
}
