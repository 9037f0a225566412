"""Cutouts of a catalog's objects from survey tiles: one FITS file, or one for each of three bands.

Takes tiles with a celestial WCS and positions, writes a PNG or FITS file for each object on a grid of its own:
north up, east left, the object in the middle. A tile is read where an object lies, so that its size does not matter.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from galclass.atomic_files import write_bytes
from galclass.catalog import CatalogColumns, CatalogReport, read_catalog
from galclass.cut_folder import REJECTS, CutPosition, check_settings, keep_positions, write_rejects
from galclass.cut_tiles import Band, open_bands
from galclass.cutouts import render_bands
from galclass.cutouts.arrays import png_bytes
from galclass.errors import CatalogError, Rejection
from galclass.image_names import file_stem_of

SCALE_PER_PETROR90 = 0.02
"""Arcsec a pixel for each arcsec of petroR90_r, as Galaxy Zoo 2 had it (Willett et al. 2013)."""
FORMATS = ("png", "fits")


@dataclass(frozen=True)
class CutRequest:
    """What to cut.

    Attributes
    ----------
    tiles : sequence of Path
        One FITS file (a band, a cube or HDUs of bands), or three: those that become red, green and blue (i, r, g).
    catalog, output : Path
        A table with ra and dec in degrees; a folder.
    size_px : int
        Side of each cutout.
    size_arcsec : float or None
        Side of every cutout on the sky.
    size_column : str or None
        Column with the side in arcsec; without either it is 0.02 petroR90_r times `size_px`.
    format : str
        "png": drawn by the asinh stretch; "fits": the fluxes with their WCS.
    columns : CatalogColumns
    hdu : str or None
        Name or number of the HDU of each tile; None: those that are named by bands, SCI, or the first image.
    """

    tiles: Sequence[Path]
    catalog: Path
    output: Path
    size_px: int = 424
    size_arcsec: float | None = None
    size_column: str | None = None
    format: str = "png"
    columns: CatalogColumns = field(default_factory=CatalogColumns)
    hdu: str | None = None


@dataclass
class CutSummary:
    """What was cut: objects of the catalog, those cut now, those there before, the others by reason, and remarks."""

    output: Path
    objects: int = 0
    made: int = 0
    already_there: int = 0
    seconds: float = 0.0
    rejects: Counter[str] = field(default_factory=Counter)
    remarks: tuple[str, ...] = ()

    def __str__(self) -> str:
        why = "".join(f" + {count:,} {code}" for code, count in self.rejects.most_common())
        reasons = f", reasons in {self.output / REJECTS}" if self.rejects else ""
        counts = f"{self.objects:,} objects = {self.made:,} cut + {self.already_there:,} already there{why}"
        remarks = "".join(f"catalog: {remark}\n" for remark in self.remarks)
        return f"{remarks}cut: {counts}, {self.seconds:.1f} s, in {self.output}{reasons}"


def cut(request: CutRequest, advance: Callable[[int, int], None] = lambda done, total: None) -> CutSummary:
    """Cut every object of a catalog out of a tile; what is there already stays, unless the catalog moved the object.

    Parameters
    ----------
    request : CutRequest
    advance : callable
        Called with the number of objects done and the total.

    Raises
    ------
    CutoutError
        If the tile cannot be read.
    CatalogError
        If the catalog has no positions or sizes, or the folder was made with other settings.
    """
    with ExitStack() as files:
        return _cut_all(request, open_bands(request.tiles, files, request.hdu), advance)


def _cut_all(request: CutRequest, bands: Sequence[Band], advance: Callable[[int, int], None]) -> CutSummary:
    started = time.perf_counter()
    report = CatalogReport()
    table = read_catalog(request.catalog, columns=request.columns, report=report, any_label=True)
    scales = list(_scales(request, table))
    request.output.mkdir(parents=True, exist_ok=True)
    check_settings(request.output, _settings(request))
    summary = CutSummary(request.output, len(table) + len(report.rejects), remarks=report.remarks)
    rejects = [(one.object_id or "", one.code, one.reason) for one in report.rejects]
    ids, ra, dec = (table[name].to_pylist() for name in ("object_id", "ra", "dec"))
    positions = [CutPosition(*each) for each in zip(ids, ra, dec, scales, strict=True)]
    paths = list(_paths(request, ids))
    wanted = {path.name: position for path, position in zip(paths, positions, strict=True) if path is not None}
    foreign = keep_positions(request.output, wanted)
    held = _held(bands, ra, dec)
    for number, (path, position, here) in enumerate(zip(paths, positions, held, strict=True)):
        try:
            if path is None:
                raise Rejection("bad_name", "its id is too long for a file name")
            if path.name in foreign:
                raise Rejection("name_taken", f"{path.name} already exists and was not made by this command")
            if path.exists() and path.stat().st_size:  # a power cut may leave an empty file
                summary.already_there += 1
            else:
                _cut_one(request, bands, position, path, held=here)
                summary.made += 1
        except Rejection as error:
            rejects.append((position.object_id, error.code, error.what))
        advance(number + 1, len(ids))
    summary.rejects = Counter(code for _, code, _ in rejects)
    write_rejects(request.output, rejects)
    summary.seconds = time.perf_counter() - started
    return summary


def _scales(request: CutRequest, table: pa.Table) -> Iterator[float | None]:
    """Yield the arcsec per pixel of each object; None if it has no size.

    Raises
    ------
    CatalogError
        If the catalog has no positions, or no sizes where they are needed.
    """
    where, names = str(request.catalog), table.column_names
    if not {"ra", "dec"} <= set(names):
        raise CatalogError(
            "no positions", where=where, expected="ra and dec", advice="name them with --ra-column, --dec-column"
        )
    if request.size_arcsec is not None:
        yield from [request.size_arcsec / request.size_px] * len(table)
        return
    name = request.size_column or "petroR90_r"
    if name not in names:
        raise CatalogError(
            f"no column {name}", where=where, advice="name one with --size-column, or pass --size-arcsec"
        )
    factor = 1 / request.size_px if request.size_column else SCALE_PER_PETROR90
    for value in table[name].to_pylist():
        try:
            size = float(value) * factor if value is not None else 0.0
        except ValueError:
            size = 0.0
        yield size if np.isfinite(size) and size > 0 else None


def _paths(request: CutRequest, object_ids: Sequence[str]) -> Iterator[Path | None]:
    """Yield the file of each object; None where its id is too long for a file name."""
    taken: set[str] = set()
    for object_id in object_ids:
        stem = file_stem_of(object_id, taken)
        if stem is not None:
            taken.add(stem.casefold())
        yield None if stem is None else request.output / f"{stem}.{request.format}"


def _held(bands: Sequence[Band], ra: Sequence[float | None], dec: Sequence[float | None]) -> list[bool]:
    """Return which objects lie on every band; most of a survey's catalog lie elsewhere."""
    at = np.array(ra, np.float64), np.array(dec, np.float64)
    return [bool(each) for each in np.logical_and.reduce([band.holds(*at) for band in bands])]


def _cut_one(request: CutRequest, bands: Sequence[Band], position: CutPosition, path: Path, *, held: bool) -> None:
    _, ra, dec, scale = position
    if ra is None or dec is None:
        raise Rejection("no_position", "it has no position")
    if scale is None:
        raise Rejection("no_size", "its size is missing or not positive")
    if not held:
        raise Rejection("outside", "the object is outside the tile")
    grid = _grid(ra, dec, scale, request.size_px)
    planes = [band.on_grid(grid, request.size_px) for band in bands]
    if any(np.isnan(plane).all() for plane in planes):
        raise Rejection("no_content", "the tile has no measured pixel where the object is")
    if request.format == "png":
        content = png_bytes(render_bands(planes)[::-1])
    else:
        content = _fits_bytes(np.stack(planes) if len(planes) > 1 else planes[0], grid)
    write_bytes(path, content, lasting=False)


def _grid(ra: float, dec: float, scale: float, size_px: int) -> Any:
    from astropy.wcs import WCS

    grid = WCS(naxis=2)
    grid.wcs.ctype = ["RA---TAN", "DEC--TAN"]
    grid.wcs.crval = [ra, dec]
    grid.wcs.crpix = [(size_px + 1) / 2] * 2
    grid.wcs.cdelt = [-scale / 3600, scale / 3600]
    return grid


def _fits_bytes(values: NDArray[np.float32], grid: Any) -> bytes:
    from io import BytesIO

    from astropy.io import fits

    sink = BytesIO()
    fits.PrimaryHDU(values, grid.to_header()).writeto(sink)
    return sink.getvalue()


def _settings(request: CutRequest) -> Mapping[str, Any]:
    tiles = [[str(path.resolve()), path.stat().st_size, path.stat().st_mtime_ns] for path in request.tiles]
    return {
        "tiles": tiles, "size_px": request.size_px, "size_arcsec": request.size_arcsec,
        "size_column": request.size_column, "format": request.format,
        "hdu": request.hdu,
    }  # fmt: skip
