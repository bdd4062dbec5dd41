"""Drawn scenes of a printer: bed plate, part, toolhead, background; with a tangle or without.

They teach what no labelled picture shows often enough (small early tangles in the part's own colour, and
the harmless look-alikes beside them), and that simple drawings mean what they show.
"""

from dataclasses import dataclass

import cv2
import numpy as np

import strands


@dataclass
class Scene:
    """A drawn or rendered frame, where its tangles are (0..1), its name if it has one, and where nothing is seen of them."""

    frame: np.ndarray
    tangle: np.ndarray
    name: str = ""
    hidden: np.ndarray | None = None

    @property
    def failing(self) -> bool:
        return bool((self.tangle > 0).any())


@dataclass
class Bed:
    """A plate seen in perspective: `far` and `near` edges as (left, right, y)."""

    far: tuple[float, float, float]
    near: tuple[float, float, float]

    def point(self, across: float, towards: float) -> np.ndarray:
        """A place on the plate, both coordinates 0..1."""
        deep = towards**1.25
        left = self.far[0] + (self.near[0] - self.far[0]) * deep
        right = self.far[1] + (self.near[1] - self.far[1]) * deep
        return np.array([left + (right - left) * across, self.far[2] + (self.near[2] - self.far[2]) * deep])


def tone(rng: np.random.Generator, low: float, high: float, tint: float = 12) -> np.ndarray:
    """A greyish colour."""
    return np.clip(rng.uniform(low, high) + rng.normal(0, tint, 3), 0, 255)


def as_colour(colour: np.ndarray) -> list[float]:
    return [float(c) for c in np.clip(colour, 0, 255)]


def fill(frame: np.ndarray, corners: np.ndarray, colour: np.ndarray) -> None:
    """A filled polygon with smooth edges."""
    cv2.fillPoly(frame, [np.round(np.asarray(corners) * 8).astype(np.int32)], as_colour(colour), cv2.LINE_AA, 3)


def backdrop(rng: np.random.Generator, width: int, height: int) -> np.ndarray:
    """What lies behind the printer: a gradient, and on some a cluttered workshop out of boxes and rails."""
    top, bottom = tone(rng, 15, 230, 18), tone(rng, 10, 200, 18)
    ramp = np.linspace(0, 1, height)[:, None, None]
    frame = (np.ones((height, width, 1)) * (top * (1 - ramp) + bottom * ramp)).astype(np.uint8)
    for _ in range(int(rng.integers(0, 9)) if rng.random() < 0.6 else 0):
        x, y = rng.uniform(-0.1, 1) * width, rng.uniform(-0.1, 0.8) * height
        w, h = rng.uniform(0.03, 0.4) * width, rng.uniform(0.03, 0.5) * height
        cv2.rectangle(frame, (int(x), int(y)), (int(x + w), int(y + h)), as_colour(tone(rng, 5, 240, 30)), -1)
    if rng.random() < 0.5:
        for _ in range(int(rng.integers(1, 3))):
            y = rng.uniform(0.05, 0.5) * height
            thick = int(rng.integers(2, max(3, height // 16)))
            colour = tone(rng, 30, 220)
            cv2.line(frame, (0, int(y)), (width, int(y + rng.normal(0, 4))), as_colour(colour), thick)
            cv2.line(frame, (0, int(y - thick * 0.3)), (width, int(y - thick * 0.3)), as_colour(colour + 40), 1)
    if rng.random() < 0.35:
        strands.draw_cables(frame, rng)
    return frame


def draw_bed(frame: np.ndarray, rng: np.random.Generator) -> Bed:
    """A plate with, on many, a grid, a rim, a reflection or lettering."""
    height, width = frame.shape[:2]
    horizon, front = rng.uniform(0.35, 0.72) * height, rng.uniform(0.82, 1.15) * height
    narrow = rng.uniform(0.0, 0.28) * width
    far = (rng.uniform(-0.1, 0.2) * width + narrow, rng.uniform(0.8, 1.1) * width - narrow, horizon)
    near = (far[0] - narrow - rng.uniform(0, 0.2) * width, far[1] + narrow + rng.uniform(0, 0.2) * width, front)
    bed = Bed(far, near)
    base = tone(rng, 20, 90, 5) if rng.random() < 0.6 else tone(rng, 20, 220, 25)
    fill(frame, [bed.point(0, 0), bed.point(1, 0), bed.point(1, 1), bed.point(0, 1)], base)
    if rng.random() < 0.65:
        lines = base + rng.choice([-1, 1]) * rng.uniform(8, 60)
        count, thick = int(rng.integers(4, 22)), int(rng.integers(1, 3))
        for i in range(count + 1):
            strands.draw_lines(frame, np.array([bed.point(i / count, 0), bed.point(i / count, 1)]), lines, thick)
            strands.draw_lines(frame, np.array([bed.point(0, i / count), bed.point(1, i / count)]), lines, thick)
    if rng.random() < 0.3:
        shine = np.zeros(frame.shape[:2], np.float32)
        place = bed.point(rng.uniform(0, 1), rng.uniform(0, 1))
        axes = (int(rng.uniform(0.05, 0.3) * width), int(rng.uniform(0.02, 0.1) * height))
        cv2.ellipse(shine, (int(place[0]), int(place[1])), axes, 0, 0, 360, 1.0, -1)
        shine = cv2.GaussianBlur(shine, (0, 0), rng.uniform(2, 12))[..., None] * rng.uniform(40, 160)
        frame[:] = np.clip(frame + shine, 0, 255).astype(np.uint8)
    if rng.random() < 0.25:
        strands.draw_lettering(frame, rng)
    return bed


def outline(rng: np.random.Generator) -> np.ndarray:
    """A part's cross-section as radius over angle (64 values about 1)."""
    angle = np.linspace(0, 2 * np.pi, 64, endpoint=False)
    kind = rng.integers(4)
    if kind == 0:
        return np.ones(64)
    if kind == 1:
        corners = int(rng.integers(3, 7))
        sector = np.pi / corners
        return np.cos(sector) / np.cos((angle % (2 * sector)) - sector)
    if kind == 2:
        return 1 + rng.uniform(0.1, 0.45) * np.cos(int(rng.integers(2, 9)) * angle)
    return 1 + sum(rng.normal(0, 0.18) * np.cos(k * angle + rng.uniform(0, 6)) for k in range(1, 5))


def draw_part(frame: np.ndarray, rng: np.random.Generator, bed: Bed, colour: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A part out of stacked layers; returns the middle of its foot and of its top."""
    height, width = frame.shape[:2]
    foot = bed.point(rng.uniform(0.25, 0.75), rng.uniform(0.25, 0.8))
    radius = rng.uniform(0.03, 0.16) * width
    flat = rng.uniform(0.2, 0.45)
    layers = int(rng.integers(1, 60))
    rise = rng.uniform(0.8, 2.6) * height / 240
    shape, twist = outline(rng), rng.normal(0, 0.02)
    taper = rng.normal(0, 0.25) * np.sin(np.linspace(0, rng.uniform(1, 6), layers)) + 1
    angle = np.linspace(0, 2 * np.pi, 64, endpoint=False)
    bright = rng.uniform(0.85, 1.1)
    for i in range(layers):
        turned = angle + twist * i
        reach = radius * shape * max(0.2, taper[i])
        rim = foot + np.stack([np.cos(turned) * reach, np.sin(turned) * reach * flat - i * rise], axis=1)
        band = 0.72 + 0.1 * (i % 2)
        fill(frame, rim, colour * bright * band)
    fill(frame, rim, colour * bright)
    top = foot - (0, layers * rise)
    if rng.random() < 0.35:
        step = max(3.0, radius * rng.uniform(0.1, 0.3))
        inner = top + (rim - top) * 0.85
        fill(frame, inner, colour * 0.5)
        hatch = frame.copy()
        for offset in np.arange(-2 * radius, 2 * radius, step):
            for slope in (-1, 1):
                line = np.array([top + (offset - radius, -slope * radius * flat), top + (offset + radius, slope * radius * flat)])
                strands.draw_lines(hatch, line, colour * 0.95, max(1, int(step * 0.3)))
        inside = np.zeros((height, width), np.uint8)
        cv2.fillPoly(inside, [np.round(inner).astype(np.int32)], 255)
        frame[inside > 0] = hatch[inside > 0]
    return foot, top


def draw_toolhead(frame: np.ndarray, rng: np.random.Generator, tip: np.ndarray) -> None:
    """A toolhead with its nozzle at `tip`: box, fan, duct, cable."""
    height, width = frame.shape[:2]
    half, tall = rng.uniform(0.05, 0.16) * width, rng.uniform(0.12, 0.35) * height
    body = tone(rng, 10, 80, 6) if rng.random() < 0.7 else strands.filament_colour(rng)
    cone = half * rng.uniform(0.15, 0.35)
    drop = rng.uniform(0.02, 0.07) * height
    brass = np.array([190, 150, 70]) * rng.uniform(0.5, 1.1)
    fill(frame, [tip + (-cone * 0.2, 0), tip + (cone * 0.2, 0), tip + (cone, -drop), tip + (-cone, -drop)], brass)
    low = tip - (0, drop)
    fill(frame, [low + (-half, 0), low + (half, 0), low + (half, -tall), low + (-half, -tall)], body)
    middle = low - (0, tall * 0.5)
    if rng.random() < 0.7:
        hub = int(min(half, tall / 2) * rng.uniform(0.5, 0.9))
        at = (int(middle[0]), int(middle[1]))
        cv2.circle(frame, at, hub, as_colour(body * 0.6), -1, cv2.LINE_AA)
        for ring in np.linspace(0.3, 1, int(rng.integers(2, 5))):
            cv2.circle(frame, at, max(1, int(hub * ring)), as_colour(body + 35), 1, cv2.LINE_AA)
    if rng.random() < 0.6:
        for _ in range(int(rng.integers(1, 4))):
            t = np.linspace(0, 1, 30)[:, None]
            end = np.array([rng.uniform(-0.1, 1.1) * width, -0.1 * height])
            bend = np.array([rng.normal(0, 0.2) * width, 0]) * np.sin(np.pi * t)
            hose = (low - (0, tall)) * (1 - t) + end * t + bend
            strands.draw_lines(frame, hose, tone(rng, 5, 230, 20), int(rng.integers(1, 6)))


def draw_scene(rng: np.random.Generator, failing: bool) -> Scene:
    """A whole scene, about the size of a small webcam frame."""
    width, height = ((384, 288), (416, 234), (320, 320))[rng.choice(3, p=(0.5, 0.4, 0.1))]
    frame = backdrop(rng, width, height)
    bed = draw_bed(frame, rng)
    colour = strands.filament_colour(rng)
    empty = rng.random() < 0.12
    foot, top = (bed.point(0.5, 0.5),) * 2
    for _ in range(0 if empty else int(rng.choice([1, 1, 1, 2, 4]))):
        foot, top = draw_part(frame, rng, bed, colour)
    tangle = np.zeros((height, width), np.float32)
    head_first = rng.random() < 0.5
    has_head = rng.random() < 0.8
    tip = top - (0, 1) + rng.normal(0, 0.02, 2) * width
    if has_head and head_first:
        draw_toolhead(frame, rng, tip)
    if failing:
        clumps = int(rng.choice([1, 1, 2, 4]))
        for _ in range(clumps):
            size = width * np.exp(rng.uniform(np.log(0.02), np.log(0.22)))
            spread = np.array([size, size * rng.uniform(0.4, 1.0)])
            mix = rng.random()
            centre = foot * mix + top * (1 - mix) + rng.normal(0, 0.6, 2) * spread
            if rng.random() < 0.25:
                centre = bed.point(rng.uniform(0.1, 0.9), rng.uniform(0.1, 0.9))
            centre = np.clip(centre, 4, (width - 4, height - 4))
            paint = colour if rng.random() < 0.85 else strands.filament_colour(rng)
            tangle = np.maximum(tangle, strands.draw_tangle(frame, rng, centre, spread, paint))
    elif rng.random() < 0.35:
        strands.draw_lattice(frame, rng)
    if has_head and not head_first:
        before = frame.copy()
        draw_toolhead(frame, rng, tip)
        tangle[np.abs(frame.astype(int) - before).sum(axis=2) > 0] = 0
    return Scene(frame, tangle)
