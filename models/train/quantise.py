"""The INT8 form of an ONNX model: 8 bits for what flows, 7 for the weights, biases that make up for the rounding.

Processors with AVX2 and no VNNI add pairs of products in 16 bits, which overflow with weights of 8 bits: the same file
would score otherwise there. With 7 bits every processor computes the same integers.
"""

import tempfile
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization import CalibrationDataReader, CalibrationMethod, QuantFormat, QuantType, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process

import data
from augment import Composer
from preprocess import letterbox, normalise, read_picture
from settings import INPUT_NAME, OUTPUT_NAME, SEED

CALIBRATION_PICTURES = 160


class CalibrationFrames(CalibrationDataReader):
    """Training pictures as they come, and training samples as augmented, in equal parts."""

    def __init__(self, pictures: list[data.Picture]):
        rng = np.random.default_rng(SEED)
        composer = Composer(pictures, [])
        half = CALIBRATION_PICTURES // 2
        chosen = rng.choice(len(pictures), half, replace=False)
        frames = [letterbox(read_picture(pictures[i].path))[0] for i in chosen]
        frames += [composer.sample(rng).boxed for _ in range(half)]
        self.frames = frames
        self.rewind()

    def rewind(self) -> None:
        """Begin anew."""
        self.left = iter(self.frames)

    def get_next(self) -> dict[str, np.ndarray] | None:
        frame = next(self.left, None)
        return None if frame is None else {INPUT_NAME: normalise(frame)[None]}


def quantise(fp32: Path, int8: Path, pictures: list[data.Picture]) -> None:
    """Static INT8 (quantise-dequantise pairs, a scale for each output channel)."""
    frames = CalibrationFrames(pictures)
    with tempfile.TemporaryDirectory() as scratch:
        prepared = Path(scratch) / "prepared.onnx"
        quant_pre_process(str(fp32), str(prepared), skip_symbolic_shape=True)
        quantize_static(
            str(prepared),
            str(int8),
            frames,
            quant_format=QuantFormat.QDQ,
            per_channel=True,
            reduce_range=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            calibrate_method=CalibrationMethod.MinMax,
            nodes_to_exclude=["cell.conv", OUTPUT_NAME],
            extra_options={"CalibMovingAverage": True, "CalibMovingAverageConstant": 0.05},
        )
    frames.rewind()
    exact, rounded = onnx.load(fp32), onnx.load(int8)
    correct_biases(exact, rounded, input_means(exact, frames))
    onnx.save(rounded, int8)


def input_means(model: onnx.ModelProto, frames: CalibrationFrames) -> dict[str, np.ndarray]:
    """What flows into each convolution, channel by channel, on average."""
    inputs = sorted({node.input[0] for node in model.graph.node if node.op_type == "Conv"})
    watched = onnx.ModelProto()
    watched.CopyFrom(model)
    inner = [name for name in inputs if name != INPUT_NAME]
    watched.graph.output.extend(helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in inner)
    session = onnxruntime.InferenceSession(watched.SerializeToString(), providers=["CPUExecutionProvider"])
    seen: dict[str, list[np.ndarray]] = {name: [] for name in inputs}
    while (frame := frames.get_next()) is not None:
        for name, values in zip([INPUT_NAME, *inner], [frame[INPUT_NAME], *session.run(inner, frame)], strict=True):
            seen[name].append(values.mean((0, 2, 3)))
    return {name: np.mean(values, axis=0) for name, values in seen.items()}


def correct_biases(exact: onnx.ModelProto, rounded: onnx.ModelProto, means: dict[str, np.ndarray]) -> None:
    """Add to each bias what the rounding of the weights takes from the output on average.

    Nagel et al., "Data-Free Quantization Through Weight Equalization and Bias Correction", ICCV 2019, section 4.2.
    """
    convolutions = {node.name: node for node in exact.graph.node if node.op_type == "Conv"}
    weights = {constant.name: constant for constant in exact.graph.initializer}
    constants = {constant.name: constant for constant in rounded.graph.initializer}
    maker = {output: node for node in rounded.graph.node for output in node.output}

    def value(name: str) -> np.ndarray:
        return numpy_helper.to_array(constants[name])

    for node in rounded.graph.node:
        if node.op_type != "Conv" or node.input[1] not in maker:
            continue
        conv = convolutions[node.name]
        stored, scale = maker[node.input[1]].input[:2]
        kept = value(stored).astype(np.float32) * value(scale).reshape(-1, 1, 1, 1)
        lost = (numpy_helper.to_array(weights[conv.input[1]]) - kept).sum((2, 3))
        mean = means[conv.input[0]]
        shift = (lost * mean[:, None])[:, 0] if lost.shape[1] == 1 else lost @ mean
        stored, scale = maker[node.input[2]].input[:2]
        bias = value(stored) + np.round(shift / value(scale)).astype(np.int32)
        constants[stored].CopyFrom(numpy_helper.from_array(bias, stored))
