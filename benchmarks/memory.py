"""Peak memory of scoring at the size of Tiny ImageNet: 27 models x 110,000 samples x 200 classes of random logits.

`python benchmarks/memory.py` writes 2.4 GB to a temporary folder and takes some minutes. The test set is small (1,000
samples), so that the time does not go into SVMs, whose memory does not depend on the number of models.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from amun_steps.store.arrays import Parts, write_arrays
from amun_steps.store.receipts import read_receipt

MODELS, SAMPLES, CLASSES, TEST, REFERENCES = 27, 110_000, 200, 1_000, 8
NAMES = dict.fromkeys(("experiment", "dataset", "architecture", "method", "access", "forget", "address"), "random")


def main() -> None:
    """Score once, in a process of its own, and print the peak of its memory beside the bytes of all logits."""
    draws = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as folder:
        where = Path(folder)
        labels = draws.integers(0, CLASSES, SAMPLES)
        train = np.arange(SAMPLES) < SAMPLES - TEST
        write_arrays(where / "dataset.h5", {"labels": labels.astype(np.int16), "train": train})
        write_arrays(where / "forget.h5", {"forget": np.array([train & (draws.random(SAMPLES) < 0.1)] * 2)})
        write_arrays(where / "signals.h5", {"signals": draws.uniform(0.1, 0.9, (REFERENCES, SAMPLES))})
        numbers = {name: np.zeros(MODELS, dtype=int) for name in ("original", "set", "seed")} | {
            "run": np.arange(MODELS)
        }
        rows = (draws.normal(size=(1, SAMPLES, CLASSES)).astype(np.float32) for _ in range(MODELS))
        write_arrays(where / "outputs.h5", {"logits": Parts((MODELS, SAMPLES, CLASSES), rows), **numbers})
        signal = {"temperature": 2.0, "margin": 0.6, "taylor_terms": 4}
        options = {
            **{name: where / f"{name}.h5" for name in ("dataset", "forget", "signals", "outputs", "scores")},
            **{"names": json.dumps(NAMES | {"fraction": 0.1}), "signal": json.dumps(signal), "gamma": 2, "seed": 0},
            "runs": where / "runs.csv",
        }
        words = [str(word) for name, value in options.items() for word in (f"--{name}", value)]
        subprocess.run([sys.executable, "-m", "amun_steps.steps.score", *words], check=True)
        receipt = read_receipt(where / "scores.h5")
        whole = 4 * MODELS * SAMPLES * CLASSES / 1e9
        print(
            f"all logits {whole:.2f} GB; peak memory of scoring {receipt['peak_memory_bytes'] / 1e9:.2f} GB;"
            f" {receipt['seconds']:.0f} s"
        )


if __name__ == "__main__":
    main()
