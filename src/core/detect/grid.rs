//! Which cells a failure map has.

use serde::{Deserialize, Serialize};

use crate::core::types::FailureMap;

/// Which cells these are: only maps of the same model and the same picture can be compared.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Grid {
    /// The model's hash.
    pub model: String,
    /// Cells a row.
    pub columns: u16,
    /// Rows.
    pub rows: u16,
    /// The part that the frame covers, as [`FailureMap::content`].
    pub content: [f32; 4],
}

impl Grid {
    /// The cells of `map`.
    pub(super) fn of(map: &FailureMap, model: &str) -> Self {
        let FailureMap { columns, rows, content, .. } = *map;
        Self { model: model.to_owned(), columns, rows, content }
    }

    /// Whether these are the cells of `map`.
    pub(super) fn is_of(&self, map: &FailureMap, model: &str) -> bool {
        (self.columns, self.rows, self.content) == (map.columns, map.rows, map.content)
            && self.model == model
    }
}
