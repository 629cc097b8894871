"""Peak memory of scoring random logits, at the size of Tiny ImageNet or at another one.

`python benchmarks/memory.py` is 27 models x 110,000 samples x 200 classes: it writes 2.4 GB to a temporary folder and
takes some minutes. `python benchmarks/memory.py 1 1331167 1000` is one model of ImageNet's size, 5.3 GB. The test set
is small (1,000 samples), so that the time does not go into SVMs, whose memory does not depend on the number of models.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from amun_steps.store.arrays import Parts, write_arrays
from amun_steps.store.receipts import read_receipt

TINY_IMAGENET = 27, 110_000, 200
TEST, REFERENCES = 1_000, 8
NAMES = dict.fromkeys(("experiment", "dataset", "architecture", "method", "access", "forget", "address"), "random")


def main(models: int, samples: int, classes: int) -> None:
    """Score once, in a process of its own, and print the peak of its memory beside the bytes of all logits."""
    draws = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as folder:
        where = Path(folder)
        labels = draws.integers(0, classes, samples)
        train = np.arange(samples) < samples - TEST
        write_arrays(where / "dataset.h5", {"labels": labels.astype(np.int16), "train": train})
        write_arrays(where / "forget.h5", {"forget": np.array([train & (draws.random(samples) < 0.1)] * 2)})
        write_arrays(where / "signals.h5", {"signals": draws.uniform(0.1, 0.9, (REFERENCES, samples))})
        numbers = {name: np.zeros(models, dtype=int) for name in ("original", "set", "seed")} | {
            "run": np.arange(models)
        }
        rows = (draws.standard_normal((1, samples, classes), dtype=np.float32) for _ in range(models))
        write_arrays(where / "outputs.h5", {"logits": Parts((models, samples, classes), rows), **numbers})
        signal = {"temperature": 2.0, "margin": 0.6, "taylor_terms": 4}
        options = {
            **{name: where / f"{name}.h5" for name in ("dataset", "forget", "signals", "outputs", "scores")},
            **{"names": json.dumps(NAMES | {"fraction": 0.1}), "signal": json.dumps(signal), "gamma": 2, "seed": 0},
            "runs": where / "runs.csv",
        }
        words = [str(word) for name, value in options.items() for word in (f"--{name}", value)]
        subprocess.run([sys.executable, "-m", "amun_steps.steps.score", *words], check=True)
        receipt = read_receipt(where / "scores.h5")
        whole = 4 * models * samples * classes / 1e9
        print(
            f"all logits {whole:.2f} GB; peak memory of scoring {receipt['peak_memory_bytes'] / 1e9:.2f} GB;"
            f" {receipt['seconds']:.0f} s"
        )


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]) if sys.argv[1:] else TINY_IMAGENET)
