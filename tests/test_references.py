"""Parts of the reference models: which are trained, beside whom, and what their listing is good for."""

import math
import shutil
import subprocess
from functools import partial
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
import toy

from amun_steps.steps import train
from amun_steps.steps.confidences import confidences
from amun_steps.steps.references import listing, references
from amun_steps.steps.signals import signals
from amun_steps.store import commands
from amun_steps.store.arrays import write_arrays
from amun_steps.store.receipts import read_receipt
from amun_steps.store.step import InputError
from amun_steps.training import stack as stacks
from amun_steps.training.recipe import Schedule

NETWORK = {key: value for key, value in toy.SMALL.items() if key not in ("shape", "classes")}
TRAINING = train.Training(NETWORK, toy.recipe(epochs=2, batch_size=16), Schedule(0.05), seed=0)


@pytest.fixture(scope="module")
def read(tmp_path_factory):
    """The data set and an inclusion matrix for six models."""
    where = tmp_path_factory.mktemp("toy")
    files, _ = toy.files(where, sets=1)
    write_arrays(where / "inclusion.h5", {"inclusion": np.random.default_rng(0).random((6, 120)) < 0.5})
    return {"dataset": files["dataset"], "inclusion": where / "inclusion.h5"}


@pytest.fixture(scope="module")
def before(read, tmp_path_factory) -> Path:
    """Models 0 to 3, trained two by two."""
    where = tmp_path_factory.mktemp("store")
    part(where, read, 0, 3)
    return where


@pytest.fixture
def where(before, tmp_path) -> Path:
    return shutil.copytree(before, tmp_path / "store")


def part(where: Path, read: dict[str, Path], first: int, last: int, stack: int = 2) -> Path:
    """The listing of a part."""
    output = where / f"models{first}to{last}.sha256"
    references(**read, first=first, last=last, training=TRAINING, stack=stack, output=output)
    return output


def model(where: Path, number: int) -> Path:
    return where / f"reference{number}.safetensors"


def files(where: Path) -> dict[str, bytes]:
    """The models and listings, byte for byte."""
    return {path.name: path.read_bytes() for path in where.iterdir() if path.suffix != ".json"}


def beside(where: Path) -> list[list[int]]:
    """With whom each model was trained."""
    paths = sorted(where.glob("reference*.safetensors"))
    return [read_receipt(path)["parameters"]["members"] for path in paths]


def test_the_models_are_those_of_one_call_that_trains_them_all(where, read, tmp_path):
    models = [model(tmp_path, r) for r in range(4)]
    train.references(**read, members=[0, 1, 2, 3], training=TRAINING, stack=2, models=models)
    assert [path.read_bytes() for path in models] == [model(where, r).read_bytes() for r in range(4)]
    assert beside(where) == [[0, 1], [0, 1], [2, 3], [2, 3]]


def test_a_listing_is_what_sha256sum_checks(where):
    done = subprocess.run(
        ["sha256sum", "--check", "models0to3.sha256"], cwd=where, text=True, capture_output=True, check=True
    )
    assert done.stdout == "".join(f"reference{r}.safetensors: OK\n" for r in range(4))
    inputs = read_receipt(where / "models0to3.sha256")["inputs"]
    assert [Path(source["path"]).name for source in inputs] == [model(where, r).name for r in range(4)]
    assert [source["sha256"] for source in inputs] == [read_receipt(model(where, r))["sha256"] for r in range(4)]


@pytest.mark.parametrize("lost", [[0], [1], [1, 2], [0, 1, 3]])
def test_what_is_missing_is_trained_again_beside_those_that_it_was_trained_beside(where, read, lost):
    """To the same bytes, whatever a kill or a person left of those that were trained together."""
    whole = files(where)
    for number in lost:
        model(where, number).unlink()
    part(where, read, 0, 3)
    assert files(where) == whole


def test_in_a_part_of_another_size_the_models_that_are_there_stay(where, read):
    there = {r: (model(where, r).stat().st_ino, model(where, r).read_bytes()) for r in range(4)}
    part(where, read, 0, 5, stack=3)
    assert {r: (model(where, r).stat().st_ino, model(where, r).read_bytes()) for r in range(4)} == there
    assert beside(where)[4:] == [[4, 5], [4, 5]]
    model(where, 1).unlink()
    part(where, read, 0, 5, stack=3)
    assert beside(where) == [[0, 1], [1], [2, 3], [2, 3], [4, 5], [4, 5]]


def test_only_neighbours_are_trained_side_by_side(where, read):
    """Their checkpoint is named by the first of them and by their number."""
    for number in (0, 2):
        model(where, number).unlink()
    part(where, read, 0, 3, stack=4)
    assert beside(where) == [[0], [0, 1], [2], [2, 3]]


def test_a_job_that_is_killed_keeps_the_stacks_that_it_has_trained(read, tmp_path, monkeypatch):
    trains = train.references

    def killed(members, **options):
        if members != [0, 1]:
            raise KeyboardInterrupt
        trains(members=members, **options)

    monkeypatch.setattr(train, "references", killed)
    with pytest.raises(KeyboardInterrupt):
        part(tmp_path, read, 0, 3)
    assert sorted(files(tmp_path)) == ["reference0.safetensors", "reference1.safetensors"]


def test_a_damaged_model_is_not_listed(where, read):
    (where / "models0to3.sha256").unlink()
    model(where, 2).write_bytes(b"junk")
    with pytest.raises(InputError, match=r"reference2.safetensors: its bytes are not .* delete it and start the same"):
        part(where, read, 0, 3)
    assert not (where / "models0to3.sha256").exists()


def test_signals_are_of_all_that_is_listed_in_order(where, read):
    listings = [part(where, read, 2, 3), part(where, read, 0, 0)]
    given = {name: read[name] for name in ("dataset", "inclusion")}
    for stack in (1, 3):
        signals(**given, listings=listings, signal={}, stack=stack, output=where / f"{stack}.h5")
    signals(**given, listings=[where / "models0to3.sha256"], signal={}, output=where / "all.h5")
    found = [h5py.File(where / name)["signals"][:] for name in ("1.h5", "3.h5", "all.h5")]
    np.testing.assert_allclose(found[0], found[2][[2, 3, 0]], rtol=1e-4)
    np.testing.assert_allclose(found[0], found[1], rtol=1e-4)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (Path.unlink, "found no such file, but models0to3.sha256 beside it lists it; delete {listing} and start"),
        (
            lambda path: path.write_bytes(path.read_bytes()[:-1]),
            "its bytes are not those that models0to3.sha256 beside it lists; delete it and {listing} and start",
        ),
    ],
)
def test_a_listed_model_that_is_not_as_listed_is_named_and_what_is_said_cures_it(where, read, damage, message, capsys):
    whole, listed = files(where), where / "models0to3.sha256"
    damage(model(where, 1))
    said = f"{model(where, 1)}: {message.format(listing=listed)} the same command again"
    with pytest.raises(InputError) as caught:
        signals(**read, listings=[listed], signal={}, output=where / "signals.h5")
    assert str(caught.value).startswith(said)
    with pytest.raises(SystemExit):
        commands.verify(where)
    line, count = capsys.readouterr().out.splitlines()
    assert line.startswith(said)
    assert count.endswith(" artifacts, 1 of them bad or missing")
    for path in (listed, model(where, 1)):
        path.unlink(missing_ok=True)
    part(where, read, 0, 3)
    assert files(where) == whole
    commands.verify(where)
    assert capsys.readouterr().out == "5 artifacts, 0 of them bad or missing\n"


@pytest.mark.parametrize("step", [partial(signals, signal={}), confidences])
def test_a_reference_that_diverged_is_named_before_anything_is_judged_by_it(where, read, step):
    """One such row made every score of every model NaN, which tables called diverged."""
    diverged = stacks.load([model(where, 2)], torch.device("cpu"))
    diverged.weights[:] = math.nan
    stacks.save(diverged, model(where, 9))
    listing(models=[model(where, r) for r in (0, 1, 9)], output=where / "again.sha256")
    with pytest.raises(InputError, match=r"reference9.safetensors: found logits that are not finite.* learning_rate$"):
        step(**read, listings=[where / "again.sha256"], stack=3, output=where / "out.h5")
    assert not (where / "out.h5").exists()


@pytest.mark.parametrize("text", ["", "junk\n", f"{'0' * 64}  ../reference0.safetensors\n", f"{'0' * 63}  a\n"])
def test_what_is_no_listing_is_named(where, text):
    (where / "models0to3.sha256").write_text(text)
    (where / "models0to3.sha256.json").unlink()
    with pytest.raises(InputError, match=r"models0to3.sha256: no listing of files with their SHA-256; delete it"):
        signals(
            dataset=where / "none.h5",
            inclusion=where / "none.h5",
            listings=[where / "models0to3.sha256"],
            signal={},
            output=where / "s.h5",
        )
