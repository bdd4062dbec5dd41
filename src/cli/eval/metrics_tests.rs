use proptest::prelude::*;

use super::*;

const BOOTSTRAP: Bootstrap = Bootstrap { rounds: 200, seed: 1 };

fn samples(failing: &[f32], good: &[f32]) -> Vec<Sample> {
    let of = |failing: bool| move |score: &f32| (*score, failing);
    let all = failing.iter().map(of(true)).chain(good.iter().map(of(false)));
    all.enumerate().map(|(cluster, (score, failing))| Sample { score, failing, cluster }).collect()
}

fn value(figure: Figure, failing: &[f32], good: &[f32]) -> Option<f64> {
    Ranking::new(&samples(failing, good)).figure(figure, &BOOTSTRAP).map(|found| found.value)
}

fn assert_close(found: Option<f64>, expected: f64) {
    let found = found.unwrap();
    assert!((found - expected).abs() < 1e-9, "found {found}, expected {expected}");
}

#[test]
fn auroc_counts_won_pairs_and_half_of_the_ties() {
    // Pairs: 0.9 wins over both, 0.5 wins over 0.1 and ties with 0.5: 3.5 of 4.
    assert_close(value(Figure::Auroc, &[0.9, 0.5], &[0.5, 0.1]), 3.5 / 4.0);
    assert_close(value(Figure::Auroc, &[0.9], &[0.1]), 1.0);
    assert_close(value(Figure::Auroc, &[0.1], &[0.9]), 0.0);
}

#[test]
fn average_precision_is_the_mean_precision_at_each_failing_picture() {
    // Order: failing, good, failing: precisions 1/1 and 2/3.
    assert_close(value(Figure::AveragePrecision, &[0.9, 0.3], &[0.5]), (1.0 + 2.0 / 3.0) / 2.0);
    // All tied: the precision of the whole set.
    assert_close(value(Figure::AveragePrecision, &[0.5], &[0.5, 0.5, 0.5]), 0.25);
}

#[test]
fn recall_is_taken_above_the_threshold_that_the_good_pictures_set() {
    let good: Vec<f32> = (0..20).map(|i| i as f32 / 100.0).collect();
    // No good picture may exceed it: the threshold is 0.19, and 0.19 itself does not exceed it.
    assert_close(value(Figure::RecallAt(0.0), &[0.5, 0.19], &good), 0.5);
    // One of twenty may: the threshold is 0.18.
    assert_close(value(Figure::RecallAt(0.05), &[0.5, 0.19], &good), 1.0);
    assert_close(value(Figure::RecallAt(1.0), &[-1.0], &good), 1.0);
    assert_eq!(threshold_at(&good, 0.0), Some(0.19));
    assert_eq!(threshold_at(&good, 0.05), Some(0.18));
    assert_eq!(threshold_at(&good, 1.0), None);
    assert_eq!(threshold_at(&[], 0.0), None);
}

#[test]
fn one_kind_of_picture_alone_gives_no_figure() {
    assert_eq!(value(Figure::Auroc, &[0.4, 0.6], &[]), None);
    assert_eq!(value(Figure::AveragePrecision, &[], &[0.4]), None);
    assert_eq!(value(Figure::RecallAt(0.01), &[], &[]), None);
    assert_eq!(reliability(&[(0.4, true)]), None);
    assert!(Ranking::new(&[]).curve().is_empty());
}

#[test]
fn intervals_draw_whole_clusters() {
    let spread = |cluster_of: fn(usize) -> usize| {
        let rows: Vec<Sample> = (0..60)
            .map(|i| Sample {
                score: if i % 6 == 1 { -1.0 } else { (i % 2) as f32 },
                failing: i % 2 == 1,
                cluster: cluster_of(i),
            })
            .collect();
        let found = Ranking::new(&rows).figure(Figure::Auroc, &BOOTSTRAP).unwrap();
        assert!(found.low <= found.value && found.value <= found.high, "{found:?}");
        found.high - found.low
    };
    // The only mistakes, failing rows that score lowest, are one cluster or each its own: as one they come and go together.
    let apart = spread(|i| i);
    let together = spread(|i| if i % 6 == 1 { 1 } else { i });
    assert!(together > apart, "{together} against {apart}");
}

#[test]
fn the_same_seed_gives_the_same_interval() {
    let rows = samples(&[0.9, 0.4, 0.6], &[0.5, 0.1, 0.45]);
    let once = Ranking::new(&rows).figure(Figure::Auroc, &BOOTSTRAP);
    assert_eq!(once, Ranking::new(&rows).figure(Figure::Auroc, &BOOTSTRAP));
}

#[test]
fn reliability_weighs_failing_and_good_alike() {
    // Two failing at 0.9, one good at 0.1, one good at 0.9.
    let found = reliability(&[(0.9, true), (0.9, true), (0.1, false), (0.9, false)]).unwrap();
    let [low, high] = found.bins.as_slice() else { panic!("{found:?}") };
    assert_eq!((low.count, high.count), (1, 3));
    // Weights: failing 0.25 each, good 0.25 each; the high bin holds 0.5 failing and 0.25 good.
    assert!((high.was - 2.0 / 3.0).abs() < 1e-9 && (high.said - 0.9).abs() < 1e-9);
    let expected = 0.25 * 0.1 + 0.75 * (0.9 - 2.0 / 3.0);
    assert!((found.expected_error - expected).abs() < 1e-9);
    assert!((found.brier - (0.5 * 0.01 + 0.25 * 0.01 + 0.25 * 0.81)).abs() < 1e-9);
}

proptest! {
    #[test]
    fn auroc_equals_counting_every_pair(
        failing in prop::collection::vec(0u8..12, 1..20),
        good in prop::collection::vec(0u8..12, 1..20),
    ) {
        let scale = |values: &[u8]| values.iter().map(|v| f32::from(*v) / 12.0).collect::<Vec<_>>();
        let mut won = 0.0;
        for f in &failing {
            for g in &good {
                won += match f.cmp(g) {
                    std::cmp::Ordering::Greater => 1.0,
                    std::cmp::Ordering::Equal => 0.5,
                    std::cmp::Ordering::Less => 0.0,
                };
            }
        }
        let pairs = (failing.len() * good.len()) as f64;
        assert_close(value(Figure::Auroc, &scale(&failing), &scale(&good)), won / pairs);
    }

    #[test]
    fn recall_agrees_with_the_threshold_and_grows_with_the_rate(
        failing in prop::collection::vec(0.0f32..1.0, 1..30),
        good in prop::collection::vec(0.0f32..1.0, 1..30),
        rate in 0.0f64..0.9,
    ) {
        let recall = |rate| value(Figure::RecallAt(rate), &failing, &good).unwrap();
        let threshold = threshold_at(&good, rate).unwrap();
        let above = |scores: &[f32]| scores.iter().filter(|s| **s > threshold).count() as f64;
        prop_assert!((recall(rate) - above(&failing) / failing.len() as f64).abs() < 1e-9);
        prop_assert!(above(&good) <= rate * good.len() as f64 + 1e-6);
        prop_assert!(recall(0.0) <= recall(rate) + 1e-12);
    }

    #[test]
    fn the_curve_rises_from_nothing_to_everything(
        failing in prop::collection::vec(0u8..9, 1..20),
        good in prop::collection::vec(0u8..9, 1..20),
    ) {
        let scale = |values: &[u8]| values.iter().map(|v| f32::from(*v)).collect::<Vec<_>>();
        let curve = Ranking::new(&samples(&scale(&failing), &scale(&good))).curve();
        prop_assert_eq!(curve[0], (0.0, 0.0));
        let (x, y) = curve[curve.len() - 1];
        prop_assert!((x - 1.0).abs() < 1e-9 && (y - 1.0).abs() < 1e-9);
        prop_assert!(curve.windows(2).all(|pair| pair[0].0 <= pair[1].0 && pair[0].1 <= pair[1].1));
    }

    #[test]
    fn perfectly_calibrated_extremes_have_no_error(count in 1usize..20) {
        let said: Vec<(f64, bool)> =
            (0..count).flat_map(|_| [(1.0, true), (0.0, false)]).collect();
        let found = reliability(&said).unwrap();
        prop_assert!(found.expected_error < 1e-12 && found.brier < 1e-12);
    }
}
