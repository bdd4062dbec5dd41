//! What `mask`, `calibrate` and `score --clutter` share: which camera, a picture of it, what is written.

use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow};
use image::RgbImage;

use super::{Exit, Failure, OrExit, run};
use crate::app::persist::keys;
use crate::app::still;
use crate::config::{Camera, Checked, Printer};
use crate::core::detect::clutter::Clutter;
use crate::ports::{Frame, Store};
use crate::store::{OUTBOX_LIMIT, SqliteStore};
use crate::vision::{annotate, picture};

/// Which camera of which printer.
#[derive(clap::Args, Debug, Clone)]
pub struct ViewArguments {
    /// The configuration file [default: ~/printer_data/config/strandwatch.toml, then /etc/strandwatch/strandwatch.toml]
    #[arg(long, value_name = "PATH")]
    pub config: Option<PathBuf>,
    /// The printer; without it the first one
    #[arg(long, value_name = "NAME")]
    pub printer: Option<String>,
    /// The camera; without it the printer's first one
    #[arg(long, value_name = "NAME")]
    pub camera: Option<String>,
}

impl ViewArguments {
    /// The configuration that names it.
    pub fn load(&self) -> Result<Checked, Failure> {
        run::load(self.config.as_deref())
    }

    /// The camera that is meant.
    pub fn find<'a>(&self, config: &'a Checked) -> Result<(&'a Printer, &'a Camera), Failure> {
        let printers = config.printers.iter();
        let printer = chosen(self.printer.as_deref(), printers, |one| one.name.as_str())
            .map_err(|known| anyhow!("no printer has this name; there are: {known}"))
            .or_exit(Exit::Usage)?;
        let cameras = printer.cameras.iter();
        let camera = chosen(self.camera.as_deref(), cameras, |one| one.name.as_str())
            .map_err(|known| {
                anyhow!("printer {} has no camera of this name; it has: {known}", printer.name)
            })
            .or_exit(Exit::Usage)?;
        Ok((printer, camera))
    }
}

/// The one of this name, or the first; the error lists what there is.
fn chosen<'a, T>(
    name: Option<&str>,
    all: impl Iterator<Item = &'a T> + Clone,
    name_of: impl Fn(&T) -> &str,
) -> Result<&'a T, String> {
    let found = all.clone().find(|one| name.is_none_or(|name| name == name_of(one)));
    found.ok_or_else(|| all.map(|one| name_of(one).to_owned()).collect::<Vec<_>>().join(", "))
}

/// The picture in this file, else a fresh one of the camera.
pub fn still(
    file: Option<&Path>,
    (printer, camera): (&Printer, &Camera),
) -> Result<Frame, Failure> {
    if let Some(file) = file {
        return picture::read(file).or_exit(Exit::Usage);
    }
    let runtime =
        tokio::runtime::Builder::new_multi_thread().enable_all().build().or_exit(Exit::Internal)?;
    let frame = runtime.block_on(still::take(printer, camera));
    runtime.shutdown_timeout(std::time::Duration::from_millis(500));
    frame.map_err(|why| anyhow!(why)).or_exit(Exit::Unreachable)
}

/// Writes a picture as JPEG.
pub fn write(file: &Path, picture: &RgbImage) -> Result<(), Failure> {
    let bytes = annotate::jpeg(picture).or_exit(Exit::Internal)?;
    std::fs::write(file, bytes)
        .with_context(|| {
            format!("cannot write {}: is the folder there and writable?", file.display())
        })
        .or_exit(Exit::Usage)
}

/// What this camera's view shows while prints are fine, as the daemon has learned it.
pub fn learned(
    config: &Checked,
    (printer, camera): (&Printer, &Camera),
) -> Result<Option<Clutter>, Failure> {
    let path = &config.store.path;
    if !path.exists() {
        return Ok(None);
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .or_exit(Exit::Internal)?;
    let key = keys::clutter(&printer.name, &camera.name);
    let found = runtime.block_on(async {
        let store = SqliteStore::open(path, OUTBOX_LIMIT).or_exit(Exit::Unreachable)?;
        let found = store.list(key.clone()).await;
        store.close().await;
        found.or_exit(Exit::Unreachable)
    })?;
    let Some((_, value)) = found.into_iter().find(|(found, _)| *found == key) else {
        return Ok(None);
    };
    let of = format!("{key} in {} is not understood: another version wrote it", path.display());
    serde_json::from_value(value).context(of).or_exit(Exit::Unreachable).map(Some)
}
