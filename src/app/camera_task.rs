//! A camera's task: captures and scores at the pace that the core asks for. Frames never queue: the next one is taken
//! only when the last was scored, and a late one is not caught up with.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::album::{Album, Encode};
use super::evidence::Evidence;
use super::persist;
use super::scoring::SharedScorer;
use crate::core::contract::Input;
use crate::core::detect::clutter::Clutter;
use crate::core::types::{FrameScore, Name};
use crate::ports::{Bus, Frame, FrameSource, Publication, Seen, Store};

/// Draws what was seen on a frame, a caption below it, and tints what is known to be clutter: a JPEG.
pub type Annotate = Arc<
    dyn Fn(&Frame, &FrameScore, &str, Option<&Clutter>) -> Result<Vec<u8>, String> + Send + Sync,
>;

/// Something besides scoring that a camera is asked to do.
#[derive(Debug)]
pub enum PictureRequest {
    /// Publish the last scored frame as `image/failure`, and keep it as evidence.
    Failure {
        /// Of which incident.
        incident: String,
    },
    /// Publish a fresh frame as `image/preview` and answer the ticket.
    Preview {
        /// [`crate::core::contract::Output::Snapshot`]'s ticket.
        ticket: u64,
    },
}

/// What a camera's task works with.
pub struct CameraTask {
    /// Of which printer.
    pub printer: Name,
    /// The camera's name.
    pub camera: Name,
    /// The camera.
    pub source: Arc<dyn FrameSource>,
    /// The shared scorer.
    pub scorer: Arc<SharedScorer>,
    /// Scores go here; when the core is behind, the camera waits rather than queue.
    pub scores: mpsc::Sender<Input>,
    /// The newest frame with its score, for whoever looks.
    pub gallery: watch::Sender<Option<Arc<Seen>>>,
    /// Where pictures go.
    pub bus: Option<Arc<dyn Bus>>,
    /// Draws.
    pub annotate: Annotate,
    /// Makes a JPEG of a frame as it is.
    pub encode: Encode,
    /// Keeps pictures of incidents.
    pub evidence: Evidence,
    /// Has what the camera shows while prints are fine.
    pub store: Arc<dyn Store>,
}

/// What a camera's task is told.
pub struct Orders {
    /// Time between frames; `None` rests the camera.
    pub interval: watch::Receiver<Option<Duration>>,
    /// Pictures wanted.
    pub pictures: mpsc::Receiver<PictureRequest>,
}

/// How often the picture as a whole is compared with what it was.
const VIEW_EVERY: Duration = Duration::from_secs(10);

/// How often a camera that gives no frames is asked again.
const ASK_AGAIN: Duration = Duration::from_millis(500);

impl CameraTask {
    /// Works until cancelled.
    pub async fn run(self, mut orders: Orders, cancel: CancellationToken) {
        let mut last: Option<(Arc<Frame>, FrameScore)> = None;
        let mut view_due = Instant::now();
        let mut due = Instant::now();
        let mut album = Album::new(self.encode.clone(), self.evidence.clone());
        loop {
            let interval = *orders.interval.borrow_and_update();
            self.source.set_wanted(interval.is_some());
            tokio::select! {
                biased;
                () = cancel.cancelled() => return self.source.set_wanted(false),
                changed = orders.interval.changed() => {
                    if changed.is_err() {
                        return self.source.set_wanted(false);
                    }
                    due = due.min(Instant::now() + orders.interval.borrow().unwrap_or_default());
                }
                Some(request) = orders.pictures.recv() => {
                    if let PictureRequest::Failure { incident } = &request {
                        album.begin_incident(incident).await;
                    }
                    self.picture(request, last.as_ref(), &cancel).await;
                }
                scored = self.capture_and_score(due, &mut view_due), if interval.is_some() => {
                    let pace = interval.unwrap_or(ASK_AGAIN);
                    match scored {
                        Some(scored) => {
                            due = (due + pace).max(Instant::now());
                            if self.gallery.receiver_count() > 0 {
                                self.gallery.send_replace(Some(Arc::new(self.seen(&scored))));
                            }
                            album.look(&scored.0).await;
                            last = Some(scored);
                        }
                        None => due = Instant::now() + pace.min(ASK_AGAIN),
                    }
                }
            }
        }
    }

    fn seen(&self, (frame, score): &(Arc<Frame>, FrameScore)) -> Seen {
        let caption = format!("{} / {}", self.printer, self.camera);
        Seen { frame: frame.clone(), score: score.clone(), caption }
    }

    async fn capture_and_score(
        &self,
        due: Instant,
        view_due: &mut Instant,
    ) -> Option<(Arc<Frame>, FrameScore)> {
        tokio::time::sleep_until(due).await;
        // Why there is no frame, or no score, is in the camera's report and in the model's state.
        let frame = Arc::new(self.source.capture().await.ok()?);
        let mut score = match self.scorer.score(frame.clone()).await {
            // What the journal can hold exactly is what the core decides on.
            Ok(score) => score.quantised(),
            Err(why) => {
                tracing::warn!(printer = %self.printer, camera = %self.camera, "not scored: {why}");
                return None;
            }
        };
        // It is compared at this pace, and the journal stays short.
        if Instant::now() < *view_due {
            score.view = None;
        } else {
            *view_due = Instant::now() + VIEW_EVERY;
        }
        let input = Input::Score {
            printer: self.printer.clone(),
            camera: self.camera.clone(),
            taken_ms: frame.taken_at.mono_ms,
            score: score.clone(),
        };
        self.scores.send(input).await.ok()?;
        Some((frame, score))
    }

    async fn picture(
        &self,
        request: PictureRequest,
        last: Option<&(Arc<Frame>, FrameScore)>,
        cancel: &CancellationToken,
    ) {
        match request {
            PictureRequest::Failure { incident } => {
                let Some((frame, score)) = last else { return };
                match self.draw(frame, score, None, Some(incident)).await {
                    Ok(jpeg) => {
                        let printer = self.printer.clone();
                        self.publish(Publication::FailureImage { printer, jpeg });
                    }
                    Err(why) => {
                        tracing::error!(printer = %self.printer, camera = %self.camera, "no failure picture: {why}");
                    }
                }
            }
            PictureRequest::Preview { ticket } => {
                let outcome = tokio::select! {
                    biased;
                    () = cancel.cancelled() => Err("shutting down".to_owned()),
                    outcome = self.preview() => outcome,
                };
                let _ = self.scores.send(Input::SnapshotTaken { ticket, outcome }).await;
            }
        }
    }

    async fn preview(&self) -> Result<(), String> {
        if self.bus.is_none() {
            return Err("there is no message bus to publish it on".to_owned());
        }
        self.source.set_wanted(true);
        let frame = Arc::new(self.source.capture().await.map_err(|why| why.to_string())?);
        let score = self.scorer.score(frame.clone()).await.map_err(|why| why.to_string())?;
        let jpeg = self.draw(&frame, &score, self.learned().await, None).await?;
        self.publish(Publication::PreviewImage { printer: self.printer.clone(), jpeg });
        Ok(())
    }

    /// What the preview shows of how this camera is taken; without it there is still a picture.
    async fn learned(&self) -> Option<Clutter> {
        let found = persist::learned(self.store.as_ref(), &self.printer, &self.camera).await;
        found
            .inspect_err(|why| tracing::warn!("the preview shows no clutter: {why}"))
            .ok()
            .flatten()
    }

    /// Draws, and keeps the picture of an incident.
    async fn draw(
        &self,
        frame: &Arc<Frame>,
        score: &FrameScore,
        clutter: Option<Clutter>,
        incident: Option<String>,
    ) -> Result<Vec<u8>, String> {
        let caption = format!("{} / {}", self.printer, self.camera);
        let (annotate, evidence) = (self.annotate.clone(), self.evidence.clone());
        let (frame, score) = (frame.clone(), score.clone());
        let drawing = tokio::task::spawn_blocking(move || {
            let jpeg = annotate(&frame, &score, &caption, clutter.as_ref())?;
            if let Some(incident) = incident {
                evidence.keep_picture(&incident, "alert", &jpeg);
            }
            Ok(jpeg)
        });
        drawing.await.unwrap_or_else(|error| Err(format!("drawing ended abnormally: {error}")))
    }

    fn publish(&self, publication: Publication) {
        if let Some(bus) = &self.bus {
            bus.publish(publication);
        }
    }
}
