"""What reference models say of all samples, for the steps that judge by them."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from amun_steps.store.listing import read_listing
from amun_steps.store.progress import Progress
from amun_steps.store.step import InputError
from amun_steps.training import stack as stacks
from amun_steps.training.data import load
from amun_steps.training.device import device, images_on


def outputs(dataset: Path, listings: Sequence[Path], stack: int, label: str) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """(models, N, classes) logits of the reference models in `listings`, in their order, `stack` at a time, each with
    the (N,) labels.

    label: what the log calls that. Raises InputError for a model that is missing or has other bytes than are listed,
    and for one that diverged: with it no score of any sample would be a number.
    """
    models = [model for listing in listings for model in read_listing(listing)]
    data, where = load(dataset), device()
    images, progress = images_on(data, where), Progress(label, "model", len(models))
    for start in range(0, len(models), stack):
        paths = models[start : start + stack]
        logits = stacks.load(paths, where).predict(images).numpy()
        for path, of_model in zip(paths, logits, strict=True):
            if not np.isfinite(of_model).all():
                raise InputError(
                    f"{path}: found logits that are not finite: the reference model diverged, and no score could be"
                    " computed with it; change the recipe that references are trained by, such as its learning_rate"
                )
        progress.tell(start + len(paths), logits.shape[0] * logits.shape[1])
        yield logits, data.labels
