"""The check of a config's `judges`: what other judges than the paper's are asked of."""

from collections.abc import Mapping
from typing import Any

from amun_steps.plan.forget import family_of
from amun_steps.plan.messages import ConfigError, known

LEAST_REFERENCES = 32
"""Of fewer, where half chose what is forgotten, LiRA's half has samples that all its models saw, or none."""


LEAST_SHADOWS = 32
"""Of fewer for a forget set, some sample of it may lie in none of their halves, so that no shadow has forgotten it."""


def check(config: Mapping[str, Any]) -> None:
    """Raise ConfigError for an experiment that is not there, or that has too few references for LiRA or U-LiRA."""
    wanted = config.get("judges", {"experiments": ()})
    for name in wanted["experiments"]:
        known("judges.experiments", name, config["experiments"])
        experiment = config["experiments"][name]
        count = experiment["references"]["count"]
        for family in experiment["forget"]:
            halved = "memorised" in config["forget"][family]
            if halved and count < LEAST_REFERENCES:
                raise ConfigError(
                    f"judges.experiments: '{name}' has {count} references, expected at least {LEAST_REFERENCES} beside"
                    f" the forget sets '{family}': half of them tell what is memorised, and in the other half LiRA"
                    " needs a model that saw a sample and one that did not"
                )
            sets = family_of(config["forget"][family]).sets
            least = LEAST_SHADOWS * sets * (1 + halved)
            if wanted.get("u_lira") and (halved or sets > 1) and count < least:  # else each sample is in half of them
                raise ConfigError(
                    f"judges.u_lira: '{name}' has {count} references, expected at least {least} for the {sets} forget"
                    f" sets '{family}': each of those that judge forgets one of the sets, and some of it is in its half"
                )
