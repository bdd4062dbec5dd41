"""Writes the measured parts of the model card, `models/README.md`, between its markers."""

import argparse
import json
import re
from pathlib import Path

from settings import MODEL_NAME, MODELS

INT8, FP32 = f"{MODEL_NAME}-int8", MODEL_NAME
SHIPPED = {
    "free": "**Licences.** The shipped weights were trained with *failing* pictures from the two sources whose publishers state a "
    "free licence only. Training with all sources was better by no more than the 0.01 AUROC and 3 points of recall allowed for it.",
    "all": "**Licences.** The shipped weights were trained with failing pictures from *all* sources, some of which state no licence: "
    "training with the freely licensed ones alone lost more than the 0.01 AUROC or 3 points of recall allowed for it.",
}


def percent(value: float | None) -> str:
    return "–" if value is None else f"{100 * value:.1f} %"


def table(header: list[str], rows: list[list[str]]) -> list[str]:
    return [f"| {' | '.join(header)} |", "|" + " --- |" * len(header), *(f"| {' | '.join(row)} |" for row in rows), ""]


def licences(choice: dict) -> list[str]:
    """Which training ships, and by how much the two differ."""
    names = list(choice["free"])
    rows = [[n.replace("_", " "), f"{choice['free'][n]:.4f}", f"{choice['all'].get(n, float('nan')):.4f}"] for n in names]
    return [
        SHIPPED[choice["chosen"]],
        "",
        *table(["figure (fp32)", "freely licensed failing pictures", "all failing pictures"], rows),
    ]


def with_interval(found: dict, name: str) -> str:
    value = f"{found[name]:.4f}"
    bounds = found.get(f"{name}_interval")
    return f"{value} ({bounds[0]:.3f} to {bounds[1]:.3f})" if bounds else value


def overall(reports: dict) -> list[str]:
    """The main figures of both kinds, by part."""
    kinds = ("auroc", "average_precision", "recall_at_0", "recall_at_1", "recall_at_5")
    parts = {"dev": "dev, all", "snu": "dev, snu", "dev_without_snu": "dev without snu", "staged_webcams": "staged webcams"}
    parts |= {"drawn_scenes": "drawn scenes", "rendered": "rendered scenes"}
    rows = []
    for part, title in parts.items():
        for model in (INT8, FP32):
            found = reports[model].get(part)
            if found:
                counts = f"{found['failing']} / {found['good']}"
                rows.append([title, model, counts, *(with_interval(found, kind) for kind in kinds)])
    header = ["pictures", "model", "failing / good", "AUROC", "AP", "recall at 0 % FP", "recall at 1 % FP", "recall at 5 % FP"]
    return table(header, rows)


def breakdown(found: dict, title: str) -> list[str]:
    """Recall and false positives at the alert point, by source or by view."""
    rows = [
        [name, str(v["failing"]), percent(v["recall"]), str(v["good"]), percent(v["false_positives"])] for name, v in found.items()
    ]
    return table([title, "failing", "recall", "good", "false positives"], rows)


def areas(found: dict, title: str) -> list[str]:
    """Recall on rendered scenes by the share of the picture that the tangle covers."""
    bands = {"1_percent_and_more": "≥ 1 %", "0.3_to_1_percent": "0.3 to 1 %", "below_0.3_percent": "< 0.3 %"}
    cells = [f"{percent(found[b]['recall'])} of {found[b]['count']}" for b in bands]
    return [title, f"{found['threshold']:.2f}", *cells, percent(found["false_positives"])]


def figures(reports: dict, speed: dict) -> list[str]:
    """Everything measured."""
    main = reports[INT8]
    lines = [
        f"Alert point: {main['alert_point']:.2f} ({INT8}), {reports[FP32]['alert_point']:.2f} ({FP32}).",
        "",
        *overall(reports),
    ]
    webcam = main["snu_at_webcam_threshold"]
    lines += [
        f"- snu with the threshold from the webcam goods of dev ({webcam['threshold']:.3f}): recall {percent(webcam['recall'])}, "
        f"false positives {percent(webcam['false_positives'])}.",
        f"- Webcam goods (dev and fold, {main['webcam_goods']['good']} frames) above the alert point: "
        f"{percent(main['webcam_goods']['false_positives'])}; most alarms in one good sequence: {main['worst_good_sequence_alarms']}.",
        f"- Staged webcams at the alert point: recall {percent(main['staged_webcams']['at_alert_point']['recall'])}, "
        f"false positives {percent(main['staged_webcams']['at_alert_point']['false_positives'])}.",
        f"- Peak of the map inside a labelled box (failing pictures of dev found, with boxes): {percent(main['peak_in_labelled_box'])}.",
        f"- Expected calibration error on dev: {main['calibration_error']:.3f}; with tables fitted without the pictures "
        f"they are applied to (five folds by group): {main['calibration_error_crossed']:.3f}.",
        "",
        f"At the alert point, {INT8}:",
        "",
        *breakdown(main["dev_at_alert_point_by_source"], "source"),
        *breakdown(main["dev_at_alert_point_by_view"], "view"),
    ]
    if "rendered" in main:
        header = ["rendered scenes, threshold", "score above", "tangle ≥ 1 %", "0.3 to 1 %", "< 0.3 %", "false positives"]
        rows = [
            areas(main["rendered_at_1_percent"], "1 % of the look-alikes"),
            areas(main["rendered_at_alert_point"], "alert point"),
        ]
        lines += table(header, rows)
    lines += ["Reliability on dev (good and failing pictures weighing the same, crossed tables):", ""]
    bins = [
        [f"{b['from']:.1f}–{b['from'] + 0.1:.1f}", str(b["count"]), f"{b['said']:.3f}", f"{b['was']:.3f}"]
        for b in main["reliability"]
    ]
    lines += table(["probability", "pictures", "said", "was"], bins)
    lines += ["Time of one inference (ONNX Runtime on the CPU, no spinning; best and median wall time, mean CPU time):", ""]
    rows = [[name, *(f"{v[k]:.1f} ms" for k in ("best_ms", "wall_ms", "cpu_ms"))] for name, v in speed["times"].items()]
    lines += table(["model, frame, threads", "best", "median", "CPU"], rows)
    times = ", ".join(f"{ratio:.0f} times for {shape}" for shape, ratio in speed["cpu_ratio_yolo_v2_to_int8"].items())
    lines.append(f"The CPU time of {INT8} goes into that of a 416 × 416 YOLOv2 {times} (one thread, one run).")
    return lines


def fill(card: str, name: str, lines: list[str]) -> str:
    """Replace what stands between the markers of a name."""
    pattern = re.compile(rf"(<!-- {name}: by train/card.py -->\n).*?(\n<!-- end -->)", re.DOTALL)
    if not pattern.search(card):
        raise SystemExit(f"models/README.md has no place for {name}")
    body = "\n".join(lines).rstrip()
    return pattern.sub(lambda match: match[1] + body + match[2], card)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("report", type=Path)
    parser.add_argument("speed", type=Path)
    parser.add_argument("choice", type=Path)
    a = parser.parse_args()
    path = MODELS / "README.md"
    card = fill(path.read_text(), "licences", licences(json.loads(a.choice.read_text())))
    card = fill(card, "figures", figures(json.loads(a.report.read_text()), json.loads(a.speed.read_text())))
    path.write_text(card)


if __name__ == "__main__":
    main()
