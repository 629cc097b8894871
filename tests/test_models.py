"""Networks: their sizes against the papers', and what they make of an image."""

import literal
import pytest
import torch

from amun_steps.training.stack import build

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


def test_a_small_resnet_is_its_layers_one_after_the_other():
    """With and without a projection, from the tensors of its file."""
    network = {"width": 4, "strides": [1, 2], "stem_stride": 2}
    module = build({"name": "small_resnet", "shape": [1, 8, 8], "classes": 10, **network})
    images = torch.rand(6, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    module.train()(images)  # moves the running statistics
    expected = literal.small_resnet(module.state_dict(), images, network["stem_stride"], network["strides"])
    torch.testing.assert_close(module.eval()(images), expected)


def test_without_pooling_the_dense_layer_sees_every_position():
    network = {"name": "small_resnet", "width": 4, "strides": [2], "stem_stride": 2, "pooled": False}
    module = build(network | {"shape": [1, 8, 8], "classes": 10})
    assert module(torch.rand(2, 1, 8, 8)).shape == (2, 10)
    assert module[-1].in_features == 8 * 2 * 2


@pytest.mark.parametrize("batch_norm", [True, False])
def test_resnet18_s_last_maps_of_a_cifar_image_are_4x4(batch_norm):
    """A stem of stride 1 and no max-pooling leave 32, 16, 8, 4 (He et al., for CIFAR)."""
    seen = []
    with torch.device("meta"):
        module = build({"name": "resnet18", "shape": [3, 32, 32], "classes": 10, "batch_norm": batch_norm})
        module.layer4.register_forward_hook(lambda *found: seen.append(found[2].shape))
        module(torch.rand(2, 3, 32, 32))
    assert seen == [(2, 512, 4, 4)]
    assert any("bn" in name for name, _ in module.named_parameters()) == batch_norm
