"""One model and a list of samples: the model without them. The command `amun forget`.

The list is a family of forget sets with a tuning set of its own, on which the workflow tunes the method as it tunes
any, but with one retrained model and few references. Algorithm 1 runs on both sets alone.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from amun_steps.plan.config import ACCESS, can
from amun_steps.plan.messages import ConfigError, known
from amun_steps.plan.one_model import FAMILY, Asked, call
from amun_steps.plan.stage import Stage
from amun_steps.store.addresses import STORE
from amun_steps.store.step import InputError

REFERENCES = 16
"""Enough of them for a choice: see docs/howto/forget.md for what others gave."""


def forget(
    *,
    model: Path,
    forget: Path,
    config: Path,
    experiment: str,
    method: str = "amun",
    remain: Literal["all", "none"] = "all",
    choice: Path | None = None,
    references: int = REFERENCES,
    to: Path | None = None,
    dry_run: bool = False,
) -> None:
    """Make a model forget the samples in a list: new weights, and a certificate of what was done and what that shows.

        amun forget --model mine/model.pt --forget asked.txt --config config/quickstart.yaml --experiment digits

    The model is a plain state dict, the list a text or CSV file with one training sample a line. The experiment of the
    config says the data set, the network, how models are trained and unlearned, and the attack; its methods have the
    grids. With --remain none the method does without the samples that are to be remembered.

    The learning rate and the method's own hyperparameters are chosen on other samples, as many and of the same classes,
    by a model that is retrained without these and by --references reference models, which are trained for it unless the
    store has them; --choice takes a choice from elsewhere in their place, a best.json of the store. What all that costs
    is said first, and --dry-run stops there. The weights, in the format of the model's file, certificate.html, the same
    as certificate.json, and the config that was run, forget.yaml, are put into --to (results/forgotten/MODEL-LIST),
    which must not have those of another run.

    Raises InputError for what is wrong with a file, the list, the config, the experiment or the choice, before anything
    runs, and when a job fails.
    """
    asked = Asked(model, forget, config, experiment)
    derived = forgetting(asked, method, choice, references)
    plan = asked.plan(derived)
    access = ACCESS[remain == "none"]
    if not can(derived, method, access):
        raise InputError(f"--remain: found none, but '{method}' cannot do without D_R; take another method, or all")
    stages = plan.experiments[experiment]
    unlearned, originals = stages.unlearned(method, access, FAMILY), stages.originals()
    tuned, found = unlearned.builds_on["tuned"], unlearned.builds_on.get("adversarial")
    made = {
        "dataset": stages.dataset().file("dataset.h5"),
        "sets": stages.forget(FAMILY).file("forget.h5"),
        "before": originals.file("originals.h5"),
        "after": unlearned.file("unlearned.h5"),
        "best": tuned.file("best.json"),
    } | ({"adversarial": found.file("original0.h5")} if found else {})
    models = unlearned.file("unlearned.safetensors")
    to = to or STORE.parent / "forgotten" / f"{model.stem}-{forget.stem}"
    weights, findings, page = to / f"unlearned{model.suffix}", to / "certificate.json", to / "certificate.html"
    written, targets = to / "forget.yaml", [*made.values(), models]
    if not asked.run("forget", plan, written, targets, [weights, findings, page], dry_run=dry_run):
        return
    call("amun_steps.steps.weights", models=models, like=model, weights=weights)
    call(
        "amun_steps.views.certificate",
        **made,
        model=model,
        listed=forget,
        unlearned=weights,
        how=_how(stages.wanted, unlearned, method, choice, config),
        findings=findings,
        page=page,
    )
    done = json.loads(findings.read_text(encoding="utf-8"))
    print("", *done["words"], f"The weights: {weights}", f"The certificate: {page}", sep="\n")


def forgetting(asked: Asked, method: str, choice: Path | None, references: int) -> dict[str, Any]:
    """The config of `amun forget`: the method alone, run once, with its grid, or with the one choice in a file.

    Raises ConfigError for a method that the config does not have, and for a submission; InputError for a file that has
    no choice.
    """
    base = asked.base
    try:
        known("--method", method, base["methods"])
    except ConfigError as error:
        raise ConfigError(f"{asked.config}: {error}") from None
    options = dict(base["methods"][method])
    if "files" in options or options.get("transferred"):
        raise ConfigError(
            f"--method: found '{method}', which {'is a submission' if 'files' in options else 'wants other originals'};"
            " expected a method that can be run on one model"
        )
    if choice is not None:
        from amun_steps.steps.unlearn import load_choice

        try:
            chosen = load_choice(choice)
        except InputError:
            raise InputError(
                f"--choice: {choice} is not there or has no choice of a grid; expected JSON with learning_rate, step"
                " and hyperparameters, such as a best.json of the store"
            ) from None
        rate = chosen.schedule.learning_rate
        schedule = {"learning_rate": [rate], "step": [chosen.schedule.step]} if rate else {}  # one that trains nothing
        options["grid"] = schedule | {name: [value] for name, value in chosen.hyperparameters.items()}
    from_files = "files" in base["experiments"][asked.experiment]["references"]
    derived = asked.derived(None if from_files else references, {method: options})
    derived["experiments"][asked.experiment]["attacked"] = "forget"
    return {
        **derived,
        "unlearning": {name: {**recipe, "runs": 1} for name, recipe in derived["unlearning"].items()},
    }


def _how(wanted: Mapping[str, Any], unlearned: Stage, method: str, choice: Path | None, config: Path) -> dict[str, Any]:
    """What the certificate says of how it was done, that is in no file of the store."""
    unlearning = unlearned.parameters["unlearning"]
    return {
        "config": config.as_posix(),
        "dataset": wanted["dataset"],
        "network": wanted["network"],
        "method": method,
        "module": unlearning["method"],
        "remain": "all" if unlearning["remain"] else "none",
        "recipe": unlearning["recipe"],
        "choice_from": None if choice is None else choice.as_posix(),
        "references": wanted["references"]["count"],
    }
