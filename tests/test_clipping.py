"""Spectral clipping, against the exact singular values of each layer's matrix."""

import math
import sys
from types import ModuleType

import pytest
import torch
from torch import Tensor, nn
from toy import CPU, double, recipe

from amun_steps.training import checkpoint
from amun_steps.training.clipping import TOLERANCE, Clipper, Clipping, spectral_norms
from amun_steps.training.fit import fit
from amun_steps.training.recipe import Member, Samples, Schedule
from amun_steps.training.stack import Stack, initialise

SHAPE = (3, 4, 4)
LAYERS = {
    "zero padding": lambda: nn.Conv2d(3, 6, 3, padding=1),
    "stride 2": lambda: nn.Conv2d(3, 6, 3, stride=2, padding=1, bias=False),
    "circular": lambda: nn.Conv2d(3, 6, 3, padding=1, padding_mode="circular"),
    "1x1 stride 2": lambda: nn.Conv2d(3, 6, 1, stride=2),
    "dense": lambda: nn.Sequential(nn.Flatten(), nn.Linear(math.prod(SHAPE), 10)),
}


def build(shape, classes, layer: str | None = None) -> nn.Module:
    """One of LAYERS, or a network with all kinds of them."""
    if layer is not None:
        return LAYERS[layer]()
    return nn.Sequential(
        nn.Conv2d(3, 6, 3, padding=1, padding_mode="circular"),
        nn.BatchNorm2d(6),
        nn.ReLU(),
        nn.Conv2d(6, 8, 3, stride=2, padding=1),
        nn.ReLU(),
        nn.Conv2d(8, 8, 1, stride=2, bias=False),
        nn.Flatten(),
        nn.Linear(8, classes),
    )


@pytest.fixture(autouse=True)
def _network(monkeypatch):
    module = ModuleType("amun_steps.models.clipped")
    module.build = build
    monkeypatch.setitem(sys.modules, module.__name__, module)


def stack(seeds, factor: float = 1.0, **parameters) -> Stack:
    """Freshly initialised models, their weights times a factor."""
    made = initialise({"name": "clipped", "shape": SHAPE, "classes": 10, **parameters}, seeds, CPU)
    made.weights *= factor
    return made


def matrices(models: Stack, member: int = 0) -> dict[str, Tensor]:
    """The matrix of every layer of one model: the images under the layer of a basis of its inputs, in float64."""
    weights, found, shapes = models.parameters(models.weights), {}, {}
    layers = {
        f"{k}.weight" if k else "weight": m for k, m in models.module.named_modules() if hasattr(m, "kernel_size")
    }
    for name, layer in layers.items():
        layer.register_forward_pre_hook(lambda _, x, name=name: shapes.update({name: x[0].shape[1:]}))
    models.module.eval()(torch.empty(1, *SHAPE, device="meta"))
    for name, weight in weights.items():
        weight = weight[member].double()
        if name in layers:
            basis = torch.eye(math.prod(shapes[name]), dtype=torch.float64).view(-1, *shapes[name])
            found[name] = layers[name]._conv_forward(basis, weight, None).flatten(1).T
        elif weight.ndim == 2:
            found[name] = weight
    return found


def singular_values(models: Stack, member: int = 0) -> dict[str, Tensor]:
    return {name: torch.linalg.svdvals(matrix) for name, matrix in matrices(models, member).items()}


@pytest.mark.parametrize("layer", LAYERS)
def test_a_norm_is_the_largest_singular_value_of_the_layer_s_matrix(layer):
    models = stack([0, 1], layer=layer)
    (norms,) = spectral_norms(models).values()
    exact = torch.stack([next(iter(singular_values(models, m).values()))[0] for m in range(2)])
    torch.testing.assert_close(norms.double(), exact, rtol=1e-3, atol=0)
    if layer in ("zero padding", "stride 2", "circular"):  # and not that of its kernel as a matrix
        kernel = models.parameters(models.weights)["weight"].flatten(2)
        assert ((torch.linalg.matrix_norm(kernel.flatten(2), 2) / norms - 1).abs() > 0.05).all()


def scaled(models: Stack, norm: float) -> Stack:
    """The same models, with all weights of a layer scaled so that its norm is `norm`."""
    weights = models.parameters(models.weights)
    for name, found in spectral_norms(models).items():
        weights[name] *= (norm / found).view(-1, *[1] * (weights[name].ndim - 1))
    return models


@pytest.mark.parametrize("layer", LAYERS)
def test_after_finish_no_singular_value_is_above_the_bound(layer):
    models = scaled(stack([0, 1], layer=layer), 1.1)
    Clipper(models, Clipping(1.0, 1)).finish()
    for member in range(2):
        (values,) = singular_values(models, member).values()
        assert 0.95 < values[0] <= 1 + 1.01 * TOLERANCE


@pytest.mark.parametrize("factor", [4.0, 8.0])
def test_the_bound_holds_where_clipping_has_left_several_singular_values_at_it(factor):
    """There a single vector of power iteration seems to have converged before it has."""
    models = stack([0, 1], factor, layer="zero padding")
    Clipper(models, Clipping(1.0, 1)).finish()
    for member in range(2):
        (values,) = singular_values(models, member).values()
        assert (values > 0.95).sum() >= 4
        assert values[0] <= 1 + 1.01 * TOLERANCE


def test_a_diverged_model_stays_as_it_is_and_keeps_nobody_waiting():
    models = stack([0, 1], 3.0, layer="stride 2")
    models.weights[0] = torch.nan
    Clipper(models, Clipping(1.0, 1)).finish()
    assert models.weights[0].isnan().all()
    (norms,) = spectral_norms(models).values()
    assert norms[0].isnan()
    assert norms[1] <= 1 + 1.01 * TOLERANCE


def test_a_dense_layer_loses_what_is_above_the_bound_and_nothing_else():
    """U min(S, 1) V^T is the nearest matrix whose norm is at most 1."""
    models = scaled(stack([3], layer="dense"), 1.1)
    (before,) = matrices(models).values()
    Clipper(models, Clipping(1.0, 1)).finish()
    (after,) = matrices(models).values()
    left, values, right = torch.linalg.svd(before, full_matrices=False)
    nearest = left @ values.clamp(max=1).diag() @ right
    assert (values > 1).any()
    assert (values < 0.8).any()
    # it does not wait for v to converge, so it goes a little out of its way
    assert (after - nearest).norm() < 0.5 * (nearest - before).norm()


def test_singular_values_of_a_convolution_that_are_far_below_the_bound_hardly_move():
    models = scaled(stack([3], layer="zero padding"), 1.1)
    (before,) = singular_values(models).values()
    Clipper(models, Clipping(1.0, 1)).finish()
    (after,) = singular_values(models).values()
    low = before < 0.6
    assert low.sum() > 10
    assert ((after - before)[low].abs() < 0.1).all()


def test_layers_below_the_bound_and_everything_that_is_no_layer_keep_their_bits():
    models = scaled(stack([0, 1]), 0.99)
    before, buffers = models.weights.clone(), {name: b.clone() for name, b in models.buffers.items()}
    clipper = Clipper(models, Clipping(1.0, 1))
    clipper.clip(slice(None))
    clipper.finish()
    assert torch.equal(models.weights, before)
    parameters = scaled(models, 1.1).parameters(models.weights)
    others = {name: p.clone() for name, p in parameters.items() if name not in spectral_norms(models)}
    Clipper(models, Clipping(1.0, 1)).finish()
    assert all(torch.equal(parameters[name], value) for name, value in others.items())
    assert all(torch.equal(models.buffers[name], value) for name, value in buffers.items())


TWO_SIDED = Clipping(1.0, 1, least=0.95)


@pytest.mark.parametrize("factor", [0.3, 0.94, 1.1])
@pytest.mark.parametrize("layer", ["zero padding", "stride 2", "1x1 stride 2"])
def test_a_convolution_that_is_clipped_from_both_sides_ends_between_its_limits(layer, factor):
    models = scaled(stack([0, 1], layer=layer), factor)
    Clipper(models, TWO_SIDED).finish()
    for member in range(2):
        (values,) = singular_values(models, member).values()
        assert 0.95 <= values[0] <= 1 + 1.01 * TOLERANCE


def test_from_below_only_convolutions_are_clipped_and_only_below_the_limit():
    dense, within = scaled(stack([0], layer="dense"), 0.3), scaled(stack([0, 1], layer="stride 2"), 0.96)
    for models in (dense, within):
        before = models.weights.clone()
        clipper = Clipper(models, TWO_SIDED)
        clipper.clip(slice(None))
        clipper.finish()
        assert torch.equal(models.weights, before)


def test_each_model_of_a_stack_is_clipped_as_it_would_be_alone():
    both, alone = (double(scaled(stack(seeds), 1.05)) for seeds in ([0, 1], [1]))
    Clipper(both, Clipping(1.0, 1)).finish()
    Clipper(alone, Clipping(1.0, 1)).finish()
    torch.testing.assert_close(both.weights[1], alone.weights[0], rtol=1e-4, atol=1e-5)
    part = scaled(stack([0, 1]), 1.05)
    before = part.weights.clone()
    Clipper(part, Clipping(1.0, 1)).clip([1])
    assert torch.equal(part.weights[0], before[0])
    assert not torch.equal(part.weights[1], before[1])


def test_a_fit_that_clips_ends_within_the_bound_and_resumes_to_the_same_bits(tmp_path, monkeypatch):
    pool = torch.rand(64, *SHAPE, generator=torch.Generator().manual_seed(0))
    labels = torch.randint(0, 10, (64,), generator=torch.Generator().manual_seed(1))
    member = Member(lambda *_: [Samples.of(torch.arange(64), labels)], Schedule(0.05), 0)
    options = {"clipping": Clipping(1.0, 2)}
    whole = stack([0])
    fit(whole, pool, [member], recipe(epochs=4), **options)
    assert all((norms <= 1 + 1.01 * TOLERANCE).all() for norms in spectral_norms(whole).values())

    monkeypatch.setattr(checkpoint, "SECONDS_BETWEEN", 0.0)
    path, epochs = tmp_path / "models.safetensors", []

    def dies():
        epochs.append(1)
        if len(epochs) == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit(stack([0]), pool, [member], recipe(epochs=4), **options, checkpoint=path, after_epoch=dies)
    resumed = stack([0])
    fit(resumed, pool, [member], recipe(epochs=4), **options, checkpoint=path)
    assert torch.equal(resumed.weights, whole.weights)


@pytest.mark.parametrize("least", [None, 0.95])
def test_weights_that_a_mask_holds_are_not_clipped(least):
    pool = torch.rand(64, *SHAPE, generator=torch.Generator().manual_seed(0))
    labels = torch.randint(0, 10, (64,), generator=torch.Generator().manual_seed(1))
    models = stack([0, 1])
    before, half = models.weights.clone(), torch.arange(models.weights.shape[1]) % 2 > 0
    masks = [half, torch.ones_like(half)]
    members = [Member(lambda *_: [Samples.of(torch.arange(64), labels)], Schedule(0.05), 0, mask=m) for m in masks]
    held = []  # after each epoch, not at the end alone

    def look() -> None:
        held.append(torch.equal(models.weights[0][~half], before[0][~half]))

    fit(models, pool, members, recipe(epochs=2), clipping=Clipping(0.7, 2, least), after_epoch=look)
    assert held == [True, True]
    assert (models.weights[0][half] != before[0][half]).float().mean() > 0.99
    clipped = models[[1]]
    assert all(norm.item() <= 0.7 * (1 + 1.01 * TOLERANCE) for norm in spectral_norms(clipped).values())


def test_clipping_goes_on_while_a_model_is_trained():
    """Not only at its end: from weights whose norms are far above the bound, it is another training."""
    pool = torch.rand(64, *SHAPE, generator=torch.Generator().manual_seed(0))
    labels = torch.randint(0, 10, (64,), generator=torch.Generator().manual_seed(1))
    member = Member(lambda *_: [Samples.of(torch.arange(64), labels)], Schedule(0.05), 0)
    often, never = stack([0]), stack([0])
    for models, every in ((often, 2), (never, 1000)):
        fit(models, pool, [member], recipe(epochs=2), clipping=Clipping(0.7, every))
    assert (often.weights - never.weights).norm() > 1e-3 * often.weights.norm()
    for models in (often, never):
        assert all(norm.item() <= 0.7 * (1 + 1.01 * TOLERANCE) for norm in spectral_norms(models).values())
