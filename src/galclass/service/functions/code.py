"""The code of a function: its top-level module, the hashes of its files, and an import that checks them.

No part of the module is run before its files were hashed. Compiled files are never read, only the sources.
"""

from __future__ import annotations

import hashlib
import importlib.util
import re
import site
import sys
import sysconfig
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from importlib.machinery import EXTENSION_SUFFIXES, ExtensionFileLoader, FileFinder, SourceFileLoader
from itertools import chain
from pathlib import Path

from galclass.errors import ServiceError
from galclass.image_files.folders import walk

MAX_FILES, MAX_BYTES = 5000, 512 * 1024 * 1024
"""Most files of a module and their most bytes."""

_PATH = re.compile(r"(?P<module>[A-Za-z_]\w*(\.[A-Za-z_]\w*)*):(?P<name>[A-Za-z_]\w*)")
_REQUIREMENT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


@dataclass(frozen=True)
class FunctionPath:
    """An import path such as "galaxies.api:classify"."""

    module: str
    name: str

    @property
    def top(self) -> str:
        """The top-level module."""
        return self.module.partition(".")[0]


def parse_function(text: str) -> FunctionPath:
    """Read MODULE:FUNCTION.

    Raises
    ------
    ServiceError
        If the text is not such a path.
    """
    match = _PATH.fullmatch(text)
    if match is None:
        raise ServiceError(
            f"{text[:80]!r} is not an import path of a function", expected="such as galaxies.api:classify"
        )
    return FunctionPath(match["module"], match["name"])


def find_folder(path: FunctionPath, folders: Sequence[str]) -> Path:
    """Return the folder that contains the top-level module, without running any of it.

    Raises
    ------
    ServiceError
        If it is not found, or is not a module of files.
    """
    for folder in folders:
        here = Path(folder or ".").resolve()
        if (here / path.top / "__init__.py").is_file() or (here / f"{path.top}.py").is_file():
            return here
    raise ServiceError(
        f"there is no module {path.top!r}",
        expected=f"{path.top}/__init__.py or {path.top}.py",
        advice="name its folder with --code",
    )


def hash_files(folder: Path, top: str) -> dict[str, str]:
    """Return the sha256 of every file of a top-level module by its path beside it; `__pycache__` is left out.

    Raises
    ------
    ServiceError
        If there are too many, or one cannot be read.
    """
    found: dict[str, str] = {}
    total = 0
    for file in _files(folder, top):
        try:
            data = file.read_bytes()
        except OSError as error:
            raise ServiceError("a file of the module cannot be read", where=str(file), got=error.strerror) from error
        total += len(data)
        if len(found) >= MAX_FILES or total > MAX_BYTES:
            raise ServiceError(
                "the module is too large",
                where=str(folder / top),
                expected=f"at most {MAX_FILES} files and {MAX_BYTES >> 20} MiB",
                advice="keep data outside of it",
            )
        found[file.relative_to(folder).as_posix()] = hashlib.sha256(data).hexdigest()
    return found


def _files(folder: Path, top: str) -> Iterator[Path]:
    if not (folder / top / "__init__.py").is_file():
        yield folder / f"{top}.py"
        return
    linked: list[str] = []
    names = (name for name, special in walk(str(folder / top), lambda *_: None, linked.append) if not special)
    for name in chain(names, linked):  # a linked file is one of the module's under its own name too
        file = folder / top / name
        if "__pycache__" not in name.split("/") and file.is_file():
            yield file


def installed_versions(names: Sequence[str]) -> dict[str, str]:
    """Return the installed version of each requirement.

    Raises
    ------
    ServiceError
        If a name is not that of a requirement, or is not installed.
    """
    found = {}
    for name in sorted(set(names)):
        if not _REQUIREMENT.fullmatch(name):
            raise ServiceError(
                f"{name[:80]!r} is not a requirement", expected="the name of a distribution, such as scipy"
            )
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError as error:
            raise ServiceError(f"the requirement {name} is not installed") from error
    return found


def difference(published: Mapping[str, str], present: Mapping[str, str], kind: str) -> str | None:
    """Return the first difference of two mappings of names to hashes or versions; None if they are equal."""
    for name in sorted({*published, *present}):
        if name not in present:
            return f"the {kind} {name} is missing"
        if name not in published:
            return f"the {kind} {name} is new"
        if published[name] != present[name]:
            versions = f": {present[name]}, not {published[name]}" if kind == "requirement" else ""
            return f"the {kind} {name} is not the one that was published{versions}"
    return None


def import_checked(folder: Path, files: Mapping[str, str]) -> None:
    """Let modules in `folder` be imported only from files with these hashes, now and later."""
    inside = folder / next(iter(files)).split("/")[0]
    own = str(folder)
    shared = own in _package_folders()

    class Loader(SourceFileLoader):
        def get_code(self, fullname: str) -> object:  # type: ignore[override]  # the sources alone, no compiled files
            path = self.get_filename(fullname)
            return self.source_to_code(self.get_data(path), path)

        def get_data(self, path: str | bytes) -> bytes:
            data = super().get_data(str(path))
            name = Path(str(path)).relative_to(folder).as_posix()
            if name not in files and shared:
                return data
            if files.get(name) != hashlib.sha256(data).hexdigest():
                top = next(iter(files)).split("/")[0]
                raise ImportError(
                    f"{name} is not one of the published files of {top}; put what belongs together into one package"
                )
            return data

    def hook(path: str) -> FileFinder:
        if path != own and not Path(path).is_relative_to(inside):
            raise ImportError
        return FileFinder(path, (ExtensionFileLoader, EXTENSION_SUFFIXES), (Loader, [".py"]))

    sys.path_hooks.insert(0, hook)
    sys.path_importer_cache.clear()
    if own not in sys.path:
        sys.path.insert(0, own)
    importlib.invalidate_caches()


def _package_folders() -> set[str]:
    paths = sysconfig.get_paths()
    return {str(Path(one).resolve()) for one in (*site.getsitepackages(), paths["purelib"], paths["stdlib"])}
