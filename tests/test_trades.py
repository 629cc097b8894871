"""TRADES against its authors' rule, written out for one model as a plain module."""

import torch
from torch.nn import functional as F
from toy import CPU, SMALL, double, images, models, recipe

from amun_steps.training.fit import fit
from amun_steps.training.recipe import Member, Samples, Schedule
from amun_steps.training.stack import build, initialise
from amun_steps.training.trades import START, Trades

TRADES = Trades(beta=6.0, epsilon=0.1, steps=3, step_size=0.05)


def literal(module, x, y, noise):
    """The loss of one batch, summed; updates the module's running statistics as training does."""
    module.eval()
    near = x + START * noise
    for _ in range(TRADES.steps):
        near.requires_grad_()
        loss = F.kl_div(F.log_softmax(module(near), dim=1), F.softmax(module(x), dim=1), reduction="sum")
        (gradient,) = torch.autograd.grad(loss, [near])
        near = near.detach() + TRADES.step_size * torch.sign(gradient)
        near = torch.min(torch.max(near, x - TRADES.epsilon), x + TRADES.epsilon).clamp(0.0, 1.0)
    module.train()
    logits = module(x)
    robust = F.kl_div(F.log_softmax(module(near), dim=1), F.softmax(logits, dim=1), reduction="sum")
    return F.cross_entropy(logits, y, reduction="sum") + TRADES.beta * robust


def test_a_batch_s_loss_and_gradient_are_the_rule_s():
    stack = initialise(SMALL, [3], CPU)
    torch.manual_seed(3)
    module = build(SMALL)
    x, y = images(16)
    noise = torch.randn(x.shape, generator=torch.Generator().manual_seed(5))
    expected = literal(module, x, y, noise)
    expected.backward()
    weights = stack.weights.clone().requires_grad_()

    def network(inputs, train=True):
        return stack.logits(inputs, weights=weights if train else None, train=train)

    found = TRADES(network, x[None], y[None], [torch.Generator().manual_seed(5)]).sum()
    found.backward()
    torch.testing.assert_close(found, expected)
    gradient = torch.cat([p.grad.flatten() for p in module.parameters()])
    torch.testing.assert_close(weights.grad[0], gradient, rtol=1e-3, atol=1e-4)
    for name, value in module.named_buffers():
        torch.testing.assert_close(stack.buffers[name][0], value)


def test_a_model_s_training_does_not_depend_on_who_shares_its_stack():
    x, y = images(40)

    def member(seed):
        return Member(lambda *_: [Samples.of(torch.arange(40), y)], Schedule(0.05), seed)

    both, alone = double(models(2)), double(models(1, first=1))
    x = x.double()  # in single precision the sign of a gradient that is nearly zero depends on the kind of CPU
    fit(both, x, [member(1), member(2)], recipe(), objective=TRADES)
    fit(alone, x, [member(2)], recipe(), objective=TRADES)
    assert (both.weights[1] - alone.weights[0]).norm() < 0.02 * (
        alone.weights[0] - models(1, first=1).weights[0]
    ).norm()


def test_it_makes_a_model_s_answer_steadier_than_plain_training():
    x, y = images(60)
    member = Member(lambda *_: [Samples.of(torch.arange(60), y)], Schedule(0.05), 0)
    plain, robust = models(1), models(1)
    fit(plain, x, [member], recipe(epochs=15))
    fit(robust, x, [member], recipe(epochs=15), objective=TRADES)

    def moved(stack):
        noise = TRADES.epsilon * torch.sign(torch.randn(x.shape, generator=torch.Generator().manual_seed(0)))
        before, after = (stack.predict(z)[0].softmax(dim=1) for z in (x, (x + noise).clamp(0, 1)))
        return (before - after).abs().sum(dim=1).mean().item()

    assert moved(robust) < 0.5 * moved(plain)
