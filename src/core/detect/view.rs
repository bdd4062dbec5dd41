//! Whether a camera still looks at what it looked at: a small signature of each picture against what was stable in
//! those before.
//!
//! The signature is the sign of the brightness step between neighbouring blocks: light and exposure change it little,
//! a camera that was pushed by more than a block changes half of it. Head, bed and print move all the time, so only
//! blocks that have kept their sign are compared, and only what is seen while the printer moves is learned: after a long
//! heating the parked head would be a part of the room, and the first move of the bed a pushed camera. (In 20 webcam
//! sequences of real bed slingers half of the signs differ from one picture to another, nearly as many as after a push.)

use serde::{Deserialize, Serialize};

/// Steps a row.
pub const VIEW_COLUMNS: usize = 32;
/// Rows of steps.
pub const VIEW_ROWS: usize = 24;
/// A reference is made of this many signatures before it can disagree.
const LEAST_SEEN: u16 = 12;
/// Older signatures weigh as this many.
const MOST_SEEN: u16 = 40;
/// A mean sign of this many hundredths is stable.
const STABLE: i8 = 80;
/// With fewer stable steps to compare nothing can be said: darkness, a plain wall.
const LEAST_COMPARED: usize = 40;
/// Under this part of signs kept the view is another. Rendered prints keep 0.8 and more whatever the head, the light and
/// people do; pushed by a block to the side they keep 0.3.
const SAME_VIEW: f32 = 0.65;
/// So many signatures in a row must say so: a hand in front of the camera goes away.
const MOVED_AFTER: u8 = 3;
/// So many in a row must show little to call the camera covered.
const COVERED_AFTER: u8 = 2;

/// The signs of brightness steps, row by row: -1 darker to the right, 1 brighter, 0 neither.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ViewSignature(Vec<i8>);

impl ViewSignature {
    /// From `VIEW_COLUMNS × VIEW_ROWS` signs; `None` when they are another number or no signs.
    pub fn new(signs: Vec<i8>) -> Option<Self> {
        let whole = signs.len() == VIEW_COLUMNS * VIEW_ROWS;
        (whole && signs.iter().all(|sign| (-1..=1).contains(sign))).then_some(Self(signs))
    }
}

impl From<ViewSignature> for String {
    /// Three signs a letter, `a` to `{`.
    fn from(signature: ViewSignature) -> Self {
        let digit = |sign: &i8| (sign + 1) as u8;
        let (triples, _) = signature.0.as_chunks::<3>();
        let letter =
            |[a, b, c]: &[i8; 3]| char::from(b'a' + digit(a) * 9 + digit(b) * 3 + digit(c));
        triples.iter().map(letter).collect()
    }
}

impl TryFrom<String> for ViewSignature {
    type Error = &'static str;
    fn try_from(text: String) -> Result<Self, Self::Error> {
        let sign = |digit: u8| digit as i8 - 1;
        let mut signs = Vec::with_capacity(VIEW_COLUMNS * VIEW_ROWS);
        for letter in text.bytes() {
            let digits = letter.wrapping_sub(b'a');
            if digits >= 27 {
                return Err("not the signature of a view");
            }
            signs.extend([sign(digits / 9), sign(digits / 3 % 3), sign(digits % 3)]);
        }
        Self::new(signs).ok_or("not the signature of a view")
    }
}

/// What was stable in a camera's pictures.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ViewReference {
    /// Mean sign of each step, in hundredths.
    mean: Vec<i8>,
    seen: u16,
    /// Signatures in a row that disagreed.
    #[serde(skip)]
    strange: u8,
    /// Signatures in a row that showed little of what is stable.
    #[serde(skip)]
    covered: u8,
}

impl ViewReference {
    /// Takes in a picture's signature; `printer_moves` lets it be learned. Says whether the view has moved; then the
    /// reference begins anew.
    pub fn moves_to(&mut self, signature: &ViewSignature, printer_moves: bool) -> bool {
        if self.mean.len() != signature.0.len() {
            *self = Self { mean: vec![0; signature.0.len()], ..Self::default() };
        }
        self.covered = if self.hides(signature) { self.covered.saturating_add(1) } else { 0 };
        match self.agreement(signature) {
            Some(part) if part < SAME_VIEW => {
                self.strange += 1;
                if self.strange < MOVED_AFTER {
                    return false;
                }
                *self = Self { mean: vec![0; signature.0.len()], ..Self::default() };
                if printer_moves {
                    self.learn(signature);
                }
                true
            }
            _ => {
                self.strange = 0;
                // What hides the view is not the view.
                if printer_moves && self.covered == 0 {
                    self.learn(signature);
                }
                false
            }
        }
    }

    /// Whether something stands before most of what always was in view.
    pub fn is_covered(&self) -> bool {
        self.covered >= COVERED_AFTER
    }

    /// Whether most stable steps are gone: a hand or a cloth is one even surface.
    fn hides(&self, signature: &ViewSignature) -> bool {
        let pairs = self.mean.iter().zip(&signature.0);
        let stable = || pairs.clone().filter(|(mean, _)| mean.abs() >= STABLE);
        let shown = stable().filter(|(_, sign)| **sign != 0).count();
        let known = stable().count();
        self.seen >= LEAST_SEEN && known >= LEAST_COMPARED && shown * 8 < known
    }

    /// The part of stable steps that kept their sign, one that is gone did not; `None` when too few are known, or most
    /// are hidden.
    fn agreement(&self, signature: &ViewSignature) -> Option<f32> {
        let pairs = self.mean.iter().zip(&signature.0);
        let stable = pairs.filter(|(mean, _)| mean.abs() >= STABLE);
        let (mut known, mut equal) = (0_usize, 0_usize);
        for (mean, sign) in stable {
            known += 1;
            equal += usize::from(mean.signum() == *sign);
        }
        let tells = self.seen >= LEAST_SEEN && known >= LEAST_COMPARED && self.covered == 0;
        tells.then(|| equal as f32 / known as f32)
    }

    fn learn(&mut self, signature: &ViewSignature) {
        self.seen = self.seen.saturating_add(1).min(MOST_SEEN);
        let weight = f32::from(self.seen);
        for (mean, sign) in self.mean.iter_mut().zip(&signature.0) {
            let old = f32::from(*mean);
            *mean = (old + (f32::from(*sign) * 100.0 - old) / weight).round() as i8;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A scene of stripes, seen `shift` blocks to the side.
    fn scene(shift: usize) -> ViewSignature {
        let sign = |index: usize| {
            let (row, column) = (index / VIEW_COLUMNS, index % VIEW_COLUMNS + shift);
            // A fixed pattern without period.
            let mixed = (row * 7 + column * 13) ^ (row * column * 5);
            (mixed / 3 % 3) as i8 - 1
        };
        ViewSignature::new((0..VIEW_COLUMNS * VIEW_ROWS).map(sign).collect()).unwrap()
    }

    fn settled() -> ViewReference {
        let mut reference = ViewReference::default();
        for _ in 0..20 {
            assert!(!reference.moves_to(&scene(0), true));
        }
        reference
    }

    #[test]
    fn a_signature_survives_the_journal() {
        let text = serde_json::to_string(&scene(0)).unwrap();
        assert_eq!(text.len(), VIEW_COLUMNS * VIEW_ROWS / 3 + 2);
        assert_eq!(serde_json::from_str::<ViewSignature>(&text).unwrap(), scene(0));
        assert!(serde_json::from_str::<ViewSignature>("\"abc\"").is_err());
        assert!(serde_json::from_str::<ViewSignature>("\"ABC\"").is_err());
    }

    #[test]
    fn a_camera_that_was_pushed_is_noticed_and_its_new_view_learned() {
        let mut reference = settled();
        assert!(!reference.moves_to(&scene(2), true));
        assert!(!reference.moves_to(&scene(2), true));
        assert!(reference.moves_to(&scene(2), true));
        for _ in 0..20 {
            assert!(!reference.moves_to(&scene(2), true));
        }
    }

    #[test]
    fn a_hand_before_the_camera_and_darkness_are_no_move() {
        let mut reference = settled();
        for _ in 0..5 {
            assert!(!reference.moves_to(&scene(5), true));
            assert!(!reference.moves_to(&scene(0), true));
        }
        let dark = ViewSignature::new(vec![0; VIEW_COLUMNS * VIEW_ROWS]).unwrap();
        assert!(!reference.is_covered());
        for _ in 0..20 {
            assert!(!reference.moves_to(&dark, true));
        }
        assert!(reference.is_covered(), "a cloth over the camera");
        reference.moves_to(&scene(0), true);
        assert!(!reference.is_covered());
    }

    #[test]
    fn a_head_that_was_parked_for_long_is_no_part_of_the_room() {
        let mut reference = ViewReference::default();
        let heating = (0..200).any(|_| reference.moves_to(&scene(0), false));
        // Then everything but a third of the picture moves.
        let printing = (0..60).any(|n| {
            let edge = VIEW_COLUMNS * VIEW_ROWS / 3;
            let (moving, still) = (scene(n % 7 + 1), scene(0));
            let signs = still.0[..edge].iter().chain(&moving.0[edge..]).copied().collect();
            reference.moves_to(&ViewSignature::new(signs).unwrap(), true)
        });
        assert!(!heating && !printing);
        assert!((0..5).any(|_| reference.moves_to(&scene(9), true)), "a push is still noticed");
    }

    #[test]
    fn what_moves_in_the_picture_does_not_move_the_view() {
        let mut reference = ViewReference::default();
        for n in 0..100 {
            // A third of the picture is bed and head.
            let moving = scene(n % 7 + 1);
            let still = scene(0);
            let edge = VIEW_COLUMNS * VIEW_ROWS / 3;
            let signs = moving.0[..edge].iter().chain(&still.0[edge..]).copied().collect();
            assert!(!reference.moves_to(&ViewSignature::new(signs).unwrap(), true), "{n}");
        }
    }
}
