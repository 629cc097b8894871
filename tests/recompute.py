"""Table 1 of a finished run of tests/tiny.yaml, from the arrays in its store, with nothing of the package.

Read are: the data set, the forget sets, what the retrained and the unlearned models say of each sample (logits), and
the weights of the reference models, which are run here, layer by layer. Not read are any score, signal or table.
"""

from pathlib import Path

import h5py
import literal
import numpy as np
import pandas as pd
import torch
from safetensors.torch import load_file

GAMMA, STEM_STRIDE, STRIDES = 2.0, 2, [1]  # as in tests/tiny.yaml
METRICS = ["unlearn_accuracy", "retain_accuracy", "test_accuracy", "ft_auc"]


def only(store: Path, pattern: str) -> Path:
    (path,) = store.glob(f"**/{pattern}")
    return path


def arrays(path: Path, *names: str) -> list[np.ndarray]:
    with h5py.File(path) as file:
        return [file[name][:] for name in names]


def table1(results: Path) -> pd.DataFrame:
    """A row for each method: mean and std (over n - 1) of each metric and of Avg. Gap, and the number of runs."""
    store = results / "store"
    images, labels, train = arrays(only(store, "dataset.h5"), "images", "labels", "train")
    (sets,) = arrays(only(store, "forget.h5"), "forget")
    pixels = torch.from_numpy(images.astype(np.float32) / 255)
    said = []
    for path in sorted(store.glob("**/reference*.safetensors")):
        tensors = {name: tensor[0] for name, tensor in load_file(path).items()}
        said.append(literal.small_resnet(tensors, pixels, STEM_STRIDE, STRIDES).numpy())
    references = np.array([literal.signals(logits, labels) for logits in said])

    def measured(path: Path) -> np.ndarray:
        """(models, 4) METRICS of the models of a file, each on its own forget set."""
        rows = []
        for logits, which in zip(*arrays(path, "logits", "set"), strict=True):
            forget = sets[which]
            membership = literal.rmia(literal.signals(logits, labels), references, GAMMA)
            found = literal.judged(logits, labels, membership, train & ~forget, forget, ~train)
            rows.append([found[name] for name in METRICS])
        return np.array(rows)

    standard = measured(only(store, "set0.h5"))
    rows = []
    files = {
        "retrained": "set0.h5",
        "ft": "ft-with_remain-*/ft-*/unlearned.h5",
        "amun_salun": "amun_salun-with_remain-*/amun_salun-*/unlearned.h5",
    }
    for method, pattern in files.items():
        values = measured(only(store, pattern))
        row = {"method": method, "count": len(values)}
        for name, column in zip(METRICS, values.T, strict=True):
            row |= {f"{name}_mean": column.mean(), f"{name}_std": column.std(ddof=1) if len(values) > 1 else np.nan}
        if method != "retrained":
            gaps = np.abs(values - standard.mean(axis=0)).mean(axis=1)
            row |= {"average_gap_mean": gaps.mean(), "average_gap_std": gaps.std(ddof=1)}
        rows.append(row)
    return pd.DataFrame(rows).set_index("method")
