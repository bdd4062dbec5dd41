//! A camera that Moonraker names: opened when Moonraker's list arrives, and again when its entry changes.

use std::sync::{Arc, Mutex, PoisonError};

use futures_util::future::BoxFuture;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::core::types::{Decoding, SourceFault, SourceHealth, SourceReport};
use crate::ports::{Frame, FrameSource, NoFrame, Webcam};

/// Opens a webcam of Moonraker's list; the error is for people.
pub type OpenWebcam = Box<dyn Fn(&Webcam) -> Result<Arc<dyn FrameSource>, String> + Send + Sync>;

/// A [`FrameSource`] that follows Moonraker's list of webcams.
pub struct ListedCamera {
    open: Mutex<Option<Arc<dyn FrameSource>>>,
    wanted: watch::Sender<bool>,
    report: watch::Sender<SourceReport>,
}

fn report(health: SourceHealth) -> SourceReport {
    SourceReport { health, decoding: Decoding::default(), size: None }
}

impl ListedCamera {
    /// A camera with nothing open until [`Self::follow`] has found its webcam.
    pub fn new() -> Arc<Self> {
        Arc::new(Self {
            open: Mutex::new(None),
            wanted: watch::Sender::new(false),
            report: watch::Sender::new(report(SourceHealth::Idle)),
        })
    }

    fn inner(&self) -> Option<Arc<dyn FrameSource>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn replace(&self, source: Option<Arc<dyn FrameSource>>) {
        if let Some(source) = &source {
            source.set_wanted(*self.wanted.borrow());
        }
        *self.open.lock().unwrap_or_else(PoisonError::into_inner) = source;
    }

    /// Follows the list until cancelled, and opens the webcam called `name`, or the first enabled one.
    pub async fn follow(
        self: Arc<Self>,
        name: Option<String>,
        mut list: watch::Receiver<Vec<Webcam>>,
        open: OpenWebcam,
        cancel: CancellationToken,
    ) {
        let mut chosen: Option<Webcam> = None;
        let mut inner_report: Option<watch::Receiver<SourceReport>> = None;
        let mut first = true;
        loop {
            let now = choose(&list.borrow_and_update(), name.as_deref());
            // An empty list at first only means that Moonraker has not answered yet.
            let waiting = first && list.borrow().is_empty();
            if (now != chosen || first) && !waiting {
                first = false;
                self.replace(None);
                inner_report = None;
                let opened = match &now {
                    Some(webcam) => open(webcam),
                    None => Err(missing(name.as_deref(), &list.borrow())),
                };
                match opened {
                    Ok(source) => {
                        inner_report = Some(source.report());
                        self.report.send_replace(source.report().borrow().clone());
                        self.replace(Some(source));
                    }
                    Err(why) => {
                        tracing::warn!("{why}");
                        let fault = SourceFault::Unreachable;
                        self.report.send_replace(report(SourceHealth::Blind { fault, why }));
                    }
                }
                chosen = now;
            }
            tokio::select! {
                () = cancel.cancelled() => return,
                changed = list.changed() => if changed.is_err() { return },
                Some(changed) = next_report(&mut inner_report) => {
                    self.report.send_replace(changed);
                }
            }
        }
    }
}

async fn next_report(inner: &mut Option<watch::Receiver<SourceReport>>) -> Option<SourceReport> {
    let receiver = inner.as_mut()?;
    if receiver.changed().await.is_err() {
        *inner = None;
        return None;
    }
    Some(receiver.borrow_and_update().clone())
}

fn choose(list: &[Webcam], name: Option<&str>) -> Option<Webcam> {
    list.iter()
        .find(|webcam| match name {
            Some(name) => webcam.name == name || webcam.uid == name,
            None => webcam.enabled,
        })
        .cloned()
}

fn missing(name: Option<&str>, list: &[Webcam]) -> String {
    let known: Vec<&str> = list.iter().map(|webcam| webcam.name.as_str()).collect();
    let known = if known.is_empty() {
        "Moonraker lists no webcam: add one in Mainsail's settings, or give the camera a url"
            .to_owned()
    } else {
        format!("Moonraker lists: {}", known.join(", "))
    };
    match name {
        Some(name) => format!("no webcam called {name:?}; {known}"),
        None => format!("no enabled webcam; {known}"),
    }
}

impl FrameSource for ListedCamera {
    fn capture(&self) -> BoxFuture<'_, Result<Frame, NoFrame>> {
        Box::pin(async move {
            match self.inner() {
                Some(source) => source.capture().await,
                None => Err(NoFrame("no webcam is open".to_owned())),
            }
        })
    }

    fn set_wanted(&self, wanted: bool) {
        self.wanted.send_replace(wanted);
        if let Some(source) = self.inner() {
            source.set_wanted(wanted);
        }
    }

    fn report(&self) -> watch::Receiver<SourceReport> {
        self.report.subscribe()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn webcam(name: &str, enabled: bool) -> Webcam {
        Webcam {
            uid: format!("uid-{name}"),
            name: name.to_owned(),
            service: "mjpegstreamer".to_owned(),
            enabled,
            stream_url: String::new(),
            snapshot_url: String::new(),
            flip_horizontal: false,
            flip_vertical: false,
            rotation: 0,
        }
    }

    #[test]
    fn a_named_webcam_is_found_by_name_or_uid_and_otherwise_the_first_enabled_one() {
        let list = [webcam("off", false), webcam("bed", true), webcam("nozzle", true)];
        let name = |found: Option<Webcam>| found.map(|webcam| webcam.name);
        assert_eq!(name(choose(&list, None)).as_deref(), Some("bed"));
        assert_eq!(name(choose(&list, Some("nozzle"))).as_deref(), Some("nozzle"));
        assert_eq!(name(choose(&list, Some("uid-off"))).as_deref(), Some("off"));
        assert_eq!(choose(&list, Some("gone")), None);
    }

    #[test]
    fn a_missing_webcam_is_named_together_with_what_there_is() {
        let why = missing(Some("gone"), &[webcam("bed", true)]);
        assert!(why.contains("gone") && why.contains("bed"), "{why}");
    }
}
