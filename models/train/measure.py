"""Figures from scores: AUROC, average precision, recall at fixed false positives, calibration error."""

import numpy as np


def auroc(scores: np.ndarray, failing: np.ndarray) -> float:
    """Chance that a failing picture scores above a good one (ties count half)."""
    positive, negative = scores[failing], scores[~failing]
    if positive.size == 0 or negative.size == 0:
        return float("nan")
    order = np.sort(negative)
    below = np.searchsorted(order, positive, side="left")
    not_above = np.searchsorted(order, positive, side="right")
    return float((below + not_above).mean() / 2 / negative.size)


def average_precision(scores: np.ndarray, failing: np.ndarray) -> float:
    """Precision averaged over the failing pictures, in order of falling score."""
    order = np.argsort(-scores, kind="stable")
    hits = failing[order]
    precision = np.cumsum(hits) / np.arange(1, hits.size + 1)
    return float(precision[hits].mean()) if hits.any() else float("nan")


def threshold_at(good_scores: np.ndarray, rate: float) -> float:
    """The lowest threshold that at most `rate` of the good scores exceed (a score above it alarms)."""
    allowed = int(np.floor(rate * good_scores.size))
    return float(np.sort(good_scores)[::-1][allowed])


def recall_at(scores: np.ndarray, failing: np.ndarray, rate: float) -> float:
    """Share of failing pictures above the threshold that `rate` of the good ones exceed."""
    return float((scores[failing] > threshold_at(scores[~failing], rate)).mean())


def interval(figure, clusters: np.ndarray, *arrays: np.ndarray, rounds: int = 500, seed: int = 1) -> tuple[float, float]:
    """A 95 % bootstrap interval, drawing whole clusters (groups, sequences)."""
    rng = np.random.default_rng(seed)
    names, which = np.unique(clusters, return_inverse=True)
    members = [np.nonzero(which == i)[0] for i in range(names.size)]
    values = []
    for _ in range(rounds):
        rows = np.concatenate([members[i] for i in rng.integers(names.size, size=names.size)])
        values.append(figure(*(array[rows] for array in arrays)))
    low, high = np.nanquantile(values, (0.025, 0.975))
    return float(low), float(high)


def calibration_error(probability: np.ndarray, failing: np.ndarray, weight: np.ndarray, bins: int = 10) -> float:
    """Expected calibration error over equal-width bins, pictures weighted."""
    slot = np.minimum((probability * bins).astype(int), bins - 1)
    total, error = weight.sum(), 0.0
    for i in range(bins):
        here = slot == i
        if weight[here].sum() > 0:
            gap = np.average(probability[here], weights=weight[here]) - np.average(failing[here], weights=weight[here])
            error += weight[here].sum() / total * abs(gap)
    return float(error)
