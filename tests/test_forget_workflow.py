"""Every kind of forget set, from the config to its table."""

import pandas as pd
import yaml
from running import CONFIG, clone, edit, planned, snakemake
from test_forget import config

from amun_steps.steps.choose import read_grid


def test_every_kind_of_forget_set_runs_to_its_table(tmp_path):
    """The whole workflow, with grids that race; a list that changes runs only what is of it."""
    where = clone(tmp_path / "clone")
    (where / "mine.txt").write_text("3\n14\n15\n92\n65\n35\n")
    families = {
        "mine": {"indices": "mine.txt"},
        "whole": {"classes": [3]},
        "hard": {"memorised": "high", "fraction": 0.02, "sets": 1},
    }
    wanted = config(**families)
    wanted["experiments"]["digits"]["methods"] = wanted["tables"]["table1"]["methods"] = ["amun_salun"]
    wanted["tuning"] |= {"originals": [0, 1], "racing": 0.5}
    (where / CONFIG).write_text(yaml.safe_dump(wanted, sort_keys=False))
    snakemake(where, "--cores", "2", "--", "results/tables/table1.csv", "results/runs/digits.csv")
    table = (where / "results/tables/table1.md").read_text()
    for said in ("(6 listed)", "(class 3)", "(most memorised 2%)", "images of the same class", "by the other half"):
        assert said in table
    runs = pd.read_csv(where / "results/runs/digits.csv")
    by_class = runs.groupby("forget")[["forgotten_class_accuracy", "other_class_accuracy"]].count()
    assert (by_class.loc["whole"] > 0).all()
    assert (by_class.loc[["mine", "hard"]] == 0).all(axis=None)
    retrained = runs[(runs.forget == "whole") & (runs.method == "retrained")]
    assert (retrained.unlearn_accuracy == 0).all()
    assert (retrained.forgotten_class_accuracy == 0).all()
    grids = sorted(where.glob("results/store/*/*/*-tuned-*/grid.csv"))
    assert len(grids) == 6
    for path in grids:  # two choices on the first original, one of them on the second
        assert not [*path.parent.glob("part*of[2-9].csv")]
        rows, best = read_grid(path, path.with_name("best.json"))
        assert rows.stopped.tolist() == (~rows.chosen).tolist()
        trials = pd.read_csv(path, dtype={"stopped_after": str})
        assert len(trials) == 3
        stopped = trials[trials.stopped_after.notna()]
        assert stopped[["original", "stopped_after"]].to_numpy().tolist() == [[0, "0"]]
        assert trials.average_gap[trials.original == 0].idxmin() != stopped.index[0]
        assert (trials.learning_rate[trials.original == 1] == best["learning_rate"]).all()
    edit(where / "mine.txt", "65", "66")
    again = planned(where)
    assert again["forget"] == 1
    assert not {"originals", "references", "signals", "adversarial"} & again.keys()
