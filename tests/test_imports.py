"""Which room may import which: the architecture as a test; docs/architecture.md has a sentence for each room."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

SOURCE = Path(__file__).resolve().parent.parent / "src" / "galclass"

_GROUND = {"errors", "extras", "morphology", "clean_samples", "config", "image_names", "image_files", "csv_cells"}
_GROUND |= {"atomic_files", "child_process", "folder_lock", "bounded_tar", "bounded_zip", "moved", "retries"}
ALLOWED: dict[str, set[str]] = {
    "atomic_files": set(),
    "errors": set(),
    "folder_lock": set(),
    "extras": {"errors"},
    "label_words": {"errors", "morphology"},
    "moved": set(),
    "retries": set(),
    "child_process": set(),
    "morphology": {"errors"},
    "clean_samples": set(),
    "image_names": set(),
    "image_files": {"atomic_files", "errors", "image_names", "bounded_tar", "bounded_zip"},
    "csv_cells": set(),
    "bounded_tar": set(),
    "bounded_zip": set(),
    "config": {"errors"},
    "cutouts": {"errors", "extras"},
    "catalog": _GROUND,
    "download": _GROUND | {"catalog"},
    "prepare": _GROUND | {"cutouts", "catalog", "download"},
    "topology": {"atomic_files", "errors"},
    "scoring": {
        "atomic_files",
        "child_process",
        "errors",
        "extras",
        "morphology",
        "image_names",
        "image_files",
        "csv_cells",
        "cutouts",
    },
    "cut": {"atomic_files", "errors", "catalog", "cutouts", "image_names", "cut_folder", "cut_tiles"},
    "cut_tiles": {"errors", "extras", "cutouts", "cut_wcs"},
    "cut_wcs": {"errors"},
    "cut_folder": {"atomic_files", "errors", "csv_cells"},
    "joined": {"atomic_files", "errors", "morphology", "image_files", "image_names", "catalog", "scoring"},
    "similar": {"atomic_files", "errors", "image_files", "cutouts", "prepare", "scoring"},
    "tracking": {"atomic_files", "config", "errors", "extras"},
    "train": _GROUND | {"tracking", "cutouts", "prepare", "catalog", "topology", "scoring"},
    "evaluate": _GROUND | {"tracking", "scoring", "catalog", "cutouts", "prepare"},
    "database": _GROUND | {"label_words", "scoring", "catalog", "cutouts", "download"},
    "service": _GROUND | {"label_words", "database", "scoring", "cutouts"},
    "tuning": _GROUND | {"scoring", "catalog", "cutouts", "prepare", "database", "train"},
    "client": {"errors", "image_names", "retries"},
    "cluster": _GROUND | {"scoring", "cutouts", "prepare", "download", "catalog", "database", "train"},
}
EVERYTHING = {"cli", "pipeline"}
SERVICE_FLOORS = ("http", "functions", "engine", "routes", "server")
"""From the lowest: a module imports its own floor and those below."""

ONLY_IN = {
    "torch": {"train", "topology"},
    "ray": {"cluster"},
    "sqlalchemy": {"database"},
    "fastapi": {"service"},
    "httpx2": {"client", "service"},
    "mlflow": {"tracking"},
}
"""Libraries that only some rooms import."""


def modules() -> dict[str, Path]:
    """Path of each module by its dotted name."""
    files = {path: path.relative_to(SOURCE.parent).with_suffix("").parts for path in SOURCE.rglob("*.py")}
    return {".".join(parts).removesuffix(".__init__"): path for path, parts in files.items()}


MODULES = modules()


def room_of(module: str) -> str:
    return module.split(".")[1] if "." in module else ""


def imported(path: Path, *, at_once: bool = False) -> list[str]:
    """Modules that a file imports; `at_once` leaves out what functions import, and what only type checkers see."""
    tree = ast.parse(path.read_text())
    if at_once:
        tree.body = [node for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom)]
    names: list[str] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            assert node.level == 0, f"{path} imports relatively"
            names += [f"{node.module}.{alias.name}" for alias in node.names]
    return [name if name in MODULES else name.rpartition(".")[0] or name for name in names]


def test_every_room_has_its_rule() -> None:
    rooms = {room_of(module) for module in MODULES} - {""}
    assert rooms == set(ALLOWED) | EVERYTHING


@pytest.mark.parametrize("room", sorted(ALLOWED))
def test_a_room_imports_only_what_it_may(room: str) -> None:
    for module, path in MODULES.items():
        if room_of(module) == room:
            for name in imported(path):
                if name.startswith("galclass."):
                    assert room_of(name) in ALLOWED[room] | {room}, f"{module} imports {name}"


@pytest.mark.parametrize("library", sorted(ONLY_IN))
def test_a_library_is_imported_only_in_its_rooms(library: str) -> None:
    for module, path in MODULES.items():
        if library in {name.split(".")[0] for name in imported(path)}:
            assert room_of(module) in ONLY_IN[library], f"{module} imports {library}"


def test_the_floors_of_the_service_import_downwards() -> None:
    for module, path in MODULES.items():
        if room_of(module) == "service" and module != "galclass.service":
            floor = SERVICE_FLOORS.index(module.split(".")[2])
            for name in imported(path):
                if name.startswith("galclass.service."):
                    assert SERVICE_FLOORS.index(name.split(".")[2]) <= floor, f"{module} imports {name}"


def test_no_modules_import_each_other_in_a_circle() -> None:
    known: set[str] = set()

    def visit(module: str, way: tuple[str, ...]) -> None:
        assert module not in way, " -> ".join([*way[way.index(module) :], module])
        if module not in known:
            for name in imported(MODULES[module], at_once=True):
                if name in MODULES and name not in ("galclass", module):
                    visit(name, (*way, module))
            known.add(module)

    for module in MODULES:
        visit(module, ())


def test_the_architecture_page_names_every_room_of_several_modules() -> None:
    page = (SOURCE.parents[1] / "docs" / "architecture.md").read_text()
    packages = {path.parent.relative_to(SOURCE).as_posix() for path in SOURCE.rglob("__init__.py")} - {"."}
    hidden = {"scoring/shipped", "topology/compile"}  # a model file, and one floor of a room that is described whole
    missing = sorted(package for package in packages - hidden if f"`{package}/`" not in page)
    assert missing == []


def test_the_files_on_the_journeys_of_the_architecture_page_exist() -> None:
    page = (SOURCE.parents[1] / "docs" / "architecture.md").read_text()
    named = re.findall(r"`(?:src/galclass/)?([\w/]+\.(?:py|sql))`", page)
    assert len(named) > 20
    named = [name for name in named if not name.startswith("tests/")]
    assert [name for name in named if not (SOURCE / name).is_file()] == []


@pytest.mark.parametrize(
    ("module", "heavy"),
    [
        ("galclass", ["numpy", "torch", "pydantic", "fastapi", "onnxruntime", "sqlalchemy", "importlib.abc"]),
        ("galclass.extras", ["numpy", "torch", "pydantic", "fastapi", "onnxruntime", "sqlalchemy"]),
        ("galclass.cli", ["numpy", "torch", "fastapi", "onnxruntime", "pyarrow"]),
        ("galclass.cutouts", ["pyarrow", "pydantic", "zipfile"]),
        ("galclass.prepare.worker", ["pyarrow", "pydantic"]),
        ("galclass.scoring", ["torch", "pydantic", "fastapi", "sqlalchemy", "matplotlib", "pyarrow"]),
        ("galclass.service.server", ["torch", "matplotlib", "rich"]),
        ("galclass.database", ["torch", "fastapi", "matplotlib", "rich"]),
        ("galclass.client", ["numpy", "onnxruntime", "fastapi"]),
        ("galclass.pipeline", ["ray", "torch"]),
        ("galclass.tuning.finetune", ["torch"]),
    ],
)
def test_importing_a_part_does_not_load_heavy_libraries(module: str, heavy: list[str]) -> None:
    code = f"import sys, {module}; print([name for name in {heavy!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_no_module_hides_a_name_that_its_package_hands_on() -> None:
    """A submodule imported later would take the place of a function of the same name."""
    for package, path in MODULES.items():
        if path.name == "__init__.py" and path.parent != SOURCE:
            tree = ast.parse(path.read_text())
            taken = [
                (node.module, alias.name)
                for node in tree.body
                if isinstance(node, ast.ImportFrom)
                for alias in node.names
            ]
            hidden = [name for home, name in taken if f"{package}.{name}" in MODULES and home != f"{package}.{name}"]
            assert hidden == [], package
