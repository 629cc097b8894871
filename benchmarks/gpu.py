"""What a GPU makes of this project's training: speed, stacks, where the time goes, compiled graphs, determinism.

    python benchmarks/gpu.py results/gpu.json

takes about ten minutes on a GPU, writes one JSON file and prints it as a table; send it. Each speed is the median of
five runs, ratios are of runs that alternate. Without a GPU everything is as small as a test of this script needs.
"""

import json
import sys
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from ratios import alternated, seconds
from torch.profiler import ProfilerActivity, profile
from training import BATCH, RESNET, Training

from amun_steps.store.receipts import device_name
from amun_steps.training.device import device

VGG = {"name": "vgg", "shape": [3, 64, 64], "classes": 200}
SMALL = {"name": "small_resnet", "width": 32, "strides": [1], "stem_stride": 2, "shape": [1, 8, 8], "classes": 10}


@dataclass(frozen=True)
class Size:
    """How much is measured: large networks, images of an epoch for them and for small ones, models in the largest
    stack, and how often."""

    networks: dict[str, dict[str, Any]]
    images: int
    few: int
    models: int
    repeats: int


ON_GPU = Size({"ResNet-18, 32x32": RESNET, "VGG19, 64x64": VGG}, 50_000, 1152, 256, 5)
ON_CPU = Size({"small ResNet, 8x8": SMALL}, 256, 128, 2, 1)
EPOCHS = 200


def speed(size: Size) -> dict[str, Any]:
    """Images a second of each large network, against the bare step, and what 200 epochs of 50,000 images would take."""
    found = {}
    for name, network in size.networks.items():
        for precision in ("bfloat16", "float32"):
            training = Training(network, size.images)
            ways = {"ours": partial(training.ours, precision), "bare": partial(training.bare, precision)}
            taken = alternated(ways, size.repeats)
            rate = size.images / taken["ours"]
            found[f"{name}, {precision}"] = {
                "images a second": rate,
                "of the bare step": taken["bare"] / taken["ours"],
                f"hours of {EPOCHS} epochs of 50,000": EPOCHS * 50_000 / rate / 3600,
            }
    return found


def stacks(size: Size) -> dict[str, Any]:
    """Models times images a second of the demo's network, by how many are trained side by side; and the least number
    that reaches nine tenths of the most."""
    rates, models = {}, 1
    while models <= size.models:
        training = Training(SMALL, size.few, models)
        taken = alternated({"ours": partial(training.ours, "float32")}, size.repeats)
        rates[models] = models * size.few / taken["ours"]
        models *= 2
    enough = next(count for count, rate in rates.items() if rate >= 0.9 * max(rates.values()))
    return {"models x images a second": rates, "nine tenths of the most from": enough}


def where_time_goes(size: Size) -> dict[str, Any]:
    """Shares of the time of a short training by kind of work, launches a step, and how long the device waits."""
    network = next(iter(size.networks.values()))
    training = Training(network, min(size.images, 40 * BATCH))
    training.ours()
    cuda = training.where.type == "cuda"
    activities = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if cuda else [])]
    with profile(activities=activities) as profiled:
        wall = seconds(training.ours)
    spent = "self_device_time_total" if cuda else "self_cpu_time_total"
    kinds = {
        "convolutions and products": ("conv", "mm", "gemm", "cudnn", "xmma", "cutlass", "linear"),
        "normalisation": ("norm",),
        "casts and copies": ("copy", "to_copy", "memcpy", "memset", "cat"),
    }
    events = [event for event in profiled.key_averages() if getattr(event, spent) > 0]
    total, shares = sum(getattr(event, spent) for event in events), dict.fromkeys([*kinds, "the rest"], 0.0)
    for event in events:
        kind = next((k for k, words in kinds.items() if any(w in event.key.lower() for w in words)), "the rest")
        shares[kind] += getattr(event, spent) / total
    launches = sum(event.count for event in events if "LaunchKernel" in event.key or not cuda)
    steps = -(-len(training.pool) // BATCH)
    return {"shares": shares, "calls a step": launches / steps, "device waits": max(0.0, 1 - total / 1e6 / wall)}


def compiled(size: Size) -> dict[str, Any]:
    """What torch.compile brings: eager seconds over compiled ones, of the first large network."""
    if device().type != "cuda":
        return {"not measured": "torch.compile is for GPUs here"}
    training = Training(next(iter(size.networks.values())), size.images)
    taken = alternated({"eager": training.ours, "compiled": lambda: training.ours(compile=True)}, size.repeats)
    return {"eager over compiled": taken["eager"] / taken["compiled"]}


def determinism(size: Size) -> dict[str, Any]:
    """Whether the same training gives the same bytes twice, as it is and by cuDNN's deterministic kernels, and what
    these cost."""
    training = Training(next(iter(size.networks.values())), min(size.images, 100 * BATCH))
    found: dict[str, Any] = {"same bytes": torch.equal(training.ours(), training.ours())}
    before = torch.backends.cudnn.deterministic

    def strict() -> torch.Tensor:
        torch.backends.cudnn.deterministic = True
        try:
            return training.ours()
        finally:
            torch.backends.cudnn.deterministic = before

    found["same bytes, deterministic"] = torch.equal(strict(), strict())
    taken = alternated({"as it is": training.ours, "deterministic": strict}, size.repeats)
    return found | {"deterministic over as it is": taken["deterministic"] / taken["as it is"]}


QUESTIONS = {
    "speed": speed,
    "stacks": stacks,
    "where time goes": where_time_goes,
    "torch.compile": compiled,
    "determinism": determinism,
}


def main(output: Path, size: Size | None = None) -> dict[str, Any]:
    """Answer all QUESTIONS, write them as JSON and print them."""
    size = size or (ON_GPU if device().type == "cuda" else ON_CPU)
    found: dict[str, Any] = {"device": device_name(), "torch": torch.__version__, "cuda": torch.version.cuda}
    found |= {"date": time.strftime("%Y-%m-%d"), "repeats": size.repeats}
    for question, answer in QUESTIONS.items():
        found[question] = answer(size)
        output.parent.mkdir(parents=True, exist_ok=True)
        output.write_text(json.dumps(found, indent=1) + "\n")  # what is there, should the next one fail
    print("\n".join(rows(found)))
    return found


def rows(found: dict[str, Any], name: str = "") -> list[str]:
    """Nested answers as lines of Markdown."""
    if not isinstance(found, dict):
        return [f"| {name} | {found:,.3g} |" if isinstance(found, float) else f"| {name} | {found} |"]
    return [line for key, value in found.items() for line in rows(value, f"{name}: {key}" if name else str(key))]


if __name__ == "__main__":
    if len(sys.argv) != 2:
        raise SystemExit(__doc__)
    main(Path(sys.argv[1]))
