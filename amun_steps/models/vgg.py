"""VGG networks with batch normalisation (Simonyan & Zisserman, 2014)."""

from collections.abc import Sequence

from pydantic import PositiveInt
from torch import nn


def build(shape: Sequence[int], classes: int, *, stages: list[list[PositiveInt]]) -> nn.Module:
    """3x3 convolutions with the channels of each of `stages`, a 2x2 max-pooling after each stage, one dense layer.

    VGG19 is [[64, 64], [128, 128], [256] * 4, [512] * 4, [512] * 4]; on 64x64 images its dense layer sees 512x2x2.
    Initialised as torchvision's VGG. Raises ValueError for images that the poolings leave nothing of.
    """
    channels, height, width = shape
    size = (height >> len(stages)) * (width >> len(stages))
    if not size:
        raise ValueError(f"stages: found {len(stages)}, too many for images of {height}x{width} pixels")
    layers: list[nn.Module] = []
    for stage in stages:
        for outputs in stage:
            layers += [nn.Conv2d(channels, outputs, 3, padding=1), nn.BatchNorm2d(outputs), nn.ReLU()]
            channels = outputs
        layers.append(nn.MaxPool2d(2))
    network = nn.Sequential(*layers, nn.Flatten(), nn.Linear(channels * size, classes))
    for module in network:
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
            nn.init.zeros_(module.bias)
        elif isinstance(module, nn.Linear):
            nn.init.normal_(module.weight, 0, 0.01)
            nn.init.zeros_(module.bias)
    return network
