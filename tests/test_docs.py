"""What the documentation points at is there, and what the repository says of its licence and citation agrees."""

import re
import tomllib
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[1]
PAGES = sorted(
    {*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("config/*.md"), *ROOT.glob("benchmarks/*.md")}
)
LINK = re.compile(r"\[[^\]]*\]\(([^()\s]+)\)")


def prose(page: Path) -> str:
    """A page without its blocks of code."""
    text = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    return re.sub(r"^ {4}.*$", "", text, flags=re.MULTILINE)


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    titles = re.findall(r"^#+ (.+)$", prose(page), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.strip().lower()).replace(" ", "-") for title in titles}


def links(page: Path) -> list[str]:
    return [target for target in LINK.findall(prose(page)) if not re.match(r"[a-z]+:", target)]


def broken(page: Path) -> list[str]:
    """The relative links of a page whose file, or whose anchor in it, is not there."""
    found = []
    for target in links(page):
        path, _, anchor = target.partition("#")
        file = (page.parent / path).resolve() if path else page
        if not file.exists() or (anchor and anchor not in anchors(file)):
            found.append(target)
    return found


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_relative_links_lead_somewhere(page):
    assert broken(page) == []


def test_a_link_to_a_missing_file_or_anchor_is_found(tmp_path):
    (tmp_path / "other.md").write_text("# A title, with marks?\n\n```\n# no title\n```\n")
    page = tmp_path / "page.md"
    page.write_text(
        "[a](other.md) [b](other.md#a-title-with-marks) [c](https://example.org/x) `[d]`\n\n    [code](none.md)\n\n"
        "[e](missing.md) [f](other.md#no-title) [g](#here)\n\n## Here\n"
    )
    assert broken(page) == ["missing.md", "other.md#no-title"]


def test_every_page_is_found_from_the_readme():
    seen, ahead = set(), [ROOT / "README.md"]
    while ahead:
        page = ahead.pop()
        if page in seen:
            continue
        seen.add(page)
        targets = (page.parent / target.partition("#")[0] for target in links(page) if not target.startswith("#"))
        ahead += [target.resolve() for target in targets if target.suffix == ".md"]
    tables = {page for page in PAGES if re.fullmatch(r"table\d+\.md", page.name)}  # beside the README that names them
    assert set(PAGES) - seen - tables == set()


def test_licence_and_version_agree():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert (ROOT / project["license-files"][0]).read_text(encoding="utf-8").startswith("MIT License")
    assert project["license"] == citation["license"] == "MIT"
    assert project["version"] == citation["version"]


def test_the_citation_has_what_the_format_requires():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert {"cff-version", "message", "title", "authors"} <= set(citation)
    assert citation["type"] == "software"
    (paper,) = citation["references"]
    assert {"type", "title", "authors"} <= set(paper)
    assert [author["family-names"] for author in paper["authors"]] == [
        "Ebrahimpour-Boroojeny",
        "Sundaram",
        "Chandrasekaran",
    ]


def test_the_public_ci_calls_the_commands_of_the_makefile():
    (job,) = yaml.safe_load((ROOT / ".github/workflows/ci.yml").read_text(encoding="utf-8"))["jobs"].values()
    targets = re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(encoding="utf-8"), flags=re.MULTILINE)
    called = [step["run"].split() for step in job["steps"] if "run" in step]
    assert called == [["make", "test"], ["make", "lint"]]
    assert {target for _, target in called} <= set(targets)
