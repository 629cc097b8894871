"""Step: everything that people read in one HTML file, with the provenance of every number."""

import base64
import html
import io
import json
import re
import subprocess
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from amun_steps.steps.choose import edges, read_grid
from amun_steps.store.commands import artifacts
from amun_steps.store.receipts import read_receipt
from amun_steps.store.step import Output, main, step
from amun_steps.views.figures import Panel, draw
from amun_steps.views.look import LOOK
from amun_steps.views.runs import read_runs

STYLE = """
body { font: 15px/1.45 system-ui, sans-serif; max-width: 1200px; margin: 2rem auto; padding: 0 1rem; color: #222 }
h1, h2 { line-height: 1.2 } h2 { margin-top: 2.5rem; border-bottom: 1px solid #ccc }
table { border-collapse: collapse; font-size: 12px; font-variant-numeric: tabular-nums; white-space: nowrap }
th, td { padding: 2px 9px; text-align: right } th:first-child, td:first-child { text-align: left }
thead th { border-bottom: 1px solid #222; cursor: pointer }
th[data-order=up]::after { content: " ↑" } th[data-order=down]::after { content: " ↓" }
.said { font-size: 1.1rem } tbody tr:nth-child(even) { background: #f4f4f4 }
.wide { overflow-x: auto; margin: 0.5rem 0 } .text td { text-align: left; white-space: normal }
.held { color: #006b4f; font-weight: bold } .failed { color: #b3261e; font-weight: bold }
.undecided { color: #555 }
img { max-width: 100%; height: auto } figure { margin: 1.5rem 0 } caption, figcaption { text-align: left; color: #444 }
pre { background: #f4f4f4; padding: 0.8rem; overflow-x: auto; font-size: 12px } summary { cursor: pointer }
"""


HELD = ("held", "failed", "undecided")
"""What a claim can be, beside what nothing can be said of."""

SORTING = """
document.addEventListener("click", ({target}) => {
  const title = target.closest("thead th"); if (!title) return
  const body = title.closest("table").tBodies[0], column = title.cellIndex, down = title.dataset.order === "up"
  const number = row => parseFloat(row.cells[column].textContent.replace(",", ""))
  const compare = (a, b) => isNaN(number(a)) && isNaN(number(b))
    ? a.cells[column].textContent.localeCompare(b.cells[column].textContent)
    : isNaN(number(a)) - isNaN(number(b)) || number(a) - number(b)
  const rows = [...body.rows].sort((a, b) => down ? compare(b, a) : compare(a, b))
  for (const other of title.parentNode.cells) delete other.dataset.order
  title.dataset.order = down ? "down" : "up"; body.append(...rows)
})
"""
"""A click on the title of a column sorts the table by it, numbers as numbers; a second one the other way round."""

PIXELS = 130
"""An inch of a figure on the page."""

ROW = 4
"""Panels beside each other at the page's width."""


@dataclass(frozen=True)
class Trained:
    """Panels (see `amun_steps.views.figures`) that show how models were trained or tuned, from the files `inputs`."""

    title: str
    panels: list[Panel]
    inputs: list[Path]


@step
def report(
    *,
    tables: list[Path],
    figures: list[Path],
    captions: list[str],
    claims: Path,
    overview: Path,
    opening: list[Path],
    compared: list[Path],
    pictures: list[Path],
    judges: Path | None = None,
    runs: list[Path],
    trained: list[Trained],
    config: dict[str, Any],
    store: str,
    output: Output,
) -> None:
    """Put tables (Markdown), figures (PNG), claims and runs (CSV) into one HTML file that needs no other.

    overview: what came out, in sentences (Markdown), and `opening` its pictures (PNG), which the page opens with.
    `captions` are those of the figures; `compared` the leaderboard and the comparison of pairs (Markdown), `pictures`
    theirs (PNG); `judges` the table of all judges (Markdown), where there is one; `trained` the pictures of losses and
    tuning. `store` is the folder whose receipts say what each stage took; it is looked at as it is now.
    """
    sections = [
        ("Overview", _opening(overview.read_text(encoding="utf-8"), opening)),
        *((path.stem.title(), _compared(path, picture)) for path, picture in zip(compared, pictures, strict=True)),
        *([("Judges", _table(judges.read_text(encoding="utf-8")))] if judges else []),
        ("Tables", "\n".join(_table(path.read_text(encoding="utf-8")) for path in tables)),
        ("Figures", "\n".join(map(_figure, figures, captions))),
        ("Claims", _claims(pd.read_csv(claims))),
        ("Training", "\n".join(map(_trained, trained))),
        ("Runtime", _runtime(Path(store))),
        ("Config", f"<pre>{html.escape(yaml.safe_dump(config, sort_keys=False, width=120))}</pre>"),
        ("Provenance", _provenance(runs)),
    ]
    links = " · ".join(f'<a href="#{title.lower()}">{title}</a>' for title, _ in sections)
    body = "\n".join(f'<h2 id="{title.lower()}">{title}</h2>\n{text}' for title, text in sections)
    page = (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>AMUN: results</title><style>{STYLE}</style>'
        f"</head><body><h1>AMUN: machine unlearning with adversarial examples</h1><p>{links}</p>{body}"
        f"<script>{SORTING}</script></body></html>\n"
    )
    output.write_text(page, encoding="utf-8")


def _opening(said: str, pictures: Sequence[Path]) -> str:
    captions = (
        "Avg. Gap with FT AUC, with a 95% interval; what is hollow is not distinguishable from the lowest.",
        "What is given up for what: FT AUC, where 50 is guessing, against test accuracy; the star is retraining.",
    )
    return f'<p class="said">{_text(said)}</p>' + "".join(
        f"<figure>{_image(path, path.stem)}<figcaption>{_text(caption)}</figcaption></figure>"
        for path, caption in zip(pictures, captions, strict=True)
    )


def _compared(path: Path, picture: Path) -> str:
    """The picture of a view, and its paragraphs, tables and lists (Markdown) as HTML."""
    parts = [_image(picture, path.stem)]
    for block in path.read_text(encoding="utf-8").strip().split("\n\n"):
        lines = block.splitlines()
        if block.startswith("|"):
            parts.append(_rows(lines))
        elif block.startswith("- "):
            parts.append("<ul>" + "".join(f"<li>{_text(line[2:])}</li>" for line in lines) + "</ul>")
        else:
            parts.append(f"<p>{_text(block)}</p>")
    return "\n".join(parts)


def _image(path: Path, name: str) -> str:
    return _picture(path.read_bytes(), name)


def _picture(png: bytes, name: str) -> str:
    """A figure at the one scale of the page: so many pixels an inch, whatever its size; all have LOOK's resolution."""
    width = round(int.from_bytes(png[16:20], "big") * PIXELS / LOOK["savefig.dpi"])  # by the header of a PNG file
    encoded = base64.b64encode(png).decode()
    return f'<img alt="{html.escape(name)}" style="width: {width}px" src="data:image/png;base64,{encoded}">'


def _text(text: str) -> str:
    """Plain text as HTML, with its sets as formulas: D_R, D_F and D_A with a subscript."""
    return re.sub(r"\bD_([RFA])\b", r"D<sub>\1</sub>", html.escape(text))


def _table(markdown: str) -> str:
    """A table of the workflow (see `amun_steps.views.tables.markdown`) as HTML."""
    caption, _, *lines = markdown.splitlines()
    return f"<figure><figcaption>{_text(caption)}</figcaption>{_rows(lines)}</figure>"


def _rows(lines: Sequence[str]) -> str:
    """The lines of a Markdown table as HTML."""
    rows = [[_inline(cell.strip()) for cell in line.strip("|").split("|")] for line in lines]
    head, _, *body = rows
    titles = "<tr>" + "".join(f"<th>{cell}</th>" for cell in head) + "</tr>"
    cells = "".join("<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in body)
    return f'<div class="wide"><table><thead>{titles}</thead><tbody>{cells}</tbody></table></div>'


def _inline(cell: str) -> str:
    """A cell's bold and underline as HTML; nothing else in it is markup."""
    text = _text(cell).replace("&lt;u&gt;", "<u>").replace("&lt;/u&gt;", "</u>")
    before, *bold = text.split("**")
    return f"{before}<b>{bold[0]}</b>{bold[1]}" if len(bold) == 2 else text


def _figure(path: Path, caption: str) -> str:
    name = re.sub(r"^fig(?=\d)", "Figure ", path.stem)
    return f"<figure>{_image(path, name)}<figcaption>{name}. {_text(caption)}</figcaption></figure>"


def _trained(shown: Trained) -> str:
    """The panels, ROW in a picture, and for each grid what was chosen and whether at an edge of the grid."""
    parts = []
    for start in range(0, len(shown.panels), ROW):
        png = io.BytesIO()
        drawn, _ = draw(shown.panels[start : start + ROW], shown.inputs)
        drawn.savefig(png, format="png", dpi=LOOK["savefig.dpi"], metadata={"Software": None})
        parts.append(_picture(png.getvalue(), shown.title))
    said = [
        _choice(panel.title, *(shown.inputs[n] for n in panel.files[0]))
        for panel in shown.panels
        if panel.kind == "grid"
    ]
    return f"<figure><figcaption>{html.escape(shown.title)}</figcaption>{''.join(parts)}{''.join(said)}</figure>"


def _choice(title: str, whole: Path, best: Path) -> str:
    rows, chosen = read_grid(whole, best)
    values = {name: [json.loads(str(value)) for value in rows[name].unique()] for name in chosen}
    said = ", ".join(f"{name} {json.dumps(value)}" for name, value in chosen.items())
    edge = [f"<b>At the edge: {html.escape(sentence)}.</b>" for sentence in edges(values, chosen)]
    return f"<p>{html.escape(title)}: {' '.join([html.escape(said) + '.', *edge])}</p>"


def _claims(claims: pd.DataFrame) -> str:
    text = claims.select_dtypes(include=["object", "string"]).columns.difference(["held"])
    held = claims.held.fillna("cannot be said")
    shown = claims.assign(
        held=held.map(lambda value: f'<span class="{value}">{value}</span>' if value in HELD else value),
        **{name: claims[name].map(_text, na_action="ignore") for name in text},
    )
    counts = held.value_counts()
    said = ", ".join(f"{counts.get(value, 0)} {value}" for value in HELD)
    return f'<p>Of {len(claims)}: {said}.</p><div class="wide text">{_html(shown, escape=False)}</div>'


def _html(rows: pd.DataFrame, escape: bool = True) -> str:
    return rows.to_html(index=False, border=0, na_rep="", escape=escape, float_format=lambda value: f"{value:.4g}")


def _runtime(store: Path) -> str:
    """Seconds of each step in the store, by its receipts, a job's counted once."""
    jobs = {}
    for receipt in _receipts(store):
        job = json.dumps([receipt["inputs"], receipt["parameters"]])
        jobs[receipt["step"], receipt["began"], receipt["host"], job] = receipt
    steps = defaultdict(list)
    for receipt in jobs.values():
        steps[receipt["step"].removeprefix("amun_steps."), receipt["device"]].append(receipt)
    rows = pd.DataFrame(
        [
            {
                "step": name,
                "device": device,
                "jobs": len(found),
                "hours": sum(r["seconds"] for r in found) / 3600,
                "longest (s)": max(r["seconds"] for r in found),
                "most memory (GB)": max(r["peak_memory_bytes"] for r in found) / 1e9,
            }
            for (name, device), found in steps.items()
        ]
    )
    return "" if rows.empty else '<div class="wide">' + _html(rows.sort_values("hours", ascending=False)) + "</div>"


def _receipts(store: Path) -> Iterator[dict]:
    yield from filter(None, map(read_receipt, artifacts(store)))


def _provenance(runs: Sequence[Path]) -> str:
    """The commit, and each run of each experiment with its hyperparameters, seed and address."""
    numbers = ["replicate", "set", "original", "run"]
    columns = ["method", "access", "forget", *numbers, "hyperparameters", "seed", "address"]
    parts = [
        f"<p>Commit {_commit()}. Every number of a table is a mean over runs; a run's models lie in the folder of"
        " <code>results/store</code> whose name ends with its address, and <code>amun store why FILE</code>"
        " says what made one, back to the data.</p>"
    ]
    for path in runs:
        rows = read_runs(path)[columns]
        rows = rows.assign(**{name: rows[name].map("{:g}".format, na_action="ignore") for name in numbers})
        parts.append(f"<details><summary>{path.stem}: {len(rows)} runs</summary>")
        parts.append('<div class="wide">' + _html(rows) + "</div></details>")
    return "\n".join(parts)


def _commit() -> str:
    """The commit of the working copy, with a note where it has changes; 'unknown' without git."""
    done = subprocess.run(["git", "describe", "--always", "--dirty"], capture_output=True, text=True, check=False)
    return done.stdout.strip() or "unknown"


if __name__ == "__main__":
    main(report)
