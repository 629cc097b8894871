"""Models from files: what the workflow makes of them is what it makes of its own, and a wrong file is named."""

import copy
import hashlib
import os
import re
import shutil
import zipfile
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from running import CONFIG, REPOSITORY, planned, snakemake
from safetensors.torch import load_file, save_file
from torch import nn
from toy import SMALL

from amun_steps.datasets import Sizes
from amun_steps.plan import views
from amun_steps.plan.jobs import Job
from amun_steps.plan.messages import ConfigError
from amun_steps.plan.networks import try_networks
from amun_steps.plan.work import work_of
from amun_steps.steps import given as steps
from amun_steps.steps.given import read_inclusion
from amun_steps.store import content
from amun_steps.store.arrays import write_arrays
from amun_steps.store.step import InputError
from amun_steps.training.data import load
from amun_steps.training.stack import build
from amun_steps.training.state import load_module

TINY = yaml.safe_load((REPOSITORY / CONFIG).read_text())
REFERENCE_FILES = {"count": 4, "files": "r{reference}.pt", "inclusion": "in.csv"}
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
    for number in range(4):
        export(only(where, f"digits-*/inclusion4-*/*/reference{number}.safetensors"), [mine / f"reference{number}.pt"])
    with h5py.File(only(where, "digits-*/inclusion4-*/inclusion.h5")) as file:
        np.savetxt(mine / "inclusion.csv", file["inclusion"][:], fmt="%d", delimiter=",")
    config = copy.deepcopy(TINY)
    experiment = config["experiments"]["digits"]
    references = {"files": "mine/reference{reference}.pt", "inclusion": "mine/inclusion.csv"}
    experiment["references"] = {"count": 4, **references}
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
        "inclusion": 1, "references": 2, "signals": 1,
        "originals": 1, "retrained": 2, "tune": 2, "choose": 1, "unlearn": 1, "submitted": 1, "score": 4,
        "runs_digits": 1, "table_table1": 1, "figure_fig5": 1, "claims": 1,
        "comparison": 1, "leaderboard": 1, "overview": 1, "all": 1,
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


def test_models_from_files_give_the_numbers_of_trained_ones(given, finished):
    """Originals, references and retrained ones: all that a method is tuned and judged by."""
    tables = [pd.read_csv(where / "results" / "runs" / "digits.csv") for where in (given[0], finished)]
    ours, theirs = (rows[rows.method.isin(["retrained", "original", "ft"])] for rows in tables)
    changed = ["address", "seed"]
    pd.testing.assert_frame_equal(ours.drop(columns=changed), theirs.drop(columns=changed))


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
    assert re.search(r"models from files: accuracy [\d.]+ to [\d.]+% on what they learned, [\d.]+ to", given[2])


# What the steps write


@pytest.fixture
def data(tmp_path) -> Path:
    """A data set of 40 images of noise, 30 of them for training."""
    drawn = np.random.default_rng(0)
    images = drawn.integers(0, 256, (40, 1, 8, 8), dtype=np.uint8)
    arrays = {"images": images, "labels": np.arange(40) % 10, "train": np.arange(40) < 30}
    write_arrays(tmp_path / "dataset.h5", arrays)
    return tmp_path / "dataset.h5"


NETWORK = {key: value for key, value in SMALL.items() if key not in ("shape", "classes")}


def written(data: Path, states: list[dict], step=steps.originals, **more) -> Path:
    """The outputs of a step for models with these state dicts, with numbers of their own."""
    files = [data.with_name(f"{number}.pt") for number in range(len(states))]
    for path, state in zip(files, states, strict=True):
        torch.save(state, path)
    given = [steps.Given(number + 5, 0, number, content.sha256(path)) for number, path in enumerate(files)]
    where = {"models": data.with_name("models.safetensors"), "outputs": data.with_name("outputs.h5")}
    step(dataset=data, network=NETWORK, given=given, files=list(map(str, files)), stack=2, **where, **more)
    return where["outputs"]


def test_the_outputs_are_the_models_own(data):
    torch.manual_seed(0)
    models = [build(SMALL).eval() for _ in range(3)]
    outputs = written(data, [model.state_dict() for model in models])
    images = torch.from_numpy(load(data).images).float() / 255
    with h5py.File(outputs) as file:
        for model, logits in zip(models, file["logits"], strict=True):
            np.testing.assert_allclose(logits, model(images).detach(), rtol=1e-4, atol=1e-5)
        assert (file["original"][:] == [5, 6, 7]).all()
        assert (file["run"][:] == [0, 1, 2]).all()
        assert "training_loss" not in file


def test_a_model_that_knows_nothing_and_one_that_diverged_are_told(data, model, caplog):
    caplog.set_level("INFO")
    write_arrays(data.with_name("forget.h5"), {"forget": np.zeros((1, 40), dtype=bool)})
    state = model.state_dict()
    broken = state | {BIAS: torch.full((10,), torch.nan)}
    written(data, [state, broken], step=steps.submitted, forget=data.with_name("forget.h5"))
    told = [record.getMessage() for record in caplog.records if record.getMessage().startswith("-> ")]
    assert [re.sub(r"[\d.]+%", "N%", text.replace(f"{data.parent}/", "")) for text in told] == [
        "-> models from files: accuracy N% on what they learned, N% on test",
        "-> 0.pt: only N% on what it learned: was it trained on images that were normalised (then the config's"
        " network wants `normalise`), or with classes in another order?",
        "-> 1.pt: has diverged: its logits are no finite numbers",
    ]


def test_a_file_that_changed_since_it_was_planned_is_named(model, tmp_path):
    torch.save(model.state_dict(), tmp_path / "a.pt")
    with pytest.raises(InputError, match=r"a.pt: is gone, or its bytes have changed since this run"):
        steps.load_given(None, NETWORK, [steps.Given(0, -1, -1, "0" * 64)], [str(tmp_path / "a.pt")])


# What is wrong with a file


@pytest.mark.parametrize("name", ["in.npy", "in.npz", "in.h5", "in.csv"])
def test_an_inclusion_matrix_is_read(name, tmp_path):
    matrix, path = np.array([[1, 0, 1], [0, 1, 0]], dtype=bool), tmp_path / name
    match path.suffix:
        case ".npy":
            np.save(path, matrix)
        case ".npz":
            np.savez(path, included=matrix)
        case ".h5":
            write_arrays(path, {"inclusion": matrix})
        case ".csv":
            np.savetxt(path, matrix, fmt="%d", delimiter=",")
    found = read_inclusion(path, 2, 3)
    assert found.dtype == bool
    assert (found == matrix).all()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1,0\n0,1", r"found a matrix of \(2, 2\), expected \(2, 3\)"),
        ("1,0,2\n0,1,0", "found other values than 0 and 1"),
        ("1,0,1\n0,1,1", "1 samples are not in half of the 2 models, the first of them sample 2, which is in 2"),
        ("a,b,c\n1,0,1", "cannot be read as an inclusion matrix"),
    ],
)
def test_another_matrix_is_named(text, message, tmp_path):
    (tmp_path / "in.csv").write_text(text)
    with pytest.raises(InputError, match=rf"in.csv: {message}"):
        read_inclusion(tmp_path / "in.csv", 2, 3)


def test_a_matrix_file_without_a_matrix_is_named(tmp_path):
    with h5py.File(tmp_path / "group.h5", "w") as file:
        file.create_group("inclusion")
    np.savez(tmp_path / "empty.npz")
    zipfile.ZipFile(tmp_path / "zip.npz", "w").close()
    for name in ("group.h5", "empty.npz", "zip.npz"):
        with pytest.raises(InputError, match=rf"{name}: cannot be read as an inclusion matrix"):
            read_inclusion(tmp_path / name, 2, 3)


def test_a_matrix_in_another_format_is_named(tmp_path):
    with pytest.raises(InputError, match=r"in.txt: found '.txt', expected a .npy, .npz, .h5 or .csv file"):
        read_inclusion(tmp_path / "in.txt", 2, 3)


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


def with_references(**changes) -> dict:
    config = copy.deepcopy(TINY)
    config["experiments"]["digits"]["references"] = REFERENCE_FILES | changes
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


def test_originals_are_numbered_in_the_order_of_the_config(files):
    files("b.pt", "a.pt")
    plan = views.load(with_originals(files=["b.pt", "a.pt"]))
    (stage,) = (s for s in plan.stages.values() if s.kind == "originals")
    assert [(m["original"], m["sha256"]) for m in stage.parameters["given"]] == [
        (number, hashlib.sha256(name.encode()).hexdigest()) for number, name in enumerate(["b.pt", "a.pt"])
    ]
    assert stage.count == 2


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
THEIRS, MINE, REFERENCES = "methods.theirs.", "experiments.digits.originals", "experiments.digits.references"
MISTAKES = [
    ([], with_submission(), f"{THEIRS}files: found no readable file", "run0.pt, .*run1.pt, .*and more .of 4"),
    (ALL[:3], with_submission(), f"{THEIRS}files: found no readable file theirs/original1-run1.pt (of 4", ""),
    (MORE, with_submission(), f"{THEIRS}files: found files of runs that the experiment does not", "original2-run0.pt$"),
    (ALL, with_submission(files=PATTERN + "{seed}"), f"{THEIRS}files: unknown placeholder {{seed}}", "{forget}, {orig"),
    (ALL, with_submission(files="theirs/{run}.pt"), f"{THEIRS}files: theirs/{{run}}.pt lacks {{original}}", "are 2"),
    (ALL, with_submission(grid={}), f"{THEIRS}grid: has no use beside files", "remove the key"),
    (ALL, with_submission(access="both"), f'{THEIRS}access: found "both"', "with_remain or without_remain"),
    ([], with_references(), f"{REFERENCES}.inclusion: found no readable file in.csv", ""),
    (["in.csv", "r0.pt"], with_references(), f"{REFERENCES}.files: found no readable file r1.pt, r2.pt, r3.pt (", ""),
    (["in.csv"], with_references(files="r.pt"), f"{REFERENCES}.files: r.pt lacks {{reference}}", "there are 4"),
    ([], with_references(training="scratch"), f"{REFERENCES}.training: has no place beside count", ""),
    ([], with_originals(), f"{MINE}: lacks the key 'count'", ""),
    ([], with_originals(files=["a.pt"], count=1), f"{MINE}.count: has no place beside files", ""),
    ([], with_originals(files=["a.pt"]), f"{MINE}.files: found no readable file a.pt", ""),
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
    with pytest.raises(ConfigError, match=r"^experiments.digits.retrained.files: found no readable file 1.pt"):
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


def test_what_is_not_trained_costs_no_training(files):
    files(*ALL, "a.pt", "b.pt", "in.csv", *(f"r{number}.pt" for number in range(4)))
    config = with_submission()
    config["experiments"]["digits"]["originals"] = {"files": ["a.pt", "b.pt"]}
    config["experiments"]["digits"]["references"] = REFERENCE_FILES
    sizes = Sizes(898, 899, (1, 8, 8), 10)
    found = {}
    for stage in views.load(config).stages.values():
        if "given" in stage.parameters:
            job = Job(stage.kind, (), (stage.file("one"),), {"first": "0", "last": "1"}, {"stack": "4"}, True)
            found[stage.kind] = dict(work_of(job, stage, sizes).counts)
    models = {"originals": 2, "references": 1, "submitted": 4}  # of one job; of references one by one
    assert found == {name: {"predict": count * 1797} for name, count in models.items()}


def test_a_large_file_is_read_once(files, monkeypatch):
    files("a.pt")
    os.utime("a.pt", (1, 1))
    digest = content.known_sha256(Path("a.pt"))
    monkeypatch.setattr(content, "sha256", lambda path: "read again")
    assert content.known_sha256(Path("a.pt")) == digest == hashlib.sha256(b"a.pt").hexdigest()
    os.utime("a.pt", (2, 2))
    assert content.known_sha256(Path("a.pt")) == "read again"
    Path("a.pt").write_bytes(b"young")  # it could change again in the same tick of the clock
    content.known_sha256(Path("a.pt"))
    monkeypatch.setattr(content, "sha256", lambda path: "and again")
    assert content.known_sha256(Path("a.pt")) == "and again"
