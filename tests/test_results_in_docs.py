"""What pages say of methods is what the tables of their folder say: each number, who is lowest, and who is best."""

import re
from dataclasses import dataclass
from pathlib import Path

import pytest

from amun_steps.views.tables import ALIKE, METHODS

ROOT = Path(__file__).parents[1]
DIGITS = ROOT / "docs" / "digits"
PAGES = {ROOT / "README.md": DIGITS, ROOT / "docs" / "faq.md": DIGITS}
RUNS = ("digits", "compare", "fashion", "ensemble")
PAGES |= {ROOT / "docs" / name / "README.md": ROOT / "docs" / name for name in RUNS}

NAMES = "|".join(map(re.escape, sorted(METHODS.values(), key=len, reverse=True)))
NUMBER = r"\d+\.\d+"
SAID = re.compile(rf"(?<![\w+])({NAMES}) (?:is |has |comes to )?\(?({NUMBER})(?![\d.]*[\w%])")
LOWEST = re.compile(rf"(?<![\w+])({NAMES}) (?:is|has) the lowest[^.;()]*\(({NUMBER})")
BEST = re.compile(rf"(?<![\w+])({NAMES}) is (?:the )?best[^.;()]*\(({NUMBER})")


@dataclass(frozen=True)
class Cell:
    """A cell of a method's row. alone: its column has no other that is not told from the lowest, and marks those."""

    method: str
    text: str
    alone: bool

    def has(self, number: str) -> bool:
        """Whether one of its numbers is this one, with as many decimals."""
        decimals = len(number.partition(".")[2])
        return any(f"{float(found):.{decimals}f}" == number for found in re.findall(NUMBER, self.text))


def cells(text: str) -> list[Cell]:
    """The cells of all tables of a page that have a row for each method, with or without D_R."""
    found = []
    for table in re.findall(r"(?:^\|.*\n)+", text, flags=re.MULTILINE):
        rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in table.splitlines()]
        for column in zip(*rows, strict=True):
            alone = f"{ALIKE}" in text and not any(ALIKE in cell for cell in column)
            for row, cell in zip(rows, column, strict=True):
                names = [re.fullmatch(rf"({NAMES})(?: with D_R| no D_R)?", name) for name in row[:3]]
                found += [Cell(name[1], cell, alone) for name in names if name]
    return found


def wrong(page: str, tables: list[Cell]) -> list[str]:
    """What a page says that no table does: a number of a method, that it is the lowest, that it is best."""
    text = " ".join(line for line in page.splitlines() if not line.startswith("|"))
    claims = [
        *((said, lambda cell: True) for said in SAID.finditer(text)),
        *((said, lambda cell: "**" in cell.text) for said in LOWEST.finditer(text)),
        *((said, lambda cell: "**" in cell.text and cell.alone) for said in BEST.finditer(text)),
    ]
    found = [
        said[0]
        for said, right in claims
        if not any(cell.method == said[1] and cell.has(said[2]) and right(cell) for cell in tables)
    ]
    for own in cells(page):
        numbers = re.findall(NUMBER, own.text)
        found += [f"{own.method}: {n}" for n in numbers if not any(c.method == own.method and c.has(n) for c in tables)]
    sentences = re.split(r"(?<=[.:;]) ", text)
    unsaid = [s for s in sentences if re.search(r"\bbest\b", s) and re.search(NAMES, s) and not BEST.search(s)]
    return found + unsaid


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_what_a_page_says_of_methods_its_tables_say(page):
    tables = [path.read_text(encoding="utf-8") for path in PAGES[page].glob("*.md") if path != page]
    assert wrong(page.read_text(encoding="utf-8"), [cell for text in tables for cell in cells(text)]) == []


def test_a_wrong_number_and_one_that_is_best_by_chance_are_found():
    table = f"{ALIKE} is not told from the lowest\n\n| | a | b |\n| --- | --- | --- |\n| Retrain | 0.00 | 0.00 |\n"
    tables = cells(table + f"| AMUN with D_R | **0.80** ± 0.28 | **1.00** |\n| FT no D_R | 3.57 | 1.26 {ALIKE} |\n")
    right = "AMUN 0.8, FT (3.57) and FT has 1.3. AMUN is best by a (0.80). AMUN has the lowest b (1.00)."
    assert wrong(f"{right}\n| AMUN | 0.80 |\n", tables) == []
    for said in ("AMUN 0.81", "FT (0.80", "FT has the lowest a (3.57", "AMUN is best by b (1.00"):
        assert wrong(f"So {said}).", tables) == [said]
    assert wrong("That AMUN is the best of all is said.", tables) == ["That AMUN is the best of all is said."]
    assert wrong("| FT | 3.58 |\n", tables) == ["FT: 3.58"]
