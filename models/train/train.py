"""Trains one network and keeps the moving average of its weights."""

import argparse
import copy
import json
import math
import os
import time
from pathlib import Path

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch.utils.data import DataLoader, Dataset

import data
import network
from augment import Composer
from settings import MEAN, SEED, STD

BATCH = 24


class Samples(Dataset):
    """Training samples by number: sample i is the same whoever draws it, so that a run can be resumed."""

    def __init__(self, composer: Composer, first: int, last: int):
        self.composer, self.first, self.last = composer, first, last

    def __len__(self) -> int:
        return self.last - self.first

    def __getitem__(self, i: int):
        sample = self.composer.sample(np.random.default_rng((SEED, self.first + i)))
        return sample.boxed, sample.target, sample.weight, sample.failing


def loss_of(logits: torch.Tensor, target: torch.Tensor, weight: torch.Tensor, failing: torch.Tensor) -> torch.Tensor:
    """Loss of a batch of maps: each picture's cells, its hardest good cells, and its verdict as a whole."""
    logits = logits[:, 0].float().flatten(1)
    target, weight = target.flatten(1), weight.flatten(1)
    cell = F.binary_cross_entropy_with_logits(logits, target, reduction="none") * weight
    positive, negative = target, 1 - target
    on_tangle = (cell * positive).sum(1) / ((weight * positive).sum(1) + 4)
    on_good = (cell * negative).sum(1) / ((weight * negative).sum(1) + 4)
    # The cells that raise a false alarm are few: the twelve hardest good ones count again.
    hardest = (cell * negative).topk(12, dim=1).values.mean(1)
    # A picture with a tangle needs a few high cells wherever it may show one.
    seen = torch.where(target * weight > 0.3, logits, torch.full_like(logits, -30.0)).topk(3, dim=1).values
    verdict = F.softplus(-seen[:, :2].clamp(min=-12)).mean(1) * failing
    return (on_tangle + on_good + 0.5 * hardest + 0.5 * verdict).mean()


def normalised(boxed: torch.Tensor, device: str) -> torch.Tensor:
    """A batch of RGB8 (N, H, W, 3) as the network takes it (`preprocess.normalise`), on the device."""
    x = boxed.to(device, non_blocking=True).permute(0, 3, 1, 2).float() / 255
    mean, deviation = (torch.tensor(v, device=device)[:, None, None] for v in (MEAN, STD))
    return ((x - mean) / deviation).to(memory_format=torch.channels_last)


def learning_rate(step: int, steps: int) -> float:
    """Warm-up, then a cosine to a hundredth."""
    warm = max(1, min(100, steps // 20))
    if step < warm:
        return (step + 1) / warm
    return 0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * (step - warm) / max(1, steps - warm)))


def train(
    data_dir: Path,
    out: Path,
    failing_from: str,
    count: int,
    frozen: int,
    start: Path | None,
    renders: Path | None,
    rate: float,
    first: int,
    workers: int,
) -> None:
    """Train on `count` samples and write the averaged weights to `out`; picks up where it was cut off."""
    from render import load_renders

    torch.manual_seed(SEED)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    composer = Composer(data.training(data.load(data_dir), failing_from), load_renders(renders, twins=True) if renders else [])
    model = network.pretrained().to(device, memory_format=torch.channels_last)
    if start:
        model.load_state_dict(torch.load(start, map_location=device))
    average = copy.deepcopy(model).requires_grad_(False)
    head = [p for name, p in model.named_parameters() if not name.startswith(("blocks", "stem"))]
    body = [p for name, p in model.named_parameters() if name.startswith(("blocks", "stem"))]
    groups = [{"params": head, "lr": rate, "base": rate}, {"params": body, "lr": rate / 5, "base": rate / 5}]
    optimiser = torch.optim.AdamW(groups, weight_decay=0.02)
    steps, step = count // BATCH, 0
    partial = out.with_suffix(".partial")
    if partial.exists():
        saved = torch.load(partial, map_location=device)
        model.load_state_dict(saved["model"])
        average.load_state_dict(saved["average"])
        optimiser.load_state_dict(saved["optimiser"])
        step = saved["step"]
    samples = Samples(composer, first + step * BATCH, first + steps * BATCH)
    loader = DataLoader(samples, BATCH, num_workers=workers, prefetch_factor=3, worker_init_fn=lambda _: cv2.setNumThreads(1))
    began, running = time.time(), None
    for boxed, target, weight, failing in loader:
        for group in optimiser.param_groups:
            group["lr"] = group["base"] * learning_rate(step, steps)
        with torch.autocast(device, torch.bfloat16):
            logits = model(normalised(boxed, device), frozen)
        loss = loss_of(logits, target.to(device), weight.to(device), failing.to(device).float())
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 5.0)
        optimiser.step()
        step += 1
        keep = min(0.99, 1 - 1 / (step + 1))
        with torch.no_grad():
            torch._foreach_lerp_(list(average.parameters()), list(model.parameters()), 1 - keep)
            running = loss.detach() if running is None else 0.97 * running + 0.03 * loss.detach()
        if step % 25 == 0:
            speed = 25 * BATCH / (time.time() - began)
            print(json.dumps({"step": step, "of": steps, "loss": round(running.item(), 4), "per_s": round(speed, 1)}), flush=True)
            began = time.time()
        if step % 100 == 0:
            state = {"model": model.state_dict(), "average": average.state_dict()}
            torch.save(state | {"optimiser": optimiser.state_dict(), "step": step}, partial)
    torch.save(average.state_dict(), out)
    partial.unlink(missing_ok=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--failing-from", choices=("free", "all"), required=True)
    parser.add_argument("--samples", type=int, required=True)
    parser.add_argument("--frozen", type=int, default=3, help="stages of the features that stay as they are")
    parser.add_argument("--start", type=Path, help="weights to start from")
    parser.add_argument("--renders", type=Path, help="folder of rendered training scenes")
    parser.add_argument("--first", type=int, default=0, help="number of the first sample")
    parser.add_argument("--rate", type=float, default=1e-3)
    parser.add_argument("--workers", type=int, default=max(1, (os.cpu_count() or 2) - 1), help="processes that compose samples")
    a = parser.parse_args()
    torch.set_num_threads(2)
    train(a.data, a.out, a.failing_from, a.samples, a.frozen, a.start, a.renders, a.rate, a.first, a.workers)


if __name__ == "__main__":
    main()
