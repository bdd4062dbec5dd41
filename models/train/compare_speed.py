"""CPU time of the shipped models for frames of two shapes beside a 416 x 416 YOLOv2 of random weights, in one run."""

import argparse
import json
import resource
import tempfile
import time
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

from preprocess import Placement

# Frames of webcams, and of wide ones.
FRAMES = {"4:3": (640, 480), "16:9": (1280, 720)}
# YOLOv2 up to where its early features are set aside, and from there on: (outputs, kernel), or "pool".
FIRST = ((32, 3), "pool", (64, 3), "pool", (128, 3), (64, 1), (128, 3), "pool", (256, 3), (128, 1), (256, 3), "pool",
         (512, 3), (256, 1), (512, 3), (256, 1), (512, 3))  # fmt: skip
SECOND = ("pool", (1024, 3), (512, 1), (1024, 3), (512, 1), (1024, 3), (1024, 3), (1024, 3))
SIDE = 416


class Layers:
    """A chain of convolutions with leaky activation."""

    def __init__(self) -> None:
        self.nodes, self.weights, self.rng = [], [], np.random.default_rng(0)

    def conv(self, x: str, inputs: int, outputs: int, kernel: int) -> str:
        name = f"conv{len(self.nodes)}"
        weight = self.rng.normal(0, (2 / (inputs * kernel**2)) ** 0.5, (outputs, inputs, kernel, kernel)).astype(np.float32)
        self.weights.append(numpy_helper.from_array(weight, f"{name}.weight"))
        self.weights.append(numpy_helper.from_array(np.zeros(outputs, np.float32), f"{name}.bias"))
        pads = [kernel // 2] * 4
        self.nodes.append(helper.make_node("Conv", [x, f"{name}.weight", f"{name}.bias"], [name], pads=pads))
        self.nodes.append(helper.make_node("LeakyRelu", [name], [f"{name}.leaky"], alpha=0.1))
        return f"{name}.leaky"

    def chain(self, x: str, inputs: int, layers: tuple) -> tuple[str, int]:
        for layer in layers:
            if layer == "pool":
                self.nodes.append(helper.make_node("MaxPool", [x], [f"pool{len(self.nodes)}"], kernel_shape=[2, 2], strides=[2, 2]))
                x = self.nodes[-1].output[0]
            else:
                x, inputs = self.conv(x, inputs, *layer), layer[0]
        return x, inputs


def yolo_v2() -> onnx.ModelProto:
    """YOLOv2 with one class and random weights."""
    layers = Layers()
    early, early_width = layers.chain("frame", 3, FIRST)
    late, late_width = layers.chain(early, early_width, SECOND)
    side = layers.conv(early, early_width, 64, 1)
    layers.nodes.append(helper.make_node("SpaceToDepth", [side], ["reorganised"], blocksize=2))
    layers.nodes.append(helper.make_node("Concat", ["reorganised", late], ["joined"], axis=1))
    x = layers.conv("joined", 256 + late_width, 1024, 3)
    x = layers.conv(x, 1024, 30, 1)
    frame = helper.make_tensor_value_info("frame", TensorProto.FLOAT, [1, 3, SIDE, SIDE])
    out = helper.make_tensor_value_info(x, TensorProto.FLOAT, [1, 30, 13, 13])
    model = helper.make_model(
        helper.make_graph(layers.nodes, "yolo-v2", [frame], [out], layers.weights), opset_imports=[helper.make_opsetid("", 17)]
    )
    model.ir_version = 9
    return model


def cpu_seconds() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def times(path: Path, width: int, height: int, threads: int, rounds: int) -> dict[str, float]:
    """Median wall time and mean CPU time of an inference, in milliseconds."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    feed = {"frame": np.random.default_rng(0).normal(size=(1, 3, height, width)).astype(np.float32)}
    for _ in range(3):
        session.run(None, feed)
    walls, began = [], cpu_seconds()
    for _ in range(rounds):
        start = time.perf_counter()
        session.run(None, feed)
        walls.append(time.perf_counter() - start)
    used = (cpu_seconds() - began) / rounds
    return {
        "wall_ms": round(1000 * float(np.median(walls)), 2),
        "best_ms": round(1000 * min(walls), 2),
        "cpu_ms": round(1000 * used, 2),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("fp32", type=Path)
    parser.add_argument("int8", type=Path)
    parser.add_argument("out", type=Path)
    a = parser.parse_args()
    taken = {}
    with tempfile.TemporaryDirectory() as scratch:
        yolo = Path(scratch) / "yolo-v2.onnx"
        onnx.save(yolo_v2(), str(yolo))
        for threads in (1, 2):
            of_threads = "1 thread" if threads == 1 else f"{threads} threads"
            for name, path, rounds in (("int8", a.int8, 60), ("fp32", a.fp32, 40)):
                for shape, size in FRAMES.items():
                    place = Placement.of(*size).trimmed()
                    took = times(path, place.input_width, place.input_height, threads, rounds)
                    taken[f"{name}, {shape}, {of_threads}"] = took
            taken[f"yolo v2, {of_threads}"] = times(yolo, SIDE, SIDE, threads, 8)
    ratios = {
        shape: round(taken["yolo v2, 1 thread"]["cpu_ms"] / taken[f"int8, {shape}, 1 thread"]["cpu_ms"], 1) for shape in FRAMES
    }
    a.out.write_text(json.dumps({"times": taken, "cpu_ratio_yolo_v2_to_int8": ratios}, indent=1) + "\n")


if __name__ == "__main__":
    main()
