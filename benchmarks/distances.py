"""How near the examples of Algorithm 1 lie, and what they cost, by the attack, epsilon_init and `restart`.

`python benchmarks/distances.py`: a minute on a CPU. One network of the demo, 300 training images of digits.
"""

from attacks import NEAREST, attacked
from demo import forward_of

from amun_steps.steps.adversarial import Attack, Search, build_adversarial_set, choose_epsilon_init


def main() -> None:
    """Train the network, search with each choice, and print a row of Markdown for each."""
    model, x, y = attacked(300, None)
    forward = forward_of(model)
    print("| attack | `share` | `restart` | epsilon_init | median distance | mean distance | gradients a sample |")
    print("| --- | --- | --- | --- | --- | --- | --- |")

    def row(attack: Attack, name: str, restart: str) -> None:
        start = choose_epsilon_init(forward, x[:100], y[:100], attack, range(100))
        found = build_adversarial_set(forward, x, y, start, attack, range(300))
        near = f"{found.distance.median():.3f} | {found.distance.mean():.3f}"
        work = f"{found.passes.double().mean():.1f}"
        print(f"| {name} | {attack.search.share} | {restart} | {start:.2f} | {near} | {work} |", flush=True)

    for share in (0.95, 0.5, 0.05):
        for restart in (True, False):
            parameters = {"steps": 50, "relative_step": 0.1, "restart": restart}
            row(Attack("pgd", parameters, Search(100, 0.01, share)), "PGD-50", str(restart).lower())
    for steps in (20, 100):
        row(Attack("ddn", {"steps": steps}, Search(100, 1.0, 0.5)), f"DDN-{steps}", "-")
    row(NEAREST, "DDN-16, `gamma` from 0.2 to 0.01", "-")


if __name__ == "__main__":
    main()
