"""Step: RMIA's signal of every reference model for every sample."""

from pathlib import Path
from typing import Any

import numpy as np

from amun_steps.judging import rmia
from amun_steps.store.arrays import write_arrays
from amun_steps.store.listing import read_listing
from amun_steps.store.progress import Progress
from amun_steps.store.step import Output, main, step
from amun_steps.training import stack as stacks
from amun_steps.training.data import load
from amun_steps.training.device import device, images_on


@step
def signals(*, dataset: Path, listings: list[Path], signal: dict[str, Any], stack: int = 8, output: Output) -> None:
    """Write `signals` (references, N) float64: Pr(x | theta) of each reference model in `listings`, in their order,
    `stack` models at a time. Raises InputError for a model that is missing or has other bytes than are listed."""
    models = [model for listing in listings for model in read_listing(listing)]
    data = load(dataset)
    where = device()
    images = images_on(data, where)
    progress = Progress("signals", "model", len(models))
    parts = []
    for start in range(0, len(models), stack):
        logits = stacks.load(models[start : start + stack], where).predict(images)
        parts.append(rmia.signal(logits.numpy(), data.labels, **signal))
        progress.tell(start + len(logits), logits.shape[0] * logits.shape[1])
    write_arrays(output, {"signals": np.concatenate(parts)})


if __name__ == "__main__":
    main(signals)
