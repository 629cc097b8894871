"""The real workflow on images in folders with a network of torchvision's that normalises, and on arrays in a file."""

import re

import h5py
import numpy as np
import pandas as pd
import yaml
from PIL import Image
from running import CONFIG, clone, planned, snakemake

from amun_steps.datasets import digits


def test_a_run_on_a_person_s_own_images_and_network(tmp_path):
    """From 200 PNG files to a table; an image that is taken away plans the data set and all behind it."""
    where = clone(tmp_path / "clone")
    images, labels, train = digits.read(test_fraction=0.5, seed=0)
    for n in [*np.flatnonzero(train)[:120], *np.flatnonzero(~train)[:80]]:
        path = where / "images" / ("train" if train[n] else "test") / f"digit{labels[n]}" / f"{n:04}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(images[n, 0]).save(path)
    np.savez(where / "all.npz", images=images, labels=labels, train=train)

    config = yaml.safe_load((where / CONFIG).read_text())
    config["datasets"] = {
        "mine": {"source": "image_folder", "folder": "images", "size": [8, 8], "channels": 1},
        "all": {"source": "arrays", "folder": ".", "file": "all.npz"},
    }
    experiment = config["experiments"]["digits"] | {
        "dataset": "mine",
        "network": {
            "name": "torchvision",
            "model": "shufflenet_v2_x0_5",
            "normalise": {"mean": [0.3], "std": [0.37]},
        },
        "methods": ["amun_salun"],
    }
    config["experiments"] = {"digits": experiment, "arrays": experiment | {"dataset": "all"}}
    config["tables"]["table1"]["methods"] = ["amun_salun"]
    config["figures"] = {}
    config["training"]["scratch"]["epochs"] = 1
    config["tuning"]["learning_rate"] = [1.0e-2]
    config["attacks"]["pgd50"]["parameters"]["steps"] = 3
    (where / CONFIG).write_text(yaml.safe_dump(config))

    snakemake(where, "--cores", "2", "results/tables/table1.csv")
    table = pd.read_csv(where / "results" / "tables" / "table1.csv")
    assert len(table) == 2
    assert table[table.method == "amun_salun"].filter(like="mean").notna().all(axis=None)
    (made,) = where.glob("results/store/mine-*/dataset.h5")
    with h5py.File(made) as file:
        names = file["names"].asstr()[:]
        order = [int(name[-8:-4]) for name in names]
        assert (file["images"][:] == images[order]).all()
        assert (file["labels"][:] == labels[order]).all()
        assert (file["train"][:] == train[order]).all()

    (where / "images" / names[0]).unlink()
    wanted = planned(where)
    assert wanted["dataset"] == 2  # that of the arrays was not asked for before
    (where / "images" / names[1]).write_bytes(b"no image")
    assert planned(where)["dataset"] == 2

    arrays = re.search(r"results/store/all-\w+/dataset\.h5", snakemake(where, "--dry-run", "--cores", "1"))[0]
    snakemake(where, "--cores", "1", arrays)
    with h5py.File(where / arrays) as file:
        assert (np.sort(file["images"][:].ravel()) == np.sort(images.ravel())).all()
