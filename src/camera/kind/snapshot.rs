//! A picture's URL, fetched once for each frame that is asked for.

use std::time::{Duration, Instant};

use gst::prelude::*;
use gstreamer as gst;
use gstreamer_app::AppSink;

use crate::camera::address::Address;
use crate::camera::stills::{MAX_PICTURE_BYTES, Stills};
use crate::camera::trouble::{PipelineError, Trouble};

use super::{Plan, SourceKind, http};

/// Cameras that answer snapshots are small: they are not asked more often than this.
const LEAST_INTERVAL: Duration = Duration::from_millis(500);

pub(super) fn plan(url: &Address, patience: Duration) -> Plan {
    Plan::Stills(Box::new(Snapshots { url: url.clone(), patience }))
}

/// Whether the URL says of itself that it is one picture.
pub(super) fn is_snapshot(url: &Address) -> bool {
    let path = url.path();
    let last = path.trim_end_matches('/').rsplit('/').next().unwrap_or_default();
    url.query().split('&').any(|pair| pair == "action=snapshot")
        || [".jpg", ".jpeg", ".png"].iter().any(|end| last.ends_with(end))
        || ["snapshot", "snap", "shot", "capture"].contains(&last)
}

struct Snapshots {
    url: Address,
    patience: Duration,
}

impl Stills for Snapshots {
    fn fetch(&mut self) -> Result<Vec<u8>, Trouble> {
        let pipeline = Fetching(gst::Pipeline::new());
        let source = http::source(&self.url, self.patience)?;
        let sink = AppSink::builder().sync(false).build();
        pipeline
            .0
            .add_many([&source, sink.upcast_ref()])
            .and_then(|()| source.link(&sink))
            .map_err(|error| Trouble::unreachable(error.to_string()))?;
        // A failing change of state also posts an error, which says more.
        let _ = pipeline.0.set_state(gst::State::Playing);
        self.collect(&pipeline.0, &sink)
    }

    fn least_interval(&self) -> Duration {
        LEAST_INTERVAL
    }
}

impl Snapshots {
    fn collect(&self, pipeline: &gst::Pipeline, sink: &AppSink) -> Result<Vec<u8>, Trouble> {
        let deadline = Instant::now() + self.patience;
        let mut picture = Vec::new();
        while let Some(left) = deadline.checked_duration_since(Instant::now()) {
            let wait = gst::ClockTime::try_from(left.min(Duration::from_millis(100))).ok();
            if let Some(sample) = sink.try_pull_sample(wait) {
                if let Some(part) = sample.buffer().and_then(|buffer| buffer.map_readable().ok()) {
                    picture.extend_from_slice(&part);
                }
                if picture.len() > MAX_PICTURE_BYTES {
                    let why = format!("{} does not end: it is a stream and no snapshot", self.url);
                    return Err(Trouble::undecodable(why));
                }
                continue;
            }
            if let Some(error) = posted_error(pipeline) {
                let kind = SourceKind::Snapshot { url: self.url.clone() };
                return Err(error.explain(&kind, !picture.is_empty()));
            }
            if sink.is_eos() {
                return Ok(picture);
            }
        }
        let fault = crate::core::types::SourceFault::Stalled;
        let why = format!("{} gave no whole picture within {:?}", self.url, self.patience);
        Err(Trouble::new(fault, why))
    }
}

fn posted_error(pipeline: &gst::Pipeline) -> Option<PipelineError> {
    let message = pipeline.bus()?.pop_filtered(&[gst::MessageType::Error])?;
    let gst::MessageView::Error(error) = message.view() else { return None };
    Some(PipelineError::read(error))
}

/// Stops the pipeline however the fetch ends.
struct Fetching(gst::Pipeline);

impl Drop for Fetching {
    fn drop(&mut self) {
        let _ = self.0.set_state(gst::State::Null);
    }
}
