"""The kinds of figures of a config: which keys each has, and what they have to name."""

from collections.abc import Mapping
from typing import Any

from amun_steps.plan.messages import ConfigError, key_shown, known, names, shown

FIGURES = {
    "fine_tuning": ("experiment", "forget", "recipe"),
    "requests": ("experiment", "requests", "tuned_on", "methods", "adaptive", "show"),
    "retrained_confidence": ("experiment", "forget", "clipped"),
    "unlearned_confidence": ("experiment", "forget", "method", "access"),
    "epsilons": ("of",),
    "attack_distances": ("experiment", "attacks"),
}
"""The kinds of figures and their keys."""

ON_ALL_OF_D = ("requests", "retrained_confidence", "epsilons", "attack_distances")
"""Those that want adversarial examples of more samples than the forget sets have."""


def check_keys(at: str, figure: Mapping[str, Any]) -> None:
    """Raise ConfigError for a figure, found at the key `at`, whose keys are not its kind's."""
    kind, keys = figure["kind"], FIGURES[figure["kind"]]
    for key in figure:
        if key not in (*keys, "kind"):
            raise ConfigError(f"{at}: unknown key {key_shown(key)} for '{kind}', expected one of {names(key, keys)}")
    for key in keys:
        if key not in figure:
            raise ConfigError(f"{at}: lacks the key '{key}' that '{kind}' needs")
    if "forget" in figure and isinstance(figure["forget"], str) != (kind == "fine_tuning"):
        wanted = "the name of one family" if kind == "fine_tuning" else "a list of families"
        raise ConfigError(f"{at}.forget: found {shown(figure['forget'])}, expected {wanted} of forget sets")


def check_names(at: str, figure: Mapping[str, Any], config: Mapping[str, Any]) -> None:
    """Raise ConfigError for a figure, found at the key `at`, with a name that the config does not have, or of an
    experiment that it cannot show."""
    pairs = figure.get("of", [figure])
    for number, pair in enumerate(pairs):
        where = f"{at}.of.{number}" if "of" in figure else at
        known(f"{where}.experiment", pair["experiment"], config["experiments"])
        if "attack" in pair:
            known(f"{where}.attack", pair["attack"], config["attacks"])
    experiment = config["experiments"][pairs[0]["experiment"]]
    named = {
        "forget": experiment["forget"],
        "tuned_on": experiment["forget"],
        "recipe": config["training"],
        "clipped": config["experiments"],
        "requests": config["requests"],
        "method": experiment["methods"],
        "methods": experiment["methods"],
        "adaptive": figure.get("methods", ()),
        "attacks": config["attacks"],
    }
    for key in set(named) & set(figure):
        for value in figure[key] if isinstance(figure[key], list) else [figure[key]]:
            known(f"{at}.{key}", value, named[key])
    for name in [pair["experiment"] for pair in pairs] + [figure[key] for key in ("clipped",) if key in figure]:
        if figure["kind"] in ON_ALL_OF_D and config["experiments"][name].get("attacked") == "forget":
            raise ConfigError(
                f"{at}: '{name}' has attacked: forget, and this figure needs adversarial examples of all of D; take the"
                " figure out, or that key"
            )
    if "clipped" in figure:
        _check_clipped(f"{at}.clipped", config["experiments"][figure["clipped"]], experiment)


def _check_clipped(at: str, clipped: Mapping[str, Any], plain: Mapping[str, Any]) -> None:
    """Raise ConfigError for an experiment with clipped models, found at the key `at`, whose images or originals are not
    those that it is compared with, point by point."""
    found, expected = ({"dataset": of["dataset"], "originals": of["originals"]["count"]} for of in (clipped, plain))
    for key, value in expected.items():
        if found[key] != value:
            raise ConfigError(
                f"{at}: found an experiment with {key}: {shown(found[key])}, expected {shown(value)}, as the figure's"
                " experiment has: it compares them image by image and original by original"
            )
