"""Step: the certificate of an unlearning: what was forgotten, from what, how, what it changed, what that shows."""

import html
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy.special import softmax

from amun_steps.judging.metrics import accuracy
from amun_steps.steps.adversarial import rows_of
from amun_steps.steps.forget import load_forget
from amun_steps.store.arrays import hdf5
from amun_steps.store.receipts import read_receipt, sha256
from amun_steps.store.step import InputError, Output, main, step
from amun_steps.training.data import load_labels
from amun_steps.views.page import Named, document, facts, figure, images_of, named, paragraphs, sheet, table

SHEET = 24
"""Images of forgotten samples on the page, those first whose confidence fell most."""

SHOWS = (
    "It shows that these weights were made from the model with this SHA-256, by this method, for the samples of this"
    " list. Whoever has the model, the list, the data and this version of the code can make them again by the config"
    " beside this page: the same bytes on the same kind of machine with the same packages.",
)

DOES_NOT_SHOW = (
    "It does not show that the samples are forgotten. High accuracy on them is no sign that they are not: a model that"
    " never saw them knows most of them, too. Whether an attacker can still tell them from samples that were never seen"
    " is what `amun audit` looks for, and a model retrained without them is what to compare with.",
    "It says nothing of other copies of the model, of models that were made from it before, or of the samples"
    " themselves, wherever they are kept.",
)


@dataclass(frozen=True)
class Sample(Named):
    """A forgotten sample: what it is called, the l2 distance of its adversarial example in pixels of [0, 1] (None where
    there is none), and the confidence in its class, in [0, 1], before and after."""

    distance: float | None
    before: float
    after: float


@step
def certificate(
    *,
    dataset: Path,
    sets: Path,
    before: Path,
    after: Path,
    best: Path,
    adversarial: list[Path] = [],  # noqa: B006 - never changed; None would need a second type
    model: Path,
    listed: Path,
    unlearned: Path,
    how: dict[str, Any],
    findings: Output,
    page: Output,
) -> None:
    """Say what was forgotten, from what, how, and what the model answers before and after.

    `sets` has the list as its first forget set; `before` and `after` have the outputs of `model` and of the weights in
    `unlearned`, which were made with the choice in `best`; `adversarial` is Algorithm 1's file, where the method has
    one. `listed` is the list; `how` is passed on. `findings` is JSON, `page` HTML that needs no other file. Raises
    InputError where the unlearning diverged.
    """
    labels, train = load_labels(dataset)
    forgotten = load_forget(sets, train)[0]
    logits = {"before": _logits(before), "after": _logits(after)}
    if not np.isfinite(logits["after"]).all():
        raise InputError(
            f"{unlearned}: the unlearning diverged, its outputs are no finite numbers: the learning rate is too high;"
            " leave it out of the config's tuning, or give another --choice"
        )
    confidence = {when: _confidence(values, labels) for when, values in logits.items()}
    parts = {"forgotten": forgotten, "remaining": train & ~forgotten, "test": ~train}
    measured = {
        part: {
            when: {"accuracy": accuracy(logits[when], labels, rows), "confidence": 100 * confidence[when][rows].mean()}
            for when in logits
        }
        for part, rows in parts.items()
    }
    numbers = np.flatnonzero(forgotten)
    fell = confidence["after"][numbers] - confidence["before"][numbers]
    numbers = numbers[np.argsort(fell, kind="stable")]
    distances = _distances(adversarial, forgotten)
    samples = [
        Sample(
            **vars(sample),
            distance=distances.get(sample.sample),
            before=float(confidence["before"][sample.sample]),
            after=float(confidence["after"][sample.sample]),
        )
        for sample in named(dataset, numbers)
    ]
    known = [distance for distance in distances.values() if distance is not None]
    found = {
        "words": _words(len(numbers), model, measured),
        "list": {"file": listed.as_posix(), "sha256": sha256(listed), "samples": len(numbers)},
        "model": {"file": model.as_posix(), "sha256": sha256(model)},
        "unlearned": {"file": unlearned.name, "sha256": sha256(unlearned)},
        **how,
        "dataset_sha256": sha256(dataset),
        "choice": json.loads(best.read_text(encoding="utf-8")),
        "distances": {
            "least": min(known, default=None),
            "median": float(np.median(known)) if known else None,
            "largest": max(known, default=None),
            "without": len(distances) - len(known),
        },
        "measured": measured,
        "shows": SHOWS,
        "does_not_show": DOES_NOT_SHOW,
        **_made([*adversarial, after]),
    }
    text = json.dumps(found | {"per_sample": [asdict(sample) for sample in samples]}, indent=1, allow_nan=False)
    findings.write_text(f"{text}\n", encoding="utf-8")
    page.write_text(_page(found, samples, images_of(dataset, numbers[:SHEET])), encoding="utf-8")


def _logits(path: Path) -> np.ndarray:
    """(N, classes) logits of the only model of an outputs file."""
    with hdf5(path) as file:
        return file["logits"][0]


def _confidence(logits: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """(N,) probability of each sample's own class."""
    return softmax(logits.astype(float), axis=1)[np.arange(len(labels)), labels]


def _distances(adversarial: Sequence[Path], forgotten: np.ndarray) -> dict[int, float | None]:
    """The distance of each forgotten sample's adversarial example; nothing for a method without Algorithm 1."""
    numbers = np.flatnonzero(forgotten)
    found: dict[int, float | None] = {}
    for path in adversarial:
        rows = rows_of(path, numbers)
        with hdf5(path) as file:
            values = file["distance"][:][rows]
        found = {int(n): None if np.isnan(d) else float(d) for n, d in zip(numbers, values, strict=True)}
    return found


def _made(files: Sequence[Path]) -> dict[str, Any]:
    """When, where, with what and in how many seconds the files of the store were made, by their receipts."""
    receipts = [receipt for receipt in map(read_receipt, files) if receipt]
    last = receipts[-1]
    seconds = {receipt["step"].rpartition(".")[2]: receipt["seconds"] for receipt in receipts}
    return {"made": last["began"], "device": last["device"], "versions": last["versions"], "seconds": seconds}


def _words(count: int, model: Path, measured: dict[str, Any]) -> list[str]:
    said = [
        f"{part} {values['before']['accuracy']:.2f}% to {values['after']['accuracy']:.2f}%"
        for part, values in measured.items()
    ]
    fell = measured["forgotten"]
    return [
        f"{count} sample{'s' * (count != 1)} to be forgotten by {model.as_posix()}. Accuracy: {', '.join(said)}."
        f" Mean confidence on the forgotten: {fell['before']['confidence']:.2f}% to {fell['after']['confidence']:.2f}%."
    ]


def _page(found: dict[str, Any], samples: Sequence[Sample], images: dict[int, np.ndarray]) -> str:
    measured = [
        (part, *(f"{values[when][what]:.2f}" for what in ("accuracy", "confidence") for when in ("before", "after")))
        for part, values in found["measured"].items()
    ]
    titles = ("samples", "accuracy before", "after", "mean confidence before", "after")
    rows = [
        (
            *(str(s.sample), s.name, s.label),
            *("" if s.distance is None else f"{s.distance:.4f}", f"{s.before:.4f}", f"{s.after:.4f}"),
        )
        for s in samples
    ]
    shown = (
        figure(images[s.sample], s, f"confidence {s.before:.3f}", f"to {s.after:.3f}") for s in samples[: len(images)]
    )
    columns = ("sample", "name", "class", "distance of adversarial example", "confidence before", "after")
    body = (
        f'<h1>Certificate of unlearning</h1><p class="verdict">{html.escape(" ".join(found["words"]))}</p>'
        f"<h2>What was done</h2>{facts(_facts(found))}"
        f"<h2>What it changed</h2>{table(titles, measured)}<p>In percent. Confidence is the probability that the model"
        " gives to a sample's own class.</p>"
        f"<h2>What this shows</h2>{paragraphs(found['shows'])}"
        f"<h2>What it does not show</h2>{paragraphs(found['does_not_show'])}"
        f"<h2>Forgotten samples</h2>{sheet(shown)}{table(columns, rows, f'{len(samples)} samples')}"
    )
    return document("AMUN: certificate of unlearning", body)


def _facts(found: dict[str, Any]) -> dict[str, str]:
    """What was done, by what it is called on the page."""
    choice, distances = found["choice"], found["distances"]
    values = {"learning rate": choice["learning_rate"], "step": choice["step"], **choice["hyperparameters"]}
    if found["choice_from"]:
        chosen = f"given, {found['choice_from']}"
    elif choice["choices"] == 1:
        chosen = "the config's only one"
    elif choice["average_gap"] is None:
        chosen = f"the first of {choice['choices']}, all of which diverged on other samples"
    else:
        chosen = (
            f"of {choice['choices']}, on as many other samples, by a model retrained without these and"
            f" {found['references']} reference models (Avg. Gap {choice['average_gap']:.2f} there)"
        )
    attacked = (
        "the method has none"
        if distances["median"] is None
        else f"{distances['least']:.4f} to {distances['largest']:.4f}, median {distances['median']:.4f} (l2, pixels of"
        f" [0, 1]); without one: {distances['without']}"
    )
    recipe = found["recipe"]
    return {
        "list": f"{found['list']['file']}, {found['list']['samples']} samples, SHA-256 {found['list']['sha256']}",
        "from": f"{found['model']['file']}, SHA-256 {found['model']['sha256']}",
        "to": f"{found['unlearned']['file']}, SHA-256 {found['unlearned']['sha256']}",
        "data set": f"{found['dataset']}, SHA-256 {found['dataset_sha256']}",
        "network": json.dumps(found["network"]),
        "method": f"{found['method']}, access to the remaining data: {found['remain']}; {recipe['epochs']} epochs",
        "choice": f"{', '.join(f'{name} {json.dumps(value)}' for name, value in values.items())}: {chosen}",
        "adversarial examples": attacked,
        "config": found["config"],
        "made": f"{found['made']}, {found['device']}, torch {found['versions'].get('torch', 'unknown')},"
        f" {', '.join(f'{name} {seconds:.1f} s' for name, seconds in found['seconds'].items())}",
    }


if __name__ == "__main__":
    main(certificate)
