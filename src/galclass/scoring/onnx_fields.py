"""What each message of an ONNX file may contain: which fields, of which type, how often, and what excludes what.

Anything that two readers may interpret differently is refused: a single-valued field that occurs twice, values of two
kinds in one attribute or tensor, numbers that are cut to 32 bits.
"""

from __future__ import annotations

from collections.abc import Collection
from types import MappingProxyType

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5

_WIRES = MappingProxyType({"int": {VARINT, BYTES}, "float": {FIXED32, BYTES}, "double": {FIXED64, BYTES}})
_SCALARS = MappingProxyType({"one int": {VARINT}, "one float": {FIXED32}, "bytes": {BYTES}} | dict(_WIRES))
REFUSED = "!"

MESSAGES = MappingProxyType({
    "model": {
        **dict.fromkeys((1, 5), "one int"), **dict.fromkeys((2, 3, 4, 6), "bytes"),
        7: "graph", 8: "opset", 14: "metadata",
        20: "!training information", 25: "!functions of its own", 26: "!device configurations",
    },
    "opset": {1: "domain", 2: "one int"},
    "metadata": {1: "bytes", 2: "bytes"},
    "graph": {
        1: "node", 5: "initializer", 11: "value", 15: "!sparse initialisers",
        **dict.fromkeys((2, 10, 12, 13, 14, 16), "bytes"),
    },
    "node": {
        **dict.fromkeys((3, 6, 8, 9), "bytes"),
        1: "input", 2: "output", 4: "operator", 5: "attribute", 7: "domain", 10: "!device configurations",
    },
    "attribute": {
        **dict.fromkeys((1, 4, 9, 13, 14, 15), "bytes"), 21: "!attributes that stand for others",
        2: "one float", 3: "one int", 20: "one int", 7: "float", 8: "int",
        5: "tensor", 10: "tensor", 6: "graph", 11: "graph", 22: "!sparse tensors", 23: "!sparse tensors",
    },
    "tensor": {
        1: "dimensions", 2: "type", 3: "!tensors in segments", 8: "name", 12: "bytes", 16: "bytes",
        4: "float data", 5: "int data", 7: "long data", 9: "raw data", 10: "double data", 11: "unsigned data",
        6: "!texts",
        13: "!external data (tensors in other files)", 14: "location",
    },
})  # fmt: skip
"""Allowed fields of each message: field number -> how it is checked; "!" before what is refused, and why."""

ONCE = MappingProxyType({
    "model": frozenset({7}),
    "opset": frozenset({1, 2}),
    "graph": frozenset(),
    "node": frozenset({3, 4, 7, 8}),
    "attribute": frozenset({1, 2, 3, 4, 5, 6, 14, 20, 21}),
    "tensor": frozenset({2, 8, 9, 14}),
})  # fmt: skip
"""Single-valued fields: of several values some readers use the last, and messages are merged."""

_KINDS = MappingProxyType({2: 1, 3: 2, 4: 3, 5: 4, 6: 5, 7: 6, 8: 7, 9: 8, 10: 9, 11: 10, 14: 13, 15: 14})
"""Field of an attribute that contains a value -> the declared type."""

TEXT_TYPE = 8
LARGEST_TYPE = 64
"""Possible types of elements; larger numbers are cut to 32 bits and become others."""


def fault_of_attribute(fields: Collection[int], kind: int | None) -> str | None:
    """Return why an attribute is refused, to follow "it has"; None if it has one value of the declared type.

    Parameters
    ----------
    fields : collection of int
        Numbers of its fields.
    kind : int or None
        The declared type; 0 or None if there is none, as in the first version of ONNX's format.
    """
    kinds = {_KINDS[number] for number in fields if number in _KINDS}
    if len(kinds) > 1:
        return "values of several kinds in one attribute"
    if kind and kinds - {kind}:
        return "an attribute of another type than declared"
    return None


def wires_of(rule: str) -> set[int]:
    """Return the wire types that a field may have."""
    if rule in _SCALARS:
        return _SCALARS[rule]
    if rule == "dimensions":
        return _WIRES["int"]
    if rule in ("location", "type"):
        return {VARINT}
    return {VARINT, FIXED64, BYTES, FIXED32} if rule.endswith(" data") else {BYTES}
