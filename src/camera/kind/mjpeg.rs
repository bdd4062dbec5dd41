//! Motion JPEG over HTTP, what nearly every Klipper printer's camera speaks (crowsnest, ustreamer, mjpg-streamer,
//! camera-streamer, ESP32-CAM).

use std::time::Duration;

use gstreamer::prelude::*;

use crate::camera::address::Address;
use crate::camera::trouble::{Trouble, make};

use super::{Plan, StreamPlan, http};

pub(super) fn plan(url: &Address, patience: Duration) -> Result<Plan, Trouble> {
    let source = http::source(url, patience)?;
    source.set_property("is-live", true);
    source.set_property("do-timestamp", true);
    Ok(StreamPlan::live(vec![source, make("multipartdemux")?]))
}
