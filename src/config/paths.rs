//! Where things lie on this host.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// The folder of a system-wide configuration.
pub(super) const SYSTEM_CONFIG: &str = "/etc/strandwatch";

const SYSTEM_STATE: &str = "/var/lib/strandwatch";

/// Where the main file is looked for when none is given, in this order.
pub fn default_files() -> Vec<PathBuf> {
    let user = home().map(|home| home.join("printer_data/config/strandwatch.toml"));
    user.into_iter().chain([Path::new(SYSTEM_CONFIG).join("strandwatch.toml")]).collect()
}

/// The secrets file that belongs to a main file when it names none.
pub(super) fn default_secrets(main: Option<&Path>) -> PathBuf {
    let system = Path::new(SYSTEM_CONFIG);
    match home() {
        Some(home) if main.is_none_or(|main| !main.starts_with(system)) => {
            home.join(".config/strandwatch/secrets.toml")
        }
        _ => system.join("secrets.toml"),
    }
}

/// The folder for what survives a restart.
pub(super) fn default_state() -> PathBuf {
    let from_systemd = std::env::var_os("STATE_DIRECTORY");
    // systemd lists several separated by colons; the first is ours.
    let from_systemd = from_systemd
        .as_ref()
        .and_then(|list| list.to_str()?.split(':').next().map(PathBuf::from))
        .filter(|path| path.is_absolute());
    match (from_systemd, home()) {
        (Some(path), _) => path,
        // Commands that the service's user runs by hand mean the service's state.
        (None, _) if is_mine(Path::new(SYSTEM_STATE)) => PathBuf::from(SYSTEM_STATE),
        (None, Some(home)) if user_id() != Some(0) => home.join(".local/share/strandwatch"),
        _ => PathBuf::from(SYSTEM_STATE),
    }
}

/// `text` with `~/` resolved, relative to the folder of the main file.
pub(super) fn resolve(path: &Path, main: Option<&Path>) -> PathBuf {
    if let (Ok(rest), Some(home)) = (path.strip_prefix("~"), home()) {
        return home.join(rest);
    }
    match main.and_then(Path::parent) {
        Some(folder) if path.is_relative() => folder.join(path),
        _ => path.to_owned(),
    }
}

fn is_mine(path: &Path) -> bool {
    std::fs::metadata(path).is_ok_and(|found| Some(found.uid()) == user_id())
}

/// The user that this process runs as.
pub(super) fn user_id() -> Option<u32> {
    std::fs::metadata("/proc/self").ok().map(|process| process.uid())
}

fn home() -> Option<PathBuf> {
    std::env::home_dir().filter(|path| path.is_absolute())
}
