"""Step: a table of the paper, as CSV, Markdown and LaTeX: mean and standard deviation over runs."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from amun_steps.judging.comparison import CLUSTERS, like_the_lowest
from amun_steps.store.step import Output, main, step
from amun_steps.views.runs import TIED, collect

TITLES = {
    "unlearn_accuracy": "Unlearn Acc",
    "retain_accuracy": "Retain Acc",
    "test_accuracy": "Test Acc",
    "ft_auc": "FT AUC",
    "fr_auc": "FR AUC",
    "mis": "MIS",
    "average_gap": "Avg. Gap",
}
METHODS = {
    "retrained": "Retrain",
    "ft": "FT",
    "rl": "RL",
    "ga": "GA",
    "bs": "BS",
    "l1_sparse": "l1-Sparse",
    "salun": "SalUn",
    "amun": "AMUN",
    "amun_salun": "AMUN+SalUn",
    "amun_transferred": "AMUN, D_A of other models",
    "amun_ffgsm": "AMUN, D_A by FFGSM",
    "amun_ddn": "AMUN, D_A by DDN",
    "neggrad_plus": "NegGrad+",
    "scrub": "SCRUB",
    "bad_teacher": "Bad Teacher",
    "delete": "DELETE",
    "cf_k": "CF-k",
    "eu_k": "EU-k",
    "msg": "MSG",
    "ct": "CT",
    "unsir": "UNSIR",
    "ssd": "SSD",
    "fisher": "Fisher",
    "influence": "Influence",
}
ALIKE = "≈"
"""The mark of a method that is not distinguishable from the lowest."""

ACCESS = {"with_remain": "with D_R", "without_remain": "no D_R"}
CAPTIONS = {"with_remain": "access to D_R", "without_remain": "access to only D_F"}


@dataclass(frozen=True)
class Row:
    """The models of a row: a method, and its access where the row has one of its own (not for retrained models)."""

    method: str
    access: str = ""


@dataclass(frozen=True)
class Group:
    """The columns of one family of forget sets, and of one access where the rows have none of their own.

    label: what is forgotten, in few words. caption: in full. note: what is to be said of how it is judged.
    """

    forget: str
    label: str
    caption: str
    note: str = ""
    access: str = ""

    @property
    def name(self) -> str:
        """What its columns begin with in the CSV."""
        return f"{self.access}_{self.forget}" if self.access else self.forget


@dataclass(frozen=True)
class Layout:
    """What a table shows. metrics: columns of runs.csv in percent, and average_gap, whose attack is `mia`.

    references: the number of RMIA's reference models, for the caption.
    """

    title: str
    rows: list[Row]
    groups: list[Group]
    metrics: list[str]
    mia: str
    references: int


def summarise(runs: pd.DataFrame, layout: Layout) -> pd.DataFrame:
    """A line per row of the layout; for each group and metric a mean, a std and a count.

    `runs` is what `collect` gives for one experiment. Columns: method, access, then for each group
    `<group>_<metric>_mean`, `_std` (both in percent) and `_count` for each of `layout.metrics`, and
    `<group>_diverged` and `<group>_rmia_ties`, the most that `score` found; with average_gap also
    `<group>_like_the_lowest`, whether its Avg. Gap is the lowest or not distinguishable from it, paired by set and
    original (see `amun_steps.judging.comparison.like_the_lowest`). The std is the sample's (over
    n - 1; NaN for one run), the count that of the runs behind the mean. A diverged run has no metrics: it is in no mean
    and no count, but in `<group>_diverged`. Raises ValueError for runs of several experiments and for a row without
    runs.
    """
    experiments = runs.experiment.unique()
    if len(experiments) > 1:
        raise ValueError(f"{layout.title}: found runs of {', '.join(experiments)}; a table shows one experiment")
    lines = []
    gaps: dict[str, dict[int, pd.Series]] = {group.name: {} for group in layout.groups}
    for number, row in enumerate(layout.rows):
        line: dict[str, str | float | int] = {"method": row.method, "access": row.access}
        for group in layout.groups:
            access = "" if row.method == "retrained" else row.access or group.access
            chosen = runs[(runs.method == row.method) & (runs.access == access) & (runs.forget == group.forget)]
            if chosen.empty:
                raise ValueError(f"{layout.title}: found no run of {row.method} ({access}) for {group.forget}")
            for metric in layout.metrics:
                values = chosen[f"average_gap_{layout.mia}" if metric == "average_gap" else metric].dropna()
                line |= {
                    f"{group.name}_{metric}_mean": values.mean(),
                    f"{group.name}_{metric}_std": values.std(ddof=1),
                    f"{group.name}_{metric}_count": len(values),
                }
            line[f"{group.name}_diverged"] = int(chosen.diverged.sum())
            line[f"{group.name}_rmia_ties"] = chosen.rmia_ties.max()
            if "average_gap" in layout.metrics and row.method != "retrained":
                gaps[group.name][number] = chosen.groupby(list(CLUSTERS))[f"average_gap_{layout.mia}"].mean()
        lines.append(line)
    marks = {f"{name}_like_the_lowest": pd.Series(like_the_lowest(of)) for name, of in gaps.items() if of}
    return pd.DataFrame(lines).assign(**marks)


def ranks(gaps: Sequence[float]) -> list[int | None]:
    """0 for the lowest Avg. Gap, 1 for the second lowest, as they are printed (ties share a rank); None for others."""
    # not round(2), which has 2.675 as 2.68 where 2.67 is printed
    printed = [None if math.isnan(gap) else float(f"{gap:.2f}") for gap in gaps]
    values = sorted(set(printed) - {None})[:2]
    return [values.index(gap) if gap in values else None for gap in printed]


def render(
    summary: pd.DataFrame, layout: Layout, plus_minus: str, marks: tuple[str, str], foot: str, alike: str
) -> list[list[str]]:
    """The table's cells as text, a list per row: its name, then 'mean +- std' for each group and metric.

    marks: formats of the lowest and the second lowest gap. alike: what marks others that are not told from the lowest.
    foot: what marks cells of which runs diverged.
    """
    lines = [[_label(row, layout)] for row in layout.rows]
    for group in layout.groups:
        for metric in layout.metrics:
            means = summary[f"{group.name}_{metric}_mean"]
            ranked = ranks(means) if metric == "average_gap" else [None] * len(means)
            for line, rank, (_, row) in zip(lines, ranked, summary.iterrows(), strict=True):
                mean, std = row[f"{group.name}_{metric}_mean"], row[f"{group.name}_{metric}_std"]
                if metric == "average_gap" and row.method == "retrained":
                    cell = "0.00"
                elif pd.isna(mean):
                    cell = "diverged" if row[f"{group.name}_diverged"] else "-"
                else:
                    cell = f"{mean:.2f}" if rank is None else marks[rank].format(f"{mean:.2f}")
                    if not pd.isna(std):
                        cell += f"{plus_minus}{std:.2f}"
                    if metric == "average_gap" and rank != 0 and row[f"{group.name}_like_the_lowest"]:
                        cell += alike
                line.append(cell + (foot if row[f"{group.name}_diverged"] else ""))
    return lines


def _label(row: Row, layout: Layout) -> str:
    """The row's name, with its access where the table has both."""
    name = METHODS.get(row.method, row.method)
    mixed = len({r.access for r in layout.rows if r.access}) > 1
    return f"{name} {ACCESS[row.access]}" if mixed and row.access else name


def markdown(summary: pd.DataFrame, layout: Layout) -> str:
    """The table as Markdown that is aligned for a terminal: best gap bold, second underlined."""
    head = [
        "",
        *(
            f"{TITLES[metric]} ({', '.join(filter(None, (group.label, ACCESS.get(group.access))))})"
            for group in layout.groups
            for metric in layout.metrics
        ),
    ]
    body = render(summary, layout, " ± ", ("**{}**", "<u>{}</u>"), "†", f" {ALIKE}")
    return "\n".join([f"{layout.title}. {caption(summary, layout)}", "", *aligned(head, body)]) + "\n"


def aligned(head: Sequence[str], body: Sequence[Sequence[str]]) -> list[str]:
    """The lines of a Markdown table, aligned for a terminal."""
    widths = [max(len(line[k]) for line in (head, *body)) for k in range(len(head))]
    lines = (head, ["-" * width for width in widths], *body)
    return ["| " + " | ".join(cell.ljust(w) for cell, w in zip(line, widths, strict=True)) + " |" for line in lines]


def latex(summary: pd.DataFrame, layout: Layout) -> str:
    r"""The table as LaTeX (needs \usepackage{booktabs}): best gap bold, second underlined."""
    per = len(layout.metrics)
    labels = [", ".join(filter(None, (group.caption, ACCESS.get(group.access)))) for group in layout.groups]
    marks = (r"\textbf{{{}}}", r"\underline{{{}}}")
    body = render(summary, layout, r" $\pm$ ", marks, r"\textsuperscript{\dag}", r" $\approx$")
    groups = " & ".join(rf"\multicolumn{{{per}}}{{c}}{{{_tex(label)}}}" for label in labels)
    rules = " ".join(rf"\cmidrule(lr){{{2 + k * per}-{1 + (k + 1) * per}}}" for k in range(len(labels)))
    titles = " & ".join(["", *(TITLES[metric] for _ in labels for metric in layout.metrics)])
    lines = [
        rf"% {layout.title}; needs \usepackage{{booktabs}}",
        r"\begin{table*}",
        r"\centering",
        rf"\begin{{tabular}}{{l{'c' * per * len(labels)}}}",
        r"\toprule",
        rf" & {groups} \\ {rules}",
        rf"{titles} \\",
        r"\midrule",
        *(" & ".join([_tex(line[0]), *line[1:]]) + r" \\" for line in body),
        r"\bottomrule",
        r"\end{tabular}",
        rf"\caption{{{_tex(caption(summary, layout))}}}",
        r"\end{table*}",
    ]
    return "\n".join(lines) + "\n"


def caption(summary: pd.DataFrame, layout: Layout) -> str:
    """What the reader has to know, in one paragraph, without the title: LaTeX numbers tables by itself."""
    accesses = {part.access for part in (*layout.rows, *layout.groups) if part.access}
    access = CAPTIONS[accesses.pop()] if len(accesses) == 1 else "and without access to D_R"
    methods = [k for k, row in enumerate(layout.rows) if row.method != "retrained"]
    columns = [f"{group.name}_{layout.metrics[0]}_count" for group in layout.groups]
    counts = sorted({int(n) for n in summary[columns].iloc[methods].to_numpy().flatten()})
    number = str(counts[0]) if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"
    text = f"Unlearning with {access}: percent, mean and standard deviation over {number} runs a method."
    if "average_gap" in layout.metrics:
        text += (
            " Avg. Gap is the mean distance from the models retrained without the same forget set, with"
            f" {TITLES[layout.mia]} as the attack; lowest bold, second underlined."
        )
        if len(methods) > 1:
            text += (
                f" {ALIKE}: not distinguishable from the lowest, paired by forget set and original, at 5% for all"
                " methods together."
            )
    text += (
        " Hyperparameters were tuned once, on a forget set of their own, by the Avg. Gap with FT AUC. RMIA had"
        f" {layout.references} reference models."
    )
    text += "".join(f" {note}" for note in dict.fromkeys(group.note for group in layout.groups) if note)
    ties = summary.filter(like="_rmia_ties").max(axis=None)
    if ties > TIED and {"ft_auc", "fr_auc"} & {*layout.metrics, layout.mia}:
        text += (
            f" RMIA gave one score to up to {ties:.0f}% of the samples of a model, so that its AUC says little here: a"
            " lower rmia.gamma tells more of them apart."
        )
    if summary.filter(like="_diverged").to_numpy().any():
        text += " † Some runs diverged: they are in no mean, and are counted in the CSV."
    for group in layout.groups if "average_gap" in layout.metrics else ():
        unlearned = summary.iloc[methods]
        if (unlearned[f"{group.name}_average_gap_mean"].isna() & (unlearned[f"{group.name}_diverged"] == 0)).any():
            return f"{text} -: the retrained models diverged, so there is no gap."
    return text


def _tex(text: str) -> str:
    for old, new in (("%", r"\%"), ("_", r"\_"), ("†", r"\textsuperscript{\dag}"), (ALIKE, r"$\approx$")):
        text = text.replace(old, new)
    for old, new in (("l1-Sparse", "$l_1$-Sparse"), (r"D\_R", "$D_R$"), (r"D\_F", "$D_F$"), (r"D\_A", "$D_A$")):
        text = text.replace(old, new)
    return text


@step
def table(*, runs: list[Path], layout: Layout, csv: Output, markdown_file: Output, latex_file: Output) -> None:
    """Write a table's numbers as CSV, and the table itself as Markdown and LaTeX."""
    summary = summarise(collect(runs), layout)
    summary.to_csv(csv, index=False, float_format="%.6f", lineterminator="\n")
    markdown_file.write_text(markdown(summary, layout), encoding="utf-8")
    latex_file.write_text(latex(summary, layout), encoding="utf-8")


if __name__ == "__main__":
    main(table)
