"""Step: how sure every reference model is of every sample."""

from pathlib import Path

import numpy as np

from amun_steps.judging.log_odds import log_odds
from amun_steps.steps.outputs import outputs
from amun_steps.steps.subsets import load_inclusion
from amun_steps.store.arrays import write_arrays
from amun_steps.store.step import Output, main, step


@step
def confidences(
    *,
    dataset: Path,
    inclusion: Path,
    listings: list[Path],
    stack: int = 8,
    output: Output,
) -> None:
    """Write what LiRA needs of the reference models in `listings`, in their order, run `stack` at a time.

    `log_odds` (references, N) float64 is log p_y - log(1 - p_y); `included` (references, N) bool, whether the model was
    trained on the sample. Raises InputError for a model that is missing, has other bytes than are listed, or diverged.
    """
    parts = [log_odds(*said) for said in outputs(dataset, listings, stack, "confidences")]
    write_arrays(output, {"log_odds": np.concatenate(parts), "included": load_inclusion(inclusion)})


if __name__ == "__main__":
    main(confidences)
