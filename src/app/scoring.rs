//! The scorer that every camera shares: loaded in the background, tried again when it cannot be, tested regularly.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio::sync::{Semaphore, mpsc, watch};
use tokio_util::sync::CancellationToken;

use crate::core::contract::Input;
use crate::core::types::{FrameScore, ModelFacts};
use crate::ports::{Clock, Frame, NoScore, Scorer};

/// How the known failure picture fared.
#[derive(Debug, Clone, PartialEq)]
pub struct SelfTestResult {
    /// Whether it fired.
    pub passed: bool,
    /// Its score, where there is one.
    pub score: Option<f32>,
    /// For people.
    pub detail: String,
}

/// Loads a model; called again after a while when it fails.
pub trait ModelLoader: Send + Sync {
    /// Loads and returns the model, or says what was tried and what to do. Blocks.
    fn load(&self) -> Result<Arc<dyn Scorer>, String>;

    /// The known failure picture, to be sent through the whole chain, and the score from which it fires. Blocks.
    fn self_test_picture(&self) -> Result<(Frame, f32), String>;
}

/// The scorer of the daemon; absent until loaded.
pub struct SharedScorer {
    scorer: watch::Sender<Option<Arc<dyn Scorer>>>,
    // One frame at a time, first come first served: no camera can starve another.
    turn: Semaphore,
    // When the frame being scored was handed over, monotonic ms plus one; 0 when none is.
    busy_since: AtomicU64,
    clock: Arc<dyn Clock>,
}

impl SharedScorer {
    /// A scorer with no model yet.
    pub fn new(clock: Arc<dyn Clock>) -> Arc<Self> {
        Arc::new(Self {
            scorer: watch::Sender::new(None),
            turn: Semaphore::new(1),
            busy_since: AtomicU64::new(0),
            clock,
        })
    }

    /// Scores a frame when its turn comes.
    pub async fn score(&self, frame: Arc<Frame>) -> Result<FrameScore, NoScore> {
        let Some(scorer) = self.scorer.borrow().clone() else {
            return Err(NoScore("no model is loaded".to_owned()));
        };
        let _turn = self.turn.acquire().await.map_err(|_| NoScore("shutting down".to_owned()))?;
        self.busy_since.store(self.clock.now().mono_ms + 1, Ordering::Relaxed);
        let score = scorer.score(frame).await;
        self.busy_since.store(0, Ordering::Relaxed);
        score
    }

    /// How long the frame being scored has taken so far, ms; 0 when none is.
    pub fn busy_for_ms(&self) -> u64 {
        match self.busy_since.load(Ordering::Relaxed) {
            0 => 0,
            since => self.clock.now().mono_ms.saturating_sub(since - 1),
        }
    }
}

/// Time between attempts to load a model.
const RELOAD_AFTER: Duration = Duration::from_secs(60);

/// Loads the model, tells the core, then sends the self-test picture through the chain at once and every `test_every`.
pub async fn keep_model(
    shared: Arc<SharedScorer>,
    loader: Arc<dyn ModelLoader>,
    test_every: Duration,
    inputs: mpsc::Sender<Input>,
    cancel: CancellationToken,
) {
    let work = async {
        let facts = loop {
            match load_now(&shared, &loader).await {
                Ok(facts) => break facts,
                Err(why) => {
                    tracing::error!("{why}");
                    if inputs.send(Input::Model { model: Err(why) }).await.is_err() {
                        return;
                    }
                }
            }
            tokio::time::sleep(RELOAD_AFTER).await;
        };
        tracing::info!(model = facts.name, "model loaded");
        if inputs.send(Input::Model { model: Ok(facts) }).await.is_err() {
            return;
        }
        loop {
            let SelfTestResult { passed, score, detail } = self_test(&shared, &loader).await;
            if passed {
                tracing::debug!("{detail}");
            } else {
                tracing::error!("{detail}");
            }
            if inputs.send(Input::SelfTest { passed, score, detail }).await.is_err() {
                return;
            }
            tokio::time::sleep(test_every).await;
        }
    };
    let _ = cancel.run_until_cancelled(work).await;
}

/// Loads the model and hands it to the shared scorer.
pub async fn load_now(
    shared: &SharedScorer,
    loader: &Arc<dyn ModelLoader>,
) -> Result<ModelFacts, String> {
    let scorer = blocking(loader, |loader| loader.load()).await?;
    let facts = scorer.facts();
    shared.scorer.send_replace(Some(scorer));
    Ok(facts)
}

fn blocking<T: Send + 'static>(
    loader: &Arc<dyn ModelLoader>,
    work: impl FnOnce(&dyn ModelLoader) -> Result<T, String> + Send + 'static,
) -> BoxFuture<'static, Result<T, String>> {
    let loader = loader.clone();
    Box::pin(async move {
        tokio::task::spawn_blocking(move || work(loader.as_ref()))
            .await
            .unwrap_or_else(|error| Err(format!("loading the model ended abnormally: {error}")))
    })
}

/// Sends the known failure picture through the same chain as every frame.
pub async fn self_test(shared: &SharedScorer, loader: &Arc<dyn ModelLoader>) -> SelfTestResult {
    let failed = |detail: String| SelfTestResult { passed: false, score: None, detail };
    let (frame, fires_at) = match blocking(loader, |loader| loader.self_test_picture()).await {
        Ok(picture) => picture,
        Err(why) => return failed(why),
    };
    match shared.score(Arc::new(frame)).await {
        Ok(FrameScore { score, .. }) => {
            let passed = score >= fires_at;
            let verb = if passed { "fires" } else { "does not fire" };
            SelfTestResult {
                passed,
                score: Some(score),
                detail: format!(
                    "self-test {verb}: the known failure picture scores {score:.3}, {fires_at:.3} is needed"
                ),
            }
        }
        Err(why) => failed(format!("self-test: {why}")),
    }
}
