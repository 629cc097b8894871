"""Networks: their sizes against the papers', and what they make of an image."""

import pytest
import torch

from amun_steps.stack import build

VGG19 = [[64, 64], [128, 128], [256] * 4, [512] * 4, [512] * 4]


@pytest.mark.parametrize(("network", "shape", "classes", "parameters"), [
    # the numbers that are published for CIFAR-10's ResNet-18, and VGG19's features plus its one dense layer
    ({"name": "resnet18"}, [3, 32, 32], 10, 11_173_962),
    ({"name": "vgg", "stages": VGG19}, [3, 64, 64], 200, 20_035_392 + 200 * 512 * 2 * 2 + 200),
])  # fmt: skip
def test_a_network_has_the_papers_size(network, shape, classes, parameters):
    with torch.device("meta"):
        module = build(network | {"shape": shape, "classes": classes})
        assert module(torch.rand(2, *shape)).shape == (2, classes)
    assert sum(p.numel() for p in module.parameters()) == parameters


def test_vgg_of_torchvision_s_layers():
    """The same features as torchvision's, with the same tensors in the same places."""
    from torchvision.models import vgg19_bn

    with torch.device("meta"):
        ours = build({"name": "vgg", "stages": VGG19, "shape": [3, 64, 64], "classes": 200})
        theirs = vgg19_bn().features
    shapes = [tuple(p.shape) for p in ours.parameters()][:-2]
    assert shapes == [tuple(p.shape) for p in theirs.parameters()]


def test_vgg_with_more_poolings_than_the_image_has_pixels_says_so():
    with pytest.raises(ValueError, match=r"stages: found 4, too many for images of 8x8 pixels"):
        build({"name": "vgg", "stages": [[2]] * 4, "shape": [1, 8, 8], "classes": 10})
