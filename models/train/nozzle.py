"""Whether a head in front hides tangles: recall on rendered scenes by how near the nozzle is to the tangle.

If frames with the head near were worth less, they would have to count less. Prints a table; nothing reads it.
"""

import argparse
import json
from pathlib import Path

import numpy as np

import measure
from assess import read_rows
from render import load_renders

SMALLEST = 0.003
# Distances in parts of the picture's width.
BANDS = (("no head", None), ("0 to 0.05", 0.05), ("0.05 to 0.15", 0.15), ("farther", np.inf))


def distance(tangle: np.ndarray, nozzle: list[float]) -> float:
    """From the nozzle to the nearest pixel of the tangle, in widths."""
    height, width = tangle.shape
    rows, columns = np.nonzero(tangle > 0)
    return float(np.hypot(columns - nozzle[0] * width, rows - nozzle[1] * height).min() / width)


def band(tangle: np.ndarray, nozzle: list[float] | None) -> str:
    if nozzle is None:
        return BANDS[0][0]
    return next(name for name, most in BANDS[1:] if distance(tangle, nozzle) <= most)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("rows", type=Path, help="rows of a model (assess.py)")
    parser.add_argument("renders", type=Path, help="the held-out scenes that they are of")
    a = parser.parse_args()
    rows = {row.name: row for row in read_rows(a.rows) if row.part == "rendered"}
    point = measure.threshold_at(np.array([row.score for row in rows.values() if not row.failing]), 0.01)
    found: dict[str, list[tuple[bool, float]]] = {name: [] for name, _ in BANDS}
    for scene in load_renders(a.renders):
        row, about = rows[scene.name], a.renders / f"{scene.name.split()[-1]}.json"
        if row.area >= SMALLEST:
            nozzle = json.loads(about.read_text())["nozzle"]
            found[band(scene.tangle, nozzle)].append((row.score > point, row.area))
    print(f"tangles of {SMALLEST:.1%} of the picture and more, threshold {point:.3f}")
    for name, seen in found.items():
        if seen:
            hits, areas = zip(*seen, strict=True)
            print(f"{name:14} {np.mean(hits):6.1%} of {len(hits):3}, median area {np.median(areas):.2%}")


if __name__ == "__main__":
    main()
