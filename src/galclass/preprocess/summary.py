"""What the prepare stage did, as one record that prints as one line."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


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
        done = f"{self.seconds:.1f} s, {self.images_per_s:.0f} images/s" if self.cut else "nothing to cut"
        line = f"prepare: {counts}, {done}, {self.folder}"
        if self.labelled == 0:
            shown = ", ".join(self.columns[:12])
            line += f"\nno labels in the columns {shown}: name theirs with label_column in [[prepare.sources]]"
        return line
