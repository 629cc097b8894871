"""A small residual network with batch normalisation, the paper's architecture in miniature (He et al., 2016)."""

import math
from collections.abc import Callable, Sequence

from pydantic import PositiveInt
from torch import Tensor, nn
from torch.nn import functional as F


class Block(nn.Module):
    """The basic residual block: two 3x3 convolutions and a shortcut, projected where the shape changes."""

    def __init__(self, inputs: int, outputs: int, stride: int, norm: Callable[[int], nn.Module]):
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.norm1 = norm(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.norm2 = norm(outputs)
        self.shortcut = nn.Identity()
        if stride != 1 or inputs != outputs:
            self.shortcut = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), norm(outputs))

    def forward(self, x: Tensor) -> Tensor:
        out = F.relu(self.norm1(self.conv1(x)))
        return F.relu(self.norm2(self.conv2(out)) + self.shortcut(x))


def build(
    shape: Sequence[int],
    classes: int,
    *,
    width: PositiveInt,
    strides: list[PositiveInt],
    stem_stride: PositiveInt,
    batch_norm: bool = True,
    pooled: bool = True,
) -> nn.Module:
    """A 3x3 stem with `width` channels, one block per entry of `strides` (a block with stride s multiplies the channels
    by s), average pooling and a dense layer.

    Clipping is for networks without `batch_norm`, whose scales undo it. Not `pooled`, the dense layer sees every
    position: an average of them is so small that a network of clipped layers cannot learn from it.
    """
    norm = nn.BatchNorm2d if batch_norm else nn.Identity
    layers: list[nn.Module] = [
        nn.Conv2d(shape[0], width, 3, stem_stride, 1, bias=False),
        norm(width),
        nn.ReLU(),
    ]
    for stride in strides:
        layers.append(Block(width, width * stride, stride, norm))
        width *= stride
    height, breadth = (math.ceil(size / (stem_stride * math.prod(strides))) for size in shape[1:])
    layers += [nn.AdaptiveAvgPool2d(1), nn.Flatten()] if pooled else [nn.Flatten()]
    return nn.Sequential(*layers, nn.Linear(width if pooled else width * height * breadth, classes))
