"""Scores every picture that is measured: dev, the webcam fold, staged webcams, drawn and rendered scenes."""

import argparse
import json
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

import data
import scenes
import scoring
from augment import Canvas, damage, paint_tangle, paste_cutting, random_box
from infer import Model
from preprocess import read_picture
from render import load_renders
from settings import CELL

STAGED = 240
DRAWN = 240
STAGED_SEED = 5_000_000
DRAWN_SEED = 6_000_000


@dataclass
class Row:
    """What a model made of one picture."""

    part: str
    name: str
    source: str
    view: str
    failing: bool
    cluster: str
    area: float
    score: float
    cells: list[float]
    peak_in_box: bool | None


def staged(pictures: list[data.Picture], number: int) -> tuple[np.ndarray, np.ndarray, str]:
    """A webcam frame that no training saw, with a dev tangle pasted or a new one drawn in on every second.

    Good ones get a good cutting or nothing; all are damaged as webcams damage.
    """
    rng = np.random.default_rng((STAGED_SEED, number))
    unseen = data.dev(pictures)
    goods = [p for p in unseen if p.view == "webcam" and not p.failing] + data.fold(pictures)
    failing = [p for p in unseen if p.failing and p.boxes]
    others = [p for p in unseen if not p.failing and p.view != "webcam"]
    base = goods[rng.integers(len(goods))]
    canvas = Canvas.of_picture(base)
    canvas.frame = canvas.frame.copy()
    if number % 2 == 0:
        while not (canvas.positive > 0).any():
            if rng.random() < 0.5:
                paint_tangle(canvas, rng)
            else:
                picture = failing[rng.integers(len(failing))]
                box = picture.boxes[rng.integers(len(picture.boxes))]
                paste_cutting(canvas, Canvas.of_picture(picture), box, rng, True)
    elif rng.random() < 0.5:
        picture = others[rng.integers(len(others))]
        paste_cutting(canvas, Canvas.of_picture(picture), random_box(rng), rng, False)
    return damage(canvas.frame, rng), canvas.positive, base.cluster


def row_of(model: Model, frame: np.ndarray, part: str, name: str, picture=None, tangle=None, cluster=None) -> Row:
    """One picture's row."""
    found, place = model.failure_map(frame)
    inside = place.cells()
    in_box = None
    if picture is not None and picture.boxes:
        row, column = np.unravel_index(np.argmax(np.where(inside, found, -1)), found.shape)
        x = ((column + 0.5) * CELL - place.left) / place.width
        y = ((row + 0.5) * CELL - place.top) / place.height
        in_box = any(x0 <= x <= x1 and y0 <= y <= y1 for x0, y0, x1, y1 in picture.boxes)
    area = float((tangle > 0).mean()) if tangle is not None else 0.0
    return Row(
        part=part,
        name=name,
        source=picture.source if picture else part,
        view=picture.view if picture else part,
        failing=picture.failing if picture else area > 0,
        cluster=cluster or (picture.cluster if picture else name),
        area=area,
        score=scoring.score(found, inside),
        cells=[round(float(v), 5) for v in np.sort(found[inside])[::-1][:8]],
        peak_in_box=in_box,
    )


def assess(model: Model, data_dir: Path, renders: Path | None) -> list[Row]:
    """All rows of a model."""
    pictures = data.load(data_dir)
    rows = [row_of(model, read_picture(p.path), "dev", p.path.name, p) for p in data.dev(pictures)]
    rows += [row_of(model, read_picture(p.path), "fold", p.path.name, p) for p in data.fold(pictures)]
    for i in range(STAGED):
        frame, tangle, cluster = staged(pictures, i)
        rows.append(row_of(model, frame, "staged", f"{i}", tangle=tangle, cluster=cluster))
    for i in range(DRAWN):
        scene = scenes.draw_scene(np.random.default_rng((DRAWN_SEED, i)), failing=i % 2 == 0)
        rows.append(row_of(model, scene.frame, "drawn", f"{i}", tangle=scene.tangle))
    for scene in load_renders(renders, twins=True) if renders else []:
        rows.append(row_of(model, scene.frame, "rendered", scene.name, tangle=scene.tangle))
    return rows


def read_rows(path: Path) -> list[Row]:
    """Rows that an earlier stage wrote."""
    return [Row(**json.loads(line)) for line in path.read_text().splitlines()]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("model", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--renders", type=Path)
    a = parser.parse_args()
    rows = assess(Model(a.model), a.data, a.renders)
    a.out.write_text("".join(json.dumps(asdict(row)) + "\n" for row in rows))


if __name__ == "__main__":
    main()
