//! Figures from scores. Pure functions; definitions as `models/train/measure.py` has them, but that ties in average
//! precision count together.

use rand::rngs::Xoshiro256PlusPlus;
use rand::{RngExt, SeedableRng};
use serde::Serialize;

/// One scored picture.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sample {
    /// Its score.
    pub score: f32,
    /// What it is.
    pub failing: bool,
    /// Pictures that are not independent of each other (near-duplicates, frames of one print) share a cluster, from 0.
    pub cluster: usize,
}

/// A figure with its 95 % bootstrap interval.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Interval {
    /// Over all samples.
    pub value: f64,
    /// 2.5 % quantile over resampled clusters.
    pub low: f64,
    /// 97.5 % quantile.
    pub high: f64,
}

/// Samples by falling score, those of equal score together.
pub struct Ranking {
    steps: Vec<Vec<Sample>>,
    clusters: usize,
}

/// Weight of failing and of good samples at one score and above it.
struct Step {
    failing: f64,
    good: f64,
    failing_above: f64,
    good_above: f64,
}

impl Ranking {
    /// Ranks samples; scores must not be NaN.
    pub fn new(samples: &[Sample]) -> Self {
        let mut sorted = samples.to_vec();
        sorted.sort_by(|a, b| b.score.total_cmp(&a.score));
        let steps = sorted.chunk_by(|a, b| a.score == b.score).map(<[Sample]>::to_vec).collect();
        let clusters = samples.iter().map(|s| s.cluster + 1).max().unwrap_or(0);
        Self { steps, clusters }
    }

    /// Walks down the ranking, each cluster weighing as `weights` says.
    fn walk<'a>(&'a self, weights: &'a [f64]) -> impl Iterator<Item = Step> + 'a {
        let (mut failing_above, mut good_above) = (0.0, 0.0);
        self.steps.iter().map(move |samples| {
            let weigh = |failing: bool| -> f64 {
                samples.iter().filter(|s| s.failing == failing).map(|s| weights[s.cluster]).sum()
            };
            let (failing, good) = (weigh(true), weigh(false));
            let step = Step { failing, good, failing_above, good_above };
            failing_above += failing;
            good_above += good;
            step
        })
    }

    /// Total weight of failing and of good samples; `None` when either has none.
    fn totals(&self, weights: &[f64]) -> Option<(f64, f64)> {
        let last = self.walk(weights).last()?;
        let (failing, good) = (last.failing_above + last.failing, last.good_above + last.good);
        (failing > 0.0 && good > 0.0).then_some((failing, good))
    }

    fn equal_weights(&self) -> Vec<f64> {
        vec![1.0; self.clusters]
    }

    /// The points of the receiver operating characteristic: false positive rate, recall; from (0, 0) to (1, 1).
    pub fn curve(&self) -> Vec<(f64, f64)> {
        let weights = self.equal_weights();
        let Some((failing, good)) = self.totals(&weights) else { return Vec::new() };
        let points = self.walk(&weights).map(|step| {
            ((step.good_above + step.good) / good, (step.failing_above + step.failing) / failing)
        });
        std::iter::once((0.0, 0.0)).chain(points).collect()
    }

    /// A figure over all samples and its interval; `None` when the samples are all failing or all good.
    pub fn figure(&self, figure: Figure, bootstrap: &Bootstrap) -> Option<Interval> {
        let value = figure.of(self, &self.equal_weights())?;
        let (low, high) = bootstrap.interval(self, figure).unwrap_or((value, value));
        Some(Interval { value, low, high })
    }
}

/// What can be asked of a ranking.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Figure {
    /// Chance that a failing picture scores above a good one, ties counting half.
    Auroc,
    /// Precision averaged over the failing pictures, in order of falling score.
    AveragePrecision,
    /// Share of the failing pictures above the lowest threshold that at most this share of the good ones exceeds.
    RecallAt(f64),
}

impl Figure {
    fn of(self, ranking: &Ranking, weights: &[f64]) -> Option<f64> {
        let (failing, good) = ranking.totals(weights)?;
        Some(match self {
            Self::Auroc => {
                let won = |step: Step| step.good * (step.failing_above + step.failing / 2.0);
                ranking.walk(weights).map(won).sum::<f64>() / (failing * good)
            }
            Self::AveragePrecision => {
                let gained = |step: Step| {
                    let found = step.failing_above + step.failing;
                    let all = found + step.good_above + step.good;
                    if all > 0.0 { step.failing * found / all } else { 0.0 }
                };
                ranking.walk(weights).map(gained).sum::<f64>() / failing
            }
            Self::RecallAt(rate) => {
                let exceeds = |step: &Step| step.good_above + step.good > allowed(rate, good);
                let threshold = ranking.walk(weights).find(exceeds);
                threshold.map_or(failing, |step| step.failing_above) / failing
            }
        })
    }
}

/// How many of `good` pictures may exceed a threshold at this rate.
fn allowed(rate: f64, good: f64) -> f64 {
    (rate * good + 1e-9).floor()
}

/// The lowest threshold that at most `rate` of the good scores exceed; `None` without scores or when all may exceed.
pub fn threshold_at(good_scores: &[f32], rate: f64) -> Option<f32> {
    let mut sorted = good_scores.to_vec();
    sorted.sort_by(|a, b| b.total_cmp(a));
    sorted.get(allowed(rate, sorted.len() as f64) as usize).copied()
}

/// Resampling of whole clusters, the same every time.
pub struct Bootstrap {
    /// How often.
    pub rounds: usize,
    /// Start of the random numbers.
    pub seed: u64,
}

impl Bootstrap {
    fn interval(&self, ranking: &Ranking, figure: Figure) -> Option<(f64, f64)> {
        let mut random = Xoshiro256PlusPlus::seed_from_u64(self.seed);
        let mut values = Vec::with_capacity(self.rounds);
        for _ in 0..self.rounds {
            let mut weights = vec![0.0; ranking.clusters];
            for _ in 0..ranking.clusters {
                weights[random.random_range(0..ranking.clusters)] += 1.0;
            }
            values.extend(figure.of(ranking, &weights));
        }
        values.sort_by(f64::total_cmp);
        Some((quantile(&values, 0.025)?, quantile(&values, 0.975)?))
    }
}

/// A quantile of ascending values, linear between them.
fn quantile(ascending: &[f64], q: f64) -> Option<f64> {
    let place = q * ascending.len().checked_sub(1)? as f64;
    let (below, above) = (ascending[place.floor() as usize], ascending[place.ceil() as usize]);
    Some(below + (above - below) * place.fract())
}

/// One bin of a reliability diagram.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Bin {
    /// Lower edge of the bin.
    pub from: f64,
    /// Pictures in it.
    pub count: usize,
    /// Mean of the probabilities that were given.
    pub said: f64,
    /// Share that was failing.
    pub was: f64,
    /// Share of all weight that lies in it.
    pub weight: f64,
}

/// How probabilities compare with what was so, failing and good pictures weighing half each (the probabilities of a
/// manifest are for equal priors).
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Reliability {
    /// Expected calibration error: mean distance between said and was.
    pub expected_error: f64,
    /// Mean squared error of the probability.
    pub brier: f64,
    /// Equal-width bins; empty ones are left out.
    pub bins: Vec<Bin>,
}

const BINS: usize = 10;

/// Compares probabilities with what was so; `None` when the pictures are all failing or all good.
pub fn reliability(said: &[(f64, bool)]) -> Option<Reliability> {
    let failing = said.iter().filter(|(_, failing)| *failing).count();
    let good = said.len() - failing;
    if failing == 0 || good == 0 {
        return None;
    }
    let weight_of = |is: bool| 0.5 / if is { failing } else { good } as f64;
    let mut sums = [(0usize, 0.0, 0.0, 0.0); BINS];
    let mut brier = 0.0;
    for (p, is) in said {
        let (weight, was) = (weight_of(*is), f64::from(u8::from(*is)));
        let bin = &mut sums[((p * BINS as f64) as usize).min(BINS - 1)];
        *bin = (bin.0 + 1, bin.1 + weight, bin.2 + weight * p, bin.3 + weight * was);
        brier += weight * (p - was).powi(2);
    }
    let bins: Vec<Bin> = sums
        .into_iter()
        .enumerate()
        .filter(|(_, (count, ..))| *count > 0)
        .map(|(i, (count, weight, said, was))| {
            let from = i as f64 / BINS as f64;
            Bin { from, count, said: said / weight, was: was / weight, weight }
        })
        .collect();
    let expected_error = bins.iter().map(|bin| bin.weight * (bin.said - bin.was).abs()).sum();
    Some(Reliability { expected_error, brier, bins })
}

#[cfg(test)]
#[path = "metrics_tests.rs"]
mod tests;
