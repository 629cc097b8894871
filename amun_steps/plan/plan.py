"""The plan of a config: the stages of all its experiments."""

from collections.abc import Mapping
from typing import Any

from amun_steps.plan.config import check
from amun_steps.plan.experiment import Experiment
from amun_steps.plan.stage import Scored, Stage


class Plan:
    """What a config asks for: its experiments by name, what is scored, and the stages of all that, by slug.

    Raises ConfigError before anything is computed when something in the config is wrong.
    """

    def __init__(self, config: Mapping[str, Any]):
        check(config)
        self.config = config
        self.stages: dict[str, Stage] = {}
        self.experiments = {name: Experiment(name, config, self.stages) for name in config["experiments"]}
        self.scored: list[Scored] = [s for experiment in self.experiments.values() for s in experiment.scored()]
