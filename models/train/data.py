"""Labelled pictures: who trains, who validates, who is only measured."""

import json
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from settings import FOLD_SEQUENCES, FREE_FAILING, NEVER_TRAINED

WEBCAM_VIEWS = ("webcam", "timelapse-shot")
# How far the space outside the boxes of a failing picture may be taken for good, by source.
BOX_TRUST = {"kapis20-extra": 0.5, "22yeets22": 0.5, "veysel": 0.3}
BOX_TRUST_ELSEWHERE = 0.15


@dataclass(frozen=True)
class Picture:
    """One labelled picture."""

    path: Path
    split: str
    label: str
    boxes: tuple[tuple[float, float, float, float], ...]
    source: str
    view: str
    group: int
    sequence: str | None

    @property
    def name(self) -> str:
        return self.path.name

    @property
    def failing(self) -> bool:
        return self.label == "failing"

    @property
    def cluster(self) -> str:
        """What must stay together when figures are resampled."""
        return self.sequence or str(self.group)

    def decode(self) -> np.ndarray:
        """The picture as RGB8 for augmentation (measuring reads through `preprocess`)."""
        return cv2.cvtColor(cv2.imread(str(self.path), cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)


def load(data: Path) -> list[Picture]:
    """All labelled pictures except those the labels say to ignore."""
    pictures = []
    for line in (data / "labels.jsonl").read_text().splitlines():
        row = json.loads(line)
        if row["label"] == "ignore":
            continue
        pictures.append(
            Picture(
                path=data / row["file"],
                split=row["split"],
                label=row["label"],
                boxes=tuple(tuple(box) for box in row["boxes"] or ()),
                source=row["source"],
                view=row["view"],
                group=row["group"],
                sequence=row.get("sequence"),
            )
        )
    return pictures


def fold(pictures: list[Picture]) -> list[Picture]:
    """Webcam goods of the training part kept for validation, by whole sequences and groups."""
    named = {p.group for p in pictures if p.split == "train" and p.sequence in FOLD_SEQUENCES}
    return [p for p in pictures if p.split == "train" and (p.sequence in FOLD_SEQUENCES or p.group in named)]


def training(pictures: list[Picture], failing_from: str) -> list[Picture]:
    """Pictures to train on; `failing_from` is `free` (stated free licences) or `all`."""
    kept_out = {p.path for p in fold(pictures)}
    return [
        p
        for p in pictures
        if p.split == "train"
        and p.source not in NEVER_TRAINED
        and p.path not in kept_out
        and (not p.failing or (p.boxes and (failing_from == "all" or p.source in FREE_FAILING)))
    ]


def dev(pictures: list[Picture]) -> list[Picture]:
    """The development part."""
    return [p for p in pictures if p.split == "dev"]


def box_planes(picture: Picture, width: int, height: int) -> tuple[np.ndarray, np.ndarray]:
    """What the labels say about each pixel: how surely a tangle (0..1), and how far to trust that (0..1).

    A box's inscribed ellipse is tangle, its corners and a margin around it are unknown, and what lies
    farther out counts as good only as far as the source's boxes are complete.
    """
    positive = np.zeros((height, width), np.float32)
    outside = BOX_TRUST.get(picture.source, BOX_TRUST_ELSEWHERE) if picture.failing else 1.0
    trust = np.full((height, width), outside, np.float32)
    for x0, y0, x1, y1 in picture.boxes:
        margin_x, margin_y = 0.15 * (x1 - x0) + 0.02, 0.15 * (y1 - y0) + 0.02
        left, right = max(0.0, x0 - margin_x) * width, min(1.0, x1 + margin_x) * width
        top, bottom = max(0.0, y0 - margin_y) * height, min(1.0, y1 + margin_y) * height
        trust[int(top) : int(bottom) + 1, int(left) : int(right) + 1] = 0.0
    for x0, y0, x1, y1 in picture.boxes:
        centre = (int((x0 + x1) / 2 * width), int((y0 + y1) / 2 * height))
        axes = (max(1, int((x1 - x0) / 2 * width)), max(1, int((y1 - y0) / 2 * height)))
        cv2.ellipse(positive, centre, axes, 0, 0, 360, 1.0, -1)
    trust[positive > 0] = 1.0
    return positive, trust
