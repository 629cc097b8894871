"""How near the examples of Algorithm 1 lie, and what they cost, by the attack, epsilon_init and `restart`.

`python benchmarks/distances.py`: a minute on a CPU. One network of the demo, 300 training images of digits.
"""

from pathlib import Path
from tempfile import TemporaryDirectory

import torch
import yaml

from amun_steps.steps.adversarial import Attack, Search, build_adversarial_set, choose_epsilon_init
from amun_steps.steps.dataset import dataset
from amun_steps.training import stack as stacks
from amun_steps.training.data import load
from amun_steps.training.device import device, images_on
from amun_steps.training.fit import fit
from amun_steps.training.recipe import Augmentation, Member, Recipe, Samples, Schedule

QUICKSTART = yaml.safe_load((Path(__file__).parent.parent / "config" / "quickstart.yaml").read_text())


def main() -> None:
    """Train the network, search with each choice, and print a row of Markdown for each."""
    with TemporaryDirectory() as folder:
        source = dict(QUICKSTART["datasets"]["digits"])
        dataset(source=source.pop("source"), parameters=source, output=Path(folder) / "dataset.h5")
        data = load(Path(folder) / "dataset.h5")
    images, labels = images_on(data, device()), torch.from_numpy(data.labels)
    recipe = dict(QUICKSTART["training"]["scratch"])
    schedule = Schedule(recipe.pop("learning_rate"), recipe.pop("step"), recipe.pop("factor"))
    recipe = Recipe(**recipe | {"augmentation": Augmentation(**recipe["augmentation"])})
    network = QUICKSTART["experiments"]["digits"]["network"] | {"shape": data.images.shape[1:], "classes": data.classes}
    model = stacks.initialise(network, [0], device())
    samples = Samples.among(data.train, labels)
    fit(model, images, [Member(lambda *_: [samples], schedule, seed=0)], recipe)

    def forward(x: torch.Tensor) -> torch.Tensor:
        return model.logits(x[None])[0]

    print("| attack | `share` | `restart` | epsilon_init | median distance | mean distance | gradients a sample |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    x, y = images[:300], labels[:300].to(device())

    def row(attack: Attack, name: str, restart: str) -> None:
        start = choose_epsilon_init(forward, x[:100], y[:100], attack, range(100))
        found = build_adversarial_set(forward, x, y, start, attack, range(300))
        numbers = (start, found.distance.median(), found.distance.mean(), found.passes.double().mean())
        said = " | ".join(f"{number:.2f}" for number in numbers)
        print(f"| {name} | {attack.search.share} | {restart} | {said} |", flush=True)

    for share in (0.95, 0.5, 0.2, 0.05):
        for restart in (True, False):
            parameters = {"steps": 50, "relative_step": 0.1, "restart": restart}
            row(Attack("pgd", parameters, Search(100, 0.01, share)), "PGD-50", str(restart).lower())
    for steps in (20, 50, 100):
        row(Attack("ddn", {"steps": steps}, Search(100, 1.0, 0.5)), f"DDN-{steps}", "-")


if __name__ == "__main__":
    main()
