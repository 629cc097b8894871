"""What an older version of the code has computed: taken over on evidence, and only then."""

import json
import os
import re
import shutil
from pathlib import Path

import pytest
from running import CONFIG, edit, planned, snakemake, store, views

from amun_steps.plan import candidates
from amun_steps.plan.stage import Stage
from amun_steps.steps import train

RECIPE = {
    "epochs": 4,
    "batch_size": 64,
    "momentum": 0.9,
    "weight_decay": 0.0,
    "augmentation": {"crop_padding": 0, "flip": False},
}
TRAINING = {
    "network": {"name": "small_resnet", "width": 4},
    "recipe": RECIPE,
    "schedule": {"learning_rate": 0.1, "step": 2, "factor": 0.1},
    "seed": 0,
}
RECORDED = TRAINING | {
    "recipe": RECIPE | {"precision": "bfloat16", "compile": False},
    "trades": None,
    "clipping": None,
}


UNTOUCHED = ("amun_steps.steps.adversarial.adversarial", "amun_steps.steps.signals.signals")
"""Steps whose code is not that of fit.py, so that only the addresses of what they read change with it."""


@pytest.fixture
def copy(finished, tmp_path) -> Path:
    shutil.copytree(finished, tmp_path / "copy", symlinks=True)
    return tmp_path / "copy"


def receipts(where: Path) -> dict[str, dict]:
    """All receipts of a clone's store, by the path of their artifact."""
    found = {}
    for path in (where / "results" / "store").rglob("*.json"):
        artifact = path.with_suffix("")
        if artifact.is_file():
            found[artifact.relative_to(where).as_posix()] = json.loads(path.read_text())
    return found


def shown(where: Path, names: list[str]) -> dict[str, str]:
    """The text views of these names, less the addresses in them."""
    found = views(where)
    return {name: re.sub(r"\b[0-9a-f]{12}\b", "ADDRESS", found[name].decode()) for name in names}


def test_a_refactoring_is_adopted_but_not_a_file_whose_bytes_changed(copy):
    names = ["digits.csv", "table1.csv", "table1.md", "fig4.csv", "fig5.csv"]
    before, old = shown(copy, names), receipts(copy)
    (broken,) = (copy / path for path in old if "/ft-with_remain" in path and path.endswith("part0of2.csv"))
    edit(
        copy / "amun_steps" / "training" / "recipe.py",
        "    compile: bool = False\n",
        "    compile: bool = False\n    unused: int = 0\n",
    )
    left = {
        "unlearn": 3, "score": 5, "continuous": 5, "finetuned": 1, "runs_digits": 1, "table_table1": 1,
        "figure_fig1": 1, "figure_fig2": 1, "figure_fig4": 1, "figure_fig5": 1, "claims": 1,
        "comparison": 1, "leaderboard": 1, "overview": 1, "all": 1,
    }  # fmt: skip
    dear = {
        "originals": 1, "references": 2, "retrained": 2, "signals": 1, "adversarial": 2,
        "tune": 6, "choose": 3,
    }  # fmt: skip
    assert planned(copy) == dear | left
    broken.write_bytes(broken.read_bytes().replace(b"0", b"1", 1))

    code, output = store(copy, "adopt", CONFIG)
    assert code == 0, output
    assert "In all, by receipts: run 10 jobs, " in output
    assert "; if they come out the same, save 9 jobs, " in output
    assert f"the bytes of {broken.relative_to(copy)} are not those that its step wrote" in output
    assert planned(copy) == left | {"tune": 2, "choose": 1}

    new = {path: receipt for path, receipt in receipts(copy).items() if path not in old}
    adopted = {path: receipt for path, receipt in new.items() if "adopted" in receipt}
    kinds = sorted(path.split("/")[-1] for path in adopted)
    assert len(new) == 2 + 4 + 2 + 4 + 1 + 2 + 2 * 4
    assert [kind for kind in kinds if kind.startswith("reference")] in (
        ["reference0.safetensors", "reference1.safetensors"], ["reference2.safetensors", "reference3.safetensors"],
    )  # fmt: skip
    assert len(kinds) == 2 + 1 + 2 + 2 + 1 + 2  # references, their listing, retrained, adversarial, signals, tuned
    for path, receipt in adopted.items():
        source = receipt["adopted"]["from"]
        assert os.path.samefile(copy / path, copy / source)
        assert receipt["sha256"] == old[source]["sha256"]
        assert receipt["adopted"]["code"] == old[source]["code"]
        assert f"-{receipt['address']}/" in path
        evidence = receipt["adopted"]["evidence"]
        assert (not evidence["files"]) == (receipt["code"] == old[source]["code"]) == (receipt["step"] in UNTOUCHED)
        assert all(new[file["path"]]["sha256"] == file["sha256"] for file in evidence["files"])
        assert all(not (new | old)[file["path"]].get("adopted") for file in evidence["files"])
        for was, now in zip(old[source]["inputs"], receipt["inputs"], strict=True):
            assert (new | old)[now["path"]]["sha256"] == now["sha256"] == was["sha256"]

    assert store(copy, "gc", CONFIG, "--delete")[0] == 0  # nothing that was taken over lies in what it was taken from
    assert not broken.exists()
    code, output = store(copy, "verify")
    assert code == 0, output
    code, output = store(copy, "why", next(path for path in adopted if "/reference" in path))
    assert code == 0, output
    assert "this code made the same bytes of results/store/" in output
    snakemake(
        copy, "--cores", "2", "--", "results/runs/digits.csv", "results/tables/table1.csv",
        "results/figures/fig4.pdf", "results/figures/fig5.pdf",
    )  # fmt: skip
    assert shown(copy, names) == before


def test_other_numbers_are_not_adopted_nor_what_builds_on_them(copy):
    edit(copy / "amun_steps" / "training" / "fit.py", "velocity.mul_(momentum)", "velocity.mul_(momentum * 0.99)")
    locks = copy / ".snakemake" / "locks"
    locks.mkdir(exist_ok=True)
    (locks / "0.input.lock").write_text("results/store/file\n")
    code, output = store(copy, "adopt", CONFIG)
    assert code == 1
    assert "a workflow runs here, or was killed" in output
    shutil.rmtree(locks)

    before = receipts(copy)
    code, output = store(copy, "adopt", CONFIG, "--dry-run")
    assert code == 0, output
    assert receipts(copy) == before
    code, output = store(copy, "adopt", CONFIG)
    assert code == 0, output
    after = receipts(copy)
    assert not [path for path, receipt in after.items() if "adopted" in receipt]
    made = {receipt["step"].rpartition(".")[2] for path, receipt in after.items() if path not in before}
    assert made == {"originals", "references", "listing", "retrained"}  # the evidence, and nothing that reads it
    assert output.count("has other bytes than") == 3
    assert output.count("left to the workflow, since what it builds on did not come out as it was") == 9


def without(record: dict, key: str) -> dict:
    return {name: value for name, value in record.items() if name != key}


@pytest.mark.parametrize(
    ("recorded", "same"),
    [
        ({}, True),
        ({"members": [4, 5], "stack": 1}, True),  # a job's own
        ({"training": RECORDED | {"recipe": without(RECORDED["recipe"], "compile")}}, True),  # a newer field, unused
        ({"training": RECORDED | {"recipe": without(RECORDED["recipe"], "precision")}}, False),  # a newer field, used
        ({"training": RECORDED | {"recipe": RECORDED["recipe"] | {"momentum": 0.8}}}, False),
        ({"training": RECORDED | {"recipe": RECORDED["recipe"] | {"nesterov": True}}}, False),  # gone by now
        ({"training": RECORDED | {"network": TRAINING["network"] | {"depth": 3}}}, False),
        ({"training": RECORDED | {"trades": {"beta": 6.0}}}, False),
        ({"other": 1}, False),
    ],
)
def test_only_a_stage_of_the_same_parameters_is_a_candidate(recorded, same):
    training = TRAINING | {"recipe": RECIPE | {"precision": "bfloat16"}}
    stage = Stage("references", "net", {"training": training}, ["amun_steps.steps.train"])
    before = {"training": RECORDED, "members": [0, 1], "stack": 2} | recorded
    assert candidates._same_parameters(stage, before, train.references) is same


@pytest.mark.parametrize(
    ("members", "stack", "jobs"),
    [
        ([4, 5, 6, 7], 1, [[4], [5], [6], [7]]),
        ([4, 5, 6, 7], 2, [[4, 5], [6, 7]]),
        ([4, 5, 6, 7], 8, [[4, 5, 6, 7]]),
        ([5, 6, 7, 8, 9], 3, [[5, 6, 7], [8, 9]]),
    ],
)
def test_reference_models_are_trained_anew_beside_those_that_they_were_trained_beside(members, stack, jobs):
    receipt = {"parameters": {"members": members, "stack": stack}, "seconds": 12.0, "inputs": []}
    proofs = list(candidates._proofs(Path("old"), [f"reference{r}.safetensors" for r in members], receipt))
    assert [[int(name[9:].split(".")[0]) for name in proof.files] for proof in proofs] == jobs
    assert [proof.asked for proof in proofs] == [[f"models{beside[0]}to{beside[-1]}.sha256"] for beside in jobs]
    assert all(proof.sizes == {"stack": stack} for proof in proofs)
    assert [proof.seconds for proof in proofs] == pytest.approx([12.0 * len(job) / len(members) for job in jobs])


@pytest.mark.parametrize("trials_per_job", range(1, 20))
def test_a_grid_is_put_together_from_the_parts_that_it_was_cut_into(trials_per_job):
    """The formula is that of `tuning_parts` in workflow/rules/common.smk."""

    def parts(trials: int) -> int:
        return min(6, -(-6 * 3 // trials))

    inputs = [{"path": f"old/part{n}.csv"} for n in range(parts(trials_per_job))]
    grid = {"learning_rate": [1, 2, 3], "step": [1, None]}
    receipt = {"parameters": {"grid": grid, "on": [0, 1, 2]}, "seconds": 1.0, "inputs": inputs}
    (proof,) = candidates._proofs(Path("old"), ["best.json"], receipt)
    assert parts(proof.sizes["trials_per_job"]) == len(inputs)
