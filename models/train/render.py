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


def load_renders(folder: Path) -> list:
    """The rendered scenes of a folder, as drawn scenes are."""
    import cv2

    from scenes import Scene

    found = []
    for picture in sorted(folder.glob("*.jpg")):
        frame = cv2.cvtColor(cv2.imread(str(picture)), cv2.COLOR_BGR2RGB)
        mask = cv2.imread(str(picture.with_suffix(".png")), cv2.IMREAD_GRAYSCALE)
        found.append(Scene(frame, close_gaps(mask), f"render {picture.stem}"))
    return found


def close_gaps(mask: np.ndarray) -> np.ndarray:
    """The region of a tangle from the pixels of its strands (0..1 floats)."""
    import cv2

    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (9, 9))
    return cv2.morphologyEx((mask > 60).astype(np.float32), cv2.MORPH_CLOSE, kernel)


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
