//! One type prints and parses every topic.

use proptest::prelude::*;
use strandwatch::core::types::Name;
use strandwatch::mqtt::topics::{BadTopic, Base, Exchange, Level, Topic};

use crate::support::mqtt::{base, name};

fn names() -> impl Strategy<Value = Name> {
    // Names that are also words of the contract are the interesting ones.
    prop_oneof![
        "[a-z0-9][a-z0-9_-]{0,20}",
        Just("client".to_owned()),
        Just("status".to_owned()),
        Just("image".to_owned()),
        Just("request".to_owned()),
    ]
    .prop_map(|text| Name::parse(&text).unwrap())
}

fn levels() -> impl Strategy<Value = Level> {
    "[^/+#\\p{C}]{0,30}".prop_map(|text| Level::parse(&text).unwrap())
}

fn exchanges() -> impl Strategy<Value = Exchange> {
    (names(), levels(), levels()).prop_map(|(client, printer, command)| Exchange {
        client,
        printer,
        command,
    })
}

fn topics() -> impl Strategy<Value = Topic> {
    prop_oneof![
        Just(Topic::Status),
        Just(Topic::Health),
        names().prop_map(Topic::Availability),
        names().prop_map(Topic::State),
        names().prop_map(Topic::Incident),
        names().prop_map(Topic::Event),
        names().prop_map(Topic::FailureImage),
        names().prop_map(Topic::PreviewImage),
        exchanges().prop_map(Topic::Request),
        exchanges().prop_map(Topic::Response),
    ]
}

fn bases() -> impl Strategy<Value = Base> {
    "[A-Za-z0-9_.-]{1,8}(/[A-Za-z0-9_.-]{1,8}){0,2}".prop_map(|text| Base::parse(&text).unwrap())
}

proptest! {
    #[test]
    fn what_is_printed_is_parsed_again(base in bases(), topic in topics()) {
        prop_assert_eq!(base.parse_topic(&base.topic(&topic)), Ok(topic));
    }

    #[test]
    fn what_is_parsed_is_printed_again(text in "strandwatch(/[a-z#+ ]{0,10}){0,6}") {
        if let Ok(topic) = base().parse_topic(&text) {
            prop_assert_eq!(base().topic(&topic), text);
        }
    }

    #[test]
    fn any_text_at_all_is_read_without_a_panic(text in ".{0,100}") {
        let _ = base().parse_topic(&text);
        let _ = Base::parse(&text);
    }
}

#[test]
fn the_topics_are_those_of_the_contract() {
    let exchange = || Exchange {
        client: name("owner"),
        printer: Level::parse("voron").unwrap(),
        command: Level::parse("pause").unwrap(),
    };
    let table = [
        (Topic::Status, "strandwatch/status"),
        (Topic::Health, "strandwatch/health"),
        (Topic::Availability(name("voron")), "strandwatch/voron/availability"),
        (Topic::State(name("voron")), "strandwatch/voron/state"),
        (Topic::Incident(name("voron")), "strandwatch/voron/incident"),
        (Topic::Event(name("voron")), "strandwatch/voron/event"),
        (Topic::FailureImage(name("voron")), "strandwatch/voron/image/failure"),
        (Topic::PreviewImage(name("voron")), "strandwatch/voron/image/preview"),
        (Topic::Request(exchange()), "strandwatch/client/owner/request/voron/pause"),
        (Topic::Response(exchange()), "strandwatch/client/owner/response/voron/pause"),
    ];
    for (topic, text) in table {
        assert_eq!(base().topic(&topic), text);
    }
}

#[test]
fn hostile_topics_are_refused() {
    let bad = |text: &str| base().parse_topic(text).unwrap_err();
    for client in ["", "..", "Owner", "ow ner", "owner%00", "-owner", "öwner"] {
        let text = format!("strandwatch/client/{client}/request/voron/pause");
        assert!(matches!(bad(&text), BadTopic::BadName { .. }), "{text}");
    }
    let long = "x".repeat(129);
    for level in ["\u{0}", "pau\nse", long.as_str()] {
        let text = format!("strandwatch/client/owner/request/voron/{level}");
        assert!(matches!(bad(&text), BadTopic::BadLevel(_)), "{text}");
    }
    for text in [
        "strandwatch",
        "strandwatch2/status",
        "other/status",
        "strandwatch/client/owner/request/voron",
        "strandwatch/client/owner/request/voron/pause/now",
        "strandwatch/client/owner/answer/voron/pause",
    ] {
        assert!(matches!(bad(text), BadTopic::Unknown(_)), "{text}");
    }
}

#[test]
fn a_base_is_plain_levels() {
    for text in ["strandwatch", "home/printers", "a.b/c_d/E-1"] {
        assert_eq!(Base::parse(text).unwrap().as_str(), text);
    }
    for text in ["", "/a", "a/", "a//b", "a/+", "#", "$SYS", "a b", "ä"] {
        let error = Base::parse(text).unwrap_err().to_string();
        assert!(error.contains(&format!("{text:?}")), "{error}");
    }
}
