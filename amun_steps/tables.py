"""Step: a table of the paper, as CSV, Markdown and LaTeX: mean and standard deviation over runs."""

from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from amun_steps.metrics import GAP_METRICS
from amun_steps.runs import collect
from amun_steps.steps import Output, main, step

TITLES = {
    "unlearn_accuracy": "Unlearn Acc",
    "retain_accuracy": "Retain Acc",
    "test_accuracy": "Test Acc",
    "ft_auc": "FT AUC",
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
}


@dataclass(frozen=True)
class Layout:
    """What a table shows. methods: names of the config, in order; forget: families of forget sets and their fractions.

    access: with_remain or without_remain. mia: the attack in the last accuracy's column and in the gap, ft_auc or mis.
    """

    title: str
    access: str
    mia: str
    methods: list[str]
    forget: dict[str, float]

    @property
    def metrics(self) -> tuple[str, ...]:
        return (*GAP_METRICS, self.mia, "average_gap")


def summarise(runs: pd.DataFrame, layout: Layout) -> pd.DataFrame:
    """A row per method, the retrained models first; for each family and metric a mean, a std and a count.

    `runs` is what `collect` gives for one experiment. Columns: method, then for each family
    `<forget>_<metric>_mean`, `_std` (both in percent) and `_count` for each of `layout.metrics`, and
    `<forget>_diverged`. The std is the sample's (over n - 1; NaN for one run), the count that of the runs behind the
    mean. A diverged run has no metrics: it is in no mean and no count, but in `<forget>_diverged`. Raises ValueError
    for runs of several experiments and for a method without runs.
    """
    experiments = runs.experiment.unique()
    if len(experiments) > 1:
        raise ValueError(f"{layout.title}: found runs of {', '.join(experiments)}; a table shows one experiment")
    rows = []
    for method in ("retrained", *layout.methods):
        row: dict[str, str | float | int] = {"method": method}
        for forget in layout.forget:
            chosen = runs[(runs.method == method) & (runs.forget == forget)]
            if method != "retrained":
                chosen = chosen[chosen.access == layout.access]
            if chosen.empty:
                raise ValueError(f"{layout.title}: found no run of {method} ({layout.access}) for {forget}")
            for metric in layout.metrics:
                values = chosen[f"average_gap_{layout.mia}" if metric == "average_gap" else metric].dropna()
                row |= {
                    f"{forget}_{metric}_mean": values.mean(),
                    f"{forget}_{metric}_std": values.std(ddof=1),
                    f"{forget}_{metric}_count": len(values),
                }
            row[f"{forget}_diverged"] = int(chosen.diverged.sum())
        rows.append(row)
    return pd.DataFrame(rows)


def ranks(summary: pd.DataFrame, forget: str) -> dict[str, int]:
    """The methods with the lowest (0) and second lowest (1) Avg. Gap, as it is printed; ties share a rank."""
    gaps = summary.set_index("method")[f"{forget}_average_gap_mean"].dropna()
    gaps = gaps.map(lambda gap: float(f"{gap:.2f}"))  # not round(2), which has 2.675 as 2.68 where 2.67 is printed
    values = sorted(set(gaps))[:2]
    return {method: values.index(gap) for method, gap in gaps.items() if gap in values}


def render(
    summary: pd.DataFrame, layout: Layout, plus_minus: str, marks: tuple[str, str], foot: str
) -> list[list[str]]:
    """The table's cells as text, a list per method: its name, then 'mean +- std' for each family and metric."""
    ranked = {forget: ranks(summary, forget) for forget in layout.forget}
    lines = []
    for _, row in summary.iterrows():
        line = [METHODS.get(row.method, row.method)]
        for forget in layout.forget:
            for metric in layout.metrics:
                mean, std = row[f"{forget}_{metric}_mean"], row[f"{forget}_{metric}_std"]
                if metric == "average_gap" and row.method == "retrained":
                    cell = "0.00"
                elif pd.isna(mean):
                    cell = "diverged"
                else:
                    cell = f"{mean:.2f}"
                    if metric == "average_gap" and row.method in ranked[forget]:
                        cell = marks[ranked[forget][row.method]].format(cell)
                    if not pd.isna(std):
                        cell += f"{plus_minus}{std:.2f}"
                if row[f"{forget}_diverged"]:
                    cell += foot
                line.append(cell)
        lines.append(line)
    return lines


def markdown(summary: pd.DataFrame, layout: Layout) -> str:
    """The table as Markdown that is aligned for a terminal: best gap bold, second underlined."""
    groups = [(metric, percent(share)) for share in layout.forget.values() for metric in layout.metrics]
    head = ["", *(f"{TITLES[metric]} ({share})" for metric, share in groups)]
    body = render(summary, layout, " ± ", ("**{}**", "<u>{}</u>"), "†")
    widths = [max(len(line[k]) for line in (head, *body)) for k in range(len(head))]
    rule = ["-" * width for width in widths]
    lines = [
        " | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) for line in (head, rule, *body)
    ]
    return "\n".join([f"{layout.title}. {caption(summary, layout)}", "", *(f"| {line} |" for line in lines)]) + "\n"


def latex(summary: pd.DataFrame, layout: Layout) -> str:
    r"""The table as LaTeX (needs \usepackage{booktabs}): best gap bold, second underlined."""
    per = len(layout.metrics)
    labels = [f"Random forget ({percent(share)})" for share in layout.forget.values()]
    body = render(summary, layout, r" $\pm$ ", (r"\textbf{{{}}}", r"\underline{{{}}}"), r"\textsuperscript{\dag}")
    groups = " & ".join(rf"\multicolumn{{{per}}}{{c}}{{{_tex(label)}}}" for label in labels)
    rules = " ".join(rf"\cmidrule(lr){{{2 + k * per}-{1 + (k + 1) * per}}}" for k in range(len(layout.forget)))
    titles = " & ".join(["", *(TITLES[metric] for _ in layout.forget for metric in layout.metrics)])
    lines = [
        rf"% {layout.title}; needs \usepackage{{booktabs}}",
        r"\begin{table*}",
        r"\centering",
        rf"\begin{{tabular}}{{l{'c' * per * len(layout.forget)}}}",
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
    access = "access to D_R" if layout.access == "with_remain" else "access to only D_F"
    counts = sorted({int(n) for n in summary.filter(regex="_average_gap_count$").iloc[1:].to_numpy().flatten()})
    number = str(counts[0]) if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"
    text = (
        f"Unlearning with {access}: percent, mean and standard deviation over {number} runs a method."
        " Avg. Gap is the mean distance from the models retrained without the same forget set, with"
        f" {TITLES[layout.mia]} as the attack; lowest bold, second underlined. Hyperparameters were tuned once, on a"
        " forget set of their own, by the Avg. Gap with FT AUC."
    )
    if summary.filter(like="_diverged").to_numpy().any():
        text += " † Some runs diverged: they are in no mean, and are counted in the CSV."
    return text


def percent(share: float) -> str:
    """0.1 as '10%', 0.025 as '2.5%'."""
    return f"{100 * share:g}%"


def _tex(text: str) -> str:
    for old, new in (("%", r"\%"), ("_", r"\_"), ("†", r"\textsuperscript{\dag}")):
        text = text.replace(old, new)
    for old, new in (("l1-Sparse", "$l_1$-Sparse"), (r"D\_R", "$D_R$"), (r"D\_F", "$D_F$")):
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
