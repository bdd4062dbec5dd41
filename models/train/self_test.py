"""Draws the picture that proves the chain is watching: a plate, a part, a toolhead and a tangle."""

import argparse
from pathlib import Path

import numpy as np
from PIL import Image

import scenes
import strands

SEED = 11
WIDTH, HEIGHT = 640, 480
ORANGE = np.array([236.0, 112.0, 28.0])


def draw() -> np.ndarray:
    """The self-test picture, the same every time."""
    rng = np.random.default_rng(SEED)
    ramp = np.linspace(0, 1, HEIGHT)[:, None, None]
    frame = (np.array([150, 156, 164]) * (1 - ramp) + np.array([70, 74, 80]) * ramp) * np.ones((1, WIDTH, 1))
    frame = np.ascontiguousarray(frame.astype(np.uint8))
    bed = scenes.Bed((150, 490, 225), (20, 620, 450))
    scenes.fill(frame, [bed.point(0, 0), bed.point(1, 0), bed.point(1, 1), bed.point(0, 1)], np.array([44, 46, 50]))
    for i in range(11):
        for line in ((bed.point(i / 10, 0), bed.point(i / 10, 1)), (bed.point(0, i / 10), bed.point(1, i / 10))):
            strands.draw_lines(frame, np.array(line), np.array([78, 82, 88]), 1)
    foot = np.array([320.0, 335.0])
    angle = np.linspace(0, 2 * np.pi, 64, endpoint=False)
    rim = np.stack([np.cos(angle) * 62, np.sin(angle) * 24], axis=1)
    for layer in range(24):
        scenes.fill(frame, foot + rim - (0, 2.5 * layer), ORANGE * (0.72 + 0.12 * (layer % 2)))
    for place, size in (((320, 290), 95), ((260, 345), 70), ((395, 340), 60)):
        strands.draw_tangle(frame, rng, np.array(place, float), np.array([size, size * 0.6]), ORANGE)
    scenes.draw_toolhead(frame, rng, np.array([330.0, 215.0]))
    return frame


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    Image.fromarray(draw()).save(parser.parse_args().out, optimize=True)


if __name__ == "__main__":
    main()
