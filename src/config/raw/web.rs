//! The shape of `[web]`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What Strandwatch sees, as a webcam for Mainsail and Fluidd: it draws and serves the frames that it scores, and puts
/// the camera into Moonraker's list while it runs.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(in crate::config) struct Web {
    /// Address and port to serve at. Without it nothing is served. Whoever can reach it can look, and do nothing else: an
    /// address of this host alone leaves it to the web server in front (klipper/README.md has the lines for it).
    #[schemars(example = &"127.0.0.1:7130")]
    pub listen: Option<String>,
    /// How a browser gets there: a path of the web server in front, or an address. Without it: `/strandwatch` for an
    /// address of this host alone, else the address itself.
    #[schemars(example = &"/strandwatch")]
    pub url: Option<String>,
}
