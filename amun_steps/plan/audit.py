"""One model and a list of samples: what the model remembers of them. The command `amun audit`.

It needs one model and no original: what it audits is the original of a derived config, and no other model of that is
made but RMIA's references.
"""

import json
from pathlib import Path

from amun_steps.plan.one_model import Asked, call
from amun_steps.store.addresses import STORE


def audit(
    *,
    model: Path,
    forget: Path,
    config: Path,
    experiment: str,
    references: int | None = None,
    to: Path | None = None,
    dry_run: bool = False,
) -> None:
    """Say what a model remembers of the samples in a list, with how sure that is.

        amun audit --model mine/model.pt --forget asked.txt --config config/quickstart.yaml --experiment digits

    The model is a plain state dict, the list a text or CSV file with one training sample a line. The experiment of the
    config says the data set, the network and how reference models are trained; there are as many as it says, or
    --references. Those that are in the store are used, the others are trained: what that costs is said first, and
    --dry-run stops there. The page, audit.html, the same as audit.json, and the config that was run, audit.yaml, are
    put into --to (results/audits/MODEL-LIST), which must not have those of another run.

    Raises InputError for what is wrong with a file, the list, the config or the experiment, before anything runs, and
    when a job fails.
    """
    asked = Asked(model, forget, config, experiment)
    # an experiment has to have a method; none is run
    plan = asked.plan(asked.derived(references, {"ft": {}}))
    (scores,) = (s.scores for s in plan.experiments[experiment].scored() if s.method == "original")
    to = to or STORE.parent / "audits" / f"{model.stem}-{forget.stem}"
    runs, scored = scores.file("runs.csv"), scores.file("scores.h5")
    findings, page = to / "audit.json", to / "audit.html"
    if not asked.run("audit", plan, to / "audit.yaml", [runs, scored], [findings, page], dry_run=dry_run):
        return
    call(
        "amun_steps.views.audit",
        **{role: scores.builds_on[role].file(f"{role}.h5") for role in ("dataset", "forget")},
        runs=runs,
        scores=scored,
        model=model,
        listed=forget,
        references=plan.config["experiments"][experiment]["references"]["count"],
        findings=findings,
        page=page,
    )
    found = json.loads(findings.read_text(encoding="utf-8"))
    print("", found["short"], *found["words"], f"The page: {page}", sep="\n")
