"""What a config says of tuning: the grid of a method, and whether there is anything to choose."""

from collections.abc import Mapping
from typing import Any

from amun_steps.steps.choose import choices


def grid_of(config: Mapping[str, Any], method: str) -> dict[str, list[Any]]:
    """The values that tuning tries of each of a method's hyperparameters, `learning_rate` and `step` among them."""
    tuning = config["tuning"]
    return {key: tuning[key] for key in ("learning_rate", "step")} | config["methods"][method].get("grid", {})


def is_tuned(config: Mapping[str, Any], method: str) -> bool:
    """Whether a method is tried on the tuning set: no submission, and more than one choice."""
    return "files" not in config["methods"][method] and len(choices(grid_of(config, method))) > 1
