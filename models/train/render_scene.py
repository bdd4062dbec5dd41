"""Builds one scene in Blender and renders its picture and the mask of its tangle."""

from pathlib import Path

import bpy
import numpy as np
from PIL import Image

SIZES = ((320, 240), (320, 240), (320, 180))
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


def tangle_lines(rng: np.random.Generator, centre: np.ndarray, size: float) -> list[np.ndarray]:
    """Strands as falling, coiling walks."""
    count, points = int(rng.integers(4, 16) * (1 + size * 6)), 90
    spread = size * np.array([1, 1, rng.uniform(0.3, 0.9)])
    step = size * rng.uniform(0.05, 0.1, (count, 1))
    here = centre + rng.normal(0, 0.4, (count, 3)) * spread
    way = rng.normal(size=(count, 3))
    turn, curl = rng.normal(0, 0.3, (count, 3)), rng.uniform(0.2, 0.6)
    lines = np.empty((count, points, 3))
    for i in range(points):
        lines[:, i] = here
        turn = 0.92 * turn + rng.normal(0, curl * 0.4, (count, 3))
        way = way + np.cross(turn, way)
        way /= np.linalg.norm(way, axis=1, keepdims=True)
        away = (here - centre) / spread
        pull = np.maximum(0, np.linalg.norm(away, axis=1, keepdims=True) - 0.8) * 0.4
        here = here + step * (way - pull * away)
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
    for _ in range(int(rng.integers(0, 5))):
        t = np.linspace(0, 1, 40)[:, None]
        a, b = rng.uniform((-2.5, 1.2, -0.4), (2.5, 2.5, 2)), rng.uniform((-2.5, 1.2, -0.4), (2.5, 2.5, 2))
        bow = rng.normal(0, 0.6, 3) * np.sin(np.pi * t)
        bundle = [a * (1 - t) + b * t + bow + rng.normal(0, 0.03, 3) for _ in range(int(rng.integers(1, 5)))]
        add_tubes(bundle, rng.uniform(0.01, 0.04), material(muted(rng, 0.01, 0.7), 0.5))


def add_light_and_camera(rng: np.random.Generator, width: int, height: int) -> None:
    """Room light, a lamp or two (also from behind), and a webcam before the printer."""
    scene = bpy.context.scene
    world = bpy.data.worlds.new("world")
    world.use_nodes = True
    sky = world.node_tree.nodes["Background"]
    sky.inputs[0].default_value = (*rng.uniform(0.6, 1, 3), 1)
    sky.inputs[1].default_value = float(np.exp(rng.uniform(np.log(0.06), np.log(0.9))))
    scene.world = world
    for _ in range(int(rng.integers(1, 3))):
        lamp = bpy.data.lights.new("lamp", "AREA")
        lamp.energy, lamp.size = float(np.exp(rng.uniform(np.log(15), np.log(220)))), float(rng.uniform(0.2, 2))
        lamp.color = tuple(map(float, rng.uniform(0.75, 1, 3)))
        thing = bpy.data.objects.new("lamp", lamp)
        thing.location = (rng.uniform(-3, 3), rng.uniform(-3, 2.5), rng.uniform(1.5, 4))
        bpy.context.collection.objects.link(thing)
        aim(thing, np.array([0, 0, 0.2]))
    camera = bpy.data.cameras.new("camera")
    camera.lens = float(rng.uniform(28, 60))
    eye = bpy.data.objects.new("camera", camera)
    side, away = rng.uniform(-1.0, 1.0), rng.uniform(2.4, 4.2)
    eye.location = (np.sin(side) * away, -np.cos(side) * away, rng.uniform(0.25, 2.6))
    bpy.context.collection.objects.link(eye)
    aim(eye, rng.uniform((-0.3, -0.2, 0), (0.3, 0.2, 0.5)))
    scene.camera = eye
    scene.render.resolution_x, scene.render.resolution_y = width, height


def aim(thing: bpy.types.Object, target: np.ndarray) -> None:
    """Turn a camera or lamp to a place."""
    from mathutils import Vector

    way = Vector(tuple(map(float, target))) - thing.location
    thing.rotation_euler = way.to_track_quat("-Z", "Y").to_euler()


def shoot(path: str, samples: int, kind: str) -> None:
    """Render to a file."""
    scene = bpy.context.scene
    scene.render.engine = "CYCLES"
    scene.cycles.samples, scene.cycles.use_denoising = samples, samples > 1
    scene.cycles.max_bounces = 3 if samples > 1 else 0
    scene.render.threads_mode, scene.render.threads = "FIXED", 2
    scene.view_settings.view_transform = "Standard"
    scene.render.image_settings.file_format = kind
    scene.render.image_settings.quality = 92
    scene.render.filepath = path
    bpy.ops.render.render(write_still=True)


def render(rng: np.random.Generator, failing: bool, out: Path) -> str:
    """One scene: `out`.jpg is the picture, `out`.png the mask of its tangle. Returns what it shows."""
    bpy.ops.wm.read_factory_settings(use_empty=True)
    width, height = SIZES[rng.integers(len(SIZES))]
    add_plate(rng)
    add_room(rng)
    colour = np.clip(np.array(FILAMENTS[rng.integers(12)]) * rng.uniform(0.7, 1.2), 0, 1)
    surface = material(colour, rng.uniform(0.2, 0.6))
    kind = str(rng.choice(["part", "part", "lattice", "parts", "empty"]))
    foot, radius, tall = rng.uniform(-0.5, 0.5, 2), 0.1, 0.02
    for _ in range({"part": 1, "lattice": 1, "parts": 3, "empty": 0}[kind]):
        foot = rng.uniform(-0.7, 0.7, 2)
        radius, tall = (add_lattice if kind == "lattice" else add_part)(rng, foot, surface)
    tangle = None
    if failing:
        size = float(np.exp(rng.uniform(np.log(0.06), np.log(0.5))))
        height_at = rng.choice([0.5 * size, tall, tall + 0.3 * size])
        centre = np.array([*(foot + rng.normal(0, 0.5, 2) * (radius + 0.3 * size)), height_at])
        paint = surface if rng.random() < 0.85 else material(FILAMENTS[rng.integers(12)], 0.4)
        tangle = add_tubes(tangle_lines(rng, centre, size), rng.uniform(0.004, 0.012), paint)
    if rng.random() < 0.8:
        reach = rng.normal(0, 0.08, 2) if rng.random() < 0.7 else rng.uniform(-0.8, 0.8, 2)
        add_toolhead(rng, np.array([*(foot + reach), tall + 0.01 + (0.15 if failing else 0) * rng.random()]))
    add_light_and_camera(rng, width, height)
    if not out.with_suffix(".jpg").exists():
        shoot(str(out.with_suffix(".jpg")), 4, "JPEG")
    if tangle is None:
        Image.new("L", (width, height)).save(out.with_suffix(".png"))
        return f"good {kind}"
    black, white = flat(0.0), flat(1.0)
    for thing in bpy.context.collection.objects:
        if thing.type in ("MESH", "CURVE"):
            thing.data.materials.clear()
            thing.data.materials.append(white if thing is tangle else black)
        if thing.type == "LIGHT":
            thing.hide_render = True
    bpy.context.scene.world.node_tree.nodes["Background"].inputs[1].default_value = 0.0
    bpy.context.scene.render.image_settings.color_mode = "BW"
    bpy.context.scene.cycles.pixel_filter_type = "BOX"
    shoot(str(out.with_suffix(".png")), 1, "PNG")
    return f"failing {kind}"
