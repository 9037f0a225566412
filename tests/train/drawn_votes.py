"""Drawn galaxies with raw votes, clean samples and a survey's classes, and outputs of a network for them."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet
import torch
from train.drawn_galaxies import SPLITS, write_prepared

from galclass.catalog.votes import STEMS
from galclass.morphology import CLASSES, QUESTIONS
from galclass.train.networks import Outputs

FIRST = QUESTIONS["t01_smooth_or_features"].columns

CLEAN = {"Er": "completely_round_smooth", "Sen": "edge_on"}


def raw_columns(labels: list[str], voted: list[bool]) -> dict[str, list[object]]:
    """Return raw fractions that agree with round or thin, and what the largest share is, where `voted` is False."""
    columns: dict[str, list[object]] = {
        f"{FIRST[0]}_weighted_fraction": [],
        f"{FIRST[1]}_weighted_fraction": [],
        f"{FIRST[2]}_weighted_fraction": [],
        "largest": [],
    }
    for label, has in zip(labels, voted, strict=True):
        smooth = 0.9 if label.startswith("E") else 0.1
        values = (smooth, 1 - smooth, 0.0) if has else (None, None, None)
        for stem, value in zip(FIRST, values, strict=True):
            columns[f"{stem}_weighted_fraction"].append(value)
        columns["largest"].append(None if has else "smooth" if label.startswith("E") else "features")
    return columns


def write_votes(workspace: Path, count: int = 48) -> None:
    """Prepare drawn galaxies: the first half with votes, then clean ones, then ones of a survey."""
    kinds = ["Er", "Sen"] * (count // 2)
    labels = [CLEAN[kind] for kind in kinds]
    voted = [i < count // 2 for i in range(count)]
    source = ["votes" if has else ("clean", "weak", "survey")[i // len(SPLITS) % 3] for i, has in enumerate(voted)]
    named = [
        {"votes": None, "weak": None, "clean": label, "survey": "elliptical" if label[0] == "c" else "edge_on"}[name]
        for label, name in zip(labels, source, strict=True)
    ]
    write_prepared(workspace / "prepared", list(kinds), votes=True)
    path = workspace / "prepared" / "index.parquet"
    table = pa.parquet.read_table(path)
    for name, values in {"label": named, "source": source, **raw_columns(kinds, voted)}.items():
        column = pa.array(values, pa.string() if name in ("label", "source", "largest") else pa.float32())
        table = table.drop_columns([name]) if name in table.column_names else table
        table = table.append_column(name, column)
    pa.parquet.write_table(table, path)


OPTIONS: dict[str, object] = {
    "type": "votes",
    "clean_sources": ("clean",),
    "observation_sources": ("survey",),
    "mini_batch_size": 8,
}


def outputs(count: int, seed: int = 0) -> Outputs:
    generator = torch.Generator().manual_seed(seed)
    raw = torch.randn(count, len(STEMS) + len(QUESTIONS), generator=generator, dtype=torch.float32)
    logits = torch.log_softmax(torch.randn(count, len(CLASSES), generator=generator), 1)
    return Outputs(logits, None, None, torch.zeros(count, 1), raw)
