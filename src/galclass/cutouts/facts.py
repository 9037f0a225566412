"""What a file's header says, as one record."""

from __future__ import annotations

from typing import Literal, NamedTuple

ImageFormat = Literal["jpeg", "png", "bmp", "fits"]


class Header(NamedTuple):
    """Format, size and decode work of an image file.

    Attributes
    ----------
    format : "jpeg", "png", "bmp" or "fits"
    width, height : int
        In px, as stored (before the EXIF orientation); of a FITS image as shown, north up.
    components : int
        Colour components of a JPEG: 1 grey, 3 colour, 4 CMYK; 0 for the other formats.
    orientation : int
        EXIF orientation, 1..8; 1 where the file has none.
    inverted : bool
        Whether a CMYK JPEG holds 255 less the ink, as Adobe's programs write it.
    decode_s : float
        Upper estimate of the processor seconds that decoding takes on one core, from header and markers alone.
    samplings : tuple of (int, int)
        Across and down for each component of a JPEG.
    ends : tuple of int
        For a progressive JPEG that was cut off after its first scans: the offsets where it may be ended, best first.
    """

    format: ImageFormat
    width: int
    height: int
    components: int = 0
    orientation: int = 1
    inverted: bool = False
    decode_s: float = 0.0
    samplings: tuple[tuple[int, int], ...] = ()
    ends: tuple[int, ...] = ()

    @property
    def truncated(self) -> bool:
        """Whether the file was cut off and can be read to a lower quality."""
        return bool(self.ends)
