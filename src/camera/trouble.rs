//! What went wrong with a camera, in words for people, from what GStreamer says.

use gst::prelude::*;
use gstreamer as gst;

use crate::core::types::SourceFault;

use super::kind::SourceKind;

/// Why nothing is seen: goes into the camera's health.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Trouble {
    pub fault: SourceFault,
    /// What was tried, and what to do; without credentials.
    pub why: String,
}

impl Trouble {
    pub fn new(fault: SourceFault, why: impl Into<String>) -> Self {
        Self { fault, why: why.into() }
    }

    pub fn unreachable(why: impl Into<String>) -> Self {
        Self::new(SourceFault::Unreachable, why)
    }

    pub fn undecodable(why: impl Into<String>) -> Self {
        Self::new(SourceFault::Undecodable, why)
    }
}

/// An error message from a pipeline, with what matters of it.
#[derive(Debug, Clone)]
pub(super) struct PipelineError {
    /// The factory of the element that reported it.
    pub element: String,
    pub error: gst::glib::Error,
    /// The last line of what the element says to developers, often the only cause that is named.
    detail: Option<String>,
    /// An HTTP answer other than success.
    pub http_status: Option<u32>,
    /// The element only passed on that data flow broke down somewhere after it.
    pub secondhand: bool,
}

impl PipelineError {
    pub fn read(message: &gst::message::Error) -> Self {
        let factory = message.src().and_then(|src| src.downcast_ref::<gst::Element>()?.factory());
        let details = message.details();
        Self {
            element: factory
                .map_or_else(|| "pipeline".to_owned(), |factory| factory.name().to_string()),
            error: message.error(),
            detail: message.debug().and_then(|debug| Some(debug.lines().nth(1)?.to_owned())),
            http_status: details.and_then(|details| details.get("http-status-code").ok()),
            secondhand: details.is_some_and(|details| details.has_field("flow-return")),
        }
    }

    /// What a decoder said when it failed.
    pub fn said(&self) -> String {
        let message = self.error.message().trim_end_matches('.');
        match &self.detail {
            Some(detail) => format!("{message} ({detail})"),
            None => message.to_owned(),
        }
    }

    /// Puts it into words. `seen` is whether frames had arrived before.
    pub fn explain(&self, kind: &SourceKind, seen: bool) -> Trouble {
        let from = kind.to_string();
        if let Some(status) = self.http_status {
            return Trouble::unreachable(http_status(&from, status));
        }
        // All that souphttpsrc 1.22 says of a refused connection is that no data came.
        let refused = self.secondhand && !seen;
        let message = if refused { "no connection" } else { self.error.message() };
        let said = format!("{}: {}", self.element, kind.scrub(message.trim_end_matches('.')));
        if !self.secondhand
            && (self.error.is::<gst::StreamError>() || self.error.is::<gst::CoreError>())
        {
            let remedy = if seen {
                "it is opened again by itself"
            } else {
                "check that it is the camera's own address and not a page around it"
            };
            let expected = kind.expected();
            return Trouble::undecodable(format!(
                "{from} gives something that cannot be read as {expected}, {said}: {remedy}"
            ));
        }
        if seen {
            return Trouble::new(
                SourceFault::Vanished,
                format!("the connection to {from} broke, {said}: it is tried again by itself"),
            );
        }
        Trouble::unreachable(format!("{from} cannot be opened, {said}: {}", kind.remedy()))
    }
}

fn http_status(from: &str, status: u32) -> String {
    match status {
        401 | 403 => format!(
            "{from} refuses the login (HTTP {status}): write user and password into the address, http://user:password@…"
        ),
        404 | 410 => format!(
            "{from} has no camera at this path (HTTP {status}): try it in a browser; crowsnest's is /webcam/?action=stream"
        ),
        502..=504 => format!(
            "{from} has no camera behind it (HTTP {status}): is the camera's service (crowsnest) running?"
        ),
        _ => format!("{from} answers HTTP {status}: try it in a browser"),
    }
}

/// Makes an element, or says which Debian package has it.
pub(super) fn make(factory: &str) -> Result<gst::Element, Trouble> {
    gst::ElementFactory::make(factory).build().map_err(|_| {
        let package = match factory {
            "souphttpsrc" | "multipartdemux" | "rtspsrc" | "v4l2src" => "gstreamer1.0-plugins-good",
            "hlsdemux" | "jpegparse" => "gstreamer1.0-plugins-bad",
            _ => "gstreamer1.0-plugins-base",
        };
        Trouble::unreachable(format!(
            "GStreamer on this host has no element {factory}: install the package {package}"
        ))
    })
}
