"""What stands in a rendered scene: plate, room, toolhead, parts, look-alikes and tangles (the plate is 2.4 wide)."""

import bpy
import numpy as np

FILAMENTS = (
    (0.85, 0.85, 0.8), (0.02, 0.02, 0.022), (0.2, 0.2, 0.21), (0.6, 0.02, 0.02), (0.8, 0.16, 0.01), (0.8, 0.6, 0.02),
    (0.03, 0.35, 0.05), (0.02, 0.09, 0.55), (0.05, 0.4, 0.7), (0.2, 0.03, 0.35), (0.75, 0.1, 0.3), (0.45, 0.3, 0.15),
)  # fmt: skip


def material(colour, rough: float = 0.5, metal: float = 0.0) -> bpy.types.Material:
    """A surface."""
    made = bpy.data.materials.new("surface")
    made.use_nodes = True
    surface = made.node_tree.nodes["Principled BSDF"]
    surface.inputs["Base Color"].default_value = (*[float(c) for c in colour], 1)
    surface.inputs["Roughness"].default_value = rough
    surface.inputs["Metallic"].default_value = metal
    return made


def flat(light: float) -> bpy.types.Material:
    """A surface that shines evenly and reflects nothing, for masks."""
    made = bpy.data.materials.new("flat")
    made.use_nodes = True
    nodes = made.node_tree.nodes
    nodes.clear()
    shine, out = nodes.new("ShaderNodeEmission"), nodes.new("ShaderNodeOutputMaterial")
    shine.inputs["Color"].default_value = (light, light, light, 1)
    made.node_tree.links.new(shine.outputs["Emission"], out.inputs["Surface"])
    return made


def muted(rng: np.random.Generator, low: float, high: float) -> np.ndarray:
    """A colour of rooms and machines: mostly grey, now and then strong."""
    strength = rng.choice([0.1, 0.3, 1.0], p=[0.5, 0.35, 0.15])
    return np.clip(rng.uniform(low, high) * (1 - strength) + rng.uniform(low, high, 3) * strength, 0, 1)


def add_mesh(vertices, faces, surface) -> bpy.types.Object:
    """An object from plain arrays."""
    mesh = bpy.data.meshes.new("mesh")
    mesh.from_pydata([tuple(map(float, v)) for v in vertices], [], [tuple(map(int, f)) for f in faces])
    mesh.materials.append(surface)
    thing = bpy.data.objects.new("thing", mesh)
    bpy.context.collection.objects.link(thing)
    return thing


def add_box(centre, size, surface) -> bpy.types.Object:
    """A box."""
    corners = np.array([(x, y, z) for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)]) * np.array(size) / 2 + centre
    faces = [(0, 1, 3, 2), (4, 6, 7, 5), (0, 4, 5, 1), (2, 3, 7, 6), (0, 2, 6, 4), (1, 5, 7, 3)]
    return add_mesh(corners, faces, surface)


def add_tubes(lines, thick: float, surface) -> bpy.types.Object:
    """Round tubes along lines (strands, cables, lattice bars)."""
    curve = bpy.data.curves.new("tubes", "CURVE")
    curve.dimensions, curve.bevel_depth, curve.bevel_resolution = "3D", thick, 1
    for line in lines:
        spline = curve.splines.new("POLY")
        spline.points.add(len(line) - 1)
        spline.points.foreach_set("co", np.hstack([line, np.ones((len(line), 1))]).astype(np.float32).ravel())
    curve.materials.append(surface)
    thing = bpy.data.objects.new("tubes", curve)
    bpy.context.collection.objects.link(thing)
    return thing


def part_outline(rng: np.random.Generator) -> np.ndarray:
    """Radius over angle of a part's cross-section."""
    angle = np.linspace(0, 2 * np.pi, 48, endpoint=False)
    kind = rng.integers(3)
    if kind == 0:
        return 1 + rng.uniform(0, 0.35) * np.cos(int(rng.integers(2, 8)) * angle)
    if kind == 1:
        sector = np.pi / int(rng.integers(3, 7))
        return np.cos(sector) / np.cos((angle % (2 * sector)) - sector)
    return 1 + sum(rng.normal(0, 0.15) * np.cos(k * angle + rng.uniform(0, 6)) for k in range(1, 5))


def add_part(rng: np.random.Generator, foot: np.ndarray, surface) -> tuple[float, float]:
    """A solid part of stacked, slightly stepped layers; returns its radius and height (plate = 2.2 wide)."""
    radius, tall = rng.uniform(0.08, 0.35), float(np.exp(rng.uniform(np.log(0.02), np.log(0.9))))
    layers = max(2, min(40, int(tall / 0.02)))
    angle = np.linspace(0, 2 * np.pi, 48, endpoint=False)
    shape, twist = part_outline(rng), rng.normal(0, 0.6)
    taper = 1 + rng.normal(0, 0.25) * np.sin(np.linspace(0, rng.uniform(1, 6), layers))
    vertices, faces = [], []
    for i in range(layers):
        for z in (i, i + 1):
            turn = angle + twist * i / layers
            reach = radius * shape * max(0.3, taper[i]) * (1 if z == i else 0.985)
            ring = np.stack([np.cos(turn) * reach, np.sin(turn) * reach, np.full(48, z * tall / layers)], axis=1)
            vertices += list(ring + (*foot, 0))
    for ring in range(2 * layers - 1):
        for k in range(48):
            a, b = ring * 48 + k, ring * 48 + (k + 1) % 48
            faces.append((a, b, b + 48, a + 48))
    faces.append(tuple(range((2 * layers - 1) * 48, 2 * layers * 48)))
    add_mesh(vertices, faces, surface)
    return radius, tall


def add_lattice(rng: np.random.Generator, foot: np.ndarray, surface) -> tuple[float, float]:
    """A printed lattice: a mesh vase, a support forest or a grid of infill."""
    radius, tall = rng.uniform(0.12, 0.35), rng.uniform(0.05, 0.7)
    kind, lines = rng.integers(3), []
    if kind == 0:
        bars, turns = int(rng.integers(8, 20)), rng.uniform(0.2, 0.6)
        t = np.linspace(0, 1, 24)
        flare = 1 + rng.uniform(-0.3, 0.3) * np.sin(np.pi * t)
        for k in range(bars):
            for way in (-1, 1):
                turn = 2 * np.pi * (k / bars + way * turns * t)
                lines.append(np.stack([np.cos(turn) * radius * flare, np.sin(turn) * radius * flare, t * tall], axis=1))
    elif kind == 1:
        for x in np.arange(-radius, radius, rng.uniform(0.03, 0.08)):
            for y in np.linspace(-radius, radius, int(rng.integers(3, 7))):
                lines.append(np.array([(x, y, 0), (x, y, tall)]))
    else:
        tall = min(tall, 0.2)
        step = rng.uniform(0.03, 0.08)
        for offset in np.arange(-radius, radius, step):
            for z in np.arange(0, tall, 0.03):
                lines.append(np.array([(offset, -radius, z), (offset, radius, z)]))
                lines.append(np.array([(-radius, offset, z), (radius, offset, z)]))
    add_tubes([line + (*foot, 0.01) for line in lines], rng.uniform(0.006, 0.016), surface)
    return radius, tall


def add_sculpture(rng: np.random.Generator, foot: np.ndarray, surface) -> tuple[float, float]:
    """A sound print that is all curves: a bowl of ribs, a spiral, stacked rings, or an open cage."""
    radius, tall = rng.uniform(0.12, 0.35), rng.uniform(0.1, 0.7)
    kind, lines, thick = rng.integers(4), [], rng.uniform(0.01, 0.04)
    t = np.linspace(0, 1, 24)
    if kind == 0:
        swirl, closes = rng.normal(0, 0.8), rng.uniform(0.5, 0.95)
        for turn in np.linspace(0, 2 * np.pi, int(rng.integers(5, 14)), endpoint=False):
            angle, out = turn + swirl * t, radius * np.sin(np.pi * t * closes)
            lines.append(np.stack([np.cos(angle) * out, np.sin(angle) * out, t * tall], axis=1))
    elif kind == 1:
        turns = rng.uniform(3, 12)
        t = np.linspace(0, 1, int(turns * 16))
        out = radius * (1 - rng.uniform(0, 0.7) * t)
        angle = 2 * np.pi * turns * t
        lines.append(np.stack([np.cos(angle) * out, np.sin(angle) * out, t * tall], axis=1))
    elif kind == 2:
        angle, lobes, twist = np.linspace(0, 2 * np.pi, 48), int(rng.integers(3, 9)), rng.normal(0, 2)
        for lift in np.arange(0, tall, 1.7 * thick):
            out = radius * (1 + 0.25 * np.cos(lobes * angle + twist * lift / tall))
            lines.append(np.stack([np.cos(angle) * out, np.sin(angle) * out, np.full(48, lift)], axis=1))
    else:
        # Cells of uneven size on the wall of a vase, closed all around and at both ends.
        around, rows = int(rng.integers(6, 14)), max(2, int(tall / 0.12))
        turn = 2 * np.pi * (np.arange(around)[None] + 0.5 * (np.arange(rows + 1)[:, None] % 2)) / around
        turn = turn + rng.normal(0, 0.2 / around * 6, (1, around))
        lift = np.linspace(0, tall, rows + 1)[:, None] + np.zeros((1, around))
        lift[1:-1] += rng.normal(0, 0.12 * tall / rows, (rows - 1, around))
        wall = np.stack([np.cos(turn) * radius, np.sin(turn) * radius, lift], axis=2)
        lines = [np.vstack([ring, ring[:1]]) for ring in (wall[0], wall[-1])]
        for row in range(rows):
            for k in range(around):
                across = k + 1 if row % 2 else k - 1
                lines += [wall[[row, row + 1], [k, k]], wall[[row, row + 1], [k, across % around]]]
        thick = rng.uniform(0.01, 0.02)
    add_tubes([line + (*foot, 0.01) for line in lines], thick, surface)
    return radius, tall


def add_tower(rng: np.random.Generator, foot: np.ndarray, surface) -> tuple[float, float]:
    """Tree supports under what they carry, or a prime tower: trunks that branch, or a ribbed block."""
    radius, tall = rng.uniform(0.06, 0.2), rng.uniform(0.1, 0.9)
    if rng.random() < 0.5:
        lines = []
        for _ in range(int(rng.integers(2, 7))):
            root, fork = rng.uniform(-radius, radius, 2), rng.uniform(0.3, 0.8) * tall
            stem = np.array([(*root, 0), (*(root * 0.8), fork)])
            lines.append(stem)
            for _ in range(int(rng.integers(2, 6))):
                tip = rng.uniform(-1.3, 1.3, 2) * radius
                lines.append(np.array([stem[1], (*tip, tall)]))
        add_tubes([line + (*foot, 0.0) for line in lines], rng.uniform(0.012, 0.03), surface)
        add_box((*foot, tall + 0.03), (2.8 * radius, 2.8 * radius, 0.06), surface)
    else:
        for lift in np.arange(0.01, tall, 0.03):
            square = np.array([(-1, -1), (1, -1), (1, 1), (-1, 1), (-1, -1)]) * radius
            ring = np.hstack([square, np.full((5, 1), lift)])
            add_tubes([ring + (*foot, 0)], 0.017, surface)
    return radius, tall


def first_lines(rng: np.random.Generator, foot: np.ndarray, radius: float) -> list[np.ndarray]:
    """What a sound print puts down first: a purge line along an edge, a skirt or a brim around the part."""
    lines = []
    if rng.random() < 0.5:
        side, long = rng.choice([-1.05, 1.05]), rng.uniform(0.5, 1.9)
        for step in range(int(rng.integers(1, 3))):
            x = side - 0.03 * step * np.sign(side)
            lines.append(np.array([(x, -long / 2, 0.006), (x, long / 2, 0.006)]))
    if rng.random() < 0.6:
        angle = np.linspace(0, 2 * np.pi, 40)
        gap = rng.uniform(0.02, 0.1)
        for step in range(int(rng.integers(1, 7))):
            out = radius * 1.1 + gap + 0.02 * step
            ring = np.stack([np.cos(angle) * out, np.sin(angle) * out, np.full(40, 0.006)], axis=1)
            lines.append(ring + (*foot, 0))
    return lines


def tangle_lines(rng: np.random.Generator, centre: np.ndarray, size: float) -> list[np.ndarray]:
    """Strands as falling, coiling walks: a heap, loops lying flat, or long slack strings."""
    kind = rng.choice(["heap", "flat", "slack"], p=[0.55, 0.25, 0.2])
    count, points = int(rng.integers(4, 16) * (1 + size * 6)), 90
    spread = size * np.array([1, 1, rng.uniform(0.3, 0.9) if kind == "heap" else 0.08 if kind == "flat" else 0.6])
    step = size * rng.uniform(0.05, 0.1, (count, 1))
    if kind == "flat":
        centre = centre * (1, 1, 0) + (0, 0, 0.02)
    here = centre + rng.normal(0, 0.4, (count, 3)) * spread
    way = rng.normal(size=(count, 3))
    turn, curl = rng.normal(0, 0.3, (count, 3)), rng.uniform(0.2, 0.6) * (0.35 if kind == "slack" else 1)
    lines = np.empty((count, points, 3))
    for i in range(points):
        lines[:, i] = here
        turn = 0.92 * turn + rng.normal(0, curl * 0.4, (count, 3))
        way = way + np.cross(turn, way)
        way /= np.linalg.norm(way, axis=1, keepdims=True)
        away = (here - centre) / spread
        pull = np.maximum(0, np.linalg.norm(away, axis=1, keepdims=True) - 0.8) * 0.4
        here = here + step * (way - pull * away * spread / size)
        here[:, 2] = np.maximum(here[:, 2], 0.008)
    return [line[: int(rng.integers(30, points))] for line in lines]


def add_toolhead(rng: np.random.Generator, tip: np.ndarray) -> None:
    """Nozzle, heater block, body with a fan, a cable bundle, and the rail it runs on."""
    dark = material(muted(rng, 0.01, 0.12) if rng.random() < 0.7 else FILAMENTS[rng.integers(12)], 0.4)
    brass = material((0.6, 0.4, 0.12), 0.3, 1.0)
    add_box(tip + (0, 0, 0.04), (0.05, 0.05, 0.08), brass)
    wide, tall = rng.uniform(0.3, 0.6), rng.uniform(0.35, 0.8)
    add_box(tip + (0, 0, 0.08 + tall / 2), (wide, 0.3, tall), dark)
    ring = np.linspace(0, 2 * np.pi, 24)
    for reach in (0.12, 0.08, 0.04):
        circle = np.stack([np.cos(ring) * reach, np.full(24, -0.16), np.sin(ring) * reach], axis=1)
        add_tubes([circle + tip + (0, 0, 0.08 + tall / 2)], 0.008, material(muted(rng, 0.05, 0.5), 0.5))
    add_box(tip + (0, 0.3, 0.1 + tall * 0.6), (4, 0.12, 0.12), material(muted(rng, 0.02, 0.6), 0.3, 0.8))
    for _ in range(int(rng.integers(0, 4))):
        t = np.linspace(0, 1, 30)[:, None]
        end = np.array([rng.uniform(-2, 2), 0.8, 2.5])
        bow = np.array([rng.normal(0, 0.5), 0, rng.normal(0, 0.4)]) * np.sin(np.pi * t)
        hose = (tip + (0, 0, tall)) * (1 - t) + end * t + bow
        add_tubes([hose], rng.uniform(0.012, 0.045), material(muted(rng, 0.01, 0.8), 0.5))


def add_plate(rng: np.random.Generator) -> None:
    """The plate (some with a printed grid or clips) and the floor."""
    base = muted(rng, 0.01, 0.12) if rng.random() < 0.6 else muted(rng, 0.02, 0.6)
    add_box((0, 0, -0.03), (2.4, 2.4, 0.06), material(base, rng.uniform(0.08, 0.7), float(rng.random() < 0.2)))
    if rng.random() < 0.5:
        marks = np.linspace(-1.15, 1.15, int(rng.integers(6, 24)))
        lines = [np.array([(m, -1.15, 0), (m, 1.15, 0)]) for m in marks] + [np.array([(-1.15, m, 0), (1.15, m, 0)]) for m in marks]
        add_tubes(lines, 0.003, material(np.clip(base + 0.25, 0, 1), 0.6))
    for _ in range(int(rng.integers(0, 5))):
        side = rng.choice([-1.15, 1.15])
        add_box((rng.uniform(-1, 1), side, 0.02), (0.12, 0.15, 0.08), material(muted(rng, 0, 0.7), 0.3, 0.7))
    add_box((0, 0, -0.5), (12, 12, 0.1), material(muted(rng, 0.02, 0.5), 0.8))


def add_spool(rng: np.random.Generator, middle: np.ndarray) -> None:
    """A spool of filament seen from its side, wound in many turns, its end hanging loose."""
    paint = material(FILAMENTS[rng.integers(12)], 0.4)
    angle = np.linspace(0, 2 * np.pi, 32)
    rings = []
    for reach in np.arange(0.2, rng.uniform(0.3, 0.5), 0.03):
        wobble = rng.normal(0, 0.01, 3)
        rings.append(np.stack([np.cos(angle) * reach, np.zeros(32), np.sin(angle) * reach], axis=1) + middle + wobble)
    t = np.linspace(0, 1, 30)[:, None]
    end = middle + (rng.normal(0, 0.8), -0.3, rng.uniform(-1, 1))
    rings.append((middle + (0.4, 0, 0)) * (1 - t) + end * t + rng.normal(0, 0.3, 3) * np.sin(np.pi * t))
    add_tubes(rings, 0.012, paint)


def add_room(rng: np.random.Generator) -> None:
    """Wall, frame posts, clutter and cables behind the plate."""
    add_box((0, 3.2, 1.5), (14, 0.1, 9), material(muted(rng, 0.02, 0.8), 0.9))
    post = material(muted(rng, 0.01, 0.5), 0.35, float(rng.random() < 0.5))
    if rng.random() < 0.7:
        add_box((-1.6, 0.9, 1.2), (0.15, 0.15, 4), post)
        add_box((1.6, 0.9, 1.2), (0.15, 0.15, 4), post)
    for _ in range(int(rng.integers(0, 9))):
        colour = muted(rng, 0, 0.8)
        add_box((rng.uniform(-3, 3), rng.uniform(1.6, 3), rng.uniform(-0.4, 1.6)), rng.uniform(0.1, 0.9, 3), material(colour))
    if rng.random() < 0.25:
        add_spool(rng, rng.uniform((-1.8, 1.3, 0.2), (1.8, 2.4, 1.8)))
    for _ in range(int(rng.integers(0, 5))):
        t = np.linspace(0, 1, 40)[:, None]
        a, b = rng.uniform((-2.5, 1.2, -0.4), (2.5, 2.5, 2)), rng.uniform((-2.5, 1.2, -0.4), (2.5, 2.5, 2))
        bow = rng.normal(0, 0.6, 3) * np.sin(np.pi * t)
        bundle = [a * (1 - t) + b * t + bow + rng.normal(0, 0.03, 3) for _ in range(int(rng.integers(1, 5)))]
        add_tubes(bundle, rng.uniform(0.01, 0.04), material(muted(rng, 0.01, 0.7), 0.5))
