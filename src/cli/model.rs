//! The options with which `score`, `eval` and `bench` choose a model.

use std::path::{Path, PathBuf};

use anyhow::Context;

use crate::vision::{Detector, Manifest, Model, manifest};

/// Which model, and how it runs.
#[derive(clap::Args, Debug, Clone)]
pub struct ModelArguments {
    /// A model: its name in the manifest, an ONNX file named by the manifest beside it, or another manifest (its
    /// default model)
    #[arg(long, value_name = "NAME|FILE")]
    pub model: Option<String>,
    /// The models folder or its manifest.toml; without it the installed one
    #[arg(long, value_name = "PATH")]
    pub models: Option<PathBuf>,
    /// ONNX Runtime's library, libonnxruntime.so; without it $ORT_DYLIB_PATH or the usual places
    #[arg(long, value_name = "FILE")]
    pub onnxruntime: Option<PathBuf>,
    /// Threads that share one inference
    #[arg(long, default_value_t = 2, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=64))]
    pub threads: u16,
}

impl ModelArguments {
    /// The model asked for.
    pub fn find(&self) -> anyhow::Result<Model> {
        let Some(asked) = self.model.as_deref() else {
            return Ok(Manifest::find(self.models.as_deref())?.model(None)?.clone());
        };
        let path = Path::new(asked);
        if path.extension().is_some_and(|extension| extension == "onnx") && path.is_file() {
            return named_beside(path);
        }
        if path.is_file() || path.is_dir() {
            return Ok(Manifest::find(Some(path))?.model(None)?.clone());
        }
        Ok(Manifest::find(self.models.as_deref())?.model(Some(asked))?.clone())
    }

    /// The model asked for, loaded.
    pub fn load(&self) -> anyhow::Result<Detector> {
        let model = self.find()?;
        Ok(Detector::load(&model, self.onnxruntime.as_deref(), usize::from(self.threads))?)
    }
}

/// The model whose file this is, by the manifest in the same folder: a bare ONNX file does not say how it wants its
/// picture.
fn named_beside(file: &Path) -> anyhow::Result<Model> {
    let folder = file.parent().unwrap_or(Path::new(""));
    let describe = || {
        format!(
            "{} needs a {} beside it that says how it takes its picture (models/README.md shows one)",
            file.display(),
            manifest::FILE
        )
    };
    let manifest = Manifest::load(&folder.join(manifest::FILE)).with_context(describe)?;
    let same = |model: &&Model| model.file.file_name() == file.file_name();
    manifest.models.iter().find(same).cloned().with_context(describe)
}
