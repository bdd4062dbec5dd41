//! The broker's private folder: its files, its lock, the daemon's secret.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rand::TryRng;
use rand::rngs::SysRng;
use rustix::fs::{FlockOperation, flock};
use secrecy::{ExposeSecret, SecretString};

use super::process::MosquittoError;
use super::{CANARY, DAEMON};
use crate::mqtt::broker::{Broker, Login};

/// The folder of a broker of our own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Folder(PathBuf);

/// The right to run the broker of a folder or to edit its accounts; given back when dropped, or when the process ends.
#[derive(Debug)]
pub struct Lock {
    _file: fs::File,
}

impl Folder {
    /// The folder at `path`; it need not be there yet.
    pub fn new(path: PathBuf) -> Self {
        Self(path)
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// The authority whose fingerprint clients pin, PEM.
    pub fn authority(&self) -> PathBuf {
        self.0.join("ca.pem")
    }

    pub(super) fn config(&self) -> PathBuf {
        self.0.join("mosquitto.conf")
    }

    pub(super) fn accounts(&self) -> PathBuf {
        self.0.join("dynamic-security.json")
    }

    /// Makes the folder, so that it is the user's alone.
    pub(super) fn make(&self) -> Result<(), MosquittoError> {
        fs::create_dir_all(&self.0)
            .and_then(|()| fs::set_permissions(&self.0, fs::Permissions::from_mode(0o700)))
            .map_err(|error| MosquittoError::File { file: self.0.clone(), error })
    }

    /// Takes the lock; `None` while another process holds it.
    ///
    /// # Errors
    /// When the folder cannot be made or written.
    pub fn lock(&self) -> Result<Option<Lock>, MosquittoError> {
        self.make()?;
        let path = self.0.join("lock");
        let trouble = |error| MosquittoError::File { file: path.clone(), error };
        let file = private_options().open(&path).map_err(trouble)?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Some(Lock { _file: file })),
            Err(rustix::io::Errno::WOULDBLOCK) => Ok(None),
            Err(error) => Err(trouble(error.into())),
        }
    }

    /// Whether a process holds the lock: then the broker runs, or is about to.
    ///
    /// # Errors
    /// As [`Self::lock`].
    pub fn is_held(&self) -> Result<bool, MosquittoError> {
        Ok(self.0.exists() && self.lock()?.is_none())
    }

    /// The daemon's password at the broker, made when there is none yet.
    ///
    /// # Errors
    /// When it can be neither read nor written.
    pub fn secret(&self) -> Result<SecretString, MosquittoError> {
        self.secret_in("secret")
    }

    /// Whom the audit logs in as.
    ///
    /// # Errors
    /// As [`Self::secret`].
    pub fn canary_login(&self) -> Result<Login, MosquittoError> {
        Ok(Login { user: CANARY.to_owned(), password: self.secret_in("canary")? })
    }

    fn secret_in(&self, file: &str) -> Result<SecretString, MosquittoError> {
        self.make()?;
        let path = self.0.join(file);
        let trouble = |error| MosquittoError::File { file: path.clone(), error };
        match fs::read_to_string(&path) {
            Ok(text) if !text.trim().is_empty() => return Ok(text.trim().into()),
            Ok(_) => fs::remove_file(&path).map_err(trouble)?,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(trouble(error)),
        }
        create_private(&path, fresh_secret()?.expose_secret().as_bytes()).map_err(trouble)?;
        let text = fs::read_to_string(&path).map_err(trouble)?;
        Ok(text.trim().into())
    }

    /// How the daemon itself connects, over loopback.
    ///
    /// # Errors
    /// As [`Self::secret`].
    pub fn daemon_login(&self, local_port: u16) -> Result<Broker, MosquittoError> {
        Ok(Broker {
            host: "127.0.0.1".to_owned(),
            port: local_port,
            tls: None,
            login: Some(Login { user: DAEMON.to_owned(), password: self.secret()? }),
        })
    }
}

/// 128 bits from the operating system, as 22 characters of URL-safe base64.
///
/// # Errors
/// When the system gives no random bytes.
pub fn fresh_secret() -> Result<SecretString, MosquittoError> {
    let mut bytes = [0_u8; 16];
    random(&mut bytes)?;
    Ok(URL_SAFE_NO_PAD.encode(bytes).into())
}

/// Fills `bytes` from the operating system.
pub(in crate::mqtt) fn random(bytes: &mut [u8]) -> Result<(), MosquittoError> {
    SysRng.try_fill_bytes(bytes).map_err(|error| MosquittoError::Random(error.to_string()))
}

fn private_options() -> fs::OpenOptions {
    let mut options = fs::OpenOptions::new();
    options.write(true).create(true).truncate(false).mode(0o600);
    options
}

/// Creates a file that its owner alone reads, unless it is there by then: whoever comes first, in this process or
/// another, decides what is in it.
fn create_private(path: &Path, content: &[u8]) -> std::io::Result<()> {
    let mut draft = path.as_os_str().to_owned();
    draft.push(format!(".{}-{:?}.new", std::process::id(), std::thread::current().id()));
    let mut file = private_options().truncate(true).open(&draft)?;
    file.write_all(content)?;
    file.sync_all()?;
    let linked = fs::hard_link(&draft, path);
    fs::remove_file(&draft)?;
    match linked {
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Ok(()),
        linked => linked,
    }
}

/// Replaces a file as a whole, readable by its owner alone: a power cut leaves the old one or the new one.
pub(super) fn write_private(path: &Path, content: &[u8]) -> Result<(), MosquittoError> {
    let mut draft = path.as_os_str().to_owned();
    draft.push(".new");
    let written = private_options().truncate(true).open(&draft).and_then(|mut file| {
        file.write_all(content)?;
        file.sync_all()
    });
    written
        .and_then(|()| fs::rename(&draft, path))
        .map_err(|error| MosquittoError::File { file: path.to_owned(), error })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_who_ask_at_once_are_given_the_same_secret() {
        for _ in 0..50 {
            let place = tempfile::tempdir().unwrap();
            let folder = Folder::new(place.path().join("broker"));
            let ask = || folder.secret().unwrap().expose_secret().to_owned();
            let secrets: Vec<String> = std::thread::scope(|scope| {
                let asking: Vec<_> = (0..4).map(|_| scope.spawn(ask)).collect();
                asking.into_iter().map(|one| one.join().unwrap()).collect()
            });
            assert!(secrets.iter().all(|one| *one == secrets[0] && !one.is_empty()), "{secrets:?}");
            let left = fs::read_dir(place.path().join("broker")).unwrap().count();
            assert_eq!(left, 1, "no drafts are left");
        }
    }
}
