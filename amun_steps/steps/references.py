"""Step: a part of the reference models, each a file of its own, and the listing that stands for them.

Snakemake knows the listings alone. So the number of models in a job can be changed and those that are there stay, and a
job that is killed loses no more than the stack of models that it was training. The listing of a job size that the
config has no longer is still right, if it is asked for again. Of a model that two jobs train at once the later stays;
a listing that it does not fit is named by what reads it.
"""

from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path

from amun_steps.steps import train
from amun_steps.store.listing import write_listing
from amun_steps.store.receipts import read_receipt
from amun_steps.store.step import Output, main, step


def models_of(folder: Path, first: int, last: int) -> dict[int, Path]:
    """The files of reference models `first` to `last`, by number."""
    return {r: folder / f"reference{r}.safetensors" for r in range(first, last + 1)}


def references(
    *, dataset: Path, inclusion: Path, first: int, last: int, training: train.Training, stack: int = 8, output: Path
) -> None:
    """Train those of reference models `first` to `last` that are not there, `stack` at a time, and list them all.

    The models lie beside `output`, the listing. Raises InputError for one that is there and has other bytes than its
    receipt says.
    """
    models = models_of(output.parent, first, last)
    for start in range(first, last + 1, stack):
        beside = range(start, min(start + stack, last + 1))
        for members in _to_train(beside, models):
            paths = [models[r] for r in members]
            options = {"training": training, "members": members, "stack": stack, "models": paths}
            train.references(dataset=dataset, inclusion=inclusion, **options)
    listing(models=list(models.values()), output=output)


def _to_train(beside: Sequence[int], models: dict[int, Path]) -> Iterator[list[int]]:
    """Which of the models that are trained `beside` each other are to be trained, in rows of consecutive numbers.

    Who is trained beside whom changes how sums are rounded. So where some are missing of models that were trained like
    this, as after a kill or by hand, all are trained again, to the same bytes. One that was trained in another company,
    in a job of another size, stays.
    """
    there = [r for r in beside if models[r].is_file()]
    if len(there) < len(beside) and all(_company(models[r]) == list(beside) for r in there):
        there = []
    for missing, row in groupby(beside, lambda r: r not in there):
        if missing:
            yield list(row)


def _company(model: Path) -> list[int] | None:
    """The numbers of the models that a reference model was trained beside, its own among them."""
    receipt = read_receipt(model)
    return receipt and receipt["parameters"]["members"]


@step
def listing(*, models: list[Path], output: Output) -> None:
    """List `models` with their SHA-256."""
    write_listing(output, models)


if __name__ == "__main__":
    main(references, listing)
