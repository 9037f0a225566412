"""Where the sky is on a survey tile: positions in ICRS to pixels, whatever frame, axes and distortion its WCS has."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray

from galclass.errors import CutoutError

Pixels = tuple[NDArray[np.float64], NDArray[np.float64]]

NODE_PX = 16
"""Pixels of a cutout between two positions that are computed; those between them are interpolated, to 0.001 px."""
_ROUND_TRIP_PX = 0.1
_DISTORTED_PX = 1000
"""Pixels that a distortion may move a position by, where a tile is a small part of a detector."""
_FAR = -1e9


class TileWcs:
    """The celestial WCS of a tile.

    Parameters
    ----------
    header : astropy Header
    hdus : astropy HDUList
        May hold tables of distortions.
    shape : (int, int)
        Height and width of the tile.
    label : str
        What errors call it.

    Raises
    ------
    CutoutError
        unsupported, where it has no celestial WCS on its first two axes, or one that cannot be used.
    """

    def __init__(self, header: Any, hdus: Any, shape: tuple[int, int], label: str) -> None:
        from astropy.wcs import WCS

        self.height, self.width = shape
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of obsolete keywords
                whole = WCS(header, hdus)
                self._wcs = whole.celestial
        except Exception as error:  # wcslib has an error for each of its checks; the header is all that it was given
            reason = " ".join(str(error).split())[-120:]
            raise CutoutError("unsupported", f"{label}: its WCS cannot be used: {reason}") from error
        if not self._wcs.has_celestial:
            raise CutoutError("unsupported", f"{label}: no celestial WCS")
        if {whole.wcs.lng, whole.wcs.lat} != {0, 1}:
            raise CutoutError("unsupported", f"{label}: its first two axes are not those of the sky")
        self._latitude_first = self._wcs.wcs.lat == 0
        self._frame = _frame(self._wcs, label)

    def pixels(self, ra: NDArray[np.float64], dec: NDArray[np.float64]) -> Pixels:
        """Return x and y (from 0) of positions in degrees (ICRS); NaN for those that the tile cannot show.

        Raises nothing: a distortion that has no inverse far from the tile is one of these.
        """
        world = self._in_frame(ra, dec)
        with np.errstate(invalid="ignore"):
            x, y = self._wcs.wcs_world2pix(*world, 0)
        if not self._wcs.has_distortion:
            return x, y
        # only near the tile: elsewhere the polynomials mean nothing, and the search for their inverse fails
        near = np.abs(x - self.width / 2) < self.width + _DISTORTED_PX
        near &= np.abs(y - self.height / 2) < self.height + _DISTORTED_PX
        x, y, straight = np.where(near, x, np.nan), np.where(near, y, np.nan), (x[near], y[near])
        if near.any():
            found = self._wcs.all_world2pix(*(axis[near] for axis in world), 0, quiet=True)
            back = self._wcs.pix2foc(*found, 0)
            with np.errstate(invalid="ignore"):
                off = np.hypot(back[0] - straight[0], back[1] - straight[1])
            x[near], y[near] = (np.where(off < _ROUND_TRIP_PX, axis, np.nan) for axis in found)
        return x, y

    def on_grid(self, grid: Any, size_px: int) -> Pixels:
        """Return x and y of every pixel of another grid (RA, Dec, ICRS), each (size_px, size_px)."""
        count = -(-(size_px - 1) // NODE_PX) + 1
        nodes = np.linspace(0, size_px - 1, count)
        rows, columns = np.meshgrid(nodes, nodes, indexing="ij")
        found = self.pixels(*grid.wcs_pix2world(columns.ravel(), rows.ravel(), 0))
        at = np.arange(size_px)
        weights = np.maximum(0, 1 - np.abs(at[:, None] - nodes) / (nodes[1] - nodes[0]))
        x, y = (weights @ np.nan_to_num(axis, nan=_FAR).reshape(count, count) @ weights.T for axis in found)
        return x, y

    def holds(self, x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Return which pixels lie on the tile."""
        found: NDArray[np.bool_] = (x > -0.5) & (x < self.width - 0.5) & (y > -0.5) & (y < self.height - 0.5)
        return found

    def _in_frame(self, ra: NDArray[np.float64], dec: NDArray[np.float64]) -> Pixels:
        longitude, latitude = ra, dec
        if self._frame is not None:
            from astropy.coordinates import SkyCoord

            known = np.isfinite(ra) & np.isfinite(dec)
            there = SkyCoord(ra[known], dec[known], unit="deg", frame="icrs").transform_to(self._frame).spherical
            longitude, latitude = np.full(ra.shape, np.nan), np.full(ra.shape, np.nan)
            longitude[known], latitude[known] = there.lon.deg, there.lat.deg
        return (latitude, longitude) if self._latitude_first else (longitude, latitude)


def _frame(wcs: Any, label: str) -> Any:
    """Return the frame of a WCS; None for ICRS and for FK5 at J2000, which is the same to 0.03 arcsec."""
    from astropy.coordinates import FK5, ICRS
    from astropy.wcs.utils import wcs_to_celestial_frame

    if wcs.wcs.lngtyp.strip() not in ("RA", "GLON"):  # astropy takes ecliptic coordinates for equatorial ones
        kinds = ", ".join(wcs.wcs.ctype)
        raise CutoutError("unsupported", f"{label}: its WCS ({kinds}) has neither equatorial nor galactic coordinates")
    frame = wcs_to_celestial_frame(wcs)
    return None if isinstance(frame, ICRS) or (isinstance(frame, FK5) and frame.equinox.jyear == 2000) else frame
