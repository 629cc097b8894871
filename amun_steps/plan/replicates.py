"""Replicates: a config's experiments repeated whole, references and all, under other splits and seeds."""

from collections.abc import Mapping
from typing import Any

from amun_steps.plan.messages import ConfigError

LARGEST_SEED = 2**32 - 1
"""Of a data set, as the schema of configs allows it."""


def replicate(config: Mapping[str, Any], number: int) -> Mapping[str, Any]:
    """The config of a replicate: its seed, and those that data sets are split by, are higher by its number. Replicate 0
    is the config itself, any other is what a config with these seeds has."""
    datasets = {
        name: {key: value + number if key == "seed" else value for key, value in wanted.items()}
        for name, wanted in config["datasets"].items()
    }
    return {**config, "seed": config["seed"] + number, "datasets": datasets}


def check(config: Mapping[str, Any]) -> None:
    """Raise ConfigError for what is the same in each replicate, or means something else, where there are several."""
    count = config.get("replicates", 1)
    if count == 1:
        return
    several = f"replicates: found {count}, but"
    for name, experiment in config["experiments"].items():
        dataset = experiment["dataset"]
        split = "seed" in config["datasets"][dataset]
        models = {f"experiments.{name}.{role}": experiment[role] for role in ("originals", "references", "retrained")}
        models |= {f"methods.{method}": config["methods"][method] for method in experiment["methods"]}
        for key, wanted in models.items():
            if "files" in wanted:
                raise ConfigError(f"{several} {key}.files are the same in each; expected 1, or models that are trained")
        for family in experiment["forget"]:
            if split and "indices" in config["forget"][family]:
                raise ConfigError(
                    f"{several} forget.{family}.indices lists samples of one split, and datasets.{dataset}.seed draws"
                    " another for each; expected 1, or a family of a fraction or of classes"
                )
        if split and config["datasets"][dataset]["seed"] + count - 1 > LARGEST_SEED:
            raise ConfigError(f"{several} datasets.{dataset}.seed has to stay below {LARGEST_SEED + 1} in each")
