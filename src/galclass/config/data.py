"""The sections of the configuration that say where data comes from and how it is prepared."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from galclass.config.strict import STRICT


@dataclass(frozen=True)
class DownloadConfig:
    """Where the images and the catalog come from.

    Attributes
    ----------
    source : str
        Name of a source in the manifest ("sample" is bundled).
    manifest : str or None
        A TOML manifest of more sources, added to the bundled one.
    parallel : int
        Files fetched at a time.
    retries : int
        Tries after the first, per URL, as long as no byte is gained.
    requests_per_s, bytes_per_s : float or None
        Polite rates; None does not limit.
    read_timeout_s : float
        Longest silence of a server.
    """

    __pydantic_config__ = STRICT

    source: str = "sample"
    manifest: str | None = None
    parallel: int = 4
    retries: int = 5
    requests_per_s: float | None = None
    bytes_per_s: float | None = None
    read_timeout_s: float = 60.0


@dataclass(frozen=True)
class SourceConfig:
    """One source of images and labels among several that go into one store.

    Attributes
    ----------
    name : str
        Goes into the index as `source`.
    images, catalog, mapping : str
        As in `PrepareConfig`; `~` and `${NAME}` of the environment are filled in.
    catalog_format : str
        "auto" or the name of a catalog reader.
    id_column, label_column, file_column, ra_column, dec_column : str or None
        Columns of a generic table; None looks for the usual names.
    table : str or None
        Which table of a FITS file or VOTable with several: number or name; None takes the first.
    labels : dict of str to str
        Label of the table -> class, gz2_class or coarse label; "" for labels that say nothing about our classes.
    votes : dict of str to str
        Vote column of a generic table -> gz2_hart16 name, e.g. t01_smooth_or_features_a01_smooth_fraction.
    id_prefix : str
        Put before each object id, where two sources number different objects alike.
    frame_px, stored_px : int or None
        Side of the survey's frame and of the files in px; None: each file is a full frame.
    validation : float or None
        Fraction of this source's objects for validation, in place of `PrepareConfig.validation`; training gets what
        it leaves, and the test split stays the same objects.
    """

    __pydantic_config__ = STRICT

    name: str
    images: str
    catalog: str
    mapping: str | None = None
    catalog_format: str = "auto"
    id_column: str | None = None
    label_column: str | None = None
    file_column: str | None = None
    ra_column: str | None = None
    dec_column: str | None = None
    table: str | None = None
    labels: dict[str, str] = field(default_factory=dict)
    votes: dict[str, str] = field(default_factory=dict)
    id_prefix: str = ""
    frame_px: int | None = None
    stored_px: int | None = None
    validation: float | None = None


@dataclass(frozen=True)
class ImagesConfig:
    """Image files of one's own: what `prepare` and `predict` read.

    Attributes
    ----------
    max_decode_s : float
        Longest decode of a file by its header, in processor seconds; a file of up to 64 KiB may take a quarter of it.
    hdu : str, int or None
        The HDU with the image in FITS files: its name ("SCI", or "SCI,2" with EXTVER) or number from 0; None takes
        three that are named by bands, else SCI, else the first with an image.
    """

    __pydantic_config__ = STRICT

    max_decode_s: float = 10.0
    hdu: str | int | None = None


@dataclass(frozen=True)
class PrepareConfig:
    """How images become cutouts and objects become splits.

    Attributes
    ----------
    images, catalog, mapping : str or None
        A folder or archive of images, a catalog and a file mapping; None takes them from the download.
    sources : tuple of SourceConfig
        Several sources for one store, instead of images and catalog.
    catalog_format : str
        "auto" or the name of a catalog reader.
    id_column, label_column, file_column, ra_column, dec_column, table, labels, votes
        As in `SourceConfig`; for this catalog, and for those of `images add` and `download cutouts`.
    size_px : int
        Side of the model's input in px.
    crop_fraction : float
        Side of the crop as a fraction of the frame, in (0, 1].
    stored_px, frame_px : int or None
        Side of the files and of the survey's frame in px; None: from the source, or each file is a full frame.
    train, validation, test : float
        Fractions of the objects; they sum to 1.
    split_ids : str or None
        A folder with train.txt, validation.txt and test.txt, or some of them, one object id (with its prefix) a line:
        the objects named there are in that split, whatever the fractions say.
    limit : int or None
        Take the first so many objects only (by a seeded shuffle).
    max_rejects : float
        Largest share of rejected files, in [0, 1], before the stage fails.
    processes : int
        Worker processes; 0 takes one per core.
    duplicates : str
        How objects that share an image are treated, by its bytes or its pixels: "reject" leaves them all out; "keep"
        keeps them, with the split of the smallest object id (as text) for all.
    """

    __pydantic_config__ = STRICT

    images: str | None = None
    catalog: str | None = None
    mapping: str | None = None
    catalog_format: str = "auto"
    id_column: str | None = None
    label_column: str | None = None
    file_column: str | None = None
    ra_column: str | None = None
    dec_column: str | None = None
    table: str | None = None
    labels: dict[str, str] = field(default_factory=dict)
    votes: dict[str, str] = field(default_factory=dict)
    sources: tuple[SourceConfig, ...] = ()
    size_px: int = 64
    crop_fraction: float = 204 / 424
    stored_px: int | None = None
    frame_px: int | None = None
    train: float = 0.70
    validation: float = 0.15
    test: float = 0.15
    split_ids: str | None = None
    limit: int | None = None
    max_rejects: float = 0.05
    processes: int = 0
    duplicates: Literal["reject", "keep"] = "reject"
