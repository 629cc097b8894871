"""What D_A costs: Algorithm 1 and DDN here, against torchattacks and adv-lib, on the training images of digits."""

import math

import torch
from demo import ATTACK, Digits, forward_of, module_of
from peers import ddn, ladder
from ratios import Ratio, alternated, short

from amun_steps.attacks import norms
from amun_steps.steps.adversarial import Attack, Search, build_adversarial_set, choose_epsilon_init

NEAREST = Attack("ddn", {"steps": 16, "gamma": 0.2, "last_gamma": 0.01}, Search(100, 1.0, 0.5))


def attacked(samples: int | None, epochs: int | None):
    """A model, (n, ...) images that it was trained on and their labels: all of them, or the first `samples`."""
    digits = Digits(epochs)
    rows = slice(samples or int(digits.data.train.sum()))
    return digits.models([digits.data.train]), digits.images[rows], digits.labels[rows].to(digits.images.device)


def median_distance(found: torch.Tensor, images: torch.Tensor) -> float:
    """Of the images that were moved."""
    distances = norms(found - images).flatten()
    return distances[distances > 0].median().item()


def algorithm1(samples: int | None = None, epochs: int | None = None, repeats: int = 5) -> list[Ratio]:
    """Algorithm 1 from the same epsilon_init, up the same ladder."""
    model, x, y = attacked(samples, epochs)
    forward, module = forward_of(model), module_of(model)
    start = choose_epsilon_init(forward, x[:100], y[:100], ATTACK, range(len(x[:100])))
    found = {}

    def ours():
        found["ours"] = build_adversarial_set(forward, x, y, start, ATTACK, range(len(x))).image

    def theirs():
        found["theirs"], _ = ladder(module, x, y, start)

    taken = alternated({"ours": ours, "theirs": theirs}, repeats)
    row = Ratio.of_times("torchattacks' PGDL2 in the same ladder", taken["ours"], taken["theirs"], 7)
    near = {way: f"; median distance {median_distance(image, x):.3f}" for way, image in found.items()}
    return [Ratio(row.against, row.ratio, row.least, row.ours + near["ours"], row.theirs + near["theirs"])]


def minimum_norm(samples: int | None = None, epochs: int | None = None, repeats: int = 5) -> list[Ratio]:
    """The nearest examples: adv-lib's distance after 100 steps in its time for 20. Ours includes the search for the
    norm to start from."""
    model, x, y = attacked(samples, epochs)
    forward, module = forward_of(model), module_of(model)
    found = {}

    def ours():
        start = choose_epsilon_init(forward, x[:100], y[:100], NEAREST, range(len(x[:100])))
        found["ours"] = build_adversarial_set(forward, x, y, start, NEAREST, range(len(x))).image

    def theirs(steps: int):
        found[steps] = ddn(module, x, y, steps)

    taken = alternated({"ours": ours, 20: lambda: theirs(20), 100: lambda: theirs(100)}, repeats)
    near = {way: median_distance(image, x) for way, image in found.items()}
    assert not any(map(math.isnan, near.values())), near
    said = {way: f"{short(taken[way])} s; median distance {near[way]:.3f}" for way in found}
    return [
        Ratio("adv-lib's DDN-20, time", taken[20] / taken["ours"], 1, said["ours"], said[20]),
        Ratio("adv-lib's DDN-100, distance", near[100] / near["ours"], 1, said["ours"], said[100]),
    ]
