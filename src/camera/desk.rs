//! What a camera's users and its threads share: who waits for a frame, the counters, the report.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use gstreamer as gst;
use tokio::sync::{Notify, oneshot, watch};

use crate::core::types::{Decoding, Now, SourceHealth, SourceReport};
use crate::ports::{Clock, Frame, NoFrame};

use super::chain::{Picture, Viewer, lock};
use super::judge::Judge;
use super::picture;
use super::trouble::Trouble;
use super::turn::Turn;

/// What a camera has done so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counters {
    /// Frames that came, decoded or not.
    pub received: u64,
    /// Frames that were decoded, copied and judged.
    pub decoded: u64,
}

pub(super) struct Desk {
    /// "camera nozzle of printer voron", before each message.
    label: String,
    turn: Turn,
    clock: Arc<dyn Clock>,
    report: watch::Sender<SourceReport>,
    asked: Notify,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    wanted: bool,
    closed: bool,
    /// The camera was (re)opened, and one frame must be looked at to know whether it sees.
    look: bool,
    asks: Vec<Ask>,
    counters: Counters,
    last_arrival: Option<Instant>,
    judge: Judge,
}

struct Ask {
    since: Instant,
    answer: oneshot::Sender<Result<Frame, NoFrame>>,
}

impl State {
    fn needed(&mut self) -> bool {
        self.asks.retain(|ask| !ask.answer.is_closed());
        !self.closed && (self.wanted || !self.asks.is_empty())
    }

    fn wants_frame(&self) -> bool {
        self.look || self.asks.iter().any(|ask| !ask.answer.is_closed())
    }

    /// Whether a frame that arrived then is any use: one that had been in a decoder when it was asked for is not.
    fn wants_frame_of(&self, arrived: Instant) -> bool {
        self.look || self.asks.iter().any(|ask| ask.since <= arrived && !ask.answer.is_closed())
    }
}

impl Desk {
    pub fn new(label: String, turn: Turn, clock: Arc<dyn Clock>) -> Self {
        let report =
            SourceReport { health: SourceHealth::Idle, decoding: Decoding::default(), size: None };
        Self {
            label,
            turn,
            clock,
            report: watch::Sender::new(report),
            asked: Notify::new(),
            state: Mutex::default(),
        }
    }

    /// For its users.
    pub fn report(&self) -> watch::Receiver<SourceReport> {
        self.report.subscribe()
    }

    pub fn counters(&self) -> Counters {
        lock(&self.state).counters
    }

    /// Ends without an answer when the camera is closed.
    pub fn ask(&self) -> oneshot::Receiver<Result<Frame, NoFrame>> {
        let (answer, answered) = oneshot::channel();
        let since = Instant::now();
        let mut state = lock(&self.state);
        if !state.closed {
            state.asks.push(Ask { since, answer });
            self.asked.notify_one();
        }
        answered
    }

    pub fn set_wanted(&self, wanted: bool) {
        lock(&self.state).wanted = wanted;
        self.asked.notify_one();
    }

    /// The reason why there is no frame, as the report has it.
    pub fn why_no_frame(&self, waited: Duration) -> NoFrame {
        let why = match &self.report.borrow().health {
            SourceHealth::Blind { why, .. } => why.clone(),
            SourceHealth::Idle
            | SourceHealth::Opening
            | SourceHealth::Seeing
            | SourceHealth::Impaired { .. } => {
                format!("{}: no frame came within {} s", self.label, waited.as_secs())
            }
        };
        NoFrame(why)
    }

    /// For the camera's task.
    pub async fn until_needed(&self) {
        while !lock(&self.state).needed() {
            self.asked.notified().await;
        }
    }

    pub fn needed(&self) -> bool {
        lock(&self.state).needed()
    }

    pub async fn until_asked(&self) {
        while !lock(&self.state).wants_frame() {
            self.asked.notified().await;
        }
    }

    /// Nobody asks any more.
    pub fn resting(&self) {
        self.set_health(SourceHealth::Idle);
    }

    /// A connection is being made. Once it has failed, the health stays what it was until a frame comes.
    pub fn opening(&self) {
        {
            let mut state = lock(&self.state);
            state.look = true;
            state.last_arrival = None;
        }
        if self.report.borrow().health == SourceHealth::Idle {
            self.set_health(SourceHealth::Opening);
        }
    }

    pub fn blind(&self, trouble: &Trouble) {
        let why = format!("{}: {}", self.label, trouble.why);
        tracing::warn!("{why}");
        self.set_health(SourceHealth::Blind { fault: trouble.fault, why });
    }

    /// Tells those who wait that nothing will come soon.
    pub fn fail_asks(&self, trouble: &Trouble) {
        let why = format!("{}: {}", self.label, trouble.why);
        for ask in std::mem::take(&mut lock(&self.state).asks) {
            // Whoever asked may have gone.
            let _ = ask.answer.send(Err(NoFrame(why.clone())));
        }
    }

    /// No more frames, ever.
    pub fn close(&self) {
        let mut state = lock(&self.state);
        state.closed = true;
        state.asks.clear();
    }

    pub fn gave_up_decoders(&self, gave_up: Vec<String>) {
        tracing::warn!("{}: gave up {}", self.label, gave_up.last().map_or("", String::as_str));
        self.report.send_modify(|report| {
            report.decoding = Decoding { element: None, hardware: false, gave_up };
        });
    }

    /// When the last frame came, since the camera was opened.
    pub fn last_arrival(&self) -> Option<Instant> {
        lock(&self.state).last_arrival
    }

    /// A picture with packed rows.
    pub fn show_whole(&self, width: u32, height: u32, rgb: &[u8], arrived: Instant) {
        self.take(rgb, width as usize * 3, width, height, arrived);
    }

    fn take(&self, rows: &[u8], stride: usize, width: u32, height: u32, arrived: Instant) {
        if let Some((width, height, rgb)) = self.turn.packed(rows, stride, width, height) {
            self.deliver(width, height, rgb, arrived);
        }
    }

    /// A picture, turned already: judges it, and hands it to those who asked before it arrived.
    fn deliver(&self, width: u32, height: u32, rgb: Vec<u8>, arrived: Instant) {
        let age = u64::try_from(arrived.elapsed().as_millis()).unwrap_or(u64::MAX);
        let now = self.clock.now();
        let taken_at = Now {
            mono_ms: now.mono_ms.saturating_sub(age),
            unix_ms: now.unix_ms.saturating_sub_unsigned(age),
        };
        let seen = picture::look(width, height, &rgb);
        let (complaint, sequence, answers) = {
            let mut state = lock(&self.state);
            state.look = false;
            state.counters.decoded += 1;
            let complaint = state.judge.judge(taken_at.mono_ms, &seen);
            let ready = state.asks.extract_if(.., |ask| ask.since <= arrived);
            let answers: Vec<_> = ready.map(|ask| ask.answer).collect();
            (complaint, state.counters.received, answers)
        };
        let health = complaint.map_or(SourceHealth::Seeing, |complaint| {
            let why = format!("{}: {}", self.label, complaint.why);
            let fault = complaint.fault;
            if complaint.blind {
                SourceHealth::Blind { fault, why }
            } else {
                SourceHealth::Impaired { fault, why }
            }
        });
        self.report.send_if_modified(|report| {
            let changed = report.health != health || report.size != Some((width, height));
            report.health = health;
            report.size = Some((width, height));
            changed
        });
        let frame = Frame { width, height, rgb, taken_at, sequence };
        hand_out(frame, answers);
    }

    fn set_health(&self, health: SourceHealth) {
        self.report.send_if_modified(|report| {
            let changed = report.health != health;
            report.health = health;
            changed
        });
    }
}

/// To several askers as copies, to the last one as it is.
fn hand_out(frame: Frame, mut answers: Vec<oneshot::Sender<Result<Frame, NoFrame>>>) {
    let last = answers.pop();
    for answer in answers {
        let _ = answer.send(Ok(frame.clone()));
    }
    if let Some(answer) = last {
        let _ = answer.send(Ok(frame));
    }
}

impl Viewer for Desk {
    fn arrived(&self) {
        let mut state = lock(&self.state);
        state.counters.received += 1;
        state.last_arrival = Some(Instant::now());
    }

    fn wants(&self, _: Option<gst::ClockTime>) -> bool {
        lock(&self.state).wants_frame()
    }

    fn decoded_by(&self, decoding: Decoding) {
        self.report.send_if_modified(|report| {
            let changed = report.decoding != decoding;
            report.decoding = decoding;
            changed
        });
    }

    fn show(&self, picture: &Picture<'_>, _: Option<gst::ClockTime>, arrived: Instant) {
        if !lock(&self.state).wants_frame_of(arrived) {
            return;
        }
        let Picture { rows, stride, width, height, .. } = *picture;
        self.take(rows, stride, width, height, arrived);
    }
}
