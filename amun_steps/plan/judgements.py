"""What other judges than the paper's say, for people: their view, and the jobs whose seconds tell what methods save."""

from collections.abc import Iterator, Mapping
from typing import Any

from amun_steps.plan import folders, views
from amun_steps.plan.plan import Plan
from amun_steps.plan.stage import Scored, Stage
from amun_steps.plan.views import View


def judgements(plan: Plan) -> View:
    """All judgements of a config that asks for some, of all replicates, beside the runs of the same experiments."""
    shown = [scored for scored in plan.scored if scored.judged]
    experiments = [plan.experiments[name] for name in dict.fromkeys(scored.experiment for scored in shown)]
    parameters = {
        "replicates": [scored.replicate for scored in shown],
        "labels": {family: how.label for experiment in experiments for family, how in experiment.families.items()},
        "references": {experiment.name: experiment.wanted["references"]["count"] for experiment in experiments},
        "timed": [timed for scored in shown for timed in _timed(scored)],
    }
    runs = [views.runs(plan, experiment.name) for experiment in experiments]
    reads = views.numbered([*(scored.judged for scored in shown), *(view.stage for view in runs)])
    stage = Stage("view", "judges", parameters, ["amun_steps.views.judgements"], reads)
    files = [scored.judged.file("judged.csv") for scored in shown]
    return View(stage, f"{folders.of_views(plan.config)}/judges.csv", files, runs)


def _timed(scored: Scored) -> Iterator[Mapping[str, Any]]:
    """The `amun_steps.views.efficiency.Timed` of a method that is run here, where models are retrained here."""
    on = scored.judged.builds_on
    models, retrained = on["models"], on["retrained"]
    if models.kind != "unlearned" or "given" in retrained.parameters:
        return
    sets, originals = on["forget"].parameters["sets"], models.builds_on["originals"].count
    found = models.builds_on.get("adversarial")
    yield {
        **{name: getattr(scored, name) for name in ("experiment", "method", "access", "forget", "replicate")},
        "unlearned": models.file("unlearned.h5"),
        "runs": sets * originals * models.parameters["runs"],
        "retrained": [retrained.file(f"set{which}.h5") for which in range(sets)],
        "retrained_each": retrained.count,
        "adversarial": [found.file(f"original{o}.h5") for o in range(originals)] if found else [],
    }
