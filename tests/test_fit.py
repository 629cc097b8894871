"""The training loop, against a literal loop over torch.optim.SGD and against itself in stacks of other sizes."""

import copy
import itertools
import random
import sys
from types import ModuleType

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F
from toy import CPU, SMALL, images, models, recipe

from amun_steps.store.step import InputError
from amun_steps.training import checkpoint
from amun_steps.training import stack as stacks
from amun_steps.training.batches import augment
from amun_steps.training.fit import fit, sgd_step, supervised
from amun_steps.training.recipe import Augmentation, Member, Samples, Schedule
from amun_steps.training.stack import Stack, build, concatenate, initialise, load, save


def learn(index, labels, seed=7, rate=0.1, **kwargs) -> Member:
    samples = Samples.of(index, labels[index])
    return Member(lambda *_: [samples], Schedule(rate, 1, 0.5), seed, **kwargs)


def literal(stack: Stack, pool, member: Member, plan) -> tuple[torch.nn.Module, list[float]]:
    """What `fit` says it does, with a module, torch.optim and a loop: no augmentation."""
    module = build(stack.network)
    tensors = {**stack.parameters(stack.weights), **stack.buffers}
    module.load_state_dict({k: v[0] for k, v in tensors.items()}, strict=False)  # a tied weight has one of its names
    optimiser = torch.optim.SGD(module.parameters(), lr=1, momentum=plan.momentum, weight_decay=plan.weight_decay)
    generator = torch.Generator().manual_seed(member.seed)
    losses = []
    module.train()
    for epoch in range(plan.epochs):
        total, count = 0.0, 0
        optimiser.param_groups[0]["lr"] = member.schedule.learning_rate * 0.5 ** (epoch // member.schedule.step)
        for samples in member.passes(generator, epoch):
            order = torch.randperm(len(samples), generator=generator)
            for rows in order.split(plan.batch_size):
                loss = F.cross_entropy(module(pool[samples.index[rows]]), samples.label[rows], reduction="none")
                objective = (loss * samples.weight[rows]).mean()
                if member.penalty is not None:
                    flat = torch.nn.utils.parameters_to_vector(module.parameters())
                    objective = objective + member.penalty(flat, epoch / plan.epochs)
                optimiser.zero_grad()
                objective.backward()
                optimiser.step()
                total, count = total + loss.sum().item(), count + len(rows)
        losses.append(total / count)
    return module, losses


@pytest.mark.parametrize("penalty", [None, lambda w, progress: (1 - progress) * 1e-3 * w.abs().sum()])
def test_a_fit_is_what_torch_optim_does(penalty):
    pool, labels = images(50)
    start = models(1)
    member = learn(torch.arange(50), labels, penalty=penalty)
    plan = recipe(epochs=3)
    module, losses = literal(copy.deepcopy(start), pool, member, plan)
    found = fit(start, pool, [member], plan)
    expected = torch.nn.utils.parameters_to_vector(module.parameters())
    torch.testing.assert_close(start.weights[0], expected, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(found[0], torch.tensor(losses), rtol=1e-4, atol=1e-5)
    for name, value in module.named_buffers():
        torch.testing.assert_close(start.buffers[name][0], value, rtol=1e-4, atol=1e-5)


def test_two_passes_with_negated_loss_are_what_torch_optim_does():
    pool, labels = images(50)
    start = models(1)
    remain = Samples.of(torch.arange(40), labels[:40])
    forget = Samples.of(torch.arange(40, 50), labels[40:])
    member = Member(lambda *_: [remain, -forget], Schedule(0.05, 1, 0.5), 3)
    module, _ = literal(copy.deepcopy(start), pool, member, recipe())
    fit(start, pool, [member], recipe())
    expected = torch.nn.utils.parameters_to_vector(module.parameters())
    torch.testing.assert_close(start.weights[0], expected, rtol=1e-4, atol=1e-5)


def test_a_member_does_not_depend_on_its_stack():
    """Sizes, learning rates, orders and augmentation differ between members; each ends where it ends alone.

    How far apart: floating-point noise, at most 1e-4 of a weight's size after 3 epochs (1e-6 for most).
    """
    pool, labels = images(90)
    plan = recipe(epochs=3, augmentation=Augmentation(crop_padding=1, flip=True))
    members = [
        learn(torch.arange(n), labels, seed=n, rate=r) for n, r in [(90, 0.1), (83, 0.03), (90, 0.02), (47, 0.1)]
    ]
    alone = []
    for m, member in enumerate(members):
        alone.append(models(1, first=m))
        fit(alone[-1], pool, [member], plan)
    together = models(4)
    fit(together, pool, members, plan)
    expected = concatenate(alone)
    torch.testing.assert_close(together.weights, expected.weights, rtol=1e-4, atol=1e-4)
    for name, value in expected.buffers.items():
        torch.testing.assert_close(together.buffers[name], value, rtol=1e-4, atol=1e-4)
    assert not torch.allclose(together.weights[0], together.weights[2], atol=1e-2)  # they are different models


def test_the_same_fit_gives_the_same_bits():
    pool, labels = images(40)
    results = []
    for _ in range(2):
        stack = models(2)
        fit(stack, pool, [learn(torch.arange(40), labels, seed=s) for s in (1, 2)], recipe())
        results.append(stack.weights)
    assert torch.equal(*results)


def test_masked_weights_keep_their_bits():
    pool, labels = images(40)
    stack = models(2)
    before = stack.weights.clone()
    masks = [torch.rand(before.shape[1], generator=torch.Generator().manual_seed(s)) < 0.3 for s in (1, 2)]
    fit(stack, pool, [learn(torch.arange(40), labels, mask=mask) for mask in masks], recipe())
    for row, mask in enumerate(masks):
        assert torch.equal(stack.weights[row][~mask], before[row][~mask])
        assert (stack.weights[row][mask] != before[row][mask]).float().mean() > 0.99


def test_a_diverged_member_disturbs_no_other():
    pool, labels = images(64)
    stack = models(2)
    fit(stack, pool, [learn(torch.arange(64), labels, rate=r) for r in (1e30, 0.1)], recipe())
    assert not stack.weights[0].isfinite().all()
    assert stack.weights[1].isfinite().all()
    alone = models(1, first=1)
    fit(alone, pool, [learn(torch.arange(64), labels)], recipe())
    torch.testing.assert_close(stack.weights[1], alone.weights[0], rtol=1e-4, atol=1e-4)


def test_sgd_step_by_hand():
    """Two models of two weights: v = 0.9 v + g + 0.1 w, w -= rate v, the second model's second weight masked."""
    weights = torch.tensor([[1.0, 2.0], [3.0, -1.0]])
    velocity = torch.tensor([[0.0, 1.0], [1.0, 1.0]])
    gradient = torch.tensor([[0.5, -0.2], [1.0, 1.0]])
    mask = torch.tensor([[True, True], [True, False]])
    sgd_step(weights, gradient, velocity, torch.tensor([[0.1], [1.0]]), 0.9, 0.1, mask)
    torch.testing.assert_close(velocity, torch.tensor([[0.6, 0.9], [2.2, 1.8]]))
    torch.testing.assert_close(weights, torch.tensor([[0.94, 1.91], [0.8, -1.0]]))


def test_augment_crops_and_mirrors_as_told():
    x = torch.rand(1, 3, 2, 5, 6)
    batch = {
        "shift": torch.tensor([[[1, 1], [0, 2], [2, 1]]]),  # none; one row up and one column right; one row down
        "flip": torch.tensor([[False, False, True]]),
    }
    out = augment(x, batch, Augmentation(crop_padding=1, flip=True))
    padded = F.pad(x[0], (1, 1, 1, 1))
    assert torch.equal(out[0, 0], x[0, 0])
    assert torch.equal(out[0, 1], padded[1, :, 0:5, 2:8])
    assert torch.equal(out[0, 2], padded[2, :, 2:7, 1:7].flip(-1))


class InterruptionError(Exception):
    """What a preempted job's fit ends with."""


@pytest.mark.parametrize("epochs", [1, 3])
def test_a_fit_that_is_interrupted_goes_on_to_the_same_bits(tmp_path, monkeypatch, epochs):
    """Stopped in the middle of the epoch after `epochs` whole ones, then called again; losses and buffers too."""
    monkeypatch.setattr(checkpoint, "SECONDS_BETWEEN", 0.0)
    pool, labels = images(60)
    plan = recipe(epochs=5, augmentation=Augmentation(crop_padding=1, flip=True))
    members = [learn(torch.arange(n), labels, seed=n) for n in (60, 52)]
    whole = models(2)
    losses = fit(whole, pool, members, plan)
    steps = []

    def dies(*arguments):
        steps.append(1)
        if len(steps) > epochs * 5 + 2:  # 4 steps an epoch, the last of them for each member alone
            raise InterruptionError
        return supervised(*arguments)

    path = tmp_path / "partial" / "models.safetensors"
    with pytest.raises(InterruptionError):
        fit(models(2), pool, members, plan, objective=dies, checkpoint=path)
    steps.clear()
    resumed = models(2)

    def counts(*arguments):
        steps.append(1)
        return supervised(*arguments)

    found = fit(resumed, pool, members, plan, objective=counts, checkpoint=path)
    assert len(steps) == 5 * (5 - epochs)  # the epochs that were done were not done again
    assert torch.equal(resumed.weights, whole.weights)
    assert torch.equal(found, losses)
    assert all(torch.equal(resumed.buffers[name], value) for name, value in whole.buffers.items())
    # a finished one is not trained again either
    again = models(2)
    fit(again, pool, members, plan, objective=dies, checkpoint=path)
    assert torch.equal(again.weights, whole.weights)


def test_bfloat16_changes_a_fit_a_little_and_keeps_float32_weights():
    pool, labels = images(64)
    exact, rounded = models(1), models(1)
    fit(exact, pool, [learn(torch.arange(64), labels)], recipe())
    fit(rounded, pool, [learn(torch.arange(64), labels)], recipe(precision="bfloat16"))
    assert rounded.weights.dtype == torch.float32
    apart = (exact.weights - rounded.weights).norm() / exact.weights.norm()
    assert 1e-5 < apart < 0.1


def test_what_is_compiled_is_one_graph(monkeypatch):
    """In half precision too: what finds out about the network stays outside; within, it would be each step."""
    whole = torch.compile(stacks._forward, backend="eager", fullgraph=True)
    monkeypatch.setattr(stacks, "_compiled", lambda: whole)
    stack, x = models(1), images(4)[0][None]
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(stack.logits(x, train=True, compiled=True), stack.logits(x, train=True))


def test_torch_compile_without_a_gpu_is_an_error():
    """Its code for CPUs has wrong gradients on some of them (torch 2.14 without AVX-512)."""
    pool, labels = images(16)
    with pytest.raises(InputError, match=r"^compile: found true on the device cpu, expected a CUDA GPU"):
        fit(models(1), pool, [learn(torch.arange(16), labels)], recipe(compile=True))


@pytest.mark.parametrize("size", [1, 2])
def test_the_forward_pass_can_be_compiled(size, monkeypatch):
    """Without a code generator: what torch.compile traces is the forward pass, with the running statistics."""
    traced = torch.compile(stacks._forward, backend="aot_eager", fullgraph=True)
    monkeypatch.setattr(stacks, "_compiled", lambda: traced)
    x = images(16)[0].expand(size, 16, 1, 8, 8)
    eager, compiled = models(size), models(size)
    torch.testing.assert_close(eager.logits(x, train=True), compiled.logits(x, train=True, compiled=True))
    for name, value in eager.buffers.items():
        torch.testing.assert_close(compiled.buffers[name], value)


def test_a_last_batch_of_one_sample_is_part_of_the_batch_before():
    pool, labels = images(33)
    sizes = []

    def look(network, x, y, generators):
        sizes.append(x.shape[:2])
        return supervised(network, x, y, generators)

    members = [learn(torch.arange(n), labels) for n in (33, 32, 31, 17, 16, 1)]
    fit(models(6), pool, members, recipe(epochs=1, batch_size=16), objective=look)
    # of 33: 16 and 17; of 32: 16 twice; of 31: 16 and 15; of 17: all; of 16: all; of 1: all
    assert sorted(map(tuple, sizes)) == sorted([(4, 16), (1, 17), (1, 1), (1, 17), (1, 16), (1, 15)])


class Tied(nn.Module):
    """A network with one weight under two names."""

    def __init__(self, shape, classes):
        super().__init__()
        self.first, self.second, self.head = nn.Linear(64, 64), nn.Linear(64, 64), nn.Linear(64, classes)
        self.second.weight = self.first.weight

    def forward(self, images):
        return self.head(self.second(self.first(images.flatten(1)).relu()).relu())


@pytest.mark.parametrize("size", [1, 2])
def test_tied_weights_are_one_weight(size, monkeypatch):
    mine = ModuleType("amun_steps.models.tied")
    mine.build = Tied
    monkeypatch.setitem(sys.modules, mine.__name__, mine)
    pool, labels = images(50)
    start = models(size, {"name": "tied", "shape": [1, 8, 8], "classes": 10})
    trained, members = start[range(size)], [learn(torch.arange(40), labels, seed) for seed in range(size)]
    fit(trained, pool, members, recipe())
    for m, member in enumerate(members):
        module, _ = literal(start[[m]], pool, member, recipe())
        torch.testing.assert_close(trained.weights[m], nn.utils.parameters_to_vector(module.parameters()).detach())


@pytest.fixture
def dropout(monkeypatch) -> dict:
    """A network that draws random numbers, as a user's file of `amun_steps.models`."""
    mine = ModuleType("amun_steps.models.mine")
    mine.build = lambda shape, classes: nn.Sequential(
        nn.Flatten(), nn.Linear(64, 32), nn.ReLU(), nn.Dropout(0.5), nn.Linear(32, classes)
    )
    monkeypatch.setitem(sys.modules, mine.__name__, mine)
    return {"name": "mine", "shape": [1, 8, 8], "classes": 10}


def test_a_network_that_draws_random_numbers_is_known_as_one(dropout):
    assert models(1, dropout).random
    assert not models(1).random


def noisy(index, labels, seed) -> Member:
    """A member whose samples, labels and penalty are drawn from global generators."""

    def passes(*_):
        samples = Samples.of(index, labels[index])
        chosen = torch.rand(len(index)) < 0.9
        label = (samples.label + np.random.randint(0, 2) + random.randrange(2)) % 10
        return [Samples.of(index[chosen], label[chosen])]

    return Member(passes, Schedule(0.1), seed, penalty=lambda w, _: 1e-3 * (w * torch.rand_like(w)).sum())


@pytest.mark.parametrize("others", [0, 2])
def test_what_is_drawn_from_global_generators_is_a_member_s_own(dropout, others, tmp_path, monkeypatch):
    """The same weights, whatever was drawn before, whoever shares the stack, and through an interruption."""
    pool, labels = images(40)
    index, plan = torch.arange(40), recipe(epochs=4)
    alone = models(1, dropout)
    fit(alone, pool, [noisy(index, labels, 5)], plan)
    torch.rand(3), np.random.rand(3), random.random()
    together = models(1 + others, dropout)
    fit(together, pool, [noisy(index, labels, 5 + m) for m in range(1 + others)], plan)
    torch.testing.assert_close(together.weights[0], alone.weights[0], rtol=1e-4, atol=1e-6)

    monkeypatch.setattr(checkpoint, "SECONDS_BETWEEN", 0)
    path, interrupted = tmp_path / "fit.safetensors", models(1, dropout)

    epochs = itertools.count()

    def stop():
        if next(epochs) == 2:  # after the checkpoint of two epochs
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit(interrupted, pool, [noisy(index, labels, 5)], plan, checkpoint=path, after_epoch=stop)
    again = models(1, dropout)
    fit(again, pool, [noisy(index, labels, 5)], plan, checkpoint=path)
    assert torch.equal(again.weights, alone.weights)


def test_two_members_draw_different_numbers_from_global_generators(dropout):
    pool, labels = images(16)
    in_batches, in_penalties = [], []

    def draws(network, x, y, generators):
        in_batches.append(torch.rand(1).item())
        return supervised(network, x, y, generators)

    def penalty(weights, progress):
        in_penalties.append(torch.rand(1).item())
        return 0 * weights.sum()

    members = [learn(torch.arange(16), labels, seed=seed, penalty=penalty) for seed in (5, 6)]
    fit(models(2, dropout), pool, members, recipe(epochs=2), objective=draws)
    assert len(set(in_batches)) == len(in_batches) == 4
    assert len(set(in_penalties)) == len(in_penalties) == 4


def test_samples_that_are_not_augmented_stay_as_they_are():
    """Two pixels tell whether an image was shifted: with batch size 1 and no learning, the loss would differ."""
    pool, labels = images(30)
    index = torch.arange(30)
    seen = []

    def spy(network, x, y, generators):
        seen.append(x)
        return network(x).flatten(0, 1)[:, 0].view(1, -1)

    samples = Samples.of(index, labels, augment=False)
    member = Member(lambda *_: [samples], Schedule(0.1), 0)
    fit(models(1), pool, [member], recipe(epochs=1, augmentation=Augmentation(2, True)), objective=spy)
    shown = torch.cat(seen, dim=1)[0]
    assert {tuple(x.flatten().tolist()) for x in shown} == {tuple(x.flatten().tolist()) for x in pool}


def test_a_fit_can_be_looked_at_after_each_epoch():
    pool, labels = images(20)
    seen = []
    stack = models(1)
    member = learn(torch.arange(20), labels)
    fit(stack, pool, [member], recipe(epochs=3), after_epoch=lambda: seen.append(stack.weights.clone()))
    shorter = models(1)
    fit(shorter, pool, [member], recipe(epochs=2))
    assert len(seen) == 3
    assert torch.equal(seen[1], shorter.weights)
    assert torch.equal(seen[2], stack.weights)


def test_an_initialisation_depends_on_its_own_seed_alone():
    assert torch.equal(initialise(SMALL, [5, 6, 7], CPU).weights[2], initialise(SMALL, [7], CPU).weights[0])


def test_a_stack_survives_its_file(tmp_path):
    stack = models(3)
    save(stack[:2], tmp_path / "a.safetensors")
    save(stack[2:], tmp_path / "b.safetensors")
    loaded = load([tmp_path / "a.safetensors", tmp_path / "b.safetensors"], CPU)
    assert torch.equal(loaded.weights, stack.weights)
    assert loaded.network == stack.network
    x, _ = images(5)
    assert torch.equal(loaded.predict(x), stack.predict(x))


def test_a_stack_predicts_what_its_modules_predict():
    stack = models(2)
    x, _ = images(9)
    for row in range(2):
        module = build(SMALL).eval()
        module.load_state_dict({k: v[row] for k, v in {**stack.parameters(stack.weights), **stack.buffers}.items()})
        with torch.no_grad():
            torch.testing.assert_close(stack.predict(x, batch=4)[row], module(x), rtol=1e-5, atol=1e-6)


def test_crops_are_uniform_and_half_of_the_images_are_mirrored():
    """Of one image with nine different pixels in the middle, 2,000 times: 25 shifts, each mirrored or not."""
    image = torch.zeros(1, 1, 5, 5)
    image[0, 0, 1:4, 1:4] = torch.arange(1.0, 10).view(3, 3)
    samples = Samples.of(torch.zeros(2000, dtype=torch.long), torch.zeros(2000, dtype=torch.long))
    seen = []

    def spy(network, x, y, generators):
        seen.append(x)
        return network(x).flatten(0, 1)[:, 0].view(1, -1)

    network = {**SMALL, "shape": [1, 5, 5]}
    plan = recipe(epochs=1, batch_size=2000, augmentation=Augmentation(2, True))
    fit(models(1, network), image, [Member(lambda *_: [samples], Schedule(0.0), 0)], plan, objective=spy)
    found, counts = torch.cat(seen, dim=1)[0].flatten(1).unique(dim=0, return_counts=True)
    assert len(found) == 50
    assert counts.min() > 10  # each is expected 40 times; a deviation is 6.3
    padded = F.pad(image, (2, 2, 2, 2))
    plain = {tuple(padded[0, 0, r : r + 5, c : c + 5].flatten().tolist()) for r in range(5) for c in range(5)}
    share = sum(n for x, n in zip(found.tolist(), counts.tolist(), strict=True) if tuple(x) in plain) / 2000
    assert abs(share - 0.5) < 0.05


def test_samples_are_weighed_joined_and_cut():
    a, b = Samples.of(torch.arange(3), torch.arange(3)), Samples.of(torch.arange(3, 5), torch.arange(2), augment=False)

    def one(logits, images, labels):
        return logits[:, 0]

    def other(logits, images, labels):
        return logits[:, 1]

    joined = 0.5 * a + -b.with_loss(one) + a.with_loss(other)[torch.tensor([2])] + b.with_loss(one)
    assert joined.index.tolist() == [0, 1, 2, 3, 4, 2, 3, 4]
    assert joined.weight.tolist() == [0.5, 0.5, 0.5, -1, -1, 1, 1, 1]
    assert joined.augment.tolist() == [True] * 3 + [False] * 2 + [True] + [False] * 2
    assert joined.losses == (one, other)
    assert joined.loss.tolist() == [0, 0, 0, 1, 1, 2, 1, 1]


def literally(start: Stack, plan, steps) -> torch.Tensor:
    """The weights after a step of torch.optim.SGD at the rate 0.05 for each of `steps`: (module) -> a loss."""
    module = build(start.network)
    module.load_state_dict({k: v[0] for k, v in {**start.parameters(start.weights), **start.buffers}.items()})
    optimiser = torch.optim.SGD(module.parameters(), lr=0.05, momentum=plan.momentum, weight_decay=plan.weight_decay)
    for step in steps:
        optimiser.zero_grad()
        step(module).backward()
        optimiser.step()
    return torch.nn.utils.parameters_to_vector(module.parameters())


def squares(logits, images, labels):
    """A loss that wants the logits, the images as the model sees them, and the labels."""
    return (logits.square().sum(dim=1) + images.flatten(1).mean(dim=1)) * (1 + labels)


def test_samples_have_losses_of_their_own_in_one_batch():
    """In a stack whose members differ in which samples have which loss."""
    pool, labels = images(48)
    plan, members, expected = recipe(epochs=2, batch_size=16), [], []
    for seed, cut in ((3, 20), (4, 30)):
        own = 0.1 * Samples.of(torch.arange(cut), labels[:cut]).with_loss(squares)
        data = own + Samples.of(torch.arange(cut, 48), labels[cut:])
        members.append(Member(lambda *_, data=data: [data], Schedule(0.05), seed))

        def loss(module, rows, cut=cut):
            x, y, logits = pool[rows], labels[rows], module(pool[rows])
            plain = F.cross_entropy(logits, y, reduction="none")
            return torch.where(rows < cut, 0.1 * squares(logits, x, y), plain).mean()

        generator = torch.Generator().manual_seed(seed)
        batches = [rows for _ in range(2) for rows in torch.randperm(48, generator=generator).split(16)]
        steps = [lambda module, rows=rows, loss=loss: loss(module, rows) for rows in batches]
        expected.append(literally(models(1, first=len(expected)), plan, steps))
    stack = models(2)
    fit(stack, pool, members, plan)
    torch.testing.assert_close(stack.weights, torch.stack(expected), rtol=1e-4, atol=1e-5)


def test_sets_taken_together_are_in_every_batch_and_the_shorter_begins_anew():
    """40 and 12 samples by 16: batches of 16 and 16, 16 and 16, 8 and 8, with the sum of both mean losses."""
    pool, labels = images(52)
    long, short = Samples.of(torch.arange(40), labels[:40]), Samples.of(torch.arange(40, 52), labels[40:])
    plan, start = recipe(epochs=1, batch_size=16), models(1)
    generator = torch.Generator().manual_seed(5)
    first = torch.randperm(40, generator=generator)
    second = torch.cat([torch.randperm(12, generator=generator) for _ in range(4)])[:40] + 40

    def loss(module, one, other):
        found = F.cross_entropy(
            module(pool[torch.cat([one, other])]), labels[torch.cat([one, other])], reduction="none"
        )
        return 0.9 * found[: len(one)].mean() - 0.1 * found[len(one) :].mean()

    pairs = zip(first.split(16), second.split(16), strict=True)
    expected = literally(start, plan, [lambda module, pair=pair: loss(module, *pair) for pair in pairs])
    fit(start, pool, [Member(lambda *_: [(0.9 * long, -0.1 * short)], Schedule(0.05), 5)], plan)
    torch.testing.assert_close(start.weights[0], expected, rtol=1e-4, atol=1e-5)


def test_passes_are_told_the_epoch():
    pool, labels = images(20)
    told = []

    def passes(generator, epoch):
        told.append(epoch)
        return [Samples.of(torch.arange(20), labels)] if epoch != 1 else []

    losses = fit(models(1), pool, [Member(passes, Schedule(0.05), 0)], recipe(epochs=3))
    assert told == [0, 1, 2]
    assert losses[0, 1] == 0
    assert (losses[0, [0, 2]] > 0).all()


def test_a_member_that_visits_nothing_keeps_its_bits_beside_one_that_learns():
    pool, labels = images(20)
    stack, before = models(2), models(2)
    fit(stack, pool, [Member(lambda *_: [], Schedule(0.05), 0), learn(torch.arange(20), labels)], recipe())
    assert torch.equal(stack.weights[0], before.weights[0])
    assert all(torch.equal(stack.buffers[name][0], value[0]) for name, value in before.buffers.items())
    assert not torch.equal(stack.weights[1], before.weights[1])
