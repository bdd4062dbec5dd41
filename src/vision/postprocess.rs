//! Network output to map and boxes; the score follows in [`crate::core::detect::statistic`]. Pure.

use crate::core::types::{FailureMap, ScoredBox};

use super::preprocess::Placement;

/// Cells a side of the map that is drawn from a box model's boxes.
pub const DRAWN_MAP: u16 = 20;

/// The map of `rows × columns` probabilities, cells whose centre lies in the letterbox bars set to 0.
pub fn failure_map(cells: &[f32], columns: u16, rows: u16, placement: &Placement) -> FailureMap {
    let mut map = FailureMap { columns, rows, content: placement.content(), cells: cells.to_vec() };
    let across: Vec<bool> = (0..columns).map(|c| inside(c, columns, placement, Axis::X)).collect();
    for (row, cells) in (0..rows).zip(map.cells.chunks_exact_mut(usize::from(columns))) {
        let down = inside(row, rows, placement, Axis::Y);
        for (cell, across) in cells.iter_mut().zip(&across) {
            *cell = if down && *across { cell.clamp(0.0, 1.0) } else { 0.0 };
        }
    }
    map
}

#[derive(Clone, Copy)]
enum Axis {
    X,
    Y,
}

/// Whether the centre of a column or row of cells lies on the frame.
fn inside(index: u16, count: u16, placement: &Placement, axis: Axis) -> bool {
    let (whole, start, length) = match axis {
        Axis::X => (placement.input.0, placement.left, placement.width),
        Axis::Y => (placement.input.1, placement.top, placement.height),
    };
    let centre = (f64::from(index) + 0.5) * f64::from(whole) / f64::from(count);
    (f64::from(start)..f64::from(start + length)).contains(&centre)
}

/// Regions of touching cells (8 neighbours) at or above `threshold`, most probable first.
pub fn boxes_of_map(map: &FailureMap, threshold: f32, placement: &Placement) -> Vec<ScoredBox> {
    let (columns, rows) = (usize::from(map.columns), usize::from(map.rows));
    let mut open: Vec<bool> = map.cells.iter().map(|p| *p > 0.0 && *p >= threshold).collect();
    let mut boxes = Vec::new();
    for first in 0..open.len() {
        if !open[first] {
            continue;
        }
        let mut region = Region::default();
        let mut pending = vec![first];
        open[first] = false;
        while let Some(cell) = pending.pop() {
            let (column, row) = (cell % columns, cell / columns);
            region.add(column, row, map.cells[cell]);
            for y in row.saturating_sub(1)..=(row + 1).min(rows - 1) {
                for x in column.saturating_sub(1)..=(column + 1).min(columns - 1) {
                    if std::mem::take(&mut open[y * columns + x]) {
                        pending.push(y * columns + x);
                    }
                }
            }
        }
        boxes.push(region.on_frame(columns, rows, placement));
    }
    most_probable_first(&mut boxes);
    boxes
}

/// The cells of one region: its corners (the far ones exclusive) and its highest probability.
struct Region {
    x: (usize, usize),
    y: (usize, usize),
    p: f32,
}

impl Default for Region {
    fn default() -> Self {
        Self { x: (usize::MAX, 0), y: (usize::MAX, 0), p: 0.0 }
    }
}

impl Region {
    fn add(&mut self, column: usize, row: usize, p: f32) {
        self.x = (self.x.0.min(column), self.x.1.max(column + 1));
        self.y = (self.y.0.min(row), self.y.1.max(row + 1));
        self.p = self.p.max(p);
    }

    fn on_frame(&self, columns: usize, rows: usize, placement: &Placement) -> ScoredBox {
        let fraction = |cell: usize, count: usize| cell as f32 / count as f32;
        let (x0, y0) = placement.to_frame(fraction(self.x.0, columns), fraction(self.y.0, rows));
        let (x1, y1) = placement.to_frame(fraction(self.x.1, columns), fraction(self.y.1, rows));
        ScoredBox { x0, y0, x1, y1, p: self.p }
    }
}

fn most_probable_first(boxes: &mut [ScoredBox]) {
    boxes.sort_by(|a, b| {
        b.p.total_cmp(&a.p).then(a.y0.total_cmp(&b.y0)).then(a.x0.total_cmp(&b.x0))
    });
}

/// The raw output of a `yolo_boxes` model.
pub struct YoloOutput<'a> {
    /// `[x0, y0, x1, y1]` as fractions of the input, one after another.
    pub boxes: &'a [f32],
    /// `classes` confidences a box.
    pub confidences: &'a [f32],
    /// Classes, at least 1.
    pub classes: usize,
}

/// Boxes whose strongest class is `class` with a confidence above `threshold`, without those that overlap a stronger
/// one by more than `overlap` (intersection over union), as Obico's `backend_onnx.py` selects them.
pub fn boxes_of_yolo(
    output: &YoloOutput,
    class: usize,
    threshold: f32,
    overlap: f32,
    placement: &Placement,
) -> Vec<ScoredBox> {
    let corners = output.boxes.chunks_exact(4);
    let mut candidates: Vec<ScoredBox> = corners
        .zip(output.confidences.chunks_exact(output.classes))
        .filter_map(|(corners, confidences)| {
            let p = *confidences.get(class)?;
            let strongest =
                confidences.iter().enumerate().all(|(i, q)| p > *q || (p == *q && class <= i));
            (strongest && p > threshold).then_some(ScoredBox {
                x0: corners[0],
                y0: corners[1],
                x1: corners[2],
                y1: corners[3],
                p: p.min(1.0),
            })
        })
        .collect();
    most_probable_first(&mut candidates);
    let mut kept: Vec<ScoredBox> = Vec::new();
    for candidate in candidates {
        if kept.iter().all(|stronger| intersection_over_union(stronger, &candidate) <= overlap) {
            kept.push(candidate);
        }
    }
    for b in &mut kept {
        (b.x0, b.y0) = placement.to_frame(b.x0, b.y0);
        (b.x1, b.y1) = placement.to_frame(b.x1, b.y1);
    }
    kept.retain(|b| b.x1 > b.x0 && b.y1 > b.y0);
    kept
}

fn intersection_over_union(a: &ScoredBox, b: &ScoredBox) -> f32 {
    let area = |b: &ScoredBox| (b.x1 - b.x0).max(0.0) * (b.y1 - b.y0).max(0.0);
    let common =
        (a.x1.min(b.x1) - a.x0.max(b.x0)).max(0.0) * (a.y1.min(b.y1) - a.y0.max(b.y0)).max(0.0);
    let union = area(a) + area(b) - common;
    if union > 0.0 { common / union } else { 0.0 }
}

/// The map of a box model: each cell has the confidence of the strongest box that touches it.
pub fn map_of_boxes(boxes: &[ScoredBox]) -> FailureMap {
    let side = usize::from(DRAWN_MAP);
    let mut cells = vec![0.0_f32; side * side];
    let span = |low: f32, high: f32| {
        let first = (low * side as f32).floor() as usize;
        let past = (high * side as f32).ceil() as usize;
        first..past.min(side)
    };
    for b in boxes {
        for row in span(b.y0, b.y1) {
            for column in span(b.x0, b.x1) {
                let cell = &mut cells[row * side + column];
                *cell = cell.max(b.p);
            }
        }
    }
    FailureMap { columns: DRAWN_MAP, rows: DRAWN_MAP, content: [0.0, 0.0, 1.0, 1.0], cells }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A square frame fills the square input.
    const WHOLE: Placement =
        Placement { left: 0, top: 0, width: 320, height: 320, input: (320, 320) };

    fn boxes(hot: &[(usize, usize, f32)], placement: &Placement) -> Vec<ScoredBox> {
        let mut cells = vec![0.1; 400];
        for (column, row, p) in hot {
            cells[row * 20 + column] = *p;
        }
        boxes_of_map(&failure_map(&cells, 20, 20, placement), 0.5, placement)
    }

    #[test]
    fn cells_that_touch_at_a_corner_are_one_region() {
        let found = boxes(&[(4, 4, 0.6), (5, 5, 0.9), (4, 6, 0.5)], &WHOLE);
        assert_eq!(found, [ScoredBox { x0: 0.2, y0: 0.2, x1: 0.3, y1: 0.35, p: 0.9 }]);
    }

    #[test]
    fn regions_apart_come_most_probable_first_and_ties_from_the_top_left() {
        let found = boxes(&[(18, 2, 0.7), (2, 2, 0.7), (9, 9, 0.8), (9, 0, 0.7)], &WHOLE);
        let places: Vec<(f32, f32)> = found.iter().map(|b| (b.x0, b.y0)).collect();
        assert_eq!(places, [(0.45, 0.45), (0.45, 0.0), (0.1, 0.1), (0.9, 0.1)]);
    }

    #[test]
    fn letterbox_bars_hold_nothing_and_boxes_end_at_the_frame() {
        // 320 x 100: bars of 110 px; rows 0..6 have their centre above the frame, row 7 (112..128) below its top.
        let wide = Placement { left: 0, top: 110, width: 320, height: 100, input: (320, 320) };
        assert!(boxes(&[(3, 5, 1.0), (3, 19, 1.0)], &wide).is_empty());
        let found = boxes(&[(0, 6, 1.0), (0, 7, 1.0)], &wide);
        // Row 6 (96..112, centre 104) is in the bar; row 7 begins 2 px into the frame.
        assert_eq!(found.len(), 1);
        assert!(
            (found[0].y0 - 0.02).abs() < 1e-6 && (found[0].y1 - 0.18).abs() < 1e-6,
            "{found:?}"
        );
    }

    #[test]
    fn equal_confidences_of_two_classes_go_to_the_first() {
        let output = YoloOutput {
            boxes: &[0.1, 0.1, 0.4, 0.4, 0.6, 0.6, 0.8, 0.8],
            confidences: &[0.5, 0.5, 0.2, 0.6],
            classes: 2,
        };
        assert_eq!(boxes_of_yolo(&output, 0, 0.2, 0.45, &WHOLE).len(), 1);
        assert_eq!(boxes_of_yolo(&output, 1, 0.2, 0.45, &WHOLE).len(), 1);
        assert!(
            boxes_of_yolo(&output, 0, 0.5, 0.45, &WHOLE).is_empty(),
            "the threshold itself is not above"
        );
    }
}
