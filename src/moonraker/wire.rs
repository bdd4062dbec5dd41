//! JSON-RPC 2.0 as Moonraker speaks it (<https://www.jsonrpc.org/specification>).

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// The notifications that are read; all others are passed over unparsed.
const NOTIFICATIONS: [&str; 6] = [
    "notify_status_update",
    "notify_klippy_ready",
    "notify_klippy_shutdown",
    "notify_klippy_disconnected",
    "notify_webcams_changed",
    super::macros::METHOD,
];

/// An error that Moonraker answered with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refusal {
    /// JSON-RPC's code, or Moonraker's HTTP status.
    pub(super) code: i64,
    /// For people; errors of Klippy's are passed on word by word.
    pub(super) message: String,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (code {})", self.message.trim(), self.code)
    }
}

/// A message from the peer.
#[derive(Debug, PartialEq)]
pub(super) enum Message {
    /// The answer to our request `id`.
    Reply { id: u64, answer: Result<Value, Refusal> },
    /// One of [`NOTIFICATIONS`].
    Notification { method: &'static str, params: Value },
    /// A request to us, as some client may call an agent.
    Request { id: Value },
    /// Well-formed, and of no interest.
    Other,
}

#[derive(Serialize)]
struct Request<'a> {
    jsonrpc: &'static str,
    id: u64,
    method: &'a str,
    #[serde(skip_serializing_if = "Value::is_null")]
    params: Value,
}

/// A request; `params` is an object, or null for none.
pub(super) fn request(id: u64, method: &str, params: Value) -> String {
    let request = Request { jsonrpc: "2.0", id, method, params };
    serde_json::to_string(&request).unwrap_or_default()
}

/// The answer to a request that we do not serve.
pub(super) fn no_such_method(id: &Value) -> String {
    json!({ "jsonrpc": "2.0", "id": id, "error": { "code": -32601, "message": "Method not found" } })
        .to_string()
}

/// What a message is, read without building the rest of it.
#[derive(Deserialize)]
struct Head {
    #[serde(default)]
    method: Option<Value>,
    #[serde(default)]
    id: Option<Value>,
}

#[derive(Deserialize)]
struct Params {
    #[serde(default)]
    params: Value,
}

#[derive(Deserialize)]
struct Answer {
    #[serde(default)]
    result: Value,
    #[serde(default)]
    error: Option<Value>,
}

/// Reads one message; `None` when it is no JSON object.
pub(super) fn parse(frame: &[u8]) -> Option<Message> {
    if frame.trim_ascii_start().first() != Some(&b'{') {
        return None;
    }
    let head: Head = serde_json::from_slice(frame).ok()?;
    Some(match (head.method, head.id.filter(|id| !id.is_null())) {
        (Some(_), Some(id)) => Message::Request { id },
        (Some(method), None) => {
            let Some(method) = NOTIFICATIONS.into_iter().find(|known| method == *known) else {
                return Some(Message::Other);
            };
            let Params { params } = serde_json::from_slice(frame).ok()?;
            Message::Notification { method, params }
        }
        (None, Some(id)) => {
            let Some(id) = id.as_u64() else { return Some(Message::Other) };
            let Answer { result, error } = serde_json::from_slice(frame).ok()?;
            Message::Reply { id, answer: error.map_or(Ok(result), |error| Err(refusal(&error))) }
        }
        (None, None) => Message::Other,
    })
}

fn refusal(error: &Value) -> Refusal {
    let message = error.get("message").and_then(Value::as_str).map(str::to_owned);
    Refusal {
        code: error.get("code").and_then(Value::as_i64).unwrap_or(0),
        message: message.unwrap_or_else(|| error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;
    use proptest::sample::{Index, select};

    use super::*;
    use crate::moonraker::status::Merged;

    const FRAMES: [&str; 4] = [
        r#"{"jsonrpc":"2.0","result":{"status":{}},"id":7}"#,
        r#"{"jsonrpc":"2.0","error":{"code":503,"message":"no"},"id":8}"#,
        r#"{"jsonrpc":"2.0","method":"notify_status_update","params":[{"print_stats":{"state":"printing","info":{"current_layer":null}},"exclude_object":{"objects":[{"name":"a","center":[1,2],"polygon":[[0,0],[1,1]]}]}},12.5]}"#,
        r#"{"jsonrpc":"2.0","method":"notify_status_update","params":[{"virtual_sdcard":{"progress":0.5},"toolhead":{"position":[1,2,3,4]},"idle_timeout":{"state":"Idle"},"webhooks":{"state":"ready"},"pause_resume":{"is_paused":true}},1]}"#,
    ];

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn arbitrary_frames_of_moonraker_leave_a_status_that_makes_sense(
            sample in select(&FRAMES[..]),
            edits in vec((any::<Index>(), any::<u8>()), 0..5),
        ) {
            let mut bytes = sample.as_bytes().to_vec();
            for (at, byte) in edits {
                let at = at.index(bytes.len());
                bytes[at] = byte;
            }
            let mut merged = Merged::default();
            if let Some(Message::Notification { params, .. }) = parse(&bytes) {
                merged.merge(&params[0]);
            }
            let progress = merged.status().progress;
            prop_assert!(progress.is_none_or(|progress| (0.0..=1.0).contains(&progress)));
        }
    }

    fn parsed(text: &str) -> Message {
        parse(text.as_bytes()).unwrap()
    }

    #[test]
    fn replies_carry_a_result_or_a_refusal() {
        let ok = parsed(r#"{"jsonrpc":"2.0","result":"ok","id":7,"extra":[1]}"#);
        assert_eq!(ok, Message::Reply { id: 7, answer: Ok(json!("ok")) });
        let refused = parsed(
            r#"{"jsonrpc":"2.0","error":{"code":503,"message":"Klippy Host not connected"},"id":8}"#,
        );
        let Message::Reply { id: 8, answer: Err(refusal) } = refused else { panic!("{refused:?}") };
        assert_eq!(refusal.to_string(), "Klippy Host not connected (code 503)");
        let odd = parsed(r#"{"error":"boom","id":9}"#);
        assert!(matches!(odd, Message::Reply { id: 9, answer: Err(_) }), "{odd:?}");
    }

    #[test]
    fn only_known_notifications_are_read() {
        let known = parsed(r#"{"jsonrpc":"2.0","method":"notify_klippy_ready"}"#);
        assert_eq!(
            known,
            Message::Notification { method: "notify_klippy_ready", params: Value::Null }
        );
        for text in [
            r#"{"method":"notify_proc_stat_update","params":[{"cpu":1}]}"#,
            r#"{"method":7}"#,
            r#"{"id":null,"error":{"code":-32700,"message":"Parse error"}}"#,
            r#"{"id":"theirs","result":1}"#,
            "{}",
        ] {
            assert_eq!(parsed(text), Message::Other, "{text}");
        }
    }

    #[test]
    fn garbage_is_nothing_and_a_request_is_answered_politely() {
        for garbage in ["", "hello", "[1,2]", "{\"id\":", "\u{0}"] {
            assert!(parse(garbage.as_bytes()).is_none(), "{garbage:?}");
        }
        let call = parsed(r#"{"jsonrpc":"2.0","method":"poke","id":"x1"}"#);
        let Message::Request { id } = call else { panic!("{call:?}") };
        assert!(no_such_method(&id).contains("x1"));
    }
}
