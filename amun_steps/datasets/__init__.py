"""Data sets, one file each, found by their name in the config: a module has `read(**parameters)` -> images
(N, channels, height, width) uint8, labels (N,) int from 0 and train (N,) bool. All parameters are keyword-only; one
called `folder` is in no address. `read` raises `amun_steps.steps.InputError` when the files are not what they should
be, naming the one that is not.

A module may also have `sizes(**parameters) -> Sizes`: what `read` will give, without reading a file. Then a config that
does not fit the data is refused before anything runs, and `amun_steps.plan` need not read them. It raises InputError,
beginning with the parameter, for parameters that cannot be. Snakemake imports a module that has it each time that it
starts, so what takes long to import belongs into `read`.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Sizes:
    """A data set's training and test samples, the (channels, height, width) of its images, and its classes."""

    train: int
    test: int
    shape: tuple[int, int, int]
    classes: int
