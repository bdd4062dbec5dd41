"""Pictures to network input: the contract that Rust repeats, pixel for pixel."""

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from resize import resize
from settings import CELL, GRID, HEIGHT, MEAN, PAD, STD, WIDTH


@dataclass(frozen=True)
class Placement:
    """Where a frame lies inside the letterboxed input, in input pixels."""

    left: int
    top: int
    width: int
    height: int

    @staticmethod
    def of(frame_width: int, frame_height: int) -> "Placement":
        """The placement of a frame of this size."""
        scale = min(WIDTH / frame_width, HEIGHT / frame_height)
        width = max(1, math.floor(frame_width * scale + 0.5))
        height = max(1, math.floor(frame_height * scale + 0.5))
        return Placement((WIDTH - width) // 2, (HEIGHT - height) // 2, width, height)

    def cells(self) -> np.ndarray:
        """Which cells of the map have their centre on the frame (GRID x GRID booleans)."""
        centre = np.arange(GRID) * CELL + CELL / 2
        across = (centre >= self.left) & (centre < self.left + self.width)
        down = (centre >= self.top) & (centre < self.top + self.height)
        return down[:, None] & across[None, :]


def read_picture(path: Path) -> np.ndarray:
    """A picture file as RGB8, full size."""
    with Image.open(path) as picture:
        return np.asarray(picture.convert("RGB"))


def letterbox(frame: np.ndarray) -> tuple[np.ndarray, Placement]:
    """RGB8 of any size to RGB8 of the input size, bars filled with PAD."""
    place = Placement.of(frame.shape[1], frame.shape[0])
    boxed = np.full((HEIGHT, WIDTH, 3), PAD, np.uint8)
    boxed[place.top : place.top + place.height, place.left : place.left + place.width] = resize(
        frame, place.width, place.height
    )
    return boxed, place


def normalise(boxed: np.ndarray) -> np.ndarray:
    """RGB8 (..., H, W, 3) to float32 (..., 3, H, W)."""
    scaled = (boxed.astype(np.float32) / 255.0 - np.float32(MEAN)) / np.float32(STD)
    return np.ascontiguousarray(np.moveaxis(scaled, -1, -3))
