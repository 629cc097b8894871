"""The check of a config's `judges`: what other judges than the paper's are asked of."""

from collections.abc import Mapping
from typing import Any

from amun_steps.plan.messages import ConfigError, known

LEAST_REFERENCES = 32
"""Of fewer, where half chose what is forgotten, LiRA's half has samples that all its models saw, or none."""


def check(config: Mapping[str, Any]) -> None:
    """Raise ConfigError for an experiment that is not there, or that has too few references for LiRA."""
    for name in config.get("judges", {}).get("experiments", ()):
        known("judges.experiments", name, config["experiments"])
        count = config["experiments"][name]["references"]["count"]
        halved = [f for f in config["experiments"][name]["forget"] if "memorised" in config["forget"].get(f, {})]
        if halved and count < LEAST_REFERENCES:
            raise ConfigError(
                f"judges.experiments: '{name}' has {count} references, expected at least {LEAST_REFERENCES} beside the"
                f" forget sets '{halved[0]}': half of them tell what is memorised, and in the other half LiRA needs a"
                " model that saw a sample and one that did not"
            )
