//! The configured model, loaded; and drawing what it saw.

use std::sync::{Arc, Mutex, PoisonError};

use super::camera_task::Annotate;
use super::scoring::ModelLoader;
use crate::ports::{Frame, Scorer};
use crate::vision::annotate::{Notes, annotate, jpeg};
use crate::vision::{ModelOptions, OnnxScorer};

/// Loads the configured model.
pub struct OnnxLoader {
    options: ModelOptions,
    loaded: Mutex<Option<Arc<OnnxScorer>>>,
}

impl OnnxLoader {
    /// A loader for the model that `options` name.
    pub fn new(options: ModelOptions) -> Self {
        Self { options, loaded: Mutex::new(None) }
    }

    fn loaded(&self) -> Option<Arc<OnnxScorer>> {
        self.loaded.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl ModelLoader for OnnxLoader {
    fn load(&self) -> Result<Arc<dyn Scorer>, String> {
        let scorer = Arc::new(OnnxScorer::start(&self.options).map_err(|error| error.to_string())?);
        *self.loaded.lock().unwrap_or_else(PoisonError::into_inner) = Some(scorer.clone());
        Ok(scorer)
    }

    fn self_test_picture(&self) -> Result<(Frame, f32), String> {
        let scorer = self.loaded().ok_or_else(|| "no model is loaded".to_owned())?;
        let fires_at = scorer.model().alert_point;
        Ok((Frame::clone(&scorer.known_failure()), fires_at))
    }
}

/// Draws with the alert point of the model that is loaded.
pub fn annotator(loader: Arc<OnnxLoader>) -> Annotate {
    Arc::new(move |frame, score, caption, clutter| {
        let alert_point = loader.loaded().map_or(0.5, |scorer| scorer.model().alert_point);
        let picture = annotate(frame, score, &Notes { caption, alert_point, clutter })
            .map_err(|error| error.to_string())?;
        jpeg(&picture).map_err(|error| error.to_string())
    })
}
