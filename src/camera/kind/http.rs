//! What the kinds that speak HTTP share.

use std::time::Duration;

use gst::prelude::*;
use gstreamer as gst;

use crate::camera::address::Address;
use crate::camera::trouble::{Trouble, make};

pub(super) const REMEDY: &str = "check the address, and that the camera's service (crowsnest, ustreamer, …) is running and reachable from here";

/// A `souphttpsrc` on `address`.
///
/// It must not retry by itself (a broken connection would be patched over unseen), must not ask for radio titles
/// between the data (some cameras choke on the header). A silent server is noticed after `patience` by whoever reads;
/// the element's own time limit, which would call it a broken connection, only guards against being forgotten.
pub(super) fn source(address: &Address, patience: Duration) -> Result<gst::Element, Trouble> {
    let source = make("souphttpsrc")?;
    source.set_property("location", address.location());
    source.set_property("user-agent", concat!("strandwatch/", env!("CARGO_PKG_VERSION")));
    source.set_property("retries", 0_i32);
    source.set_property("iradio-mode", false);
    source.set_property("timeout", (2 * patience.as_secs() + 5).min(3600) as u32);
    if let Some((user, password)) = address.login() {
        source.set_property("user-id", user);
        source.set_property("user-pw", password);
    }
    Ok(source)
}
