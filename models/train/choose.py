"""Decides which of the two trainings ships: the freely licensed one if it is close enough to the other."""

import argparse
import json
from pathlib import Path

import numpy as np

import measure
from assess import Row, read_rows

AUROC_MARGIN = 0.01
RECALL_MARGIN = 0.03


def summary(rows: list[Row]) -> dict[str, float]:
    """The figures that the two are compared by: AUROC, and recall at 1 % false positives, on all of dev and on snu."""
    found = {}
    dev = [r for r in rows if r.part == "dev"]
    for name, part in (("dev", dev), ("snu", [r for r in dev if r.source == "snu-hyungjungkim"])):
        scores, failing = np.array([r.score for r in part]), np.array([r.failing for r in part])
        found[f"{name}_auroc"] = round(measure.auroc(scores, failing), 4)
        found[f"{name}_recall_at_1"] = round(measure.recall_at(scores, failing, 0.01), 4)
    for name in ("staged", "drawn", "rendered"):
        part = [r for r in rows if r.part == name]
        if part:
            found[f"{name}_auroc"] = round(measure.auroc(np.array([r.score for r in part]), np.array([r.failing for r in part])), 4)
    return found


def close_enough(free: dict[str, float], everything: dict[str, float]) -> bool:
    """Whether the freely licensed training loses at most the margins, on dev and on snu."""
    return all(
        free[f"{name}_auroc"] >= everything[f"{name}_auroc"] - AUROC_MARGIN
        and free[f"{name}_recall_at_1"] >= everything[f"{name}_recall_at_1"] - RECALL_MARGIN
        for name in ("dev", "snu")
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("free", type=Path, help="rows of the training with freely licensed failing pictures")
    parser.add_argument("all", type=Path, help="rows of the training with all failing pictures")
    parser.add_argument("out", type=Path)
    a = parser.parse_args()
    free, everything = summary(read_rows(a.free)), summary(read_rows(a.all))
    chosen = "free" if close_enough(free, everything) else "all"
    a.out.write_text(json.dumps({"chosen": chosen, "free": free, "all": everything}, indent=1) + "\n")


if __name__ == "__main__":
    main()
