//! The lift is for news. Where clutter is known, and in the cells beside it, it is withheld.
//!
//! What lies in view all the time never scores quite the same, and the hottest of some cells a little above its mean most
//! of the time. Discounted, that is worth little; lifted by as much as it takes to be told of the first strands elsewhere,
//! it would add up to an alert within minutes. Beside it, as a tremor of the camera moves what lies there by a cell.

use crate::core::types::FailureMap;

/// Takes `lift`, log-odds, from what the cells of `map` count for by `factors`, at most by as much as the cell or one of
/// the eight around it is discounted; a log-likelihood ratio rises about as fast as they do. Without factors nothing is
/// known, and nothing withheld.
pub fn withhold(lift: f32, factors: &mut [f32], map: &FailureMap) {
    let columns = usize::from(map.columns);
    if lift <= 0.0 || columns == 0 || !factors.iter().any(|&factor| factor < 1.0) {
        return;
    }
    let known = factors.to_vec();
    let around = |at: usize| at.saturating_sub(1)..at + 2;
    for (cell, factor) in factors.iter_mut().enumerate() {
        let (row, column) = (cell / columns, cell % columns);
        let lines = around(row).filter_map(|row| known.get(row * columns..(row + 1) * columns));
        let near =
            lines.flat_map(|line| line.iter().take(column + 2).skip(column.saturating_sub(1)));
        *factor *= near.copied().fold(1.0, f32::min).max((-lift).exp());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn withheld(lift: f32, factors: &[f32], columns: u16) -> Vec<f32> {
        let rows = factors.len() as u16 / columns;
        let cells = vec![0.5; factors.len()];
        let map = FailureMap { columns, rows, content: [0.0, 0.0, 1.0, 1.0], cells };
        let mut left = factors.to_vec();
        withhold(lift, &mut left, &map);
        left.iter().zip(factors).map(|(left, factor)| -(left / factor).ln()).collect()
    }

    fn close(found: &[f32], expected: &[f32]) {
        let near = found.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-4);
        assert!(near && found.len() == expected.len(), "{found:?}, not {expected:?}");
    }

    #[test]
    fn what_is_known_as_clutter_and_what_touches_it_is_not_lifted() {
        let [cable, clean] = [(-3.0_f32).exp(), 8.0];
        let row_by_row = [
            [cable, clean, clean, clean],
            [clean, clean, clean, clean],
            [clean, clean, clean, clean],
        ];
        let left = [[2.0, 2.0, 0.0, 0.0], [2.0, 2.0, 0.0, 0.0], [0.0, 0.0, 0.0, 0.0]];
        close(&withheld(2.0, row_by_row.as_flattened(), 4), left.as_flattened());
    }

    #[test]
    fn no_more_is_withheld_than_is_discounted_and_nothing_where_nothing_is_known() {
        let faint = (-0.5_f32).exp();
        close(&withheld(2.0, &[1.0, faint, 1.0, 1.0], 4), &[0.5, 0.5, 0.5, 0.0]);
        close(&withheld(2.0, &[1.0, 3.0, 1.0, 1.0], 4), &[0.0; 4]);
    }

    #[test]
    fn what_lowers_instead_of_lifting_is_not_withheld() {
        close(&withheld(-1.0, &[0.1, 1.0], 2), &[0.0, 0.0]);
    }
}
