"""The network of the example: two convolutions. `train.py` and the workflow build it by this same function."""

from torch import nn


def build(shape, classes, *, width=32):
    """A fresh module for images of `shape` (channels, height, width)."""
    return nn.Sequential(
        nn.Conv2d(shape[0], width, 3, padding=1),
        nn.BatchNorm2d(width),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(width, width, 3, padding=1),
        nn.BatchNorm2d(width),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(width * (shape[1] // 2) * (shape[2] // 2), classes),
    )
