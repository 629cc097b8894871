"""Whether the networks of a config can be built for its data, tried before anything runs."""

import functools
import json
from pathlib import Path

from amun_steps.datasets import Sizes
from amun_steps.plan.messages import ConfigError, shown
from amun_steps.plan.plan import Plan
from amun_steps.plan.signatures import said_sizes
from amun_steps.plan.stage import Stage
from amun_steps.store.addresses import canonical
from amun_steps.store.receipts import RECEIPT
from amun_steps.store.step import InputError


def known_sizes(dataset: Stage) -> Sizes | None:
    """A data set's sizes: from the store where it is there, else what its reader says; None where that says nothing."""
    path, parameters = Path(dataset.file("dataset.h5")), dataset.parameters["parameters"]
    if not path.is_file():
        return said_sizes(dataset.parameters["source"], parameters | dataset.elsewhere)
    from amun_steps.store.arrays import hdf5

    with hdf5(path) as file:
        shape, labels, train = file["images"].shape[1:], file["labels"][:], file["train"][:]
    return Sizes(int(train.sum()), int((~train).sum()), shape, int(labels.max()) + 1)


def try_networks(plan: Plan) -> None:
    """Raise ConfigError, naming key or file, for a network that cannot be built for its data set or cannot take its
    images, and for a file in place of a model that is none of it.

    It costs the seconds that importing torch takes, but not where all originals are there: what was trained can be.
    """
    for name, experiment in plan.config["experiments"].items():
        stages = plan.experiments[name]
        if Path(stages.originals().file("originals.safetensors")).is_file():
            continue
        sizes = known_sizes(stages.dataset())
        if sizes is None:
            continue
        network = experiment["network"] | {"shape": sizes.shape, "classes": sizes.classes}
        wrong = _fault(canonical(network))
        if wrong:
            image = "x".join(map(str, sizes.shape))
            raise ConfigError(
                f"experiments.{name}.network: '{network['name']}' does not work for images of {image} and"
                f" {sizes.classes} classes ({experiment['dataset']}): {wrong}"
            )
    for stage in plan.stages.values():
        from_files = stage.module == "amun_steps.steps.given"
        if from_files and all(path.suffix == RECEIPT for path in stage.folder.glob("*")):  # nothing is made of them
            sizes = known_sizes(stage.builds_on["dataset"])
            try:
                if sizes is not None:
                    _try_files(stage, sizes)
            except InputError as error:
                raise ConfigError(f"{error}") from None


def _try_files(stage: Stage, sizes: Sizes) -> None:
    """Raise InputError, naming it, for a file of a stage that is no model of its network, or no inclusion matrix."""
    from amun_steps.steps.given import load_module, read_inclusion

    if stage.kind == "inclusion":
        count = stage.parameters["references"]
        read_inclusion(Path(stage.elsewhere["file"]), count, sizes.train + sizes.test)
        return
    network = stage.parameters["network"] | {"shape": sizes.shape, "classes": sizes.classes}
    for path in stage.elsewhere["files"]:
        load_module(Path(path), network, diverged=stage.kind == "submitted")


@functools.cache
def _fault(network: str) -> str:
    """What is wrong with a network (JSON) when two images go through it, without storage or arithmetic; or nothing."""
    import torch

    from amun_steps.training.stack import skeleton

    wanted = json.loads(network)
    try:
        with torch.device("meta"):
            logits = skeleton(wanted).train()(torch.empty(2, *wanted["shape"]))
    except InputError as error:
        return str(error)
    except Exception as error:  # whatever a module raises
        said, given = f"{type(error).__name__}: {error}".splitlines()[0], wanted.get("parameters")
        return f"parameters: found {shown(given)}, with which it stops ({said})" if given else said
    if tuple(logits.shape) == (2, wanted["classes"]):
        return ""
    return f"found logits {tuple(logits.shape)}, expected (2, {wanted['classes']})"
