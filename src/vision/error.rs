//! What can go wrong between a frame and its score.

use std::path::{Path, PathBuf};

/// Why a model could not be loaded or a frame not be scored.
#[derive(Debug, thiserror::Error)]
pub enum VisionError {
    /// No manifest at any of the usual places.
    #[error(
        "found no model manifest; looked for {}; install the models folder or name it (`--models`, or `watch.models` in the config)",
        list(.tried)
    )]
    ManifestMissing {
        /// Every path looked at.
        tried: Vec<PathBuf>,
    },
    /// The manifest could not be read.
    #[error("cannot read the model manifest {}: {source}", .path.display())]
    ManifestUnreadable {
        /// The manifest.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The manifest is not TOML of the expected shape.
    #[error("the model manifest {} does not parse: {reason}", .path.display())]
    ManifestSyntax {
        /// The manifest.
        path: PathBuf,
        /// Line, column and what is wrong there.
        reason: String,
    },
    /// The manifest parses but says impossible things; every one is listed.
    #[error("the model manifest {} is not usable: {}", .path.display(), .problems.join("; "))]
    ManifestInvalid {
        /// The manifest.
        path: PathBuf,
        /// Every problem: key, what was found, what it must be.
        problems: Vec<String>,
    },
    /// The manifest has no model of that name.
    #[error("{} has no model {name:?}; it has {}", .path.display(), .known.join(", "))]
    NoSuchModel {
        /// The manifest.
        path: PathBuf,
        /// The name that was asked for.
        name: String,
        /// The names it has.
        known: Vec<String>,
    },
    /// A model or picture file named by the manifest could not be read.
    #[error("cannot read {}: {source}", .path.display())]
    FileUnreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The model file is not the one the manifest describes.
    #[error(
        "{} is not the file its manifest describes (sha256 {found}, the manifest says {expected}): it is damaged, was replaced, or is a Git LFS pointer; install the models folder again",
        .path.display()
    )]
    WrongHash {
        /// The model file.
        path: PathBuf,
        /// Hex, from the manifest.
        expected: String,
        /// Hex, of the file.
        found: String,
    },
    /// No ONNX Runtime library at any of the usual places.
    #[error(
        "found no ONNX Runtime library; looked for {}; install ONNX Runtime 1.20 or newer there, or name its libonnxruntime.so in ORT_DYLIB_PATH",
        list(.tried)
    )]
    LibraryMissing {
        /// Every path looked at.
        tried: Vec<PathBuf>,
    },
    /// The library is there but cannot be used.
    #[error("cannot use the ONNX Runtime library {}: {reason}; Strandwatch needs version 1.20 or newer, built for this machine", .path.display())]
    LibraryUnusable {
        /// The library.
        path: PathBuf,
        /// What the loader or the library said.
        reason: String,
    },
    /// ONNX Runtime does not load the model.
    #[error("ONNX Runtime does not load {}: {reason}; the file may be damaged, or need a newer ONNX Runtime (opset)", .path.display())]
    ModelRefused {
        /// The model file.
        path: PathBuf,
        /// What ONNX Runtime said.
        reason: String,
    },
    /// The model's inputs or outputs are not what the manifest says.
    #[error("{} does not fit its manifest: {problem}; correct the manifest's [model.input] or [model.output]", .path.display())]
    WrongShape {
        /// The model file.
        path: PathBuf,
        /// What is there and what was expected.
        problem: String,
    },
    /// ONNX Runtime failed at a frame.
    #[error("model {model}: inference failed: {reason}")]
    Inference {
        /// The model's name.
        model: String,
        /// What ONNX Runtime said.
        reason: String,
    },
    /// The model gave something that is no probability.
    #[error(
        "model {model}: output {output:?} has the value {value}, which is no probability (0 to 1); export the model with its sigmoid, or use another one"
    )]
    NotProbabilities {
        /// The model's name.
        model: String,
        /// The output's name.
        output: String,
        /// The first such value.
        value: f32,
    },
    /// The frame's own fields contradict each other.
    #[error("a frame of {width}x{height} px with {bytes} bytes is no RGB picture")]
    BadFrame {
        /// As the frame says.
        width: u32,
        /// As the frame says.
        height: u32,
        /// As the frame holds.
        bytes: usize,
    },
    /// A file that should be a picture is none.
    #[error("{} is not a readable JPEG or PNG picture: {reason}", .path.display())]
    BadPicture {
        /// The file.
        path: PathBuf,
        /// What the decoder said.
        reason: String,
    },
    /// The scorer's thread could not be started, or has ended.
    #[error("the scorer's thread is gone: {reason}; restart Strandwatch")]
    ThreadGone {
        /// Why.
        reason: String,
    },
}

impl VisionError {
    pub(super) fn unreadable(path: &Path, source: std::io::Error) -> Self {
        Self::FileUnreadable { path: path.to_owned(), source }
    }
}

fn list(paths: &[PathBuf]) -> String {
    paths.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(", ")
}
