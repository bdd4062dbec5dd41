//! `[home_assistant]`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Home Assistant, where it uses the same broker: every printer appears there by itself.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(in crate::config) struct HomeAssistant {
    /// Whether to appear there. `false` takes back what appeared.
    pub enabled: bool,
    /// The client that Home Assistant is: its user name at the broker. Its buttons and settings are those that this client
    /// has the rights for; a client that is not listed only sees.
    pub client: String,
    /// The discovery prefix that is set in Home Assistant's MQTT integration.
    pub discovery_prefix: String,
    /// The topic of the birth message that is set there.
    pub birth_topic: String,
}

impl Default for HomeAssistant {
    fn default() -> Self {
        Self {
            enabled: true,
            client: "homeassistant".to_owned(),
            discovery_prefix: "homeassistant".to_owned(),
            birth_topic: "homeassistant/status".to_owned(),
        }
    }
}
