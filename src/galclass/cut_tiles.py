"""Survey tiles, one band each, read in parts: only the pixels near an object leave the disk."""

from __future__ import annotations

import mmap
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, cast

import cv2
import numpy as np
from numpy.typing import NDArray

from galclass.cut_wcs import TileWcs
from galclass.cutouts.fits import check_whole, with_blanks
from galclass.cutouts.fits_images import find_image
from galclass.cutouts.fits_layout import Hdu, read_layout
from galclass.errors import CutoutError, Rejection
from galclass.extras import require

_MEASURED = np.float32(0.5)
"""Least share of a pixel that was measured: it has the mean of this; with less it was not measured."""


class Band:
    """One band of a tile that stays on the disk.

    Parameters
    ----------
    path : Path
    hdus : astropy HDUList
    hdu : Hdu
    plane : int or None
    """

    def __init__(self, path: Path, hdus: Any, hdu: Hdu, plane: int | None) -> None:
        self._hdu, self._about, self._plane = hdus[hdu.number], hdu, plane
        height, width = hdu.shape[-2:]
        self._wcs = TileWcs(self._hdu.header, hdus, (height, width), hdu.label)

    def holds(self, ra: NDArray[np.float64], dec: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Return which positions (degrees, ICRS) lie on the tile; one of NaN does not."""
        return self._wcs.holds(*self._wcs.pixels(ra, dec))

    def on_grid(self, grid: Any, size_px: int) -> NDArray[np.float32]:
        """Return the band on another grid, (size_px, size_px), row 0 the bottom; NaN where nothing was measured.

        Raises
        ------
        Rejection
            partly_outside.
        """
        x, y = self._wcs.on_grid(grid, size_px)
        inside = self._wcs.holds(x, y)
        if not inside.all():
            share = 1 - inside.mean()
            raise Rejection("partly_outside", f"{max(share, 0.001):.1%} of the cutout are outside the tile")
        middle = size_px // 2
        step = max(1, round(max(np.hypot(np.diff(x[middle]).mean(), np.diff(y[middle]).mean()), 1)))
        left, bottom = max(int(x.min()) - 1 - step, 0), max(int(y.min()) - 1 - step, 0)
        right, top = min(int(x.max()) + 2 + step, self._wcs.width), min(int(y.max()) + 2 + step, self._wcs.height)
        part = self._part(slice(bottom, top), slice(left, right))
        at = (x - left).astype(np.float32), (y - bottom).astype(np.float32)
        known = np.isfinite(part)
        if known.all():
            return _sampled(part, at, step)
        share = _sampled(known.astype(np.float32), at, step)
        values = _sampled(np.where(known, part, np.float32(0)), at, step)
        return np.where(share >= _MEASURED, values / np.maximum(share, _MEASURED), np.float32(np.nan))

    def _part(self, rows: slice, columns: slice) -> NDArray[np.float32]:
        leading: list[int] = [0] * (len(self._about.shape) - 2)
        if self._plane is not None:
            leading[-1] = self._plane
        values = self._hdu.section[(*leading, rows, columns)]
        return with_blanks(np.asarray(values), self._about).astype(np.float32)


def _sampled(part: NDArray[np.float32], at: Sequence[NDArray[np.float32]], step: int) -> NDArray[np.float32]:
    """Return pixels at positions; as means of step x step where these are further apart, so that no light is lost."""
    x, y = at
    if step > 1:
        part = cast(NDArray[np.float32], cv2.blur(part, (step, step), borderType=cv2.BORDER_REPLICATE))
    if step % 2 == 0:  # the mean of an even number of pixels lies between two: cv2 writes it to the latter
        x, y = x + np.float32(0.5), y + np.float32(0.5)
    return cast(NDArray[np.float32], cv2.remap(part, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE))


class _Mapped:
    """A file as bytes that are read where they are looked at."""

    def __init__(self, path: Path) -> None:
        with path.open("rb") as file:
            self._map = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)

    def __enter__(self) -> _Mapped:
        return self

    def __exit__(self, *_: object) -> None:
        self._map.close()

    def __len__(self) -> int:
        return len(self._map)

    def __getitem__(self, at: slice) -> bytes:
        return self._map[at]

    def startswith(self, start: bytes, at: int) -> bool:
        return self._map[at : at + len(start)] == start


def open_bands(paths: Sequence[Path], files: ExitStack, hdu: str | None = None) -> list[Band]:
    """Open the one band or three of a tile; `files` closes them.

    Raises
    ------
    CutoutError
        If a file is no FITS image with a celestial WCS, or three files are not one band each.
    """
    require("astro", what="a FITS tile", modules=("astropy",))
    from astropy.io import fits

    bands: list[Band] = []
    for path in paths:
        with path.open("rb") as file:
            packed = file.read(2) == b"\x1f\x8b"
        if packed:
            raise CutoutError(
                "unsupported", "a compressed tile cannot be read in parts", where=str(path), advice="gunzip it"
            )
        if not path.stat().st_size:
            raise CutoutError("empty", "the file is empty", where=str(path))
        try:
            with _Mapped(path) as content:
                image = find_image(read_layout(content), hdu)  # type: ignore[arg-type]  # as much of bytes as it needs
                check_whole(image, len(content))
            hdus = files.enter_context(fits.open(path))  # memmap=True would refuse BSCALE, BZERO and BLANK
            found = [Band(path, hdus, part, plane) for part, plane in image.parts if plane != -1]
        except CutoutError as error:
            raise CutoutError(error.code, f"{path}: {error.what}") from error
        if len(paths) > 1 and len(found) != 1:
            raise CutoutError("unsupported", "a tile of several is to hold one band", where=str(path), got=len(found))
        bands += found
    if len(bands) not in (1, 3):
        raise CutoutError("unsupported", "an image needs one band or three", where=str(paths[0]), got=len(bands))
    return bands
