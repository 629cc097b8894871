"""What one request to forget costs by AMUN on digits, D_A included, against the paper's own code's way of doing it."""

from functools import partial

import numpy as np
import torch
from demo import ATTACK, CONFIG, Digits, forward_of, module_of, recipe
from peers import Pictures, ladder, loaded, train
from ratios import Ratio, alternated, short
from torch.utils.data import ConcatDataset

from amun_steps.judging import rmia
from amun_steps.judging.judge import Judge
from amun_steps.judging.metrics import GAP_METRICS, average_gap
from amun_steps.methods import Request, amun
from amun_steps.steps.adversarial import build_adversarial_set, choose_epsilon_init
from amun_steps.training.fit import fit
from amun_steps.training.recipe import Samples, Schedule
from amun_steps.training.stack import Stack

CHOICE, INCLUDE_FORGET = Schedule(0.01, 5), False  # docs/compare/choices.md: amun, random10, with D_R
PUBLIC_START = 0.04  # docs/differences.md: epsilon_init
LOOP = "DataLoaders with one worker, torch.optim.SGD"


class Forgetting:
    """One original model and a random `share` of D to forget, with D_R."""

    def __init__(self, share: float = 0.1, epochs: int | None = None):
        self.digits = Digits(epochs)
        self.draws = np.random.default_rng(0)
        self.train = self.digits.data.train
        members = np.flatnonzero(self.train)
        self.forget = np.zeros_like(self.train)
        self.forget[self.draws.choice(members, max(1, round(share * len(members))), replace=False)] = True
        self.original = self.digits.models([self.train])
        self.recipe = recipe(CONFIG["unlearning"]["finetune"])

    def start(self) -> float:
        """epsilon_init as Appendix E.1 chooses it, from samples of D_F."""
        rows = np.flatnonzero(self.forget)[: ATTACK.search.samples]
        x, y = self.digits.images[rows], self.digits.labels[rows].to(self.digits.images.device)
        return choose_epsilon_init(forward_of(self.original), x, y, ATTACK, range(len(rows)))

    def ours(self, seed: int) -> Stack:
        """Algorithm 1 on D_F, with its choice of epsilon_init, and fine-tuning; the model that has forgotten."""
        digits, rows = self.digits, np.flatnonzero(self.forget)
        x, y, forward = digits.images[rows], digits.labels[rows].to(digits.images.device), forward_of(self.original)
        found = build_adversarial_set(forward, x, y, self.start(), ATTACK, range(len(rows)))
        end = len(digits.images)
        request = Request(
            remain=Samples.among(self.train & ~self.forget, digits.labels),
            forget=Samples.among(self.forget, digits.labels),
            adversarial=Samples.of(torch.arange(end, end + len(rows)), found.label.cpu(), augment=False),
            model=self.original,
            images=torch.cat([digits.images, found.image]),
            classes=digits.data.classes,
        )
        model = self.original[[0]]
        update = amun.unlearn(request, include_forget=INCLUDE_FORGET)
        fit(model, request.images, [update.member(CHOICE, seed)], self.recipe)
        return model

    def theirs(self, seed: int, start: float) -> torch.nn.Module:
        """The ladder from an epsilon_init that is given, and fine-tuning, both by DataLoaders."""
        torch.manual_seed(seed)
        data, batch = self.digits.data, self.recipe.batch_size
        pixels = data.images.transpose(0, 2, 3, 1)
        forget, remain = (Pictures(pixels[of], data.labels[of]) for of in (self.forget, self.train & ~self.forget))
        module = module_of(self.original)
        found = [ladder(module, x, y, start) for x, y in loaded(forget, batch)]
        images, labels = (torch.cat(parts).numpy() for parts in zip(*found, strict=True))
        adversarial = Pictures(images.transpose(0, 2, 3, 1), labels)
        return train(module, loaded(ConcatDataset([remain, adversarial]), batch), self.recipe, CHOICE)


class Gap:
    """Avg. Gap from models retrained without D_F, by few references: enough to see whether two ways do the same."""

    def __init__(self, of: Forgetting, references: int, retrained: int):
        digits, self.forget = of.digits, of.forget
        included = of.draws.random((references, len(of.train))).argsort(axis=0) < references // 2
        signal = {key: value for key, value in CONFIG["rmia"].items() if key != "gamma"}
        logits = digits.models(included, first=100).predict(digits.images).numpy()
        prior = rmia.prior(rmia.signal(logits, digits.data.labels, **signal))
        self.judge = Judge(prior, digits.data.labels, of.train, signal, CONFIG["rmia"]["gamma"])
        models = digits.models([of.train & ~of.forget] * retrained, first=1)
        self.standard = np.mean([self.metrics(one) for one in models.predict(digits.images).numpy()], axis=0)

    def metrics(self, logits: np.ndarray) -> np.ndarray:
        """(4,) what Avg. Gap is of."""
        found = self.judge.metrics(logits, self.judge.membership(logits), self.forget)
        return np.array([found[name] for name in (*GAP_METRICS, "ft_auc")])

    def of(self, logits: np.ndarray) -> float:
        return float(average_gap(self.metrics(logits), self.standard))


def by_amun(epochs: int | None = None, references: int = 16, retrained: int = 3, repeats: int = 5) -> list[Ratio]:
    """One request with D_R; each run has a seed of its own, the same for both ways."""
    forgetting = Forgetting(epochs=epochs)
    gap, images, start = Gap(forgetting, references, retrained), forgetting.digits.images, forgetting.start()
    ways = {"ours": forgetting.ours, "public": partial(forgetting.theirs, start=PUBLIC_START)}
    ways["given"] = partial(forgetting.theirs, start=start)
    made = {way: [] for way in ways}

    def run(way: str):
        made[way].append(ways[way](len(made[way])))

    taken = alternated({way: partial(run, way) for way in ways}, repeats)
    said = {}
    for way, models in made.items():
        gaps = [gap.of(logits_of(model, images)) for model in models]
        said[way] = f"{short(taken[way])} s; Avg. Gap {np.mean(gaps):.2f} ± {np.std(gaps):.2f}"
    return [
        Ratio(f"torchattacks' PGDL2 from {where}, {LOOP}", taken[way] / taken["ours"], 5, said["ours"], said[way])
        for way, where in (("public", PUBLIC_START), ("given", f"{start:.2f}, which is given to it"))
    ]


def logits_of(model: Stack | torch.nn.Module, images: torch.Tensor) -> np.ndarray:
    """(N, classes) of a model made in either way."""
    with torch.no_grad():
        return (model.predict(images)[0] if isinstance(model, Stack) else model(images)).cpu().numpy()
