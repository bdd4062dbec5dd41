"""Writes the manifest, the report and the figures of the model card from what was measured."""

import argparse
import hashlib
import json
import tomllib
from pathlib import Path

import calibrate
import infer
import report
import scoring
from assess import read_rows
from preprocess import read_picture
from settings import BOX_THRESHOLD, HEIGHT, INPUT_NAME, MEAN, MODEL_NAME, MODELS, OUTPUT_NAME, PAD, STD, STRIDE, TOP_K, WIDTH

KINDS = {f"{MODEL_NAME}-int8": f"{MODEL_NAME}.int8.onnx", MODEL_NAME: f"{MODEL_NAME}.onnx"}
LICENCE = "MIT OR Apache-2.0 for the weights as trained here; features start from EfficientNet-Lite0 (Apache-2.0); pictures: see README.md"
SELF_TEST = "self-test.png"
START = "fine-tuned by models/train/run.sh from EfficientNet-Lite0 (ImageNet) with "
PROVENANCE = {
    "free": START
    + "failing pictures of stated free licences only, good pictures of every source but snu, drawn and rendered scenes",
    "all": START + "failing and good pictures of every source but snu, drawn and rendered scenes",
}


def toml_value(value) -> str:
    """A value in TOML (what JSON writes is TOML for all that occurs here, tables inside arrays left out)."""
    return json.dumps(value)


def toml_tables(name: str, values: dict) -> list[str]:
    """A table and its sub-tables."""
    plain = {k: v for k, v in values.items() if not isinstance(v, dict) and v is not None}
    lines = [f"[{name}]", *(f"{toml_key(k)} = {toml_value(v)}" for k, v in plain.items())]
    for key, value in values.items():
        if isinstance(value, dict):
            lines += toml_tables(f"{name}.{toml_key(key)}", value)
    return lines


def toml_key(key: str) -> str:
    return key if key.replace("_", "").replace("-", "").isalnum() else json.dumps(key)


def model_table(name: str, file: str, knots: dict, point: float, metrics: dict, provenance: str) -> list[str]:
    """One [[model]] of the manifest."""
    digest = hashlib.sha256((MODELS / file).read_bytes()).hexdigest()
    head = {"name": name, "file": file, "sha256": digest, "kind": "failure_map", "licence": LICENCE, "provenance": provenance}
    size = {"name": INPUT_NAME, "width": WIDTH, "height": HEIGHT, "layout": "nchw", "colour": "rgb"}
    values = {"resize": "letterbox", "pad": PAD, "mean": list(MEAN), "std": list(STD)}
    values["trim_bars"] = STRIDE if infer.Model(MODELS / file).trims else None
    rule = {"rule": "top_k_mean", "k": TOP_K, "box_threshold": BOX_THRESHOLD, "alert_point": point}
    return [
        "[[model]]",
        *(f"{k} = {toml_value(v)}" for k, v in head.items()),
        *toml_tables("model.input", size | values),
        *toml_tables("model.output", {"map": OUTPUT_NAME}),
        *toml_tables("model.score", rule),
        *toml_tables("model.calibration", knots),
        *(toml_tables("model.false_alarms", measured) if (measured := false_alarms(digest)) else ()),
        *toml_tables("model.metrics", metrics),
        "",
    ]


def false_alarms(digest: str) -> dict | None:
    """What each lift and threshold costs, as `strandwatch simulate --lifts` measured it with this very file, kept."""
    manifest = MODELS / "manifest.toml"
    known = tomllib.loads(manifest.read_text())["model"] if manifest.exists() else []
    return next((model.get("false_alarms") for model in known if model["sha256"] == digest), None)


def short(found: dict, self_test: float) -> dict:
    """The metrics that travel in the manifest."""
    kept = {
        "dev_auroc": found["dev"]["auroc"],
        "snu_auroc": found["snu"]["auroc"],
        "snu_recall_at_alert_point": found["snu_at_alert_point"]["recall"],
        "webcam_goods_false_positives": found["webcam_goods"]["false_positives"],
        "staged_webcams_auroc": found["staged_webcams"]["auroc"],
        "calibration_error_crossed": found["calibration_error_crossed"],
        "self_test_score": round(self_test, 4),
    }
    if "rendered" in found:
        kept["rendered_auroc"] = found["rendered"]["auroc"]
    return kept


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("rows_fp32", type=Path)
    parser.add_argument("rows_int8", type=Path)
    parser.add_argument("choice", type=Path, help="which training ships")
    parser.add_argument("report", type=Path)
    a = parser.parse_args()
    picture = read_picture(MODELS / SELF_TEST)
    default = f"{MODEL_NAME}-int8"
    lines = [
        "# Written by models/train/publish.py: change it there.",
        "schema = 1",
        f'default = "{default}"',
        f'self_test = "{SELF_TEST}"',
        "",
    ]
    chosen = json.loads(a.choice.read_text())["chosen"]
    reports = {}
    for (name, file), rows_file in zip(KINDS.items(), (a.rows_int8, a.rows_fp32), strict=True):
        rows = read_rows(rows_file)
        knots = calibrate.table(calibrate.fit(calibrate.calibration_rows(rows)))
        point = calibrate.alert_point(rows)
        reports[name] = report.report(rows, knots, point)
        found, place = infer.Model(MODELS / file).failure_map(picture)
        self_test = scoring.score(found, place.cells())
        if self_test <= point:
            raise SystemExit(f"{name}: the self-test picture scores {self_test:.3f}, not above the alert point {point}")
        lines += model_table(name, file, knots, point, short(reports[name], self_test), PROVENANCE[chosen])
    (MODELS / "manifest.toml").write_text("\n".join(lines))
    a.report.write_text(json.dumps(reports, indent=1) + "\n")


if __name__ == "__main__":
    main()
