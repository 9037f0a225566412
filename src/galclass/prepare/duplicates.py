"""One image, one object, one split: objects that share an image are found by its bytes and by its cutout's pixels.

Takes the rows of objects with the hashes of their files, returns the rows that stay and those that are rejected, each
with the names of the others. Nothing is decoded again: the pixels are those of the store.
"""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

OTHERS_NAMED = 5
"""Other objects of the same image that a reason names."""

_BLOCK = 4096  # cutouts at a time: 100 MB at 64 px
_IDENTITY = ("object_id", "asset_id", "source", "file", "sha256", "pixels_sha256", "row", "split")


@dataclass
class SortedOut:
    """Outcome for the rows.

    Attributes
    ----------
    rejects : dict of int to (code, reason)
        By the row's number in the table.
    repeated : set of int
        Rows that bring nothing new: the same image of the same object, again.
    kept_groups : int
        Images that several objects share and keep.
    split_of : dict of str to str
        Object id -> split, for the objects of kept groups.
    """

    rejects: dict[int, tuple[str, str]] = field(default_factory=dict)
    repeated: set[int] = field(default_factory=set)
    kept_groups: int = 0
    split_of: dict[str, str] = field(default_factory=dict)


def pixel_hashes(path: Path, shape: tuple[int, int], good: Sequence[bool]) -> list[str | None]:
    """Hash the cutouts that may have a twin.

    Parameters
    ----------
    path : Path
        A pixel file.
    shape : (int, int)
        Slots, and bytes of a cutout.
    good : sequence of bool, (slots,)
        Whether a cutout is there.

    Returns
    -------
    list of str or None
        sha256 of a cutout's pixels where another cutout has the same sum of 8-byte words, else None: equal pixels have
        equal hashes, and the hash is taken of few.
    """
    slots, size = shape
    if not slots or not any(good):
        return [None] * slots
    pixels = np.memmap(path, np.uint8, "r", shape=(slots, size))
    sums = np.zeros(slots, np.uint64)
    for start in range(0, slots, _BLOCK):
        words = np.ascontiguousarray(pixels[start : start + _BLOCK, : size // 8 * 8]).view(np.uint64)
        sums[start : start + _BLOCK] = words.sum(axis=1, dtype=np.uint64)
    there = np.asarray(good, dtype=bool)
    values, counts = np.unique(sums[there], return_counts=True)
    twins = there & np.isin(sums, values[counts > 1])
    return [hashlib.sha256(pixels[slot]).hexdigest() if twins[slot] else None for slot in range(slots)]


def sort_out(rows: pa.Table, *, keep: bool) -> SortedOut:
    """Find the rows that share an image.

    Parameters
    ----------
    rows : pyarrow.Table
        One row an object and file: object_id, source, file, sha256, pixels_sha256, split, and what else is known.
    keep : bool
        Whether objects may share an image. Then the objects of a group, and those tied to them by another image, all
        take the split of the smallest id (as text).
    """
    columns = {name: rows[name].to_pylist() for name in _IDENTITY if name in rows.column_names}
    found = SortedOut()
    groups = _same_content(columns["sha256"], columns["pixels_sha256"])
    shared = [group for group in groups if len({columns["object_id"][at] for at in group}) > 1]
    if keep:
        found.kept_groups = len(shared)
        found.split_of = _one_split(shared, columns["object_id"], columns["split"])
    else:
        for group in shared:
            found.rejects |= _rejects_of(group, columns)
    content = {at: number for number, group in enumerate(groups) for at in group}
    _several_files(columns, content, found)
    found.repeated |= _says_nothing_new(rows, groups, columns["object_id"], found)
    return found


def _same_content(sha256s: list[str], pixels: list[str | None]) -> list[list[int]]:
    """Group the rows of equal bytes or equal pixels; in the order of the first row of each group."""
    counts = Counter(sha256s)
    candidates = [at for at, sha256 in enumerate(sha256s) if counts[sha256] > 1 or pixels[at] is not None]
    sets = _Sets()
    for at in candidates:
        sets.join(("bytes", sha256s[at]), ("row", at))
        if pixels[at] is not None:
            sets.join(("pixels", pixels[at]), ("row", at))
    groups: dict[Hashable, list[int]] = defaultdict(list)
    for at in candidates:
        groups[sets.root(("row", at))].append(at)
    return [group for group in groups.values() if len(group) > 1]


def _one_split(groups: list[list[int]], ids: list[str], splits: list[str]) -> dict[str, str]:
    sets = _Sets()
    for group in groups:
        for at in group[1:]:
            sets.join(ids[group[0]], ids[at])
    own = {ids[at]: splits[at] for group in groups for at in group}
    smallest: dict[Hashable, str] = {}
    for object_id in own:
        root = sets.root(object_id)
        smallest[root] = min(smallest.get(root, object_id), object_id)
    return {object_id: own[smallest[sets.root(object_id)]] for object_id in own}


def _rejects_of(group: list[int], columns: dict[str, list[Any]]) -> dict[int, tuple[str, str]]:
    ids, files = columns["object_id"], columns["file"]
    one_file = len({(columns["source"][at], files[at]) for at in group}) == 1
    code, what = ("shared_file", "the file is also that of") if one_file else ("duplicate_image", "the same image as")
    rejects = {}
    for at in group:
        names = dict.fromkeys(
            ids[other] if one_file else f"{ids[other]} ({files[other]})" for other in group if ids[other] != ids[at]
        )
        rejects[at] = code, f"{what} {_listed(list(names))}"
    return rejects


def _several_files(columns: dict[str, list[Any]], content: dict[int, int], found: SortedOut) -> None:
    """Sort out objects for which a source has several files: once if they are equal, else none."""
    by_object: dict[tuple[str, str], list[int]] = defaultdict(list)
    for at, key in enumerate(zip(columns["source"], columns["object_id"], strict=True)):
        by_object[key].append(at)
    for own in by_object.values():
        if len(own) < 2:
            continue
        if len({content.get(at, -1 - at) for at in own}) == 1:
            found.repeated.update(own[1:] if not any(at in found.rejects for at in own) else ())
            continue
        for at in own:
            others = [columns["file"][other] for other in own if other != at]
            reason = f"{columns['object_id'][at]} has other images: {_listed(others)}"
            found.rejects.setdefault(at, ("same_id_other_image", reason))


def _says_nothing_new(rows: pa.Table, groups: list[list[int]], ids: list[str], found: SortedOut) -> set[int]:
    """Return rows of further sources that repeat an object's image and add nothing to its first row."""
    pairs: list[tuple[int, int]] = []
    for group in groups:
        first: dict[str, int] = {}
        for at in group:
            if at not in found.rejects and at not in found.repeated and first.setdefault(ids[at], at) != at:
                pairs.append((first[ids[at]], at))
    if not pairs:
        return set()
    firsts, laters = (pa.array(side, pa.int64()) for side in zip(*pairs, strict=True))
    known = pa.array([True] * len(pairs))
    for name in rows.column_names:
        if name not in _IDENTITY:
            ours, theirs = rows[name].take(firsts), rows[name].take(laters)
            equal = pc.fill_null(pc.equal(ours, theirs), False)
            known = pc.and_(known, pc.or_(pc.is_null(theirs), equal))
    return {at for (_, at), same in zip(pairs, known.to_pylist(), strict=True) if same}


def _listed(names: Sequence[str]) -> str:
    more = len(names) - OTHERS_NAMED
    return ", ".join(names[:OTHERS_NAMED]) + (f" and {more:,} more" if more > 0 else "")


class _Sets:
    """Disjoint sets."""

    def __init__(self) -> None:
        self._above: dict[Hashable, Hashable] = {}

    def root(self, one: Hashable) -> Hashable:
        path = [one]
        while (above := self._above.get(path[-1], path[-1])) != path[-1]:
            path.append(above)
        self._above.update(dict.fromkeys(path, path[-1]))
        return path[-1]

    def join(self, one: Hashable, other: Hashable) -> None:
        self._above[self.root(other)] = self.root(one)


def taken(rows: Iterable[int], count: int) -> pa.Array:
    """Return a mask of all rows but these."""
    mask = np.ones(count, dtype=bool)
    mask[list(rows)] = False
    return pa.array(mask)
