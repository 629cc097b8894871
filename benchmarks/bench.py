"""What this project costs beside named alternatives, and how its cost grows: `make bench`.

    python benchmarks/bench.py [QUESTION ...]

asks the QUESTIONS that are named, or all of them, at most 20 minutes on two cores, and writes each answer into
benchmarks/README.md, in the place of its last one. The packages to compare with are the extra `bench`.
"""

import os
import platform
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import attacks
import growth
import noop
import request
import scoring
import torch
import training
from ratios import Ratio, short

PAGE = Path(__file__).parent / "README.md"
QUESTIONS: dict[str, Callable[[], list[Any]]] = {
    "algorithm1": attacks.algorithm1,
    "minimum_norm": attacks.minimum_norm,
    "rmia": scoring.attack,
    "small_model": training.small_model,
    "resnet18": training.step,
    "runs": scoring.runs,
    "noop": noop.nothing_to_do,
    "request": request.by_amun,
    "growth": growth.growth,
}


def machine() -> str:
    """What is measured on: processor, cores, torch, and how many processes wanted to run just before."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.is_file() else []
    name = next((line.partition(": ")[2] for line in lines if line.startswith("model name")), platform.processor())
    accelerator = f"{torch.cuda.get_device_name()}, " if torch.cuda.is_available() else ""
    kind = f"{accelerator}{name} {torch.backends.cpu.get_cpu_capability()}, {os.cpu_count()} cores"
    return f"{kind}, torch {torch.__version__}, load {os.getloadavg()[0]:.1f}"


def cells(found: Ratio | growth.Curve) -> list[str]:
    """What a row of the page says of an answer; what missed its target says so."""
    if isinstance(found, Ratio):
        wanted = "-" if found.least is None else short(found.least)
        missed = found.least is not None and found.ratio < found.least
        return [found.ours, found.against, found.theirs, short(found.ratio), wanted + " **missed**" * missed]
    sizes, times = (", ".join(map(short, of)) for of in (found.sizes, found.seconds))
    worse = found.last > found.sorting + 0.15  # less is noise
    last = f"{found.last:.2f}" + " **worse**" * worse
    return [found.work, f"{found.grows}: {sizes}", times, f"{found.exponent:.2f}", last, f"{found.sorting:.2f}"]


def put(page: str, question: str, rows: Sequence[str]) -> str:
    """The page with other rows of a question in the table that has its mark, in the order of QUESTIONS."""
    mark, end = f"<!-- {'growth' if question == 'growth' else 'ratios'} -->\n", "<!-- end -->"
    before, rest = page.split(mark)
    table, after = rest.split(end, 1)
    head, line, *old = table.strip().splitlines()
    asked = {name: [row for row in old if row.endswith(f"| `{name}` |")] for name in QUESTIONS} | {question: rows}
    return before + mark + "\n".join([head, line, *(row for of in asked.values() for row in of)]) + f"\n{end}" + after


def main(questions: Sequence[str], page: Path = PAGE) -> None:
    """Ask them in turn and write each answer when it is there."""
    unknown = [name for name in questions if name not in QUESTIONS]
    if unknown:
        raise SystemExit(f"found the question {unknown[0]!r}, expected one of {', '.join(QUESTIONS)}")
    for question in questions or QUESTIONS:
        where, began = f"{time.strftime('%Y-%m-%d')}, {machine()}", time.monotonic()
        found = QUESTIONS[question]()
        rows = [f"| {' | '.join([*cells(one), where, f'`{question}`'])} |" for one in found]
        page.write_text(put(page.read_text(encoding="utf-8"), question, rows), encoding="utf-8")
        print("\n".join(rows), f"{question}: {time.monotonic() - began:.0f} s", sep="\n", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
