"""Sky cutout services: how each is queried for a square colour image round a position.

Returns URLs; fetches nothing. Parameters as the services document them:
SDSS ImgCutout (skyserver.sdss.org/dr18/en/help/docs/api.aspx#imgcutout), the Legacy Survey viewer
(legacysurvey.org/viewer/urls) and CDS hips2fits (alasky.cds.unistra.fr/hips-image-services/hips2fits).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from urllib.parse import urlencode

from galclass.errors import DownloadError

GZ2_SIZE_PX = 424
GZ2_SCALE_PER_PETROR90 = 0.02  # arcsec per px for each arcsec of petroR90_r: Willett et al. 2013, section 2
SDSS_ARCSEC_PER_PX = 0.396127


@dataclass(frozen=True)
class Cutout:
    """What to request: the centre in degrees (ICRS), the side in px and the scale in arcsec per px."""

    ra_deg: float
    dec_deg: float
    size_px: int
    arcsec_per_px: float


@dataclass(frozen=True)
class CutoutService:
    """One service.

    Attributes
    ----------
    name, title, citation : str
        What it is called here, what it is, what to cite.
    base_url : str
        Address without a query.
    requests_per_s : float
        A polite rate.
    size_px : tuple of int
        Smallest and largest side it draws.
    query : callable
        Gives the parameters of a `Cutout` on a layer.
    layer : str
        Which survey it draws, where it has several.
    """

    name: str
    title: str
    citation: str
    base_url: str
    requests_per_s: float
    size_px: tuple[int, int]
    query: Callable[[Cutout, str], Mapping[str, str]]
    layer: str = ""

    def url(self, cutout: Cutout, *, base_url: str | None = None, layer: str | None = None) -> str:
        """Return the URL of a cutout.

        Raises
        ------
        DownloadError
            If the service does not support this size.
        """
        low, high = self.size_px
        if not low <= cutout.size_px <= high:
            raise DownloadError(
                f"{self.name} does not support this size", expected=f"{low} to {high} px", got=f"{cutout.size_px} px"
            )
        return f"{base_url or self.base_url}?{urlencode(self.query(cutout, layer or self.layer))}"


def _sdss(cutout: Cutout, layer: str) -> Mapping[str, str]:
    return {**_position(cutout), "scale": _number(cutout.arcsec_per_px), **_sides(cutout)}


def _legacy(cutout: Cutout, layer: str) -> Mapping[str, str]:
    scale = _number(cutout.arcsec_per_px)
    return {**_position(cutout), "layer": layer, "pixscale": scale, "size": str(cutout.size_px)}


def _hips2fits(cutout: Cutout, layer: str) -> Mapping[str, str]:
    fov_deg = cutout.size_px * cutout.arcsec_per_px / 3600
    projection = {"projection": "TAN", "coordsys": "icrs", "format": "jpg"}
    return {"hips": layer, **_position(cutout), "fov": _number(fov_deg), **_sides(cutout), **projection}


def _position(cutout: Cutout) -> Mapping[str, str]:
    return {"ra": _number(cutout.ra_deg), "dec": _number(cutout.dec_deg)}


def _sides(cutout: Cutout) -> Mapping[str, str]:
    return {"width": str(cutout.size_px), "height": str(cutout.size_px)}


def _number(value: float) -> str:
    return f"{value:.8f}".rstrip("0").rstrip(".")


SERVICES: Mapping[str, CutoutService] = MappingProxyType(
    {
        service.name: service
        for service in (
            CutoutService(
                name="sdss",
                title="SDSS ImgCutout",
                citation="Sloan Digital Sky Survey, SkyServer ImgCutout",
                base_url="https://skyserver.sdss.org/dr18/SkyServerWS/ImgCutout/getjpeg",
                requests_per_s=2.0,
                size_px=(64, 2048),
                query=_sdss,
            ),
            CutoutService(
                name="legacy",
                title="DESI Legacy Imaging Surveys viewer",
                citation="Dey et al. 2019, AJ 157, 168; legacysurvey.org",
                base_url="https://www.legacysurvey.org/viewer/jpeg-cutout",
                requests_per_s=2.0,
                size_px=(1, 3000),
                query=_legacy,
                layer="ls-dr10",
            ),
            CutoutService(
                name="hips2fits",
                title="CDS hips2fits",
                citation="This research made use of hips2fits, a service provided by CDS",
                base_url="https://alasky.cds.unistra.fr/hips-image-services/hips2fits",
                requests_per_s=4.0,
                size_px=(1, 7000),
                query=_hips2fits,
                layer="CDS/P/SDSS9/color",
            ),
        )
    }
)
"""The services by name."""
