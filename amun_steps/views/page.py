"""Pages on one model and a list of samples: HTML that needs no other file."""

import base64
import html
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.image import imsave

from amun_steps.store.arrays import hdf5
from amun_steps.views.report import STYLE

LOOK = """
.verdict { font-size: 1.25rem; border-left: 5px solid #0072B2; padding: 0.4rem 0 0.4rem 1rem; margin: 1rem 0 }
.sheet { display: flex; flex-wrap: wrap; gap: 10px } .sheet figure { margin: 0; width: 108px; font-size: 11px }
.sheet img { width: 108px; image-rendering: pixelated; border: 1px solid #ccc }
.sheet figcaption { overflow-wrap: anywhere }
dl { display: grid; grid-template-columns: max-content auto; gap: 2px 1.2rem } dd { margin: 0; overflow-wrap: anywhere }
"""


@dataclass(frozen=True)
class Named:
    """A sample of a data set: its number, its name (empty where the data have none) and what its class is called."""

    sample: int
    name: str
    label: str


def named(dataset: Path, numbers: Sequence[int]) -> list[Named]:
    """What the samples `numbers` are called, in this order."""
    with hdf5(dataset) as file:
        names, classes = (file[key].asstr()[:] if key in file else None for key in ("names", "class_names"))
        labels = file["labels"][:]
    return [
        Named(
            sample=int(number),
            name="" if names is None else str(names[number]),
            label=str(labels[number] if classes is None else classes[labels[number]]),
        )
        for number in numbers
    ]


def images_of(dataset: Path, numbers: Sequence[int]) -> dict[int, np.ndarray]:
    """The (channels, height, width) images of samples, by number."""
    shown = sorted(set(map(int, numbers)))
    with hdf5(dataset) as file:
        return dict(zip(shown, file["images"][shown], strict=True))


def document(title: str, body: str) -> str:
    """A whole page; `body` is HTML."""
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{html.escape(title)}</title>'
        f"<style>{STYLE}{LOOK}</style></head><body>{body}</body></html>\n"
    )


def facts(values: Mapping[str, str]) -> str:
    """What is known, by what it is called, both plain text."""
    return f"<dl>{''.join(f'<dt>{html.escape(k)}</dt><dd>{html.escape(v)}</dd>' for k, v in values.items())}</dl>"


def paragraphs(sentences: Iterable[str]) -> str:
    """Plain text, each in a paragraph of its own."""
    return "".join(f"<p>{html.escape(sentence)}</p>" for sentence in sentences)


def sheet(figures: Iterable[str]) -> str:
    """Figures (see `figure`) side by side."""
    return f'<div class="sheet">{"".join(figures)}</div>'


def figure(image: np.ndarray, sample: Named, *said: str) -> str:
    """A sample's (channels, height, width) image and lines of plain text; other than RGB, the mean of its channels."""
    pixels = image.transpose(1, 2, 0) if len(image) == 3 else image.mean(axis=0).astype(np.uint8)
    png = io.BytesIO()
    imsave(png, pixels, format="png", cmap="gray", vmin=0, vmax=255, metadata={"Software": None})
    encoded, called = base64.b64encode(png.getvalue()).decode(), html.escape(sample.name or str(sample.sample))
    lines = "<br>".join([called, f"class {html.escape(sample.label)}", *map(html.escape, said)])
    return (
        f'<figure><img alt="{called}" src="data:image/png;base64,{encoded}"><figcaption>{lines}</figcaption></figure>'
    )


def table(titles: Sequence[str], rows: Iterable[Sequence[str]], summary: str = "") -> str:
    """A table of plain text, folded away under `summary` if there is one."""
    lines = ["".join(f"<td>{html.escape(cell)}</td>" for cell in row) for row in rows]
    head = "".join(f"<th>{html.escape(title)}</th>" for title in titles)
    body = "".join(f"<tr>{line}</tr>" for line in lines)
    found = f'<div class="wide"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'
    return f"<details><summary>{html.escape(summary)}</summary>{found}</details>" if summary else found
