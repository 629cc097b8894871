"""The rooms of the package: imports go down, from what people read and plan to what all of it is built on, and every
module can be read in one sitting."""

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "amun_steps"
FLOORS = (
    {"__main__"},
    {"views", "plan"},
    {"steps"},
    {"methods"},
    {"judging", "training"},
    {"attacks", "datasets", "models"},
    {"store"},
)
"""From the top: a room imports from its own and from those on lower floors."""
LINES = 300
MODULES = sorted(PACKAGE.rglob("*.py"))


def inside(path: Path) -> str:
    return path.relative_to(PACKAGE).as_posix()


def floor(room: str) -> int:
    return next(number for number, rooms in enumerate(FLOORS) if room in rooms)


def imported(path: Path) -> set[str]:
    """The rooms of this package that a module imports from, wherever in it."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path}: imports have the whole name of a module"
            names.add(node.module)
        elif isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
    return {name.split(".")[1] for name in names if name.startswith("amun_steps.")}


@pytest.mark.parametrize("path", MODULES, ids=inside)
def test_imports_go_down(path):
    if inside(path) == "__init__.py":
        return
    room = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
    wrong = [other for other in imported(path) if other != room and floor(other) <= floor(room)]
    assert not wrong, f"{inside(path)} imports from {', '.join(wrong)}"


@pytest.mark.parametrize("path", MODULES, ids=inside)
def test_no_module_is_too_long(path):
    lines = len(path.read_text(encoding="utf-8").splitlines())
    assert lines <= LINES, f"{inside(path)} has {lines} lines, expected at most {LINES}: cut it where two things meet"
