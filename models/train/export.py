"""Writes the network as an ONNX graph of plain operators, and its INT8 form.

The graph is put together node by node: convolutions with their scale folded in and their padding inside
(asymmetric where the stride is two), Clip, Add, Resize and Sigmoid. ONNX Runtime's CPU provider fuses
Conv with Clip; XNNPACK takes every one of these operators.
"""

import argparse
from pathlib import Path

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper

import calibrate
import data
from assess import read_rows
from network import Block, FailureMap, ScaledConv
from quantise import quantise
from settings import INPUT_NAME, OUTPUT_NAME

OPSET = 17


class Graph:
    """ONNX nodes and constants under construction."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []
        self.constant("zero", np.float32(0))
        self.constant("six", np.float32(6))

    def constant(self, name: str, value: np.ndarray) -> str:
        self.constants.append(numpy_helper.from_array(np.asarray(value), name))
        return name

    def node(self, kind: str, inputs: list[str], output: str, **attributes) -> str:
        self.nodes.append(helper.make_node(kind, inputs, [output], name=output, **attributes))
        return output

    def conv(self, layer: ScaledConv, x: str, name: str) -> str:
        """A convolution with its scale folded in, clamped where the layer is."""
        weight = (layer.weight * layer.scale[:, None, None, None]).detach().numpy()
        kernel = weight.shape[-1]
        after = layer.padding
        before = (2 * after - 1) // 2 if layer.stride == 2 and after else after
        inputs = [x, self.constant(f"{name}.weight", weight), self.constant(f"{name}.bias", layer.bias.detach().numpy())]
        shape = {"kernel_shape": [kernel] * 2, "strides": [layer.stride] * 2, "pads": [before] * 2 + [after] * 2}
        y = self.node("Conv", inputs, f"{name}.conv", group=layer.groups, **shape)
        return self.node("Clip", [y, "zero", "six"], f"{name}.clip") if layer.clamp else y

    def block(self, block: Block, x: str, name: str) -> str:
        y = self.conv(block.expand, x, f"{name}.expand") if block.expand else x
        y = self.conv(block.depthwise, y, f"{name}.depthwise")
        y = self.conv(block.project, y, f"{name}.project")
        return self.node("Add", [x, y], f"{name}.add") if block.residual else y


def temper(network: FailureMap, slope: float, offset: float) -> None:
    """Scale and shift the last layer so that a score of 0.5 means even odds, and scores near what they are worth."""
    with torch.no_grad():
        network.cell.weight.mul_(slope)
        network.cell.bias.mul_(slope).add_(offset)


def build(network: FailureMap) -> onnx.ModelProto:
    """The network as an ONNX model from normalised frame to probabilities."""
    graph = Graph()
    x = graph.conv(network.stem, INPUT_NAME, "stem")
    taps = {}
    for i, block in enumerate(network.blocks):
        x = graph.block(block, x, f"block{i}")
        taps[i + 1] = x
    fine = graph.conv(network.fine, taps[network.stages[2]], "fine")
    middle = graph.conv(network.middle, taps[network.stages[4]], "middle")
    coarse = graph.conv(network.coarse, taps[network.stages[6]], "coarse")
    scales = graph.constant("twice", np.array([1, 1, 2, 2], np.float32))
    nearest = {"mode": "nearest", "coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
    coarse = graph.node("Resize", [coarse, "", scales], "coarse.up", **nearest)
    x = graph.node("Add", [fine, middle], "join.fine")
    x = graph.node("Add", [x, coarse], "join.coarse")
    for i, layer in enumerate(network.mix):
        x = graph.conv(layer, x, f"mix{i}")
    weight = graph.constant("cell.weight", network.cell.weight.detach().numpy())
    bias = graph.constant("cell.bias", network.cell.bias.detach().numpy())
    x = graph.node("Conv", [x, weight, bias], "cell.conv", kernel_shape=[1, 1])
    graph.node("Sigmoid", [x], OUTPUT_NAME)
    # Sizes are left open: bars need not go through the network.
    frame = helper.make_tensor_value_info(INPUT_NAME, TensorProto.FLOAT, [1, 3, "height", "width"])
    output = helper.make_tensor_value_info(OUTPUT_NAME, TensorProto.FLOAT, [1, 1, "rows", "columns"])
    body = helper.make_graph(graph.nodes, "strandwatch-s", [frame], [output], graph.constants)
    model = helper.make_model(body, opset_imports=[helper.make_opsetid("", OPSET)], producer_name="strandwatch")
    model.ir_version = 9
    onnx.checker.check_model(model, full_check=True)
    return model


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("weights", type=Path)
    parser.add_argument("fp32", type=Path)
    parser.add_argument("--int8", type=Path)
    parser.add_argument("--failing-from", choices=("free", "all"), default="all", help="whose failing pictures set the INT8 ranges")
    parser.add_argument("--temper-by", type=Path, help="rows of the same weights, untempered")
    a = parser.parse_args()
    network = FailureMap()
    network.load_state_dict(torch.load(a.weights, map_location="cpu"))
    if a.temper_by:
        temper(network, *calibrate.fit_log_odds(calibrate.calibration_rows(read_rows(a.temper_by))))
    onnx.save(build(network.eval()), str(a.fp32))
    if a.int8:
        quantise(a.fp32, a.int8, data.training(data.load(a.data), a.failing_from))


if __name__ == "__main__":
    main()
