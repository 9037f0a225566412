"""The markers of a JPEG: frame, components, orientation, scans, and what decoding them costs.

Takes bytes, returns a `Header`. An ordinary file (one scan of all components) is read up to its first scan only; of the
others every marker is looked at, since each scan is a pass over the image.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple, NoReturn

import numpy as np

from galclass.cutouts.exif import EXIF_START, orientation_of
from galclass.cutouts.facts import Header
from galclass.cutouts.limits import MAX_SEGMENTS, check_size
from galclass.errors import CutoutError

MAX_SCANS = 200
"""Most scans of a JPEG; real ones have about ten, hostile ones thousands."""
PIXEL_S = 7e-9
"""Seconds for one pixel of the output: inverse DCT, colours, upsampling."""
BYTE_S = 18e-9
"""Seconds for one byte of a file with one scan."""
PROGRESSIVE_BYTE_S = 38e-9
"""Seconds for one byte of a file with several scans."""
BLOCK_S = 8e-9
"""Seconds for one 8 x 8 block of a file with one scan, besides its pixels and bytes."""
BLOCK_SCAN_S = 20e-9
"""Seconds for one block in one of several scans."""
REFINED_S = 1e-9
"""Seconds for one coefficient of a block in a scan that refines them: each is looked at."""
RESTART_S = 40e-9
"""Seconds for one restart marker that is due, whether it is there or not."""
CMYK_PIXEL_S = 30e-9
"""Seconds for one pixel of the output of four colours."""
LINE_S = 2e-6
"""Seconds for one line of pixels."""
SCAN_S = 10e-6
"""Seconds for one scan, however small."""

_EOI, _SOS, _DNL, _DRI, _APP1, _ADOBE = 0xD9, 0xDA, 0xDC, 0xDD, 0xE1, 0xEE
_FRAMES = frozenset({0xC0, 0xC1, 0xC2})
_FOREIGN_FRAMES = {
    **dict.fromkeys(
        (0xC3, 0xC5, 0xC6, 0xC7, 0xCB, 0xCD, 0xCE, 0xCF), "lossless and hierarchical JPEG are not supported"
    ),
    **dict.fromkeys((0xC9, 0xCA), "JPEG with arithmetic coding is not supported"),
}
_PROGRESSIVE = 0xC2
_WITHOUT_LENGTH = frozenset({0x01, *range(0xD0, 0xD8)})
_XMP_START = b"http://ns.adobe.com/xap/1.0/\x00"
_SPECIAL = frozenset({*_FRAMES, *_FOREIGN_FRAMES, _SOS, _EOI, _DRI, _APP1, _ADOBE, 0xD8})


class Frame(NamedTuple):
    """What a frame header says.

    Attributes
    ----------
    progressive : bool
    width, height : int
    samplings : tuple of (int, int)
        Across and down, for each component.
    ids : tuple of int
        Names of the components.
    all_blocks : int
        8 x 8 blocks of all components.
    output_s : float
        Estimated seconds for the blocks and pixels, without bytes and further scans.
    """

    progressive: bool
    width: int
    height: int
    samplings: tuple[tuple[int, int], ...]
    ids: tuple[int, ...]
    all_blocks: int
    output_s: float

    def blocks(self, components: tuple[int, ...]) -> int:
        """Count the blocks of some components, those that fill up the last units included."""
        across = max(h for h, _ in self.samplings)
        down = max(v for _, v in self.samplings)
        units = -(-self.width // (8 * across)) * -(-self.height // (8 * down))
        return units * sum(self.samplings[k][0] * self.samplings[k][1] for k in components)


def read_jpeg(data: bytes) -> Header:
    """Read size, colours, orientation and decode work of a JPEG.

    Raises
    ------
    CutoutError
        With code truncated, corrupt, unsupported or too_costly.
    """
    frame: Frame | None = None
    exif: list[bytes] = []  # a block of more than 64 kB goes on in the next segment
    xmp, inverted, restart = b"", False, 0
    position, end = 2, len(data)
    for _ in range(MAX_SEGMENTS + end // 4096):
        if position + 4 > end:
            break
        marker = data[position + 1]
        if data[position] != 0xFF:
            raise CutoutError("corrupt", "a JPEG segment does not start with a marker", where=f"byte {position}")
        if marker == 0xFF or marker in _WITHOUT_LENGTH:
            position += 1 if marker == 0xFF else 2
            continue
        length = data[position + 2] << 8 | data[position + 3]
        if marker in _SPECIAL:
            if marker == _SOS and frame is not None:
                if position + 4 == end:
                    break
                turned = orientation_of(b"".join(exif), xmp) if exif or xmp else 1
                return _with_scans(data, position, frame, turned, inverted, restart)
            body = data[position + 4 : position + 2 + length]
            if marker in _FRAMES:
                frame = _frame(data, position, frame)
            elif marker in _FOREIGN_FRAMES:
                raise CutoutError("unsupported", _FOREIGN_FRAMES[marker], got=f"SOF{marker - 0xC0}")
            elif marker in (_SOS, _EOI, 0xD8):
                _no_frame(position)
            elif marker == _DRI:
                restart = int.from_bytes(body[:2], "big")
            elif marker == _ADOBE:
                inverted = inverted or body.startswith(b"Adobe")
            elif body.startswith(EXIF_START):
                exif.append(body[6:])
            elif body.startswith(_XMP_START):
                xmp = body
        if length < 2:
            _no_frame(position)
        position += 2 + length
    else:
        _too_many_segments(end)
    what = "frame header" if frame is None else "first scan"
    raise CutoutError("truncated", f"the JPEG ends before its {what}", got=f"{end} bytes")


def _no_frame(position: int) -> NoReturn:
    raise CutoutError("corrupt", "a JPEG without a frame header", where=f"byte {position}")


def _too_many_segments(size: int) -> NoReturn:
    most = MAX_SEGMENTS + size // 4096
    raise CutoutError("too_costly", "the JPEG has too many segments", expected=f"<= {most}", got="more")


def _frame(data: bytes, position: int, before: Frame | None) -> Frame:
    if before is not None:
        raise CutoutError("corrupt", "a JPEG with two frame headers", where=f"byte {position}")
    if position + 10 > len(data) or position + 10 + 3 * data[position + 9] > len(data):
        raise CutoutError("truncated", "the JPEG ends inside its frame header", got=f"{len(data)} bytes")
    return _parsed_frame(data[position + 1 : position + 10 + 3 * data[position + 9]])


@lru_cache(maxsize=256)
def _parsed_frame(body: bytes) -> Frame:
    """Read a frame header from its marker code on; kept for the next file, since a survey has one kind of frame."""
    marker, bits, components = body[0], body[3], body[8]
    if components not in (1, 3, 4):
        raise CutoutError("unsupported", "a JPEG that is neither grey, colour nor CMYK", got=f"{components} components")
    if bits != 8:
        raise CutoutError("unsupported", "JPEG with more than 8 bits per sample", got=f"{bits} bits")
    height, width = body[4] << 8 | body[5], body[6] << 8 | body[7]
    if height == 0:
        raise CutoutError(
            "unsupported", "a JPEG that names its height only after the first scan (DNL) is not supported"
        )
    check_size(width, height)
    samplings = tuple((byte >> 4, byte & 15) for byte in body[10::3])
    if components == 1:  # alone in its scans, its blocks are coded one by one whatever its sampling
        samplings = ((1, 1),) if samplings[0][0] in range(1, 5) and samplings[0][1] in range(1, 5) else samplings
    if not all(1 <= across <= 4 and 1 <= down <= 4 for across, down in samplings):
        raise CutoutError("corrupt", "a JPEG with impossible sampling", expected="1..4 x 1..4", got=samplings)
    if any(max(side) % one for side in zip(*samplings, strict=True) for one in side):
        raise CutoutError("unsupported", "a JPEG whose colours are sampled at fractions of each other", got=samplings)
    frame = Frame(marker == _PROGRESSIVE, width, height, samplings, tuple(body[9::3]), 0, 0.0)
    blocks = frame.blocks(tuple(range(components)))
    work = width * height * (CMYK_PIXEL_S if components == 4 else PIXEL_S) + height * LINE_S + blocks * BLOCK_S
    return frame._replace(all_blocks=blocks, output_s=work)


def _with_scans(data: bytes, position: int, frame: Frame, orientation: int, inverted: bool, restart: int) -> Header:
    """Build the header with what the scans say: work, and whether the file was cut off."""
    components, work = len(frame.ids), frame.output_s
    ends: tuple[int, ...] = ()
    if not frame.progressive and data[position + 4] == components:
        if 8 * (len(data) - position) < 2 * frame.all_blocks:  # each block has a code for its mean and one for its end
            raise CutoutError("truncated", "the JPEG ends before its last pixel", got=f"{len(data)} bytes")
        work += len(data) * BYTE_S + (restart and frame.all_blocks / restart * RESTART_S)
    else:
        scans, cut_at, restart = _scans(data, position, frame, restart)
        scanned = sum(frame.blocks(scan.components) for scan in scans)
        work += len(data) * PROGRESSIVE_BYTE_S + len(scans) * SCAN_S + (restart and scanned / restart * RESTART_S)
        refined = sum(frame.blocks(scan.components) * scan.refined for scan in scans)
        work += (scanned + frame.all_blocks) * BLOCK_SCAN_S + refined * REFINED_S
        if cut_at is not None and frame.progressive:
            work, ends = 2 * work, _ends(scans, cut_at, tuple(range(components)))
        elif cut_at is None and len({k for scan in scans if scan.means for k in scan.components}) < components:
            raise CutoutError("truncated", "the JPEG has no scan of one of its colours", got=f"{len(scans)} scans")
    return Header("jpeg", frame.width, frame.height, components, orientation, inverted, work, frame.samplings, ends)


class Scan(NamedTuple):
    """A scan.

    Attributes
    ----------
    components : tuple of int
    means : bool
        Whether it is the first of the blocks' means.
    refined : int
        Coefficients of a block that it refines.
    stop : int
        Where its data end; 0: at the file's end.
    """

    components: tuple[int, ...]
    means: bool
    refined: int
    stop: int


def _ends(scans: list[Scan], cut_at: int, everything: tuple[int, ...]) -> tuple[int, ...]:
    """Return where a truncated file may be ended: behind what is left, and behind its last whole scan."""
    ends: tuple[int, ...] = (cut_at,)
    if scans and scans[-1].stop == 0:
        whole = [scan for scan in scans if scan.stop]
        ends = (cut_at, whole[-1].stop) if whole else ends
    means = {component for scan in scans for component in scan.components if scan.means}
    if not means.issuperset(everything):
        raise CutoutError("truncated", "the JPEG ends before every colour has its first scan", got=f"{cut_at} bytes")
    whole_means = {component for scan in scans for component in scan.components if scan.means and scan.stop}
    return ends if whole_means.issuperset(everything) else ends[:1]


def _scans(data: bytes, position: int, frame: Frame, restart: int) -> tuple[list[Scan], int | None, int]:
    """List the scans, where the file was cut off (None: it has its end marker), and the shortest restart interval."""
    offsets = _marker_offsets(data, position)
    end = len(data)
    scans: list[Scan] = []
    for _ in range(MAX_SEGMENTS + end // 4096):
        number = int(offsets.searchsorted(position))
        if number >= len(offsets):
            return scans, end, restart
        at = int(offsets[number])
        if scans and scans[-1].stop == 0:
            scans[-1] = scans[-1]._replace(stop=at)
        marker = data[at + 1]
        if marker == _EOI:
            return scans, None, restart
        if marker == _DNL or marker in _FRAMES or marker in _FOREIGN_FRAMES:
            raise CutoutError("corrupt", "a JPEG with two frame headers", where=f"byte {at}")
        position = at + 2 + (data[at + 2] << 8 | data[at + 3] if at + 4 <= end else end)
        if position > end:
            return scans, at, restart
        if marker == _DRI:
            interval = int.from_bytes(data[at + 4 : at + 6], "big")
            restart = min(restart, interval) if restart and interval else restart or interval
        if marker == _SOS:
            scans.append(_scan(data[at + 4 : position], frame))
            if len(scans) > MAX_SCANS:
                raise CutoutError("too_costly", "the JPEG has too many scans", expected=f"<= {MAX_SCANS}", got="more")
    _too_many_segments(end)


def _scan(body: bytes, frame: Frame) -> Scan:
    count = body[0] if body else 0
    names = body[1 : 1 + 2 * count : 2]
    if not 1 <= count <= 4 or len(body) < 4 + 2 * count or not set(names) <= set(frame.ids):
        raise CutoutError("corrupt", "a JPEG with a damaged scan header")
    first, last, approximation = body[1 + 2 * count : 4 + 2 * count]
    refined = max(0, last - first + 1) if approximation >> 4 else 0
    return Scan(tuple(frame.ids.index(name) for name in names), first == 0 and not approximation >> 4, refined, 0)


_PIECE = 1 << 20


def _marker_offsets(data: bytes, start: int) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """Find every FF that a marker code follows: neither a stuffed zero, a fill byte nor a restart marker."""
    view = np.frombuffer(data, np.uint8)
    found = []
    for first in range(start, len(data) - 1, _PIECE):
        at = first + np.flatnonzero(view[first : min(first + _PIECE, len(data) - 1)] == 0xFF)
        code = view[at + 1]
        found.append(at[(code > 1) & (code != 0xFF) & ((code < 0xD0) | (code > 0xD7))])
    return np.concatenate(found) if found else np.empty(0, np.int64)
