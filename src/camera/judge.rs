//! From what single pictures look like to what is wrong with the camera. Pure: times come in with the pictures.
//!
//! | fault | when | then |
//! |---|---|---|
//! | dark | 95 % of the picture is nearly black, in two pictures running | impaired; blind where it is black |
//! | overexposed | 95 % of it is nearly white, in two running | impaired; blind where it is white |
//! | blurred | the sharpest edges are spread over 12 px and more of 640, in two running | impaired |
//! | frozen | three pictures and 8 s without one changed bit | blind |
//! | still | six pictures and 60 s without anything that moves | impaired; blind while the printer moves |
//!
//! The limits were measured on 1,010 real pictures of prints (webcams, phones, close-ups): two cross one, both nearly
//! black, and none of the 202 webcam pictures does. Blurred by σ = 4 px, at 640 px width, where a strand is two or three
//! wide, three in four are found; by σ = 8 px, 97 in 100.
//!
//! *Frozen* means bit for bit: a camera's sensor always has noise, so a still scene differs from frame to frame in some
//! bit, while a hung capture program repeats its last JPEG. *Still* is a picture whose noise changes and nothing else, or
//! only a clock in a corner: so looks a picture that hangs and is encoded anew each time, and so looks a printer that
//! rests. Only the core knows whether it rests. In the 20 webcam sequences of the labelled pictures, from one frame to the
//! next, four blocks of 384 change by 41 levels at least; noise of σ = 11 changes none by more than four.

use crate::core::types::SourceFault;

use super::picture::{Blocks, Impression};

/// Pictures in a row that must show a bad light or blur before it is said.
const RUN: u32 = 2;
/// Said within two intervals and ten seconds, whatever the interval; a webcam that sends a new picture only every few
/// seconds repeats itself for less.
const FROZEN_PICTURES: u32 = 3;
const FROZEN_MS: u64 = 8_000;

/// A block whose mean changed by so many levels shows something else.
const MOVED_LEVELS: u8 = 6;
/// So many blocks, one in a hundred, are more than the seconds of a clock.
const MOVED_BLOCKS: usize = 4;
const STILL_PICTURES: u32 = 6;
const STILL_MS: u64 = 60_000;

const DARK_LEVEL: u8 = 40;
const BLACK_LEVEL: u8 = 16;
const BRIGHT_LEVEL: u8 = 210;
const WHITE_LEVEL: u8 = 240;
const BLURRED_EDGE_PX: f32 = 12.0;

/// What is wrong with the picture.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Complaint {
    pub fault: SourceFault,
    /// Nothing can be seen, rather than less than usual.
    pub blind: bool,
    /// What is seen, and what to do. The same words as long as the complaint lasts: a changed report is published.
    pub why: &'static str,
}

/// Remembers what it needs of the pictures before.
#[derive(Debug, Default)]
pub(super) struct Judge {
    same: Option<Run<u64>>,
    still: Option<Run<Blocks>>,
    suspicion: Option<(SourceFault, u32)>,
}

/// A run of pictures that are like its first.
#[derive(Debug)]
struct Run<T> {
    first: T,
    pictures: u32,
    since_ms: u64,
}

impl<T> Run<T> {
    /// Takes in a picture, which begins a new run when it is not `alike`; says whether the run has become this long.
    fn reaches(
        run: &mut Option<Self>,
        (now_ms, picture): (u64, T),
        alike: impl Fn(&T, &T) -> bool,
        (pictures, ms): (u32, u64),
    ) -> bool {
        let run = match run {
            Some(run) if alike(&run.first, &picture) => run,
            run => run.insert(Self { first: picture, pictures: 0, since_ms: now_ms }),
        };
        run.pictures = run.pictures.saturating_add(1);
        run.pictures >= pictures && now_ms.saturating_sub(run.since_ms) >= ms
    }
}

impl Judge {
    /// Judges the picture that arrived at `now_ms` (any clock that does not step), after those before it.
    pub fn judge(&mut self, now_ms: u64, seen: &Impression) -> Option<Complaint> {
        let frozen = self.frozen(now_ms, seen.fingerprint);
        let still = self.still(now_ms, seen);
        let bad = bad_picture(seen);
        self.suspicion = match (&bad, self.suspicion) {
            (None, _) => None,
            (Some(bad), Some((fault, run))) if fault == bad.fault => {
                Some((fault, run.saturating_add(1)))
            }
            (Some(bad), _) => Some((bad.fault, 1)),
        };
        let lasting = self.suspicion.is_some_and(|(_, run)| run >= RUN);
        // A blank picture is also a frozen one; that it is black says more.
        bad.filter(|_| lasting).or(frozen).or(still)
    }

    fn still(&mut self, now_ms: u64, seen: &Impression) -> Option<Complaint> {
        let alike = |first: &Blocks, blocks: &Blocks| !moves(first, blocks);
        let long = (STILL_PICTURES, STILL_MS);
        Run::reaches(&mut self.still, (now_ms, seen.blocks), alike, long).then_some(Complaint {
            fault: SourceFault::Still,
            blind: false,
            why: "nothing moves in the picture though the printer prints: restart the camera's streaming service, or point it at the print",
        })
    }

    fn frozen(&mut self, now_ms: u64, fingerprint: u64) -> Option<Complaint> {
        let long = (FROZEN_PICTURES, FROZEN_MS);
        Run::reaches(&mut self.same, (now_ms, fingerprint), u64::eq, long).then_some(Complaint {
            fault: SourceFault::Frozen,
            blind: true,
            why: "the picture has not changed in a single bit for a while: restart the camera's streaming service",
        })
    }
}

fn moves(before: &[u8], now: &[u8]) -> bool {
    let changed = before.iter().zip(now).filter(|(a, b)| a.abs_diff(**b) >= MOVED_LEVELS);
    changed.count() >= MOVED_BLOCKS
}

fn bad_picture(seen: &Impression) -> Option<Complaint> {
    let complaint = |fault, blind, why| Some(Complaint { fault, blind, why });
    if seen.high < DARK_LEVEL {
        let why = "the picture is nearly black: turn on a light, or check the lens";
        complaint(SourceFault::Dark, seen.high < BLACK_LEVEL, why)
    } else if seen.low > BRIGHT_LEVEL {
        let why = "the picture is nearly white: lower the exposure or the light";
        complaint(SourceFault::Overexposed, seen.low > WHITE_LEVEL, why)
    } else if seen.edge_width.is_some_and(|edge| edge >= BLURRED_EDGE_PX) {
        let why = "the picture is blurred: focus the camera, or clean its lens";
        complaint(SourceFault::Blurred, false, why)
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const FINE: Impression = Impression {
        fingerprint: 0,
        low: 30,
        median: 100,
        high: 200,
        edge_width: Some(4.0),
        blocks: [100; 384],
    };

    /// A picture each second, from 0.
    fn verdicts(pictures: impl IntoIterator<Item = Impression>) -> Vec<Option<SourceFault>> {
        let mut judge = Judge::default();
        let pictures = (0..).zip(pictures);
        pictures
            .map(|(s, seen)| judge.judge(s * 1000, &seen).map(|complaint| complaint.fault))
            .collect()
    }

    /// A head goes to and fro before noise.
    fn live(like: Impression, count: u64) -> Vec<Impression> {
        let picture = |fingerprint: u64| {
            let mut seen = Impression { fingerprint, ..like };
            seen.blocks[..4].fill(100 + 20 * (fingerprint % 2) as u8);
            seen
        };
        (0..count).map(picture).collect()
    }

    #[test]
    fn a_picture_in_which_something_moves_is_fine() {
        assert!(verdicts(live(FINE, 100)).iter().all(Option::is_none));
    }

    #[test]
    fn noise_and_a_clock_alone_are_no_movement_and_the_first_movement_ends_it() {
        let noisy = (0..100).map(|fingerprint| {
            let mut seen = Impression { fingerprint, ..FINE };
            seen.blocks[fingerprint as usize] += 2;
            seen.blocks[380..383].fill(fingerprint as u8);
            seen
        });
        let mut moved = Impression { fingerprint: 101, ..FINE };
        moved.blocks[..4].fill(120);
        let verdicts = verdicts(noisy.chain([moved]));
        assert!(verdicts[..60].iter().all(Option::is_none));
        assert!(verdicts[60..100].iter().all(|verdict| *verdict == Some(SourceFault::Still)));
        assert_eq!(verdicts[100], None);
    }

    #[test]
    fn the_same_bits_for_eight_seconds_are_frozen_and_one_other_bit_ends_it() {
        let mut pictures = vec![FINE; 30];
        pictures.push(Impression { fingerprint: 1, ..FINE });
        let verdicts = verdicts(pictures);
        assert!(verdicts[..8].iter().all(Option::is_none));
        assert!(verdicts[8..30].iter().all(|verdict| *verdict == Some(SourceFault::Frozen)));
        assert_eq!(verdicts[30], None);
    }

    #[test]
    fn few_pictures_far_apart_are_not_yet_frozen() {
        let mut judge = Judge::default();
        let faults: Vec<bool> = (0..3).map(|n| judge.judge(n * 60_000, &FINE).is_some()).collect();
        assert_eq!(faults, [false, false, true]);
    }

    #[test]
    fn darkness_glare_and_blur_are_said_at_the_second_picture_and_end_at_the_first_good_one() {
        let dim = Impression { high: 30, low: 5, median: 12, edge_width: None, ..FINE };
        let glare = Impression { low: 220, median: 235, high: 255, edge_width: None, ..FINE };
        let blurred = Impression { edge_width: Some(18.0), ..FINE };
        for (bad, fault) in [
            (dim, SourceFault::Dark),
            (glare, SourceFault::Overexposed),
            (blurred, SourceFault::Blurred),
        ] {
            assert_eq!(verdicts([FINE, bad, bad, FINE]), [None, None, Some(fault), None]);
        }
    }

    #[test]
    fn only_where_nothing_at_all_can_be_seen_it_is_blind() {
        let twice = |seen| {
            let mut judge = Judge::default();
            judge.judge(0, &seen);
            judge.judge(1, &seen).unwrap().blind
        };
        assert!(!twice(Impression { high: 30, low: 5, edge_width: None, ..FINE }));
        assert!(twice(Impression { high: 8, low: 5, edge_width: None, ..FINE }));
        assert!(!twice(Impression { low: 220, high: 255, edge_width: None, ..FINE }));
        assert!(twice(Impression { low: 255, high: 255, edge_width: None, ..FINE }));
        assert!(!twice(Impression { edge_width: Some(40.0), ..FINE }));
    }

    proptest! {
        #[test]
        fn a_fine_changing_picture_is_never_complained_about(
            history in proptest::collection::vec((any::<u64>(), any::<u8>(), any::<u8>(), 0_u64..100_000), 0..50),
        ) {
            let mut judge = Judge::default();
            let mut now = 0;
            for (fingerprint, low, high, wait) in history {
                now += wait;
                let mut seen = Impression { fingerprint: fingerprint | 1, low: low.min(high), high, ..FINE };
                seen.blocks[..4].fill(low | 128);
                judge.judge(now, &seen);
            }
            prop_assert_eq!(judge.judge(now, &FINE), None);
        }

        #[test]
        fn a_frozen_or_black_picture_is_told_of_within_two_intervals_and_ten_seconds(interval in 1_u64..120_000, black: bool) {
            let seen = if black { Impression { low: 0, median: 0, high: 0, edge_width: None, ..FINE } } else { FINE };
            let mut judge = Judge::default();
            // The last good picture, on which a camera that freezes hangs.
            judge.judge(0, &FINE);
            let told = (1..).map(|n| n * interval).find(|&at| judge.judge(at, &seen).is_some());
            prop_assert!(told.unwrap() <= 2 * interval + 10_000, "{told:?}");
        }

        #[test]
        fn time_that_stands_still_or_goes_back_never_freezes_a_picture(times in proptest::collection::vec(0_u64..100, 1..50)) {
            let mut judge = Judge::default();
            for time in times {
                prop_assert_eq!(judge.judge(time, &FINE), None);
            }
        }
    }
}
