"""`amun forget`: the config that it derives, the file of weights, the certificate, and the workflow itself."""

import copy
import html
import json
import re
import shutil
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
import yaml
from running import CONFIG, REPOSITORY, amun, planned
from safetensors.torch import load_file, save_file
from torch import nn

from amun_steps.models import small_resnet
from amun_steps.plan.forgetting import forget, forgetting
from amun_steps.plan.one_model import Asked
from amun_steps.plan.plan import Plan
from amun_steps.steps import choose as choosing
from amun_steps.steps.unlearn import load_choice
from amun_steps.steps.weights import weights
from amun_steps.store.arrays import write_arrays
from amun_steps.store.receipts import sha256
from amun_steps.store.step import InputError
from amun_steps.training import stack as stacks
from amun_steps.training.state import read_state
from amun_steps.views import certificate as step

TINY = yaml.safe_load((REPOSITORY / CONFIG).read_text())
CHOICE = {"learning_rate": 0.05, "step": 3, "hyperparameters": {"include_forget": False, "mask_ratio": 0.25}}

# The config


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    network = TINY["experiments"]["digits"]["network"] | {"shape": [1, 8, 8], "classes": 10}
    torch.save(stacks.build(network).state_dict(), "m.pt")
    Path("junk.pt").write_bytes(b"m")
    Path("asked.txt").write_text("3\n17\n")
    Path("best.json").write_text(json.dumps(CHOICE))
    return tmp_path


def of(config, method="amun_salun", choice=None, references=4) -> dict:
    Path("base.yaml").write_text(yaml.safe_dump(config))
    asked = Asked(Path("m.pt"), Path("asked.txt"), Path("base.yaml"), "digits")
    return forgetting(asked, method, choice, references)


def test_the_method_is_tuned_on_a_set_of_its_own_by_references_that_others_have(here):
    stages = Plan(of(TINY)).experiments["digits"]
    assert stages.references().address == Plan(TINY).experiments["digits"].references().address
    tuned = stages.tuned("amun_salun", "with_remain", "listed")
    assert tuned.builds_on["retrained"].parameters["count"] == 1
    assert (
        tuned.parameters["grid"]
        == Plan(TINY).experiments["digits"].tuned("amun_salun", "with_remain", "random10").parameters["grid"]
    )
    unlearned = stages.unlearned("amun_salun", "with_remain", "listed")
    assert (unlearned.parameters["runs"], unlearned.builds_on["forget"].parameters["sets"]) == (1, 1)


def test_algorithm_1_is_for_the_list_and_its_tuning_set_alone(here):
    found = Plan(of(TINY)).experiments["digits"].adversarial("pgd50")
    assert [source.name for source in found.builds_on.values() if source.kind == "forget"] == ["listed"]
    assert not any(s.kind == "forget" for s in Plan(TINY).experiments["digits"].adversarial("pgd50").builds_on.values())


def test_a_choice_that_is_given_is_not_tuned(here):
    tuned = Plan(of(TINY, choice=Path("best.json"))).experiments["digits"].tuned("amun_salun", "with_remain", "listed")
    assert tuned.parameters["grid"] == {
        "learning_rate": [0.05],
        "step": [3],
        "include_forget": [False],
        "mask_ratio": [0.25],
    }
    assert not {"retrained", "signals"} & tuned.builds_on.keys()


def test_a_grid_of_one_choice_is_taken_untried(tmp_path):
    grid = {"learning_rate": [0.05], "step": [None], "mask_ratio": [0.5]}
    files = {"whole": tmp_path / "grid.csv", "best": tmp_path / "best.json"}
    choosing.choose(grid=grid, on=[0, 1], **files)
    choice = load_choice(files["best"])
    assert (choice.schedule.learning_rate, choice.schedule.step) == (0.05, None)
    assert choice.hyperparameters == {"mask_ratio": 0.5}
    rows, chosen = choosing.read_grid(**files)
    assert len(rows) == 1
    assert rows.average_gap.isna().all()
    assert rows.chosen.all()
    assert chosen == {"learning_rate": 0.05, "step": None, "mask_ratio": 0.5}


def submission() -> dict:
    config = copy.deepcopy(TINY)
    config["methods"]["theirs"] = {"files": "gone{original}-{run}.pt", "access": "with_remain"}
    return config


@pytest.mark.parametrize(
    ("config", "options", "message"),
    [
        (TINY, {"model": "gone.pt"}, "--model: found no file gone.pt"),
        (TINY, {"forget": "gone.txt"}, "tiny.yaml, .*: gone.txt: cannot be read: No such file"),
        (TINY, {"method": "amun_salum"}, "tiny.yaml: --method: found the name 'amun_salum', .*mean 'amun_salun'"),
        (submission(), {"method": "theirs"}, "--method: found 'theirs', which is a submission"),
        (TINY, {"method": "ft", "remain": "none"}, "--remain: found none, but 'ft' cannot do without D_R"),
        (TINY, {"choice": "gone.json"}, "--choice: gone.json is not there or has no choice of a grid"),
        (TINY, {"choice": "wrong.json"}, "tiny.yaml, .*: methods.amun_salun: unknown parameter 'beta'"),
        (TINY, {"references": 3}, "tiny.yaml, .*: experiments.digits.references.count: found 3, expected an even"),
        (TINY, {"experiment": "digit"}, "tiny.yaml: --experiment: found the name 'digit'"),
        (TINY, {"model": "junk.pt"}, "tiny.yaml, .*: junk.pt: cannot be read"),
    ],
)
def test_a_mistake_is_named_before_anything_is_written(config, options, message, here):
    Path("tiny.yaml").write_text(yaml.safe_dump(config))
    Path("wrong.json").write_text(json.dumps(CHOICE | {"hyperparameters": {"beta": 1}}))
    given = {"model": "m.pt", "forget": "asked.txt", "config": "tiny.yaml"} | options
    paths = {name: Path(given[name]) for name in ("model", "forget", "config", "choice") if name in given}
    more = {"experiment": "digits", "method": "amun_salun"} | {k: v for k, v in given.items() if k not in paths}
    with pytest.raises(InputError, match=message):
        forget(**paths, **more, to=here / "to")
    assert not (here / "to").exists()


# The file of weights


@pytest.mark.parametrize("suffix", ["pt", "safetensors"])
def test_the_weights_have_the_keys_and_the_format_of_the_model_that_they_were_made_from(suffix, tmp_path):
    network = {"name": "small_resnet", "width": 4, "strides": [1], "stem_stride": 2, "shape": [1, 8, 8], "classes": 3}
    old, new = (stacks.initialise(network, [seed], torch.device("cpu")) for seed in (0, 1))
    module = small_resnet.build(**{key: value for key, value in network.items() if key != "name"})
    keys = [*reversed(module.state_dict())]
    like, out = tmp_path / f"like.{suffix}", tmp_path / f"out.{suffix}"
    state = {key: module.state_dict()[key] for key in keys}
    save_file(state, like) if suffix == "safetensors" else torch.save(state, like)
    stacks.save(new, tmp_path / "models.safetensors")
    weights(models=tmp_path / "models.safetensors", like=like, weights=out)
    found = load_file(out) if suffix == "safetensors" else torch.load(out, weights_only=True)
    assert list(found) == list(read_state(like))
    module.load_state_dict(found)
    images = torch.rand(5, 1, 8, 8)
    assert torch.equal(module.eval()(images), new.logits(images[None])[0])
    assert not torch.equal(module.eval()(images), old.logits(images[None])[0])
    again = tmp_path / f"again.{suffix}"
    weights(models=tmp_path / "models.safetensors", like=like, weights=again)
    assert sha256(again) == sha256(out)


class Tied(nn.Module):
    """A network one of whose parameters has two names."""

    def __init__(self):
        super().__init__()
        self.first = nn.Linear(4, 4)
        self.second = self.first

    def forward(self, images):
        return self.second(self.first(images.flatten(1)))


def test_a_parameter_with_two_names_is_written_by_both(tmp_path, monkeypatch):
    monkeypatch.setattr(small_resnet, "build", lambda **_: Tied())
    network = {"name": "small_resnet", "shape": [1, 2, 2], "classes": 4, "only": "of this test"}
    stacks.save(stacks.initialise(network, [0], torch.device("cpu")), tmp_path / "models.safetensors")
    torch.save(Tied().state_dict(), tmp_path / "like.pt")
    weights(models=tmp_path / "models.safetensors", like=tmp_path / "like.pt", weights=tmp_path / "out.pt")
    found = torch.load(tmp_path / "out.pt", weights_only=True)
    assert list(found) == ["first.weight", "first.bias", "second.weight", "second.bias"]
    assert torch.equal(found["first.weight"], found["second.weight"])


# The certificate


@pytest.fixture
def files(tmp_path):
    """What the step reads, made by hand: 40 images, 30 of them for training, 6 of these forgotten."""
    rng = np.random.default_rng(0)
    train, chosen = np.arange(40) < 30, np.arange(40) % 5 == 2
    chosen &= train
    images, labels = rng.integers(0, 256, (40, 1, 5, 5)).astype(np.uint8), np.arange(40, dtype=np.int16) % 3
    write_arrays(tmp_path / "dataset.h5", {"images": images, "labels": labels, "train": train})
    write_arrays(tmp_path / "sets.h5", {"forget": np.array([chosen, np.roll(chosen, 1)])})
    logits = {when: rng.normal(size=(1, 40, 3)).astype(np.float32) for when in ("before", "after")}
    for when, values in logits.items():
        write_arrays(tmp_path / f"{when}.h5", {"logits": values})
    attacked = np.flatnonzero(chosen | np.roll(chosen, 1))
    distance = np.where(attacked == 7, np.nan, attacked / 10)
    write_arrays(tmp_path / "adversarial.h5", {"distance": distance, "sample": attacked})
    (tmp_path / "best.json").write_text(json.dumps(CHOICE | {"average_gap": 1.5, "choices": 6}))
    for name in ("model.pt", "asked.txt", "unlearned.pt"):
        (tmp_path / name).write_text(name)
    return tmp_path, chosen, logits, labels


HOW = {"config": "c.yaml", "dataset": "digits", "network": {"name": "vgg"}, "method": "amun", "module": "amun"}
HOW |= {"remain": "all", "recipe": {"epochs": 2}, "choice_from": None, "references": 16}


def certify(folder: Path, how=HOW, adversarial=True) -> tuple[dict, str]:
    inputs = {name: folder / f"{name}.h5" for name in ("dataset", "sets", "before", "after")}
    inputs |= {"model": folder / "model.pt", "listed": folder / "asked.txt", "unlearned": folder / "unlearned.pt"}
    inputs |= {"best": folder / "best.json", "adversarial": [folder / "adversarial.h5"] if adversarial else []}
    write_receipts(folder)
    outputs = {"findings": folder / "certificate.json", "page": folder / "certificate.html"}
    step.certificate(**inputs, how=how, **outputs)
    return json.loads(outputs["findings"].read_text()), outputs["page"].read_text()


def write_receipts(folder: Path) -> None:
    for name in ("adversarial", "after"):
        receipt = {
            "sha256": sha256(folder / f"{name}.h5"),
            "inputs": [],
            "step": f"a.{name}",
            "seconds": 1.5,
            "began": "2026",
        }
        (folder / f"{name}.h5.json").write_text(json.dumps(receipt | {"device": "cpu", "versions": {"torch": "2"}}))


def test_the_certificate_says_what_the_model_answers_before_and_after(files):
    folder, chosen, logits, labels = files
    found, page = certify(folder)
    for when, (values,) in logits.items():
        for part, rows in {"forgotten": chosen, "remaining": (np.arange(40) < 30) & ~chosen}.items():
            said = found["measured"][part][when]
            hits = [values[n].argmax() == labels[n] for n in np.flatnonzero(rows)]
            assert said["accuracy"] == pytest.approx(100 * np.mean(hits))
            own = [np.exp(values[n][labels[n]]) / np.exp(values[n]).sum() for n in np.flatnonzero(rows)]
            assert said["confidence"] == pytest.approx(100 * np.mean(own), rel=1e-5)
    assert {row["sample"] for row in found["per_sample"]} == set(np.flatnonzero(chosen))
    fell = [row["after"] - row["before"] for row in found["per_sample"]]
    assert fell == sorted(fell)
    assert found["words"][0] in page
    assert page.count("<img") == chosen.sum()


def test_the_certificate_names_its_files_by_their_bytes_and_the_distances_of_the_forgotten(files):
    folder, chosen, *_ = files
    found, page = certify(folder)
    for name, file in {"list": "asked.txt", "model": "model.pt", "unlearned": "unlearned.pt"}.items():
        assert found[name]["sha256"] == sha256(folder / file)
        assert found[name]["sha256"] in page
    distances = {row["sample"]: row["distance"] for row in found["per_sample"]}
    assert distances == {n: None if n == 7 else n / 10 for n in np.flatnonzero(chosen)}
    known = [n / 10 for n in np.flatnonzero(chosen) if n != 7]
    assert found["distances"] == {
        "least": min(known),
        "median": pytest.approx(np.median(known)),
        "largest": max(known),
        "without": 1,
    }
    assert found["seconds"] == {"adversarial": 1.5, "after": 1.5}
    assert "of 6, on as many other samples" in page


def test_a_method_without_adversarial_examples_and_a_given_choice_are_said_to_be_so(files):
    found, page = certify(files[0], HOW | {"choice_from": "their.json"}, adversarial=False)
    assert found["distances"] == {"least": None, "median": None, "largest": None, "without": 0}
    assert "the method has none" in page
    assert "given, their.json" in page


@pytest.mark.parametrize(
    ("choices", "said"), [(1, "the config's only one"), (6, "the first of 6, all of which diverged")]
)
def test_a_choice_without_a_gap_says_why(files, choices, said):
    best = json.loads((files[0] / "best.json").read_text()) | {"average_gap": None, "choices": choices}
    (files[0] / "best.json").write_text(json.dumps(best))
    assert html.escape(said) in certify(files[0])[1]


def test_weights_that_diverged_get_no_certificate(files):
    folder, *_ = files
    write_arrays(folder / "after.h5", {"logits": np.full((1, 40, 3), np.nan, dtype=np.float32)})
    with pytest.raises(InputError, match=r"unlearned.pt: the unlearning diverged"):
        certify(folder)


# The workflow


@pytest.fixture(scope="module")
def clone(finished, tmp_path_factory):
    """The finished clone with an original as a file of safetensors, and a list."""
    where = tmp_path_factory.mktemp("forget") / "clone"
    shutil.copytree(finished, where, symlinks=True)
    (stack,) = (where / "results/store").glob("digits-*/small_resnet-*/originals.safetensors")
    save_file({key: value[0].clone() for key, value in load_file(stack).items()}, where / "mine.safetensors")
    (where / "asked.txt").write_text("\n".join(map(str, range(0, 60, 3))))
    (where / "best.json").write_text(json.dumps(CHOICE))
    return where


OPTIONS = ["--model", "mine.safetensors", "--forget", "asked.txt", "--config", CONFIG, "--experiment", "digits"]
OPTIONS += ["--method", "amun_salun", "--references", "4"]


def test_a_model_is_made_to_forget_with_the_references_that_are_there(clone):
    before = sorted((clone / "results/store").rglob("reference*.safetensors"))
    said = amun(clone, "forget", *OPTIONS)
    folder = clone / "results/forgotten/mine-asked"
    found = json.loads((folder / "certificate.json").read_text())
    assert found["words"][0] in said
    assert "Longest chain of jobs" in said
    assert found["choice"]["choices"] == 2
    assert found["choice"]["learning_rate"] in (1e-2, 1e-3)
    assert sorted((clone / "results/store").rglob("reference*.safetensors")) == before, "none was trained anew"
    new, old = load_file(folder / "unlearned.safetensors"), load_file(clone / "mine.safetensors")
    assert list(new) == list(old)
    assert found["unlearned"]["sha256"] == sha256(folder / "unlearned.safetensors")
    (outputs,) = (clone / "results/store").glob("digits-*/*given*/*listed-tuned-*/*/unlearned.h5")
    network = TINY["experiments"]["digits"]["network"] | {"shape": [1, 8, 8], "classes": 10}
    module = stacks.build(network)
    module.load_state_dict(new)
    with h5py.File(outputs) as file, h5py.File(next(iter((clone / "results/store").glob("*/dataset.h5")))) as data:
        logits, images = file["logits"][0], torch.from_numpy(data["images"][:]).float() / 255
    with torch.no_grad():
        assert np.allclose(module.eval()(images), logits, atol=1e-4)
    (adversarial,) = (clone / "results/store").glob("digits-*/*given*/pgd50-*/original0.h5")
    with h5py.File(adversarial) as file:
        attacked = file["sample"][:]
    assert len(attacked) == 40, "20 that are listed and 20 for tuning"
    assert set(range(0, 60, 3)) <= set(attacked)
    assert planned(clone) == {}, "nothing of the config was made anew"


def test_a_given_choice_needs_neither_references_nor_a_retrained_model(clone):
    to = ["--to", "given", "--choice", "best.json", "--remain", "none"]
    said = amun(clone, "forget", *OPTIONS, *to, "--dry-run")
    for stage in ("references", "retrained", "tune", "signals"):
        assert not re.search(rf"^digits +{stage} ", said, re.MULTILINE), said
    assert sorted(path.name for path in (clone / "given").iterdir()) == ["forget.yaml"]
    amun(clone, "forget", *OPTIONS, *to)
    found = json.loads((clone / "given/certificate.json").read_text())
    assert (found["choice_from"], found["remain"]) == ("best.json", "none")
    assert {key: found["choice"][key] for key in CHOICE} == CHOICE
    assert "Nothing is to be computed" in amun(clone, "forget", *OPTIONS, *to, "--dry-run")
