"""The plan of a config: the stages of all its experiments."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from amun_steps.plan.config import check
from amun_steps.plan.experiment import Experiment
from amun_steps.plan.replicates import replicate
from amun_steps.plan.stage import Scored, Stage


class Plan:
    """What a config asks for: its experiments by name, those of the first replicate; what is scored, in all replicates;
    and the stages of all that, by slug.

    Raises ConfigError before anything is computed when something in the config is wrong.
    """

    def __init__(self, config: Mapping[str, Any]):
        check(config)
        self.config = config
        self.stages: dict[str, Stage] = {}
        replicates = [
            {name: Experiment(name, replicate(config, number), self.stages) for name in config["experiments"]}
            for number in range(config.get("replicates", 1))
        ]
        self.experiments = replicates[0]
        self.scored: list[Scored] = [
            replace(scored, replicate=number)
            for number, experiments in enumerate(replicates)
            for experiment in experiments.values()
            for scored in experiment.scored()
        ]
