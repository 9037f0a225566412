"""Split a catalog by object: seeded, stratified, independent of the order of rows.

Takes a table with `object_id` and `label`, returns it with a `split` column; a galaxy's images stay together.
"""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Mapping
from math import isclose
from pathlib import Path
from typing import Any

import pyarrow as pa

from galclass.config.paths import filled_in
from galclass.errors import CatalogError
from galclass.morphology import group_of, leaves_of

SPLITS = ("train", "validation", "test")
_FEW = 10  # a class with fewer objects is split together with its group


def split_by_object_id(table: Any, fractions: Mapping[str, float], seed: int) -> Any:
    """Return the table with a column `split`.

    Within each class (or group, where a class has fewer than ten objects) the objects are ordered by
    sha256("<seed>:<object_id>") and cut at the fractions. An object's split thus depends on the seed and on the set of
    objects, never on their order, and few objects move when some are added.

    Parameters
    ----------
    table : pyarrow.Table
        With `object_id`, and `label` to stratify by where it is there.
    fractions : mapping of str to float
        Name of each split and its share, in [0, 1]; they sum to 1.
    seed : int
        Another seed gives another split.

    Returns
    -------
    pyarrow.Table

    Raises
    ------
    CatalogError
        If the fractions do not sum to 1, or an object has two labels.
    """
    _check(table, fractions)
    ids = table["object_id"].to_pylist()
    labels = table["label"].to_pylist() if "label" in table.column_names else [None] * len(ids)
    strata = _strata(_labels_by_object(ids, labels))
    by_stratum: dict[str, list[str]] = defaultdict(list)
    for object_id, stratum in strata.items():
        by_stratum[stratum].append(object_id)
    split_of: dict[str, str] = {}
    for members in by_stratum.values():
        split_of.update(_cut(members, fractions, seed))
    column = pa.array([split_of[object_id] for object_id in ids], pa.string())
    if "split" in table.column_names:
        return table.set_column(table.column_names.index("split"), "split", column)
    return table.append_column("split", column)


def named_splits(folder: str | None) -> dict[str, str]:
    """Read which split each object of a folder's train.txt, validation.txt and test.txt is in; none without a folder.

    Raises
    ------
    CatalogError
        If none of the files is there, or an object is in two of them.
    """
    if folder is None:
        return {}
    files = [Path(filled_in(folder)) / f"{split}.txt" for split in SPLITS]
    there = [path for path in files if path.is_file()]
    if not there:
        raise CatalogError(
            "no lists of object ids", where=folder, expected=", ".join(path.name for path in files),
            advice="see prepare.split_ids",
        )  # fmt: skip
    found: dict[str, str] = {}
    for path in there:
        for object_id in filter(None, map(str.strip, path.read_text(encoding="utf-8").splitlines())):
            if found.setdefault(object_id, path.stem) != path.stem:
                raise CatalogError("an object is in two splits", where=folder, got=object_id)
    return found


def _check(table: Any, fractions: Mapping[str, float]) -> None:
    if min(fractions.values(), default=-1) < 0 or not isclose(sum(fractions.values()), 1, abs_tol=1e-9):
        raise CatalogError("the fractions of a split must be >= 0 and sum to 1", got=dict(fractions))
    if "object_id" not in table.column_names:
        raise CatalogError("no column object_id to split by", got=", ".join(table.column_names))
    if table["object_id"].null_count:
        raise CatalogError(f"{table['object_id'].null_count} rows have no object_id to split by")


def _labels_by_object(ids: list[str], labels: list[str | None]) -> dict[str, str | None]:
    found: dict[str, str | None] = {}
    for object_id, label in zip(ids, labels, strict=True):
        if found.setdefault(object_id, label) != label:
            raise CatalogError("an object has two labels", where=object_id, got=f"{found[object_id]!r} and {label!r}")
    return found


def _strata(labels: Mapping[str, str | None]) -> dict[str, str]:
    leaves = {label: _leaves(label) for label in set(labels.values())}
    counts = Counter(leaves[label] for label in labels.values())
    return {
        object_id: _stratum(leaves[label]) if counts[leaves[label]] < _FEW else "+".join(leaves[label])
        for object_id, label in labels.items()
    }


def _leaves(label: str | None) -> tuple[str, ...]:
    return leaves_of(label) if label is not None else ()


def _stratum(leaves: tuple[str, ...]) -> str:
    return "+".join(dict.fromkeys(group_of(leaf) for leaf in leaves)) + " (few)"


def _cut(members: list[str], fractions: Mapping[str, float], seed: int) -> dict[str, str]:
    ordered = sorted(members, key=lambda object_id: hashlib.sha256(f"{seed}:{object_id}".encode()).digest())
    split_of = {}
    begin, share_so_far = 0, 0.0
    for split, share in fractions.items():
        share_so_far += share
        end = int(share_so_far * len(ordered) + 0.5)
        split_of.update(dict.fromkeys(ordered[begin:end], split))
        begin = end
    return split_of
