"""What people read: the runs of each experiment, tables and figures, each as a stage and the files that it shows."""

import itertools
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from amun_steps.plan import folders
from amun_steps.plan.config import ACCESS
from amun_steps.plan.config_file import read
from amun_steps.plan.given import retrained_sets
from amun_steps.plan.messages import ConfigError
from amun_steps.plan.plan import Plan
from amun_steps.plan.stage import Stage


def load(config: Mapping[str, Any]) -> Plan:
    """The plan of a config with the stages that only figures show. Raises ConfigError as `Plan` does."""
    plan = Plan(config)
    for name in config["figures"]:
        figure(plan, name)
    return plan


def load_file(path: Path) -> Plan:
    """The plan of the config in a YAML file. Raises ConfigError, naming the file, for what is wrong with it."""
    config = read(path)
    try:
        return load(config)
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from None


@dataclass(frozen=True)
class View:
    """A view: `stage` has its name, address and parameters.

    path: the CSV file under its plain name. files: what it shows from the store, in order. views: other views that it
    is put together from.
    """

    stage: Stage
    path: str
    files: Sequence[str] = ()
    views: Sequence["View"] = ()

    @property
    def marker(self) -> str:
        """The hidden file beside `path` that is there when the plain names show this address."""
        return (Path(self.path).parent / f".{self.stage.slug}").as_posix()

    @property
    def older(self) -> str:
        """The pattern of all such files of the view."""
        return (Path(self.path).parent / f".{self.stage.name}-*").as_posix()


def runs(plan: Plan, experiment: str) -> View:
    """All runs of an experiment, of all its replicates."""
    scored = [s for s in plan.scored if s.experiment == experiment]
    numbers = {"replicates": [s.replicate for s in scored]} if scored[-1].replicate else {}
    return _of_scores(plan, "runs", experiment, numbers, [s.scores for s in scored])


def table(plan: Plan, name: str) -> View:
    """A table of the config, of the first replicate: its rows are those methods that can do with the access."""
    wanted = plan.config["tables"][name]
    experiment, of = plan.config["experiments"][wanted["experiment"]], plan.experiments[wanted["experiment"]].families
    in_columns = wanted.get("access_in") == "columns"
    shown = [
        s
        for s in plan.scored
        if (s.experiment, s.replicate) == (wanted["experiment"], 0)
        and s.forget in wanted["forget"]
        and (s.method == "retrained" or (s.method in wanted["methods"] and s.access in wanted["access"]))
    ]
    of_rows = {(s.method, "" if in_columns else s.access) for s in shown}
    rows = [(m, a) for m in wanted["methods"] for a in ([""] if in_columns else wanted["access"])]
    layout = {
        "title": re.sub(r"^table(?=\d)", "Table ", name),
        "rows": [{"method": m, "access": a} for m, a in [("retrained", ""), *rows] if (m, a) in of_rows],
        "groups": [
            {"forget": family, "access": access}
            | {key: getattr(of[family], key) for key in ("label", "caption", "note")}
            for access in (wanted["access"] if in_columns else [""])
            for family in wanted["forget"]
        ],
        "metrics": wanted["metrics"],
        "mia": "mis" if "mis" in wanted["metrics"] else "ft_auc",
        "references": experiment["references"]["count"],
    }
    return _of_scores(plan, "tables", name, {"layout": layout}, [s.scores for s in shown])


def _of_scores(plan: Plan, kind: str, name: str, parameters: Mapping[str, Any], scores: Sequence[Stage]) -> View:
    """A view of scored runs; `kind` is its folder among the config's views, and the module that makes it."""
    stage = Stage("view", name, parameters, [f"amun_steps.views.{kind}"], numbered(scores))
    return View(stage, f"{folders.of_views(plan.config)}/{kind}/{name}.csv", [s.file("runs.csv") for s in scores])


def numbered(stages: Iterable[Stage]) -> dict[str, Stage]:
    """What a view builds on: its stages have no roles but their order."""
    return {str(number): stage for number, stage in enumerate(stages)}


class _Panels:
    """The panels of a figure and the files that they show, each once."""

    def __init__(self):
        self.panels: list[dict[str, Any]] = []
        self.files: dict[str, Stage] = {}

    def add(self, kind: str, title: str, curves: Mapping[str, Sequence[tuple[Stage, str]]], show: str = "") -> None:
        """A panel whose curves, by name, show files (of a stage, by name)."""
        for stage, file in (pair for pairs in curves.values() for pair in pairs):
            self.files.setdefault(stage.file(file), stage)
        order = list(self.files)
        numbers = [[order.index(stage.file(file)) for stage, file in pairs] for pairs in curves.values()]
        self.panels.append({"kind": kind, "title": title, "names": list(curves), "files": numbers, "show": show})


def figure(plan: Plan, name: str) -> View:
    """A figure of the config; the stages that only figures need are added to the plan."""
    wanted = dict(plan.config["figures"][name])
    found = _Panels()
    FIGURES[wanted.pop("kind")](plan, found, **wanted)
    stage = Stage("view", name, {"panels": found.panels}, ["amun_steps.views.figures"], numbered(found.files.values()))
    return View(stage, f"{folders.of_views(plan.config)}/figures/{name}.csv", list(found.files))


def _fine_tuning(plan: Plan, found: _Panels, experiment: str, forget: str, recipe: str) -> None:
    """Test accuracy while fine-tuning on D_A and its substitutes, joined with D, with D_F and alone (6.2.1)."""
    shown = [(plan.experiments[experiment].finetuned(forget, recipe), "finetuned.csv")]
    sets = ("orig", "adv", "adv_rs", "adv_rl", "orig_rl", "orig_advl")
    for panel, title in (("with_data", "with $D$"), ("with_forget", "with $D_F$"), ("alone", "alone")):
        found.add("curves", title, dict.fromkeys(sets, shown), panel)


def _requests(
    plan: Plan,
    found: _Panels,
    experiment: str,
    requests: str,
    tuned_on: str,
    methods: Sequence[str],
    adaptive: Sequence[str],
    show: Sequence[str],
) -> None:
    """What an attack tells after each of several requests, with and without access to D_R (6.3, Appendix H)."""
    stages = plan.experiments[experiment]
    for access, title in (("with_remain", "with $D_R$"), ("without_remain", "no $D_R$")):
        able, curves = set(stages.methods(access)), {}
        for method in (method for method in methods if method in able):
            if method in adaptive:
                again = stages.continuous(method, access, requests, tuned_on, stages.attack(method))
                curves[f"{method}_adaptive"] = [(again, "requests.csv")]
            once = stages.continuous(method, access, requests, tuned_on, "")
            curves[method] = [(once, "requests.csv")]
        if curves:
            for metric in show:
                found.add("requests", title, curves, metric)


def _confidence(plan: Plan, found: _Panels, experiment: str, family: str, models: Stage, file: str, title: str) -> None:
    stages = plan.experiments[experiment]
    files = [(models, file), (stages.dataset(), "dataset.h5"), (stages.forget(family), "forget.h5")]
    found.add("confidence", f"{title}, {stages.families[family].label}", {"phi": files})


def _distances(plan: Plan, found: _Panels, title: str, of: Mapping[str, tuple[str, str]]) -> None:
    """A panel of the distances of two (experiment, attack), by name."""
    stages = {name: plan.experiments[e].adversarial(attack) for name, (e, attack) in of.items()}
    found.add("distances", title, {name: _all_originals(stage) for name, stage in stages.items()})


def _all_originals(stage: Stage) -> list[tuple[Stage, str]]:
    return [(stage, f"original{o}.h5") for o in range(stage.builds_on["originals"].count)]


def _retrained_confidence(plan: Plan, found: _Panels, experiment: str, forget: Sequence[str], clipped: str) -> None:
    """Confidence of retrained models, and distances of a clipped model's adversarial examples (F.1, 6.2.2)."""
    for family in forget:
        retrained = plan.experiments[experiment].retrained(family)
        _confidence(plan, found, experiment, family, retrained, "set0.h5", "Retrained")
    experiments = plan.config["experiments"]
    pairs = {"original": experiment, "clipped": clipped}
    _distances(plan, found, "Clipped models", {name: (e, experiments[e]["attack"]) for name, e in pairs.items()})


def _unlearned_confidence(
    plan: Plan, found: _Panels, experiment: str, forget: Sequence[str], method: str, access: str
) -> None:
    """Confidence before and after unlearning (F.1.1)."""
    stages = plan.experiments[experiment]
    for family in forget:
        unlearned = stages.unlearned(method, access, family)
        _confidence(plan, found, experiment, family, stages.originals(), "originals.h5", "Before")
        _confidence(plan, found, experiment, family, unlearned, f"{unlearned.kind}.h5", "After")


def _epsilons(plan: Plan, found: _Panels, of: Sequence[Mapping[str, str]]) -> None:
    """Final epsilon and work of Algorithm 1 (E.1)."""
    for pair in of:
        stage = plan.experiments[pair["experiment"]].adversarial(pair["attack"])
        steps = stage.parameters["attack"]["parameters"].get("steps", 1)
        found.add("epsilons", f"{pair['experiment']}, {pair['attack']}", {"epsilon": _all_originals(stage)}, str(steps))


def _attack_distances(plan: Plan, found: _Panels, experiment: str, attacks: Sequence[str]) -> None:
    """Distances of two attacks' adversarial examples (F.5)."""
    _distances(plan, found, "Weak attack", {attack: (experiment, attack) for attack in attacks})


def claims(plan: Plan) -> View:
    """What the paper claims in words, checked on all runs and on the numbers that figures plot."""
    told = {
        name: wanted["kind"]
        for name, wanted in plan.config["figures"].items()
        if wanted.get("show", ["difference"]) == ["difference"]
    }
    shown = [*all_runs(plan), *(figure(plan, name) for name in told)]
    confidences = [w for w in plan.config["figures"].values() if w["kind"] == "retrained_confidence"]
    parameters = {
        "kinds": told,
        "clipped": {wanted["clipped"]: wanted["experiment"] for wanted in confidences},
        "random": [n for n, of in plan.config["forget"].items() if "fraction" in of and "memorised" not in of],
    }
    return of_views(plan, "claims", shown, parameters)


def all_runs(plan: Plan) -> list[View]:
    """The runs of all experiments."""
    return [runs(plan, name) for name in plan.config["experiments"]]


def of_views(plan: Plan, name: str, shown: Sequence[View], parameters: Mapping[str, Any] | None = None) -> View:
    """A view that is put together from others, by the module that is called like it."""
    stage = Stage("view", name, parameters or {}, [f"amun_steps.views.{name}"], numbered(view.stage for view in shown))
    return View(stage, f"{folders.of_views(plan.config)}/{name}.csv", views=shown)


FIGURES = {
    "fine_tuning": _fine_tuning,
    "requests": _requests,
    "retrained_confidence": _retrained_confidence,
    "unlearned_confidence": _unlearned_confidence,
    "epsilons": _epsilons,
    "attack_distances": _attack_distances,
}
"""The kinds of figures of a config; the keys of an entry are the parameters after `found`."""


def training(plan: Plan) -> list[tuple[str, _Panels]]:
    """What shows how the models were trained that were trained here: rows of panels, each with its title; the losses of
    an experiment's stages, and each method's tuning."""
    found = []
    for name, stages in plan.experiments.items():
        losses = _Panels()
        if "files" not in stages.wanted["originals"]:
            losses.add("losses", "originals", {"original": [(stages.originals(), "originals.h5")]})
        if "files" not in stages.wanted["retrained"]:
            sets = {family: retrained_sets(plan.config, stages.wanted, family) for family in stages.families}
            curves = {f: [(stages.retrained(f), f"set{s}.h5") for s in numbers] for f, numbers in sets.items()}
            losses.add("losses", "retrained", curves)
        settings = list(itertools.product(ACCESS, stages.wanted["forget"]))
        for access, family in settings:
            curves = {m: [(stages.unlearned(m, access, family), "unlearned.h5")] for m in stages.tunable(access)}
            if curves:
                losses.add("losses", f"{access.replace('_', ' ')}, {family}", curves)
        if losses.panels:
            found.append((f"{name}: training loss", losses))
        for method in stages.wanted["methods"]:
            grids = _Panels()
            for access, family in settings:
                if method in stages.tunable(access):
                    tuned = stages.tuned(method, access, family)
                    shown = [(tuned, "grid.csv"), (tuned, "best.json")]
                    grids.add("grid", f"{access.replace('_', ' ')}, {family}", {method: shown})
            if grids.panels:
                found.append((f"{name}: tuning of {method}", grids))
    return found


def captions(plan: Plan) -> list[str]:
    """What each figure of the config shows, in one sentence."""
    return [FIGURES[wanted["kind"]].__doc__ for wanted in plan.config["figures"].values()]
