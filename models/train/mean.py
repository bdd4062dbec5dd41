"""The mean of the weights of trainings with one beginning: each errs in its own places, the mean in fewer."""

import argparse
from pathlib import Path

import torch


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("weights", type=Path, nargs="+")
    a = parser.parse_args()
    trained = [torch.load(path, map_location="cpu") for path in a.weights]
    torch.save({name: sum(weights[name] for weights in trained) / len(trained) for name in trained[0]}, a.out)


if __name__ == "__main__":
    main()
