"""The command line: `amun`, or `python -m amun_steps`. The modules that rules call have command lines of their own."""

import ast
import os
import sys

import cyclopts

from amun_steps.store.addresses import module_file
from amun_steps.store.options import help_text
from amun_steps.store.progress import to_stderr
from amun_steps.store.step import InputError

HELP = """Machine unlearning in image classifiers: what a config costs, what a model remembers, a model made to
forget, what is in the store.

The experiments themselves are run by Snakemake:

    snakemake --cores 2 --configfile config/quickstart.yaml
"""
STORE_HELP = """What is in the store of results, what made it, whether it is whole, and what can go or be kept.

    amun store ls
    amun store why results/tables/table1.csv
    amun store gc config/*.yaml
"""


def app() -> cyclopts.App:
    """All commands. Each is imported when it is called: some need torch, which takes seconds."""
    options = {"help_format": "plaintext", "result_action": "return_none"}
    options["default_parameter"] = cyclopts.Parameter(negative=())
    amun = cyclopts.App(name="amun", help=HELP, **options)
    _add(amun, "amun_steps.plan.cost", "plan")
    _add(amun, "amun_steps.plan.audit", "audit")
    _add(amun, "amun_steps.plan.forgetting", "forget")
    store = cyclopts.App(name="store", help=STORE_HELP, **options)
    for name in ("ls", "why", "diff", "verify"):
        _add(store, "amun_steps.store.commands", name)
    _add(store, "amun_steps.plan.gc", "gc")
    _add(store, "amun_steps.plan.adopt", "adopt")
    _add(store, "amun_steps.plan.pack", "pack")
    _add(store, "amun_steps.store.unpack", "unpack")
    amun.command(store)
    return amun


def _add(to: cyclopts.App, module: str, name: str) -> None:
    """Make the function `name` of a module a command. What it is for is read from the module's source."""
    syntax = ast.parse(module_file(module).read_text(encoding="utf-8")).body
    docstring = next(ast.get_docstring(node) for node in syntax if getattr(node, "name", None) == name)
    to.command(f"{module}:{name}", name=name, help=help_text(docstring))


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
    except OSError as error:  # a disk that is full, a folder that may not be written to
        raise SystemExit(f"{error.filename or 'amun'}: {error.strerror or error}") from None


if __name__ == "__main__":
    main()
