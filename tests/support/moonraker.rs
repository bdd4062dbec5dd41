//! A real Moonraker over a simulated Klippy, a link to it, and waiting for what it reports.

use std::sync::Arc;
use std::time::Duration;

use secrecy::SecretString;
use strandwatch::core::types::{LinkStatus, Name, PrinterStatus};
use strandwatch::moonraker::{Endpoint, Link, Setup, Timing};
use strandwatch::ports::PrinterLink;
use strandwatch::sim::klippy::{self, SimulatedKlippy};
use strandwatch::sim::moonraker::{Login, Options, RealMoonraker};
use tempfile::TempDir;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Long enough for a loaded machine, short enough to fail.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// A Moonraker of its own, its printer, and the folder of both.
pub struct Rig {
    pub moonraker: RealMoonraker,
    pub klippy: SimulatedKlippy,
    pub folder: TempDir,
}

/// The options of a Moonraker in `folder`, on a free port.
pub fn options(folder: &TempDir) -> Options {
    let python = super::rig().join("moonraker/bin/python");
    Options::new(python, folder.path(), super::free_port())
}

/// A printer that heats at once and prints quickly.
pub fn quick_printer(options: &Options) -> klippy::Options {
    klippy::Options {
        heating: Duration::from_secs(2),
        macro_delay: Duration::from_millis(50),
        update_interval: Duration::from_millis(50),
        startup: Duration::from_millis(300),
        speed: 4.0,
        ..klippy::Options::new(options.gcodes())
    }
}

impl Rig {
    pub async fn start(change: impl FnOnce(&mut Options)) -> Self {
        let folder = TempDir::new().unwrap();
        let mut options = options(&folder);
        change(&mut options);
        let klippy =
            SimulatedKlippy::serve(&options.klippy_socket(), quick_printer(&options)).unwrap();
        let moonraker = RealMoonraker::start(options).await.unwrap();
        Self { moonraker, klippy, folder }
    }

    pub async fn with_login(login: Login) -> Self {
        Self::start(|options| options.login = login).await
    }

    pub fn websocket(&self) -> Endpoint {
        Endpoint::parse(&self.moonraker.options().url()).unwrap()
    }
}

/// A link whose task ends with it.
pub struct Linked {
    pub link: Arc<Link>,
    pub status: watch::Receiver<LinkStatus>,
    cancel: CancellationToken,
    tracker: TaskTracker,
}

/// How a link to `endpoint` is set up for the printer `voron`, retrying soon.
pub fn setup(endpoint: Endpoint) -> Setup {
    let timing = Timing {
        poll: Duration::from_millis(200),
        first_retry: Duration::from_millis(50),
        last_retry: Duration::from_millis(300),
        ..Timing::default()
    };
    Setup {
        printer: Name::parse("voron").unwrap(),
        endpoint,
        api_key: None,
        timing,
        requests: None,
    }
}

impl Linked {
    pub fn to(endpoint: Endpoint) -> Self {
        Self::with(setup(endpoint))
    }

    pub fn with_key(endpoint: Endpoint, key: SecretString) -> Self {
        Self::with(Setup { api_key: Some(key), ..setup(endpoint) })
    }

    pub fn with(setup: Setup) -> Self {
        let (cancel, tracker) = (CancellationToken::new(), TaskTracker::new());
        let link = Link::spawn(setup, cancel.clone(), &tracker);
        tracker.close();
        let status = link.status();
        Self { link, status, cancel, tracker }
    }

    /// Waits until the link is up and its printer is so.
    pub async fn until(
        &mut self,
        what: &str,
        mut so: impl FnMut(&PrinterStatus) -> bool,
    ) -> PrinterStatus {
        let met = |status: &LinkStatus| matches!(status, LinkStatus::Up(status) if so(status));
        match self.wait(what, met).await {
            LinkStatus::Up(status) => *status,
            LinkStatus::Down { why } => panic!("waiting until {what}: {why}"),
        }
    }

    /// Waits until the link is down for a reason that has `words`, and gives the reason.
    pub async fn until_down(&mut self, words: &str) -> String {
        let met =
            |status: &LinkStatus| matches!(status, LinkStatus::Down { why } if why.contains(words));
        match self.wait(words, met).await {
            LinkStatus::Down { why } => why,
            LinkStatus::Up(_) => unreachable!(),
        }
    }

    async fn wait(&mut self, what: &str, met: impl FnMut(&LinkStatus) -> bool) -> LinkStatus {
        let found = tokio::time::timeout(PATIENCE, self.status.wait_for(met)).await;
        let found = found.map(|status| status.unwrap().clone());
        found.unwrap_or_else(|_| panic!("not so: {what}; last: {:?}", *self.status.borrow()))
    }

    /// Ends the link as a shutdown does.
    pub async fn end(self) {
        self.cancel.cancel();
        tokio::time::timeout(Duration::from_secs(1), self.tracker.wait())
            .await
            .expect("the link's task ends within a second");
    }
}
