"""The typed tree of a Net# program: the output of `parse` and input of `print_text`.

Nodes are frozen and compare by content, not position, so that text -> tree -> text -> tree is the identity.
Grouped declarations (`hidden { ... }`, `const { ... }`) are stored as the single declarations they stand for.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, TypeAlias


@dataclass(frozen=True)
class Position:
    """Position in the text; line and column count from 1."""

    line: int
    column: int


NOWHERE = Position(1, 1)


@dataclass(frozen=True)
class Node:
    """Base of all nodes; `position` is that of the node's first character."""

    position: Position = field(default=NOWHERE, compare=False, repr=False, kw_only=True)


@dataclass(frozen=True)
class Number(Node):
    """An integer or real literal, never negative (a minus sign is a `Unary`)."""

    value: int | float


@dataclass(frozen=True)
class Boolean(Node):
    """`true` or `false`."""

    value: bool


@dataclass(frozen=True)
class Name(Node):
    """A constant's name, or an index tuple's name inside a predicate."""

    name: str


@dataclass(frozen=True)
class Tuple(Node):
    """`[a, b, ...]`."""

    items: tuple[Expression, ...]


@dataclass(frozen=True)
class Unary(Node):
    """`-x`, `+x` or `!x`."""

    operator: str
    operand: Expression


@dataclass(frozen=True)
class Binary(Node):
    """`left operator right`."""

    operator: str
    left: Expression
    right: Expression


@dataclass(frozen=True)
class Index(Node):
    """`base[index]`."""

    base: Expression
    index: Expression


@dataclass(frozen=True)
class Call(Node):
    """`abs(x)`."""

    function: str
    arguments: tuple[Expression, ...]


Expression: TypeAlias = Number | Boolean | Name | Tuple | Unary | Binary | Index | Call


@dataclass(frozen=True)
class Constant(Node):
    """`const name = value;`."""

    name: str
    value: Expression


@dataclass(frozen=True)
class Attribute(Node):
    """`name = value;` inside a bundle's braces."""

    name: str
    value: Expression


@dataclass(frozen=True)
class Predicate(Node):
    """`(source, destination) => condition` of a filtered bundle."""

    source: str
    destination: str
    condition: Expression


BundleKind: TypeAlias = Literal["all", "where", "convolve", "max pool", "mean pool", "response norm"]


@dataclass(frozen=True)
class Bundle(Node):
    """`from source ...`: the connections of one source layer to the layer that contains the bundle."""

    source: str
    kind: BundleKind
    predicate: Predicate | None = None
    attributes: tuple[Attribute, ...] = ()


LayerKind: TypeAlias = Literal["input", "hidden", "output"]


@dataclass(frozen=True)
class Layer(Node):
    """A layer declaration; `shape` is None for `auto`, `activation` is None if it is left out.

    `attributes` are those inside the layer's own braces (`Biases`), in the order of the text.
    """

    kind: LayerKind
    name: str
    shape: Tuple | None
    activation: str | None = None
    bundles: tuple[Bundle, ...] = ()
    attributes: tuple[Attribute, ...] = ()


@dataclass(frozen=True)
class ShareMember(Node):
    """`H` (source None), `A => H` (source "A") or `1 => H` (source "1": the biases)."""

    layer: str
    source: str | None = None


@dataclass(frozen=True)
class Share(Node):
    """`share { member, member, ... }`."""

    members: tuple[ShareMember, ...]


Statement: TypeAlias = Constant | Layer | Share


@dataclass(frozen=True)
class Program(Node):
    """All statements in the order of the text; `text` is kept for error messages only."""

    statements: tuple[Statement, ...]
    text: str = field(default="", compare=False, repr=False)
