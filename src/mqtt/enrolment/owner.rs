//! What the owner, at the daemon's host, asks the running daemon: over our own broker, on topics that the daemon's own
//! credential alone may use. So a code passes through memory only.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::timeout;

use crate::core::authz::{DAEMON, Grant};
use crate::core::types::Name;
use crate::mqtt::managed::Settings;
use crate::mqtt::provision::ProvisionError;
use crate::mqtt::requester::Requester;
use crate::mqtt::wire::{Delivery, Qos};

/// How long the daemon may take to answer.
const PATIENCE: Duration = Duration::from_secs(15);

/// What is asked.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "ask", rename_all = "snake_case", deny_unknown_fields)]
pub enum Ask {
    /// Open an invitation.
    Invite {
        /// What the newcomer is to be allowed.
        grant: Grant,
        /// For how long, 1..=60.
        minutes: u32,
    },
    /// Who waits to be confirmed.
    Waiting,
    /// Both ends show this number: let the newcomer in.
    Confirm {
        /// Four digits.
        number: String,
    },
    /// Burn what shows this number, or the invitation of this label.
    Refuse {
        /// Four digits, or a label.
        which: String,
    },
}

/// A question on its way.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Asked {
    /// Comes back in the answer.
    pub id: String,
    /// The question.
    #[serde(flatten)]
    pub ask: Ask,
}

/// Asks the running daemon; the answer is `{"id":…,"ok":…}` or `{"id":…,"error":…}`.
///
/// # Errors
/// When no daemon answers, or what it answered.
pub async fn ask(settings: &Settings, ask: Ask) -> Result<Value, ProvisionError> {
    let base = &settings.access.base;
    let login = settings.folder.daemon_login(settings.local_port)?;
    let answers = [base.owner_response()];
    let connecting = Requester::connect(&login, base.clone(), Name::parse(DAEMON)?, &answers);
    let (requester, mut heard) = connecting.await.map_err(ProvisionError::NoDaemon)?;
    let id = format!("{:032x}", rand::random::<u128>());
    let asked = Asked { id: id.clone(), ask };
    let unanswered = |why: String| ProvisionError::Unanswered(why);
    let body = serde_json::to_vec(&asked).map_err(|error| unanswered(error.to_string()))?;
    // It expires: a code must not lie in the broker for a daemon that comes later.
    let delivery = Delivery { qos: Qos::AtLeastOnce, retain: false, expiry: Some(PATIENCE) };
    let published = requester.publish(base.owner_request(), body, delivery).await;
    published.map_err(|error| unanswered(error.to_string()))?;
    let answer = async {
        loop {
            match heard.recv().await {
                Ok(received) => {
                    let body: Value = serde_json::from_slice(&received.payload).unwrap_or_default();
                    if body["id"] == id.as_str() {
                        return Ok(body);
                    }
                }
                Err(RecvError::Lagged(_)) => {}
                Err(RecvError::Closed) => return Err("the connection is gone".to_owned()),
            }
        }
    };
    let answer = timeout(PATIENCE, answer)
        .await
        .unwrap_or_else(|_| Err("no daemon answers; is it running?".to_owned()))
        .map_err(unanswered)?;
    match answer.get("error").and_then(Value::as_str) {
        Some(why) => Err(ProvisionError::Declined(why.to_owned())),
        None => Ok(answer["ok"].clone()),
    }
}
