"""ResNet-18 with the stem that is usual for CIFAR: a 3x3 convolution of stride 1, no max-pooling (He et al., 2016)."""

from collections.abc import Sequence

from torch import nn
from torchvision.models import resnet18


def build(shape: Sequence[int], classes: int, *, batch_norm: bool = True) -> nn.Module:
    """The network in torchvision's standard initialisation."""
    network = resnet18(num_classes=classes, norm_layer=nn.BatchNorm2d if batch_norm else nn.Identity)
    network.conv1 = nn.Conv2d(shape[0], 64, 3, 1, 1, bias=False)
    nn.init.kaiming_normal_(network.conv1.weight, mode="fan_out", nonlinearity="relu")
    network.maxpool = nn.Identity()
    return network
