"""Builds one scene in Blender and renders its picture and the mask of its tangle."""

import json
from pathlib import Path

import bpy
import numpy as np
from PIL import Image

from render_things import (
    FILAMENTS,
    add_lattice,
    add_part,
    add_plate,
    add_room,
    add_sculpture,
    add_toolhead,
    add_tower,
    add_tubes,
    first_lines,
    flat,
    material,
    tangle_lines,
)

SIZES = ((320, 240), (320, 240), (320, 180))
# What stands on the plate, and how many of it. Those that are easily feared come often.
STANDING = {
    "part": (add_part, 1),
    "parts": (add_part, 3),
    "lattice": (add_lattice, 1),
    "lattices": (add_lattice, 3),
    "sculpture": (add_sculpture, 1),
    "towers": (add_tower, 2),
    "empty": (add_part, 0),
}
STANDING_ODDS = (0.25, 0.13, 0.17, 0.08, 0.15, 0.1, 0.12)


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
    side, away = rng.uniform(-1.0, 1.0), float(rng.choice([rng.uniform(2.4, 4.2), rng.uniform(1.3, 2.4)], p=[0.75, 0.25]))
    eye.location = (np.sin(side) * away, -np.cos(side) * away, away * rng.uniform(0.1, 0.65))
    bpy.context.collection.objects.link(eye)
    aim(eye, rng.uniform((-0.3, -0.2, 0), (0.3, 0.2, 0.5)))
    scene.camera = eye
    scene.render.resolution_x, scene.render.resolution_y = width, height


def aim(thing: bpy.types.Object, target: np.ndarray) -> None:
    """Turn a camera or lamp to a place."""
    from mathutils import Vector

    way = Vector(tuple(map(float, target))) - thing.location
    thing.rotation_euler = way.to_track_quat("-Z", "Y").to_euler()


def in_picture(place: np.ndarray) -> list[float]:
    """Where a place of the scene lies in the picture, as fractions from the left and the top."""
    from bpy_extras.object_utils import world_to_camera_view
    from mathutils import Vector

    bpy.context.view_layer.update()
    seen = world_to_camera_view(bpy.context.scene, bpy.context.scene.camera, Vector(tuple(map(float, place))))
    return [round(seen.x, 4), round(1 - seen.y, 4)]


def shoot(path: str, samples: int, kind: str) -> None:
    """Render to a file."""
    scene = bpy.context.scene
    scene.render.engine = "CYCLES"
    scene.cycles.samples, scene.cycles.use_denoising = samples, samples > 1
    # As good to look at as the best denoising, at half of the whole shot's time.
    scene.cycles.denoising_quality, scene.cycles.denoising_prefilter = "FAST", "NONE"
    scene.cycles.max_bounces = 3 if samples > 1 else 0
    scene.render.threads_mode, scene.render.threads = "FIXED", 1
    scene.view_settings.view_transform = "Standard"
    scene.render.image_settings.file_format = kind
    scene.render.image_settings.quality = 92
    scene.render.filepath = path
    bpy.ops.render.render(write_still=True)


def render(rng: np.random.Generator, failing: bool, out: Path) -> str:
    """One scene: `out`.jpg is the picture, `out`.png the mask of its tangle, `out`.json says where the nozzle is.

    A failing scene is shot again without its tangle (`out`.twin.jpg): it shows what can be seen of the tangle, and
    a good print that differs in nothing else. Returns what the scene shows.
    """
    bpy.ops.wm.read_factory_settings(use_empty=True)
    width, height = SIZES[rng.integers(len(SIZES))]
    add_plate(rng)
    add_room(rng)
    colour = np.clip(np.array(FILAMENTS[rng.integers(12)]) * rng.uniform(0.7, 1.2), 0, 1)
    surface = material(colour, rng.uniform(0.2, 0.6))
    kind = str(rng.choice(list(STANDING), p=STANDING_ODDS))
    add, count = STANDING[kind]
    foot, radius, tall = rng.uniform(-0.5, 0.5, 2), 0.1, 0.02
    first = rng.uniform(0, 2 * np.pi) if count > 1 else 0.0
    for i in range(count):
        foot = rng.uniform(-0.7, 0.7, 2)
        if count > 1:
            # Beside one another, as a slicer lays them out.
            turn = first + 2 * np.pi * i / count
            foot = 0.6 * np.array([np.cos(turn), np.sin(turn)]) + 0.1 * foot
        radius, tall = add(rng, foot, surface)
    if lines := first_lines(rng, foot, radius):
        add_tubes(lines, 0.008, surface)
    tangle = None
    if failing:
        size = float(np.exp(rng.uniform(np.log(0.06), np.log(0.5))))
        height_at = rng.choice([0.5 * size, tall, tall + 0.3 * size])
        centre = np.array([*(foot + rng.normal(0, 0.5, 2) * (radius + 0.3 * size)), height_at])
        paint = surface if rng.random() < 0.85 else material(FILAMENTS[rng.integers(12)], 0.4)
        tangle = add_tubes(tangle_lines(rng, centre, size), rng.uniform(0.004, 0.012), paint)
    tip = None
    if rng.random() < 0.8:
        reach = rng.normal(0, 0.08, 2) if rng.random() < 0.7 else rng.uniform(-0.8, 0.8, 2)
        tip = np.array([*(foot + reach), tall + 0.01 + (0.15 if failing else 0) * rng.random()])
        add_toolhead(rng, tip)
    add_light_and_camera(rng, width, height)
    out.with_suffix(".json").write_text(json.dumps({"nozzle": None if tip is None else in_picture(tip)}) + "\n")
    shoot(str(out.with_suffix(".jpg")), 4, "JPEG")
    if tangle is None:
        Image.new("L", (width, height)).save(out.with_suffix(".png"))
        return f"good {kind}"
    tangle.hide_render = True
    shoot(str(out.with_suffix(".twin.jpg")), 4, "JPEG")
    tangle.hide_render = False
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
