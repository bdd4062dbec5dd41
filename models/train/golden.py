"""Golden vectors that hold Rust's preprocessing and scoring to Python's."""

import argparse
import base64
import hashlib
import io
import json
from pathlib import Path

import numpy as np
from PIL import Image

import scoring
from infer import Model
from preprocess import Placement, letterbox, normalise, read_picture
from settings import BOX_THRESHOLD, SEED, TOP_K

DATA_PICTURES = 200
SIZES = ((640, 480), (1280, 720), (333, 517), (100, 80), (320, 320), (1920, 1080))
FORMULA = "R=(7x+3y)/4 mod 256, G=(x*x/64+5y) mod 256, B=((x/16+y/16) mod 2)*160+((x+2y)/8 mod 64); integer division"


def generated(width: int, height: int) -> np.ndarray:
    """The picture that FORMULA describes."""
    y, x = np.mgrid[0:height, 0:width]
    red = ((7 * x + 3 * y) // 4) % 256
    green = (x * x // 64 + 5 * y) % 256
    blue = ((x // 16 + y // 16) % 2) * 160 + ((x + 2 * y) // 8) % 64
    return np.stack([red, green, blue], axis=2).astype(np.uint8)


def map_vectors(trims: bool) -> list[dict]:
    """Maps with the scores and boxes they must give. Values are multiples of 1/256: exact in any float."""
    rng = np.random.default_rng(SEED)
    vectors = []
    for number, (width, height) in enumerate(SIZES * 2):
        place = Placement.of(width, height)
        place = place.trimmed() if trims else place
        rows, columns = place.cells().shape
        cells = rng.uniform(0, 0.45, (rows, columns))
        for _ in range(number % 5):
            row, column = rng.integers(0, (rows - 3, columns - 3))
            cells[row : row + rng.integers(1, 5), column : column + rng.integers(1, 5)] = rng.uniform(0.5, 1)
        if number == 1:
            cells[:] = 0.0
        if number == 2:
            cells[:] = 1.0
        cells = np.floor(cells * 256) / 256
        vectors.append(
            {
                "frame": [width, height],
                "placement": [place.left, place.top, place.width, place.height],
                "map": [float(v) for v in cells.ravel()],
                "score": scoring.score(cells, place.cells()),
                "boxes": [[round(v, 6) for v in box] for box in scoring.boxes(cells, place)],
            }
        )
    return vectors


def picture_vectors(model: Model) -> list[dict]:
    """Generated pictures with some values of the tensor they must give, and the model's score."""
    rng = np.random.default_rng(SEED)
    vectors = []
    for width, height in SIZES:
        frame = generated(width, height)
        boxed, place = letterbox(frame, model.trims)
        tensor = normalise(boxed)
        at = np.stack([rng.integers(0, n, 64) for n in tensor.shape], axis=1)
        found, _ = model.failure_map(frame)
        vectors.append(
            {
                "frame": [width, height],
                "placement": [place.left, place.top, place.width, place.height],
                "values": [[int(c), int(y), int(x), round(float(tensor[c, y, x]), 6)] for c, y, x in at],
                "score": round(scoring.score(found, place.cells()), 6),
            }
        )
    return vectors


def jpeg_vectors() -> list[dict]:
    """JPEGs of generated pictures (colour at full, half and quarter resolution, grey) and the bytes they decode to."""
    vectors = []
    for subsampling in ("4:4:4", "4:2:2", "4:2:0", "grey"):
        picture, encoded = Image.fromarray(generated(83, 61)), io.BytesIO()
        if subsampling == "grey":
            picture.convert("L").save(encoded, "JPEG", quality=80)
        else:
            picture.save(encoded, "JPEG", quality=80, subsampling=subsampling)
        with Image.open(encoded) as decoded:
            rgb = decoded.convert("RGB").tobytes()
        jpeg = base64.b64encode(encoded.getvalue()).decode()
        vectors.append({"subsampling": subsampling, "jpeg": jpeg, "rgb_sha256": hashlib.sha256(rgb).hexdigest()})
    return vectors


def data_vectors(models: list[Path], folder: Path) -> list[dict]:
    """The scores of pictures of the data, which are not in this repository themselves."""
    chosen = np.random.default_rng(SEED).permutation(sorted((folder / "images").glob("*.jpg")))[:DATA_PICTURES]
    frames = {path: read_picture(path) for path in sorted(chosen)}
    vectors = [{"file": f"images/{path.name}", "scores": {}} for path in frames]
    for model in map(Model, models):
        for vector, frame in zip(vectors, frames.values(), strict=True):
            found, place = model.failure_map(frame)
            vector["scores"][model.name] = round(scoring.score(found, place.cells()), 6)
    return vectors


def self_test_vector(model: Model, picture: Path) -> dict:
    """What a model makes of the self-test picture."""
    found, place = model.failure_map(read_picture(picture))
    return {"score": round(scoring.score(found, place.cells()), 6), "map": [round(float(v), 5) for v in found.ravel()]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("fp32", type=Path)
    parser.add_argument("int8", type=Path)
    parser.add_argument("self_test", type=Path)
    parser.add_argument("data", type=Path, help="DATA_DIR")
    parser.add_argument("out", type=Path)
    a = parser.parse_args()
    fp32 = Model(a.fp32)
    vectors = {
        "schema": 1,
        "score": {"rule": "top_k_mean", "k": TOP_K, "box_threshold": BOX_THRESHOLD},
        "maps": map_vectors(fp32.trims),
        "generated": {"formula": FORMULA, "model": a.fp32.name, "tolerance": 0.01, "pictures": picture_vectors(fp32)},
        "jpegs": jpeg_vectors(),
        "data": data_vectors([a.fp32, a.int8], a.data),
        "self_test": {m.name: self_test_vector(Model(m), a.self_test) for m in (a.fp32, a.int8)},
    }
    a.out.write_text(json.dumps(vectors, separators=(",", ":")).replace('},{"f', '},\n{"f') + "\n")


if __name__ == "__main__":
    main()
