//! Outlines, and where the bed lies in a picture.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Whether `point` lies within the closed outline `corners` (even-odd rule; fewer than three corners hold nothing).
pub fn holds(corners: &[[f64; 2]], [x, y]: [f64; 2]) -> bool {
    let next = corners.iter().cycle().skip(1);
    let crossings = corners.iter().zip(next).filter(|&(&[x0, y0], &[x1, y1])| {
        (y0 > y) != (y1 > y) && x < x0 + (y - y0) / (y1 - y0) * (x1 - x0)
    });
    corners.len() >= 3 && crossings.count() % 2 == 1
}

/// Twice the signed area of an outline: 0 when it encloses nothing.
pub fn doubled_area(corners: &[[f64; 2]]) -> f64 {
    let next = corners.iter().cycle().skip(1);
    corners.iter().zip(next).map(|([x0, y0], [x1, y1])| x0 * y1 - x1 * y0).sum()
}

/// Where the bed lies in a camera's picture, as people marked it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct BedView {
    /// The bed's corners as fractions of the picture, after turning and mirroring: front left (smallest x and y), front
    /// right, back right, back left.
    pub corners: [[f64; 2]; 4],
    /// The bed's smallest x and y and largest x and y, mm.
    pub extent_mm: [f64; 4],
}

impl BedView {
    /// Where points of the bed show in the picture; `None` when the corners are no quadrangle.
    pub fn homography(&self) -> Option<Homography> {
        let [x0, y0, x1, y1] = self.extent_mm;
        let bed = [[x0, y0], [x1, y0], [x1, y1], [x0, y1]];
        Homography::between(bed, self.corners)
    }
}

/// A plane seen in perspective: nine numbers, row by row.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Homography([f64; 9]);

impl Homography {
    /// The one that takes four points to four others, both in order around a convex quadrangle; `None` when they are none.
    ///
    /// Direct linear transformation with the last number fixed at 1 (Hartley and Zisserman, Multiple View Geometry, 4.1).
    pub fn between(from: [[f64; 2]; 4], to: [[f64; 2]; 4]) -> Option<Self> {
        if !(is_convex(&from) && is_convex(&to)) {
            return None;
        }
        let mut rows = [[0.0; 9]; 8];
        for (index, ([x, y], [u, v])) in from.into_iter().zip(to).enumerate() {
            rows[2 * index] = [x, y, 1.0, 0.0, 0.0, 0.0, -u * x, -u * y, u];
            rows[2 * index + 1] = [0.0, 0.0, 0.0, x, y, 1.0, -v * x, -v * y, v];
        }
        let solved = solved(rows)?;
        let mut numbers = [1.0; 9];
        numbers[..8].copy_from_slice(&solved);
        Some(Self(numbers))
    }

    /// Where a point goes; `None` when that is behind the camera.
    pub fn apply(&self, [x, y]: [f64; 2]) -> Option<[f64; 2]> {
        let [a, b, c, d, e, f, g, h, i] = self.0;
        let w = g * x + h * y + i;
        (w > 1e-9).then(|| [(a * x + b * y + c) / w, (d * x + e * y + f) / w])
    }
}

/// Whether the corners turn the same way all around.
fn is_convex(corners: &[[f64; 2]; 4]) -> bool {
    let turns = |index: usize| {
        let [a, b, c] = [0, 1, 2].map(|step| corners[(index + step) % 4]);
        doubled_area(&[a, b, c])
    };
    let flattest = (0..4).map(|index| turns(index).abs()).fold(f64::INFINITY, f64::min);
    let left = (0..4).filter(|&index| turns(index) > 0.0).count();
    flattest > 1e-6 && (left == 0 || left == 4)
}

/// Eight equations, their right side last; by elimination with partial pivoting.
fn solved(mut rows: [[f64; 9]; 8]) -> Option<[f64; 8]> {
    for column in 0..8 {
        let pivot =
            (column..8).max_by(|&a, &b| rows[a][column].abs().total_cmp(&rows[b][column].abs()))?;
        rows.swap(column, pivot);
        let lead = rows[column];
        if lead[column].abs() < 1e-9 {
            return None;
        }
        for (index, row) in rows.iter_mut().enumerate() {
            if index != column {
                let times = row[column] / lead[column];
                row.iter_mut().zip(lead).for_each(|(value, of_lead)| *value -= times * of_lead);
            }
        }
    }
    let mut solution = [0.0; 8];
    for (index, value) in solution.iter_mut().enumerate() {
        *value = rows[index][8] / rows[index][index];
    }
    solution.iter().all(|value| value.is_finite()).then_some(solution)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const TRIANGLE: [[f64; 2]; 3] = [[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]];

    #[test]
    fn an_outline_holds_what_is_within() {
        assert!(holds(&TRIANGLE, [0.2, 0.2]));
        assert!(!holds(&TRIANGLE, [0.8, 0.8]));
        assert!(!holds(&TRIANGLE, [-0.1, 0.2]));
        assert!(!holds(&TRIANGLE[..2], [0.5, 0.0]));
        assert!((doubled_area(&TRIANGLE) - 1.0).abs() < 1e-12);
    }

    #[test]
    fn the_bed_lies_where_its_corners_were_marked() {
        let corners = [[0.2, 0.9], [0.8, 0.88], [0.7, 0.4], [0.3, 0.42]];
        let bed = BedView { corners, extent_mm: [0.0, 0.0, 235.0, 235.0] };
        let seen = bed.homography().unwrap();
        for (at, corner) in
            [[0.0, 0.0], [235.0, 0.0], [235.0, 235.0], [0.0, 235.0]].into_iter().zip(corners)
        {
            let [x, y] = seen.apply(at).unwrap();
            assert!((x - corner[0]).abs() < 1e-9 && (y - corner[1]).abs() < 1e-9);
        }
        let [_, y] = seen.apply([117.5, 117.5]).unwrap();
        assert!(y < 0.65, "the middle of the bed is nearer to its far edge in the picture: {y}");
    }

    #[test]
    fn corners_on_a_line_or_in_the_wrong_order_are_no_bed() {
        let on_a_line = [[0.1, 0.1], [0.2, 0.2], [0.3, 0.3], [0.1, 0.9]];
        let crossed = [[0.2, 0.8], [0.8, 0.2], [0.8, 0.8], [0.2, 0.2]];
        for corners in [on_a_line, crossed] {
            let bed = BedView { corners, extent_mm: [0.0, 0.0, 200.0, 200.0] };
            assert_eq!(bed.homography(), None);
        }
    }

    proptest! {
        #[test]
        fn corners_come_back_from_any_quadrangle(jitter in proptest::array::uniform8(-0.15_f64..0.15)) {
            let square = [[0.2, 0.8], [0.8, 0.8], [0.8, 0.2], [0.2, 0.2]];
            let mut corners = square;
            for (index, by) in jitter.into_iter().enumerate() {
                corners[index / 2][index % 2] += by;
            }
            let bed = BedView { corners, extent_mm: [-10.0, 5.0, 300.0, 280.0] };
            let seen = bed.homography().unwrap();
            for (at, corner) in [[-10.0, 5.0], [300.0, 5.0], [300.0, 280.0], [-10.0, 280.0]].into_iter().zip(corners) {
                let [x, y] = seen.apply(at).unwrap();
                prop_assert!((x - corner[0]).abs() < 1e-6 && (y - corner[1]).abs() < 1e-6);
            }
        }
    }
}
