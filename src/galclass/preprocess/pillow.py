"""What `decode` leaves to Pillow: JPEG of unusual sampling."""

from __future__ import annotations

from io import BytesIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from galclass.errors import CutoutError
from galclass.preprocess.facts import Header


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
        with Image.open(BytesIO(data), formats=("JPEG",)) as image:
            image.draft(None, (-(-header.width // reduction), -(-header.height // reduction)))
            image.load()
            if header.components == 4:  # Pillow turns every CMYK round
                return 255 - np.asarray(image)
            return np.asarray(image.convert("RGB"))
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        if "truncated" in str(error):
            raise CutoutError("truncated", "the JPEG ends before its last pixel", got=str(error)) from error
        raise CutoutError("corrupt", "the JPEG is damaged", got=str(error) or type(error).__name__) from error
