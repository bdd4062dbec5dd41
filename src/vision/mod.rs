//! From a frame to a score: the model manifest, preprocessing and postprocessing (pure), the ONNX Runtime session, and
//! the thread that owns it. [`OnnxScorer`] is the [`Scorer`](crate::ports::Scorer) of the daemon; [`Detector`] is the
//! same chain without the thread, for commands that score one frame after another.

pub mod annotate;
mod bare;
mod error;
mod library;
pub mod manifest;
pub mod overlay;
pub mod picture;
pub mod postprocess;
pub mod preprocess;
mod scorer;
mod session;
mod text;
pub mod view;

pub use bare::BareSession;
pub use error::VisionError;
pub use manifest::{Manifest, Model};
pub use scorer::{ModelOptions, OnnxScorer, SelfTest};
pub use session::{Detector, Prediction};
