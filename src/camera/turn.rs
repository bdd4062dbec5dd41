//! Rotation and mirroring, done in the one copy that takes a picture out of GStreamer's buffer, so that they cost no
//! pass of their own.

/// Clockwise rotation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Rotation {
    /// As it comes.
    #[default]
    None,
    /// By 90°.
    Clockwise90,
    /// Upside down.
    Half,
    /// By 270° clockwise, which is 90° anticlockwise.
    Clockwise270,
}

impl Rotation {
    /// The rotation by 0, 90, 180 or 270 clockwise degrees; `None` for any other number.
    pub fn from_degrees(degrees: u16) -> Option<Self> {
        match degrees {
            0 => Some(Self::None),
            90 => Some(Self::Clockwise90),
            180 => Some(Self::Half),
            270 => Some(Self::Clockwise270),
            _ => None,
        }
    }
}

/// What is done to a picture: it is rotated first and mirrored then, the order in which Mainsail and Fluidd show it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Turn {
    pub rotate: Rotation,
    pub flip_horizontal: bool,
    pub flip_vertical: bool,
}

impl Turn {
    /// Copies `width` × `height` RGB pixels, whose rows start `stride` bytes apart, into packed rows, turned.
    /// Gives the new width, height and pixels; `None` when `rows` is too short for that.
    pub fn packed(
        self,
        rows: &[u8],
        stride: usize,
        width: u32,
        height: u32,
    ) -> Option<(u32, u32, Vec<u8>)> {
        let (w, h) = (width as usize, height as usize);
        if w == 0 || h == 0 || stride < w * 3 || rows.len() < stride * (h - 1) + w * 3 {
            return None;
        }
        let sideways = matches!(self.rotate, Rotation::Clockwise90 | Rotation::Clockwise270);
        let mut rgb = Vec::with_capacity(w * h * 3);
        if self == Self::default() {
            for row in rows.chunks(stride).take(h) {
                rgb.extend_from_slice(&row[..w * 3]);
            }
            return Some((width, height, rgb));
        }
        let (out_w, out_h) = if sideways { (h, w) } else { (w, h) };
        for y in 0..out_h {
            let y = if self.flip_vertical { out_h - 1 - y } else { y };
            for x in 0..out_w {
                let x = if self.flip_horizontal { out_w - 1 - x } else { x };
                let (from_x, from_y) = match self.rotate {
                    Rotation::None => (x, y),
                    Rotation::Clockwise90 => (y, h - 1 - x),
                    Rotation::Half => (w - 1 - x, h - 1 - y),
                    Rotation::Clockwise270 => (w - 1 - y, x),
                };
                let at = from_y * stride + from_x * 3;
                rgb.extend_from_slice(&rows[at..at + 3]);
            }
        }
        let (out_w, out_h) = if sideways { (height, width) } else { (width, height) };
        Some((out_w, out_h, rgb))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A 3 × 2 picture, 12 bytes a row, whose pixels are their numbers:
    /// 0 1 2
    /// 3 4 5
    fn numbered() -> Vec<u8> {
        let pixel = |n: u8| [n, n + 100, n + 200];
        let mut rows = Vec::new();
        for row in [[0, 1, 2], [3, 4, 5]] {
            row.into_iter().for_each(|n| rows.extend(pixel(n)));
            rows.extend([9, 9, 9]);
        }
        rows
    }

    fn turned(turn: Turn) -> (u32, u32, Vec<u8>) {
        let (w, h, rgb) = turn.packed(&numbered(), 12, 3, 2).unwrap();
        (w, h, rgb.chunks(3).map(|pixel| pixel[0]).collect())
    }

    #[test]
    fn each_rotation_is_clockwise() {
        let rotated = |rotate| turned(Turn { rotate, ..Turn::default() });
        assert_eq!(rotated(Rotation::None), (3, 2, vec![0, 1, 2, 3, 4, 5]));
        assert_eq!(rotated(Rotation::Clockwise90), (2, 3, vec![3, 0, 4, 1, 5, 2]));
        assert_eq!(rotated(Rotation::Half), (3, 2, vec![5, 4, 3, 2, 1, 0]));
        assert_eq!(rotated(Rotation::Clockwise270), (2, 3, vec![2, 5, 1, 4, 0, 3]));
    }

    #[test]
    fn a_picture_is_rotated_first_and_mirrored_then() {
        let turn =
            Turn { rotate: Rotation::Clockwise90, flip_horizontal: true, flip_vertical: false };
        assert_eq!(turned(turn), (2, 3, vec![0, 3, 1, 4, 2, 5]));
        let turn = Turn { rotate: Rotation::None, flip_horizontal: false, flip_vertical: true };
        assert_eq!(turned(turn), (3, 2, vec![3, 4, 5, 0, 1, 2]));
    }

    #[test]
    fn rows_that_are_too_short_give_nothing() {
        assert_eq!(Turn::default().packed(&[0; 17], 9, 3, 2), None);
        assert_eq!(Turn::default().packed(&[0; 18], 8, 3, 2), None);
        assert_eq!(Turn::default().packed(&[], 0, 0, 0), None);
    }

    proptest! {
        #[test]
        fn a_turn_loses_no_pixel(
            w in 1_u32..12, h in 1_u32..12, pad in 0_usize..4,
            quarter in 0_u16..4, flip_horizontal: bool, flip_vertical: bool,
        ) {
            let stride = w as usize * 3 + pad;
            let rows: Vec<u8> = (0..stride * h as usize).map(|i| (i * 7 % 251) as u8).collect();
            let rotate = Rotation::from_degrees(quarter * 90).unwrap();
            let (ow, oh, turned) = Turn { rotate, flip_horizontal, flip_vertical }.packed(&rows, stride, w, h).unwrap();
            prop_assert_eq!(ow * oh, w * h);
            let sorted = |rgb: &[u8]| {
                let mut pixels: Vec<Vec<u8>> = rgb.chunks(3).map(<[u8]>::to_vec).collect();
                pixels.sort();
                pixels
            };
            let (_, _, plain) = Turn::default().packed(&rows, stride, w, h).unwrap();
            prop_assert_eq!(sorted(&turned), sorted(&plain));
        }
    }
}
