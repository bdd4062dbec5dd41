"""Training samples: pictures and drawn scenes, combined, damaged as webcams damage, letterboxed as in use.

A `Canvas` carries a frame and two planes through every step: how surely each pixel is tangle, and how far
that is to be trusted. The last step is the very letterbox that the daemon applies.
"""

from dataclasses import dataclass

import cv2
import numpy as np

import scenes
import strands
from data import Picture, box_planes
from preprocess import letterbox
from settings import CELL, GRID

SHAPES = ((384, 288), (416, 234), (352, 352), (270, 360), (448, 300))
# Grey levels by which a tangle must vary to be seen.
VISIBLE_DEVIATION = 6.0
SHAPE_ODDS = (0.45, 0.25, 0.12, 0.08, 0.10)


@dataclass
class Canvas:
    """A frame with what is known about it."""

    frame: np.ndarray
    positive: np.ndarray
    trust: np.ndarray

    @staticmethod
    def of_picture(picture: Picture) -> "Canvas":
        frame = picture.decode()
        positive, trust = box_planes(picture, frame.shape[1], frame.shape[0])
        return Canvas(frame, positive, trust)

    @staticmethod
    def of_scene(scene: scenes.Scene) -> "Canvas":
        if scene.hidden is None:
            return Canvas(scene.frame, scene.tangle, np.ones_like(scene.tangle))
        # Strands that leave no trace in the picture are no lesson, neither as tangle nor as good.
        return Canvas(scene.frame, scene.tangle * (1 - scene.hidden), 1 - scene.hidden)

    def warp(self, matrix: np.ndarray, width: int, height: int, surround: "Canvas") -> "Canvas":
        """This canvas through an affine map, over `surround` where it does not reach."""
        size = (width, height)
        frame = cv2.warpAffine(self.frame, matrix, size, flags=cv2.INTER_AREA if shrinks(matrix) else cv2.INTER_LINEAR)
        inside = cv2.warpAffine(np.ones(self.frame.shape[:2], np.uint8), matrix, size, flags=cv2.INTER_NEAREST) > 0
        positive = cv2.warpAffine(self.positive, matrix, size)
        trust = cv2.warpAffine(self.trust, matrix, size)
        return Canvas(
            np.where(inside[..., None], frame, surround.frame),
            np.where(inside, positive, surround.positive),
            np.where(inside, trust, surround.trust),
        )


def shrinks(matrix: np.ndarray) -> bool:
    return bool(np.hypot(matrix[0, 0], matrix[0, 1]) < 0.9)


def plain(rng: np.random.Generator, width: int, height: int) -> Canvas:
    """A plain or drawn surround."""
    if rng.random() < 0.5:
        frame = scenes.backdrop(rng, width, height)
    else:
        frame = np.full((height, width, 3), rng.uniform(0, 255, 3), np.uint8)
    return Canvas(frame, np.zeros((height, width), np.float32), np.ones((height, width), np.float32))


def shrink_to(canvas: Canvas, factor: float) -> Canvas:
    """A smaller canvas, averaged over area so that thin strands fade as they do in a camera."""
    if factor > 0.95:
        return canvas
    size = (max(8, int(canvas.frame.shape[1] * factor)), max(8, int(canvas.frame.shape[0] * factor)))
    parts = (cv2.resize(plane, size, interpolation=cv2.INTER_AREA) for plane in (canvas.frame, canvas.positive, canvas.trust))
    return Canvas(*parts)


def place(canvas: Canvas, rng: np.random.Generator, surround: Canvas, zoom: float, wander: float) -> Canvas:
    """Put a canvas on a surround: zoom 1 fills it, less leaves room around."""
    height, width = surround.frame.shape[:2]
    scale = zoom * max(width / canvas.frame.shape[1], height / canvas.frame.shape[0])
    if zoom < 1:
        scale = zoom * min(width / canvas.frame.shape[1], height / canvas.frame.shape[0])
    small = shrink_to(canvas, scale)
    rest = scale * canvas.frame.shape[1] / small.frame.shape[1]
    stretch = np.exp(rng.normal(0, 0.06))
    angle = np.deg2rad(rng.normal(0, 6))
    linear = rest * np.array([[np.cos(angle) * stretch, -np.sin(angle)], [np.sin(angle), np.cos(angle) / stretch]])
    if rng.random() < 0.5:
        linear[:, 0] *= -1
    middle = np.array([small.frame.shape[1], small.frame.shape[0]]) / 2
    target = np.array([width, height]) * (0.5 + rng.uniform(-wander, wander, 2))
    return small.warp(np.hstack([linear, (target - linear @ middle)[:, None]]), width, height, surround)


def mosaic(parts: list[Canvas], rng: np.random.Generator, width: int, height: int) -> Canvas:
    """Four canvases around a point: each tangle small, good and failing side by side."""
    x, y = int(width * rng.uniform(0.3, 0.7)), int(height * rng.uniform(0.3, 0.7))
    whole = plain(rng, width, height)
    windows = ((0, 0, x, y), (x, 0, width, y), (0, y, x, height), (x, y, width, height))
    for part, (x0, y0, x1, y1) in zip(parts, windows, strict=True):
        piece = place(part, rng, plain(rng, x1 - x0, y1 - y0), rng.uniform(0.8, 1.3), 0.1)
        whole.frame[y0:y1, x0:x1] = piece.frame
        whole.positive[y0:y1, x0:x1] = piece.positive
        whole.trust[y0:y1, x0:x1] = piece.trust
    return whole


def recolour(frame: np.ndarray, colour: np.ndarray) -> np.ndarray:
    """The frame's light and shade in another colour."""
    light = frame.astype(np.float32).mean(axis=2)
    light = (light - light.mean()) / (light.std() + 20)
    return np.clip(colour * (0.8 + 0.35 * light[..., None]), 0, 255).astype(np.uint8)


def paste_cutting(onto: Canvas, source: Canvas, box: tuple[float, ...], rng: np.random.Generator, failing: bool) -> None:
    """Paste what a box of another picture holds, soft-edged and at webcam scale, in place.

    Good pictures give cuttings too, so that a soft edge means nothing.
    """
    height, width = onto.frame.shape[:2]
    whole_height, whole_width = source.frame.shape[:2]
    x0, x1 = int(box[0] * whole_width), int(np.ceil(box[2] * whole_width))
    y0, y1 = int(box[1] * whole_height), int(np.ceil(box[3] * whole_height))
    cutting = source.frame[max(0, y0) : y1, max(0, x0) : x1]
    if min(cutting.shape[:2]) < 12:
        return
    side = width * np.exp(rng.uniform(np.log(0.09), np.log(0.35)))
    factor = min(side / max(cutting.shape[:2]), 1.0)
    size = (max(6, int(cutting.shape[1] * factor)), max(6, int(cutting.shape[0] * factor)))
    cutting = cv2.resize(cutting, size, interpolation=cv2.INTER_AREA)
    left, top = int(rng.uniform(0, width - size[0])), int(rng.uniform(0.25, 1) * (height - size[1]))
    if left < 0 or top < 0 or top + size[1] > height:
        return
    under = onto.frame[top : top + size[1], left : left + size[0]]
    if rng.random() < 0.5:
        cutting = recolour(cutting, strands.filament_colour(rng))
    elif rng.random() < 0.5:
        cutting = np.clip(cutting.astype(np.float32) + under.mean(axis=(0, 1)) - cutting.mean(axis=(0, 1)), 0, 255)
    soft = np.zeros(size[::-1], np.float32)
    cv2.ellipse(soft, (size[0] // 2, size[1] // 2), (int(size[0] * 0.42), int(size[1] * 0.42)), 0, 0, 360, 1.0, -1)
    core = soft > 0
    soft = cv2.GaussianBlur(soft, (0, 0), max(0.6, min(size) * 0.06))[..., None]
    onto.frame[top : top + size[1], left : left + size[0]] = (under * (1 - soft) + cutting * soft).astype(np.uint8)
    window = (slice(top, top + size[1]), slice(left, left + size[0]))
    onto.trust[window] = np.where(core, 1.0, 0.0)
    onto.positive[window] = np.where(core, 1.0 if failing else 0.0, onto.positive[window])


def paint_tangle(onto: Canvas, rng: np.random.Generator) -> None:
    """Draw a tangle at webcam scale, often in a colour already in the picture, in place."""
    height, width = onto.frame.shape[:2]
    for _ in range(int(rng.choice([1, 1, 1, 2, 3]))):
        size = width * np.exp(rng.uniform(np.log(0.025), np.log(0.2)))
        centre = np.array([rng.uniform(0.1, 0.9) * width, rng.uniform(0.3, 0.95) * height])
        colour = strands.filament_colour(rng)
        if rng.random() < 0.5:
            x, y = int(centre[0]), int(centre[1])
            near = onto.frame[max(0, y - 20) : y + 20, max(0, x - 20) : x + 20].reshape(-1, 3).astype(np.float32)
            colour = np.clip(near[rng.integers(len(near))] * rng.uniform(0.7, 1.4) + rng.normal(0, 8, 3), 8, 250)
        spread = np.array([size, size * rng.uniform(0.4, 1.0)])
        before = onto.frame.copy()
        where = strands.draw_tangle(onto.frame, rng, centre, spread, colour)
        visible = np.abs(onto.frame[where > 0].astype(int) - before[where > 0]).sum(axis=1)
        if visible.size == 0 or visible.mean() < 18:
            onto.trust[where > 0] = 0.0
            continue
        onto.positive[where > 0] = 1.0
        onto.trust[where > 0] = 1.0


def add_lookalikes(onto: Canvas, rng: np.random.Generator) -> None:
    """Draw harmless things that are easily feared, in place."""
    before = onto.frame.copy()
    draw = (strands.draw_cables, strands.draw_lattice, strands.draw_lettering)[rng.choice(3, p=(0.45, 0.35, 0.2))]
    draw(onto.frame, rng)
    onto.positive[np.abs(onto.frame.astype(int) - before).sum(axis=2) > 0] = 0.0


def lightness(picture: np.ndarray) -> np.ndarray:
    """The mean of the three colours (H x W x 1); NumPy's own mean over so short an axis is many times slower."""
    return cv2.transform(picture, np.full((1, 3), 1 / 3, np.float32))[..., None]


def damage(frame: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """What webcams and rooms do to a picture: colour, darkness, backlight, blur, noise, compression."""
    picture = frame.astype(np.float32)
    height, width = frame.shape[:2]
    if rng.random() < 0.12:
        picture[:] = lightness(picture)
    elif rng.random() < 0.6:
        grey = lightness(picture)
        picture = grey + (picture - grey) * rng.uniform(0.3, 1.6)
        picture *= np.exp(rng.normal(0, 0.08, 3))
    if rng.random() < 0.25:
        hsv = cv2.cvtColor(np.clip(picture, 0, 255).astype(np.uint8), cv2.COLOR_RGB2HSV)
        hsv[..., 0] = (hsv[..., 0].astype(int) + int(rng.integers(180))) % 180
        picture = cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB).astype(np.float32)
    picture = 255 * cv2.pow(np.clip(picture / 255, 0, 1), float(np.exp(rng.normal(0, 0.25))))
    picture = (picture - 128) * rng.uniform(0.65, 1.25) + 128
    if rng.random() < 0.22:
        picture *= rng.uniform(0.22, 0.65)
    if rng.random() < 0.15:
        x, y = rng.uniform(0, width), rng.uniform(0, 0.7 * height)
        reach = rng.uniform(0.15, 0.6) * width
        across = np.exp(-((np.arange(width, dtype=np.float32) - x) ** 2) / (2 * reach**2))
        down = np.exp(-((np.arange(height, dtype=np.float32) - y) ** 2) / (2 * reach**2))
        glow = np.outer(down, across)[..., None]
        picture = picture * (1 - 0.4 * rng.random()) + glow * rng.uniform(60, 220)
    if rng.random() < 0.35:
        picture = cv2.GaussianBlur(picture, (0, 0), rng.uniform(0.4, 1.8))
    if rng.random() < 0.08:
        length = int(rng.integers(3, 9))
        kernel = np.zeros((length, length), np.float32)
        kernel[length // 2] = 1 / length
        turn = cv2.getRotationMatrix2D((length / 2 - 0.5, length / 2 - 0.5), rng.uniform(0, 180), 1)
        kernel = cv2.warpAffine(kernel, turn, (length, length))
        picture = cv2.filter2D(picture, -1, kernel / max(kernel.sum(), 1e-3))
    if rng.random() < 0.5:
        shape = (height, width, 1 if rng.random() < 0.5 else 3)
        picture = picture + rng.uniform(1, 14) * rng.standard_normal(shape, np.float32)
    picture = np.clip(picture, 0, 255).astype(np.uint8)
    if rng.random() < 0.6:
        quality = [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(25, 92))]
        picture = cv2.imdecode(cv2.imencode(".jpg", picture, quality)[1], cv2.IMREAD_COLOR)
    return picture


def forget_invisible(canvas: Canvas) -> None:
    """Stop claiming a tangle where the damage has left nothing to see, in place."""
    hot = canvas.positive > 0.5
    light = cv2.GaussianBlur(cv2.cvtColor(canvas.frame, cv2.COLOR_RGB2GRAY), (0, 0), 1.0)
    if hot.any() and light[hot].std() < VISIBLE_DEVIATION:
        canvas.trust[hot], canvas.positive[hot] = 0.0, 0.0


@dataclass
class Sample:
    """One network input with a target and a weight for each cell, and whether it shows a tangle at all."""

    boxed: np.ndarray
    target: np.ndarray
    weight: np.ndarray
    failing: bool


def finish(canvas: Canvas) -> Sample:
    """Letterbox a canvas and bring what is known about it to cells."""
    boxed, where = letterbox(canvas.frame)
    whole = np.zeros((2, GRID * CELL, GRID * CELL), np.float32)
    window = (slice(where.top, where.top + where.height), slice(where.left, where.left + where.width))
    for i, plane in enumerate((canvas.positive * canvas.trust, canvas.trust)):
        whole[(i, *window)] = cv2.resize(plane, (where.width, where.height), interpolation=cv2.INTER_AREA)
    positive, trust = whole.reshape(2, GRID, CELL, GRID, CELL).mean(axis=(2, 4))
    inside = where.cells()
    target = np.clip((positive - 0.04) / 0.16, 0, 1)
    weight = np.where(inside, np.maximum(trust, target), 0.0)
    # A cell that a tangle only just touches teaches little either way.
    weight = np.where((target > 0) & (target < 1), weight * 0.3, weight)
    return Sample(boxed, target.astype(np.float32), weight.astype(np.float32), bool((target * weight > 0.5).any()))


class Composer:
    """Draws training samples from the pictures, the renders and the scene generator."""

    def __init__(self, pictures: list[Picture], renders: list[scenes.Scene]):
        self.failing = self.by_source([p for p in pictures if p.failing], 0.5)
        self.good = self.by_source([p for p in pictures if not p.failing], 0.5)
        self.webcam = self.by_source([p for p in pictures if not p.failing and p.view == "webcam"], 0.5)
        self.renders = renders

    @staticmethod
    def by_source(pictures: list[Picture], power: float) -> list[list[Picture]]:
        """Pictures by near-duplicate group; groups of rare sources weigh more."""
        groups: dict[tuple[str, str], list[Picture]] = {}
        for picture in pictures:
            groups.setdefault((picture.source, picture.cluster), []).append(picture)
        sizes: dict[str, int] = {}
        for source, _ in groups:
            sizes[source] = sizes.get(source, 0) + 1
        result = []
        for (source, _), members in groups.items():
            share = len(members) ** power
            result += [members] * max(1, round(share * (60 / sizes[source]) ** 0.5))
        return result

    @staticmethod
    def pick(groups: list[list[Picture]], rng: np.random.Generator) -> Picture:
        members = groups[rng.integers(len(groups))]
        return members[rng.integers(len(members))]

    def canvas(self, rng: np.random.Generator) -> Canvas:
        """One canvas of a kind drawn at random."""
        width, height = SHAPES[rng.choice(len(SHAPES), p=SHAPE_ODDS)]
        if rng.random() < 0.5:
            width, height = int(width * 0.85), int(height * 0.85)
        kind = rng.random()
        if kind < 0.20:
            part = Canvas.of_picture(self.pick(self.failing, rng))
            zoom = rng.uniform(0.9, 1.3) if rng.random() < 0.55 else rng.uniform(0.35, 0.9)
            return place(part, rng, self.surround(rng, width, height), zoom, 0.1 if zoom > 0.8 else 0.25)
        if kind < 0.29:
            parts = [Canvas.of_picture(self.pick(self.failing if rng.random() < 0.4 else self.good, rng)) for _ in range(4)]
            return mosaic(parts, rng, width, height)
        if kind < 0.49:
            return self.good_view(rng, width, height)
        if kind < 0.64:
            base = self.good_view(rng, width, height)
            if rng.random() < 0.5:
                paint_tangle(base, rng)
            else:
                failing = rng.random() < 0.75
                picture = self.pick(self.failing if failing else self.good, rng)
                box = picture.boxes[rng.integers(len(picture.boxes))] if failing else random_box(rng)
                paste_cutting(base, Canvas.of_picture(picture), box, rng, failing)
            return base
        if self.renders and kind < 0.94:
            canvas = Canvas.of_scene(self.renders[rng.integers(len(self.renders))])
            near, far = ((0.95, 1.1), (0.7, 1.3), (1.3, 2.6))[rng.choice(3, p=(0.5, 0.33, 0.17))]
            zoom = rng.uniform(near, far)
            # A close-up shows any part of the scene.
            return place(canvas, rng, self.surround(rng, width, height), zoom, max(0.05, 0.4 * (zoom - 1)))
        return Canvas.of_scene(scenes.draw_scene(rng, failing=rng.random() < 0.5))

    def surround(self, rng: np.random.Generator, width: int, height: int) -> Canvas:
        """What shows around a canvas: a good view, or something plain."""
        if rng.random() < 0.5:
            return self.good_view(rng, width, height)
        return plain(rng, width, height)

    def good_view(self, rng: np.random.Generator, width: int, height: int) -> Canvas:
        """A good picture filling the frame, sometimes with look-alikes drawn in."""
        picture = self.pick(self.webcam if rng.random() < 0.5 else self.good, rng)
        zoom = rng.uniform(1.0, 1.35) if rng.random() < 0.7 else rng.uniform(0.5, 1.0)
        canvas = place(Canvas.of_picture(picture), rng, plain(rng, width, height), zoom, 0.12)
        if rng.random() < 0.2:
            add_lookalikes(canvas, rng)
        return canvas

    def sample(self, rng: np.random.Generator) -> Sample:
        """One finished training sample."""
        canvas = self.canvas(rng)
        if rng.random() < 0.04:
            canvas = Canvas(canvas.frame[::-1].copy(), canvas.positive[::-1].copy(), canvas.trust[::-1].copy())
        canvas.frame = damage(canvas.frame, rng)
        forget_invisible(canvas)
        return finish(canvas)


def random_box(rng: np.random.Generator) -> tuple[float, ...]:
    """A box anywhere in a picture."""
    x, y = rng.uniform(0, 0.6, 2)
    w, h = rng.uniform(0.15, 0.4, 2)
    return (x, y, x + w, y + h)
