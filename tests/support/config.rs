//! A home of its own with a configuration, and `strandwatch check` over it.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

/// A folder that is `$HOME` for the commands run in it.
pub struct Home(pub tempfile::TempDir);

impl Home {
    /// An empty one.
    pub fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    /// A path in it.
    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Writes a file that everybody may read.
    pub fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        path
    }

    /// Writes a file that only its owner may read.
    pub fn write_secret(&self, name: &str, text: &str) -> PathBuf {
        let path = self.write(name, text);
        write_secret_file(&path, text);
        path
    }

    /// `strandwatch` with this home and no configuration in its environment.
    pub fn strandwatch(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_strandwatch"));
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("STRANDWATCH_") {
                command.env_remove(name);
            }
        }
        command.env_remove("STATE_DIRECTORY").env("HOME", self.0.path());
        command
    }

    /// `strandwatch check --json` on a file in this home, and its exit code.
    pub fn check(&self, file: &Path) -> (i32, Value) {
        self.check_with(file, &[])
    }

    /// The same with variables in the environment.
    pub fn check_with(&self, file: &Path, variables: &[(&str, &str)]) -> (i32, Value) {
        let mut command = self.strandwatch();
        command.args(["check", "--json", "--config"]).arg(file);
        let output = command.envs(variables.iter().copied()).output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let answer = serde_json::from_str(&text).unwrap_or_else(|error| {
            panic!("{error} in {text:?}, {}", String::from_utf8_lossy(&output.stderr))
        });
        (output.status.code().unwrap(), answer)
    }
}

/// Writes a file that only its owner may read.
pub fn write_secret_file(path: &Path, text: &str) {
    std::fs::write(path, text).unwrap();
    std::fs::set_permissions(path, Permissions::from_mode(0o600)).unwrap();
}
