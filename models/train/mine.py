"""Finds the training pictures that a training is wrong about, for the next round to look at more often."""

import argparse
import json
from pathlib import Path

import data
from augment import Canvas
from infer import Model
from render import load_renders
from scoring import score


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("model", type=Path, help="the training, exported")
    parser.add_argument("out", type=Path)
    parser.add_argument("--failing-from", choices=("free", "all"), required=True)
    parser.add_argument("--renders", type=Path, required=True)
    a = parser.parse_args()
    model = Model(a.model)
    seen = [(p.name, Canvas.of_picture(p).frame, p.failing) for p in data.training(data.load(a.data), a.failing_from)]
    seen += [(scene.name, scene.frame, scene.failing) for scene in load_renders(a.renders)]
    hardness = {}
    for name, frame, failing in seen:
        found, place = model.failure_map(frame)
        said = score(found, place.cells())
        hardness[name] = round(1 - said if failing else said, 4)
    a.out.write_text(json.dumps(hardness, indent=0) + "\n")
    wrong = sorted(hardness, key=hardness.get, reverse=True)
    print(f"{sum(h > 0.5 for h in hardness.values())} of {len(hardness)} are taken for the other; the hardest: {wrong[:10]}")


if __name__ == "__main__":
    main()
