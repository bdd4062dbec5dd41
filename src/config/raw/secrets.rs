//! The shape of `secrets.toml`.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use secrecy::SecretString;
use serde::Deserialize;

/// What `secrets.toml` may hold.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(in crate::config) struct Secrets {
    /// By the printer's name.
    pub printer: BTreeMap<String, PrinterSecrets>,
    /// For the broker.
    pub mqtt: MqttSecrets,
}

/// A printer's secrets.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(in crate::config) struct PrinterSecrets {
    /// Moonraker's API key.
    #[schemars(with = "Option<String>")]
    pub api_key: Option<SecretString>,
    /// By the camera's name.
    pub camera: BTreeMap<String, CameraSecrets>,
}

/// A camera's secrets.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(in crate::config) struct CameraSecrets {
    /// The password that belongs to the user name in the camera's URL.
    #[schemars(with = "Option<String>")]
    pub password: Option<SecretString>,
}

/// The broker's secrets.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(in crate::config) struct MqttSecrets {
    /// The password that belongs to `mqtt.username`.
    #[schemars(with = "Option<String>")]
    pub password: Option<SecretString>,
    /// The password that belongs to `mqtt.canary`.
    #[schemars(with = "Option<String>")]
    pub canary_password: Option<SecretString>,
    /// By the client's name.
    pub client: BTreeMap<String, ClientSecrets>,
}

/// A client's secrets.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(in crate::config) struct ClientSecrets {
    /// The key that the client signs its requests with. A client that has one is heard only with its signature.
    #[schemars(with = "Option<String>")]
    pub key: Option<SecretString>,
}
