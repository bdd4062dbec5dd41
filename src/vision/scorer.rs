//! The thread that owns the session, behind the [`Scorer`] port.

use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::sync::{mpsc, oneshot};

use crate::core::types::{FrameScore, ModelFacts};
use crate::ports::{Frame, NoScore, Scorer};

use super::{Detector, Manifest, Model, VisionError, picture};

/// Frames that may wait for the thread; one more and the caller waits (cameras take turns, so this is never long).
const WAITING: usize = 2;

/// How much the scorer's threads step back from the print: nice levels below the rest of the daemon.
const NICE: i32 = 10;

/// Which model, from where, and with how much of the machine.
#[derive(Debug, Clone)]
pub struct ModelOptions {
    /// The manifest or its folder; `None` looks in the usual places.
    pub models: Option<PathBuf>,
    /// The model's name in the manifest; `None` takes the manifest's default.
    pub name: Option<String>,
    /// ONNX Runtime's shared library; `None` takes `ORT_DYLIB_PATH` or looks in the usual places.
    pub library: Option<PathBuf>,
    /// Threads that share one inference, at least 1.
    pub threads: usize,
}

impl Default for ModelOptions {
    fn default() -> Self {
        Self { models: None, name: None, library: None, threads: 2 }
    }
}

/// What the known failure picture gave.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SelfTest {
    /// Its score, 0..1.
    pub score: f32,
    /// What it must reach.
    pub alert_point: f32,
}

impl SelfTest {
    /// Whether the model saw the failure.
    pub fn fired(&self) -> bool {
        self.score >= self.alert_point
    }
}

/// A loaded model on a thread of its own, which runs at lower priority so that the print comes first. Dropping it
/// waits for the frame being scored, a few tens of milliseconds.
pub struct OnnxScorer {
    jobs: Option<mpsc::Sender<Job>>,
    thread: Option<JoinHandle<()>>,
    model: Model,
    known_failure: Arc<Frame>,
}

struct Job {
    frame: Arc<Frame>,
    reply: oneshot::Sender<Result<FrameScore, NoScore>>,
}

impl OnnxScorer {
    /// Loads the model and starts its thread. Blocks for up to a second or so.
    pub fn start(options: &ModelOptions) -> Result<Self, VisionError> {
        let manifest = Manifest::find(options.models.as_deref())?;
        let model = manifest.model(options.name.as_deref())?.clone();
        let known_failure = Arc::new(picture::read(&manifest.self_test)?);
        let (jobs, incoming) = mpsc::channel(WAITING);
        // Not a oneshot of tokio's: this may be called where its blocking wait would panic.
        let (loaded, outcome) = std::sync::mpsc::sync_channel(1);
        let (described, library, threads) =
            (model.clone(), options.library.clone(), options.threads);
        let body = move || {
            step_back();
            match Detector::load(&described, library.as_deref(), threads) {
                Ok(detector) => {
                    let _ = loaded.send(Ok(()));
                    serve(detector, incoming);
                }
                Err(error) => {
                    let _ = loaded.send(Err(error));
                }
            }
        };
        let gone = |reason: String| VisionError::ThreadGone { reason };
        let thread = std::thread::Builder::new()
            .name("scorer".to_owned())
            .spawn(body)
            .map_err(|error| gone(error.to_string()))?;
        outcome.recv().map_err(|_| gone("it ended while loading the model".to_owned()))??;
        Ok(Self { jobs: Some(jobs), thread: Some(thread), model, known_failure })
    }

    /// The model in use.
    pub fn model(&self) -> &Model {
        &self.model
    }

    /// The picture that every model must fire on; [`OnnxScorer::self_test`] scores it.
    pub fn known_failure(&self) -> Arc<Frame> {
        self.known_failure.clone()
    }

    /// Sends the known failure picture through the whole chain.
    pub async fn self_test(&self) -> Result<SelfTest, NoScore> {
        let score = self.score(self.known_failure()).await?.score;
        Ok(SelfTest { score, alert_point: self.model.alert_point })
    }
}

impl Scorer for OnnxScorer {
    fn score(&self, frame: Arc<Frame>) -> BoxFuture<'_, Result<FrameScore, NoScore>> {
        async move {
            let gone = || {
                let reason = "it has ended".to_owned();
                NoScore(VisionError::ThreadGone { reason }.to_string())
            };
            let jobs = self.jobs.as_ref().ok_or_else(gone)?;
            let (reply, answer) = oneshot::channel();
            jobs.send(Job { frame, reply }).await.map_err(|_| gone())?;
            answer.await.map_err(|_| gone())?
        }
        .boxed()
    }

    fn facts(&self) -> ModelFacts {
        self.model.facts()
    }
}

impl Drop for OnnxScorer {
    fn drop(&mut self) {
        self.jobs = None;
        if let Some(thread) = self.thread.take() {
            // A panic in there was already reported to whoever waited for a score.
            let _ = thread.join();
        }
    }
}

/// Scores until nobody can ask any more. Frames whose asker has gone are skipped.
fn serve(mut detector: Detector, mut incoming: mpsc::Receiver<Job>) {
    while let Some(Job { frame, reply }) = incoming.blocking_recv() {
        if !reply.is_closed() {
            let _ = reply.send(detector.score(&frame).map_err(|error| NoScore(error.to_string())));
        }
    }
}

/// Lowers this thread's priority; ONNX Runtime's threads, started by it, inherit it.
fn step_back() {
    if let Err(error) = rustix::process::setpriority_process(None, NICE) {
        tracing::warn!(%error, "the scorer runs at the daemon's own priority");
    }
}
