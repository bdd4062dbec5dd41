//! Whatever bytes come, nothing panics and nothing is taken that should not be. `PROPTEST_CASES` says how many are tried.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use secrecy::SecretString;
use strandwatch::core::command::{COMMANDS, id_of, parse};
use strandwatch::mqtt::enrolment::{Code, Invitation, Outcome};
use strandwatch::mqtt::signing::sign;
use strandwatch::mqtt::topics::{Exchange, Level};
use strandwatch::mqtt::{Identity, Keys};

use crate::support::mqtt::{base, name};

const TOPICS: [&str; 6] = [
    "strandwatch/status",
    "strandwatch/voron/state",
    "strandwatch/voron/image/failure",
    "strandwatch/client/phone/request/voron/pause",
    "strandwatch/client/phone/response/voron/exclude_object",
    "strandwatch/client//request//",
];

const REQUESTS: [&str; 5] = [
    r#"{"id":"1","issued_at":1700000000,"job":"j","incident":"i"}"#,
    r#"{"id":"1","issued_at":1.7e9,"client":"phone","printer":"voron","command":"pause"}"#,
    r#"{"id":"1","minutes":30}"#,
    r#"{"id":"1","issued_at":1700000000,"object":"part_\u00e9\ud83d\ude00"}"#,
    r#"{"id":"1","name":"action","value":[[[[[[[[[[{"a":{}}]]]]]]]]]]}"#,
];

const ENROLMENTS: [&str; 4] = [
    r#"{"step":"hello","name":"phone","promise":"AAAA","proof":"AAAA"}"#,
    r#"{"step":"key","key":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="}"#,
    r#"{"step":"welcome","sealed":"AAAA"}"#,
    r#"{"step":"done"}"#,
];

/// Noise, or a sample with some bytes overwritten and its end cut off.
fn damaged(samples: &'static [&'static str]) -> impl Strategy<Value = Vec<u8>> {
    let edits = vec((any::<Index>(), any::<u8>()), 0..5);
    let spoilt = (select(samples), edits, any::<Index>(), any::<bool>()).prop_map(
        |(sample, edits, end, cut)| {
            let mut bytes = sample.as_bytes().to_vec();
            for (at, byte) in edits {
                let at = at.index(bytes.len());
                bytes[at] = byte;
            }
            if cut {
                bytes.truncate(end.index(sample.len()));
            }
            bytes
        },
    );
    prop_oneof![1 => vec(any::<u8>(), 0..200), 4 => spoilt]
}

fn phones() -> Exchange {
    let level = |text: &str| Level::parse(text).unwrap();
    Exchange { client: name("phone"), printer: level("voron"), command: level("pause") }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn arbitrary_topics_are_none_or_print_as_they_came(bytes in damaged(&TOPICS)) {
        let text = String::from_utf8_lossy(&bytes);
        if let Ok(topic) = base().parse_topic(&text) {
            prop_assert_eq!(base().topic(&topic), text);
        }
    }

    #[test]
    fn arbitrary_requests_are_refused_or_have_a_short_id(
        bytes in damaged(&REQUESTS), row in 0..COMMANDS.len(),
    ) {
        prop_assert!(id_of(&bytes).is_none_or(|id| id.chars().count() <= 64));
        if let Ok(request) = parse(&COMMANDS[row], &bytes) {
            prop_assert!((1..=64).contains(&request.id.chars().count()));
        }
    }

    #[test]
    fn arbitrary_signatures_are_nobodys(bytes in damaged(&REQUESTS), digits in vec(any::<u8>(), 60..70), bare in any::<bool>()) {
        let keys = Keys::default();
        let key = SecretString::from("a key of the phone");
        keys.set([(name("phone"), key.clone())].into());
        let identity = Identity { keys, ..Identity::default() };
        let payload = if bare { bytes } else { [b"hmac-sha256 ", &digits[..], b" ", &bytes[..]].concat() };
        let (sender, _) = identity.of(&phones(), &payload);
        prop_assert!(sender.is_err());
        // Rightly signed: taken only if the body names its topic.
        let body = String::from_utf8_lossy(&payload);
        let signed = sign(&key, &body);
        if identity.of(&phones(), signed.as_bytes()).0.is_ok() {
            prop_assert!(body.contains("voron") && body.contains("pause"));
        }
    }

    #[test]
    fn arbitrary_newcomers_are_turned_away(bytes in damaged(&ENROLMENTS), typed in "\\PC{0,30}") {
        prop_assert!(Code::parse(&typed).is_err());
        let code = Code::parse("01234-56789-ABCDE-FGHJK").unwrap();
        let grant = strandwatch::core::authz::Grant { rights: [].into(), printers: None };
        let until = tokio::time::Instant::now();
        let mut invitation = Invitation::new(code, grant, "strandwatch", until);
        prop_assert!(matches!(invitation.hear(&bytes, |_| Ok(())), Outcome::Burn(_)));
    }
}
