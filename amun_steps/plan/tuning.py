"""What a config says of tuning: a method's grid, how much of it is tried, and whether there is anything to choose."""

from collections.abc import Mapping
from typing import Any

from amun_steps.plan.messages import ConfigError
from amun_steps.plan.signatures import is_one_shot
from amun_steps.steps.choose import choices

SCHEDULE = ("learning_rate", "step")


def check_grid(name: str, config: Mapping[str, Any]) -> None:
    """Raise ConfigError for a method that is trained on nothing and has a schedule in its grid."""
    method = config["methods"][name]
    module, grid = method.get("module", name), method.get("grid", {})
    for key in SCHEDULE:
        if key in grid and is_one_shot(module):
            raise ConfigError(f"methods.{name}.grid.{key}: '{module}' trains nothing, so it has no use; remove the key")


def grid_of(config: Mapping[str, Any], method: str) -> dict[str, Any]:
    """The parameters of tuning that say what is tried: the `grid` of a method, its values of each hyperparameter,
    `learning_rate` and `step` among them; and the `limit`, where it has more choices than the config allows.

    A method's own grid goes before the config's `tuning`. One that trains nothing has one schedule, without a rate.
    """
    tuning, wanted = config["tuning"], config["methods"][method]
    schedule: dict[str, list[Any]] = {key: tuning[key] for key in SCHEDULE}
    if is_one_shot(wanted.get("module", method)):
        schedule = {"learning_rate": [0.0], "step": [None]}
    grid = schedule | wanted.get("grid", {})
    limit = tuning.get("choices")
    return {"grid": grid} | ({"limit": limit} if limit is not None and limit < len(choices(grid)) else {})


def is_tuned(config: Mapping[str, Any], method: str) -> bool:
    """Whether a method is tried on the tuning set: no submission, and more than one choice."""
    return "files" not in config["methods"][method] and len(choices(**grid_of(config, method))) > 1
