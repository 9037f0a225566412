"""Read an ONNX file's structure without loading it, and refuse what could reach beyond its own bytes.

onnxruntime opens whatever file an `external_data` entry names, and runs operators of any domain that it was built with.
So every message of the file is visited before a session sees it, wherever tensors and graphs can occur. Whatever is not
known to be harmless is refused, unknown fields included. Does not need the ONNX package, which database servers lack.
The operators allowed in a graph are in `operators`.
"""

from __future__ import annotations

from collections.abc import Iterator

from galclass.errors import ModelError
from galclass.scoring.kernels import Kernels, Span
from galclass.scoring.labels import INPUT_NAME
from galclass.scoring.onnx_fields import (
    BYTES,
    FIXED32,
    FIXED64,
    LARGEST_TYPE,
    MESSAGES,
    ONCE,
    REFUSED,
    TEXT_TYPE,
    VARINT,
    fault_of_attribute,
    wires_of,
)
from galclass.scoring.operators import Node, fault_of

MAX_MODEL_BYTES = 512 << 20
"""Largest model file."""
MAX_FIELDS = 1_000_000
"""Most protobuf fields of a file, including each dimension of a tensor; reading one takes about a microsecond."""
MAX_NODES = 20_000
"""Most operators in all graphs of a file together."""
MAX_DEPTH = 8
"""Deepest nesting of graphs inside attributes."""

_DOMAINS = frozenset({b"", b"ai.onnx"})
_LARGEST_DIMENSION = 1 << 40
_MAX_RANK = 64
_LONGEST_LIST = 640  # bytes of an attribute's numbers; no checked shape is longer
_ATTRIBUTE_TENSOR = 5
_ELEMENTS_PER_BYTE = 4  # of the narrowest type, two bits wide


def check_graph(model: bytes, *, where: str = "model") -> dict[str, str]:
    """Visit every message of an ONNX file.

    Parameters
    ----------
    model : bytes
        At most `MAX_MODEL_BYTES`.
    where : str
        The file's name in errors.

    Returns
    -------
    dict of str to str
        The file's metadata, such as the signature.

    Raises
    ------
    ModelError
        If the bytes are not an ONNX file; if it is too large, nested too deeply or has too many parts; if it has
        external data, sparse tensors, texts, functions or training information; or operators that may run for very long
        or are not ONNX's own.
    """
    if not model:
        raise ModelError("it is empty", where=where, expected="an ONNX file")
    if len(model) > MAX_MODEL_BYTES:
        raise too_large(len(model), where)
    if model[4:8] == b"ORTM":
        raise _damaged(where, "a file in ORT format")
    return _Walk(model, where).metadata()


def too_large(size: int, where: str) -> ModelError:
    """Return the error for a file of more than `MAX_MODEL_BYTES`."""
    return ModelError("it is too large", where=where, expected=f"at most {MAX_MODEL_BYTES:,} bytes", got=f"{size:,}")


class _Walk:
    """One visit of all messages."""

    def __init__(self, model: bytes, where: str) -> None:
        self._model = model
        self._where = where
        self._fields_left = MAX_FIELDS
        self._nodes = 0
        self._metadata: dict[str, str] = {}
        self._kernels = Kernels(self._constant_shape)
        self._convolutions: list[Node] = []
        self._waiting: list[tuple[str, int, int, int]] = []
        self._opsets = 0

    def metadata(self) -> dict[str, str]:
        """Visit everything and return the metadata."""
        graphs = 0
        self._waiting = [("model", 0, len(self._model), 0)]
        while self._waiting:
            kind, start, end, depth = self._waiting.pop()
            graphs += kind == "graph"
            if depth > MAX_DEPTH:
                raise self._refused(f"graphs nested more than {MAX_DEPTH} deep")
            if kind == "metadata":
                self._read_entry(start, end)
            elif kind == "tensor":
                self._check_tensor(start, end)
            elif kind == "initializer":
                self._kernels.add_initializer(*self._check_tensor(start, end))
            elif kind == "node":
                self._check_node(start, end, depth)
            else:
                self._visit(kind, start, end, depth)
        if not graphs:
            raise _damaged(self._where, "it has no graph")
        for node in self._convolutions:  # of weights that may be in any graph, before or after it
            self._check_operator(node, self._kernels.window(node.weights))
        return self._metadata

    def _visit(self, kind: str, start: int, end: int, depth: int) -> None:
        names: set[bytes] = set()
        for rule, low, high in self._checked_fields(kind, start, end):
            if rule == "initializer":
                self._check_name(low, high, names)
            if rule in MESSAGES or rule == "initializer":
                self._waiting.append((rule, low, high, depth + (rule == "graph")))
                if rule == "node":
                    self._nodes += 1
                    if self._nodes > MAX_NODES:
                        raise self._refused(f"more than {MAX_NODES:,} operators")
            elif rule == "domain":
                self._check_domain(low, high)
            elif rule == "value":
                self._note_input(low, high, depth)
        self._opsets += kind == "opset"
        if self._opsets > 1:  # one domain with two names
            raise self._refused("two versions of ONNX's operators")

    def _note_input(self, start: int, end: int, depth: int) -> None:
        """Note the inputs; others of the outer graph are names of initialisers, which old files list there."""
        for number, wire, low, high in self._fields(start, end):
            if number == 1 and wire == BYTES and (depth > 1 or self._model[low:high] == INPUT_NAME.encode()):
                self._kernels.add_input(self._model[low:high])

    def _check_name(self, start: int, end: int, names: set[bytes]) -> None:
        """Refuse a second initialiser of the same name in a graph."""
        name = next((self._model[low:high] for number, _, low, high in self._fields(start, end) if number == 8), b"")
        if name in names:
            raise self._refused(f"two initialisers called {_shown(name)}")
        names.add(name)

    def _check_domain(self, low: int, high: int) -> None:
        if self._model[low:high] not in _DOMAINS:
            raise self._refused(f"operators of the domain {_shown(self._model[low:high])}")

    def _check_node(self, start: int, end: int, depth: int) -> None:
        operator, attributes = "", []
        names: dict[str, list[bytes]] = {"input": [], "output": []}
        for rule, low, high in self._checked_fields("node", start, end):
            if rule == "attribute":
                attributes.append((low, high))
                self._waiting.append((rule, low, high, depth))
            elif rule == "domain":
                self._check_domain(low, high)
            elif rule == "operator":
                operator = self._model[low:high].decode(errors="replace")
            elif rule in names:
                names[rule].append(self._model[low:high])
        numbers = dict(self._numbers(*span) for span in attributes)
        if len(numbers) < len(attributes):
            raise self._refused("two attributes of one name")
        node = Node(operator, tuple(names["input"]), tuple(names["output"]), numbers)
        self._kernels.add_node(node, tuple(attributes))
        if node.is_convolution and not node.kernel:
            self._convolutions.append(node)
        else:
            self._check_operator(node, node.kernel)

    def _check_operator(self, node: Node, kernel: tuple[int, ...]) -> None:
        fault = fault_of(node, kernel)
        if fault is not None:
            raise self._refused(fault)

    def _constant_shape(self, attributes: tuple[Span, ...]) -> tuple[int, ...] | None:
        """Read the shape of a Constant's tensor, already checked; None unless it is one tensor in one piece."""
        tensors = [field for span in attributes for field in self._fields(*span) if field[0] == _ATTRIBUTE_TENSOR]
        if len(attributes) != 1 or len(tensors) != 1:
            return None
        _, _, start, end = tensors[0]
        shape: list[int] = []
        for number, _, low, high in self._fields(start, end):
            if number == 1:
                shape += [low] if high < 0 else self._packed(low, high)
        return tuple(shape)

    def _numbers(self, start: int, end: int) -> tuple[str, tuple[int, ...]]:
        """Read the name of an attribute, and its whole numbers if they are few."""
        name, numbers, kind, fields = "", [], None, set()
        for number, wire, low, high in self._fields(start, end):
            fields.add(number)
            if number == 1 and wire == BYTES:
                name = self._model[low:high].decode(errors="replace")
            elif number in (3, 8) and wire == VARINT:
                numbers.append(low)
            elif number == 8 and wire == BYTES and high - low <= _LONGEST_LIST:
                numbers += self._packed(low, high)
            elif number == 20:
                kind = low
        fault = fault_of_attribute(fields, kind)
        if fault is not None:
            raise self._refused(fault)
        return name, tuple(numbers)

    def _check_tensor(self, start: int, end: int) -> tuple[bytes, tuple[int, ...]]:
        """Check a tensor and return its name and shape."""
        elements, payload, name = 1, 0, b""
        kinds: set[str] = set()
        shape: list[int] = []
        for rule, low, high in self._checked_fields("tensor", start, end):
            if rule.endswith(" data"):
                kinds.add(rule)
                payload += high - low + 1 if high >= 0 else 8
            elif rule == "location" and low != 0:
                raise self._refused("external data (tensors in other files)")
            elif rule == "type" and low == TEXT_TYPE:
                raise self._refused("a string tensor")
            elif rule == "type" and low > LARGEST_TYPE:
                raise self._refused("a tensor of an impossible type")
            elif rule == "name":
                name = self._model[low:high]
            elif rule == "dimensions":
                for length in [low] if high < 0 else self._packed(low, high):
                    if length > _LARGEST_DIMENSION:
                        raise self._refused("a tensor of impossible size")
                    elements = min(elements * length, _LARGEST_DIMENSION)
                    shape.append(length)
                    if len(shape) > _MAX_RANK:
                        raise self._refused(f"a tensor of more than {_MAX_RANK} dimensions")
        if len(kinds) > 1:
            raise self._refused("a tensor with data of several kinds")
        if elements > _ELEMENTS_PER_BYTE * payload:
            raise self._refused("a tensor that is larger than its data")
        return name, tuple(shape)

    def _packed(self, low: int, high: int) -> Iterator[int]:
        while low < high:
            self._count_field()
            value, low = self._varint(low, high)
            yield value

    def _read_entry(self, start: int, end: int) -> None:
        entry = [b"", b""]
        for number, _, low, high in self._fields(start, end):
            if number not in (1, 2) or high < 0:
                raise self._refused(f"the unknown field {number} of metadata")
            if entry[number - 1]:
                raise self._refused(f"field {number} of metadata twice")
            entry[number - 1] = self._model[low:high]
        try:
            key, value = entry[0].decode(), entry[1].decode()
        except UnicodeDecodeError as error:
            raise _damaged(self._where, "metadata that is not text") from error
        if key in self._metadata:
            raise self._refused(f"the metadata {key[:40]!r} twice")
        self._metadata[key] = value

    def _checked_fields(self, kind: str, start: int, end: int) -> Iterator[tuple[str, int, int]]:
        known, once = MESSAGES[kind], ONCE[kind]
        seen: set[int] = set()
        for number, wire, low, high in self._fields(start, end):
            rule = known.get(number)
            if rule is None:
                raise self._refused(f"the unknown field {number} of a {kind}")
            if rule.startswith(REFUSED):
                raise self._refused(rule[1:])
            if wire not in wires_of(rule):
                raise _damaged(self._where, f"field {number} of a {kind} has another type")
            if number in once:
                if number in seen:
                    raise self._refused(f"field {number} of one {kind} twice")
                seen.add(number)
            yield rule, low, high

    def _fields(self, at: int, end: int) -> Iterator[tuple[int, int, int, int]]:
        """Yield (number, wire type, start, end) of each field; for a number (value, -1) instead of start and end."""
        while at < end:
            self._count_field()
            tag, at = self._varint(at, end)
            number, wire = tag >> 3, tag & 7
            if not 0 < number < 1 << 29:
                raise _damaged(self._where, f"field {number}")
            if wire == VARINT:
                value, at = self._varint(at, end)
                yield number, wire, value, -1
                continue
            if wire == BYTES:
                length, at = self._varint(at, end)
            elif wire in (FIXED32, FIXED64):
                length = 4 if wire == FIXED32 else 8
            else:
                raise _damaged(self._where, f"wire type {wire}")
            if length > end - at:
                raise _damaged(self._where, "it ends too early")
            yield number, wire, at, at + length
            at += length

    def _count_field(self) -> None:
        self._fields_left -= 1
        if self._fields_left < 0:
            raise self._refused(f"more than {MAX_FIELDS:,} fields")

    def _varint(self, at: int, end: int) -> tuple[int, int]:
        value = shift = 0
        while at < end and shift < 64:
            byte = self._model[at]
            at += 1
            value |= (byte & 127) << shift
            if value >> 64:
                break
            if byte < 128:
                return value, at
            shift += 7
        too_long = value >> 64 or shift >= 64
        raise _damaged(self._where, "a number of more than 64 bits" if too_long else "it ends too early")

    def _refused(self, what: str) -> ModelError:
        return ModelError(
            f"it has {what}, which is not allowed in models",
            where=self._where,
            advice="export it as one plain ONNX file",
        )


def _damaged(where: str, got: str) -> ModelError:
    return ModelError(
        "it is not an ONNX model that can be run",
        where=where,
        got=got,
        advice="register the model.onnx that `galclass train` writes",
    )


def _shown(name: bytes) -> str:
    return repr(name[:40].decode(errors="replace"))
