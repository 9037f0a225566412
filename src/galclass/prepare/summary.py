"""What the prepare stage did, as one record that prints as one line."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class FileCounts:
    """Outcome for the files of the sources: `seen` is the sum of the other five.

    Attributes
    ----------
    seen : int
    prepared : int
        With an object in the index.
    rejected : int
        In `rejects.parquet`.
    repeated : int
        The same image of the same object as another file.
    unused : int
        Images that belong to no chosen catalog row.
    skipped : int
        Files that are not images, or are in unsupported formats.
    skipped_files : str
        Kinds, counts and names of the skipped files.
    lost : tuple of str
        Skipped images without an image of the same name in a format that is read.
    """

    seen: int
    prepared: int
    rejected: int
    repeated: int
    unused: int
    skipped: int
    skipped_files: str = ""
    lost: tuple[str, ...] = ()

    @classmethod
    def from_facts(cls, facts: Mapping[str, Any] | None) -> FileCounts | None:
        """Build from plain values; None where an older version prepared the folder."""
        return None if facts is None else cls(**{**facts, "lost": tuple(facts["lost"])})

    def __str__(self) -> str:
        parts = [f"{self.prepared:,} prepared", f"{self.rejected:,} rejected"]
        parts += [f"{self.repeated:,} repeated"] if self.repeated else []
        parts += [f"{self.unused:,} without a catalog row"] if self.unused else []
        parts += [f"{self.skipped:,} skipped"]
        line = f"files: {self.seen:,} seen = {' + '.join(parts)}"
        return f"{line}\nskipped: {self.skipped_files}" if self.skipped else line


@dataclass(frozen=True)
class PrepareSummary:
    """What the stage did.

    Attributes
    ----------
    folder : Path
    objects, rejects : int
        Objects in the index; catalog rows and files left out, in `rejects.parquet`.
    without_image : int
        Catalog rows for which there is no image file; they are not rejects.
    cut : int
        Files decoded by this run.
    seconds : float
    labelled : int or None
        Objects with a label or votes; None where an older version prepared them.
    columns : tuple of str
        Columns of the catalogs, where no object has a label.
    truncated : int
        Objects whose file was cut off after its first scans and is shown at the quality that was left.
    repeated : int
        Rows left out because they repeat the same image of the same object.
    kept_groups : int
        Images that several objects share, kept by `prepare.duplicates`.
    files : FileCounts or None
        None where an older version prepared them.
    remarks : tuple of str
        What a user should know of the catalogs' rows that stayed, such as labels whose votes end early.
    """

    folder: Path
    objects: int
    rejects: int
    without_image: int
    cut: int
    seconds: float
    labelled: int | None = None
    columns: tuple[str, ...] = ()
    truncated: int = 0
    repeated: int = 0
    kept_groups: int = 0
    files: FileCounts | None = None
    remarks: tuple[str, ...] = ()

    @property
    def complete(self) -> bool:
        """Whether nothing was rejected and no image was skipped for its format."""
        return not (self.rejects or (self.files is not None and self.files.lost))

    @property
    def images_per_s(self) -> float:
        """Files decoded per second of the whole stage."""
        return self.cut / self.seconds if self.seconds > 0 else 0.0

    def __str__(self) -> str:
        counts = f"{self.objects} cutouts, {self.rejects} rejects"
        if self.labelled is not None:
            counts += f", {self.labelled} with a label"
        if self.without_image:
            counts += f", {self.without_image} catalog rows without an image"
        if self.truncated:
            counts += f", {self.truncated} from files that were cut off (flag truncated)"
        if self.repeated:
            counts += f", {self.repeated} repeated rows of the same image and object"
        if self.kept_groups:
            counts += f", {self.kept_groups} images shared by several objects"
        done = f"{self.seconds:.1f} s, {self.images_per_s:.0f} images/s" if self.cut else "nothing to cut"
        line = f"prepare: {counts}, {done}, {self.folder}"
        if self.files is not None and self.files.seen != self.files.prepared:
            line += f"\n{self.files}"
        if self.labelled == 0:
            shown = ", ".join(self.columns[:12])
            line += f"\nno labels in the columns {shown}: name theirs with label_column in [[prepare.sources]]"
        return "\n".join((line, *self.remarks))
