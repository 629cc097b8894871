"""What a step says while it runs: lines on stderr, which its rule puts into results/logs."""

import logging
import sys
import time
from collections.abc import Callable

LOG = logging.getLogger("amun_steps")

EVERY = 10.0
"""Seconds between two lines about the same loop, at the least."""


def to_stderr() -> None:
    """Send what steps say to stderr, each line with its time; warnings of libraries as well."""
    logging.basicConfig(stream=sys.stderr, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    LOG.setLevel(logging.INFO)


TOLD = "-> "
"""How what a line of a step's log says begins where the terminal shows it too, when the job is done."""


def tell(text: str) -> None:
    """Log what the person who looks on at the terminal should see."""
    LOG.info("%s%s", TOLD, text)


class Progress:
    """A loop over `total` things, called `unit`, of which `done` were done before; `label` says what for.

    A line is written when EVERY seconds have passed since the last one, and at the loop's end.
    """

    def __init__(self, label: str, unit: str, total: int, done: int = 0):
        self.label, self.unit, self.total, self.first = label, unit, total, done
        self.images = 0
        self.began = self.told = time.monotonic()

    def tell(self, done: int, images: int, facts: Callable[[], str] = str) -> None:
        """`done` things are done, with `images` more images; `facts` is only called where a line is due."""
        self.images += images
        now = time.monotonic()
        if now - self.told < EVERY and done < self.total:
            return
        self.told, seconds = now, max(now - self.began, 1e-9)
        left = seconds / max(done - self.first, 1) * (self.total - done)
        parts = [f"{self.unit} {done} of {self.total}", facts(), f"{self.images / seconds:.0f} images/s"]
        parts.append(f"{duration(left)} left" if done < self.total else f"{duration(seconds)} in all")
        LOG.info("%s: %s", self.label, ", ".join(filter(None, parts)))


def duration(seconds: float) -> str:
    """Seconds as people say them: 41 s, 3 min 20 s, 2 h 5 min."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def span(first: object, last: object) -> str:
    """'3' or '3 to 7'."""
    return f"{first}" if first == last else f"{first} to {last}"
