//! From a failure map or boxes to one score, and from the score to a log-likelihood ratio.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

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

    /// Whether nothing is in it.
    pub fn is_empty(&self) -> bool {
        self.cells.is_empty()
    }

    fn holds(&self, row: u16, column: u16) -> bool {
        self.cells.contains(&(row, column))
    }

    fn holds_centre_of(&self, scored: &ScoredBox, map: &FailureMap) -> bool {
        let [x0, y0, x1, y1] = map.content;
        let x = x0 + (scored.x0 + scored.x1) / 2.0 * (x1 - x0);
        let y = y0 + (scored.y0 + scored.y1) / 2.0 * (y1 - y0);
        let column = (x * f32::from(map.columns)) as u16;
        let row = (y * f32::from(map.rows)) as u16;
        self.holds(row.min(map.rows.saturating_sub(1)), column.min(map.columns.saturating_sub(1)))
    }
}

fn positions(map: &FailureMap) -> impl Iterator<Item = (u16, u16)> + '_ {
    (0..map.rows).flat_map(|row| (0..map.columns).map(move |column| (row, column)))
}

fn cell(map: &FailureMap, row: u16, column: u16) -> f32 {
    let index = usize::from(row) * usize::from(map.columns) + usize::from(column);
    map.cells.get(index).copied().unwrap_or(0.0)
}

/// Whether the centre of a cell shows the frame rather than a letterbox bar.
pub fn shows_frame(map: &FailureMap, row: u16, column: u16) -> bool {
    let x = (f32::from(column) + 0.5) / f32::from(map.columns);
    let y = (f32::from(row) + 0.5) / f32::from(map.rows);
    let [x0, y0, x1, y1] = map.content;
    (x0..x1).contains(&x) && (y0..y1).contains(&y)
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
            positions(map).any(|(row, column)| shows_frame(map, row, column))
        }
        ScoreRule::SumOfConfidences => true,
    };
    numbers_sane && whole && shows
}

/// The score of a frame, 0..1, by the manifest's rule, leaving out what lies in `without`.
pub fn frame_score(
    rule: ScoreRule,
    map: &FailureMap,
    boxes: &[ScoredBox],
    without: &Region,
) -> f32 {
    match rule {
        ScoreRule::TopKMean { k } => {
            let mut cells: Vec<f32> = positions(map)
                .filter(|&(row, column)| shows_frame(map, row, column))
                .map(
                    |(row, column)| {
                        if without.holds(row, column) { 0.0 } else { cell(map, row, column) }
                    },
                )
                .collect();
            cells.sort_by(|a, b| b.total_cmp(a));
            cells.truncate(usize::from(k.max(1)));
            let sum: f32 = cells.iter().map(|cell| cell.min(1.0)).sum();
            if cells.is_empty() { 0.0 } else { sum / cells.len() as f32 }
        }
        ScoreRule::SumOfConfidences => sum_of_confidences(map, boxes, without).min(1.0),
    }
}

/// The Spaghetti Detective's `p`: the sum of the boxes' confidences, those centred in `without` left out.
pub fn sum_of_confidences(map: &FailureMap, boxes: &[ScoredBox], without: &Region) -> f32 {
    boxes
        .iter()
        .filter(|scored| !without.holds_centre_of(scored, map))
        .map(|scored| scored.p.min(1.0))
        .sum()
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

    #[test]
    fn top_k_mean_ignores_letterbox_bars() {
        let mut cells = vec![0.0; 16];
        cells[0] = 1.0; // in the upper bar
        cells[5] = 0.8;
        cells[6] = 0.4;
        let map = map(cells, [0.0, 0.25, 1.0, 0.75]);
        let score = frame_score(ScoreRule::TopKMean { k: 2 }, &map, &[], &Region::default());
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
        let score = frame_score(ScoreRule::TopKMean { k: 1 }, &both, &[], &region);
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
        assert!((sum_of_confidences(&map, &boxes, &region) - 1.2).abs() < 1e-6);
        region.add_hot_cells(&map, 0.5);
        assert!((sum_of_confidences(&map, &boxes, &region) - 0.3).abs() < 1e-6);
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
