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
    #[command(flatten)]
    pub runtime: RuntimeArguments,
}

/// Where models and ONNX Runtime lie, and how much of the machine they take.
#[derive(clap::Args, Debug, Clone)]
pub struct RuntimeArguments {
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
    /// The model asked for, loaded.
    pub fn load(&self) -> anyhow::Result<Detector> {
        let runtime = &self.runtime;
        let model = runtime.find(self.model.as_deref())?;
        Ok(Detector::load(&model, runtime.library(), runtime.threads())?)
    }
}

impl RuntimeArguments {
    /// The model that `asked` means; without it the manifest's default.
    pub fn find(&self, asked: Option<&str>) -> anyhow::Result<Model> {
        let path = asked.map(Path::new).filter(|path| path.exists());
        match (asked, path) {
            (_, Some(path)) if is_onnx(path) => named_beside(path),
            (_, Some(path)) => Ok(Manifest::find(Some(path))?.model(None)?.clone()),
            (name, None) => Ok(Manifest::find(self.models.as_deref())?.model(name)?.clone()),
        }
    }

    /// ONNX Runtime's library, where one was named.
    pub fn library(&self) -> Option<&Path> {
        self.onnxruntime.as_deref()
    }

    /// Threads that share one inference.
    pub fn threads(&self) -> usize {
        usize::from(self.threads)
    }
}

/// Whether this is an ONNX file by its name.
pub fn is_onnx(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "onnx")
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
