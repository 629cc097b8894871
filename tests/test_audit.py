"""`amun audit`: what is said of one model and a list, from intervals to the workflow itself."""

import copy
import json
import re
import shutil
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from running import CONFIG, REPOSITORY, amun, planned
from safetensors.torch import load_file

from amun_steps.judging.intervals import auc_interval, tpr_interval
from amun_steps.judging.metrics import auc, tpr_at_fpr
from amun_steps.plan.audit import audit
from amun_steps.plan.messages import ConfigError
from amun_steps.plan.one_model import Asked
from amun_steps.plan.plan import Plan
from amun_steps.store.arrays import write_arrays
from amun_steps.store.step import InputError
from amun_steps.views import audit as step
from amun_steps.views.verdict import verdict

TINY = yaml.safe_load((REPOSITORY / CONFIG).read_text())

# The verdict


@pytest.mark.parametrize(
    ("interval", "kind"),
    [
        ((50.1, 53), "remembered"),
        ((50, 56), "says nothing"),
        ((46, 54), "no sign"),
        ((45, 55), "no sign"),
        ((44.9, 54), "says nothing"),
        ((45, 49), "no sign"),
        ((30, 49), "set apart"),
        ((2, 71), "says nothing"),
    ],
)
def test_the_interval_decides_the_verdict(interval, kind):
    told = verdict(np.mean(interval), interval, 30, 1000, 5.0)
    assert told.kind == kind
    assert any("prove" in sentence or "must be read" in sentence for sentence in told.words)


def test_a_verdict_that_says_nothing_says_how_many_samples_would():
    assert verdict(28, (2, 71), 5, 1000, 5.0).short == "5 samples: FT AUC 28.0 [2.0, 71.0]: says nothing"
    assert "about 147 samples" in " ".join(verdict(28, (2, 71), 5, 1000, 5.0).words)
    assert "the 100 test samples are too few" in " ".join(verdict(28, (2, 71), 5, 100, 5.0).words)
    assert "long enough" in " ".join(verdict(54, (49, 59), 200, 1000, 5.0).words)
    assert "samples" not in verdict(90, (40, 100), 1, 100, 5.0).short


def test_an_attack_that_tells_no_samples_apart_does_not_clear_a_model():
    """All scores are one: the AUC is 50, of any model, with a narrow interval."""
    interval = auc_interval(np.zeros(300), np.zeros(599))
    told = verdict(50.0, interval, 300, 599, 100.0)
    assert told.kind == "says nothing"
    assert "one score to 100% of these samples" in " ".join(told.words)
    assert "has to have" not in " ".join(told.words), "a longer list would not help"
    assert verdict(50.0, interval, 300, 599, 40.0).kind == "no sign"
    assert "one score" in " ".join(verdict(28, (2, 71), 5, 1000, 80.0).words)
    assert verdict(60.0, (55, 65), 300, 599, 90.0).kind == "remembered", "chance explains that as little"


# The page


@pytest.fixture
def files(tmp_path):
    """What the step reads, made by hand: 60 images of 3 channels with names, 30 of them for training, 15 listed."""
    rng = np.random.default_rng(0)
    train, chosen = np.arange(60) < 30, np.arange(60) % 4 < 2
    chosen &= train
    rmia = np.round(rng.random(60), 1)
    names = np.array([f"a<b>/{number}.png".encode() for number in range(60)])
    images = rng.integers(0, 256, (60, 3, 5, 5)).astype(np.uint8)
    labels = np.arange(60, dtype=np.int16) % 3
    write_arrays(tmp_path / "dataset.h5", {"images": images, "labels": labels, "train": train, "names": names})
    write_arrays(
        tmp_path / "forget.h5", {"forget": np.array([chosen, train & ~chosen]), "test": np.array([~train] * 2)}
    )
    write_arrays(tmp_path / "scores.h5", {"rmia": rmia[None]})
    numbers = {"ft_auc": auc(rmia[chosen], rmia[~train]), "tpr_at_1_fpr": tpr_at_fpr(rmia[chosen], rmia[~train], 0.01)}
    others = {"rmia_ties": 12.5, "unlearn_accuracy": 90.0, "test_accuracy": 80.0}
    pd.DataFrame([numbers | others]).to_csv(tmp_path / "runs.csv", index=False)
    return tmp_path, chosen, train, rmia


def judge(folder: Path) -> tuple[dict, str]:
    inputs = {name: folder / f"{name}.h5" for name in ("scores", "dataset", "forget")} | {"runs": folder / "runs.csv"}
    outputs = {"findings": folder / "audit.json", "page": folder / "audit.html"}
    step.audit(**inputs, model=Path("<m>.pt"), listed=Path("asked.txt"), references=4, **outputs)
    return json.loads(outputs["findings"].read_text()), outputs["page"].read_text()


def test_the_findings_are_those_of_the_listed_samples(files):
    folder, chosen, train, rmia = files
    found, _ = judge(folder)
    assert found["ft_auc"] == pytest.approx(auc(rmia[chosen], rmia[~train]))
    assert found["ft_auc_interval"] == pytest.approx(auc_interval(rmia[chosen], rmia[~train]))
    assert found["tpr_at_1_fpr_interval"] == pytest.approx(tpr_interval(rmia[chosen], rmia[~train], 0.01))
    assert (found["samples"], found["test_samples"], found["references"]) == (chosen.sum(), 30, 4)
    rows = pd.DataFrame(found["per_sample"])
    assert set(rows["sample"]) == set(np.flatnonzero(chosen))
    assert rows.score.is_monotonic_decreasing
    for row in rows.itertuples():
        assert row.score == rmia[row.sample]
        assert row.p_value == pytest.approx((1 + (rmia[~train] >= row.score).sum()) / 31)
        assert (row.name, row.label) == (f"a<b>/{row.sample}.png", str(row.sample % 3))
    assert found["low_p_values"] == (rows.p_value <= 0.05).sum()


def test_the_page_shows_the_most_and_the_least_remembered_and_needs_no_other_file(files):
    folder, chosen, *_ = files
    found, page = judge(folder)
    assert page.count("<img") == chosen.sum(), "12 and the other 3 or 4, none of them twice"
    assert set(re.findall(r'(?:src|href)="(.{10})', page)) == {"data:image"}
    shown = re.findall(r'alt="a&lt;b&gt;/(\d+)\.png"', page)
    assert shown == [str(row["sample"]) for row in found["per_sample"]]
    assert "<b>/" not in page
    assert found["short"] in page
    assert "Audit of &lt;m&gt;.pt" in page


@pytest.mark.parametrize("channels", [1, 4])
def test_images_of_other_channels_are_shown_in_grey(files, channels):
    folder, *_ = files
    with h5py.File(folder / "dataset.h5", "a") as file:
        del file["images"], file["names"]
        file["images"] = np.zeros((60, channels, 5, 5), dtype=np.uint8)
    assert 'alt="0"' in judge(folder)[1]


def test_a_model_that_diverged_is_named(files):
    folder, *_ = files
    write_arrays(folder / "scores.h5", {"rmia": np.full((1, 60), np.nan)})
    with pytest.raises(InputError, match=r"<m>.pt: RMIA has no score for 60 samples"):
        judge(folder)


# The config


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("m.pt").write_bytes(b"m")
    Path("asked.txt").write_text("3\n17\n")
    return tmp_path


def of(config, references=None):
    Path("base.yaml").write_text(yaml.safe_dump(config))
    asked = Asked(Path("m.pt"), Path("asked.txt"), Path("base.yaml"), "digits")
    return asked.derived(references, {"ft": {}})


def addresses(config) -> dict[str, str]:
    stages = Plan(config).experiments["digits"]
    return {name: getattr(stages, name)().address for name in ("dataset", "inclusion", "references", "signals")}


def test_the_config_of_an_audit_has_the_references_of_the_one_it_is_derived_from(here):
    assert addresses(of(TINY)) == addresses(TINY)
    changed = addresses(of(TINY, 2))
    assert changed["dataset"] == addresses(TINY)["dataset"]
    assert changed["references"] != addresses(TINY)["references"]


def test_files_of_a_config_that_an_audit_does_not_need_need_not_be_there(here):
    config = copy.deepcopy(TINY)
    config["methods"] = {"theirs": {"files": "gone{original}-{run}.pt", "access": "with_remain"}}
    config["forget"]["gone"] = {"indices": "gone.txt"}
    experiment = config["experiments"]["digits"]
    experiment |= {"methods": ["theirs"], "forget": ["gone"], "originals": {"files": ["gone.pt"]}}
    experiment["retrained"] = {"count": 1, "files": "gone{set}.pt"}
    config["experiments"]["other"] = experiment | {"dataset": "elsewhere"}
    config["datasets"]["elsewhere"] = {"source": "arrays", "file": "gone.npz"}
    assert addresses(of(config)) == addresses(TINY)


def test_other_judges_of_the_config_s_experiments_are_not_asked(here):
    config = copy.deepcopy(TINY)
    config["experiments"]["other"] = config["experiments"]["digits"]
    config["judges"] = {"experiments": ["other"]}
    assert addresses(of(config)) == addresses(TINY)


def with_reference_files() -> dict:
    config = copy.deepcopy(TINY)
    config["experiments"]["digits"]["references"] = {"count": 4, "files": "r{reference}.pt", "inclusion": "in.csv"}
    return config


@pytest.mark.parametrize(
    ("config", "options", "message"),
    [
        (TINY, {"model": "gone.pt"}, "--model: found no file gone.pt"),
        (TINY, {"forget": "gone.txt"}, "tiny.yaml, .*: gone.txt: cannot be read: No such file"),
        (TINY, {"forget": "test.txt"}, "tiny.yaml, .*: test.txt: 1500 is a test sample"),
        (TINY, {}, "tiny.yaml, .*: m.pt: cannot be read"),
        (TINY, {"experiment": "digit"}, "tiny.yaml: --experiment: found the name 'digit', .*did you mean 'digits'"),
        (TINY, {"references": 3}, "tiny.yaml, .*: experiments.digits.references.count: found 3, expected an even"),
        ({"seed": 0}, {}, "tiny.yaml: .*lacks the key"),
        (with_reference_files(), {"references": 6}, "--references: found 6, but those of experiments.digits are files"),
    ],
)
def test_a_mistake_is_named_before_anything_is_written(config, options, message, here):
    Path("tiny.yaml").write_text(yaml.safe_dump(config))
    Path("test.txt").write_text("1500\n")
    given = {"model": "m.pt", "forget": "asked.txt", "config": "tiny.yaml"} | options
    paths = {name: Path(given[name]) for name in ("model", "forget", "config")}
    more = {name: value for name, value in given.items() if name not in paths}
    with pytest.raises(InputError, match=message):
        audit(**paths, **({"experiment": "digits"} | more), to=here / "to")
    assert not (here / "to").exists()


def test_a_config_without_any_recipe_is_refused(here):
    config = with_reference_files()
    config["experiments"]["digits"]["retrained"] = {"count": 1, "files": "{set}.pt"}
    with pytest.raises(ConfigError, match=r"^training: found no recipe"):
        of(config | {"training": {}})


# The workflow


@pytest.fixture(scope="module")
def clone(finished, tmp_path_factory):
    """The finished clone with an original and a model retrained without the first forget set as files, and the list."""
    where = tmp_path_factory.mktemp("audit") / "clone"
    shutil.copytree(finished, where, symlinks=True)
    for name, pattern in (("original", "small_resnet-*/originals"), ("retrained", "random10-*/*/set0")):
        (stack,) = (where / "results/store").glob(f"digits-*/{pattern}.safetensors")
        torch.save({key: value[0].clone() for key, value in load_file(stack).items()}, where / f"{name}.pt")
    (forget,) = (where / "results/store").glob("digits-*/random10-*/forget.h5")
    with h5py.File(forget) as file:
        (where / "asked.txt").write_text("\n".join(map(str, np.flatnonzero(file["forget"][0]))))
    return where


def options(model: str) -> list[str]:
    return ["--model", f"{model}.pt", "--forget", "asked.txt", "--config", CONFIG, "--experiment", "digits"]


def reference_models(where: Path) -> list[Path]:
    return sorted((where / "results/store").glob("digits-*/inclusion*/*/reference*.safetensors"))


def test_two_models_are_audited_with_the_references_that_are_there(clone):
    before = reference_models(clone)
    assert len(before) == 4
    for model in ("original", "retrained"):
        said = amun(clone, "audit", *options(model))
        folder = clone / f"results/audits/{model}-asked"
        found = json.loads((folder / "audit.json").read_text())
        assert found["short"] in said
        assert found["short"] in (folder / "audit.html").read_text()
        assert 0 <= found["ft_auc_interval"][0] <= found["ft_auc"] <= found["ft_auc_interval"][1] <= 100
        assert (found["references"], found["model"]) == (4, f"{model}.pt")
        runs = pd.read_csv(clone / "results/runs/digits.csv")
        row = runs[(runs.method == model) & (runs.forget == "random10") & (runs.original != 1)].iloc[0]
        assert found["ft_auc"] == pytest.approx(row.ft_auc), "what the workflow says of the same model and samples"
        assert (folder / "audit.html.json").is_file()
    assert reference_models(clone) == before
    assert planned(clone) == {}, "nothing of the config was made anew"


def test_an_audit_that_is_repeated_computes_nothing(clone):
    amun(clone, "audit", *options("original"))
    assert "Nothing is to be computed" in amun(clone, "audit", *options("original"), "--dry-run")


@pytest.mark.parametrize(
    ("option", "said"),
    [
        ("results/audits/original-asked", "has the audit.json, audit.html of another"),
        ("asked.txt", "--to: asked.txt cannot be made a folder"),
    ],
)
def test_another_audit_does_not_take_the_place_of_one_that_is_there(clone, option, said):
    """With other references, or of another model of that name."""
    before = {path: path.read_bytes() for path in (clone / "results/audits/original-asked").iterdir()}
    with pytest.raises(AssertionError, match=re.escape(said)):
        amun(clone, "audit", *options("original"), "--references", "2", "--to", option)
    assert {path: path.read_bytes() for path in before} == before


def test_other_references_are_counted_first(clone):
    said = amun(clone, "audit", *options("original"), "--references", "2", "--to", "more", "--dry-run")
    assert re.search(r"^digits +references +1 +1 ", said, re.MULTILINE)
    for stage in ("retrained", "tune", "unlearn", "adversarial"):
        assert not re.search(rf"^digits +{stage} ", said, re.MULTILINE)
    assert sorted(path.name for path in (clone / "more").iterdir()) == ["audit.yaml"]
