"""Checkpoints: a training that is interrupted goes on from its last saved epoch, to the same bits.

A checkpoint lies in the step's folder of partial work (see `store.step.Partial`), whose path has the address of
what is computed, so one of another config or of other code is never picked up.
"""

import time
from pathlib import Path

from safetensors.torch import load_file, save_file
from torch import Tensor

from amun_steps.store.step import write_whole

SECONDS_BETWEEN = 300.0
"""What an interruption may cost of a training that goes on. It changes when a checkpoint is written, never a result."""

SECONDS_WORTH = 10.0
"""A training that took less is done again instead of being kept until its job is done."""


class Checkpoint:
    """The tensors of a training, by name, in a file at `path`; nothing is read or written where that is None."""

    def __init__(self, path: Path | None):
        self.path = path
        self.began = self.saved = time.monotonic()

    def read(self) -> dict[str, Tensor] | None:
        """The tensors that were written last, on the CPU; None where there are none."""
        return load_file(self.path) if self.path is not None and self.path.is_file() else None

    def due(self, *, last: bool) -> bool:
        """Whether to write now: the previous checkpoint is old enough, or this is the `last` one of a long training."""
        now = time.monotonic()
        old = now - self.saved >= SECONDS_BETWEEN
        return self.path is not None and (old or (last and now - self.began >= SECONDS_WORTH))

    def write(self, tensors: dict[str, Tensor]) -> None:
        """Write tensors whole or not at all."""
        on_cpu = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
        self.path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(self.path, lambda scratch: save_file(on_cpu, scratch))
        self.saved = time.monotonic()
