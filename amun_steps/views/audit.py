"""Step: what one model remembers of a list of samples, as a page for people and as JSON."""

import html
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from amun_steps.judging.intervals import auc_interval, p_values, tpr_interval
from amun_steps.judging.metrics import ties
from amun_steps.steps.forget import load_forget, load_tests
from amun_steps.store.arrays import hdf5
from amun_steps.store.step import InputError, Output, main, step
from amun_steps.training.data import load_labels
from amun_steps.views.page import Named, document, facts, figure, images_of, named, paragraphs, sheet, table
from amun_steps.views.runs import read_runs
from amun_steps.views.verdict import MARGIN, Verdict, verdict

SHEET = 12
"""Images of the most remembered samples on the page, and of the least."""

LEVEL = 0.05
"""Samples with a p-value of at most this are counted."""

FEW = 16
"""Fewer references than this are called few: each sample's score is then a rough one, and many are tied."""


@dataclass(frozen=True)
class Sample(Named):
    """A listed sample: what it is called, its RMIA score in [0, 1] and its p-value."""

    score: float
    p_value: float


@step
def audit(
    *,
    scores: Path,
    runs: Path,
    dataset: Path,
    forget: Path,
    model: Path,
    listed: Path,
    references: int,
    findings: Output,
    page: Output,
) -> None:
    """Judge how well RMIA tells listed samples from test samples by one model's answers.

    `scores` and `runs` are those of the model (see `amun_steps.steps.score`), `forget` has the list as its first set.
    `model` and `listed` are the files that were audited, which are only named; `references` is how many reference
    models RMIA had. `findings` is JSON, `page` HTML that needs no other file. Raises InputError for a model, or a
    reference, that diverged.
    """
    _, train = load_labels(dataset)
    chosen, tests = load_forget(forget, train)[0], load_tests(forget, train)[0]
    with hdf5(scores) as file:
        membership = file["rmia"][0]
    if not np.isfinite(membership).all():
        raise InputError(
            f"{model}: RMIA has no score for {np.count_nonzero(~np.isfinite(membership))} samples: the model's outputs,"
            " or those of a reference model, are no finite numbers"
        )
    numbers = np.flatnonzero(chosen)[np.argsort(-membership[chosen], kind="stable")]
    of_list, of_test = membership[numbers], membership[tests]
    ps = p_values(of_list, of_test)
    samples = [
        Sample(**vars(sample), score=float(score), p_value=float(p))
        for sample, score, p in zip(named(dataset, numbers), of_list, ps, strict=True)
    ]
    images = images_of(dataset, [*numbers[:SHEET], *numbers[-SHEET:]])
    row, interval = read_runs(runs).iloc[0], auc_interval(of_list, of_test)
    tied = ties(np.concatenate([of_list, of_test]))
    told = verdict(row.ft_auc, interval, len(of_list), len(of_test), tied)
    found = {
        "verdict": told.kind,
        "short": told.short,
        "words": told.words,
        "margin": MARGIN,
        "ft_auc": row.ft_auc,
        "ft_auc_interval": interval,
        "tpr_at_1_fpr": row.tpr_at_1_fpr,
        "tpr_at_1_fpr_interval": tpr_interval(of_list, of_test, 0.01),
        "samples": len(of_list),
        "test_samples": len(of_test),
        "references": references,
        "ties": tied,
        "low_p_values": int((ps <= LEVEL).sum()),
        "least_p_value": 1 / (1 + len(of_test)),
        "accuracy_on_list": row.unlearn_accuracy,
        "accuracy_on_test": row.test_accuracy,
        "model": model.as_posix(),
        "list": listed.as_posix(),
    }
    text = json.dumps(found | {"per_sample": [asdict(sample) for sample in samples]}, indent=1, allow_nan=False)
    findings.write_text(f"{text}\n", encoding="utf-8")
    page.write_text(_page(found, told, samples, images), encoding="utf-8")


def _page(found: dict[str, Any], told: Verdict, samples: Sequence[Sample], images: dict[int, np.ndarray]) -> str:
    rest = samples[SHEET:]
    sheets = f"<h2>Most remembered first</h2>{_sheet(samples[:SHEET], images)}"
    if rest:
        sheets += f"<h2>Least remembered last</h2>{_sheet(rest[-SHEET:], images)}"
    rows = [(str(s.sample), s.name, s.label, f"{s.score:.4f}", f"{s.p_value:.4f}") for s in samples]
    every = table(("sample", "name", "class", "score", "p-value"), rows, f"{len(samples)} samples")
    body = (
        f'<h1>Audit of {html.escape(found["model"])}</h1><p class="verdict">{html.escape(told.short)}</p>'
        f"{paragraphs(told.words)}<h2>Numbers</h2>{facts(_facts(found))}{_reading(found)}{sheets}"
        f"<h2>All samples</h2>{every}"
    )
    return document("AMUN: audit", body)


def _facts(found: dict[str, Any]) -> dict[str, str]:
    """The numbers of the page, by what they are called there."""

    def percent(name: str) -> str:
        low, high = found[f"{name}_interval"]
        return f"{found[name]:.2f} [{low:.2f}, {high:.2f}]"

    return {
        "FT AUC (50: no better than chance)": percent("ft_auc"),
        "TPR at 1% FPR": percent("tpr_at_1_fpr"),
        f"p-values of at most {LEVEL:g}": f"{found['low_p_values']} of {found['samples']};"
        f" chance alone would have about {LEVEL * found['samples']:.3g}",
        "accuracy on the list, on test": f"{found['accuracy_on_list']:.2f}, {found['accuracy_on_test']:.2f}",
        "samples listed, test samples": f"{found['samples']}, {found['test_samples']}",
        "reference models": f"{found['references']}{', few' * (found['references'] < FEW)}",
        "samples with the most frequent score": f"{found['ties']:.2f}%",
        "list": found["list"],
    }


def _reading(found: dict[str, Any]) -> str:
    """How the numbers of the page are to be read."""
    few = f" Fewer than {FEW} references make single scores rough." if found["references"] < FEW else ""
    return (
        "<p>Numbers in brackets are 95% intervals, in percent. They cover which samples were listed and which are the"
        f" test samples; not another training of the model or of the references.{few} A sample's score is RMIA's:"
        " the share of other samples whose likelihood the model, compared with the references, raises clearly less. Its"
        " p-value is the share of test samples, and itself, that score at least as high, so it cannot be below"
        f" {found['least_p_value']:.2g}. One low p-value in a long list is no proof.</p>"
    )


def _sheet(samples: Sequence[Sample], images: dict[int, np.ndarray]) -> str:
    said = (f"score {sample.score:.3f}, p {sample.p_value:.2g}" for sample in samples)
    return sheet(figure(images[sample.sample], sample, line) for sample, line in zip(samples, said, strict=True))


if __name__ == "__main__":
    main(audit)
