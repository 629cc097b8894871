"""Step: U-LiRA's shadows: reference models, each of which forgets what of a forget set was in its half of the data."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np
from torch import Tensor

from amun_steps.judging.log_odds import log_odds
from amun_steps.methods import Request
from amun_steps.steps.adversarial import Attack, build_adversarial_set
from amun_steps.steps.subsets import load_inclusion
from amun_steps.steps.unlearn import Run, Unlearner, Unlearning, load_choice
from amun_steps.store.arrays import hdf5, write_arrays
from amun_steps.store.listing import read_listing
from amun_steps.store.seeds import seed_of
from amun_steps.store.step import Output, Partial, main, step
from amun_steps.training import stack as stacks
from amun_steps.training.recipe import Samples


class Shadows(Unlearner):
    """Reference models in place of originals. Number n was trained on row n of `trained` (models, N) bool, and its
    forget set, row n of `forget`, is what of the family's sets, in turn, lies in there."""

    def __init__(self, *given, models: Sequence[Path], trained: np.ndarray):
        super().__init__(*given)
        self.originals = stacks.load(models, self.device)
        self.trained = trained
        self.sets = np.arange(len(models)) % (len(self.forget) - 1)  # the last one is tuning's
        self.forget = self.forget[self.sets] & trained

    def _request(self, original: int, which: int, pool: Tensor, adversarial: Samples | None) -> Request:
        self.data = replace(self.data, train=self.trained[original])
        return super()._request(original, which, pool, adversarial)

    def attack(self, number: int, epsilon_init: float, attack: Attack, output: Path) -> None:
        """Search for the adversarial examples of a shadow's forget set, and write them as `steps.adversarial` does."""
        rows, model = np.flatnonzero(self.forget[number]), self.originals[[number]]
        seeds = [seed_of(self.unlearning.seed, "shadow", number, "attack", n) for n in rows.tolist()]
        found = build_adversarial_set(
            lambda x: model.logits(x[None])[0],
            self.images[rows],
            self.labels[rows].to(self.device),
            epsilon_init,
            attack,
            seeds,
        )
        arrays = {name: getattr(found, name).cpu().numpy() for name in ("image", "label", "distance")}
        write_arrays(output, arrays | {"sample": rows})


@step
def shadows(
    *,
    dataset: Path,
    inclusion: Path,
    listings: list[Path],
    originals: Path,
    forget: Path,
    forget_name: str,
    adversarial: list[Path] = [],  # noqa: B006 - never changed; None would need a second type
    tuned: Path,
    unlearning: Unlearning,
    attack: Attack | None = None,
    judges: Literal["all", "half"] = "all",
    stack: int = 32,
    output: Output,
    partial: Partial = None,
) -> None:
    """Run a method once, with its tuned choice, on each of the reference models in `listings`, `stack` at a time.

    judges: all references, or the second half of them, where the first one chose what is forgotten. A method that needs
    D_A has it searched for with `attack` on the shadow itself, from the epsilon_init of the first original; where that
    is None, as for a method that takes the D_A of other models, the originals' is taken, in turn.

    `output` gets of the shadows `log_odds` (shadows, N) float64, `forgotten` and `seen` (shadows, N) bool, which of
    them were made to forget which sample and which were trained on it, and the number of the `set` of each.
    """
    models, trained = [model for listing in listings for model in read_listing(listing)], load_inclusion(inclusion)
    first = 0 if judges == "all" else len(models) // 2
    given = (dataset, originals, forget, f"{forget_name}, shadow", adversarial, unlearning)
    shadows = Shadows(*given, models=models[first:], trained=trained[first:])
    numbers, choice, parts = range(len(shadows.trained)), load_choice(tuned), []
    if adversarial:
        shadows.adversarial = [adversarial[n % len(adversarial)] for n in numbers]
        with hdf5(adversarial[0]) as file:
            epsilon_init = float(file.attrs["epsilon_init"])
    for start in range(0, len(numbers), stack):
        part, folder = numbers[start : start + stack], partial / f"shadows{start}"
        folder.mkdir(parents=True, exist_ok=True)
        for n in part if attack else ():
            shadows.adversarial[n] = folder / f"adversarial{n}.h5"
            shadows.attack(n, epsilon_init, attack, shadows.adversarial[n])
        for unlearned, _ in shadows.run([Run(n, n, 0, choice) for n in part], stack, folder):
            parts.append(log_odds(unlearned.predict(shadows.images).numpy(), shadows.data.labels))
    found = {"log_odds": np.concatenate(parts), "forgotten": shadows.forget, "seen": shadows.trained}
    write_arrays(output, found | {"set": shadows.sets})


if __name__ == "__main__":
    main(shadows)
