"""Models from files, in place of those that the workflow trains or unlearns: which files a config means, whether they
are all there, and which model is in which."""

import glob
import itertools
import math
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from amun_steps.plan.forget import family_of
from amun_steps.plan.messages import ConfigError, names
from amun_steps.plan.tuning import is_tuned
from amun_steps.store.content import known_sha256s

PLACEHOLDER = re.compile(r"\{([^{}]*)\}")

FIRST = 3
"""How many files a message names."""

FORMS = {
    "originals": (("count", "training"), ("files",)),
    "references": (("count", "training"), ("count", "files", "inclusion")),
    "retrained": (("count", "training"), ("count", "files")),
}
"""The keys of what an experiment says of its models: of those to be trained, and of those from files."""

Files = Mapping[str, Mapping[str, int]]
"""Models by the paths of their files, each with its numbers: of its original, set and run."""

Values = Mapping[str, Sequence[str | int]]
"""The values of each placeholder of a pattern of paths: `{name}` in it stands for each of them."""


def of_originals(experiment: Mapping[str, Any]) -> Files:
    """The originals of an experiment of a config, in its order."""
    return {path: {"original": number} for number, path in enumerate(experiment["originals"]["files"])}


def of_retrained(config: Mapping[str, Any], experiment: Mapping[str, Any], family: str) -> Files:
    """The models that were retrained without each forget set of a family."""
    return _numbered(experiment["retrained"]["files"], _retrained_values(config, experiment, family))


def of_references(experiment: Mapping[str, Any]) -> Files:
    """The reference models, in the order of the inclusion matrix's rows."""
    wanted = experiment["references"]
    return {_path(wanted["files"], each): {} for each in _each(_reference_values(wanted))}


def of_submission(config: Mapping[str, Any], experiment: Mapping[str, Any], method: str, family: str) -> Files:
    """The models that somebody else unlearned, for each forget set of a family."""
    return _numbered(config["methods"][method]["files"], _submitted_values(config, experiment, family))


def hashed(files: Files) -> list[dict[str, Any]]:
    """What a step is given of each model: its numbers, -1 where there is none, and the SHA-256 of its file, so that the
    address is of what is in the files, not of where they lie."""
    none = {"original": -1, "set": -1, "run": -1}
    digests = known_sha256s([Path(path) for path in files])
    return [{**none, **of, "sha256": digest} for of, digest in zip(files.values(), digests, strict=True)]


def _numbered(pattern: str, values: Values) -> Files:
    """The paths that a pattern stands for, each with its numbers."""
    return {
        _path(pattern, each): {key: value for key, value in each.items() if key != "forget"} for each in _each(values)
    }


def _each(values: Values) -> Iterator[dict[str, Any]]:
    return (dict(zip(values, each, strict=True)) for each in itertools.product(*values.values()))


def _path(pattern: str, each: Mapping[str, Any]) -> str:
    return PLACEHOLDER.sub(lambda found: str(each[found[1]]), pattern)


def retrained_sets(config: Mapping[str, Any], experiment: Mapping[str, Any], family: str) -> range:
    """The numbers of the forget sets that models are retrained without; the last is tuning's, if a method is tuned."""
    tuned = any(is_tuned(config, method) for method in experiment["methods"])
    return range(family_of(config["forget"][family]).sets + tuned)


def _retrained_values(config: Mapping[str, Any], experiment: Mapping[str, Any], family: str) -> Values:
    sets, runs = retrained_sets(config, experiment, family), range(experiment["retrained"]["count"])
    return {"forget": [family], "set": sets, "run": runs}


def _reference_values(wanted: Mapping[str, Any]) -> Values:
    return {"reference": range(wanted["count"])}


def _submitted_values(config: Mapping[str, Any], experiment: Mapping[str, Any], family: str) -> Values:
    """In the order of the runs of a method here."""
    sets, runs = family_of(config["forget"][family]).sets, config["unlearning"][experiment["unlearning"]]["runs"]
    return {"forget": [family], "set": range(sets), "original": range(count_of(experiment)), "run": range(runs)}


def count_of(experiment: Mapping[str, Any]) -> int:
    """How many originals an experiment of a config has."""
    wanted = experiment["originals"]
    return len(wanted["files"]) if "files" in wanted else wanted["count"]


def check_keys(at: str, experiment: Mapping[str, Any]) -> None:
    """Raise ConfigError for models of an experiment, found at the key `at`, with other keys than FORMS has: the second
    form where there are files, otherwise the first."""
    for role, forms in FORMS.items():
        form = forms["files" in experiment[role]]
        for key in form:
            if key not in experiment[role]:
                raise ConfigError(f"{at}.{role}: lacks the key '{key}'")
        for key in experiment[role]:
            if key not in form:
                raise ConfigError(f"{at}.{role}.{key}: has no place beside {' and '.join(form)}; remove it")


def check(at: str, config: Mapping[str, Any], experiment: Mapping[str, Any]) -> None:
    """Raise ConfigError for an experiment, found at the key `at`, whose files are not there, or not those of its
    models."""
    if "files" in experiment["originals"]:
        _check_different(f"{at}.originals.files", experiment["originals"]["files"])
    if "files" in (wanted := experiment["references"]):
        _check_there(f"{at}.references.inclusion", [wanted["inclusion"]], 1)
        _check_pattern(f"{at}.references.files", wanted["files"], [_reference_values(wanted)])
        _check_different(f"{at}.references.files", list(of_references(experiment)))
    if "files" in experiment["retrained"]:
        values = [_retrained_values(config, experiment, family) for family in experiment["forget"]]
        _check_pattern(f"{at}.retrained.files", experiment["retrained"]["files"], values)
    for method in experiment["methods"]:
        if "files" in config["methods"][method]:
            values = [_submitted_values(config, experiment, family) for family in experiment["forget"]]
            _check_pattern(f"methods.{method}.files", config["methods"][method]["files"], values)


def _check_different(at: str, files: Sequence[str]) -> None:
    """Raise ConfigError for files, found at the key `at`, that are not there, or two of which are the same model."""
    _check_there(at, files, len(files))
    seen: dict[str, str] = {}
    for path, digest in zip(files, known_sha256s([Path(path) for path in files]), strict=True):
        before = seen.setdefault(digest, path)
        if before != path:
            raise ConfigError(f"{at}: {before} and {path} are the same, byte for byte; expected different models")


def _check_there(at: str, paths: Iterable[str], total: int) -> None:
    """Raise ConfigError, naming the first of them, for files that are not there or cannot be read."""
    missing = list(itertools.islice((path for path in paths if not _is_readable(path)), FIRST + 1))
    if missing:
        shown = ", ".join(missing[:FIRST]) + (" and more" if len(missing) > FIRST else "")
        raise ConfigError(f"{at}: found no readable file {shown} (of {total} that are expected in {Path.cwd()})")


def _is_readable(path: str) -> bool:
    return os.path.isfile(path) and os.access(path, os.R_OK)


def _check_pattern(at: str, pattern: str, families: Sequence[Values]) -> None:
    """Raise ConfigError for a pattern, found at the key `at`, that does not tell all its files from each other, or
    whose files are not exactly those of all `families`."""
    known = list(families[0])
    for name in PLACEHOLDER.findall(pattern):
        if name not in known:
            expected = names(name, map("{{{}}}".format, known))
            raise ConfigError(f"{at}: unknown placeholder {{{name}}} in {pattern}, expected one of {expected}")
    for name in known:
        count = len({value for values in families for value in values[name]})
        if count > 1 and name not in PLACEHOLDER.findall(pattern):
            raise ConfigError(
                f"{at}: {pattern} lacks {{{name}}}: there are {count} of them, each with files of its own"
            )
    total = sum(math.prod(map(len, values.values())) for values in families)
    _check_there(at, (_path(pattern, each) for values in families for each in _each(values)), total)
    extra = sorted(_matching(pattern, families) - {_path(pattern, each) for v in families for each in _each(v)})
    if extra:
        shown = ", ".join(extra[:FIRST]) + (f" and {len(extra) - FIRST} more" if len(extra) > FIRST else "")
        raise ConfigError(f"{at}: found files of runs that the experiment does not have: {shown}")


def _matching(pattern: str, families: Sequence[Values]) -> set[str]:
    """All files that a pattern could stand for, with whatever numbers."""
    literal = PLACEHOLDER.split(pattern)[::2]
    numbers = [
        "|".join(v["forget"][0] for v in families) if n == "forget" else r"\d+" for n in PLACEHOLDER.findall(pattern)
    ]
    parts = itertools.zip_longest(map(re.escape, literal), (f"(?:{number})" for number in numbers), fillvalue="")
    wanted = re.compile("".join(itertools.chain.from_iterable(parts)))
    return {path for path in glob.glob("*".join(map(glob.escape, literal))) if wanted.fullmatch(path)}
