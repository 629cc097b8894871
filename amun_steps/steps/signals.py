"""Step: RMIA's signal of every reference model for every sample."""

from pathlib import Path
from typing import Any

import numpy as np

from amun_steps.judging import rmia
from amun_steps.steps.outputs import outputs
from amun_steps.steps.subsets import load_inclusion
from amun_steps.store.arrays import write_arrays
from amun_steps.store.step import Output, main, step


@step
def signals(
    *,
    dataset: Path,
    inclusion: Path,
    listings: list[Path],
    signal: dict[str, Any],
    stack: int = 8,
    output: Output,
) -> None:
    """Write what the reference models in `listings`, in their order, say of every sample, `stack` models at a time.

    `signals` (references, N) float64 is Pr(x | theta); `correct` (references, N) bool, whether the label is predicted;
    `included` (references, N) bool, whether the model was trained on it. Raises InputError for a model that is missing,
    has other bytes than are listed, or diverged.
    """
    parts, correct = [], []
    for logits, labels in outputs(dataset, listings, stack, "signals"):
        parts.append(rmia.signal(logits, labels, **signal))
        correct.append(logits.argmax(axis=-1) == labels)
    found = {"signals": np.concatenate(parts), "correct": np.concatenate(correct)}
    write_arrays(output, found | {"included": load_inclusion(inclusion)})


if __name__ == "__main__":
    main(signals)
