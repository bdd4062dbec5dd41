//! A newcomer with an invitation, as an app would be one: the simulated one, fed with what `client invite` printed.

use serde_json::{Value, json};
use strandwatch::mqtt::Tls;
use strandwatch::mqtt::enrolment::{Code, Credential};
use strandwatch::sim::newcomer::{Newcomer, NewcomerError};

use super::own::{Own, base};

/// Connects with the code that an invitation printed, or another one.
pub async fn arrives(
    own: &Own,
    invitation: &Value,
    code: &Code,
) -> Result<Newcomer, NewcomerError> {
    let tls = Tls { ca_file: Some(own.broker_folder().join("ca.pem")) };
    let port = invitation["port"].as_u64().unwrap() as u16;
    let host = invitation["host"].as_str().unwrap();
    Newcomer::connect((host, port), Some(tls), base(), code.clone()).await
}

/// The code that an invitation printed.
pub fn code(invitation: &Value) -> Code {
    Code::parse(invitation["code"].as_str().unwrap()).unwrap()
}

/// A credential in the shape that `client add` prints.
pub fn as_printed(own: &Own, credential: &Credential) -> Value {
    json!({
        "client": credential.client, "secret": credential.secret,
        "broker": { "host": "localhost", "port": own.lan_port, "tls": true },
    })
}
