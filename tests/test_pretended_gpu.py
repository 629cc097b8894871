"""Every step on a GPU that only pretends to be one: what mixes devices stops there, too."""

import pkgutil

import pandas as pd
import pytest
import torch
from pretended_gpu import GPU, WAITS, OnGpu, gpu
from running import CONFIG, clone, edit, snakemake
from toy import CPU, SMALL, STEADY, files, images, models, recipe

from amun_steps import methods
from amun_steps.steps import unlearn
from amun_steps.steps.unlearn import Choice, Run, Unlearning
from amun_steps.training.clipping import Clipping
from amun_steps.training.fit import fit
from amun_steps.training.recipe import Augmentation, Member, Samples, Schedule
from amun_steps.training.stack import initialise


def test_it_refuses_what_a_gpu_refuses():
    """And knows what waits for it."""
    with gpu():
        here, there = torch.arange(3.0), torch.arange(3.0).to(GPU)
        assert isinstance(there + 1, OnGpu)
        assert there.device == GPU
        for wrong in (
            lambda: here + there,
            lambda: torch.cat([here, there]),
            lambda: here[there.long()],
            lambda: torch.rand(3, device=GPU, generator=torch.Generator()),
        ):
            with pytest.raises(RuntimeError, match="expected"):
                wrong()
        with pytest.raises(TypeError, match="numpy"):
            there.numpy()
        WAITS.clear()
        there[here.long()], there * torch.tensor(2.0), there.sum()
        assert not WAITS
        there.cpu(), there.sum().item(), there[there > 1], bool((there > 1).any())
        assert WAITS.total() == 4


SMALL_WEIGHTS = models(1).weights.shape[1]


def learn(seed: int) -> Member:
    labels = torch.arange(40) % 10
    samples = Samples.of(torch.arange(40)[seed:], labels[seed:])
    mask = torch.arange(SMALL_WEIGHTS) % 3 > 0
    return Member(lambda *_: [samples], Schedule(0.1), seed, penalty=lambda own, _: own.abs().sum() / 1e3, mask=mask)


@pytest.mark.parametrize("count", [1, 2])
def test_a_fit_has_the_cpu_s_bits_and_waits_for_nothing_within_an_epoch(count):
    """Alone and side by side, with sets of different sizes, augmentation, masks and penalties."""
    members = [learn(seed) for seed in range(count)]
    plan = recipe(epochs=3, batch_size=16, augmentation=Augmentation(2, True))
    pool = images(40)[0]
    expected = models(count)
    losses = fit(expected, pool, members, plan)
    with gpu():
        stack, waited = initialise(SMALL, range(count), GPU), []
        WAITS.clear()
        found = fit(stack, pool.to(GPU), members, plan, after_epoch=lambda: waited.append(WAITS.total()))
        assert torch.equal(found, losses)
        assert torch.equal(stack.weights.cpu(), expected.weights)
    assert waited == [0, 0, 1]  # the last one's loss, which the log tells


def test_clipping_has_the_cpu_s_bits():
    pool, labels = images(40)
    member = Member(lambda *_: [Samples.of(torch.arange(40), labels)], Schedule(0.1), 0)

    def clipped(where: torch.device) -> torch.Tensor:
        stack = initialise(STEADY, [0], where)
        fit(stack, pool.to(where), [member], recipe(epochs=1, batch_size=40), clipping=Clipping(2.0, 1))
        return stack.weights.cpu()

    expected = clipped(CPU)
    with gpu():
        assert torch.equal(clipped(GPU), expected)


METHODS = sorted({module.name for module in pkgutil.iter_modules(methods.__path__)} - {"influence"})
"""All but one, whose derivatives in forward mode do not see what holds the numbers."""
HYPERPARAMETERS = {
    "amun": {"include_forget": True},
    "amun_salun": {"include_forget": True, "mask_ratio": 0.5},
    "salun": {"mask_ratio": 0.5},
}


@pytest.fixture(scope="module")
def given(tmp_path_factory) -> dict:
    return files(tmp_path_factory.mktemp("store"), sets=1, network=SMALL)[0]


@pytest.mark.parametrize("method", METHODS)
def test_a_method_has_the_cpu_s_bits(method, given, monkeypatch):
    """Two originals side by side."""
    how = Unlearning(method, True, recipe(epochs=2), seed=0)
    choice = Choice(Schedule(0.01), HYPERPARAMETERS.get(method, {}))

    def unlearned(where: torch.device) -> torch.Tensor:
        monkeypatch.setattr(unlearn, "device", lambda: where)
        unlearner = unlearn.Unlearner(**given, forget_name="random10", unlearning=how)
        (found, _), *_ = unlearner.run([Run(original, 0, 0, choice) for original in range(2)], size=2)
        return found.weights.cpu()

    expected = unlearned(CPU)
    with gpu():
        assert torch.equal(unlearned(GPU), expected)


def test_numbers_of_a_workflow_are_the_cpu_s_to_the_bit(finished, tmp_path, monkeypatch):
    """From training to a method's row in a table, and Algorithm 1, each step a process of its own."""
    where = clone(tmp_path)
    real = '    if torch.cuda.is_available():\n        return torch.device("cuda")\n'
    pretended = "    import pretended_gpu\n\n    return pretended_gpu.device()\n"
    edit(where / "amun_steps/training/device.py", real, pretended)
    edit(where / CONFIG, "methods: [ft, amun_salun]\n    access", "methods: [ft]\n    access")  # of the table
    monkeypatch.setenv("PYTHONPATH", str(where / "tests"))
    snakemake(where, "--cores", "2", "--", "results/tables/table1.csv", "results/figures/fig4.csv")
    made, expected = ((folder / "results/figures/fig4.csv").read_bytes() for folder in (where, finished))
    assert made == expected
    made, expected = (
        pd.read_csv(folder / "results/tables/table1.csv").set_index("method") for folder in (where, finished)
    )
    numbers = [name for name in made if name.endswith(("_mean", "_std"))]
    assert len(made) == 2
    assert len(numbers) == 10
    pd.testing.assert_frame_equal(made[numbers], expected.loc[made.index, numbers], check_exact=True)
