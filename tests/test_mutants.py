"""The list of mutants is true: `make mutants` runs them."""

import ast
from pathlib import Path

import pytest
import yaml
from mutants import MUTANTS, REPOSITORY, Mutant, mutated


def test_there_are_enough_of_them_each_with_a_reason_and_tests_that_are_there():
    assert len(MUTANTS) >= 80
    assert len({(mutant.file, mutant.old, mutant.new) for mutant in MUTANTS}) == len(MUTANTS)
    for mutant in MUTANTS:
        assert mutant.why
        assert mutant.tests
        for test in mutant.tests:
            path, _, name = test.partition("::")
            assert f"def {name}(" in (REPOSITORY / path).read_text() if name else (REPOSITORY / path).is_file(), test


@pytest.mark.parametrize("file", sorted({mutant.file for mutant in MUTANTS}))
def test_each_edit_fits_its_file_and_leaves_one_that_can_be_read(file):
    read = ast.parse if Path(file).suffix == ".py" else yaml.safe_load
    before = read((REPOSITORY / file).read_text())
    for mutant in (mutant for mutant in MUTANTS if mutant.file == file):
        after = read(mutated(mutant))
        same = ast.dump(after) == ast.dump(before) if Path(file).suffix == ".py" else after == before
        assert not same, mutant


@pytest.mark.parametrize(("old", "times"), [("not there", 0), ("import", 2)])
def test_an_edit_that_fits_nowhere_or_twice_is_named(tmp_path, old, times):
    (tmp_path / "a.py").write_text("import os\nimport sys\n")
    with pytest.raises(ValueError, match=rf"a.py: {old!r} occurs {times} times, expected once"):
        mutated(Mutant("a.py", old, "", "", ()), tmp_path)
