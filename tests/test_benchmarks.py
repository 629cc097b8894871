"""Benchmarks that this machine cannot run whole: that they run at all, as small as it goes."""

import importlib.util
import json
import math
from pathlib import Path

FOLDER = Path(__file__).parent.parent / "benchmarks"


def numbers(found) -> list[float]:
    """All numbers in nested answers."""
    if isinstance(found, dict):
        return [number for value in found.values() for number in numbers(value)]
    return [found] if isinstance(found, float) else []


def test_the_gpu_s_questions_are_answered_in_one_file(tmp_path, capsys):
    specification = importlib.util.spec_from_file_location("gpu", FOLDER / "gpu.py")
    gpu = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(gpu)
    found = gpu.main(tmp_path / "some" / "gpu.json", gpu.ON_CPU)
    assert json.loads((tmp_path / "some" / "gpu.json").read_text()).keys() == found.keys()
    assert found.keys() >= set(gpu.QUESTIONS)
    assert all(math.isfinite(number) and number >= 0 for number in numbers(found))
    for of in found["speed"].values():
        assert of["images a second"] > 0
        assert of["of the bare step"] > 0
    assert math.isclose(sum(found["where time goes"]["shares"].values()), 1)
    assert "stacks: nine tenths of the most from" in capsys.readouterr().out
