"""The report: one file that needs no other, with every table, figure, claim and run."""

import base64
import json
import re
import shutil
import subprocess
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest
from matplotlib.image import imsave
from running import snakemake

from amun_steps.steps.choose import edges
from amun_steps.views.report import report


class Tags(HTMLParser):
    """Counts tags, and raises when they are not balanced."""

    def __init__(self):
        super().__init__()
        self.open, self.seen = [], []

    def handle_starttag(self, tag, attributes):
        self.seen.append((tag, dict(attributes)))
        if tag not in ("meta", "img"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


@pytest.fixture
def page(tmp_path) -> str:
    table = tmp_path / "table1.md"
    table.write_text(
        "Table 1. A caption with D_R & <more>.\n\n| | Gap (10%) |\n| --- | --- |\n| Retrain | 0.00 |\n"
        "| AMUN | **0.50** ± 0.10 |\n| FT | <u>0.60</u>† |\n"
    )
    figure = tmp_path / "fig1.png"
    imsave(figure, np.zeros((10, 400)), format="png")  # two inches wide
    claims = tmp_path / "claims.csv"
    pd.DataFrame({"claim": ["a", "b", "c"], "measured": [1.0, 2.0, 3.0], "held": ["held", "failed", None]}).to_csv(
        claims
    )
    runs = tmp_path / "digits.csv"
    keys = ("replicate", "method", "access", "forget", "set", "original", "run", "hyperparameters", "seed", "address")
    made = [dict.fromkeys(keys, 1) | {"method": "amun", "address": "0123456789ab"}]
    made.append(made[0] | {"method": "retrained", "original": None})
    pd.DataFrame(made).to_csv(runs)
    (tmp_path / "store").mkdir()
    compared = tmp_path / "leaderboard.md"
    compared.write_text(
        "Who is < who.\n\nall experiments, with D_R\n\n| | Mean rank |\n| --- | --- |\n| AMUN | 1.20 ≈ [1.00, 1.40] |\n"
        "\n- one & two\n"
    )
    inputs = {"tables": [table], "figures": [figure], "captions": ["It shows x < y."], "claims": claims, "runs": [runs]}
    judges = tmp_path / "judges.md"
    judges.write_text("What judges say of < two.\n\n| Method | ToW |\n| --- | --- |\n| AMUN | 0.900 ± 0.100 |\n")
    overview = tmp_path / "overview.md"
    overview.write_text("Over all judges, with D_R AMUN & more.\n")
    inputs |= {
        "compared": [compared],
        "pictures": [figure],
        "overview": overview,
        "opening": [figure, figure],
        "judges": judges,
    }
    report(
        **inputs,
        trained=[],
        config={"name": "<not a tag>"},
        store=str(tmp_path / "store"),
        output=tmp_path / "report.html",
    )
    return (tmp_path / "report.html").read_text()


def test_the_page_is_whole_and_loads_nothing(page):
    tags = Tags()
    tags.feed(page)
    assert not tags.open
    sources = [a["src"] for tag, a in tags.seen if tag == "img"]
    assert base64.b64decode(sources[0].split(",")[1]).startswith(b"\x89PNG")
    assert not re.search(r"(src|href)=\"(http|//)", page)
    anchors = {a["href"][1:] for tag, a in tags.seen if tag == "a"}
    assert anchors == {a["id"] for tag, a in tags.seen if tag == "h2"}


def test_cells_keep_their_marks_and_text_is_escaped(page):
    assert "<td><b>0.50</b> ± 0.10</td>" in page
    assert "<td><u>0.60</u>†</td>" in page
    assert "A caption with D<sub>R</sub> &amp; &lt;more&gt;." in page
    assert "Figure 1. It shows x &lt; y." in page
    assert "name: &lt;not a tag&gt;" in page


def test_the_page_opens_with_what_came_out_and_its_pictures(page):
    opening = page[page.index("<h2") : page.index('<h2 id="leaderboard">')]
    assert opening.startswith('<h2 id="overview">')
    assert "Over all judges, with D<sub>R</sub> AMUN &amp; more." in opening
    assert opening.count("<img") == 2


def test_figures_stand_at_one_scale_whatever_their_size(page, tmp_path):
    assert set(re.findall(r'<img [^>]*style="width: (\d+)px"', page)) == {"260"}  # all are two inches wide
    assert page.count("<img") == page.count('style="width: 260px"')


def test_a_click_on_a_title_sorts_a_table(page, tmp_path):
    """By the page's own script, in a browser's place: a document of one table, as far as the script looks at it."""
    node = shutil.which("node")
    if node is None:
        pytest.skip("no Node.js here to run the page's script")
    script = page[page.index("<script>") + 8 : page.index("</script>")]
    (tmp_path / "sort.js").write_text(DOCUMENT.replace("SCRIPT", script))
    done = subprocess.run([node, tmp_path / "sort.js"], text=True, capture_output=True, check=True)
    assert json.loads(done.stdout) == [
        ["FT", "AMUN", "GA", "RL"],  # 0.60, 0.9, 10, diverged
        ["RL", "GA", "AMUN", "FT"],
        ["AMUN", "FT", "GA", "RL"],  # by name
    ]


DOCUMENT = """
let listener
const rows = [["RL", "diverged"], ["GA", "10.00 ± 2"], ["AMUN", "0.9"], ["FT", "0.60"]]
  .map(cells => ({cells: cells.map(text => ({textContent: text}))}))
const body = {rows, append: (...sorted) => { body.rows = sorted }}
const table = {tBodies: [body]}
const titles = [0, 1].map(cellIndex => ({cellIndex, dataset: {}}))
for (const title of titles) {
  title.parentNode = {cells: titles}
  title.closest = what => what === "table" ? table : title
}
const document = {addEventListener: (kind, f) => { listener = f }}
SCRIPT
const found = [1, 1, 0].map(k => {
  listener({target: titles[k]})
  return body.rows.map(row => row.cells[0].textContent)
})
console.log(JSON.stringify(found))
"""


def test_the_leaderboard_is_a_section_with_its_picture_tables_and_lists(page):
    section = page[page.index('<h2 id="leaderboard">') : page.index('<h2 id="tables">')]
    assert section.count("<img") == 1
    assert "<p>Who is &lt; who.</p>" in section
    assert "<tr><td>AMUN</td><td>1.20 ≈ [1.00, 1.40]</td></tr>" in section
    assert "<ul><li>one &amp; two</li></ul>" in section


def test_the_table_of_all_judges_is_a_section(page):
    section = page.partition('<h2 id="judges">')[2].partition("<h2")[0]
    assert "What judges say of &lt; two." in section
    assert "<td>0.900 ± 0.100</td>" in section


def test_claims_are_counted_and_each_run_has_its_address(page):
    assert "Of 3: 1 held, 1 failed, 0 undecided." in page
    assert "cannot be said" in page
    assert "0123456789ab" in page
    assert "<th>replicate</th>" in page
    assert "NA&gt;" not in page  # of a model that has no original


def test_the_workflow_s_report_has_its_runtime(finished):
    snakemake(finished, "--cores", "1", "results/report.html")
    page = (finished / "results" / "report.html").read_text()
    assert "train.references" in page
    assert "test_fraction: 0.5" in page
    receipt = json.loads(next((finished / "results" / "store").rglob("originals.h5.json")).read_text())
    assert receipt["address"] in page  # the originals are scored, too


def test_a_choice_at_the_edge_of_its_grid_is_said_to_be():
    values = {"learning_rate": [0.1, 0.01, 0.001], "step": [None, 5], "ratio": [0.5, 0.7, 0.9], "forget": [True, False]}
    chosen = {"learning_rate": 0.1, "step": 5, "ratio": 0.7, "forget": True}
    assert edges(values, chosen) == ["learning_rate 0.1 is the largest of its grid: a better one may lie above"]
    assert edges(values, chosen | {"learning_rate": 0.01, "step": None}) == []
    assert "least" in edges(values, chosen | {"ratio": 0.5})[1]


def test_the_workflow_s_report_shows_losses_and_grids(finished):
    snakemake(finished, "--cores", "1", "results/report.html")
    page = (finished / "results" / "report.html").read_text()
    for title in ("digits: training loss", "digits: tuning of ft", "digits: tuning of amun_salun"):
        assert page.count(f'alt="{title}"') == 1
    assert '<h2 id="leaderboard">' in page
    assert '<h2 id="comparison">' in page
    assert page.count("At the edge") >= 3  # two learning rates: each of them is one
