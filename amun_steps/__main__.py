"""The command line: `amun`, or `python -m amun_steps`. The modules that rules call have command lines of their own."""

import os
import sys

import cyclopts

from amun_steps.store.progress import to_stderr
from amun_steps.store.step import InputError

HELP = """Machine unlearning in image classifiers: what a config costs, and what is in the store of its results.

The experiments themselves are run by Snakemake: `snakemake --cores 2 --configfile config/quickstart.yaml`.
"""
STORE_HELP = """What is in the store of results, what made it, whether it is whole, and what can go or be kept.

    amun store ls
    amun store why results/tables/table1.csv
    amun store gc config/*.yaml
"""


def app() -> cyclopts.App:
    """All commands. Each is imported when it is called: some need torch, which takes seconds."""
    options = {"default_parameter": cyclopts.Parameter(negative=()), "result_action": "return_none"}
    amun = cyclopts.App(name="amun", help=HELP, **options)
    amun.command("amun_steps.plan.cost:plan", name="plan")
    store = cyclopts.App(name="store", help=STORE_HELP, **options)
    for name in ("ls", "why", "diff", "verify"):
        store.command(f"amun_steps.store.commands:{name}", name=name)
    store.command("amun_steps.plan.gc:gc", name="gc")
    store.command("amun_steps.plan.adopt:adopt", name="adopt")
    store.command("amun_steps.plan.pack:pack", name="pack")
    store.command("amun_steps.store.unpack:unpack", name="unpack")
    amun.command(store)
    return amun


def main() -> None:
    """Run the command of the command line; what a person got wrong is said in one sentence."""
    to_stderr()
    try:
        app()(sys.argv[1:])
        sys.stdout.flush()
    except InputError as error:
        raise SystemExit(f"{error}") from None
    except BrokenPipeError:  # `amun store ls | head` has read what it wanted
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


if __name__ == "__main__":
    main()
