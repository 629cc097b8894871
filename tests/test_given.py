"""Models from files: what the workflow makes of them is what it makes of its own, and a wrong file is named."""

import copy
import re
import shutil
from pathlib import Path

import h5py
import pandas as pd
import pytest
import torch
import yaml
from running import CONFIG, REPOSITORY, planned, snakemake
from safetensors.torch import load_file, save_file
from torch import nn
from toy import SMALL

from amun_steps.plan import views
from amun_steps.plan.messages import ConfigError
from amun_steps.plan.networks import try_networks
from amun_steps.store import known
from amun_steps.store.step import InputError
from amun_steps.training.stack import build
from amun_steps.training.state import load_module

TINY = yaml.safe_load((REPOSITORY / CONFIG).read_text())
SUBMISSION = {"files": "theirs/original{original}-run{run}.pt", "access": "with_remain"}


def export(stack: Path, files: list[Path]) -> None:
    """Take a stack apart into plain state dicts, in either format."""
    models = load_file(stack)
    for number, path in enumerate(files):
        path.parent.mkdir(exist_ok=True)
        state = {name: values[number].clone() for name, values in models.items()}
        save_file(state, path) if path.suffix == ".safetensors" else torch.save(state, path)


def only(where: Path, pattern: str) -> Path:
    (path,) = (where / "results" / "store").glob(pattern)
    return path


def logits(path: Path) -> tuple:
    with h5py.File(path) as file:
        return tuple(file[name][:].tobytes() for name in ("logits", "original", "set", "run"))


@pytest.fixture(scope="module")
def given(finished, tmp_path_factory):
    """The finished clone with its originals, retrained models and FT's unlearned ones as files, and all made of them
    that a config asks for that has these files in their place."""
    where = tmp_path_factory.mktemp("given") / "clone"
    shutil.copytree(finished, where, symlinks=True)
    mine = where / "mine"
    export(only(where, "digits-*/small_resnet-*/originals.safetensors"), [mine / "a.pt", mine / "b.safetensors"])
    for number in range(2):
        stack = only(where, f"digits-*/random10-*/small_resnet-retrained-*/set{number}.safetensors")
        export(stack, [mine / f"retrained{number}.pt"])
    unlearned = [where / "theirs" / f"original{o}-run{r}.pt" for o in range(2) for r in range(2)]
    export(only(where, "digits-*/small_resnet-*/ft-with_remain-*/ft-*/unlearned.safetensors"), unlearned)
    config = copy.deepcopy(TINY)
    experiment = config["experiments"]["digits"]
    experiment["originals"] = {"files": ["mine/a.pt", "mine/b.safetensors"]}
    experiment["retrained"] = {"count": 1, "files": "mine/retrained{set}.pt"}
    experiment["methods"] = ["ft", "theirs"]
    config["methods"]["theirs"] = SUBMISSION
    config["tables"]["table1"]["methods"] = ["ft", "theirs"]
    config["figures"] = {"fig5": {**config["figures"]["fig5"], "method": "theirs"}}
    (where / CONFIG).write_text(yaml.safe_dump(config))
    counts = planned(where)
    output = snakemake(where, "--cores", "2", "--quiet", "host", "--", "all", "results/report.html")
    return where, counts, output


def test_nothing_is_trained_in_place_of_files(given):
    assert given[1] == {
        "originals": 1, "retrained": 2, "tune": 2, "choose": 1, "unlearn": 1, "submitted": 1, "score": 4,
        "runs_digits": 1, "table_table1": 1, "figure_fig5": 1, "claims": 1, "all": 1,
    }  # fmt: skip


def test_given_originals_are_unlearned_to_the_same_bytes(given):
    where = given[0]
    trained, files = (
        only(where, f"digits-*/{name}/originals.h5") for name in ("small_resnet-????????????", "*-given-*")
    )
    assert logits(trained) == logits(files)
    for name in ("grid.csv", "best.json"):
        (mine,), (theirs,) = (list(path.parent.glob(f"ft-*/{name}")) for path in (files, trained))
        assert mine.read_bytes() == theirs.read_bytes()
    (mine,), (theirs,) = (list(path.parent.glob("ft-*/ft-*/unlearned.h5")) for path in (files, trained))
    assert logits(mine) == logits(theirs)


def test_a_submission_has_the_scores_of_the_method_that_it_is(given):
    runs = pd.read_csv(given[0] / "results" / "runs" / "digits.csv")
    names = ["method", "address", "hyperparameters", "seed"]
    mine, theirs = (runs[runs.method == name].drop(columns=names).reset_index(drop=True) for name in ("ft", "theirs"))
    assert len(mine) == 4
    pd.testing.assert_frame_equal(mine, theirs)
    table = pd.read_csv(given[0] / "results" / "tables" / "table1.csv").set_index("method")
    assert table.loc["ft"].equals(table.loc["theirs"])


def test_the_report_shows_what_was_trained_here(given):
    page = (given[0] / "results" / "report.html").read_text()
    assert "digits: tuning of ft" in page
    assert "digits: tuning of theirs" not in page
    assert "digits: training loss" in page  # FT's


def test_the_accuracies_are_told_at_once(given):
    assert re.search(r"2 models from files, accuracy [\d.]+ to [\d.]+% on what they learned, [\d.]+ to", given[2])


# What is wrong with a file


@pytest.fixture
def model() -> nn.Module:
    torch.manual_seed(0)
    return build(SMALL)


@pytest.mark.parametrize("name", ["a.pt", "a.safetensors"])
def test_a_state_dict_is_loaded(model, name, tmp_path):
    save = save_file if name.endswith("safetensors") else torch.save
    save(model.state_dict(), tmp_path / name)
    for key, value in load_module(tmp_path / name, SMALL).state_dict().items():
        assert torch.equal(value, model.state_dict()[key])


BIAS = "7.bias"
WRONG_STATES = [
    (lambda s: {k: v for k, v in s.items() if k != BIAS}, r"network 'small_resnet': it lacks 1 of \d+: 7.bias$"),
    (lambda s: s | {"extra": torch.ones(1)}, r"it has beside them 1 of \d+: extra$"),
    (
        lambda s: s | {BIAS: torch.ones(3)},
        r"of another form 1 of \d+: 7.bias \(3,\) float32 \(expected \(10,\) float32",
    ),
    (lambda s: s | {BIAS: torch.ones(10).half()}, r"7.bias \(10,\) float16 \(expected \(10,\) float32\)"),
    (lambda s: {f"module.{k}": v for k, v in s.items()}, "begin with 'module.', as DataParallel has them"),
    (lambda s: {"epoch": 3, "state_dict": s}, "found the keys epoch, state_dict.*Save what it has as 'state_dict' by"),
    (lambda s: [1], "found a list, expected a state dict"),
    (lambda s: s | {BIAS: torch.full((10,), torch.nan)}, "'7.bias' has values that are no finite numbers"),
]


@pytest.mark.parametrize(("change", "message"), WRONG_STATES)
def test_a_state_dict_of_something_else_is_named(model, change, message, tmp_path):
    torch.save(change(model.state_dict()), tmp_path / "a.pt")
    with pytest.raises(InputError, match=f"^{tmp_path}/a.pt: .*{message}"):
        load_module(tmp_path / "a.pt", SMALL)


def test_a_whole_module_is_not_unpickled(model, tmp_path):
    torch.save(model, tmp_path / "a.pt")
    with pytest.raises(InputError, match=r"a.pt: has more than tensors.*save a plain state dict, torch.save\("):
        load_module(tmp_path / "a.pt", SMALL)


@pytest.mark.parametrize("name", ["a.pt", "a.safetensors"])
def test_a_file_of_neither_format_is_named(name, tmp_path):
    (tmp_path / name).write_bytes(b"no model")
    with pytest.raises(InputError, match=rf"{name}: cannot be read \(.*\): expected a file of torch.save"):
        load_module(tmp_path / name, SMALL)


def test_a_submission_may_have_diverged(model, tmp_path):
    torch.save(model.state_dict() | {BIAS: torch.full((10,), torch.nan)}, tmp_path / "a.pt")
    assert load_module(tmp_path / "a.pt", SMALL, diverged=True).state_dict()[BIAS].isnan().all()


# Which files a config means


@pytest.fixture
def files(tmp_path, monkeypatch):
    """A folder to be in, and a function that puts files there."""
    monkeypatch.chdir(tmp_path)

    def put(*names: str) -> None:
        for name in names:
            (tmp_path / name).parent.mkdir(exist_ok=True)
            (tmp_path / name).write_bytes(name.encode())

    return put


def with_submission(**changes) -> dict:
    config = copy.deepcopy(TINY)
    config["methods"]["theirs"] = {**SUBMISSION, **changes}
    config["experiments"]["digits"]["methods"].append("theirs")
    return config


def with_originals(**changes) -> dict:
    config = copy.deepcopy(TINY)
    config["experiments"]["digits"]["originals"] = changes
    return config


ALL = [f"theirs/original{o}-run{r}.pt" for o in range(2) for r in range(2)]


def test_a_submission_is_scored_with_its_access_alone(files):
    files(*ALL)
    plan = views.load(with_submission())
    scored = [s for s in plan.scored if s.method == "theirs"]
    assert [(s.access, s.forget) for s in scored] == [("with_remain", "random10")]
    (models,) = (s for s in plan.stages.values() if s.kind == "submitted")
    assert models.elsewhere["files"] == ALL
    numbers = [(m["original"], m["set"], m["run"]) for m in models.parameters["given"]]
    assert numbers == [(0, 0, 0), (0, 0, 1), (1, 0, 0), (1, 0, 1)]
    assert not [stage for stage in plan.stages.values() if stage.kind == "tuned" and "theirs" in stage.name]


def test_files_count_by_what_is_in_them(files):
    files(*ALL)

    def address(config) -> str:
        return next(s.address for s in views.load(config).stages.values() if s.kind == "submitted")

    before = address(with_submission())
    Path("theirs").rename("moved")
    assert address(with_submission(files="moved/original{original}-run{run}.pt")) == before
    Path("moved/original1-run0.pt").write_bytes(b"another")
    assert address(with_submission(files="moved/original{original}-run{run}.pt")) != before


PATTERN = SUBMISSION["files"]
MORE = [*ALL, "theirs/original2-run0.pt"]
THEIRS, MINE = "methods.theirs.", "experiments.digits.originals"
MISTAKES = [
    ([], with_submission(), f"{THEIRS}files: not all of the 4 files are there", "run0.pt, .*run1.pt, .*and more"),
    (ALL[:3], with_submission(), f"{THEIRS}files: not all of the 4 files", "lacks theirs/original1-run1.pt$"),
    (MORE, with_submission(), f"{THEIRS}files: found files of runs that the experiment does not", "original2-run0.pt$"),
    (ALL, with_submission(files=PATTERN + "{seed}"), f"{THEIRS}files: unknown placeholder {{seed}}", "{forget}, {orig"),
    (ALL, with_submission(files="theirs/{run}.pt"), f"{THEIRS}files: theirs/{{run}}.pt lacks {{original}}", "are 2"),
    (ALL, with_submission(grid={}), f"{THEIRS}grid: has no use beside files", "remove the key"),
    (ALL, with_submission(access="both"), f'{THEIRS}access: found "both"', "with_remain or without_remain"),
    ([], with_originals(), f"{MINE}: lacks the key 'count'", ""),
    ([], with_originals(files=["a.pt"], count=1), f"{MINE}.count: has no place beside files", ""),
    ([], with_originals(files=["a.pt"]), f"{MINE}.files: not all of the 1 files", "lacks a.pt$"),
    (["a.pt"], with_originals(files=["a.pt", "./a.pt"]), f"{MINE}.files: a.pt and ./a.pt are the same", ""),
]


@pytest.mark.parametrize(("there", "config", "begins", "contains"), MISTAKES, ids=[m[2] for m in MISTAKES])
def test_a_mistake_is_named(there, config, begins, contains, files):
    files(*there)
    with pytest.raises(ConfigError) as caught:
        views.load(config)
    assert str(caught.value).startswith(begins)
    assert re.search(contains, str(caught.value))


def test_a_submission_says_its_access(files):
    files(*ALL)
    config = with_submission()
    del config["methods"]["theirs"]["access"]
    with pytest.raises(ConfigError, match=r"^methods.theirs: lacks the key 'access' .*with_remain or without_remain"):
        views.load(config)
    config = copy.deepcopy(TINY)
    config["methods"]["ft"]["access"] = "with_remain"
    with pytest.raises(ConfigError, match=r"^methods.ft.access: is for a submission"):
        views.load(config)


def test_a_submission_of_several_families_names_them(files):
    files(*ALL)
    config = with_submission()
    config["forget"]["random50"] = {"fraction": 0.5, "sets": 2}
    config["experiments"]["digits"]["forget"].append("random50")
    with pytest.raises(ConfigError, match=r"^methods.theirs.files: .* lacks {forget}: there are 2"):
        views.load(config)
    pattern = "theirs/{forget}-{original}-{set}-{run}.pt"
    for family, sets in (("random10", 1), ("random50", 2)):
        files(*(f"theirs/{family}-{o}-{s}-{r}.pt" for o in range(2) for s in range(sets) for r in range(2)))
    config["methods"]["theirs"]["files"] = pattern
    models = [s for s in views.load(config).stages.values() if s.kind == "submitted"]
    assert [len(stage.parameters["given"]) for stage in models] == [4, 8]
    files("theirs/random10-0-1-0.pt")  # a set that only the other family has
    with pytest.raises(ConfigError, match=r"theirs/random10-0-1-0.pt$"):
        views.load(config)


def test_what_runs_a_method_refuses_a_submission(files):
    files(*ALL)
    config = with_submission()
    config["figures"]["fig2"]["methods"].append("theirs")
    with pytest.raises(ConfigError, match=r"^figures.fig2.methods: 'theirs' is a submission"):
        views.load(config)
    config = with_submission()
    config["figures"]["fig5"] |= {"method": "theirs", "access": "without_remain"}
    with pytest.raises(ConfigError, match=r"^figures.fig5.access: 'theirs' is a submission .* expected with_remain"):
        views.load(config)


def test_retrained_models_are_of_the_tuning_set_too_where_a_method_is_tuned(files):
    config = with_submission()
    files(*ALL, "0.pt")
    config["experiments"]["digits"]["retrained"] = {"count": 1, "files": "{set}.pt"}
    with pytest.raises(ConfigError, match=r"^experiments.digits.retrained.files: .* lacks 1.pt"):
        views.load(config)
    config["experiments"]["digits"]["methods"] = ["theirs"]
    config["tables"]["table1"]["methods"] = ["theirs"]
    config["figures"] = {}
    (stage,) = (s for s in views.load(config).stages.values() if s.kind == "retrained")
    assert [model["set"] for model in stage.parameters["given"]] == [0]


def test_a_file_of_another_network_stops_before_anything_runs(files):
    files("a.pt")
    config = with_originals(files=["a.pt"])
    with pytest.raises(ConfigError, match=r"^a.pt: cannot be read"):
        try_networks(views.load(config))


def test_a_large_file_is_read_once(files, monkeypatch):
    files("a.pt")
    digest = known.known_sha256(Path("a.pt"))
    monkeypatch.setattr(known, "sha256", None)
    assert known.known_sha256(Path("a.pt")) == digest
    Path("a.pt").write_bytes(b"another size")
    with pytest.raises(TypeError):
        known.known_sha256(Path("a.pt"))
