//! Signed requests: whose signature holds, over what, and for which topic.

use proptest::prelude::*;
use secrecy::SecretString;
use strandwatch::core::authz::Trust;
use strandwatch::mqtt::signing::sign;
use strandwatch::mqtt::topics::{Exchange, Level};
use strandwatch::mqtt::{Identity, Keys};

use crate::support::mqtt::name;

/// The example of `config/README.md`.
const KEY: &str = "5a0f1c7e9d3b48a6b2e4f6081a3c5d7e9fb1c3d5e7091b2d4f6a8c0e1f3b5d70";
const BODY: &str =
    r#"{"id":"1","issued_at":1700000000,"client":"phone","printer":"voron","command":"pause"}"#;
const SIGNED: &str = r#"hmac-sha256 6fd29f686e36995d3bc4ac07fd400fd84a513dd94a70fa3f8fb4f93735d57752 {"id":"1","issued_at":1700000000,"client":"phone","printer":"voron","command":"pause"}"#;

fn key(text: &str) -> SecretString {
    SecretString::from(text.to_owned())
}

fn topic(client: &str, printer: &str, command: &str) -> Exchange {
    let level = |text: &str| Level::parse(text).unwrap();
    Exchange { client: name(client), printer: level(printer), command: level(command) }
}

/// `phone` and `tablet` have keys, `panel` has none.
fn identity(trust: Trust) -> Identity {
    let keys = Keys::default();
    keys.set([(name("phone"), key(KEY)), (name("tablet"), key(&KEY.replace('5', "6")))].into());
    Identity { trust, keys }
}

/// Why `payload` is not taken on this topic; panics when it is.
#[track_caller]
fn refused(trust: Trust, exchange: &Exchange, payload: &[u8]) -> String {
    let identity = identity(trust);
    let (sender, _) = identity.of(exchange, payload);
    let unverified = sender.unwrap_err();
    assert_eq!(unverified.claimed, exchange.client);
    unverified.why
}

#[test]
fn the_example_of_the_documentation_is_what_is_signed_and_taken() {
    assert_eq!(sign(&key(KEY), BODY), SIGNED);
    let page = include_str!("../../../config/README.md");
    assert!(page.contains(KEY) && page.contains(SIGNED), "the example is not in the page");
    for trust in [Trust::Isolation, Trust::Signatures, Trust::AnyLogin] {
        let identity = identity(trust);
        let (sender, body) = identity.of(&topic("phone", "voron", "pause"), SIGNED.as_bytes());
        assert_eq!(sender.unwrap().name(), &name("phone"));
        assert_eq!(body, BODY.as_bytes(), "the exact bytes that were signed go on");
    }
}

#[test]
fn a_signature_is_good_for_its_client_printer_and_command_only() {
    for (exchange, why) in [
        (topic("tablet", "voron", "pause"), "not by this client's key"),
        (topic("panel", "voron", "pause"), "panel has no signing key"),
        (topic("phone", "ender", "pause"), "\"printer\": \"ender\""),
        (topic("phone", "voron", "cancel"), "\"command\": \"cancel\""),
    ] {
        let said = refused(Trust::Isolation, &exchange, SIGNED.as_bytes());
        assert!(said.contains(why), "{why:?} is not in {said:?}");
    }
    // Two clients that share a key are still two.
    let identity = identity(Trust::Isolation);
    identity.keys.set([(name("phone"), key(KEY)), (name("panel"), key(KEY))].into());
    let (sender, _) = identity.of(&topic("panel", "voron", "pause"), SIGNED.as_bytes());
    assert!(sender.unwrap_err().why.contains("\"client\": \"panel\""));
}

#[test]
fn a_client_with_a_key_is_not_heard_without_its_signature() {
    for trust in [Trust::Isolation, Trust::Signatures, Trust::AnyLogin] {
        let said = refused(trust, &topic("phone", "voron", "pause"), BODY.as_bytes());
        assert!(said.contains("phone has a signing key, and this is not signed"), "{said}");
    }
}

#[test]
fn without_a_key_it_depends_on_what_is_trusted() {
    let panel = topic("panel", "voron", "pause");
    for trust in [Trust::Isolation, Trust::AnyLogin] {
        assert_eq!(identity(trust).of(&panel, b"{}").0.unwrap().name(), &name("panel"));
    }
    let said = refused(Trust::Signatures, &panel, b"{}");
    assert!(said.contains("must be signed") && said.contains("panel has no signing key"), "{said}");
}

#[test]
fn a_signed_body_must_be_tied_to_its_topic_and_time() {
    for (body, missing) in [
        (r#"{"id":"1","issued_at":1,"printer":"voron","command":"pause"}"#, "\"client\""),
        (r#"{"id":"1","issued_at":1,"client":"phone","command":"pause"}"#, "\"printer\""),
        (r#"{"id":"1","issued_at":1,"client":"phone","printer":"voron"}"#, "\"command\""),
        (r#"{"issued_at":1,"client":"phone","printer":"voron","command":"pause"}"#, "\"id\""),
        (r#"{"id":"1","client":"phone","printer":"voron","command":"pause"}"#, "\"issued_at\""),
        ("[]", "a JSON object"),
        ("", "a JSON object"),
    ] {
        let signed = sign(&key(KEY), body);
        let said = refused(Trust::Isolation, &topic("phone", "voron", "pause"), signed.as_bytes());
        assert!(said.contains(missing), "{missing:?} is not in {said:?}");
    }
    let long = format!("{}{}", &BODY[..BODY.len() - 1], " ".repeat(5_000)) + "}";
    let signed = sign(&key(KEY), &long);
    let said = refused(Trust::Isolation, &topic("phone", "voron", "pause"), signed.as_bytes());
    assert!(said.contains("more than the 4096"), "{said}");
    for malformed in ["hmac-sha256 ", "hmac-sha256 zz {}", "hmac-sha256  {}", &SIGNED[..70]] {
        refused(Trust::Isolation, &topic("phone", "voron", "pause"), malformed.as_bytes());
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn one_byte_changed_anywhere_and_it_is_refused(at in 0..SIGNED.len(), change in 1..=255u8) {
        let mut payload = SIGNED.as_bytes().to_vec();
        payload[at] ^= change;
        let identity = identity(Trust::Isolation);
        let (sender, _) = identity.of(&topic("phone", "voron", "pause"), &payload);
        // The digits may be written in capitals as well: the signature is the same then.
        let same = payload.eq_ignore_ascii_case(SIGNED.as_bytes()) && (12..76).contains(&at);
        prop_assert_eq!(sender.is_ok(), same);
    }

    #[test]
    fn any_bytes_at_all_are_judged_without_a_panic(payload in prop::collection::vec(any::<u8>(), 0..200)) {
        let signed = [b"hmac-sha256 ".to_vec(), payload.clone()].concat();
        for payload in [payload, signed] {
            let identity = identity(Trust::Signatures);
            prop_assert!(identity.of(&topic("phone", "voron", "pause"), &payload).0.is_err());
        }
    }
}
