"""From a failure map to a frame's score and boxes: the contract that Rust repeats."""

from collections import deque

import numpy as np

from preprocess import Placement
from settings import BOX_THRESHOLD, CELL, TOP_K

Box = tuple[float, float, float, float, float]


def score(failure_map: np.ndarray, inside: np.ndarray, k: int = TOP_K) -> float:
    """Mean of the k largest cells whose centre lies on the frame (of all of them where fewer)."""
    cells = np.sort(failure_map[inside].astype(np.float64))[::-1][:k]
    return float(cells.mean()) if cells.size else 0.0


def boxes(failure_map: np.ndarray, place: Placement, threshold: float = BOX_THRESHOLD) -> list[Box]:
    """Connected cells (8 neighbours) at or above the threshold as boxes in fractions of the frame.

    Sorted by their highest probability, descending; ties by top, then left.
    """
    hot = (failure_map >= threshold) & place.cells()
    found: list[tuple[float, int, int, Box]] = []
    seen = np.zeros_like(hot)
    height, width = hot.shape
    for row, column in zip(*np.nonzero(hot), strict=True):
        if seen[row, column]:
            continue
        seen[row, column] = True
        queue, members = deque([(row, column)]), []
        while queue:
            r, c = queue.popleft()
            members.append((r, c))
            for near_r in range(max(0, r - 1), min(height, r + 2)):
                for near_c in range(max(0, c - 1), min(width, c + 2)):
                    if hot[near_r, near_c] and not seen[near_r, near_c]:
                        seen[near_r, near_c] = True
                        queue.append((near_r, near_c))
        rows, columns = [r for r, _ in members], [c for _, c in members]
        peak = max(float(failure_map[r, c]) for r, c in members)
        found.append((-peak, min(rows), min(columns), fractions(rows, columns, place) + (peak,)))
    return [box for *_, box in sorted(found, key=lambda item: item[:3])]


def fractions(rows: list[int], columns: list[int], place: Placement) -> tuple[float, float, float, float]:
    """The bounding box of cells, from letterboxed pixels to fractions of the frame."""

    def clip(value: float) -> float:
        return min(1.0, max(0.0, value))

    return (
        clip((min(columns) * CELL - place.left) / place.width),
        clip((min(rows) * CELL - place.top) / place.height),
        clip(((max(columns) + 1) * CELL - place.left) / place.width),
        clip(((max(rows) + 1) * CELL - place.top) / place.height),
    )
