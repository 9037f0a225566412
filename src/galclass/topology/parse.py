"""From Net# text to a typed tree; syntax errors name line, column and what was expected, with a caret."""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import Any, cast

from lark import Lark, Token, Transformer, v_args
from lark.exceptions import UnexpectedCharacters, UnexpectedEOF, UnexpectedInput, UnexpectedToken

from galclass.errors import TopologyError
from galclass.topology.faults import fault_at
from galclass.topology.tree import (
    Attribute,
    Binary,
    Boolean,
    Bundle,
    BundleKind,
    Call,
    Constant,
    Expression,
    Index,
    Layer,
    LayerKind,
    Name,
    Number,
    Position,
    Predicate,
    Program,
    Share,
    ShareMember,
    Statement,
    Tuple,
    Unary,
)

_TERMINAL_TEXT = {
    "NAME": "a name",
    "INTEGER": "an integer",
    "REAL": "a number",
    "SEMICOLON": "';'",
    "COMMA": "','",
    "LBRACE": "'{'",
    "RBRACE": "'}'",
    "LSQB": "'['",
    "RSQB": "']'",
    "LPAR": "'('",
    "RPAR": "')'",
    "EQUAL": "'='",
    "$END": "the end of the text",
}
_MAX_DIGITS = 300
_OPERATORS = {"OR", "AND", "EQUALITY", "RELATION", "PLUS", "MINUS", "TIMES", "POWER", "NOT"}


def parse(text: str) -> Program:
    """Parse Net# text.

    Parameters
    ----------
    text : str
        The whole program.

    Returns
    -------
    Program
        The typed tree, with positions. Nothing is checked beyond the grammar: see `galclass.topology.check.check`.

    Raises
    ------
    TopologyError
        On a syntax error, with line, column, what was expected and a caret.
    """
    try:
        tree = _parser().parse(text)
    except UnexpectedInput as error:
        raise _syntax_error(text, error) from None
    statements = _TreeBuilder().transform(tree)
    return Program(statements, text=text)


@cache
def _parser() -> Lark:
    grammar = files("galclass.topology").joinpath("netsharp.lark").read_text(encoding="utf-8")
    return Lark(grammar, parser="lalr", lexer="contextual", propagate_positions=True, maybe_placeholders=False)


def _end_position(text: str) -> Position:
    lines = text.rstrip().split("\n")
    return Position(len(lines), len(lines[-1]) + 1)


def _syntax_error(text: str, error: UnexpectedInput) -> TopologyError:
    if isinstance(error, UnexpectedToken):
        accepted = error.accepts or error.expected
        if error.token.type == "$END":
            position, got = _end_position(text), "the end of the text"
        else:
            position, got = Position(error.line, error.column), f"'{error.token}'"
    elif isinstance(error, UnexpectedCharacters):
        accepted, got = error.allowed or set(), repr(error.char)
        position = Position(error.line, error.column)
    else:
        accepted = set(error.expected) if isinstance(error, UnexpectedEOF) else set()
        position, got = _end_position(text), "the end of the text"
    return fault_at(text, position, "syntax error", expected=_expected_text(set(accepted)), got=got)


def _expected_text(terminals: set[str]) -> str:
    names = set()
    for terminal in terminals - {"__ANON_0", "__ANON_1"}:
        if terminal in _OPERATORS and len(terminals) > 1:
            names.add("an operator")
        elif terminal in _TERMINAL_TEXT:
            names.add(_TERMINAL_TEXT[terminal])
        else:
            names.add(f"'{terminal.lower()}'")
    if terminals & {"__ANON_0", "__ANON_1"}:
        names.add("'=>'")
    if "a number" in names:
        names.discard("an integer")
    ordered = sorted(names, key=lambda name: (name == "an operator", name))
    return " or ".join([", ".join(ordered[:-1]), ordered[-1]]) if len(ordered) > 1 else "".join(ordered)


def _position(meta: Any) -> Position:  # lark's Meta has its attributes only when the node is not empty
    return Position(getattr(meta, "line", 1), getattr(meta, "column", 1))


def _token_position(token: Token) -> Position:
    return Position(token.line or 1, token.column or 1)


@v_args(meta=True)
class _TreeBuilder(Transformer[Token, "tuple[Statement, ...]"]):
    """One method per grammar rule; children are already transformed."""

    def start(self, _meta: Any, children: list[Any]) -> tuple[Statement, ...]:
        statements: list[Statement] = []
        for child in children:
            if isinstance(child, Token):
                continue
            statements.extend(child if isinstance(child, list) else [child])
        return tuple(statements)

    def constant(self, meta: Any, children: list[Any]) -> Constant:
        return Constant(str(children[0]), children[1], position=_position(meta))

    def inputs(self, _meta: Any, children: list[Any]) -> list[Layer]:
        return children[1:]

    def hiddens(self, _meta: Any, children: list[Any]) -> list[Layer]:
        return [_fed_layer("hidden", *child) for child in children[1:]]

    def outputs(self, _meta: Any, children: list[Any]) -> list[Layer]:
        return [_fed_layer("output", *child) for child in children[1:]]

    def input_layer(self, meta: Any, children: list[Any]) -> Layer:
        return Layer("input", str(children[0]), _shape(children[1]), position=_position(meta))

    def plain_layer(self, meta: Any, children: list[Any]) -> tuple[Position, list[Any]]:
        return _position(meta), children

    block_layer = plain_layer

    def auto(self, _meta: Any, _children: list[Any]) -> None:
        return None

    def activation(self, _meta: Any, children: list[Any]) -> Token:
        return cast("Token", children[0])

    def full(self, meta: Any, children: list[Any]) -> Bundle:
        return _bundle("all", meta, children)

    def filtered(self, meta: Any, children: list[Any]) -> Bundle:
        return _bundle("where", meta, children)

    def convolve(self, meta: Any, children: list[Any]) -> Bundle:
        return _bundle("convolve", meta, children)

    def max_pool(self, meta: Any, children: list[Any]) -> Bundle:
        return _bundle("max pool", meta, children)

    def mean_pool(self, meta: Any, children: list[Any]) -> Bundle:
        return _bundle("mean pool", meta, children)

    def response_norm(self, meta: Any, children: list[Any]) -> Bundle:
        return _bundle("response norm", meta, children)

    def predicate(self, meta: Any, children: list[Any]) -> Predicate:
        source, destination, condition = (child for child in children if not _is_arrow(child))
        return Predicate(str(source), str(destination), condition, position=_position(meta))

    def attributes(self, _meta: Any, children: list[Any]) -> tuple[Attribute, ...]:
        return tuple(children)

    def attribute(self, meta: Any, children: list[Any]) -> Attribute:
        return Attribute(str(children[0]), children[1], position=_position(meta))

    def share(self, meta: Any, children: list[Any]) -> Share:
        return Share(tuple(children[1:]), position=_position(meta))

    def share_member(self, meta: Any, children: list[Any]) -> ShareMember:
        names = [str(child) for child in children if not _is_arrow(child)]
        source = names[0] if len(names) == 2 else None
        return ShareMember(names[-1], source, position=_position(meta))

    def binary(self, meta: Any, children: list[Any]) -> Binary:
        return Binary(str(children[1]), children[0], children[2], position=_position(meta))

    def unary(self, meta: Any, children: list[Any]) -> Unary:
        return Unary(str(children[0]), children[1], position=_position(meta))

    def index(self, meta: Any, children: list[Any]) -> Index:
        return Index(children[0], children[1], position=_position(meta))

    def call(self, meta: Any, children: list[Any]) -> Call:
        return Call(str(children[0]), tuple(children[1:]), position=_position(meta))

    def tuple(self, meta: Any, children: list[Any]) -> Tuple:
        if len(children) == 1 and isinstance(children[0], Token):
            return Tuple(_numbers(children[0]), position=_position(meta))
        return Tuple(tuple_of(children), position=_position(meta))

    def number(self, meta: Any, children: list[Token]) -> Number:
        token = children[0]
        return Number(_number(token), position=_position(meta))

    def boolean(self, meta: Any, children: list[Token]) -> Boolean:
        return Boolean(children[0].lower() == "true", position=_position(meta))

    def name(self, meta: Any, children: list[Token]) -> Name:
        return Name(str(children[0]), position=_position(meta))


def tuple_of(children: list[Expression]) -> tuple[Expression, ...]:
    """Freeze a list of children (the builder's own `tuple` method hides the built-in in its class)."""
    return tuple(children)


def _is_arrow(child: object) -> bool:
    return isinstance(child, Token) and str(child) == "=>"


def _fed_layer(kind: LayerKind, position: Position, children: list[Any]) -> Layer:
    name, shape, *rest = children
    activation = str(rest.pop(0)) if rest and isinstance(rest[0], Token) else None
    bundles = tuple(item for item in rest if isinstance(item, Bundle))
    attributes = tuple(item for item in rest if isinstance(item, Attribute))
    return Layer(kind, str(name), _shape(shape), activation, bundles, attributes, position=position)


def _shape(shape: Tuple | Number | Name | None) -> Tuple | None:
    """Return a shape as a tuple: a bare number of nodes, as in training logs, is a tuple of one."""
    return Tuple((shape,), position=shape.position) if isinstance(shape, Number | Name) else shape


def _number(text: str) -> int | float:
    """Return a literal's value; an integer with more digits than any size or weight is read as a real number."""
    return int(text) if text.isdecimal() and len(text) <= _MAX_DIGITS else float(text)


def _numbers(token: Token) -> tuple[Expression, ...]:
    """Return the items of a long list of numbers, each at the list's own position."""
    position = _token_position(token)
    items: list[Expression] = []
    for text in token[1:-1].split(","):
        word = text.strip()
        number = Number(_number(word.lstrip("+-")), position=position)
        items.append(Unary(word[0], number, position=position) if word[0] in "+-" else number)
    return tuple(items)


def _bundle(kind: BundleKind, meta: Any, children: list[Any]) -> Bundle:
    source = next(child for child in children if isinstance(child, Token) and child.type == "NAME")
    predicate = next((child for child in children if isinstance(child, Predicate)), None)
    attributes = next((child for child in children if isinstance(child, tuple)), ())
    return Bundle(str(source), kind, predicate, attributes, position=_position(meta))
