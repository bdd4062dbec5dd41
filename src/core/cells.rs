//! Cells of a failure map as text: two characters a cell where every one is a whole number of thousandths, as a journal
//! keeps them, and a list of numbers otherwise. A journal is a third as long so, and read ten times as fast.

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// 0..=63 as characters that need no escape.
pub(super) const DIGITS: &[u8; 64] =
    b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
/// Thousandths go up to this; larger numbers are runs of zeros.
const MOST: usize = 1_000;
/// The longest run of zeros that one number stands for.
const LONGEST_RUN: usize = 64 * 64 - 1 - MOST;

/// Writes them.
pub fn serialize<S: Serializer>(cells: &[f32], to: S) -> Result<S::Ok, S::Error> {
    match packed(cells) {
        Some(text) => to.serialize_str(&text),
        None => cells.serialize(to),
    }
}

/// Reads either form.
pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<f32>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Either<'a> {
        Packed(#[serde(borrow)] std::borrow::Cow<'a, str>),
        Numbers(Vec<f32>),
    }
    match Either::deserialize(from)? {
        Either::Numbers(cells) => Ok(cells),
        Either::Packed(text) => unpacked(&text).ok_or_else(|| {
            serde::de::Error::custom("cells are not packed as pairs of A-Z a-z 0-9 - _")
        }),
    }
}

/// `None` when a cell is no whole number of thousandths from 0 to 1.
fn packed(cells: &[f32]) -> Option<String> {
    let mut text = String::with_capacity(cells.len() * 2);
    let mut put = |number: usize| {
        for digit in [number / 64, number % 64] {
            text.push(char::from(DIGITS[digit]));
        }
    };
    let mut zeros = 0;
    for &cell in cells {
        let thousandths = (cell * 1e3).round();
        // Exactly, sign of zero included: what is read must be what was written.
        if !(0.0..=MOST as f32).contains(&thousandths)
            || (thousandths as u16 as f32 / 1e3).to_bits() != cell.to_bits()
        {
            return None;
        }
        if thousandths == 0.0 && zeros < LONGEST_RUN {
            zeros += 1;
            continue;
        }
        if zeros > 0 {
            put(MOST + std::mem::take(&mut zeros));
        }
        put(thousandths as usize);
    }
    if zeros > 0 {
        put(MOST + zeros);
    }
    Some(text)
}

fn unpacked(text: &str) -> Option<Vec<f32>> {
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    let mut cells = Vec::with_capacity(pairs.len());
    for [high, low] in pairs {
        match digit(*high)? * 64 + digit(*low)? {
            number @ ..=MOST => cells.push(number as f32 / 1e3),
            run => cells.resize(cells.len() + run - MOST, 0.0),
        }
    }
    rest.is_empty().then_some(cells)
}

/// Which of [`DIGITS`] a byte is.
pub(super) fn digit(byte: u8) -> Option<usize> {
    match byte {
        b'A'..=b'Z' => Some(usize::from(byte - b'A')),
        b'a'..=b'z' => Some(usize::from(byte - b'a') + 26),
        b'0'..=b'9' => Some(usize::from(byte - b'0') + 52),
        b'-' => Some(62),
        b'_' => Some(63),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn thousandths_are_packed_and_anything_else_is_not() {
        assert_eq!(packed(&[0.0, 0.0, 0.001, 1.0]).as_deref(), Some("PqABPo"));
        for cell in [0.000_5, -0.001, 1.001, -0.0, f32::NAN, -1.0] {
            assert_eq!(packed(&[cell]), None, "{cell}");
        }
        assert_eq!(unpacked("AB!B"), None);
        assert_eq!(unpacked("ABA"), None);
    }

    proptest! {
        #[test]
        fn what_is_packed_comes_back(thousandths in proptest::collection::vec(prop_oneof![Just(0u16), 0u16..=1_000], 0..5_000)) {
            let cells: Vec<f32> = thousandths.iter().map(|&t| f32::from(t) / 1e3).collect();
            prop_assert_eq!(unpacked(&packed(&cells).unwrap()).unwrap(), cells);
        }
    }
}
