//! A simulated Klippy: it serves Klippy's unix socket to a real Moonraker and prints without a printer.
//!
//! ```text
//! print     what is printed, and where the head is at a given progress
//! machine   the printer: heaters, job; moved on by time alone
//! gcode     the commands it knows
//! console   its console, and the macros of `klipper/strandwatch.cfg`
//! objects   its state as Klipper's printer objects
//! server    the socket: JSON messages that end with 0x03
//! ```
//!
//! The protocol is that of Klipper's `webhooks.py` (<https://www.klipper3d.org/API_Server.html>), as far as Moonraker
//! 0.11 uses it. One connection has one subscription; Klippy sends the changed fields every quarter of a second.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::core::types::{KlippyState, PrintObject, PrintState};

mod console;
mod gcode;
mod machine;
mod objects;
mod print;
mod server;

use machine::Machine;
pub use print::Print;

/// How the simulated printer behaves.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where Moonraker keeps its G-code files: `SDCARD_PRINT_FILE` prints only what lies there or was prepared.
    pub gcodes: PathBuf,
    /// Simulated seconds a second.
    pub speed: f64,
    /// From cold to hot, simulated.
    pub heating: Duration,
    /// How long the PAUSE, RESUME and CANCEL_PRINT macros take, real time.
    pub macro_delay: Duration,
    /// Between updates to a subscriber, real time. Klipper's is 250 ms.
    pub update_interval: Duration,
    /// How long Klippy says `startup` after a restart, real time.
    pub startup: Duration,
    /// `idle_timeout.idle_timeout`, seconds.
    pub idle_timeout_s: f64,
    /// Whether its configuration includes `klipper/strandwatch.cfg`.
    pub macros: bool,
}

impl Options {
    /// A printer that works as printers do, its files in `gcodes`.
    pub fn new(gcodes: impl Into<PathBuf>) -> Self {
        Self {
            gcodes: gcodes.into(),
            speed: 1.0,
            heating: Duration::from_secs(20),
            macro_delay: Duration::from_millis(300),
            update_interval: Duration::from_millis(250),
            startup: Duration::from_millis(300),
            idle_timeout_s: 600.0,
            macros: true,
        }
    }
}

/// How the printer takes a pause.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Pausing {
    /// It pauses.
    #[default]
    Works,
    /// The macro fails with this error.
    Refused(String),
    /// The macro ends well, yet the print goes on.
    Ignored,
}

/// How a restarted Klippy comes back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Comeback {
    /// Able to print.
    Ready,
    /// In state `error`, saying so.
    Error(String),
}

/// The printer at a moment, as a camera would see it.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Snapshot {
    /// Klippy's state.
    pub klippy: KlippyState,
    /// The job's state.
    pub print: PrintState,
    /// The job's file.
    pub file: Option<String>,
    /// Of the extruding, 0..1.
    pub progress: f64,
    /// From 1 while printing, 0 before.
    pub layer: u32,
    /// Of the whole print.
    pub layers: u32,
    /// Height of a layer, mm.
    pub layer_height_mm: f64,
    /// The nozzle: x, y, z in mm.
    pub position: [f64; 3],
    /// What is printed.
    pub objects: Vec<PrintObject>,
    /// Names of what is printed no more.
    pub excluded: Vec<String>,
}

/// The printer refuses to do something; its words.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Refused(pub String);

/// A running simulation. It ends when this is dropped.
#[derive(Debug)]
pub struct SimulatedKlippy {
    shared: Arc<Shared>,
    orders: mpsc::Sender<Order>,
    cancel: CancellationToken,
    tasks: TaskTracker,
}

/// What the socket is told to do.
#[derive(Debug)]
enum Order {
    /// Close the connections; new ones are welcome.
    Disconnect,
    /// Close everything, and open again after so long.
    Leave(Duration),
}

/// The machine and its clock.
#[derive(Debug)]
struct Shared {
    machine: Mutex<(Machine, Instant)>,
    options: Options,
}

impl Shared {
    /// Looks at the machine, moved on to now.
    fn with<T>(&self, look: impl FnOnce(&mut Machine) -> T) -> T {
        let mut guard = self.machine.lock().unwrap_or_else(PoisonError::into_inner);
        let (machine, moved) = &mut *guard;
        let now = Instant::now();
        machine.advance(now - *moved);
        *moved = now;
        look(machine)
    }
}

impl SimulatedKlippy {
    /// Serves Klippy's socket at `path`, replacing a socket left there. Needs a tokio runtime.
    pub fn serve(path: &Path, options: Options) -> io::Result<Self> {
        let listener = server::listen(path)?;
        let machine = Machine::new(options.clone());
        let shared = Arc::new(Shared { machine: Mutex::new((machine, Instant::now())), options });
        let (orders, taken) = mpsc::channel(16);
        let (cancel, tasks) = (CancellationToken::new(), TaskTracker::new());
        let server =
            server::run(path.to_owned(), listener, Arc::clone(&shared), taken, cancel.clone());
        tasks.spawn(server);
        tasks.close();
        Ok(Self { shared, orders, cancel, tasks })
    }

    /// Starts a print as if its file had been chosen at the printer.
    pub fn start_print(&self, print: Print) -> Result<(), Refused> {
        self.shared.with(|machine| machine.start(print))
    }

    /// Says what `SDCARD_PRINT_FILE` of this print's file will do.
    pub fn prepare(&self, print: Print) {
        self.shared.with(|machine| machine.prepared.insert(print.file.clone(), print));
    }

    /// The printer now.
    pub fn snapshot(&self) -> Snapshot {
        self.shared.with(|machine| machine.snapshot())
    }

    /// Every line of G-code that was asked for, oldest first, with the macros that `pause_resume/*` run.
    pub fn gcode_log(&self) -> Vec<String> {
        self.shared.with(|machine| machine.log.clone())
    }

    /// Runs G-code as if it were typed in the console; macros that take a while are over at once.
    pub fn type_gcode(&self, line: &str) -> Result<(), Refused> {
        self.shared.with(|machine| {
            if let gcode::Outcome::Runs(ran) = machine.gcode(line)? {
                machine.finish(ran);
            }
            Ok(())
        })
    }

    /// Every line that stood in the console, oldest first.
    pub fn console(&self) -> Vec<String> {
        self.shared.with(|machine| machine.console.lines.clone())
    }

    /// From now on pauses go so.
    pub fn set_pausing(&self, pausing: Pausing) {
        self.shared.with(|machine| machine.pausing = pausing);
    }

    /// An emergency: Klippy shuts down, saying `message`.
    pub fn shutdown(&self, message: &str) {
        self.shared.with(|machine| machine.shutdown(message));
    }

    /// Klippy ends and is back after `away`; the print is lost.
    pub fn restart(&self, away: Duration, comeback: Comeback) {
        self.shared.with(|machine| machine.restart(away, comeback));
        self.order(Order::Leave(away));
    }

    /// Drops the connections, and nothing else.
    pub fn disconnect(&self) {
        self.order(Order::Disconnect);
    }

    /// Ends the simulation and removes the socket.
    pub async fn stop(self) {
        self.cancel.cancel();
        self.tasks.wait().await;
    }

    fn order(&self, order: Order) {
        if self.orders.try_send(order).is_err() {
            tracing::warn!("the simulated Klippy has too many orders; one is lost");
        }
    }
}

impl Drop for SimulatedKlippy {
    fn drop(&mut self) {
        self.cancel.cancel();
    }
}
