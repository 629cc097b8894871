"""Checkpoints: a training that is interrupted goes on from its last saved epoch, to the same bits.

A checkpoint lies in the step's folder of partial work (see `amun_steps.store.Partial`), whose path has the address of
what is computed, so one of another config or of other code is never picked up.
"""

import time
from pathlib import Path

from safetensors.torch import load_file, save_file
from torch import Tensor

from amun_steps.store import write_whole

SECONDS_BETWEEN = 300.0
"""What an interruption may cost of a training that goes on. It changes when a checkpoint is written, never a result."""

SECONDS_WORTH = 10.0
"""A training that took less is done again instead of being kept until its job is done."""


class Checkpoint:
    """The tensors of a training, by name, in a file at `path`; nothing is read or written where that is None."""

    def __init__(self, path: Path | None):
        self.path = path
        self.began = self.saved = time.monotonic()

    def restore(self, state: dict[str, Tensor]) -> dict[str, Tensor] | None:
        """What `state` was when the checkpoint was written, on the same devices; None where there is none."""
        if self.path is None or not self.path.is_file():
            return None
        found = load_file(self.path)
        return {name: found[name].to(tensor.device) for name, tensor in state.items()}

    def save(self, state: dict[str, Tensor], *, last: bool) -> None:
        """Write `state` whole or not at all, if the previous one is old enough, or this is the `last` of a long one."""
        now = time.monotonic()
        due = now - self.saved >= SECONDS_BETWEEN or (last and now - self.began >= SECONDS_WORTH)
        if self.path is None or not due:
            return
        tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in state.items()}
        self.path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(self.path, lambda scratch: save_file(tensors, scratch))
        self.saved = time.monotonic()
