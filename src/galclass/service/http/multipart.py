"""Split a multipart/form-data body into its parts; every part is returned or the body is refused by the part's name.

python-multipart finds the parts. What it ignores is done here, with the standard library's mail package:
`filename*` (RFC 5987; RFC 7578 forbids it to clients, but some send it), Content-Transfer-Encoding,
a preamble, blanks after a boundary, and boundaries that it takes for data.
"""

from __future__ import annotations

import binascii
import logging
import quopri
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from email.message import Message
from typing import TYPE_CHECKING, Any

from python_multipart.multipart import MultipartParser

from galclass.errors import RequestError

if TYPE_CHECKING:
    from python_multipart.multipart import MultipartCallbacks

logging.getLogger("python_multipart").addHandler(logging.NullHandler())  # its warnings are our refusals

_MAX_HEADERS = 16
"""Headers of one part; each may have 4 kB."""

_MAX_PARAMETERS = 32
"""Parameters of a Content-Disposition; the mail package takes quadratic time in their number."""

_BLANKS = re.compile(rb"[ \t]+(?=\r\n)")

_CHARSETS = {"": "utf-8", "utf-8": "utf-8", "us-ascii": "utf-8", "iso-8859-1": "latin-1"}
"""Character sets of `filename*`; RFC 5987 names two, and ASCII is in both."""

_AS_IT_IS = frozenset({"", "7bit", "8bit", "binary"})


@dataclass
class Part:
    """One part of an upload.

    Attributes
    ----------
    number : int
        From 1, in the order of the body.
    headers : list of (name, value)
        Names in lower case, values with one character per byte.
    data : bytes
        Without its transfer encoding.
    name, filename : str or None
        Of Content-Disposition; None where it has none.
    """

    number: int
    headers: list[tuple[str, str]] = field(default_factory=list)
    data: bytes = b""
    name: str | None = None
    filename: str | None = None

    @property
    def label(self) -> str:
        """Its name in refusals, without its content."""
        name = "" if self.name is None else f" ({self.name[:40]!r})"
        return f"part {self.number}{name}"

    @property
    def content_type(self) -> str:
        """Media type in lower case, without parameters; "" where none is given."""
        return self.header("content-type").partition(";")[0].strip().lower()

    def header(self, name: str) -> str:
        """Return a header's value; "" where it is not there.

        Raises
        ------
        RequestError
            `bad_multipart`, if it is there twice.
        """
        values = [value for key, value in self.headers if key == name]
        if len(values) > 1:
            raise self.refusal("bad_multipart", f"two headers {name}")
        return values[0].strip() if values else ""

    def refusal(self, code: str, what: str, **facts: Any) -> RequestError:
        """Return the refusal of the whole body because of this part."""
        return RequestError(code, what, where=self.label, field=self.label, **facts)


def split_multipart(body: bytes, boundary: bytes, max_parts: int) -> list[Part]:
    """Return the parts of a body in their order.

    Parameters
    ----------
    body : bytes
    boundary : bytes
        From Content-Type, without quotes.
    max_parts : int
        More are refused before they are split.

    Raises
    ------
    RequestError
        `bad_multipart`, `incomplete_body`, `too_many_images`, `unsupported_type`.
    """
    if not boundary:
        raise RequestError("bad_multipart", "no boundary", field="Content-Type")
    delimiter = b"--" + boundary
    lines = _lines(body, delimiter, max_parts + 1)
    first = next((offset for offset in lines if offset == 0 or body[offset - 2 : offset - 1] == b"\r"), None)
    if first is None:
        raise RequestError(
            "bad_multipart",
            "the boundary of the Content-Type begins no line of the upload",
            advice="lines end in CR LF" if lines else None,
            field="body",
        )
    collected = _Collected()
    try:
        parser = MultipartParser(boundary, collected.callbacks(), max_header_count=_MAX_HEADERS)
        parser.write(_plain_lines(body, delimiter, lines)[first:])
        parser.finalize()
    except ValueError as error:  # the parser's own errors are ValueErrors
        if isinstance(error, RequestError):
            raise
        where = f"part {max(1, len(collected.parts))}"
        raise RequestError(
            "bad_multipart", "the upload is malformed", where=where, got=str(error), field=where
        ) from error
    if not collected.ended:
        raise RequestError("incomplete_body", "the upload ends before its last boundary", field="body")
    parts = collected.parts
    _check_lines(len(lines), len(parts))
    for part in parts:
        _read_headers(part)
    return parts


class _Collected:
    """Collects what the parser finds."""

    def __init__(self) -> None:
        self.parts: list[Part] = []
        self.ended = False
        self._name = self._value = b""
        self._data: list[bytes] = []

    def callbacks(self) -> MultipartCallbacks:
        return {
            "on_part_begin": self._on_part_begin,
            "on_header_field": self._on_header_field,
            "on_header_value": self._on_header_value,
            "on_header_end": self._on_header_end,
            "on_part_data": self._on_part_data,
            "on_part_end": self._on_part_end,
            "on_end": self._on_end,
        }

    def _on_part_begin(self) -> None:
        self.parts.append(Part(len(self.parts) + 1))
        self._name = self._value = b""
        self._data = []

    def _on_header_field(self, data: bytes, start: int, end: int) -> None:
        self._name += data[start:end]

    def _on_header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _on_header_end(self) -> None:
        self.parts[-1].headers.append((self._name.decode("latin-1").lower(), self._value.decode("latin-1")))
        self._name = self._value = b""

    def _on_part_data(self, data: bytes, start: int, end: int) -> None:
        self._data.append(data[start:end])

    def _on_part_end(self) -> None:
        self.parts[-1].data = b"".join(self._data)

    def _on_end(self) -> None:
        self.ended = True


def _lines(body: bytes, delimiter: bytes, most: int) -> list[int]:
    """Return where the lines begin that begin with the delimiter.

    Raises
    ------
    RequestError
        `too_many_images`, if there are more than `most`.
    """
    found = [0] if body.startswith(delimiter) else []
    offset = body.find(b"\n" + delimiter)
    while offset >= 0:
        found.append(offset + 1)
        if len(found) > most:
            raise RequestError(
                "too_many_images", "too many parts in one upload", expected=f"at most {most - 1}", field="body"
            )
        offset = body.find(b"\n" + delimiter, offset + 1)
    return found


def _plain_lines(body: bytes, delimiter: bytes, lines: list[int]) -> bytes:
    """Take the blanks from the ends of boundary lines (RFC 2046 lets gateways add them), which the parser does not."""
    pieces, done = [], 0
    for offset in lines:
        end = offset + len(delimiter)
        blanks = _BLANKS.match(body, end)
        if blanks is not None:
            pieces.append(body[done:end])
            done = blanks.end()
    return b"".join([*pieces, body[done:]]) if pieces else body


def _check_lines(found: int, parts: int) -> None:
    """Refuse a body with boundaries that the parser took for data, or that stand after the last one.

    Lines that end in LF alone, and parts after the end, would go into another part's data or be passed over.
    """
    if found != parts + 1:
        raise RequestError(
            "bad_multipart",
            "boundary lines that divide no parts",
            expected=f"{parts + 1} boundary lines for {parts} parts",
            got=found,
            advice="lines end in CR LF, nothing follows the last boundary, and no part may hold the boundary",
            field="body",
        )


def _read_headers(part: Part) -> None:
    """Fill in name and file name, and undo the transfer encoding."""
    disposition = part.header("content-disposition")
    if not disposition:
        raise part.refusal("bad_multipart", "it has no Content-Disposition")
    values: dict[str, list[tuple[bool, str]]] = {"name": [], "filename": []}
    for key, extended, value in _parameters(part, disposition):
        if key in values:
            values[key].append((extended, value))
    part.name = _only(part, "name", values["name"])
    part.filename = _only(part, "file name", values["filename"])
    if part.content_type.startswith("multipart/"):
        raise part.refusal("unsupported_type", "it is a multipart of its own", advice="send each file as a part")
    if part.header("content-encoding").lower() not in ("", "identity"):
        raise part.refusal("unsupported_type", "it has a Content-Encoding", advice="send the image as it is")
    part.data = _decoded(part)


def _only(part: Part, what: str, values: list[tuple[bool, str]]) -> str | None:
    """Return the one value, or of a plain and an extended one the extended, which has every character (RFC 6266)."""
    extended = [value for is_extended, value in values if is_extended]
    plain = [value for is_extended, value in values if not is_extended]
    if len(extended) > 1 or len(plain) > 1:
        raise part.refusal("bad_multipart", f"it has two values of its {what}")
    return next(iter(extended or plain), None)


def _parameters(part: Part, header: str) -> Iterator[tuple[str, bool, str]]:
    """Yield (name in lower case, whether it is an extended one, value) of a header's parameters."""
    if header.count(";") > _MAX_PARAMETERS:
        raise part.refusal("bad_multipart", "its Content-Disposition has too many parameters")
    message = Message()
    message["Content-Disposition"] = header
    try:
        found = message.get_params([], "content-disposition")
    except (ValueError, LookupError, AttributeError) as error:  # what the mail package raises on a hostile header
        raise part.refusal("bad_multipart", "its Content-Disposition cannot be read") from error
    for key, value in found[1:]:
        if isinstance(value, tuple):
            yield key.lower(), True, _extended(part, value)
        else:
            yield key.lower(), False, _plain(value)


def _extended(part: Part, value: tuple[str | None, str | None, str]) -> str:
    charset, _, text = value
    encoding = _CHARSETS.get((charset or "").lower())
    if encoding is None:
        raise part.refusal("bad_multipart", "the file name's character set is unknown", expected="UTF-8 or ISO-8859-1")
    try:
        return text.encode("latin-1").decode(encoding)
    except UnicodeError as error:
        raise part.refusal("bad_multipart", f"the file name is not {charset or 'UTF-8'}") from error


def _plain(value: str) -> str:
    """Decode a quoted value: UTF-8 as browsers send it, else Latin-1; they write a double quote as %22."""
    data = value.encode("latin-1")
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        text = value
    return text.replace("%22", '"')


def _decoded(part: Part) -> bytes:
    encoding = part.header("content-transfer-encoding").lower()
    if encoding in _AS_IT_IS:
        return part.data
    if encoding == "quoted-printable":
        return quopri.decodestring(part.data)
    if encoding != "base64":
        raise part.refusal(
            "unsupported_type", "unknown Content-Transfer-Encoding", expected="base64, quoted-printable or none"
        )
    try:
        return binascii.a2b_base64(part.data.translate(None, b" \t\r\n"), strict_mode=True) if part.data else b""
    except binascii.Error as error:
        raise part.refusal("bad_base64", "it is not base64, as its Content-Transfer-Encoding says") from error
