"""Plug-ins: methods, attacks, networks and readers in a person's own folder, outside of this package.

The folder has subfolders named like the package's rooms. What is in them is found as if it lay in the package:
`FOLDER/methods/mine.py` is `amun_steps.methods.mine`, so its address is the same in either place.
"""

import importlib.util
import sys
from importlib.machinery import ModuleSpec
from pathlib import Path
from typing import Annotated

from pydantic import Field, PositiveInt

ROOMS = ("attacks", "datasets", "methods", "models")

Share = Annotated[float, Field(gt=0, le=1)]
"""What a parameter of a module may be annotated with, beside pydantic's own types: a share of something, in (0, 1]."""

Size = Annotated[
    list[PositiveInt],
    Field(min_length=2, max_length=2, description="[height, width] in pixels, two whole numbers such as [32, 32]"),
]
"""The same: the size of an image."""


class Plugins:
    """The folder whose modules are found beside the package's, and the finder that imports them from it."""

    def __init__(self):
        self.folder: Path | None = None
        self.imported: set[str] = set()

    def use(self, folder: Path | None) -> None:
        """Let the modules of `folder` be found, in place of those of another one; with None the package's alone."""
        if folder != self.folder:
            for name in self.imported:
                sys.modules.pop(name, None)
            self.imported.clear()
        self.folder = folder

    def file(self, name: str) -> Path | None:
        """The file of the module with this dotted name; None where the folder has none, or there is no folder."""
        package, *inside = name.split(".")
        if self.folder is None or package != __package__.split(".")[0] or len(inside) < 2 or inside[0] not in ROOMS:
            return None
        base = self.folder.joinpath(*inside)
        return next((p for p in (base.with_suffix(".py"), base / "__init__.py") if p.is_file()), None)

    def find_spec(self, name: str, path: object = None, target: object = None) -> ModuleSpec | None:
        """What Python's import asks for a module that the package does not have."""
        file = self.file(name)
        if file is None:
            return None
        self.imported.add(name)
        inner = [str(file.parent)] if file.name == "__init__.py" else None
        return importlib.util.spec_from_file_location(name, file, submodule_search_locations=inner)


PLUGINS = Plugins()
sys.meta_path.append(PLUGINS)
