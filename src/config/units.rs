//! Durations and sizes as people write them: `"10s"`, `"1h30m"`, `"500MB"`.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

/// A duration written as numbers with units, largest first: `"500ms"`, `"10s"`, `"5m"`, `"1h30m"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub(super) struct Span(pub Duration);

/// A number of bytes written with a unit: `"500MB"`, `"2GiB"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub(super) struct Bytes(pub u64);

/// The text is not a duration or a size.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(super) struct BadUnit(pub &'static str);

/// Largest first, as [`Span`]'s text is written.
const TIMES: [(&str, u64); 4] = [("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)];

const SIZES: [(&str, u64); 7] = [
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
    ("KB", 1000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
    ("B", 1),
];

impl FromStr for Span {
    type Err = BadUnit;

    fn from_str(text: &str) -> Result<Self, BadUnit> {
        const BAD: BadUnit =
            BadUnit("a duration: whole numbers with the units h, m, s or ms, such as \"1m30s\"");
        let (mut rest, mut total, mut units) = (text, 0_u64, TIMES.iter());
        while !rest.is_empty() {
            let digits = rest.find(|c: char| !c.is_ascii_digit()).ok_or(BAD)?;
            let number: u64 = rest[..digits].parse().map_err(|_| BAD)?;
            rest = &rest[digits..];
            let letters = rest.find(|c: char| c.is_ascii_digit()).unwrap_or(rest.len());
            // Searching onwards only: each unit at most once, the largest first.
            let (_, ms) = units.find(|(unit, _)| *unit == &rest[..letters]).ok_or(BAD)?;
            total = number.checked_mul(*ms).and_then(|part| total.checked_add(part)).ok_or(BAD)?;
            rest = &rest[letters..];
        }
        if text.is_empty() { Err(BAD) } else { Ok(Self(Duration::from_millis(total))) }
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rest = u64::try_from(self.0.as_millis()).unwrap_or(u64::MAX);
        if rest == 0 {
            return f.write_str("0s");
        }
        for (unit, ms) in TIMES {
            if rest >= ms {
                write!(f, "{}{unit}", rest / ms)?;
                rest %= ms;
            }
        }
        Ok(())
    }
}

impl FromStr for Bytes {
    type Err = BadUnit;

    fn from_str(text: &str) -> Result<Self, BadUnit> {
        const BAD: BadUnit = BadUnit(
            "a size: a whole number with the unit B, KB, MB, GB, KiB, MiB or GiB, such as \"500MB\"",
        );
        let digits = text.find(|c: char| !c.is_ascii_digit()).ok_or(BAD)?;
        let number: u64 = text[..digits].parse().map_err(|_| BAD)?;
        let (_, bytes) = SIZES.iter().find(|(unit, _)| *unit == &text[digits..]).ok_or(BAD)?;
        number.checked_mul(*bytes).map(Self).ok_or(BAD)
    }
}

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fits = |(_, bytes): &&(&str, u64)| self.0 >= *bytes && self.0.is_multiple_of(*bytes);
        let (unit, bytes) = SIZES.iter().filter(fits).max_by_key(|(_, b)| *b).unwrap_or(&("B", 1));
        write!(f, "{}{unit}", self.0 / bytes)
    }
}

macro_rules! text_in_config {
    ($type:ident, $format:literal) => {
        impl TryFrom<String> for $type {
            type Error = BadUnit;
            fn try_from(text: String) -> Result<Self, BadUnit> {
                text.parse()
            }
        }

        impl From<$type> for String {
            fn from(value: $type) -> Self {
                value.to_string()
            }
        }

        impl JsonSchema for $type {
            fn schema_name() -> Cow<'static, str> {
                stringify!($type).into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({ "type": "string", "format": $format })
            }

            fn inline_schema() -> bool {
                true
            }
        }
    };
}

text_in_config!(Span, "duration");
text_in_config!(Bytes, "size");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_as_people_write_them() {
        for (text, ms) in [
            ("500ms", 500),
            ("10s", 10_000),
            ("5m", 300_000),
            ("1h30m", 5_400_000),
            ("1m30s5ms", 90_005),
            ("0s", 0),
        ] {
            let span: Span = text.parse().unwrap();
            assert_eq!(span.0, Duration::from_millis(ms), "{text}");
            assert_eq!(span.to_string(), text);
        }
    }

    #[test]
    fn what_is_no_duration_is_refused() {
        for text in
            ["", "10", "s", "10 s", "-1s", "1.5s", "10x", "1s1m", "1s1s", "99999999999999999999s"]
        {
            assert!(text.parse::<Span>().is_err(), "{text:?} was taken");
        }
    }

    #[test]
    fn sizes_read_as_people_write_them() {
        for (text, bytes) in
            [("500MB", 500_000_000), ("2GiB", 2 << 30), ("1KB", 1000), ("7B", 7), ("0B", 0)]
        {
            let size: Bytes = text.parse().unwrap();
            assert_eq!(size.0, bytes, "{text}");
            assert_eq!(size.to_string(), text);
        }
        for text in ["", "5", "MB", "5mb", "-1B", "99999999999GiB"] {
            assert!(text.parse::<Bytes>().is_err(), "{text:?} was taken");
        }
    }
}
