"""The methods beyond the paper's, each against its published rule written out plainly, on a small network.

Hand-computed steps of those that train with another loss are in test_methods.py.
"""

import copy
from functools import cache

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F
from toy import SMALL, images, models, recipe
from toy import request as request_on

from amun_steps.methods import (
    Request,
    bad_teacher,
    cf_k,
    ct,
    delete,
    eu_k,
    fisher,
    imitation,
    influence,
    last_layers,
    layers,
    msg,
    neggrad_plus,
    scrub,
    ssd,
    starts,
    unsir,
)
from amun_steps.training.fit import fit
from amun_steps.training.recipe import Member, Samples, Schedule
from amun_steps.training.stack import Stack, build

REMAIN, FORGET = range(40), range(40, 52)


@cache
def trained() -> Stack:
    """A model that has learned 52 random images a little, with running statistics."""
    pool, labels = images(52)
    stack = models(1)
    everything = Samples.of(torch.arange(52), labels)
    fit(stack, pool, [Member(lambda *_: [everything], Schedule(0.05), 0)], recipe(epochs=10))
    return stack


def asked(remain=REMAIN, forget=FORGET) -> Request:
    pool, labels = images(52)
    return request_on(pool, labels, trained()[:], remain, forget)


def module_of(stack: Stack) -> nn.Module:
    module = build(stack.network).eval()
    module.load_state_dict({k: v[0] for k, v in {**stack.parameters(stack.weights), **stack.buffers}.items()})
    return module


def vector(module: nn.Module) -> torch.Tensor:
    return nn.utils.parameters_to_vector(module.parameters()).detach()


def each_gradient(module: nn.Module, rows) -> torch.Tensor:
    """(rows, parameters) gradient of each sample's cross entropy, one after the other."""
    pool, labels = images(52)
    found = []
    for n in rows:
        module.zero_grad()
        F.cross_entropy(module(pool[n : n + 1]), labels[n : n + 1]).backward()
        found.append(torch.cat([p.grad.flatten() for p in module.parameters()]))
    return torch.stack(found)


def close(found: torch.Tensor, expected: torch.Tensor, tolerance: float = 1e-4) -> None:
    """Within `tolerance` of the size of `expected`, over all weights together."""
    assert (found - expected).norm() <= tolerance * expected.norm()


# what methods are given


def test_gradients_are_those_of_a_module_in_evaluation_mode():
    request, expected = asked(), each_gradient(module_of(trained()), FORGET)
    close(request.gradient(request.forget, batch=5), expected.sum(dim=0))
    close(request.fisher(request.forget, batch=5), expected.square().mean(dim=0))


def test_an_added_image_is_behind_the_pool():
    request = asked()
    rows = request.add(torch.full((3, 1, 8, 8), 2.0)), request.add(torch.zeros(1, 1, 8, 8))
    assert [r.tolist() for r in rows] == [[52, 53, 54], [55]]
    whole = torch.cat([request.images, *request.added])
    assert (whole[rows[0]] == 2).all()
    assert (whole[rows[1]] == 0).all()


def test_a_layer_is_a_map_with_the_normalisation_behind_it():
    found = layers(trained())
    assert [name for layer in found for name in layer] == [name for name, _ in build(SMALL).named_parameters()]
    parameters = dict(build(SMALL).named_parameters())
    assert all(parameters[layer[0]].ndim > 1 for layer in found)
    assert all(parameters[name].ndim == 1 for layer in found for name in layer[1:])
    sizes = [sum(parameters[name].numel() for name in layer) for layer in found]
    assert last_layers(trained(), 2).sum() == sum(sizes[-2:])
    assert last_layers(trained(), 1)[-sizes[-1] :].all()
    assert last_layers(trained(), 99).all()


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10_000), temperature=st.floats(0.3, 8))
def test_imitation_is_a_divergence(seed, temperature):
    """T^2 sum q log(q / p): none from itself, else more than none; a class that the teacher rules out is no NaN."""
    generator = torch.Generator().manual_seed(seed)
    teacher, model = torch.randn(2, 7, 5, generator=generator, dtype=torch.float64) * 3
    labels = torch.zeros(7, dtype=torch.long)
    found = imitation(lambda x, y: teacher, temperature)(model, teacher, labels)
    p, q = (np.exp(z.numpy() / temperature) for z in (model, teacher))
    p, q = p / p.sum(axis=1, keepdims=True), q / q.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(found, temperature**2 * (q * np.log(q / p)).sum(axis=1), rtol=1e-8, atol=1e-12)
    assert (found >= -1e-12).all()
    assert imitation(lambda x, y: model, temperature)(model, teacher, labels).abs().max() < 1e-9
    ruled_out = teacher.index_fill(1, torch.tensor([0]), -torch.inf)
    assert imitation(lambda x, y: ruled_out, temperature)(model, teacher, labels).isfinite().all()


# methods that train


def run(update, request: Request, epochs: int, rate: float = 0.05, batch_size: int = 64) -> torch.Tensor:
    """The weights after `epochs` of `fit`."""
    stack = starts(request.model[:], [update])
    pool = torch.cat([request.images, *request.added])
    fit(stack, pool, [update.member(Schedule(rate), 9)], recipe(epochs=epochs, batch_size=batch_size))
    return stack.weights[0]


def literally(start: nn.Module, steps, rate: float = 0.05, moves=None) -> torch.Tensor:
    """The weights after steps of SGD with the recipe's momentum and weight decay; steps: (module) -> loss."""
    module, plan = copy.deepcopy(start).train(), recipe()
    velocity = torch.zeros_like(vector(module))
    for step in steps:
        module.zero_grad()
        step(module).backward()
        gradient = torch.cat([p.grad.flatten() for p in module.parameters()])
        velocity = plan.momentum * velocity + gradient + plan.weight_decay * vector(module)
        change = rate * velocity * (1 if moves is None else moves)
        nn.utils.vector_to_parameters(vector(module) - change, module.parameters())
    return vector(module)


def on(rows):
    """The mean cross entropy on rows, in one batch."""
    pool, labels = images(52)
    rows = torch.tensor(list(rows))
    return lambda module: F.cross_entropy(module(pool[rows]), labels[rows])


def kl(teacher_logits, logits, t=1.0):
    """T^2 KL, the mean over a batch, from its definition."""
    p, q = F.softmax(logits / t, dim=1), F.softmax(teacher_logits / t, dim=1)
    return t**2 * (q * (q.clamp_min(1e-38).log() - p.log())).sum(dim=1).mean()


def test_neggrad_plus_descends_and_ascends_in_one_step():
    """12 of 40 samples in the first turn of D_F, in whole batches: every sample of D_F is there 40 / 12 times."""
    pool, labels = images(52)
    update = neggrad_plus.unlearn(asked(), alpha=0.9)
    order = torch.Generator().manual_seed(9)
    rows = torch.randperm(40, generator=order)
    again = torch.cat([torch.randperm(12, generator=order) for _ in range(4)])[:40] + 40

    def loss(module):
        logits = module(pool[torch.cat([rows, again])])
        one = F.cross_entropy(logits[:40], labels[rows])
        return 0.9 * one - 0.1 * F.cross_entropy(logits[40:], labels[again])

    close(run(update, asked(), 1), literally(module_of(trained()), [loss]))


def test_scrub_is_its_two_passes():
    pool, labels = images(52)
    teacher = module_of(trained())
    remain, forget = pool[:40], pool[40:]

    def away(module):
        return -kl(teacher(forget).detach(), module(forget), 3.0)

    def near(module):
        logits = module(remain)
        return 0.9 * F.cross_entropy(logits, labels[:40]) + 0.2 * kl(teacher(remain).detach(), logits, 3.0)

    update = scrub.unlearn(asked(), ascent_epochs=1, gamma=0.9, alpha=0.2, temperature=3.0)
    close(run(update, asked(), 3), literally(module_of(trained()), [away, near, near, near]))


def test_bad_teacher_takes_a_stranger_for_d_f_and_theta_o_for_a_share_of_d_r():
    pool, _ = images(52)
    request = asked()
    torch.manual_seed(5)
    update = bad_teacher.unlearn(request, share=0.25, temperature=2.0)
    (data,) = update.passes(torch.Generator(), 0)
    remain = data.index[data.index < 40]
    assert len(remain) == len(set(remain.tolist())) == 10
    assert data.index[data.index >= 40].tolist() == [*FORGET]
    torch.manual_seed(5)
    stranger, teacher = module_of(request.untrained()), module_of(trained())
    assert not torch.allclose(vector(stranger), vector(teacher))

    def loss(module):
        logits = module(pool[torch.cat([remain, torch.tensor([*FORGET])])])
        good = kl(teacher(pool[remain]).detach(), logits[:10], 2.0)
        bad = kl(stranger(pool[40:]).detach(), logits[10:], 2.0)
        return (10 * good + 12 * bad) / 22

    close(run(update, asked(), 2), literally(module_of(trained()), [loss, loss]))


@pytest.mark.parametrize("access", [True, False])
def test_delete_takes_the_true_class_out_of_theta_o_s_answer(access):
    pool, labels = images(52)
    wanted = module_of(trained())(pool[40:]).detach().softmax(dim=1)
    wanted[torch.arange(12), labels[40:]] = 0
    wanted /= wanted.sum(dim=1, keepdim=True)

    def loss(module):
        log = module(pool[40:]).log_softmax(dim=1)
        return (wanted * (wanted.clamp_min(1e-38).log() - log)).sum(dim=1).mean()

    request = asked(remain=REMAIN if access else [])
    steps = [on(REMAIN), loss] if access else [loss]
    close(run(delete.unlearn(request), request, 2), literally(module_of(trained()), 2 * steps))


@pytest.mark.parametrize("k", [1, 2, 3])
def test_cf_k_moves_the_last_layers_alone(k):
    module = module_of(trained())
    maps = [name for name, p in module.named_parameters() if p.ndim > 1][-k]
    names = [name for name, _ in module.named_parameters()]
    moves = torch.cat(
        [torch.full((p.numel(),), float(names.index(n) >= names.index(maps))) for n, p in module.named_parameters()]
    )
    found = run(cf_k.unlearn(asked(), k=k), asked(), 2)
    close(found, literally(module, [on(REMAIN)] * 2, moves=moves))
    assert torch.equal(found[moves == 0], vector(module)[moves == 0])


def test_eu_k_starts_the_last_layers_anew():
    request = asked()
    torch.manual_seed(3)
    update = eu_k.unlearn(request, k=2)
    torch.manual_seed(3)
    fresh, module = vector(module_of(request.untrained())), module_of(trained())
    moves = last_layers(trained(), 2)
    begun = torch.where(moves, fresh, vector(module))
    assert torch.equal(update.start.weights[0], begun)
    nn.utils.vector_to_parameters(begun, module.parameters())
    close(run(update, request, 2), literally(module, [on(REMAIN)] * 2, moves=moves.float()))


def test_ct_turns_every_kernel():
    module = module_of(trained())
    with torch.no_grad():
        for part in module.modules():
            if isinstance(part, nn.Conv2d):
                part.weight.copy_(part.weight.swapaxes(2, 3).clone())
    request = asked()
    update = ct.unlearn(request)
    assert torch.equal(update.start.weights[0], vector(module))
    assert not torch.equal(vector(module), trained().weights[0])
    close(run(update, request, 2), literally(module, [on(REMAIN)] * 2))


def test_msg_sets_anew_what_has_the_least_gradient_and_slows_the_rest():
    request = asked()
    torch.manual_seed(11)
    update = msg.unlearn(request, share=0.3)
    torch.manual_seed(11)
    alike = torch.randperm(40)[:12]
    module = module_of(trained())
    gradient = each_gradient(module, alike.tolist()).mean(dim=0) - each_gradient(module, FORGET).mean(dim=0)
    start, mask = (stack for stack in (update.start.weights[0], update.mask))
    at = 0
    for name, p in module.named_parameters():
        part = slice(at, at + p.numel())
        at += p.numel()
        before, now, pace, size = p.detach().flatten(), start[part], mask[part], gradient[part].abs()
        if p.ndim != 4:
            assert torch.equal(now, before), name
            assert (pace == 1).all()
            continue
        anew = pace == 1
        assert anew.sum() == round(0.3 * p.numel())
        assert size[anew].max() <= size[~anew].min() * (1 + 1e-3)
        assert (pace[~anew] == 0.1).all()
        assert torch.equal(now[~anew], before[~anew])
        assert (now[anew] != before[anew]).all()
        if anew.sum() > 100:  # He's normal draw by the outputs: a standard deviation of sqrt(2 / (channels * 9))
            assert now[anew].std() == pytest.approx((2 / (p.shape[0] * p.shape[2] * p.shape[3])) ** 0.5, rel=0.25)
    nn.utils.vector_to_parameters(start, module.parameters())
    close(run(update, request, 2), literally(module, [on(REMAIN)] * 2, moves=mask))


def test_unsir_impairs_by_noise_that_theta_o_gets_wrong_then_repairs():
    _, labels = images(52)
    request = asked()
    torch.manual_seed(2)
    update = unsir.unlearn(request, share=0.5, noise_steps=15, noise_rate=0.1, noise_decay=0.05)
    (added,) = request.added
    torch.manual_seed(2)
    noise = torch.randn(12, 1, 8, 8).requires_grad_()
    optimiser, module = torch.optim.Adam([noise], lr=0.1), module_of(trained())
    for _ in range(15):
        optimiser.zero_grad()
        loss = -F.cross_entropy(module(noise), labels[40:], reduction="sum") + 0.05 * noise.square().sum()
        loss.backward()
        optimiser.step()
    torch.testing.assert_close(added, noise.detach(), rtol=1e-3, atol=1e-3)
    impair, repair = (update.passes(torch.Generator(), epoch) for epoch in (0, 1))
    (impair,), (repair,) = impair, repair
    assert impair.index[-12:].tolist() == [*range(52, 64)]
    assert torch.equal(impair.label[-12:], labels[40:])
    assert not impair.augment[-12:].any()
    assert len(impair) == 20 + 12
    assert repair.index.tolist() == [*REMAIN]
    pool = torch.cat([request.images, added])
    first = lambda module: F.cross_entropy(module(pool[impair.index]), impair.label)  # noqa: E731
    close(run(update, request, 2), literally(module_of(trained()), [first, on(REMAIN)]))


# methods that train nothing


@pytest.mark.parametrize(("alpha", "dampening"), [(1.3, 0.5), (0.5, 1.0)])  # the second: some factors are above 1
def test_ssd_dampens_what_matters_more_to_d_f(alpha, dampening):
    module = module_of(trained())
    to_f = each_gradient(module, FORGET).square().mean(dim=0)
    to_d = each_gradient(module, [*REMAIN, *FORGET]).square().mean(dim=0)
    weights, expected = vector(module), []
    for weight, f, d in zip(weights.tolist(), to_f.tolist(), to_d.tolist(), strict=True):
        expected.append(weight * min(dampening * d / f, 1) if f > alpha * d else weight)
    found = ssd.unlearn(asked(), alpha=alpha, dampening=dampening)
    close(found.start.weights[0], torch.tensor(expected))
    dampened = (found.start.weights[0] != weights).float().mean()
    assert 0.05 < dampened < 0.95
    assert found.passes(torch.Generator(), 0) == ()
    assert torch.equal(ssd.unlearn(asked(), alpha=1e9).start.weights, trained().weights)


def test_fisher_forgetting_adds_noise_where_d_r_says_little():
    module = module_of(trained())
    information = each_gradient(module, REMAIN).square().mean(dim=0)
    last = last_layers(trained(), 1)
    alpha = float(information.median()) * fisher.MOST**2  # half of the weights are at the bound
    deviation = (alpha / information).sqrt().clamp(max=1e-3) * torch.where(last, 10, 1)
    torch.manual_seed(1)
    found = fisher.unlearn(asked(), alpha=alpha).start.weights[0] - trained().weights[0]
    torch.manual_seed(1)
    close(found, torch.randn(len(deviation)) * deviation, tolerance=2e-3)
    assert 0.3 < (deviation[~last] == 1e-3).float().mean() < 0.7


def test_influence_on_an_original_that_diverged_ends():
    request = asked()
    request.model.weights[:, 0] = torch.nan
    tried = []
    influence.solve(lambda x: tried.append(1) or x, torch.full((1000,), torch.nan))
    assert len(tried) < 2
    assert not influence.unlearn(request, samples=10).start.weights.isfinite().all()


@pytest.mark.parametrize("samples", [15, 1000])
def test_influence_is_the_newton_step_of_the_whole_matrix(samples):
    module = module_of(trained()).double()
    pool, labels = images(52)
    rows = []
    for n in range(52):
        module.zero_grad()
        F.cross_entropy(module(pool[n : n + 1].double()), labels[n : n + 1]).backward()
        rows.append(torch.cat([p.grad.flatten() for p in module.parameters()]))
    g = torch.stack(rows).numpy()
    torch.manual_seed(4)
    found = influence.unlearn(asked(), alpha=3.0, samples=samples).start.weights[0] - trained().weights[0]
    torch.manual_seed(4)
    chosen = torch.randperm(40)[:samples].numpy()
    v = (g[40:].sum(axis=0) - 12 * g[:40].mean(axis=0)) / 52
    f = g[chosen].T @ g[chosen] / len(chosen)
    expected = 3.0 * np.linalg.solve(np.eye(len(v)) + f, v)
    close(found, torch.from_numpy(expected).float(), tolerance=2e-3)
    assert not np.allclose(expected, 3.0 * v, rtol=0.1)  # the matrix matters
