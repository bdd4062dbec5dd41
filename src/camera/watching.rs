//! A camera's task: rest until frames are wanted, open, watch over it, and open again when it fails.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use crate::core::types::{Decoding, SourceFault};

use super::backoff::Backoff;
use super::chain::{Chain, Stuck, Viewer, lock};
use super::decoder::Decoders;
use super::desk::Desk;
use super::kind::{Plan, SourceKind, StreamPlan};
use super::stills::{self, Stills};
use super::stream::{Happened, Running, Tell};
use super::trouble::Trouble;

/// How often stalls and needs are looked at while a camera is open.
const TICK: Duration = Duration::from_millis(250);

/// A camera that was open so long has earned a quick reconnection.
const STEADY: Duration = Duration::from_secs(3);

/// Who waits for a frame is told at once when the next attempt is further away than this.
const SOON: Duration = Duration::from_secs(1);

/// No file is repeated more often than this.
const SHORTEST_FILE: Duration = Duration::from_secs(1);

/// A driver that takes longer to stop is left to itself.
const STOP_WITHIN: Duration = Duration::from_secs(3);

/// Reports kept until the task reads them. The first that ends the attempt matters, so more are dropped.
const REPORTS: usize = 16;

/// How an attempt ended.
enum End {
    /// Nobody wants frames.
    Rest,
    /// To be opened anew at once, with another decoder.
    Again,
    /// A file is to be played from its start.
    Repeat,
    Failed(Trouble),
}

pub(super) struct Watching {
    pub kind: SourceKind,
    pub stall_after: Duration,
    pub desk: Arc<Desk>,
    pub stop: CancellationToken,
    pub decoders: Arc<Mutex<Decoders>>,
}

impl Watching {
    pub async fn run(self) {
        while let Some(()) = self.stop.run_until_cancelled(self.desk.until_needed()).await {
            self.desk.opening();
            self.keep_open().await;
            self.desk.resting();
        }
        self.desk.close();
    }

    /// Returns when nobody wants frames any more.
    async fn keep_open(&self) {
        let mut backoff = Backoff::default();
        loop {
            let began = Instant::now();
            let trouble = match self.attempt().await {
                End::Rest => return,
                End::Again => continue,
                End::Repeat => {
                    // A file of one frame is over at once.
                    tokio::time::sleep(SHORTEST_FILE.saturating_sub(began.elapsed())).await;
                    continue;
                }
                End::Failed(trouble) => trouble,
            };
            if began.elapsed() >= STEADY {
                backoff.reset();
            }
            let pause = backoff.next(rand::random());
            self.desk.blind(&trouble);
            if pause > SOON || trouble.fault == SourceFault::Unreachable {
                self.desk.fail_asks(&trouble);
            }
            tokio::select! {
                () = self.until_unneeded() => return,
                () = tokio::time::sleep(pause) => self.desk.opening(),
            }
        }
    }

    async fn until_unneeded(&self) {
        while !self.stop.is_cancelled() && self.desk.needed() {
            let _ = tokio::time::timeout(TICK, self.stop.cancelled()).await;
        }
    }

    async fn attempt(&self) -> End {
        let kind = self.kind.clone();
        let patience = self.stall_after;
        match self.aside(move || kind.plan(patience)).await {
            Err(end) => end,
            Ok(Err(trouble)) => End::Failed(trouble),
            Ok(Ok(Plan::Stream(plan))) => self.stream(plan).await,
            Ok(Ok(Plan::Stills(source))) => self.stills(source).await,
        }
    }

    /// Runs what may block, until it is done or the camera is closed.
    async fn aside<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, End> {
        match self.stop.run_until_cancelled(aside(work)).await {
            None => Err(End::Rest),
            Some(None) => Err(End::Failed(Trouble::unreachable("the host has no thread left"))),
            Some(Some(done)) => Ok(done),
        }
    }

    async fn stream(&self, plan: StreamPlan) -> End {
        let viewer: Arc<dyn Viewer> = self.desk.clone();
        let chain = Arc::new(Chain::new(viewer, Arc::clone(&self.decoders), plan.paced));
        let (reports, mut happened) = mpsc::channel(REPORTS);
        let tell: Tell = Arc::new(move |report| {
            let _ = reports.try_send(report);
        });
        let repeats = plan.repeats;
        let starting = Arc::clone(&chain);
        let running = match self.aside(move || Running::start(&plan, &starting, &tell)).await {
            Err(end) => return end,
            Ok(Err(trouble)) => return End::Failed(trouble),
            Ok(Ok(running)) => running,
        };
        let opened = Instant::now();
        let end = loop {
            tokio::select! {
                () = self.stop.cancelled() => break End::Rest,
                Some(report) = happened.recv() => break self.ended(report, &chain, repeats),
                () = tokio::time::sleep(TICK) => {
                    if let Some(end) = self.look_after(&chain, opened) {
                        break end;
                    }
                }
            }
        };
        let _ = tokio::time::timeout(STOP_WITHIN, aside(move || running.stop())).await;
        end
    }

    /// What a report means.
    fn ended(&self, report: Happened, chain: &Chain, repeats: bool) -> End {
        let seen = self.desk.last_arrival().is_some();
        match report {
            Happened::Unusable(trouble) => End::Failed(trouble),
            Happened::Ended if repeats && seen => End::Repeat,
            Happened::Ended => {
                let from = &self.kind;
                let why = if seen {
                    format!("{from} ended the stream: it is opened again by itself")
                } else {
                    format!("{from} ended before the first frame: {}", self.kind.remedy())
                };
                End::Failed(Trouble::new(SourceFault::Vanished, why))
            }
            Happened::Failed { error, by_decoder } => {
                let blames_decoder = by_decoder || (error.secondhand && chain.owes_a_picture());
                let said = self.kind.scrub(&error.said());
                if blames_decoder && self.next_decoder(chain, said) {
                    End::Again
                } else {
                    End::Failed(error.explain(&self.kind, seen))
                }
            }
        }
    }

    fn next_decoder(&self, chain: &Chain, why: String) -> bool {
        let given_up = chain.give_up_decoder(why);
        if given_up {
            self.desk.gave_up_decoders(lock(&self.decoders).reasons());
        }
        given_up
    }

    /// Looked at every [`TICK`].
    fn look_after(&self, chain: &Chain, opened: Instant) -> Option<End> {
        if !self.desk.needed() {
            return Some(End::Rest);
        }
        match chain.stuck() {
            Some(Stuck::Decoder) => {
                self.next_decoder(chain, "it took frames and gave no picture".to_owned());
                return Some(End::Again);
            }
            Some(Stuck::CutOff) => {
                let why = format!("every picture of {} is cut off before its end", self.kind);
                return Some(End::Failed(Trouble::undecodable(why)));
            }
            None => {}
        }
        let last = self.desk.last_arrival();
        (last.map_or(opened, |last| last.max(opened)).elapsed() >= self.stall_after).then(|| {
            let so_long = self.stall_after.as_secs_f32();
            let why = if last.is_some() {
                format!("{} is connected but has sent no frame for {so_long} s: it is opened again by itself", self.kind)
            } else {
                format!("{} sent no frame within {so_long} s: {}", self.kind, self.kind.remedy())
            };
            End::Failed(Trouble::new(SourceFault::Stalled, why))
        })
    }

    async fn stills(&self, mut source: Box<dyn Stills>) -> End {
        self.desk.decoded_by(Decoding { element: Some("image".to_owned()), ..Decoding::default() });
        loop {
            tokio::select! {
                () = self.until_unneeded() => return End::Rest,
                () = self.desk.until_asked() => {}
            }
            let interval = source.least_interval();
            let asked = Instant::now();
            let kind = self.kind.clone();
            let fetch = move || {
                let picture = source.fetch().and_then(|encoded| decoded(&encoded, &kind));
                (source, picture)
            };
            let picture = match self.aside(fetch).await {
                Err(end) => return end,
                Ok((back, picture)) => {
                    source = back;
                    picture
                }
            };
            match picture {
                Err(trouble) => return End::Failed(trouble),
                Ok((width, height, rgb)) => {
                    self.desk.arrived();
                    // Counts as come when it was asked for, so that it goes only to those who asked before that.
                    self.desk.show_whole(width, height, &rgb, asked);
                }
            }
            tokio::time::sleep(interval.saturating_sub(asked.elapsed())).await;
        }
    }
}

fn decoded(encoded: &[u8], kind: &SourceKind) -> Result<(u32, u32, Vec<u8>), Trouble> {
    stills::decode(encoded)
        .map_err(|why| Trouble::undecodable(format!("{kind} gave no picture: {why}")))
}

/// Runs what may block on a thread of its own: GStreamer and drivers can hang, and must hold up neither the runtime nor
/// its shutdown. `None` when no thread could be had.
async fn aside<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
    let (done, result) = oneshot::channel();
    std::thread::Builder::new()
        .name("camera-aside".to_owned())
        .spawn(move || {
            let _ = done.send(work());
        })
        .ok()?;
    result.await.ok()
}
