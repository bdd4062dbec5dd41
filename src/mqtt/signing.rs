//! Who sent a request: the client in its topic, where the broker enforces that, or the holder of a key, where the request
//! bears a signature.
//!
//! A signed request is `hmac-sha256 <64 hex digits> <body>`. The digits are HMAC-SHA256 (RFC 2104) of the exact bytes of the
//! body under the bytes of the client's key as it is written. In the body stand, beside what every request has, `client`,
//! `printer` and `command` as the topic has them, so that the signature is good for nothing else, and `issued_at`, so that
//! its `id` need not be remembered for ever.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

use hmac::{Hmac, KeyInit, Mac};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Map, Value};
use sha2::Sha256;

use super::topics::Exchange;
use crate::core::authz::{Principal, Trust, VerifiedCredential};
use crate::core::command::MAX_REQUEST_BYTES;
use crate::core::types::Name;
use crate::ports::Unverified;

/// What a signed request begins with.
const SCHEME: &[u8] = b"hmac-sha256 ";

/// The signing keys by client. A handle: what is set through one is seen through all.
#[derive(Debug, Clone, Default)]
pub struct Keys(Arc<RwLock<BTreeMap<Name, SecretString>>>);

impl Keys {
    /// Replaces all keys.
    pub fn set(&self, keys: BTreeMap<Name, SecretString>) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = keys;
    }

    /// How many clients have one.
    pub fn count(&self) -> usize {
        self.0.read().unwrap_or_else(PoisonError::into_inner).len()
    }

    fn get(&self, client: &Name) -> Option<SecretString> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).get(client).cloned()
    }
}

/// What shows who sends a request.
#[derive(Debug, Clone, Default)]
pub struct Identity {
    /// What is trusted where there is no signature.
    pub trust: Trust,
    /// A client that has a key is heard only with its signature.
    pub keys: Keys,
}

impl Identity {
    /// Who sent `payload` on the topic of `exchange`, and the body without its signature.
    pub fn of<'a>(
        &self,
        exchange: &Exchange,
        payload: &'a [u8],
    ) -> (Result<Principal, Unverified>, &'a [u8]) {
        let client = exchange.client.clone();
        let signed = Signed::split(payload);
        let body = signed.as_ref().map_or(payload, |signed| signed.body);
        let credential = match (signed, self.keys.get(&client)) {
            (Some(signed), Some(key)) => signed
                .verify(&key, exchange)
                .map(|()| VerifiedCredential::SignedRequest(client.clone()))
                .map_err(|bad| bad.to_string()),
            (Some(_), None) => Err(format!("it is signed, and {client} has no signing key here")),
            (None, Some(_)) => Err(format!("{client} has a signing key, and this is not signed")),
            (None, None) => match self.trust {
                Trust::Isolation => Ok(VerifiedCredential::BrokerEnforcedTopic(client.clone())),
                Trust::AnyLogin => Ok(VerifiedCredential::DeclaredByOwner(client.clone())),
                Trust::Signatures => Err(format!(
                    "requests must be signed (mqtt.trust = \"signatures\"), and {client} has no signing key here"
                )),
            },
        };
        let sender = credential
            .and_then(|verified| Principal::new(verified).map_err(|reserved| reserved.to_string()))
            .map_err(|why| Unverified { claimed: client, why });
        (sender, body)
    }
}

/// Why a signature does not hold.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadSignature {
    /// Not the shape of a signed request.
    #[error(
        "a signed request is \"hmac-sha256\", 64 hex digits and the body, with a space between"
    )]
    Shape,
    /// Longer than a request may be.
    #[error("its body has {0} bytes, more than the {MAX_REQUEST_BYTES} allowed")]
    TooLong(usize),
    /// By another key, or over another body.
    #[error("the signature is not by this client's key over this body")]
    Mismatch,
    /// It holds, over something that is not tied to this topic or time.
    #[error("a signed body must hold {0}")]
    Unbound(String),
}

/// A payload that claims to be signed.
struct Signed<'a> {
    /// As it came; 64 hex digits if it is well-formed.
    digits: &'a [u8],
    body: &'a [u8],
}

impl<'a> Signed<'a> {
    fn split(payload: &'a [u8]) -> Option<Self> {
        let rest = payload.strip_prefix(SCHEME)?;
        let end = rest.iter().position(|byte| *byte == b' ').unwrap_or(rest.len());
        Some(Self { digits: &rest[..end], body: rest.get(end + 1..).unwrap_or_default() })
    }

    fn verify(&self, key: &SecretString, exchange: &Exchange) -> Result<(), BadSignature> {
        if self.body.len() > MAX_REQUEST_BYTES {
            return Err(BadSignature::TooLong(self.body.len()));
        }
        let given = from_hex(self.digits).ok_or(BadSignature::Shape)?;
        // `verify_slice` takes the same time wherever the two differ.
        mac(key, self.body).verify_slice(&given).map_err(|_| BadSignature::Mismatch)?;
        let unbound = |what: &str| BadSignature::Unbound(what.to_owned());
        let body: Map<String, Value> = serde_json::from_slice(self.body)
            .map_err(|error| unbound(&format!("a JSON object, and this is none: {error}")))?;
        for (key, is) in [
            ("client", exchange.client.as_str()),
            ("printer", exchange.printer.as_str()),
            ("command", exchange.command.as_str()),
        ] {
            match body.get(key).and_then(Value::as_str) {
                Some(said) if said == is => {}
                _ => return Err(unbound(&format!("{key:?}: {is:?}, as its topic does"))),
            }
        }
        match (body.get("id"), body.get("issued_at")) {
            (Some(Value::String(_)), Some(Value::Number(_))) => Ok(()),
            _ => Err(unbound("\"id\" and \"issued_at\", in Unix seconds")),
        }
    }
}

/// The signed form of `body` under `key`.
pub fn sign(key: &SecretString, body: &str) -> String {
    let digest = mac(key, body.as_bytes()).finalize().into_bytes();
    let digits: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("hmac-sha256 {digits} {body}")
}

fn mac(key: &SecretString, body: &[u8]) -> Hmac<Sha256> {
    // A key of any length will do: longer ones than a block are hashed.
    let mut mac = Hmac::<Sha256>::new_from_slice(key.expose_secret().as_bytes())
        .unwrap_or_else(|_| unreachable!("HMAC takes keys of every length"));
    mac.update(body);
    mac
}

fn from_hex(digits: &[u8]) -> Option<[u8; 32]> {
    let digits: &[u8; 64] = digits.try_into().ok()?;
    let value = |digit: u8| char::from(digit).to_digit(16).and_then(|v| u8::try_from(v).ok());
    let mut bytes = [0; 32];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = value(pair[0])? << 4 | value(pair[1])?;
    }
    Some(bytes)
}
