"""Old import paths: each still works for one release, with a DeprecationWarning that names the new one.

Pickles, user scripts and the PL/Python functions that an earlier version installed in a database name modules by
their path. `install` puts a finder before Python's own, which would find empty folders that an update leaves behind.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from importlib.machinery import ModuleSpec
from types import MappingProxyType, ModuleType
from typing import Any


def _room(old: str, new: str, names: str) -> dict[str, str]:
    pairs = (name.partition(">") for name in names.split())
    return {f"galclass.{old}.{name}": f"galclass.{new}.{renamed or name}" for name, _, renamed in pairs}


MODULES: Mapping[str, str] = MappingProxyType(
    _room("preprocess", "cutouts", "bmp cutouts>extract decode exif facts geometry headers jpeg limits pillow png")
    | _room("preprocess", "prepare", "chunks duplicates filling inputs>plan journal near pool prepare>stage store")
    | _room("preprocess", "prepare", "summary tables worker")
    | _room("preprocess", "image_files", "images>keys")
    | _room("service", "scoring", "explain saliency")
    | _room("service", "database", "catalog examples publish similar")
    | _room("service", "database.jobs", "jobs>submit job_queue>queue job_rows>rows quotas records sweep")
    | _room("service", "service.http", "addresses archives body connections encoded errors fetching gate headers")
    | _room("service", "service.http", "image_inputs inputs json_images limits logs metrics multipart observe outputs")
    | _room("service", "service.http", "sending")
    | _room("service", "service.engine", "auth lane models pool published scoring>scheduling state together worker")
    | _room("service", "service.routes", "access batches>jobs browse>catalog docs_page>docs health json_body")
    | _room("service", "service.routes", "manage>services openapi predict schemas")
    | _room("service", "service.server", "app protocol")
    | _room("scoring", "scoring", "backend>plpython")
    | _room("database", "database", "functions>sqlite_functions")
    | _room("evaluate", "evaluate", "honesty>human_baseline trust>reliability_checks")
    | _room("cluster", "cluster", "patience>retry attempts>crash_isolation")
    | {"galclass.uploads": "galclass.client.uploads", "galclass.scoring.similar": "galclass.similar"}
    | {"galclass.train.finish": "galclass.train.calibrated"}
)
"""Old path of a module -> new path."""

IN_DATABASES = "galclass.scoring.backend"
"""Named by functions installed in databases: no warning, as whoever calls one cannot change it, and no end of life."""

PACKAGES: Mapping[str, Mapping[str, str]] = MappingProxyType(
    {
        "galclass.preprocess": {
            **dict.fromkeys(("TRUNCATED", "Cutout", "CutoutParameters", "cutout", "views"), "galclass.cutouts"),
            **dict.fromkeys(("flagged_cutout", "flagged_stored_cutout", "has_content"), "galclass.cutouts"),
            **dict.fromkeys(("stored_cutout", "Decoded", "decode", "Header", "read_header"), "galclass.cutouts"),
            **dict.fromkeys(("decode_seconds", "LOCAL", "SERVED", "DecodeLimits"), "galclass.cutouts"),
            **dict.fromkeys(("Reject", "cutouts_of_chunk"), "galclass.prepare.chunks"),
            **dict.fromkeys(("Store", "StoreWriter"), "galclass.prepare.store"),
        }
    }
)
"""Old package that is gone -> the new home of each of its names."""


def install() -> None:
    """Let old paths be imported; a second call changes nothing."""
    if not any(isinstance(finder, _OldPaths) for finder in sys.meta_path):
        sys.meta_path.insert(0, _OldPaths())


def names_elsewhere(module: str, homes: Mapping[str, str], *, warn: bool = True) -> Callable[[str], Any]:
    """Return the `__getattr__` of a module whose names are in other modules, each imported on first use.

    Parameters
    ----------
    module : str
        Its path.
    homes : mapping of str to str
        Name -> path of the module that has it.
    warn : bool
        Whether the names have moved, so that this module should not be asked for them any more.
    """

    def get(name: str) -> Any:
        if name not in homes:
            raise AttributeError(f"module {module!r} has no attribute {name!r}")
        if warn:
            _warn(f"{module}.{name}", f"{homes[name]}.{name}")
        return getattr(import_module(homes[name]), name)

    return get


def _warn(old: str, new: str) -> None:
    # 3: the importing line; Python leaves the frames of its own import system out of the count.
    warnings.warn(
        f"{old} is now {new}; the old name will be removed in the next release", DeprecationWarning, stacklevel=3
    )


class _OldPaths:
    """Finds modules under their old paths."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return how an old path is loaded; None for all others."""
        if fullname in PACKAGES:
            return ModuleSpec(fullname, _OldPackage(), is_package=True)  # type: ignore[arg-type]  # see _Loader
        if fullname in MODULES:
            if fullname != IN_DATABASES:
                _warn(fullname, MODULES[fullname])
            return ModuleSpec(fullname, _OldModule())  # type: ignore[arg-type]
        return None


class _Loader:
    """What Python asks of a loader; `importlib.abc` has it too, but takes 30 ms to import."""

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        """Leave it to Python to make an empty module."""


class _OldModule(_Loader):
    """Puts the module of the new path under the old one too, so that both are one object."""

    def exec_module(self, module: ModuleType) -> None:
        """Import the new path."""
        sys.modules[module.__name__] = import_module(MODULES[module.__name__])


class _OldPackage(_Loader):
    """An empty package whose names are looked up where they are now."""

    def exec_module(self, module: ModuleType) -> None:
        """Fill the package with its names."""
        module.__dict__["__getattr__"] = names_elsewhere(module.__name__, PACKAGES[module.__name__])
