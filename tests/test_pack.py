"""Packs: what another clone needs of a store, in one file that nobody has to trust."""

import io
import json
import os
import re
import signal
import subprocess
import sys
import tarfile
from dataclasses import replace
from pathlib import Path

import pytest
from running import CONFIG, clone, edit, planned, snakemake, store, views

from amun_steps.store import packs
from amun_steps.store import step as steps
from amun_steps.store.receipts import read_receipt
from amun_steps.store.step import InputError
from amun_steps.store.unpack import unpack

FIRST, SECOND = (f"results/store/data-{'0' * 12}/{slug}-{'0' * 11}1/a.h5" for slug in ("first", "second"))
TABLES = ("results/tables/table1.csv", "results/runs/digits.csv")


@steps.step
def letters(*, letter: str, count: int, output: steps.Output) -> None:
    output.write_text(letter * count)


def manifest() -> packs.Manifest:
    """The manifest of two artifacts of 3,000 and 20 bytes, made in the current folder."""
    letters(letter="a", count=3000, output=Path(FIRST))
    letters(letter="b", count=20, output=Path(SECOND))
    files, stages = {}, {}
    for name in (FIRST, SECOND):
        receipt, slug = read_receipt(Path(name)), Path(name).parent.name
        digest = steps.sha256(Path(name + ".json"))
        files[name] = packs.PackedFile(slug, receipt["sha256"], receipt["bytes"], digest)
        stages[slug] = packs.PackedStage("letters", {}, [], [])
    about = {"purpose": "everything", "packed": "today", "config_file": "c.yaml", "config": {}, "made_with": {}}
    return packs.Manifest("amun pack 1", **about, commit=None, stages=stages, files=files)


@pytest.fixture
def pack(tmp_path, monkeypatch) -> Path:
    """A pack of two artifacts, and the current folder one without a store."""
    for name in ("here", "there"):
        (tmp_path / name).mkdir()
    monkeypatch.chdir(tmp_path / "here")
    packs.write_pack(tmp_path / "pack.tar", manifest())
    monkeypatch.chdir(tmp_path / "there")
    return tmp_path / "pack.tar"


Members = list[tuple[tarfile.TarInfo, bytes]]


def members(pack: Path) -> Members:
    with tarfile.open(pack) as tar:
        return [(member, tar.extractfile(member).read()) for member in tar]


def write(pack: Path, content: Members) -> None:
    """A pack of these members, whatever they are."""
    with tarfile.open(pack, "w") as tar:
        for member, data in content:
            member.size = len(data) if member.isreg() else 0
            tar.addfile(member, io.BytesIO(data) if member.isreg() else None)


def lying(where: Path = Path()) -> dict[str, bytes]:
    """All files in and below a folder."""
    return {path.relative_to(where).as_posix(): path.read_bytes() for path in where.rglob("*") if path.is_file()}


def test_a_pack_is_unpacked_to_the_same_bytes_and_any_tar_program_reads_it(pack, tmp_path, capsys):
    unpack(pack)
    assert lying() == lying(tmp_path / "here")
    assert len(lying()) == 4
    assert "2 files to unpack, 3,020 bytes; 0 are there already" in capsys.readouterr().out
    unpack(pack)
    assert "0 files to unpack, 0 bytes; 2 are there already" in capsys.readouterr().out
    unpack(pack, store=tmp_path / "else" / "where")
    assert lying(tmp_path / "else" / "where") == lying(Path("results/store"))
    (tmp_path / "tar").mkdir()
    subprocess.run(["tar", "-xf", pack, "-C", tmp_path / "tar"], check=True)
    assert lying(tmp_path / "tar").keys() == lying().keys() | {packs.MANIFEST}


def test_where_a_plug_in_is_missing_nothing_is_said_against_the_code(tmp_path, monkeypatch, capsys):
    """What a config's `plugins` have is found with the config, not with the pack."""
    monkeypatch.chdir(tmp_path)
    found = manifest()
    for slug, stage in found.stages.items():
        found.stages[slug] = replace(stage, code=["amun_steps.datasets.theirs"])
    packs.write_pack(Path("pack.tar"), found)
    unpack(Path("pack.tar"), store=Path("else/where"))
    said = capsys.readouterr().out
    assert "cannot be told: it needs amun_steps.datasets.theirs, such as the `plugins`" in " ".join(said.split())
    assert "But the code here" not in said


def test_a_file_that_is_there_stays_and_no_other_one_is_written_over(pack, tmp_path):
    letters(letter="b", count=20, output=Path(SECOND))
    mine = Path(SECOND + ".json").read_bytes()
    unpack(pack)
    assert Path(SECOND + ".json").read_bytes() == mine  # who made the same bytes here
    Path(FIRST).unlink()
    letters(letter="c", count=20, output=Path(SECOND))
    before = lying()
    with pytest.raises(InputError) as error:
        unpack(pack)
    assert f"{SECOND} has other bytes than {SECOND} in {pack}" in str(error.value)
    assert lying() == before


@pytest.mark.parametrize(
    "name",
    [
        "/tmp/evil.h5",
        "../evil.h5",
        "evil.h5",
        "workflow/Snakefile",
        "results/logs/evil.h5",
        f"results/store/../data-{'0' * 12}/evil.h5",
        f"results/store/data-{'0' * 12}/../../../../evil.h5",
        f"results/store/data-{'0' * 12}//tmp/evil.h5",
        f"results/store/data-{'0' * 12}/.hidden.h5",
        f"results/store/data-{'0' * 12}/a.h5.json",  # what a receipt is called
        f"results/store/data-{'0' * 12}/a.h5\n",
        "results/store/methods/evil.py",
    ],
)
def test_a_manifest_may_list_only_artifacts_of_a_store(pack, tmp_path, name):
    content = members(pack)
    listed = json.loads(content[0][1])
    listed["files"] = {name: listed["files"][FIRST]}
    receipt, artifact = replaced(content[1][0], name=f"{name}.json"), replaced(content[2][0], name=name)
    write(pack, [(content[0][0], json.dumps(listed).encode()), (receipt, content[1][1]), (artifact, content[2][1])])
    with pytest.raises(InputError, match="which is no artifact of a store"):
        unpack(pack)
    assert lying() == {}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["here", "pack.tar", "there"]


def replaced(member: tarfile.TarInfo, **values) -> tarfile.TarInfo:
    for name, value in values.items():
        setattr(member, name, value)
    return member


def link(kind: bytes, to: str) -> tuple[tarfile.TarInfo, bytes]:
    return replaced(tarfile.TarInfo(FIRST), type=kind, linkname=to), b""


CHANGES = {
    "a symbolic link": lambda content: [*content[:2], link(tarfile.SYMTYPE, "/etc/passwd"), *content[3:]],
    "a hard link": lambda content: [*content[:2], link(tarfile.LNKTYPE, FIRST + ".json"), *content[3:]],
    "a device": lambda content: [*content[:2], link(tarfile.CHRTYPE, ""), *content[3:]],
    "a folder": lambda content: [*content[:2], link(tarfile.DIRTYPE, ""), *content[3:]],
    "one more at the end": lambda content: [*content, (tarfile.TarInfo("../evil"), b"x")],
    "one more between": lambda content: [*content[:3], (tarfile.TarInfo("../evil"), b"x"), *content[3:]],
    "one twice": lambda content: [*content[:3], *content[1:]],
    "one too few": lambda content: content[:-1],
    "a changed byte": lambda content: [*content[:2], (content[2][0], b"A" + content[2][1][1:]), *content[3:]],
    "a byte more": lambda content: [*content[:2], (content[2][0], content[2][1] + b"a"), *content[3:]],
    "a changed receipt": lambda content: [content[0], (content[1][0], content[1][1] + b" "), *content[2:]],
    "no manifest": lambda content: content[1:],
    "no JSON": lambda content: [(content[0][0], b"{"), *content[1:]],
    "deep JSON": lambda content: [(content[0][0], b"[" * 100_000), *content[1:]],
    "another size": lambda content: [(content[0][0], content[0][1].replace(b": 3000", b": 1")), *content[1:]],
    "another format": lambda content: [(content[0][0], content[0][1].replace(b"pack 1", b"pack 2")), *content[1:]],
}


@pytest.mark.parametrize("change", CHANGES)
def test_what_is_not_as_its_manifest_says_does_not_appear(pack, tmp_path, change):
    whole = lying(tmp_path / "here")
    write(pack, CHANGES[change](members(pack)))
    with pytest.raises(InputError, match=f"^{pack}: "):
        unpack(pack)
    assert lying().items() <= whole.items()
    assert (FIRST in lying()) == (change in ("one more at the end", "one more between", "one twice", "one too few"))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["here", "pack.tar", "there"]


def test_a_receipt_of_other_bytes_is_refused_though_its_manifest_lists_it(pack, tmp_path):
    """As if somebody gave their own numbers another's receipt."""
    content = members(pack)
    forged = json.loads(content[1][1]) | {"sha256": "0" * 64}
    listed = json.loads(content[0][1])
    text = json.dumps(forged).encode()
    (tmp_path / "forged").write_bytes(text)
    listed["files"][FIRST]["receipt"] = steps.sha256(tmp_path / "forged")
    write(pack, [(content[0][0], json.dumps(listed).encode()), (content[1][0], text), *content[2:]])
    with pytest.raises(InputError, match=f"is not what {packs.MANIFEST} says"):
        unpack(pack)
    assert lying() == {}


def test_a_truncated_pack_is_named_wherever_it_ends_and_leaves_whole_files(pack, tmp_path):
    content, whole = pack.read_bytes(), lying(tmp_path / "here")
    end = max(index for index, byte in enumerate(content) if byte)  # then only the zeros that end a tar file
    for length in range(0, end, 487):
        pack.write_bytes(content[:length])
        with pytest.raises(InputError, match="truncated or damaged"):
            unpack(pack)
        assert lying().items() <= whole.items()
    assert FIRST in lying()
    pack.write_bytes(content)
    unpack(pack)
    assert lying() == whole


def test_what_is_no_pack_is_named(tmp_path):
    for name, content in {
        "empty": b"",
        "noise": os.urandom(4096),
        "zeros": bytes(10240),
        "text": b"a: b\n" * 300,
    }.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(InputError, match="is no pack, or is truncated or damaged"):
            unpack(tmp_path / name, store=tmp_path / "store")
    with pytest.raises(InputError, match="found no such file"):
        unpack(tmp_path / "missing")


def test_an_interruption_leaves_whole_files_and_the_next_attempt_the_rest(pack, tmp_path):
    """The pack comes through a pipe that stops in the middle of its first artifact."""
    content, pipe = pack.read_bytes(), tmp_path / "pipe"
    os.mkfifo(pipe)
    command = [sys.executable, "-m", "amun_steps", "store", "unpack", str(pipe)]
    options = {"preexec_fn": lambda: signal.signal(signal.SIGINT, signal.default_int_handler)}
    options["env"] = os.environ | {"PYTHONPATH": str(Path(packs.__file__).parents[2])}
    with subprocess.Popen(command, **options) as process, open(pipe, "wb", buffering=0) as feed:
        feed.write(content[: content.index(b"a" * 3000) + 1000])
        while not any(path.name.endswith(".a.h5") for path in Path().rglob(".*")):  # it is being written
            assert process.poll() is None
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=60) != 0
    assert lying() == {}
    unpack(pack)
    assert lying() == lying(tmp_path / "here")


def test_a_pack_appears_whole_or_not_at_all(pack, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path / "here")
    listed = manifest()
    with pytest.raises(InputError, match="is there already"):
        packs.write_pack(pack, listed)
    with pytest.raises(InputError, match="found no folder"):
        packs.write_pack(tmp_path / "none" / "pack.tar", listed)
    pack.unlink()
    Path(SECOND).write_text("c" * 20)
    with pytest.raises(InputError, match=f"^{SECOND}: its bytes are not those that its step wrote"):
        packs.write_pack(pack, listed)
    files = {name: replace(file, bytes=10**18) for name, file in listed.files.items()}
    with pytest.raises(InputError, match="bytes free"):
        packs.write_pack(pack, replace(listed, files=files))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["here", "there"]


def stored(where: Path) -> dict[str, bytes]:
    """Artifacts and receipts; not what says who runs on the store."""
    found = lying(where / "results" / "store")
    return {name: content for name, content in found.items() if not name.startswith(".")}


@pytest.fixture(scope="module")
def packed(finished, tmp_path_factory) -> Path:
    """A folder with two packs of the finished clone: for scoring, and of everything."""
    folder = tmp_path_factory.mktemp("packs")
    for name, options in {"scoring.tar": ["--for", "scoring"], "everything.tar": []}.items():
        code, output = store(finished, "pack", CONFIG, *options, "--to", str(folder / name))
        assert code == 0, output
        assert "not made yet" not in output
    return folder


def test_a_method_is_tuned_run_and_judged_elsewhere_without_references(finished, packed, tmp_path):
    where = clone(tmp_path)
    code, output = store(where, "unpack", str(packed / "scoring.tar"))
    assert code == 0, output
    assert "with 'tests/tiny.yaml' as it was packed for, nothing of it runs again" in output
    assert stored(where).items() <= stored(finished).items()
    names = {Path(name).name for name in stored(where)}
    assert names >= {
        "signals.h5",
        "inclusion.h5",
        "forget.h5",
        "originals.safetensors",
        "set0.h5",
        "set1.h5",
        "runs.csv",
    }
    assert not names & {"dataset.h5", "reference0.safetensors", "set0.safetensors", "original0.h5", "unlearned.h5"}
    assert store(where, "verify") == (0, f"{len(stored(where)) // 2} artifacts, 0 of them bad or missing\n")
    assert store(where, "gc", CONFIG)[1].startswith("           0 B  in all")
    (signals,) = (name for name in stored(where) if name.endswith("signals.h5"))
    code, output = store(where, "why", f"results/store/{signals}")
    assert code == 0, output
    assert (
        output.count("(not here; SHA-256 ") == 4
    )  # the data set, for them and for the inclusion matrix, and two listings

    assert planned(where, *TABLES) == {"runs_digits": 1, "table_table1": 1}
    snakemake(where, "--cores", "1", "--", *TABLES)
    before = views(finished)
    assert {name: before[name] for name in views(where)} == views(where)
    assert {"table1.csv", "table1.md", "table1.tex", "digits.csv"} <= views(where).keys()

    edit(where / CONFIG, "  ft: {}\n", "  ft: {}\n  amun: {grid: {include_forget: [true]}}\n")
    for head, tail in (("unlearning: finetune\n    ", ""), ("", "\n    access: [with_remain]")):
        methods = f"{head}methods: [ft, amun_salun{{}}]{tail}\n"
        edit(where / CONFIG, methods.format(""), methods.format(", amun"))
    own = {"dataset": 1, "adversarial": 2, "tune": 2, "choose": 1, "unlearn": 1, "score": 1, "table_table1": 1}
    assert planned(where, TABLES[0]) == own
    snakemake(where, "--cores", "2", "--", TABLES[0])
    rows = (where / TABLES[0]).read_text().splitlines()
    theirs = (finished / TABLES[0]).read_text().splitlines()
    assert len(rows) == len(theirs) + 1
    assert set(theirs) <= set(rows)
    (dataset,) = (name for name in stored(where) if name.endswith("dataset.h5"))
    assert stored(where)[dataset] == stored(finished)[dataset]
    assert "of other bytes" not in store(where, "verify")[1]

    receipt = where / "results" / "store" / f"{dataset}.json"  # as if the images here were others
    receipt.write_text(receipt.read_text().replace(read_receipt(receipt.with_suffix(""))["sha256"], "0" * 64))
    _, output = store(where, "verify")
    assert re.search(
        rf"^results/store/{dataset}: \d+ artifacts were made from one of other bytes: ", output, re.MULTILINE
    )


def test_everything_is_unpacked_and_only_views_are_put_together(finished, packed, tmp_path):
    where = clone(tmp_path)
    assert store(where, "unpack", str(packed / "everything.tar"))[0] == 0
    assert stored(where) == stored(finished)
    figures = {f"figure_fig{number}": 1 for number in (1, 2, 4, 5)}
    assert planned(where) == {
        "runs_digits": 1,
        "table_table1": 1,
        **figures,
        "claims": 1,
        "comparison": 1,
        "leaderboard": 1,
        "overview": 1,
        "all": 1,
    }


def test_it_is_said_when_the_code_here_gives_other_addresses(packed, tmp_path):
    where = clone(tmp_path)
    edit(where / "amun_steps" / "steps" / "signals.py", "parts, correct = [], []", "correct, parts = [], []")
    code, output = store(where, "unpack", str(packed / "scoring.tar"))
    assert code == 0, output
    assert "But the code here gives other addresses to " in output
    assert "(continuous, scores, signals, tuned), and nothing here will use those" in output
    assert "amun store adopt" in output


def test_what_is_not_made_yet_is_named(tmp_path):
    where = clone(tmp_path)
    code, output = store(where, "pack", CONFIG, "--for", "scoring", "--to", "pack.tar")
    assert code == 1
    assert "signals.h5 and " in output
    assert "are not made yet; run `snakemake --cores all --configfile tests/tiny.yaml` first" in output
    snakemake(where, "--cores", "1", "--until", "dataset")
    code, output = store(where, "pack", CONFIG, "--to", "pack.tar")
    assert code == 0, output
    assert re.search(r"^Not in it, since not made yet: .*\b1 originals, ", output, re.MULTILINE)
    code, output = store(where, "pack", CONFIG, "--to", "pack.tar")
    assert code == 1
    assert "pack.tar: is there already; give another name, or delete it" in output
