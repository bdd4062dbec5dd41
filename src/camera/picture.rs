//! What a picture looks like as a whole, in a few numbers: how dark, how bright, how sharp, and whether it is the very
//! same picture as another. Pure, and cheap enough for every scored frame (about 1 ms at 720p).
//!
//! Sharpness is the *edge width*: the contrast between light and dark parts, divided by the steepest steps between
//! neighbouring pixels, that is over how many pixels the sharpest edges are spread. It does not depend on how bright
//! or contrasty the scene is, and one sharp object is enough to pass (one step between neighbours in 200 counts). It is measured on the luma reduced to
//! [`WORKING_WIDTH`], so it means the same at every resolution.

/// Pictures are averaged down by a whole factor to at most this width, px.
const WORKING_WIDTH: usize = 640;

/// Under this contrast (levels between the 2nd and the 98th percentile) sharpness means nothing.
const LEAST_CONTRAST: u8 = 24;

const BLOCK_COLUMNS: usize = 24;
const BLOCK_ROWS: usize = 16;
/// Mean levels of parts of a picture.
pub(super) type Blocks = [u8; 384];
const _: () = assert!(BLOCK_COLUMNS * BLOCK_ROWS == 384);

/// A picture in a few numbers. Levels are luma, 0 (black) to 255 (white).
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Impression {
    /// Equal for equal pixels, and practically never for others.
    pub fingerprint: u64,
    /// The level that 5 % of the picture lie at or under.
    pub low: u8,
    /// The level that half of it lie at or under.
    pub median: u8,
    /// The level that 95 % of it lie at or under.
    pub high: u8,
    /// Pixels, at 640 px width, that the sharpest edges take; `None` where there is too little contrast to say.
    pub edge_width: Option<f32>,
    /// Mean levels of blocks, row by row: noise hardly moves them, a toolhead does.
    pub blocks: Blocks,
}

/// Looks at a packed RGB picture.
pub(super) fn look(width: u32, height: u32, rgb: &[u8]) -> Impression {
    let luma = Luma::reduced(width as usize, height as usize, rgb);
    let mut levels = Histogram::default();
    luma.levels.iter().for_each(|&level| levels.add(level));
    let contrast = levels.level_at(0.98).saturating_sub(levels.level_at(0.02));
    Impression {
        fingerprint: fingerprint(rgb),
        low: levels.level_at(0.05),
        median: levels.level_at(0.5),
        high: levels.level_at(0.95),
        edge_width: (contrast >= LEAST_CONTRAST).then(|| luma.edge_width(contrast)),
        blocks: luma.blocks(),
    }
}

/// 64 bits of every byte (multiply and rotate over words: no protection against malice, which is not needed here).
fn fingerprint(bytes: &[u8]) -> u64 {
    const ODD: u64 = 0x9E37_79B9_7F4A_7C15;
    let mix = |hash: u64, word: u64| (hash.rotate_left(5) ^ word).wrapping_mul(ODD);
    // Four lanes, as each step waits for the one before it in its lane.
    let (blocks, rest) = bytes.as_chunks::<32>();
    let mut lanes = [bytes.len() as u64; 4];
    for block in blocks {
        for (lane, word) in lanes.iter_mut().zip(block.as_chunks::<8>().0) {
            *lane = mix(*lane, u64::from_le_bytes(*word));
        }
    }
    let hash = lanes.into_iter().fold(0, mix);
    rest.iter().fold(hash, |hash, byte| mix(hash, u64::from(*byte)))
}

/// A reduced grey picture: of four rows only the first two, which tell as much at half the cost.
struct Luma {
    width: usize,
    levels: Vec<u8>,
}

impl Luma {
    fn reduced(width: usize, height: usize, rgb: &[u8]) -> Self {
        let factor = width.div_ceil(WORKING_WIDTH).max(1);
        let (columns, rows) = (width / factor, height / factor);
        let mut levels = Vec::with_capacity(columns * rows);
        let mut sums = vec![0_u32; columns];
        let area = (factor * factor * 4) as u32;
        for row in (0..rows).filter(|row| row % 4 < 2) {
            sums.fill(0);
            for y in row * factor..(row + 1) * factor {
                let line = &rgb[y * width * 3..][..columns * factor * 3];
                for (sum, block) in sums.iter_mut().zip(line.chunks_exact(factor * 3)) {
                    // (R + 2 G + B) / 4: near enough to luma, and cheap.
                    *sum += block
                        .as_chunks::<3>()
                        .0
                        .iter()
                        .map(|[r, g, b]| u32::from(*r) + 2 * u32::from(*g) + u32::from(*b))
                        .sum::<u32>();
                }
            }
            levels.extend(sums.iter().map(|sum| (sum / area) as u8));
        }
        Self { width: columns, levels }
    }

    /// See [`Impression::blocks`]; a picture with fewer pixels than blocks has no means, and never moves.
    fn blocks(&self) -> Blocks {
        let (columns, rows) = (BLOCK_COLUMNS, BLOCK_ROWS);
        let (wide, tall) = (self.width / columns, self.levels.len() / self.width.max(1) / rows);
        let mut sums = [0_u32; 384];
        if wide == 0 || tall == 0 {
            return [0; 384];
        }
        for (y, line) in self.levels.chunks_exact(self.width).take(rows * tall).enumerate() {
            let row = &mut sums[y / tall * columns..][..columns];
            for (sum, block) in row.iter_mut().zip(line.chunks_exact(wide)) {
                *sum += block.iter().map(|&level| u32::from(level)).sum::<u32>();
            }
        }
        sums.map(|sum| (sum / (wide * tall) as u32) as u8)
    }

    /// See the module: `contrast` over the step that only 0.5 % of neighbours exceed, along rows and columns.
    fn edge_width(&self, contrast: u8) -> f32 {
        let mut steps = Histogram::default();
        for row in self.levels.chunks_exact(self.width) {
            row.windows(2).for_each(|pair| steps.add(pair[0].abs_diff(pair[1])));
        }
        for pair in self.levels.chunks_exact(2 * self.width) {
            let (upper, lower) = pair.split_at(self.width);
            upper.iter().zip(lower).for_each(|(above, below)| steps.add(above.abs_diff(*below)));
        }
        f32::from(contrast) / f32::from(steps.level_at(0.995).max(1))
    }
}

struct Histogram {
    counts: [u32; 256],
    total: u32,
}

impl Default for Histogram {
    fn default() -> Self {
        Self { counts: [0; 256], total: 0 }
    }
}

impl Histogram {
    fn add(&mut self, level: u8) {
        self.counts[usize::from(level)] += 1;
        self.total += 1;
    }

    /// The least level that at least `share` (0..=1) of the values lie at or under.
    fn level_at(&self, share: f32) -> u8 {
        let wanted = (self.total as f32 * share).ceil().max(1.0) as u32;
        let mut seen = 0;
        for (level, count) in (0..=u8::MAX).zip(self.counts) {
            seen += count;
            if seen >= wanted {
                return level;
            }
        }
        u8::MAX
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn picture(width: u32, height: u32, level: impl Fn(u32, u32) -> u8) -> Vec<u8> {
        let pixels = (0..height).flat_map(|y| (0..width).map(move |x| (x, y)));
        pixels.flat_map(|(x, y)| [level(x, y); 3]).collect()
    }

    /// Bright bars on dark, a quarter of the width each, whose edges are ramps of `ramp` px.
    fn bars(width: u32, ramp: u32) -> Vec<u8> {
        let period = width / 2;
        picture(width, width / 2, |x, _| {
            let rising = (x % period).min(ramp);
            let falling = (x % period).saturating_sub(period / 2).min(ramp);
            (40 + 160 * (rising - falling) / ramp) as u8
        })
    }

    #[test]
    fn noise_hardly_moves_a_blocks_mean_and_what_stands_in_it_does() {
        use rand::{SeedableRng, rngs::StdRng};
        let scene = |seed: u64, head: u32| {
            let mut rng = StdRng::seed_from_u64(seed);
            let noise: Vec<i16> =
                (0..640 * 480).map(|_| (0..4).map(|_| rng.random_range(-9..=9)).sum()).collect();
            let level = |x: u32, y: u32| if x.abs_diff(head) < 40 && y < 80 { 40 } else { 120 };
            picture(640, 480, |x, y| (level(x, y) + noise[(y * 640 + x) as usize]) as u8)
        };
        let blocks = |seed, head| look(640, 480, &scene(seed, head)).blocks;
        let changes = |a: Blocks, b: Blocks| {
            a.iter().zip(&b).map(|(a, b)| a.abs_diff(*b)).collect::<Vec<_>>()
        };
        assert!(changes(blocks(1, 300), blocks(2, 300)).iter().all(|&change| change <= 4));
        let moved = changes(blocks(1, 300), blocks(2, 400));
        assert!(moved.iter().filter(|&&change| change > 20).count() >= 4);
    }

    #[test]
    fn levels_are_those_of_the_picture() {
        let grey = look(64, 48, &picture(64, 48, |_, _| 90));
        assert_eq!((grey.low, grey.median, grey.high, grey.edge_width), (90, 90, 90, None));
        let half = look(64, 48, &picture(64, 48, |x, _| if x < 32 { 10 } else { 200 }));
        assert_eq!((half.low, half.high), (10, 200));
    }

    #[test]
    fn the_wider_the_edges_the_greater_the_edge_width_at_any_resolution() {
        for width in [320, 1280] {
            let width_of = |ramp: u32| {
                look(width, width / 2, &bars(width, ramp * width / 320)).edge_width.unwrap()
            };
            assert!(width_of(1) < 6.0, "{}", width_of(1));
            assert!(width_of(40) > 12.0, "{}", width_of(40));
        }
    }

    #[test]
    fn one_sharp_object_before_a_smooth_background_is_sharp() {
        let scene = picture(640, 360, |x, y| {
            let object = (240..400).contains(&x) && (100..200).contains(&y) && x % 8 < 4;
            if object { 220 } else { (x / 8) as u8 }
        });
        assert!(look(640, 360, &scene).edge_width.unwrap() < 6.0);
    }

    #[test]
    fn tiny_pictures_do_no_harm() {
        for (width, height) in [(1, 1), (1, 2), (2, 1), (641, 1), (1, 641)] {
            look(width, height, &picture(width, height, |x, y| (x + y) as u8));
        }
    }

    proptest! {
        #[test]
        fn one_changed_byte_changes_the_fingerprint(
            bytes in proptest::collection::vec(any::<u8>(), 1..200), at: prop::sample::Index, by in 1_u8..,
        ) {
            let mut other = bytes.clone();
            let byte = at.get_mut(&mut other);
            *byte = byte.wrapping_add(by);
            prop_assert_ne!(fingerprint(&bytes), fingerprint(&other));
            prop_assert_eq!(fingerprint(&bytes), fingerprint(&bytes.clone()));
        }

        #[test]
        fn levels_are_in_order(
            width in 1_u32..40, height in 1_u32..40, seed: u32,
        ) {
            let rgb = picture(width, height, |x, y| (x.wrapping_mul(seed) ^ y.wrapping_mul(seed >> 7)) as u8);
            let seen = look(width, height, &rgb);
            prop_assert!(seen.low <= seen.median && seen.median <= seen.high);
        }
    }
}
