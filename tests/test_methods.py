"""Every method's update on a model with two parameters, against steps computed by hand.

The model has logits (a x, b) for an image of one pixel x and two classes, so the cross entropy's gradient is
(x (p0 - [y = 0]), p1 - [y = 1]); the wrong label of y is 1 - y.
"""

import math
import sys
from types import ModuleType

import pytest
import torch
from torch import nn
from toy import CPU, recipe

from amun_steps.methods import Request, amun, amun_salun, bs, ft, ga, l1_sparse, rl, salun, wrong_labels
from amun_steps.training.fit import fit
from amun_steps.training.recipe import Member, Samples, Schedule
from amun_steps.training.stack import initialise

A, B = 2.0, 1.0  # class 1 below x = 0.5, class 0 above
RATE, MOMENTUM, DECAY = 0.1, 0.9, 0.01
REMAIN, FORGET, ADVERSARIAL = (0.8, 0), (0.45, 1), (0.52, 0)


class TwoParameters(nn.Module):
    def __init__(self):
        super().__init__()
        self.a = nn.Parameter(torch.tensor([A]))
        self.b = nn.Parameter(torch.tensor([B]))

    def forward(self, x):
        x = x.flatten(1)
        return torch.cat([self.a * x, self.b.expand_as(x)], dim=1)


@pytest.fixture
def model(monkeypatch):
    module = ModuleType("amun_steps.models.two_parameters")
    module.build = lambda shape, classes: TwoParameters()
    monkeypatch.setitem(sys.modules, module.__name__, module)
    return initialise({"name": "two_parameters", "shape": [1, 1, 2], "classes": 2}, [0], CPU)


def request(model, access=True) -> Request:
    pairs = (REMAIN, FORGET, ADVERSARIAL)
    pool = torch.tensor([x for x, _ in pairs]).view(-1, 1, 1, 1)
    remain, forget, adversarial = (
        Samples.of(torch.tensor([row]), torch.tensor([y]), augment=row != 2) for row, (_, y) in enumerate(pairs)
    )
    nothing = Samples.of(torch.tensor([], dtype=torch.long), torch.tensor([], dtype=torch.long))
    return Request(remain if access else nothing, forget, adversarial, model[:], pool, 2)


def gradient(a, b, *samples):
    """The mean gradient of the cross entropy over (x, y, sign) samples."""
    total = [0.0, 0.0]
    for x, y, sign in samples:
        p0 = 1 / (1 + math.exp(b - a * x))
        total[0] += sign * x * (p0 - (y == 0)) / len(samples)
        total[1] += sign * ((1 - p0) - (y == 1)) / len(samples)
    return total


def by_hand(steps, moves=(True, True), l1=0.0):
    """Weights after one step of SGD per entry of `steps`, each a batch of (x, y, sign) samples."""
    weights, velocity = [A, B], [0.0, 0.0]
    for batch in steps:
        g = gradient(*weights, *batch)
        for k in range(2):
            velocity[k] = MOMENTUM * velocity[k] + g[k] + l1 * math.copysign(1, weights[k]) + DECAY * weights[k]
        for k in range(2):
            weights[k] -= RATE * velocity[k] * moves[k]
    return weights


def after_one_epoch(model, update, epochs=1):
    stack = model[:]
    plan = recipe(epochs=epochs, batch_size=8, momentum=MOMENTUM, weight_decay=DECAY)
    fit(stack, request(model).images, [Member(**vars(update), schedule=Schedule(RATE), seed=1)], plan)
    return stack.weights[0].tolist()


def sample(pair, y=None, sign=1):
    return (pair[0], pair[1] if y is None else y, sign)


R, F, ADV = sample(REMAIN), sample(FORGET), sample(ADVERSARIAL)
F_WRONG, F_NEGATED = sample(FORGET, y=0), sample(FORGET, sign=-1)
ONLY_B = (False, True)  # |gradient| at D_F is 0.45 p0 for a and p0 for b
CASES = {
    "ft": (ft, {}, True, [[R]], {}),
    "rl": (rl, {}, True, [[R, F_WRONG]], {}),
    "rl without D_R": (rl, {}, False, [[F_WRONG]], {}),
    "ga": (ga, {}, True, [[R], [F_NEGATED]], {}),
    "ga without D_R": (ga, {}, False, [[F_NEGATED]], {}),
    "bs": (bs, {}, True, [[R], [F_WRONG]], {}),
    "bs without D_R": (bs, {}, False, [[F_WRONG]], {}),
    "bs within a bound that is too small": (bs, {"bound": 0.02}, False, [[F]], {}),
    "l1_sparse": (l1_sparse, {"alpha": 0.03}, True, [[R]], {"l1": 2 * 0.03}),
    "salun": (salun, {"mask_ratio": 0.5}, True, [[R, F_WRONG]], {"moves": ONLY_B}),
    "salun without D_R": (salun, {"mask_ratio": 0.5}, False, [[F_WRONG]], {"moves": ONLY_B}),
    "amun": (amun, {"include_forget": True}, True, [[R, F, ADV]], {}),
    "amun, large D_F": (amun, {"include_forget": False}, True, [[R, ADV]], {}),
    "amun without D_R": (amun, {"include_forget": True}, False, [[F, ADV]], {}),
    "amun, large D_F, without D_R": (amun, {"include_forget": False}, False, [[ADV]], {}),
    "amun_salun": (
        amun_salun,
        {"include_forget": True, "mask_ratio": 0.5},
        True,
        [[R, F, ADV]],
        {"moves": ONLY_B},
    ),
    "amun_salun without D_R": (
        amun_salun,
        {"include_forget": False, "mask_ratio": 0.5},
        False,
        [[ADV]],
        {"moves": ONLY_B},
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_one_epoch_is_the_step_computed_by_hand(case, model):
    method, hyperparameters, access, steps, options = CASES[case]
    update = method.unlearn(request(model, access), **hyperparameters)
    assert after_one_epoch(model, update) == pytest.approx(by_hand(steps, **options), rel=1e-5)


def test_the_model_is_what_the_hand_computes_with(model):
    """Otherwise all cases could agree on a wrong model: theta_o is right on both sides of 0.5."""
    found = model.predict(request(model).images)[0]
    torch.testing.assert_close(found, torch.tensor([[1.6, 1.0], [0.9, 1.0], [1.04, 1.0]]))


def test_the_l1_penalty_ends_at_zero_linearly(model):
    """alpha_t = (2 - 2t/T) alpha: of four epochs, 2, 1.5, 1 and 0.5 times alpha."""
    penalty = l1_sparse.unlearn(request(model), alpha=1e-3).penalty
    weights = torch.tensor([3.0, -2.0])
    found = [penalty(weights, epoch / 4).item() for epoch in range(4)]
    assert found == pytest.approx([5 * 1e-3 * factor for factor in (2, 1.5, 1, 0.5)])


def test_wrong_labels_are_wrong_and_uniform():
    labels = torch.arange(5).repeat_interleave(4000)
    drawn = wrong_labels(labels, 5, torch.Generator().manual_seed(0))
    assert (drawn != labels).all()
    for label in range(5):
        counts = torch.bincount(drawn[labels == label], minlength=5)
        others = torch.cat([counts[:label], counts[label + 1 :]])
        assert counts[label] == 0
        assert (others - 1000).abs().max() < 130  # 4.7 standard deviations of a binomial


def test_random_labels_are_drawn_anew_at_every_visit(model):
    update = rl.unlearn(Request(**{**vars(request(model)), "classes": 10}))
    generator = torch.Generator().manual_seed(0)
    drawn = {update.passes(generator)[0].label[-1].item() for _ in range(200)}
    assert drawn == set(range(10)) - {FORGET[1]}


def test_the_saliency_mask_is_the_share_of_the_largest_gradients():
    """On a real network: by a module's own gradient in evaluation mode, sorted."""
    from toy import SMALL, images, models
    from toy import request as request_on

    from amun_steps.training.stack import build

    pool, labels = images(40)
    stack = models(1)
    task = request_on(pool, labels, stack, range(20), range(20, 40))
    module = build(SMALL).eval()
    module.load_state_dict({k: v[0] for k, v in {**stack.parameters(stack.weights), **stack.buffers}.items()})
    nn.functional.cross_entropy(module(pool[20:]), labels[20:], reduction="sum").backward()
    gradients = torch.cat([p.grad.flatten() for p in module.parameters()]).abs()
    for ratio in (0.1, 0.5, 0.9):
        mask = salun.saliency_mask(task, ratio, batch=7)
        assert mask.sum() == round(ratio * len(gradients))
        assert gradients[mask].min() >= gradients[~mask].max() * (1 - 1e-4)


def test_bs_takes_a_large_forget_set_in_batches(model, monkeypatch):
    """Half of a large data set, with its gradients, does not fit into a GPU's memory at once."""
    pool = torch.linspace(0, 1, 50).view(-1, 1, 1, 1)
    forget = Samples.of(torch.arange(50), (pool.flatten() < 0.5).long())
    asked = Request(forget, forget, forget, model[:], pool, 2)

    def labels() -> torch.Tensor:
        return bs.unlearn(asked).passes(torch.Generator())[1].label

    whole, sizes, logits = labels(), [], Request.logits
    monkeypatch.setattr(Request, "logits", lambda self, x: sizes.append(len(x)) or logits(self, x))
    monkeypatch.setattr(bs, "BATCH", 16)
    assert torch.equal(labels(), whole)
    assert max(sizes) == 16
    assert len(whole.unique()) == 2


def test_a_method_looks_at_theta_o_in_evaluation_mode():
    """On a network with batch normalisation, where an answer in training mode depends on the other images."""
    from toy import images, models
    from toy import request as request_on

    pool, labels = images(12)
    stack = models(1)
    asked = request_on(pool, labels, stack, range(6), range(6, 12))
    torch.testing.assert_close(asked.logits(pool), stack.predict(pool)[0])


def test_bs_rounds_the_moved_image_to_whole_pixels(model):
    """Class 1 is below 127.2 pixels: what moves to 127.4 is rounded back to 127, what moves to 127.6 is not."""
    stack = model[:]
    stack.weights[0] = torch.tensor([A, A * 127.2 / 255])
    forget = Samples.of(torch.tensor([0]), torch.tensor([1]))
    for pixel, nearest in ((124.8, 1), (125.0, 0)):
        asked = Request(forget, forget, forget, stack, torch.tensor(pixel / 255).view(1, 1, 1, 1), 2)
        assert bs.unlearn(asked, bound=2.6 / 255).passes(torch.Generator())[1].label.tolist() == [nearest]
