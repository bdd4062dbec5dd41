"""Rendered webcam-scale scenes with true masks, by Blender's Cycles (PyPI `bpy`).

Run as a program it renders (in an environment that has `bpy`); as a module it only reads what was
rendered. Each scene comes from its own seed: `SEED_TRAIN + i` trains, `SEED_HELD_OUT + i` is only measured.
"""

import argparse
import json
import multiprocessing
import os
from functools import partial
from pathlib import Path

import numpy as np

SEED_TRAIN = 100_000
SEED_HELD_OUT = 900_000
# Level of the mask from which a pixel is strand, and levels by which a strand must differ from what is behind it.
STRAND = 60
SEEN_DIFFERENCE = 10


def load_renders(folder: Path, twins: bool = False) -> list:
    """The rendered scenes of a folder, as drawn scenes are; with `twins` those too that lack only the tangle."""
    import cv2

    from scenes import Scene

    def read(picture: Path) -> np.ndarray:
        return cv2.cvtColor(cv2.imread(str(picture)), cv2.COLOR_BGR2RGB)

    found = []
    for number in sorted(path.stem for path in folder.glob("*.png")):
        frame, name = read(folder / f"{number}.jpg"), f"render {number}"
        strands = cv2.imread(str(folder / f"{number}.png"), cv2.IMREAD_GRAYSCALE) > STRAND
        tangle = close_gaps(strands)
        if not strands.any():
            found.append(Scene(frame, tangle, name))
            continue
        twin = read(folder / f"{number}.twin.jpg")
        hidden = tangle * (1 - close_gaps(strands & seen(frame, twin)))
        found.append(Scene(frame, tangle, name, hidden))
        if twins:
            found.append(Scene(twin, np.zeros_like(tangle), f"{name} twin"))
    return found


def seen(frame: np.ndarray, twin: np.ndarray) -> np.ndarray:
    """Where a frame differs visibly from its twin, grain aside."""
    import cv2

    frames = (cv2.GaussianBlur(f.astype(np.float32), (0, 0), 0.7) for f in (frame, twin))
    return np.abs(np.subtract(*frames)).max(axis=2) > SEEN_DIFFERENCE


def close_gaps(strands: np.ndarray) -> np.ndarray:
    """The region of a tangle from where its strands are (0..1 floats)."""
    import cv2

    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (9, 9))
    return cv2.morphologyEx(strands.astype(np.float32), cv2.MORPH_CLOSE, kernel)


def render_one(number: int, seed: int, out: Path) -> tuple[int, str]:
    """Render scene `number`, in a process of its own pool; returns what it shows."""
    from render_scene import render

    return number, render(np.random.default_rng(seed + number), failing=number % 2 == 0, out=out / f"{number:04}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--count", type=int, required=True)
    parser.add_argument("--held-out", action="store_true", help="use the seeds that are never trained on")
    a = parser.parse_args()
    a.out.mkdir(parents=True, exist_ok=True)
    seed = SEED_HELD_OUT if a.held_out else SEED_TRAIN
    missing = [i for i in range(a.count) if not (a.out / f"{i:04}.png").exists()]
    # Blender keeps some memory of every scene: a process makes a hundred and is replaced.
    with multiprocessing.get_context("spawn").Pool(os.cpu_count(), maxtasksperchild=100) as pool:
        for number, kind in pool.imap_unordered(partial(render_one, seed=seed, out=a.out), missing):
            print(json.dumps({"scene": number, "kind": kind}), flush=True)


if __name__ == "__main__":
    main()
