"""The configuration of a source that the fixture `make` writes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from galclass.config import load_config

LABELS = ["Er", "Ei", "Sb", "SBc"]


def configured(folder: Path, workspace: Path, **changes: Any):
    base = {
        "workspace": str(workspace),
        "prepare.images": str(folder / "images"),
        "prepare.catalog": str(folder / "labels.csv"),
        "prepare.size_px": 50,
        "prepare.processes": 2,
    }
    return load_config(None, base | {key.replace("__", "."): value for key, value in changes.items()})
