//! HTTP live streaming: a playlist of short files. Read by `hlsdemux`; the newer `hlsdemux2` only works inside playbin3.

use std::time::Duration;

use crate::camera::address::Address;
use crate::camera::trouble::{Trouble, make};

use super::{Plan, StreamPlan, http};

pub(super) fn plan(url: &Address, patience: Duration) -> Result<Plan, Trouble> {
    let elements = vec![http::source(url, patience)?, make("hlsdemux")?, make("parsebin")?];
    Ok(Plan::Stream(StreamPlan { elements, paced: true, repeats: false }))
}

pub(super) fn is_playlist(url: &Address) -> bool {
    url.path().ends_with(".m3u8")
}
