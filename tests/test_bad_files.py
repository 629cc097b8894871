"""What steps say of their own inputs when these are damaged: one sentence that begins with the file."""

from pathlib import Path

import h5py
import numpy as np
import pytest
import torch

from amun_steps.judging.judge import load_judge
from amun_steps.steps.forget import load_forget
from amun_steps.steps.subsets import load_inclusion, load_requests
from amun_steps.steps.unlearn import load_choice
from amun_steps.store.arrays import write_arrays
from amun_steps.store.step import InputError
from amun_steps.training import stack
from amun_steps.training.data import load, load_labels

CPU = torch.device("cpu")
NETWORK = {"name": "vgg", "stages": [[2]], "shape": [1, 4, 4], "classes": 2}
READERS = {
    "dataset": load,
    "labels": load_labels,
    "forget": lambda path: load_forget(path, np.ones(9, dtype=bool)),
    "requests": load_requests,
    "inclusion": load_inclusion,
    "judge": lambda path: load_judge(path, path, {}, 2.0),
    "stack": lambda path: stack.load([path], CPU),
    "choice": load_choice,
}


def arrays(path: Path) -> bytes:
    write_arrays(path, {"logits": np.random.default_rng(0).random((50, 50))})
    return path.read_bytes()


def models(path: Path) -> bytes:
    stack.save(stack.initialise(NETWORK, [0], CPU), path)
    return path.read_bytes()


@pytest.mark.parametrize("read", READERS.values(), ids=READERS)
@pytest.mark.parametrize("made", [arrays, models, lambda path: b'{"step": null}'], ids=["arrays", "models", "json"])
def test_a_file_that_is_not_what_a_step_reads_is_named(made, read, tmp_path):
    """Missing, a folder, empty, junk, cut, and whole but of another kind."""
    path = tmp_path / "file"
    whole = made(tmp_path / "made")
    for damage in (None, Path.mkdir, b"", b"junk" * 1000, whole[: len(whole) // 2], whole[:-1], whole):
        if damage is Path.mkdir:
            path.mkdir()
        elif damage is not None:
            path.write_bytes(damage)
        if not (damage is whole and made is models and read is READERS["stack"]):
            with pytest.raises(InputError) as caught:
                read(path)
            assert str(caught.value).startswith(f"{path}: ")
        if damage is Path.mkdir:
            path.rmdir()


def test_a_changed_byte_of_an_array_is_named(tmp_path):
    """Its checksum is wrong."""
    path = tmp_path / "dataset.h5"
    noise = np.random.default_rng(0).integers(0, 256, (9, 1, 50, 50), dtype=np.uint8)
    write_arrays(path, {"images": noise, "labels": np.zeros(9, np.int16), "train": np.ones(9, dtype=bool)})
    content = bytearray(path.read_bytes())
    content[content.index(noise[4, 0, 20].tobytes())] ^= 1
    path.write_bytes(content)
    with h5py.File(path):
        pass
    with pytest.raises(InputError, match=r"dataset.h5: cannot be read \(.*\); delete it, and it is made again"):
        load(path)
