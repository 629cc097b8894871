"""Step: what one model remembers of a list of samples, as a page for people and as JSON."""

import base64
import html
import io
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.image import imsave

from amun_steps.judging.intervals import auc_interval, p_values, share_interval
from amun_steps.steps.forget import load_forget, load_tests
from amun_steps.store.arrays import hdf5
from amun_steps.store.step import InputError, Output, main, step
from amun_steps.training.data import load_labels
from amun_steps.views.report import STYLE
from amun_steps.views.runs import read_runs
from amun_steps.views.verdict import MARGIN, Verdict, verdict

SHEET = 12
"""Images of the most remembered samples on the page, and of the least."""

LEVEL = 0.05
"""Samples with a p-value of at most this are counted."""

FEW = 16
"""Fewer references than this are called few: each sample's score is then a rough one, and many are tied."""

LOOK = """
.verdict { font-size: 1.25rem; border-left: 5px solid #0072B2; padding: 0.4rem 0 0.4rem 1rem; margin: 1rem 0 }
.sheet { display: flex; flex-wrap: wrap; gap: 10px } .sheet figure { margin: 0; width: 108px; font-size: 11px }
.sheet img { width: 108px; image-rendering: pixelated; border: 1px solid #ccc }
.sheet figcaption { overflow-wrap: anywhere }
dl { display: grid; grid-template-columns: max-content auto; gap: 2px 1.2rem } dd { margin: 0 }
"""


@dataclass(frozen=True)
class Sample:
    """A listed sample: its number and name, its class, its RMIA score in [0, 1] and its p-value."""

    sample: int
    name: str
    label: str
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
    samples, images = _samples(dataset, numbers, of_list, ps)
    row, interval = read_runs(runs).iloc[0], auc_interval(of_list, of_test)
    told = verdict(row.ft_auc, interval, len(of_list), len(of_test))
    found = {
        "verdict": told.kind,
        "short": told.short,
        "words": told.words,
        "margin": MARGIN,
        "ft_auc": row.ft_auc,
        "ft_auc_interval": interval,
        "tpr_at_1_fpr": row.tpr_at_1_fpr,
        "tpr_at_1_fpr_interval": share_interval(round(row.tpr_at_1_fpr / 100 * len(of_list)), len(of_list)),
        "samples": len(of_list),
        "test_samples": len(of_test),
        "references": references,
        "ties": row.rmia_ties,
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


def _samples(
    dataset: Path, numbers: np.ndarray, scores: np.ndarray, ps: np.ndarray
) -> tuple[list[Sample], dict[int, np.ndarray]]:
    """The samples `numbers`, from the most remembered one, and the (channels, height, width) images of the first SHEET
    and the last, by number."""
    labels, _ = load_labels(dataset)
    shown = sorted({*numbers[:SHEET], *numbers[-SHEET:]})
    with hdf5(dataset) as file:
        names, classes = (file[key].asstr()[:] if key in file else None for key in ("names", "class_names"))
        images = dict(zip(shown, file["images"][shown], strict=True))
    samples = [
        Sample(
            sample=int(number),
            name="" if names is None else str(names[number]),
            label=str(labels[number] if classes is None else classes[labels[number]]),
            score=float(score),
            p_value=float(p),
        )
        for number, score, p in zip(numbers, scores, ps, strict=True)
    ]
    return samples, images


def _page(found: dict[str, Any], told: Verdict, samples: Sequence[Sample], images: dict[int, np.ndarray]) -> str:
    rest = samples[SHEET:]
    sheets = f"<h2>Most remembered first</h2>{_sheet(samples[:SHEET], images)}"
    if rest:
        sheets += f"<h2>Least remembered last</h2>{_sheet(rest[-SHEET:], images)}"
    words = "".join(f"<p>{html.escape(sentence)}</p>" for sentence in told.words)
    facts = "".join(f"<dt>{name}</dt><dd>{html.escape(value)}</dd>" for name, value in _facts(found).items())
    body = (
        f'<h1>Audit of {html.escape(found["model"])}</h1><p class="verdict">{html.escape(told.short)}</p>{words}'
        f"<h2>Numbers</h2><dl>{facts}</dl>{_reading(found)}{sheets}<h2>All samples</h2>{_table(samples)}"
    )
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>AMUN: audit</title>'
        f"<style>{STYLE}{LOOK}</style></head><body>{body}</body></html>\n"
    )


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
    return f'<div class="sheet">{"".join(_figure(sample, images[sample.sample]) for sample in samples)}</div>'


def _figure(sample: Sample, image: np.ndarray) -> str:
    """A sample's (channels, height, width) image and what is known of it; other than RGB, the mean of its channels."""
    pixels = image.transpose(1, 2, 0) if len(image) == 3 else image.mean(axis=0).astype(np.uint8)
    png = io.BytesIO()
    imsave(png, pixels, format="png", cmap="gray", vmin=0, vmax=255, metadata={"Software": None})
    encoded, called = base64.b64encode(png.getvalue()).decode(), html.escape(sample.name or str(sample.sample))
    said = f"{called}<br>class {html.escape(sample.label)}<br>score {sample.score:.3f}, p {sample.p_value:.2g}"
    return f'<figure><img alt="{called}" src="data:image/png;base64,{encoded}"><figcaption>{said}</figcaption></figure>'


def _table(samples: Sequence[Sample]) -> str:
    titles = ("sample", "name", "class", "score", "p-value")
    rows = [(str(s.sample), s.name, s.label, f"{s.score:.4f}", f"{s.p_value:.4f}") for s in samples]
    lines = ["".join(f"<td>{html.escape(cell)}</td>" for cell in row) for row in rows]
    head = "".join(f"<th>{title}</th>" for title in titles)
    body = "".join(f"<tr>{line}</tr>" for line in lines)
    table = f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
    return f'<details><summary>{len(samples)} samples</summary><div class="wide">{table}</div></details>'


if __name__ == "__main__":
    main(audit)
