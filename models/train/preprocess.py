"""Pictures to network input: the contract that Rust repeats, pixel for pixel."""

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from resize import resize
from settings import CELL, HEIGHT, MEAN, PAD, STD, STRIDE, WIDTH


@dataclass(frozen=True)
class Placement:
    """Where a frame lies inside the letterboxed input, in input pixels."""

    left: int
    top: int
    width: int
    height: int
    input_width: int = WIDTH
    input_height: int = HEIGHT

    @staticmethod
    def of(frame_width: int, frame_height: int) -> "Placement":
        """The placement of a frame of this size."""
        scale = min(WIDTH / frame_width, HEIGHT / frame_height)
        width = max(1, math.floor(frame_width * scale + 0.5))
        height = max(1, math.floor(frame_height * scale + 0.5))
        return Placement((WIDTH - width) // 2, (HEIGHT - height) // 2, width, height)

    def trimmed(self) -> "Placement":
        """The same with no more bars than multiples of STRIDE ask for; cells stay where they were on the frame."""
        left, top = self.left // STRIDE * STRIDE, self.top // STRIDE * STRIDE
        return Placement(self.left - left, self.top - top, self.width, self.height, WIDTH - 2 * left, HEIGHT - 2 * top)

    def cells(self) -> np.ndarray:
        """Which cells of the map have their centre on the frame (rows x columns booleans)."""

        def centres(side: int) -> np.ndarray:
            return np.arange(side // CELL) * CELL + CELL / 2

        across, down = centres(self.input_width), centres(self.input_height)
        across = (across >= self.left) & (across < self.left + self.width)
        down = (down >= self.top) & (down < self.top + self.height)
        return down[:, None] & across[None, :]


def read_picture(path: Path) -> np.ndarray:
    """A picture file as RGB8, full size."""
    with Image.open(path) as picture:
        return np.asarray(picture.convert("RGB"))


def letterbox(frame: np.ndarray, trim: bool = False) -> tuple[np.ndarray, Placement]:
    """RGB8 of any size to RGB8 of the input size (no larger than it must be, with `trim`), bars filled with PAD."""
    place = Placement.of(frame.shape[1], frame.shape[0])
    if trim:
        place = place.trimmed()
    boxed = np.full((place.input_height, place.input_width, 3), PAD, np.uint8)
    boxed[place.top : place.top + place.height, place.left : place.left + place.width] = resize(
        frame, place.width, place.height
    )
    return boxed, place


def normalise(boxed: np.ndarray) -> np.ndarray:
    """RGB8 (..., H, W, 3) to float32 (..., 3, H, W)."""
    scaled = (boxed.astype(np.float32) / 255.0 - np.float32(MEAN)) / np.float32(STD)
    return np.ascontiguousarray(np.moveaxis(scaled, -1, -3))
