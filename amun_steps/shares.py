"""How many samples a share of the training set is."""

from amun_steps.steps import InputError


def share_of(train: int, fraction: float, key: str, times: int = 1) -> int:
    """How many of `train` samples a forget set, or each of `times` disjoint ones, has that is this fraction of them.

    Raises InputError, naming the config's `key`, for a fraction that leaves nothing to forget or nothing to keep.
    """
    size = round(fraction * train)
    if not 0 < times * size < train:
        found = f"{size} of {train} training samples" + (f", {times} times" if times > 1 else "")
        raise InputError(
            f"{key}: found {fraction}, which is {found}; expected a share that leaves at least one to forget and one to"
            " keep"
        )
    return size
