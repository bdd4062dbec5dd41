//! From a failure map or boxes to one score, and from the score to a log-likelihood ratio.

use std::collections::BTreeSet;
use std::ops::Range;

use serde::{Deserialize, Serialize};

use super::odds::with_odds;
use crate::core::types::{Calibration, FailureMap, FrameScore, ScoreRule, ScoredBox};

/// A part of a camera's view, as cells of the failure map: what people dismissed during this print.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Region {
    cells: BTreeSet<(u16, u16)>,
}

impl Region {
    /// Adds every cell of `map` of at least `floor`, and the cells around each.
    pub fn add_hot_cells(&mut self, map: &FailureMap, floor: f32) {
        for (row, column) in positions(map) {
            if cell(map, row, column) < floor {
                continue;
            }
            for near_row in row.saturating_sub(1)..=(row + 1).min(map.rows.saturating_sub(1)) {
                for near_column in
                    column.saturating_sub(1)..=(column + 1).min(map.columns.saturating_sub(1))
                {
                    self.cells.insert((near_row, near_column));
                }
            }
        }
    }

    /// Adds these cells, row and column.
    pub fn extend(&mut self, cells: impl IntoIterator<Item = (u16, u16)>) {
        self.cells.extend(cells);
    }

    /// Whether nothing is in it.
    pub fn is_empty(&self) -> bool {
        self.cells.is_empty()
    }

    /// Whether this cell is in it.
    pub fn holds(&self, row: u16, column: u16) -> bool {
        self.cells.contains(&(row, column))
    }
}

/// What each cell counts for: by what the odds of its probability are multiplied, 0 where it counts for nothing.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Lens {
    factors: Vec<f32>,
}

impl Lens {
    /// A lens for maps of as many cells as there are `factors`; over any other map every cell counts as it is.
    pub fn new(factors: Vec<f32>) -> Self {
        Self { factors }
    }

    /// Every cell counts as it is.
    pub fn clear() -> Self {
        Self::default()
    }

    /// Whether every cell counts as it is.
    pub fn is_clear(&self) -> bool {
        self.factors.is_empty()
    }

    /// The factors for `map`; `None` when each cell counts as it is.
    fn over<'a>(&'a self, map: &FailureMap) -> Option<&'a [f32]> {
        (self.factors.len() == map.cells.len()).then_some(&self.factors[..])
    }

    /// What is left of `map`.
    pub fn applied(&self, map: &FailureMap) -> FailureMap {
        let mut seen = map.clone();
        if let Some(factors) = self.over(map) {
            let cells = seen.cells.iter_mut().zip(factors);
            cells.for_each(|(cell, &factor)| *cell = with_odds(cell.min(1.0), factor));
        }
        seen
    }

    /// The factor at the centre of `scored`.
    fn at(&self, scored: &ScoredBox, map: &FailureMap) -> f32 {
        let (row, column) = cell_at(map, centre(scored));
        let index = usize::from(row) * usize::from(map.columns) + usize::from(column);
        self.over(map).and_then(|factors| factors.get(index)).copied().unwrap_or(1.0)
    }
}

/// The middle of a box, as fractions of the frame.
pub fn centre(scored: &ScoredBox) -> [f32; 2] {
    [(scored.x0 + scored.x1) / 2.0, (scored.y0 + scored.y1) / 2.0]
}

/// The row and column of the cell that shows this point of the frame.
pub fn cell_at(map: &FailureMap, [x, y]: [f32; 2]) -> (u16, u16) {
    let [x0, y0, x1, y1] = map.content;
    let column = ((x0 + x * (x1 - x0)) * f32::from(map.columns)) as u16;
    let row = ((y0 + y * (y1 - y0)) * f32::from(map.rows)) as u16;
    (row.min(map.rows.saturating_sub(1)), column.min(map.columns.saturating_sub(1)))
}

/// The point of the frame, as fractions of it, that a cell's centre shows; outside 0..1 for letterbox bars.
pub fn point_of(map: &FailureMap, row: u16, column: u16) -> [f32; 2] {
    let [x0, y0, x1, y1] = map.content;
    let x = (f32::from(column) + 0.5) / f32::from(map.columns.max(1));
    let y = (f32::from(row) + 0.5) / f32::from(map.rows.max(1));
    [(x - x0) / (x1 - x0), (y - y0) / (y1 - y0)]
}

/// Every cell of a map: row, column.
pub fn positions(map: &FailureMap) -> impl Iterator<Item = (u16, u16)> + '_ {
    (0..map.rows).flat_map(|row| (0..map.columns).map(move |column| (row, column)))
}

fn cell(map: &FailureMap, row: u16, column: u16) -> f32 {
    let index = usize::from(row) * usize::from(map.columns) + usize::from(column);
    map.cells.get(index).copied().unwrap_or(0.0)
}

/// The rows and columns whose cells' centres show the frame rather than a letterbox bar.
fn shown(map: &FailureMap) -> (Range<usize>, Range<usize>) {
    let [x0, y0, x1, y1] = map.content;
    let within = |cells: u16, from: f32, to: f32| {
        let shows =
            |&cell: &u16| (from..to).contains(&((f32::from(cell) + 0.5) / f32::from(cells)));
        let first = (0..cells).find(shows);
        let last = (0..cells).rfind(shows);
        match (first, last) {
            (Some(first), Some(last)) => usize::from(first)..usize::from(last) + 1,
            (_, _) => 0..0,
        }
    };
    (within(map.rows, y0, y1), within(map.columns, x0, x1))
}

/// Whether something can be told from `score`: every number is one and not negative, and the map shows a part of the
/// frame. What fails this must not count as a good frame.
pub fn is_usable(rule: ScoreRule, score: &FrameScore) -> bool {
    let sane = |value: f32| value.is_finite() && value >= 0.0;
    let map = &score.map;
    let boxes_sane = score.boxes.iter().all(|scored| {
        sane(scored.p) && [scored.x0, scored.y0, scored.x1, scored.y1].iter().all(|c| c.is_finite())
    });
    let numbers_sane = sane(score.score)
        && score.infer_ms.is_finite()
        && boxes_sane
        && map.content.iter().all(|edge| edge.is_finite())
        && map.cells.iter().all(|&cell| sane(cell));
    let whole = map.cells.len() == usize::from(map.columns) * usize::from(map.rows);
    let shows = match rule {
        ScoreRule::TopKMean { .. } => {
            let (rows, columns) = shown(map);
            !rows.is_empty() && !columns.is_empty()
        }
        ScoreRule::SumOfConfidences => true,
    };
    numbers_sane && whole && shows
}

/// The score of a frame, 0..1, by the manifest's rule, each cell counting for what `lens` says.
pub fn frame_score(rule: ScoreRule, map: &FailureMap, boxes: &[ScoredBox], lens: &Lens) -> f32 {
    match rule {
        ScoreRule::TopKMean { k } => top_k_mean(usize::from(k.max(1)), map, lens),
        ScoreRule::SumOfConfidences => {
            let counted = |scored: &ScoredBox| with_odds(scored.p.min(1.0), lens.at(scored, map));
            boxes.iter().map(counted).sum::<f32>().min(1.0)
        }
    }
}

fn top_k_mean(k: usize, map: &FailureMap, lens: &Lens) -> f32 {
    let (rows, columns) = shown(map);
    let width = usize::from(map.columns);
    let factors = lens.over(map);
    // The largest so far, largest first.
    let mut top: Vec<f32> = Vec::with_capacity(k);
    for row in rows {
        let line = row * width + columns.start..row * width + columns.end;
        let Some(cells) = map.cells.get(line.clone()) else { continue };
        let factors = factors.and_then(|factors| factors.get(line));
        for (index, &p) in cells.iter().enumerate() {
            let factor = factors.and_then(|factors| factors.get(index)).copied().unwrap_or(1.0);
            let p = with_odds(p.min(1.0), factor);
            if top.len() < k || top.last().is_some_and(|&least| p > least) {
                top.truncate(k - 1);
                top.insert(top.partition_point(|&larger| larger >= p), p);
            }
        }
    }
    if top.is_empty() { 0.0 } else { top.iter().sum::<f32>() / top.len() as f32 }
}

/// The Spaghetti Detective's `p`: the sum of the boxes' confidences, those centred where nothing counts left out.
pub fn sum_of_confidences(map: &FailureMap, boxes: &[ScoredBox], lens: &Lens) -> f32 {
    boxes.iter().filter(|scored| lens.at(scored, map) > 0.0).map(|scored| scored.p.min(1.0)).sum()
}

/// The natural-log likelihood ratio of `score`: linear between the knots, clamped outside them.
pub fn log_likelihood_ratio(calibration: &Calibration, score: f32) -> f32 {
    let knots =
        || calibration.score.iter().copied().zip(calibration.log_likelihood_ratio.iter().copied());
    let above = knots().find(|&(knot, _)| knot >= score);
    let below = knots().take_while(|&(knot, _)| knot < score).last();
    match (below, above) {
        (Some((x0, y0)), Some((x1, y1))) => y0 + (y1 - y0) * (score - x0) / (x1 - x0),
        (Some((_, y)), None) | (None, Some((_, y))) => y,
        (None, None) => 0.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(cells: Vec<f32>, content: [f32; 4]) -> FailureMap {
        FailureMap { columns: 4, rows: 4, content, cells }
    }

    fn without(region: &Region, map: &FailureMap) -> Lens {
        let counts = |(row, column)| if region.holds(row, column) { 0.0 } else { 1.0 };
        Lens::new(positions(map).map(counts).collect())
    }

    #[test]
    fn top_k_mean_ignores_letterbox_bars() {
        let mut cells = vec![0.0; 16];
        cells[0] = 1.0; // in the upper bar
        cells[5] = 0.8;
        cells[6] = 0.4;
        let map = map(cells, [0.0, 0.25, 1.0, 0.75]);
        let score = frame_score(ScoreRule::TopKMean { k: 2 }, &map, &[], &Lens::clear());
        assert!((score - 0.6).abs() < 1e-6, "{score}");
    }

    #[test]
    fn a_dismissed_region_no_longer_counts_but_the_rest_does() {
        let mut cells = vec![0.0; 16];
        cells[0] = 0.9;
        let mut region = Region::default();
        region.add_hot_cells(&map(cells.clone(), [0.0, 0.0, 1.0, 1.0]), 0.5);
        cells[15] = 0.7;
        let both = map(cells, [0.0, 0.0, 1.0, 1.0]);
        let lens = without(&region, &both);
        let score = frame_score(ScoreRule::TopKMean { k: 1 }, &both, &[], &lens);
        assert!((score - 0.7).abs() < 1e-6, "{score}");
    }

    #[test]
    fn box_models_sum_confidences_outside_the_dismissed_region() {
        let boxes = [
            ScoredBox { x0: 0.0, y0: 0.0, x1: 0.2, y1: 0.2, p: 0.9 },
            ScoredBox { x0: 0.7, y0: 0.7, x1: 1.0, y1: 1.0, p: 0.3 },
        ];
        let mut cells = vec![0.0; 16];
        cells[0] = 0.9;
        let map = map(cells, [0.0, 0.0, 1.0, 1.0]);
        let mut region = Region::default();
        assert!((sum_of_confidences(&map, &boxes, &Lens::clear()) - 1.2).abs() < 1e-6);
        region.add_hot_cells(&map, 0.5);
        let lens = without(&region, &map);
        assert!((sum_of_confidences(&map, &boxes, &lens) - 0.3).abs() < 1e-6);
    }

    #[test]
    fn the_calibration_is_linear_between_knots_and_flat_outside() {
        let calibration =
            Calibration { score: vec![0.2, 0.6], log_likelihood_ratio: vec![-2.0, 2.0] };
        for (score, expected) in [(0.0, -2.0), (0.2, -2.0), (0.4, 0.0), (0.6, 2.0), (1.0, 2.0)] {
            assert!((log_likelihood_ratio(&calibration, score) - expected).abs() < 1e-6);
        }
    }
}
