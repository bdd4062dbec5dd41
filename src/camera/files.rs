//! The frames of files, as fast as they can be decoded: for scoring and replaying, not for watching.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use gstreamer as gst;

use crate::core::types::{Decoding, Now};
use crate::ports::Frame;

use super::CameraError;
use super::chain::{Chain, Picture, Viewer, lock};
use super::decoder::Decoders;
use super::kind::{Plan, SourceKind};
use super::stills;
use super::stream::{Happened, Running, Tell};
use super::turn::Turn;

/// A decoder that gives nothing for so long, while frames are waited for, is stuck.
const PATIENCE: Duration = Duration::from_secs(30);

/// How often a silent decoder is looked at.
const TICK: Duration = Duration::from_millis(500);

/// The frames of a video, a picture, or a folder of pictures (`.jpg`, `.jpeg`, `.png`, sorted by name).
///
/// From a video, every frame is given, or with `every` the first and then each that is at least so much later. A
/// frame's `sequence` counts the video's frames (or the folder's pictures) from 1, also those passed over; its
/// `taken_at` is the time since the beginning of the video on both clocks, and 0 for pictures. Decoders are chosen as
/// for a camera, and one that fails is replaced without losing or repeating a frame.
///
/// # Errors
/// When the path cannot be read, a folder has no pictures, or GStreamer does not start. What cannot be decoded is an
/// error of the iteration; a broken picture does not end it, a broken video does.
pub fn frames(path: &Path, every: Option<Duration>) -> Result<Frames, CameraError> {
    super::init()?;
    let kind = SourceKind::Files { path: path.to_owned() };
    let unreadable = |why| CameraError::Unreadable { path: path.to_owned(), why };
    let pictures = super::kind::pictures(path).map_err(|trouble| unreadable(trouble.why))?;
    if !pictures.is_empty() {
        return Ok(Frames(Reading::Pictures((1..).zip(pictures).collect())));
    }
    let video = Video {
        path: path.to_owned(),
        kind,
        every,
        decoders: Arc::default(),
        last: 0,
        playing: None,
    };
    Ok(Frames(Reading::Video(Box::new(video))))
}

/// See [`frames`]. Blocks while it decodes.
pub struct Frames(Reading);

enum Reading {
    Pictures(VecDeque<(u64, PathBuf)>),
    Video(Box<Video>),
    Over,
}

impl Iterator for Frames {
    type Item = Result<Frame, CameraError>;

    fn next(&mut self) -> Option<Self::Item> {
        match &mut self.0 {
            Reading::Pictures(pictures) => {
                let (sequence, path) = pictures.pop_front()?;
                Some(picture(sequence, &path).map_err(|why| CameraError::Unreadable { path, why }))
            }
            Reading::Video(video) => {
                let next = video.next();
                if !matches!(next, Some(Ok(_))) {
                    self.0 = Reading::Over;
                }
                next
            }
            Reading::Over => None,
        }
    }
}

fn picture(sequence: u64, path: &Path) -> Result<Frame, String> {
    let encoded = std::fs::read(path).map_err(|error| error.to_string())?;
    let (width, height, rgb) = stills::decode(&encoded)?;
    Ok(Frame { width, height, rgb, taken_at: Now { mono_ms: 0, unix_ms: 0 }, sequence })
}

struct Video {
    path: PathBuf,
    kind: SourceKind,
    every: Option<Duration>,
    decoders: Arc<Mutex<Decoders>>,
    /// The last frame given.
    last: u64,
    playing: Option<Playing>,
}

/// A pipeline under way.
struct Playing {
    chain: Arc<Chain>,
    screen: Arc<Screen>,
    _running: Running,
}

impl Video {
    fn next(&mut self) -> Option<Result<Frame, CameraError>> {
        loop {
            let playing = match self.playing.take() {
                Some(playing) => playing,
                None => match self.play() {
                    Ok(playing) => playing,
                    Err(why) => return Some(Err(self.unreadable(why))),
                },
            };
            let seen = playing.next();
            let (chain, said) = match seen {
                Seen::Frame(frame) => {
                    self.last = frame.sequence;
                    self.playing = Some(playing);
                    return Some(Ok(frame));
                }
                Seen::Stuck => (&playing.chain, "it took frames and gave no picture".to_owned()),
                Seen::Happened(Happened::Ended) => return self.ended(),
                Seen::Happened(Happened::Unusable(trouble)) => {
                    return Some(Err(self.unreadable(trouble.why)));
                }
                Seen::Happened(Happened::Failed { error, by_decoder }) => {
                    let blames_decoder =
                        by_decoder || (error.secondhand && playing.chain.owes_a_picture());
                    if !blames_decoder {
                        let why = error.explain(&self.kind, false).why;
                        return Some(Err(self.unreadable(why)));
                    }
                    (&playing.chain, error.said())
                }
            };
            // Once more from the start, with the next decoder; frames given already are passed over.
            if !chain.give_up_decoder(said.clone()) {
                return Some(Err(self.unreadable(said)));
            }
        }
    }

    fn ended(&self) -> Option<Result<Frame, CameraError>> {
        (self.last == 0).then(|| Err(self.unreadable("it holds no picture".to_owned())))
    }

    fn play(&self) -> Result<Playing, String> {
        let plan = match self.kind.plan(PATIENCE) {
            Ok(Plan::Stream(plan)) => plan,
            Ok(Plan::Stills(_)) => return Err("it has become a picture".to_owned()),
            Err(trouble) => return Err(trouble.why),
        };
        let screen = Arc::new(Screen::new(self.every, self.last));
        let chain = Arc::new(Chain::new(screen.clone(), Arc::clone(&self.decoders), false));
        let tell: Tell = {
            let screen = Arc::clone(&screen);
            Arc::new(move |happened| screen.tell(happened))
        };
        let running = Running::start(&plan, &chain, &tell).map_err(|trouble| trouble.why)?;
        Ok(Playing { chain, screen, _running: running })
    }

    fn unreadable(&self, why: String) -> CameraError {
        CameraError::Unreadable { path: self.path.clone(), why }
    }
}

impl Playing {
    fn next(&self) -> Seen {
        let began = Instant::now();
        loop {
            if let Some(seen) = self.screen.wait(TICK) {
                return seen;
            }
            if self.chain.stuck().is_some() || began.elapsed() > PATIENCE {
                return Seen::Stuck;
            }
        }
    }
}

impl Drop for Playing {
    fn drop(&mut self) {
        // The streaming thread may be waiting for somebody to take its frame.
        self.screen.close();
    }
}

enum Seen {
    Frame(Frame),
    Happened(Happened),
    Stuck,
}

/// Between the streaming thread and the iteration: holds one frame, and the streaming thread waits until it is taken.
struct Screen {
    every: Option<Duration>,
    /// Frames up to this one were given before.
    given: u64,
    state: Mutex<ScreenState>,
    changed: Condvar,
}

#[derive(Default)]
struct ScreenState {
    count: u64,
    /// The time stamp from which on the next frame is wanted.
    due: Option<gst::ClockTime>,
    /// Time stamps and numbers of frames that are being decoded.
    wanted: VecDeque<(Option<gst::ClockTime>, u64)>,
    frame: Option<Frame>,
    happened: Option<Happened>,
    closed: bool,
}

impl Screen {
    fn new(every: Option<Duration>, given: u64) -> Self {
        Self { every, given, state: Mutex::default(), changed: Condvar::new() }
    }

    fn tell(&self, happened: Happened) {
        lock(&self.state).happened.get_or_insert(happened);
        self.changed.notify_all();
    }

    fn wait(&self, within: Duration) -> Option<Seen> {
        let nothing = |state: &mut ScreenState| state.frame.is_none() && state.happened.is_none();
        let (mut state, _) = self
            .changed
            .wait_timeout_while(lock(&self.state), within, nothing)
            .unwrap_or_else(PoisonError::into_inner);
        let seen = state.frame.take().map(Seen::Frame);
        let seen = seen.or_else(|| state.happened.take().map(Seen::Happened));
        self.changed.notify_all();
        seen
    }

    fn close(&self) {
        lock(&self.state).closed = true;
        self.changed.notify_all();
    }
}

impl Viewer for Screen {
    fn arrived(&self) {}

    fn wants(&self, at: Option<gst::ClockTime>) -> bool {
        let state = &mut *lock(&self.state);
        state.count += 1;
        if let (Some(every), Some(at)) = (self.every, at) {
            if state.due.is_some_and(|due| at < due) {
                return false;
            }
            let every = gst::ClockTime::try_from(every).unwrap_or(gst::ClockTime::MAX);
            state.due = at.checked_add(every);
        }
        let wanted = state.count > self.given;
        if wanted {
            state.wanted.push_back((at, state.count));
        }
        wanted
    }

    fn decoded_by(&self, _: Decoding) {}

    fn show(&self, picture: &Picture<'_>, at: Option<gst::ClockTime>, _: Instant) {
        let Picture { rows, stride, width, height, played } = *picture;
        let Some((width, height, rgb)) = Turn::default().packed(rows, stride, width, height) else {
            return;
        };
        let ms = played.map_or(0, gst::ClockTime::mseconds);
        let taken_at = Now { mono_ms: ms, unix_ms: i64::try_from(ms).unwrap_or(i64::MAX) };
        let taken = |state: &mut ScreenState| state.frame.is_some() && !state.closed;
        let mut state = self
            .changed
            .wait_while(lock(&self.state), taken)
            .unwrap_or_else(PoisonError::into_inner);
        // Those before it were lost in the decoder.
        while let Some((wanted, sequence)) = state.wanted.pop_front() {
            if wanted == at {
                state.frame = Some(Frame { width, height, rgb, taken_at, sequence });
                break;
            }
        }
        self.changed.notify_all();
    }
}
