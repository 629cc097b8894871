"""Every method's update on a model with two parameters, against steps computed by hand.

The model has logits (a x, b) for an image of one pixel x and two classes, so the cross entropy's gradient is
(x (p0 - [y = 0]), p1 - [y = 1]); the wrong label of y is 1 - y.
"""

import math
import sys
from dataclasses import replace
from types import ModuleType

import pytest
import torch
from torch import nn
from toy import CPU, recipe

from amun_steps.methods import (
    Request,
    Update,
    amun,
    amun_salun,
    bad_teacher,
    bs,
    cf_k,
    delete,
    eu_k,
    ft,
    ga,
    l1_sparse,
    neggrad_plus,
    rl,
    salun,
    scrub,
    starts,
    wrong_labels,
)
from amun_steps.training.fit import fit
from amun_steps.training.recipe import Samples, Schedule
from amun_steps.training.stack import initialise

A, B = 2.0, 1.0  # class 1 below x = 0.5, class 0 above
STRANGER = (0.3, -0.2)  # what a fresh model has
RATE, MOMENTUM, DECAY = 0.1, 0.9, 0.01
REMAIN, FORGET, ADVERSARIAL = (0.8, 0), (0.45, 1), (0.52, 0)


class TwoParameters(nn.Module):
    def __init__(self):
        super().__init__()
        self.a = nn.Parameter(torch.tensor([STRANGER[0]]))
        self.b = nn.Parameter(torch.tensor([STRANGER[1]]))

    def forward(self, x):
        x = x.flatten(1)
        return torch.cat([self.a * x, self.b.expand_as(x)], dim=1)


@pytest.fixture
def model(monkeypatch):
    module = ModuleType("amun_steps.models.two_parameters")
    module.build = lambda shape, classes: TwoParameters()
    monkeypatch.setitem(sys.modules, module.__name__, module)
    fresh = initialise({"name": "two_parameters", "shape": [1, 1, 2], "classes": 2}, [0], CPU)
    return replace(fresh, weights=torch.tensor([[A, B]]))


def request(model, access=True) -> Request:
    pairs = (REMAIN, FORGET, ADVERSARIAL)
    pool = torch.tensor([x for x, _ in pairs]).view(-1, 1, 1, 1)
    remain, forget, adversarial = (
        Samples.of(torch.tensor([row]), torch.tensor([y]), augment=row != 2) for row, (_, y) in enumerate(pairs)
    )
    nothing = Samples.of(torch.tensor([], dtype=torch.long), torch.tensor([], dtype=torch.long))
    return Request(remain if access else nothing, forget, adversarial, model[:], pool, 2)


def sigmoid(z):
    return 1 / (1 + math.exp(-z))


def gradient(a, b, *samples):
    """The mean gradient over (x, y, weight) samples of the cross entropy; where y is (a, b, T), of T^2 times the
    divergence from this teacher's probabilities at the temperature T, which is T (p - q)."""
    total = [0.0, 0.0]
    for x, y, weight in samples:
        *teacher, t = y if isinstance(y, tuple) else (1.0,)
        q0 = sigmoid((teacher[0] * x - teacher[1]) / t) if teacher else 1.0 - y
        p0 = sigmoid((a * x - b) / t)
        total[0] += weight * t * x * (p0 - q0) / len(samples)
        total[1] += weight * t * ((1 - p0) - (1 - q0)) / len(samples)
    return total


def by_hand(steps, moves=(True, True), l1=0.0, begin=(A, B)):
    """Weights after one step of SGD per entry of `steps`, each a batch of (x, y, weight) samples."""
    weights, velocity = [*begin], [0.0, 0.0]
    for batch in steps:
        g = gradient(*weights, *batch)
        for k in range(2):
            velocity[k] = MOMENTUM * velocity[k] + g[k] + l1 * math.copysign(1, weights[k]) + DECAY * weights[k]
        for k in range(2):
            weights[k] -= RATE * velocity[k] * moves[k]
    return weights


def after(model, update, epochs=1):
    stack = starts(model[:], [update])
    plan = recipe(epochs=epochs, batch_size=8, momentum=MOMENTUM, weight_decay=DECAY)
    fit(stack, request(model).images, [update.member(Schedule(RATE), seed=1)], plan)
    return stack.weights[0].tolist()


def sample(pair, y=None, weight=1.0):
    return (pair[0], pair[1] if y is None else y, weight)


R, F, ADV = sample(REMAIN), sample(FORGET), sample(ADVERSARIAL)
F_WRONG, F_NEGATED = sample(FORGET, y=0), sample(FORGET, weight=-1)
O_AT_2, O_AT_4, STRANGER_AT_4 = (A, B, 2.0), (A, B, 4.0), (*STRANGER, 4.0)
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
    "neggrad_plus": (
        neggrad_plus,
        {"alpha": 0.8},
        True,
        [[sample(REMAIN, weight=2 * 0.8), sample(FORGET, weight=-2 * 0.2)]],
        {},
    ),
    "delete": (delete, {}, True, [[R], [F_WRONG]], {}),
    "delete without D_R": (delete, {}, False, [[F_WRONG]], {}),
    "cf_k": (cf_k, {"k": 1}, True, [[R]], {}),
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
    assert after(model, update) == pytest.approx(by_hand(steps, **options), rel=1e-5)


AWAY = [sample(FORGET, O_AT_2, -1)]
CLOSE = [sample(REMAIN, weight=2 * 0.7), sample(REMAIN, O_AT_2, 2 * 0.4)]
IN_EPOCHS = {
    "scrub": (
        scrub,
        {"ascent_epochs": 2, "gamma": 0.7, "alpha": 0.4, "temperature": 2.0},
        [AWAY, CLOSE, AWAY, CLOSE, CLOSE],
    ),
    "bad_teacher": (
        bad_teacher,
        {"share": 1.0, "temperature": 4.0},
        3 * [[sample(REMAIN, O_AT_4), sample(FORGET, STRANGER_AT_4)]],
    ),
    "ga": (ga, {}, 3 * [[R], [F_NEGATED]]),
}


@pytest.mark.parametrize("case", IN_EPOCHS)
def test_three_epochs_are_the_steps_computed_by_hand(case, model):
    """Of a divergence from theta_o itself the first gradient is zero, and the epochs of SCRUB differ."""
    method, hyperparameters, steps = IN_EPOCHS[case]
    found = after(model, method.unlearn(request(model), **hyperparameters), epochs=3)
    assert found == pytest.approx(by_hand(steps), rel=1e-5)


@pytest.mark.parametrize("mask", [torch.tensor([0.25, 1.0]), torch.tensor([0.0, 1.0])])
def test_a_mask_of_numbers_is_the_share_of_its_step_that_a_weight_takes(mask, model):
    update = replace(ft.unlearn(request(model)), mask=mask)
    found = after(model, update, epochs=2)
    assert found == pytest.approx(by_hand([[R], [R]], moves=mask.tolist()), rel=1e-5)
    assert mask[0] or found[0] == A


def test_training_begins_where_the_update_says(model):
    """EU-k, whose last layer is all of this model, starts from a fresh one."""
    update = eu_k.unlearn(request(model), k=1)
    assert update.start.weights[0].tolist() == pytest.approx(STRANGER)
    assert after(model, update) == pytest.approx(by_hand([[R]], begin=STRANGER), rel=1e-5)


def test_an_update_that_passes_over_nothing_leaves_its_start_as_it_is(model):
    """To the bit, weight decay or not, and its loss is none."""
    start = replace(model, weights=torch.tensor([[0.7, 0.1]]))
    stack = starts(model[:], [Update(start=start)])
    plan = recipe(epochs=2, batch_size=8, weight_decay=DECAY)
    losses = fit(stack, request(model).images, [Update().member(Schedule(0.0), 1)], plan)
    assert torch.equal(stack.weights, start.weights)
    assert losses.tolist() == [[0.0, 0.0]]


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
    drawn = {update.passes(generator, 0)[0].label[-1].item() for _ in range(200)}
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
        return bs.unlearn(asked).passes(torch.Generator(), 0)[1].label

    whole, sizes, logits = labels(), [], Request.logits
    monkeypatch.setattr(Request, "logits", lambda self, x: sizes.append(len(x)) or logits(self, x))
    monkeypatch.setattr("amun_steps.methods.at_once", lambda _: 16)
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
        assert bs.unlearn(asked, bound=2.6 / 255).passes(torch.Generator(), 0)[1].label.tolist() == [nearest]
