"""Which part may import which: the architecture as a test."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

SOURCE = Path(__file__).resolve().parent.parent / "src" / "galclass"

_BASE = {
    "errors",
    "extras",
    "morphology",
    "clean_samples",
    "config",
    "image_names",
    "image_files",
    "csv_cells",
    "bounded_tar",
    "bounded_zip",
}
ALLOWED = {
    "errors": set(),
    "extras": {"errors"},
    "morphology": {"errors"},
    "clean_samples": set(),
    "image_names": set(),
    "image_files": {"errors", "image_names", "bounded_tar", "bounded_zip"},
    "csv_cells": set(),
    "bounded_tar": set(),
    "bounded_zip": set(),
    "config": {"errors"},
    "preprocess": _BASE | {"catalog", "download"},
    "catalog": _BASE,
    "download": _BASE | {"catalog"},
    "topology": {"errors"},
    "scoring": {"errors", "morphology", "image_names", "image_files", "csv_cells", "preprocess"},
    "train": _BASE | {"preprocess", "catalog", "topology", "scoring"},
    "evaluate": _BASE | {"scoring", "catalog", "preprocess"},
    "database": _BASE | {"scoring", "catalog", "preprocess", "download"},
    "service": _BASE | {"database", "scoring", "preprocess"},
    "cluster": _BASE | {"scoring", "preprocess", "download", "catalog", "database", "train"},
}
TORCH_IS_ALLOWED_IN = {"train", "topology"}
STAGE_ONLY = {"preprocess": "prepare.py"}  # the one file of a part that joins other stages; docs/decisions/0001


def part_of(path: Path) -> str:
    return path.relative_to(SOURCE).parts[0].removesuffix(".py")


def imported(path: Path) -> list[str]:
    names: list[str] = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            names.append(node.module)
    return names


@pytest.mark.parametrize("part", sorted(ALLOWED))
def test_a_part_imports_only_what_it_may(part: str) -> None:
    files = [path for path in SOURCE.rglob("*.py") if part_of(path) == part]
    assert files
    for path in files:
        for name in imported(path):
            pieces = name.split(".")
            if pieces[0] == "galclass" and len(pieces) > 1:
                assert pieces[1] in ALLOWED[part] | {part}, f"{path} imports {name}"
            if part in STAGE_ONLY and pieces[:1] == ["galclass"] and pieces[1:2] in (["catalog"], ["download"]):
                assert path.name == STAGE_ONLY[part], f"{path} imports {name}"
            if pieces[0] == "ray":
                assert part == "cluster", f"{path} imports ray"
            if pieces[0] == "torch":
                assert part in TORCH_IS_ALLOWED_IN, f"{path} imports torch"


@pytest.mark.parametrize(
    ("module", "heavy"),
    [
        ("galclass", ["numpy", "torch", "pydantic", "fastapi", "onnxruntime", "sqlalchemy"]),
        ("galclass.extras", ["numpy", "torch", "pydantic", "fastapi", "onnxruntime", "sqlalchemy"]),
        ("galclass.cli", ["numpy", "torch", "fastapi", "onnxruntime", "pyarrow"]),
        ("galclass.scoring", ["torch", "pydantic", "fastapi", "sqlalchemy", "matplotlib", "pyarrow"]),
        ("galclass.service", ["torch", "matplotlib"]),
        ("galclass.database", ["torch", "fastapi", "matplotlib"]),
        ("galclass.pipeline", ["ray", "torch"]),
    ],
)
def test_importing_a_part_does_not_load_heavy_libraries(module: str, heavy: list[str]) -> None:
    code = f"import sys, {module}; print([name for name in {heavy!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
