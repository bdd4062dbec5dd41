"""Drawn tangles of extruded strands, and drawn look-alikes (cables, lattices, lettering)."""

import cv2
import numpy as np

FILAMENTS = (
    (235, 235, 230), (25, 25, 28), (120, 122, 126), (205, 30, 35), (240, 110, 20), (245, 210, 30), (40, 160, 60),
    (30, 85, 200), (60, 175, 225), (120, 50, 160), (235, 90, 160), (150, 220, 40), (185, 140, 80), (20, 120, 110),
)  # fmt: skip


def filament_colour(rng: np.random.Generator) -> np.ndarray:
    """A colour that filament is sold in, varied."""
    colour = np.array(FILAMENTS[rng.integers(len(FILAMENTS))], np.float32)
    return np.clip(colour * rng.uniform(0.75, 1.15) + rng.normal(0, 10, 3), 4, 252)


def curly_strands(rng: np.random.Generator, centres: np.ndarray, spreads: np.ndarray, curl: float) -> np.ndarray:
    """Strands as walks whose headings drift and coil, drawn back to their centres (strands x points x 2)."""
    count, points = len(centres), 70
    step = spreads.mean(axis=1) * rng.uniform(0.04, 0.10, count)
    turn = rng.normal(0, curl, count)
    heading = rng.uniform(0, 2 * np.pi, count)
    here = centres + rng.normal(0, 0.35, (count, 2)) * spreads
    walk = np.empty((count, points, 2), np.float32)
    for i in range(points):
        walk[:, i] = here
        turn = 0.9 * turn + rng.normal(0, curl * 0.45, count)
        heading = heading + turn
        away = (here - centres) / spreads
        pull = np.maximum(0.0, np.hypot(away[:, 0], away[:, 1]) - 0.7) * 0.35
        forward = np.stack([np.cos(heading), np.sin(heading)], axis=1)
        here = here + step[:, None] * (forward - 2 * pull[:, None] * away)
    return walk


def straight_strand(rng: np.random.Generator, centre: np.ndarray, spread: np.ndarray) -> np.ndarray:
    """A strand pulled through the air: nearly straight, sagging a little."""
    angle = rng.uniform(0, np.pi)
    reach = spread * rng.uniform(0.5, 1.2)
    direction = np.array([np.cos(angle), np.sin(angle)])
    along = np.linspace(-1, 1, 16)[:, None]
    sag = np.array([0.0, rng.uniform(0, 0.25) * spread[1]]) * (1 - along**2)
    return (centre + rng.normal(0, 0.3, 2) * spread + along * direction * reach + sag).astype(np.float32)


def draw_lines(canvas: np.ndarray, line: np.ndarray, colour: np.ndarray, width: int) -> None:
    """An anti-aliased polyline with eighth-pixel precision."""
    cv2.polylines(canvas, [np.round(line * 8).astype(np.int32)], False, [float(c) for c in colour], width, cv2.LINE_AA, 3)


def draw_tangle(
    frame: np.ndarray, rng: np.random.Generator, centre: np.ndarray, spread: np.ndarray, colour: np.ndarray
) -> np.ndarray:
    """Draw a tangle into `frame` (RGB8, in place); return where it is (0..1 floats, closed over its gaps)."""
    height, width = frame.shape[:2]
    size = float(spread.mean())
    grow = 2 if size < 60 else 1
    margin = int(max(spread) * 2.2) + 8
    left, top = max(0, int(centre[0]) - margin), max(0, int(centre[1]) - margin)
    right, bottom = min(width, int(centre[0]) + margin), min(height, int(centre[1]) + margin)
    where = np.zeros((height, width), np.float32)
    if right - left < 4 or bottom - top < 4:
        return where
    patch = cv2.resize(frame[top:bottom, left:right], None, fx=grow, fy=grow, interpolation=cv2.INTER_LINEAR)
    patch = patch.astype(np.float32)
    shade = 0.45 * np.array(cv2.mean(patch)[:3])
    ink = np.zeros(patch.shape[:2], np.float32)
    thick = max(1, int(round(grow * size * rng.uniform(0.015, 0.07))))
    strands = int(rng.integers(3, 14) * (1 + size / 50))
    if size > 25 and rng.random() < 0.2:
        strands, thick = min(200, strands * 6), max(1, thick // 3)
    origin = (centre - (left, top)) * grow
    curl = rng.uniform(0.25, 0.7)
    shadow = np.array([rng.uniform(-1, 1), rng.uniform(0.5, 1.5)]) * thick
    loose = rng.random() < 0.35
    centres = origin + rng.normal(0, 0.35, (strands, 2)) * spread * grow
    curly = curly_strands(rng, centres, spread * grow * rng.uniform(0.4, 1.0, (strands, 1)), curl)
    for i in range(strands):
        if loose and rng.random() < 0.4:
            line = straight_strand(rng, centres[i], spread * grow)
        else:
            line = curly[i, : int(rng.integers(25, 70))]
        depth = i / strands
        light = rng.uniform(0.55, 0.9) + 0.35 * depth
        draw_lines(patch, line + shadow, shade, thick)
        draw_lines(patch, line, np.clip(colour * light, 0, 255), thick)
        if thick > 1:
            shine = np.clip(colour * light + rng.uniform(20, 70), 0, 255)
            draw_lines(patch, line - (0, 0.25 * thick), shine, max(1, thick // 3))
        draw_lines(ink, line, np.ones(1), thick)
    size_back = (right - left, bottom - top)
    drawn = cv2.resize(patch, size_back, interpolation=cv2.INTER_AREA)
    cover = cv2.resize(ink, size_back, interpolation=cv2.INTER_AREA)
    frame[top:bottom, left:right] = np.clip(drawn, 0, 255).astype(np.uint8)
    reach = max(3, int(size * 0.25)) | 1
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (reach, reach))
    where[top:bottom, left:right] = cv2.morphologyEx((cover > 0.2).astype(np.float32), cv2.MORPH_CLOSE, kernel)
    return where


def smooth_curve(rng: np.random.Generator, width: int, height: int) -> np.ndarray:
    """A long smooth curve across part of a frame, as a cable or a hose lies."""
    ends = rng.uniform(-0.15, 1.15, (4, 2)) * (width, height)
    t = np.linspace(0, 1, 60)[:, None]
    a, b, c, d = ends
    return ((1 - t) ** 3 * a + 3 * (1 - t) ** 2 * t * b + 3 * (1 - t) * t**2 * c + t**3 * d).astype(np.float32)


def draw_cables(frame: np.ndarray, rng: np.random.Generator) -> None:
    """One to a few cables or hoses, side by side or alone."""
    height, width = frame.shape[:2]
    for _ in range(int(rng.integers(1, 4))):
        curve = smooth_curve(rng, width, height)
        thick = int(rng.integers(2, max(3, width // 40)))
        for k in range(int(rng.integers(1, 6)) if rng.random() < 0.4 else 1):
            colour = rng.uniform(5, 60, 3) if rng.random() < 0.6 else filament_colour(rng)
            line = curve + (k * thick * 1.2, k * thick * 0.8)
            draw_lines(frame, line, colour * 0.6, thick)
            draw_lines(frame, line - (0, thick * 0.2), np.clip(colour * 1.3 + 15, 0, 255), max(1, thick // 3))


def draw_lattice(frame: np.ndarray, rng: np.random.Generator) -> None:
    """A regular lattice: bars crossing at even steps, as infill, supports, vents and mesh vases show."""
    height, width = frame.shape[:2]
    span_x, span_y = rng.uniform(0.1, 0.45) * width, rng.uniform(0.1, 0.45) * height
    x, y = rng.uniform(0, width - span_x), rng.uniform(0, height - span_y)
    colour, step = filament_colour(rng), rng.uniform(4, 18)
    thick = max(1, int(step * rng.uniform(0.12, 0.4)))
    layer = frame.copy()
    if rng.random() < 0.5:
        cv2.rectangle(layer, (int(x), int(y)), (int(x + span_x), int(y + span_y)), [float(c) for c in colour * 0.4], -1)
    reach = span_x + span_y
    for angle in rng.uniform(0, np.pi) + np.array([0, np.pi / 2 if rng.random() < 0.6 else np.pi / 3]):
        direction, normal = np.array([np.cos(angle), np.sin(angle)]), np.array([-np.sin(angle), np.cos(angle)])
        middle = np.array([x + span_x / 2, y + span_y / 2])
        for offset in np.arange(-reach, reach, step):
            line = np.array([middle + normal * offset - direction * reach, middle + normal * offset + direction * reach])
            draw_lines(layer, line, colour * rng.uniform(0.9, 1.0), thick)
    inside = np.zeros((height, width), np.uint8)
    if rng.random() < 0.5:
        cv2.rectangle(inside, (int(x), int(y)), (int(x + span_x), int(y + span_y)), 255, -1)
    else:
        cv2.ellipse(inside, (int(x + span_x / 2), int(y + span_y / 2)), (int(span_x / 2), int(span_y / 2)), 0, 0, 360, 255, -1)
    frame[inside > 0] = layer[inside > 0]


def draw_lettering(frame: np.ndarray, rng: np.random.Generator) -> None:
    """Signs, labels and overlays: text in odd colours and sizes."""
    height, width = frame.shape[:2]
    text = "".join(chr(rng.integers(33, 123)) for _ in range(int(rng.integers(3, 20))))
    place = (int(rng.uniform(0, 0.8) * width), int(rng.uniform(0.05, 1) * height))
    scale = float(rng.uniform(0.3, 1.5) * width / 500)
    font = int(rng.choice([cv2.FONT_HERSHEY_SIMPLEX, cv2.FONT_HERSHEY_COMPLEX, cv2.FONT_HERSHEY_SCRIPT_SIMPLEX]))
    cv2.putText(frame, text, place, font, scale, [float(c) for c in filament_colour(rng)], int(rng.integers(1, 4)), cv2.LINE_AA)
