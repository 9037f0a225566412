"""What `decode` leaves to Pillow: JPEG of unusual sampling."""

from __future__ import annotations

from io import BytesIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from galclass.cutouts.facts import Header
from galclass.errors import CutoutError

_APP0, _ADOBE, _APP15, _COMMENT, _SOS = 0xE0, 0xEE, 0xEF, 0xFE, 0xDA


def decode_jpeg(data: bytes, header: Header, reduction: int) -> NDArray[np.uint8]:
    """Decode a JPEG at 1 / reduction of its size, for the samplings that the fast decoder refuses.

    Returns
    -------
    uint8, (ceil(height / reduction), ceil(width / reduction), 3 or 4)
        RGB, or CMYK as stored.

    Raises
    ------
    CutoutError
        truncated or corrupt.
    """
    try:
        with Image.open(BytesIO(_without_metadata(data)), formats=("JPEG",)) as image:
            image.draft(None, (-(-header.width // reduction), -(-header.height // reduction)))
            image.load()
            if header.components == 4:  # Pillow turns every CMYK round
                return 255 - np.asarray(image)
            return np.asarray(image.convert("RGB"))
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        if "truncated" in str(error):
            raise CutoutError("truncated", "the JPEG ends before its last pixel", got=str(error)) from error
        raise CutoutError("corrupt", "the JPEG is damaged", got=str(error) or type(error).__name__) from error


def _without_metadata(data: bytes) -> bytes:
    """Return a JPEG without what Pillow would read besides pixels: EXIF, several images, profiles, comments.

    One directory of EXIF that names the same bytes again and again takes a gigabyte. What says the colours stays.
    """
    kept, position = [data[:2]], 2
    while position + 4 <= len(data) and data[position] == 0xFF and data[position + 1] != _SOS:
        marker = data[position + 1]
        if marker in (0x01, 0xFF) or 0xD0 <= marker <= 0xD7:  # neither has a length
            position += 1 if marker == 0xFF else 2
            continue
        end = position + 2 + int.from_bytes(data[position + 2 : position + 4], "big")
        colours = marker == _ADOBE or (marker == _APP0 and data[position + 4 : position + 8] == b"JFIF")
        if colours or not (_APP0 <= marker <= _APP15 or marker == _COMMENT):
            kept.append(data[position:end])
        position = end
    return b"".join([*kept, data[position:]])
