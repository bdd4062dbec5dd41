//! RTSP, over TCP: UDP loses packets on the wireless links that printers live on, and H.264 smears for seconds then.

use std::time::Duration;

use gst::prelude::*;
use gstreamer as gst;

use crate::camera::address::Address;
use crate::camera::trouble::{Trouble, make};

use super::{Plan, StreamPlan};

pub(super) const REMEDY: &str =
    "check the address, user and password, and that the camera serves RTSP over TCP";

/// How long the jitter buffer holds packets, ms; TCP keeps their order, so little is needed.
const LATENCY_MS: u32 = 100;

pub(super) fn plan(url: &Address, patience: Duration) -> Result<Plan, Trouble> {
    let source = make("rtspsrc")?;
    source.set_property("location", url.location());
    source.set_property_from_str("protocols", "tcp");
    source.set_property("latency", LATENCY_MS);
    source.set_property("tcp-timeout", patience.as_micros() as u64);
    if let Some((user, password)) = url.login() {
        source.set_property("user-id", user);
        source.set_property("user-pw", password);
    }
    source.connect("select-stream", false, |arguments| {
        let video =
            arguments.get(2).and_then(|value| value.get::<gst::Caps>().ok()).is_some_and(|caps| {
                caps.structure(0).is_some_and(|stream| stream.get("media") == Ok("video"))
            });
        Some(video.to_value())
    });
    Ok(StreamPlan::live(vec![source, make("parsebin")?]))
}
