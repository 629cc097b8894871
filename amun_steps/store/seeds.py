"""One seed per named thing, so that nothing depends on what else is drawn, or on the order in which jobs run."""

import hashlib
import random
import sys


def seed_of(*names: str | int) -> int:
    """A seed in [0, 2^63) for the thing that `names` name, such as `seed_of(0, "reference", 17)`."""
    digest = hashlib.sha256("/".join(map(str, names)).encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def seed_globally(seed: int) -> None:
    """Seed the generators that code draws from when it is not given one: Python's, and NumPy's and torch's where these
    were imported."""
    random.seed(seed)
    if numpy := sys.modules.get("numpy"):
        numpy.random.seed(seed % 2**32)
    if torch := sys.modules.get("torch"):
        torch.default_generator.manual_seed(seed)  # torch.manual_seed asks all kinds of devices, at 0.2 ms a call
        if torch.cuda.is_initialized():
            torch.cuda.manual_seed_all(seed)
