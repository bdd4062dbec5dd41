"""All figures of one model, from its rows."""

import numpy as np

import calibrate
import measure
from assess import Row


def figures(rows: list[Row], clusters: bool = True) -> dict:
    """AUROC, average precision and recalls of a set of rows, with intervals by whole clusters."""
    scores, failing = np.array([r.score for r in rows]), np.array([r.failing for r in rows])
    found = {"failing": int(failing.sum()), "good": int((~failing).sum())}
    if failing.all() or not failing.any():
        return found
    names = np.array([r.cluster for r in rows])
    kinds = {
        "auroc": measure.auroc,
        "average_precision": measure.average_precision,
        "recall_at_0": lambda s, f: measure.recall_at(s, f, 0.0),
        "recall_at_1": lambda s, f: measure.recall_at(s, f, 0.01),
        "recall_at_5": lambda s, f: measure.recall_at(s, f, 0.05),
    }
    for name, kind in kinds.items():
        found[name] = round(kind(scores, failing), 4)
        if clusters:
            found[f"{name}_interval"] = [round(v, 4) for v in measure.interval(kind, names, scores, failing)]
    return found


def at(rows: list[Row], point: float) -> dict:
    """Recall and false positives at a threshold."""
    failing = [r.score > point for r in rows if r.failing]
    good = [r.score > point for r in rows if not r.failing]
    return {
        "failing": len(failing),
        "good": len(good),
        "recall": round(float(np.mean(failing)), 4) if failing else None,
        "false_positives": round(float(np.mean(good)), 4) if good else None,
    }


def by_area(rows: list[Row], point: float) -> dict:
    """Recall on true masks by how much of the picture the tangle covers, and false positives."""
    bands = {"1_percent_and_more": (0.01, 1.0), "0.3_to_1_percent": (0.003, 0.01), "below_0.3_percent": (1e-9, 0.003)}
    found = {"threshold": round(point, 4), **at([r for r in rows if not r.failing], point)}
    for name, (low, high) in bands.items():
        scores = [r.score for r in rows if r.failing and low <= r.area < high]
        found[name] = {"count": len(scores), "recall": round(float(np.mean(np.array(scores) > point)), 4) if scores else None}
    return found


def reliability(rows: list[Row], probability: np.ndarray) -> list[dict]:
    """Calibrated probability against what was so, in ten bins, good and failing weighing the same."""
    failing = np.array([r.failing for r in rows])
    weight = np.where(failing, 0.5 / failing.sum(), 0.5 / (~failing).sum())
    slot = np.minimum((probability * 10).astype(int), 9)
    bins = []
    for i in range(10):
        here = slot == i
        if here.any():
            said = np.average(probability[here], weights=weight[here])
            was = np.average(failing[here], weights=weight[here])
            bins.append({"from": i / 10, "count": int(here.sum()), "said": round(float(said), 4), "was": round(float(was), 4)})
    return bins


def report(rows: list[Row], knots: dict, point: float) -> dict:
    """The whole report of a model."""
    dev = [r for r in rows if r.part == "dev"]
    snu = [r for r in dev if r.source == "snu-hyungjungkim"]
    webcam_good = [r for r in dev if r.view == "webcam" and not r.failing]
    webcam_point = measure.threshold_at(np.array([r.score for r in webcam_good]), 0.01)
    boxed = [r.peak_in_box for r in dev if r.peak_in_box is not None and r.score > point]
    failing = np.array([r.failing for r in dev])
    weight = np.where(failing, 0.5 / failing.sum(), 0.5 / (~failing).sum())
    own, crossed = calibrate.probability(knots, np.array([r.score for r in dev])), calibrate.crossed_probability(rows)
    sequences: dict[str, list[float]] = {}
    for row in webcam_good + [r for r in rows if r.part == "fold"]:
        sequences.setdefault(row.cluster, []).append(row.score)
    rendered = [r for r in rows if r.part == "rendered"]
    found = {
        "alert_point": point,
        "dev": figures(dev),
        "dev_without_snu": figures([r for r in dev if r.source != "snu-hyungjungkim"]),
        "snu": figures(snu),
        "snu_at_alert_point": at(snu, point),
        "snu_at_webcam_threshold": {"threshold": round(webcam_point, 4), **at(snu, webcam_point)},
        "dev_at_alert_point_by_source": {s: at([r for r in dev if r.source == s], point) for s in sorted({r.source for r in dev})},
        "dev_at_alert_point_by_view": {v: at([r for r in dev if r.view == v], point) for v in sorted({r.view for r in dev})},
        "webcam_goods": at(webcam_good + [r for r in rows if r.part == "fold"], point),
        "worst_good_sequence_alarms": max(sum(s > point for s in scores) for scores in sequences.values()),
        "staged_webcams": figures([r for r in rows if r.part == "staged"])
        | {"at_alert_point": at([r for r in rows if r.part == "staged"], point)},
        "drawn_scenes": figures([r for r in rows if r.part == "drawn"])
        | {"at_alert_point": at([r for r in rows if r.part == "drawn"], point)},
        "peak_in_labelled_box": round(float(np.mean(boxed)), 4),
        "calibration_error": round(measure.calibration_error(own, failing, weight), 4),
        "calibration_error_crossed": round(measure.calibration_error(crossed, failing, weight), 4),
        "reliability": reliability(dev, crossed),
    }
    if rendered:
        look_alikes = np.array([r.score for r in rendered if not r.failing])
        found["rendered"] = figures(rendered, clusters=False)
        found["rendered_at_1_percent"] = by_area(rendered, measure.threshold_at(look_alikes, 0.01))
        found["rendered_at_alert_point"] = by_area(rendered, point)
    return found
