"""Networks of torchvision and timm, and pixels that are normalised: shapes, stacks, what is refused."""

import importlib.util
import re
import sys
from types import ModuleType

import pytest
import torch
from test_config import changed
from torch import nn
from torchvision import models as theirs
from toy import CPU, SMALL, images, models, recipe

from amun_steps.plan import views
from amun_steps.plan.messages import ConfigError
from amun_steps.plan.networks import try_networks
from amun_steps.store.step import InputError
from amun_steps.training.fit import fit
from amun_steps.training.recipe import Member, Samples, Schedule
from amun_steps.training.stack import Stack, build, initialise, load, save, skeleton


def torchvision(model: str, shape=(1, 32, 32), classes: int = 10, **parameters) -> dict:
    return {
        "name": "torchvision",
        "model": model,
        "parameters": parameters,
        "shape": list(shape),
        "classes": classes,
    }


FAMILIES = [
    torchvision("alexnet", (1, 64, 64)),
    torchvision("convnext_tiny"),
    torchvision("densenet121"),
    torchvision("efficientnet_b0"),
    torchvision("googlenet"),
    torchvision("inception_v3", (1, 75, 75)),
    torchvision("maxvit_t", (1, 224, 224)),
    torchvision("mnasnet0_5"),
    torchvision("mobilenet_v2"),
    torchvision("mobilenet_v3_small"),
    torchvision("regnet_y_400mf"),
    torchvision("resnet18"),
    torchvision("shufflenet_v2_x0_5"),
    torchvision("squeezenet1_1"),
    torchvision("swin_v2_t"),
    torchvision("vgg11_bn"),
    torchvision("vit_b_16", image_size=32),
]


@pytest.mark.parametrize("network", FAMILIES, ids=lambda network: network["model"])
def test_a_torchvision_model_has_the_classes_and_channels_that_it_is_told(network):
    wanted = network | {"shape": [4, *network["shape"][1:]], "classes": 7}
    assert skeleton(wanted)(torch.empty(2, *wanted["shape"], device="meta")).shape == (2, 7)


def test_the_families_are_all_of_torchvision_s():
    """A family is a module of torchvision."""
    there = {theirs.get_model_builder(name).__module__ for name in theirs.list_models(module=theirs)}
    assert {theirs.get_model_builder(network["model"]).__module__ for network in FAMILIES} == there


def test_a_torchvision_model_is_torchvision_s():
    """Initialised as there; for a grey image the first convolution has the filters of red."""
    torch.manual_seed(0)
    there = theirs.mobilenet_v3_small(num_classes=7, dropout=0.1).state_dict()
    for channels in (3, 1):
        torch.manual_seed(0)
        here = build(torchvision("mobilenet_v3_small", (channels, 8, 8), 7, dropout=0.1))
        expected = there | {"features.0.0.weight": there["features.0.0.weight"][:, :channels]}
        assert all(torch.equal(tensor, expected[name]) for name, tensor in here.state_dict().items())
        assert here.classifier[2].p == 0.1


@pytest.mark.parametrize("drawing", [True, False])
def test_stochastic_depth_is_known_to_draw(drawing):
    network = torchvision("efficientnet_b0", dropout=0.0, stochastic_depth_prob=0.2 * drawing)
    assert initialise(network, [0], CPU).random == drawing


def learn(index, labels, seed) -> Member:
    samples = Samples.of(index, labels[index])
    return Member(lambda *_: [samples], Schedule(0.01), seed)


@pytest.fixture
def doubles():
    """Computing with float64: deep batch normalisation of few samples makes much of a float32's last bits."""
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


@pytest.mark.parametrize("model", ["mobilenet_v3_small", "shufflenet_v2_x0_5", "regnet_x_400mf", "squeezenet1_1"])
def test_a_torchvision_model_does_not_depend_on_its_stack(model, doubles):
    """Trained and evaluated with another one or alone, where it draws random numbers, and where it does not."""
    network = torchvision(model)
    pool = torch.rand(12, 1, 32, 32, generator=torch.Generator().manual_seed(0))
    labels = torch.arange(12) % 10
    together = initialise(network, [0, 1], CPU)
    plan, index = recipe(epochs=1, batch_size=6), torch.arange(12)
    fit(together, pool, [learn(index, labels, seed) for seed in (0, 1)], plan)
    for seed in (0, 1):
        alone = initialise(network, [seed], CPU)
        before = alone.weights.clone()
        fit(alone, pool, [learn(index, labels, seed)], plan)
        assert not torch.equal(before, alone.weights)
        torch.testing.assert_close(together.weights[seed], alone.weights[0], rtol=1e-5, atol=1e-8)
        for name, value in alone.buffers.items():
            torch.testing.assert_close(together.buffers[name][seed], value[0], rtol=1e-6, atol=1e-9)
        torch.testing.assert_close(together.predict(pool)[seed], alone.predict(pool)[0], rtol=1e-4, atol=1e-7)


def test_attention_has_a_derivative_in_evaluation_mode(monkeypatch):
    """Of models side by side, as TRADES asks for it."""
    mine = ModuleType("amun_steps.models.attention")
    mine.build = lambda shape, classes: nn.Sequential(
        nn.Flatten(2), Attention(64), nn.Flatten(), nn.Linear(64, classes)
    )
    monkeypatch.setitem(sys.modules, mine.__name__, mine)
    stack = models(2, {"name": "attention", "shape": [1, 8, 8], "classes": 10})
    x = images(3)[0].expand(2, -1, -1, -1, -1).clone().requires_grad_()
    (gradient,) = torch.autograd.grad(stack.logits(x)[..., 0].sum(), x)
    assert gradient.abs().sum() > 0


class Attention(nn.Module):
    def __init__(self, width: int):
        super().__init__()
        self.attention = nn.MultiheadAttention(width, 2, batch_first=True)

    def forward(self, x):
        return self.attention(x, x, x, need_weights=False)[0]


class Viewing(nn.Module):
    """Written as most are: what the convolutions made is flattened by `view`."""

    def __init__(self, channels: int, classes: int):
        super().__init__()
        self.convolution, self.dense = nn.Conv2d(channels, 4, 3, padding=1), nn.Linear(4 * 8 * 8, classes)

    def forward(self, x):
        return self.dense(self.convolution(x).view(len(x), -1))


def test_a_network_that_views_what_its_convolutions_made_trains_in_half_precision(monkeypatch):
    """Though half-precision convolutions are fast in a layout that has no such view."""
    mine = ModuleType("amun_steps.models.viewing")
    mine.build = lambda shape, classes: Viewing(shape[0], classes)
    monkeypatch.setitem(sys.modules, mine.__name__, mine)
    stack = initialise({"name": "viewing", "shape": [3, 8, 8], "classes": 10}, [0], CPU)
    before = stack.weights.clone()
    pool, index = torch.rand(6, 3, 8, 8, generator=torch.Generator().manual_seed(0)), torch.arange(6)
    fit(stack, pool, [learn(index, index, 0)], recipe(epochs=1, batch_size=6, precision="bfloat16"))
    assert stack.weights.isfinite().all()
    assert not torch.equal(before, stack.weights)


class Scaled(nn.Module):
    """With a parameter of no dimension, such as a temperature."""

    def __init__(self, classes: int):
        super().__init__()
        self.dense, self.scale = nn.Linear(64, classes), nn.Parameter(torch.tensor(2.0))

    def forward(self, x):
        return self.scale * self.dense(x.flatten(1))


def test_a_network_with_a_number_for_a_parameter_is_saved_and_loaded(monkeypatch, tmp_path):
    mine = ModuleType("amun_steps.models.scaled")
    mine.build = lambda shape, classes: Scaled(classes)
    monkeypatch.setitem(sys.modules, mine.__name__, mine)
    stack = initialise({"name": "scaled", "shape": [1, 8, 8], "classes": 10}, [0, 1], CPU)
    save(stack, tmp_path / "models.safetensors")
    assert torch.equal(load([tmp_path / "models.safetensors"], CPU).weights, stack.weights)


def put(network: dict) -> views.Plan:
    return views.load(changed("experiments.digits.network", network))


@pytest.mark.parametrize(
    ("network", "message"),
    [
        (
            {"name": "torchvision", "model": "mobilenet_v3_smal"},
            "model: torchvision has no classification model 'mobilenet_v3_smal'; did you mean 'mobilenet_v3_small'?",
        ),
        (
            {"name": "torchvision", "model": "mobilenet_v3_small", "parameters": {"droput": 0.1}},
            "parameters: mobilenet_v3_small takes no 'droput'; did you mean 'dropout'?",
        ),
        (
            {"name": "torchvision", "model": "vit_b_16", "parameters": {"num_classes": 3}},
            "parameters: vit_b_16 takes no 'num_classes'",
        ),
        (
            {"name": "torchvision", "model": "mobilenet_v3_small", "parameters": {"dropout": "high"}},
            'parameters: found {"dropout": "high"}, with which it stops (TypeError: ',
        ),
        ({"name": "torchvision", "model": "vit_b_16"}, "AssertionError: Wrong image height! Expected 224 but got 8!"),
        (
            {"name": "torchvision", "model": "resnet18", "normalise": {"mean": [0.5] * 3, "std": [0.5]}},
            "normalise.mean: found 3 numbers, expected 1: one for each channel",
        ),
    ],
)
def test_a_network_that_there_is_not_is_refused_before_anything_runs(network, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    begins = (
        f"experiments.digits.network: '{network['name']}' does not work for images of 1x8x8 and 10 classes (digits)"
    )
    with pytest.raises(ConfigError, match=re.escape(f"{begins}: {message}")):
        try_networks(put(network))


@pytest.mark.parametrize(
    ("normalise", "message"),
    [
        ({"mean": [0.5]}, "experiments.digits.network.normalise: lacks the key 'std'"),
        ({"mean": [128], "std": [0.5]}, "experiments.digits.network.normalise.mean.0: found 128, expected a number in"),
        (
            {"mean": [0.5], "std": [0]},
            "experiments.digits.network.normalise.std.0: found 0, expected a number in (0, 1]",
        ),
        ({"mean": 0.5, "std": [1]}, "experiments.digits.network.normalise.mean: found 0.5, expected a list"),
    ],
)
def test_a_wrong_normalisation_is_refused(normalise, message):
    with pytest.raises(ConfigError, match=re.escape(message)):
        put({"name": "torchvision", "model": "resnet18", "normalise": normalise})


@pytest.mark.skipif(importlib.util.find_spec("timm") is not None, reason="timm is installed here")
def test_without_timm_a_message_says_what_to_install():
    with pytest.raises(InputError, match="timm is not installed: `pip install timm`"):
        build({"name": "timm", "model": "resnet18", "shape": [3, 32, 32], "classes": 10})


@pytest.mark.skipif(importlib.util.find_spec("timm") is None, reason="timm is not installed here")
def test_a_timm_model():
    network = {"name": "timm", "model": "mobilenetv3_small_050", "shape": [1, 32, 32], "classes": 7}
    assert skeleton(network)(torch.empty(2, 1, 32, 32, device="meta")).shape == (2, 7)
    with pytest.raises(InputError, match="mobilenetv3_smal_050"):
        build(network | {"model": "mobilenetv3_smal_050"})


def test_others_models_are_called_by_their_own_names_and_have_addresses_of_their_own():
    plans = [put({"name": "torchvision", "model": model}) for model in ("resnet18", "resnet34")]
    originals = [plan.experiments["digits"].originals() for plan in plans]
    assert [stage.name for stage in originals] == ["resnet18", "resnet34"]
    assert originals[0].address != originals[1].address
    assert "amun_steps.models.torchvision" in originals[0].code
    scores = [scored.scores.parameters["names"]["architecture"] for scored in plans[0].scored]
    assert set(scores) == {"resnet18"}
    odd = put({"name": "timm", "model": "hf-hub:some/model.a1"}).experiments["digits"].originals()
    assert odd.name == "hf-hub_some_model_a1"


COLOURS = SMALL | {"shape": [3, 8, 8]}
NORMALISE = {"mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]}  # ImageNet's


def test_a_network_that_normalises_is_its_module_on_normalised_pixels(tmp_path):
    """And has the module's tensors, no others; so also after its file was read."""
    from torchvision.transforms.functional import normalize

    stack = models(2, COLOURS | {"normalise": NORMALISE})
    pixels = torch.rand(5, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    save(stack, tmp_path / "stack.safetensors")
    loaded = load([tmp_path / "stack.safetensors"], CPU)
    for row in range(2):
        module = build(COLOURS).eval()
        state = {**stack.parameters(stack.weights), **stack.buffers}
        module.load_state_dict({name: tensor[row] for name, tensor in state.items()})
        with torch.no_grad():
            expected = module(normalize(pixels, **NORMALISE))
        torch.testing.assert_close(stack.predict(pixels)[row], expected, rtol=1e-5, atol=1e-6)
    assert torch.equal(loaded.predict(pixels), stack.predict(pixels))
    plain = models(2, COLOURS)
    assert torch.equal(plain.weights, stack.weights)
    assert not torch.allclose(plain.predict(pixels), stack.predict(pixels))


def test_the_gradient_of_a_network_that_normalises_is_that_of_pixels():
    """As an attack takes it: divided by the channel's standard deviation."""
    stack = models(1, COLOURS | {"normalise": NORMALISE})
    x = torch.rand(1, 4, 3, 8, 8, generator=torch.Generator().manual_seed(0)).requires_grad_()
    mean, std = (torch.tensor(NORMALISE[key])[:, None, None] for key in ("mean", "std"))
    plain = Stack(COLOURS, stack.weights, stack.buffers)
    (expected,) = torch.autograd.grad(plain.logits((x - mean) / std)[..., 0].sum(), x)
    (gradient,) = torch.autograd.grad(stack.logits(x)[..., 0].sum(), x)
    torch.testing.assert_close(gradient, expected)


def test_normalising_is_part_of_the_address():
    small = {"name": "small_resnet", "width": 4, "strides": [1], "stem_stride": 2}
    addresses = {
        put(small | more).experiments["digits"].originals().address
        for more in ({}, {"normalise": {"mean": [0.5], "std": [0.5]}}, {"normalise": {"mean": [0.5], "std": [0.25]}})
    }
    assert len(addresses) == 3
