//! Finding and loading ONNX Runtime's shared library, once a process.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use ort::environment::Environment;

use super::VisionError;

/// ONNX Runtime allows one environment a process, so this is the one thing here that cannot belong to a scorer. It is
/// never released: the library's own exit handlers may run before the last session ends.
static ENVIRONMENT: Mutex<Option<Environment>> = Mutex::new(None);

const FILE: &str = "libonnxruntime.so";

/// The environment, loading the library on the first call. Later calls get the library that was loaded first.
///
/// `explicit` names the file; without it `ORT_DYLIB_PATH` does; without that the usual places are tried in order.
pub(super) fn environment(explicit: Option<&Path>) -> Result<Environment, VisionError> {
    let mut held = ENVIRONMENT.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(environment) = held.as_ref() {
        return Ok(environment.clone());
    }
    let path = locate(explicit)?;
    let unusable = |reason: String| VisionError::LibraryUnusable { path: path.clone(), reason };
    let environment = ort::init_from(&path)
        .map_err(|error| unusable(error.to_string()))?
        .with_name("strandwatch")
        .with_telemetry(false)
        .build()
        .map_err(|error| unusable(error.to_string()))?;
    Ok(held.insert(environment).clone())
}

fn locate(explicit: Option<&Path>) -> Result<PathBuf, VisionError> {
    let named = explicit.map(Path::to_owned).or_else(|| {
        std::env::var_os("ORT_DYLIB_PATH").filter(|v| !v.is_empty()).map(PathBuf::from)
    });
    let tried = named.map_or_else(usual_places, |path| vec![path]);
    // `ort` takes a relative path as relative to the executable, people mean the working folder.
    match tried.iter().find_map(|path| path.is_file().then(|| std::path::absolute(path).ok())?) {
        Some(path) => Ok(path),
        None => Err(VisionError::LibraryMissing { tried }),
    }
}

/// Beside the executable, an installation's `lib`, a checkout's rig, then the system.
fn usual_places() -> Vec<PathBuf> {
    let mut places = Vec::new();
    if let Ok(executable) = std::env::current_exe() {
        let folders: Vec<&Path> = executable.ancestors().skip(1).collect();
        if let Some(beside) = folders.first() {
            places.push(beside.join(FILE));
        }
        if let Some(prefix) = folders.get(1) {
            places.push(prefix.join("lib/strandwatch").join(FILE));
        }
        places.extend(
            folders.iter().map(|f| f.join("rig/onnxruntime").join(FILE)).filter(|f| f.exists()),
        );
    }
    let system =
        ["/usr/local/lib/strandwatch", "/usr/lib/strandwatch", "/usr/local/lib", "/usr/lib"];
    places.extend(system.map(|folder| Path::new(folder).join(FILE)));
    places.push(format!("/usr/lib/{}-linux-gnu/{FILE}", std::env::consts::ARCH).into());
    places
}
