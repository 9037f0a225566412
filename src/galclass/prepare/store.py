"""The packed store: every cutout as uint8 in one memory-mapped file, and a table of what is in it.

Takes a folder, returns cutouts by row. `store.u8` holds (slots, side, side, 3) bytes and nothing else;
`index.parquet` has one row an object with the index of its cutout; `prepared.json` the parameters.
Written by `StoreWriter` in chunks: pixels first, then a line of the journal, so that a chunk is
there whole or not at all, whenever the writer or the machine stops.
"""

from __future__ import annotations

import json
import mmap
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from galclass.atomic_files import replacing, wait_for_disk, write_text
from galclass.cutouts.extract import CutoutParameters
from galclass.errors import StoreError
from galclass.prepare.chunks import Reject
from galclass.prepare.journal import Journal, read_lines, write_lines

PIXELS, INDEX, REJECTS, FACTS = "store.u8", "index.parquet", "rejects.parquet", "prepared.json"
PLACES = "places.parquet"
PARTIAL, JOURNAL = "store.u8.partial", "journal.jsonl"
FORMAT_VERSION = 1


class Store:
    """A finished folder of cutouts, read through a memory map.

    Rows count from 0 in the order of `index`.

    Attributes
    ----------
    folder : Path
    facts : dict
        What `prepared.json` says: parameters, side, slots, hashes of the inputs.
    parameters : CutoutParameters
    side_px : int
        Side of a stored cutout: `parameters.size_px` with sky round it, at the same scale.
    """

    def __init__(self, folder: Path, facts: dict[str, Any]) -> None:
        self.folder = folder
        self.facts = facts
        self.parameters = CutoutParameters(int(facts["size_px"]), float(facts["crop_fraction"]))
        self.side_px = int(facts["side_px"])
        shape = (int(facts["places"]), self.side_px, self.side_px, 3)
        self._pixels: NDArray[np.uint8] = _map_pixels(folder / PIXELS, shape)

    @classmethod
    def open(cls, folder: Path | str) -> Store:
        """Open a prepared folder.

        Raises
        ------
        StoreError
            If the folder is not finished, damaged, or made by another version of the algorithm.
        """
        folder = Path(folder)
        facts = read_facts(folder)
        if facts is None:
            raise StoreError(
                "there is no finished store",
                where=str(folder),
                advice="run `galclass prepare`; an interrupted run resumes where it stopped",
            )
        store = cls(folder, facts)
        if facts["preprocessing_sha256"] != store.parameters.sha256:
            raise StoreError(
                "the cutouts were made by another version of the algorithm",
                where=str(folder),
                expected=store.parameters.sha256[:12],
                got=str(facts["preprocessing_sha256"])[:12],
                advice="run `galclass prepare` again",
            )
        return store

    def __len__(self) -> int:
        return len(self._places)

    @cached_property
    def index(self) -> pa.Table:
        """The table of objects: object_id, asset_id, label, split, source, sha256, row, then votes."""
        return pq.read_table(self.folder / INDEX)

    def cutouts(self, rows: Sequence[int] | NDArray[np.integer[Any]] | slice) -> NDArray[np.uint8]:
        """Read stored cutouts: uint8, (n, side_px, side_px, 3), a copy."""
        return self._pixels[self._places[rows]]

    def central(self, rows: Sequence[int] | NDArray[np.integer[Any]] | slice) -> NDArray[np.uint8]:
        """Read the unrotated model input, equal to `cutout`: uint8, (n, size_px, size_px, 3), a copy."""
        margin = (self.side_px - self.parameters.size_px) // 2
        window = slice(margin, margin + self.parameters.size_px)
        return self._pixels[:, window, window][self._places[rows]]

    @cached_property
    def _places(self) -> NDArray[np.int64]:
        slots: NDArray[np.int64] = self.index.column("row").to_numpy()
        return slots


class StoreWriter:
    """Fills a store chunk by chunk; resumes after the last complete chunk when restarted.

    Parameters
    ----------
    folder : Path
        Where the store is to be; made if needed. A finished store in it stays until the new one is whole.
    parameters : CutoutParameters
    slots : int
        How many files there are, rejected ones included.
    inputs_sha256 : str
        Hash of what goes to which slot: the journal of anything else is not resumed but started again.

    Attributes
    ----------
    done : dict of int to dict
        The journal: first slot of a chunk -> its line.
    partial : Path
        The pixel file while it is being filled; cutout k starts at byte k * 3 * store_side_px**2.
    """

    def __init__(self, folder: Path, parameters: CutoutParameters, slots: int, inputs_sha256: str) -> None:
        self.folder = folder
        self.parameters = parameters
        self.slots = slots
        self.partial = folder / PARTIAL
        folder.mkdir(parents=True, exist_ok=True)
        self.done = self._resume({"format": FORMAT_VERSION, "inputs_sha256": inputs_sha256, "places": slots})
        self._journal = Journal(folder / JOURNAL, self.partial)

    @property
    def bytes_per_cutout(self) -> int:
        """Size of one cutout."""
        return 3 * self.parameters.store_side_px**2

    def record(self, first: int, sha256s: Sequence[str | None], rejects: Sequence[Reject]) -> None:
        """Write down that the pixels of a chunk are in the file."""
        line = {"first": first, "sha256": list(sha256s), "rejects": [[r.key, r.code, r.reason] for r in rejects]}
        self.done[first] = line
        self._journal.add(line)

    def finish(self, tables: Mapping[str, pa.Table], facts: Mapping[str, Any]) -> None:
        """Move everything into place, `prepared.json` last: a folder with it is a whole store.

        Parameters
        ----------
        tables : mapping of file name to table
            `index.parquet` with its column `row`, and what else is to be kept.
        facts : mapping
            Added to `prepared.json`.
        """
        self._journal.close()
        with self.partial.open("r+b") as pixels:
            pixels.truncate(self.slots * self.bytes_per_cutout)
            wait_for_disk(pixels.fileno())
        (self.folder / FACTS).unlink(missing_ok=True)
        for name, table in tables.items():
            write_parquet(table, self.folder / name)
        self.partial.replace(self.folder / PIXELS)
        write_facts(self.folder, self._own_facts() | dict(facts))
        (self.folder / JOURNAL).unlink()

    def close(self) -> None:
        """Stop writing; what is recorded stays for the next writer."""
        self._journal.close()

    def _own_facts(self) -> dict[str, Any]:
        return {
            "format": FORMAT_VERSION,
            "size_px": self.parameters.size_px,
            "crop_fraction": self.parameters.crop_fraction,
            "side_px": self.parameters.store_side_px,
            "bytes_per_cutout": self.bytes_per_cutout,
            "places": self.slots,
            "preprocessing_sha256": self.parameters.sha256,
        }

    def _resume(self, start: dict[str, Any]) -> dict[int, dict[str, Any]]:
        journal = self.folder / JOURNAL
        lines = read_lines(journal)
        if self.partial.exists() and lines and lines[0] == start:
            write_lines(journal, lines)  # without a line that was cut off
            return {int(line["first"]): line for line in lines[1:]}
        self.partial.write_bytes(b"")
        write_lines(journal, [start])
        return {}


def read_facts(folder: Path) -> dict[str, Any] | None:
    """Read `prepared.json`; None where the folder holds no finished store."""
    try:
        facts: dict[str, Any] = json.loads((folder / FACTS).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except ValueError as error:
        raise StoreError("the record of the store is damaged", where=str(folder / FACTS)) from error
    return facts


def whole_facts(folder: Path) -> dict[str, Any] | None:
    """Read `prepared.json`; None also where a file that it speaks of is gone or cut off."""
    facts = read_facts(folder)
    if facts is None:
        return None
    try:
        pixels = (folder / PIXELS).stat().st_size
        rows = {name: pq.read_metadata(folder / name).num_rows for name in (INDEX, REJECTS, PLACES)}
    except (OSError, pa.ArrowException):
        return None
    whole = (pixels, rows[PLACES]) == (facts["places"] * facts["bytes_per_cutout"], facts["places"])
    rewritten = not facts.get("inputs_sha256")  # stopped while it wrote other tables for the same pixels
    return facts if whole and (rewritten or rows[INDEX] == facts.get("objects")) else None


def write_facts(folder: Path, facts: dict[str, Any]) -> None:
    """Write `prepared.json`."""
    write_text(folder / FACTS, json.dumps(facts, indent=1) + "\n")


def write_parquet(table: pa.Table, path: Path) -> None:
    """Write a table."""
    with replacing(path) as temporary:
        pq.write_table(table, temporary)


def _map_pixels(path: Path, shape: tuple[int, ...]) -> NDArray[np.uint8]:
    expected = int(np.prod(shape))
    got = path.stat().st_size if path.exists() else None
    if got != expected:
        raise StoreError(
            "the pixel file does not have the recorded size",
            where=str(path),
            expected=f"{expected} bytes",
            got="no file" if got is None else f"{got} bytes",
            advice="delete the folder and run `galclass prepare` again",
        )
    if expected == 0:
        return np.empty(shape, np.uint8)
    with path.open("rb") as file:
        mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    return np.frombuffer(mapped, np.uint8).reshape(shape)
