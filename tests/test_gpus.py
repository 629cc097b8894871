"""What jobs cost on a GPU that is not here: operations by hand, and shares by receipts."""

import math
from dataclasses import replace

import pytest
import torch
from torch import nn
from toy import SMALL

from amun_steps.plan import cost, gpus
from amun_steps.plan.messages import ConfigError
from amun_steps.plan.work import Work
from amun_steps.store.addresses import canonical
from amun_steps.training.stack import build

H100 = gpus.GPUS["h100"]
VGG = {"name": "vgg", "stages": [[8, 8], [16]], "shape": [3, 8, 8], "classes": 10}


def context(network: dict = VGG, **more) -> str:
    return canonical({"network": network, "recipe": {"batch_size": 32, "precision": "float32"}, "models": 1} | more)


def products(network: dict) -> list[int]:
    """2 x multiplications of every convolution and linear map for one image, in order, by their own sizes."""
    found = []

    def look(module, inputs, output):
        if isinstance(module, nn.Conv2d):
            found.append(2 * output[0].numel() * module.in_channels * math.prod(module.kernel_size))
        elif isinstance(module, nn.Linear):
            found.append(2 * module.in_features * module.out_features)

    module = build(network).eval()
    for part in module.modules():
        part.register_forward_hook(look)
    module(torch.zeros(1, *network["shape"]))
    return found


def flops(what: str, **more) -> float:
    operations, batch, _ = gpus._operations(what, context(**more))
    return sum(operation.flops for operation in operations) / batch


@pytest.mark.parametrize("network", [VGG, SMALL], ids=["vgg", "resnet"])
def test_operations_are_those_of_the_maps(network):
    """Backward costs as much again for the inputs, and again for the weights; nobody asks for the images' own."""
    first, *others = products(network)
    forward = first + sum(others)
    assert flops("predict", network=network) == forward
    assert flops("attack", network=network) == 2 * forward
    assert flops("train", network=network) == 3 * forward - first


def test_trades_is_its_inner_steps_and_two_passes():
    trades = {"beta": 6.0, "epsilon": 0.1, "steps": 5, "step_size": 0.04}
    assert flops("train", trades=trades) == 5 * flops("attack") + 2 * flops("train")


def test_a_kernel_takes_the_longest_of_its_operations_its_bytes_and_its_start():
    wide = VGG | {"stages": [[256, 256], [512]]}
    for models in (1, 64):
        asked = context(wide, models=models)
        operations, batch, _ = gpus._operations("train", asked)
        by_hand = [
            max(models * o.flops / H100.float32, models * o.bytes / H100.bandwidth, gpus.LAUNCH) for o in operations
        ]
        assert gpus.seconds_at_most(H100, "train", asked) == pytest.approx(sum(by_hand) / batch / models)
        longest = {
            max(("flops", o.flops / H100.float32), ("bytes", o.bytes / H100.bandwidth), key=lambda kind: kind[1])[0]
            for o in operations
        }
        assert longest == {"flops", "bytes"}
    assert gpus.seconds_at_most(H100, "score", context()) is None


def test_half_the_bytes_move_in_bfloat16():
    half = context(recipe={"batch_size": 32, "precision": "bfloat16"})
    assert gpus.bytes_moved("train", half) == gpus.bytes_moved("train", context()) / 2 > 0
    operations, batch, _ = gpus._operations("train", context())
    assert gpus.bytes_moved("train", context()) == sum(operation.bytes for operation in operations) / batch
    assert batch == 32
    assert gpus.bytes_moved("svm", context()) == 0
    wide, recipe = VGG | {"stages": [[512, 512], [512]]}, {"batch_size": 32, "precision": "bfloat16"}
    single, half = context(wide, models=64), context(wide, models=64, recipe=recipe)
    ratio = gpus.seconds_at_most(H100, "train", single) / gpus.seconds_at_most(H100, "train", half)
    assert 1.5 < ratio < 2.01


def test_an_unknown_gpu_is_named_with_what_is_known():
    with pytest.raises(ConfigError, match=r"--gpu: found 'h10', expected one of .*h100"):
        gpus.known_gpu("h10")


def test_receipts_of_the_gpu_say_what_share_is_reached():
    """Work that took 5 times its least is a share of 20%; receipts of another device say nothing of it."""
    work = Work((("train", 1000), ("predict", 50)), context(), 0)
    least = sum(count * gpus.seconds_at_most(H100, what, context()) for what, count in work.counts)
    here = cost.Cost(5 * least, 0, "receipts, NVIDIA H100 80GB HBM3")
    other, scored = replace(here, source="receipts, NVIDIA A100"), Work((("score", 3),), context(), 0)
    assert cost._reached(H100, {}) == gpus.SHARE
    assert cost._reached(H100, {("a", work): [other], ("b", scored): [here], ("c", None): [here]}) == gpus.SHARE
    assert cost._reached(H100, {("a", work): [here, here, other]}) == pytest.approx(0.2)
    found = cost._counted(work, H100, 0.2)
    assert found.seconds == pytest.approx(5 * least)
    assert found.source == "counted, H100 at 20% of what it can do"
    assert cost._is_on(H100, here)
    assert not any(
        cost._is_on(gpus.GPUS[name], replace(here, source=f"receipts, NVIDIA {other}"))
        for name, other in (("a100", "A1000"), ("h200", "GH200 480GB"))
    )
    assert found.moved == pytest.approx(
        1000 * gpus.bytes_moved("train", context()) + 50 * gpus.bytes_moved("predict", context())
    )
