"""One seed per named thing, so that nothing depends on what else is drawn, or on the order in which jobs run."""

import hashlib


def seed_of(*names: str | int) -> int:
    """A seed in [0, 2^63) for the thing that `names` name, such as `seed_of(0, "reference", 17)`."""
    digest = hashlib.sha256("/".join(map(str, names)).encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1
