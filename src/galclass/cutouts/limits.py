"""How much work one image file may ask of its decoder, and which HDU of a FITS file is the image.

Work is processor time in seconds, estimated from header and markers alone (the constants are in `jpeg`, `png` and
`bmp`, each an upper bound that was measured): it is the same for the same bytes on every machine.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from galclass.errors import CutoutError

MAX_BYTES = 32 * 1024 * 1024
"""Largest file in bytes; a survey frame has 10-500 kB."""
MAX_PIXELS = 25_000_000
"""Largest width times height: 5,000 x 5,000 px; more is refused before decoding."""
MIN_SIDE_PX = 32
"""Smallest width and height in px."""
MAX_SEGMENTS = 2000
"""Most segments of a JPEG and chunks of a PNG, besides one for each 4 KiB; real files have a few dozen."""

SMALL_BYTES = 64 * 1024
"""Up to this size a file has a quarter of the decode time of the largest; above it, the time grows with the size."""


@dataclass(frozen=True)
class DecodeLimits:
    """How long a decode may take by what the file's header says, and what is read of files that hold several images.

    Attributes
    ----------
    max_decode_s : float
        Estimated processor seconds of one core; files up to 64 KiB may take a quarter of it.
    setting : str
        The configuration key that changes it; a refusal names it.
    trusted : bool
        Whether the files are one's own: some decompressors of FITS are safe for these alone.
    hdu : str or None
        The HDU of a FITS file that is the image, by name (EXTNAME, or EXTNAME,EXTVER) or by number from 0; None: the
        usual one. Files of other kinds have none.
    """

    max_decode_s: float
    setting: str
    trusted: bool = True
    hdu: str | None = None

    def with_seconds(self, max_decode_s: float) -> DecodeLimits:
        """Return the same limits with another time, as the configuration says."""
        return replace(self, max_decode_s=max_decode_s)

    def with_hdu(self, hdu: str | int | None) -> DecodeLimits:
        """Return the same limits for files whose image is this HDU, as the configuration says."""
        return replace(self, hdu=None if hdu is None else str(hdu))

    def seconds_for(self, size_bytes: int) -> float:
        """Return the longest decode of a file of this size in bytes."""
        return self.max_decode_s * min(1.0, 0.25 * max(1.0, size_bytes / SMALL_BYTES))

    def check(self, decode_s: float, size_bytes: int) -> None:
        """Refuse a file whose decode would take too long.

        Raises
        ------
        CutoutError
            With code too_costly.
        """
        allowed = self.seconds_for(size_bytes)
        if decode_s > allowed:
            raise CutoutError(
                "too_costly",
                f"a file of {size_bytes:,} bytes takes too long to decode",
                expected=f"at most {allowed:.2f} s by its header",
                got=f"{decode_s:.2f} s",
                advice=f"save the image as a baseline JPEG or a plain PNG, or raise {self.setting}",
            )


LOCAL = DecodeLimits(10.0, "images.max_decode_s")
"""For files of one's own on the command line: prepare, predict, images add."""
SERVED = DecodeLimits(1.0, "serve.max_decode_s", trusted=False)
"""For images that others send: HTTP and SQL."""


def check_size(width: int, height: int) -> None:
    """Refuse an image that is too small or too large.

    Parameters
    ----------
    width, height : int
        In px.

    Raises
    ------
    CutoutError
        With code too_small or too_large.
    """
    if min(width, height) >= MIN_SIDE_PX and width * height <= MAX_PIXELS:
        return
    size = f"{width} x {height} px"
    if min(width, height) < MIN_SIDE_PX:
        raise CutoutError("too_small", "the image is too small", expected=f">= {MIN_SIDE_PX} px on a side", got=size)
    raise CutoutError("too_large", "the image is too large", expected=f"<= {MAX_PIXELS} pixels", got=size)
