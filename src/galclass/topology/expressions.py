"""Values of Net# expressions: constants to Python values, predicates to numpy truth values.

Integer division truncates toward zero and `%` takes the sign of the dividend, as in C; `&&` and `||` evaluate their
right side only where the left side has not decided, so that a guard like `d[0] != 0 && s[0] % d[0] == 0` is safe.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from galclass.topology.faults import Faults, FollowingFault
from galclass.topology.tree import (
    Binary,
    Boolean,
    Call,
    Constant,
    Expression,
    Index,
    Name,
    Number,
    Predicate,
    Tuple,
    Unary,
)

_LARGEST_INTEGER = 2**62


class IndexTuple(tuple[Any, ...]):
    """The index of a node inside a predicate; with one dimension it is also a number: `(s, d) => s < 50`."""

    __slots__ = ()


IntArray: TypeAlias = NDArray[np.int64]
# a number, truth value, tuple of values, or the flat array of one of them per candidate edge
Value: TypeAlias = Any
Scope: TypeAlias = Mapping[str, Value]

_COMPARE: dict[str, Callable[[Value, Value], Value]] = {
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_EDGES_PER_BLOCK = 1 << 20  # bounds the memory of a predicate over large layers


class Evaluator:
    """Evaluate expressions of one program; constants may be declared in any order.

    Parameters
    ----------
    constants : mapping of str to Constant
        The program's constants.
    faults : Faults
        Makes the errors; nothing is collected here, errors are raised.
    unread : frozenset of str
        Names in declarations that could not be read: they are not reported as unknown.
    """

    def __init__(self, constants: Mapping[str, Constant], faults: Faults, unread: frozenset[str] = frozenset()) -> None:
        self._unread = unread
        self._constants = constants
        self._faults = faults
        self._known: dict[str, Value] = {}
        self._open: list[str] = []

    def value(self, expression: Expression, scope: Scope | None = None) -> Value:
        """Return the value of an expression.

        Raises
        ------
        TopologyError
            On an unknown name, a constant that depends on itself, a type that does not fit, or a division by zero.
        """
        scope = scope or {}
        match expression:
            case Number(value=value) | Boolean(value=value):
                return value
            case Tuple(items=items):
                return tuple(self.value(item, scope) for item in items)
            case Name(name=name):
                return scope[name] if name in scope else self._constant(expression)
            case Unary():
                return self._unary(expression, scope)
            case Binary(operator="&&" | "||"):
                return self._logical(expression, scope)
            case Binary():
                return self._binary(expression, scope)
            case Index():
                return self._index(expression, scope)
            case Call():
                return self._call(expression, scope)

    def _constant(self, node: Name) -> Value:
        if node.name in self._known:
            return self._known[node.name]
        if node.name not in self._constants and node.name in self._unread:
            raise FollowingFault(f"'{node.name}' could not be read")
        if node.name not in self._constants:
            known = ", ".join(sorted(self._constants)) or "none"
            raise self._faults.at(node, f"unknown constant '{node.name}'", expected=f"a declared one: {known}")
        if node.name in self._open:
            raise self._faults.at(node, f"constant '{node.name}' depends on itself: {' -> '.join(self._open)}")
        self._open.append(node.name)
        try:
            value = self.value(self._constants[node.name].value)
        finally:
            self._open.pop()
        self._known[node.name] = value
        return value

    def _unary(self, node: Unary, scope: Scope) -> Value:
        value = self.value(node.operand, scope)
        if node.operator == "!":
            return np.logical_not(value) if isinstance(self._truth(node.operand, value), np.ndarray) else not value
        number = self._number(node.operand, value)
        return -number if node.operator == "-" else number

    def _logical(self, node: Binary, scope: Scope) -> Value:
        left = self._truth(node.left, self.value(node.left, scope))
        decides = node.operator == "||"
        if not isinstance(left, np.ndarray):
            return left if left == decides else self._truth(node.right, self.value(node.right, scope))
        open_edges = left != decides
        rest = {name: _take(value, open_edges) for name, value in scope.items()}
        result = left.copy()
        result[open_edges] = self._truth(node.right, self.value(node.right, rest))
        return result

    def _binary(self, node: Binary, scope: Scope) -> Value:
        left, right = self.value(node.left, scope), self.value(node.right, scope)
        if node.operator in ("==", "!="):
            return self._equality(node, left, right)
        left, right = self._number(node.left, left), self._number(node.right, right)
        if node.operator == "^":
            return self._power(node, left, right)
        if node.operator in _COMPARE:
            return _COMPARE[node.operator](left, right)
        if node.operator == "+":
            return left + right
        if node.operator == "-":
            return left - right
        if node.operator == "*":
            return left * right
        if np.any(np.equal(right, 0)):
            raise self._faults.at(node.right, "division by zero")
        return _divide(left, right) if node.operator == "/" else left - right * _truncated(left, right)

    def _power(self, node: Binary, base: Value, exponent: Value) -> Value:
        """Return base ^ exponent: an integer if both are integers and the exponent is 0 or more, else a real number."""
        with np.errstate(all="ignore"):
            estimate = np.asarray(np.power(np.asarray(base, dtype=float), np.asarray(exponent, dtype=float)))
        if not np.all(np.isfinite(estimate)):
            raise self._faults.at(node, "the power is not a finite number")
        if not (_is_integer(base) and _is_integer(exponent) and np.all(np.asarray(exponent) >= 0)):
            return estimate if estimate.ndim else float(estimate)
        if np.any(np.abs(estimate) > _LARGEST_INTEGER):
            raise self._faults.at(node, "the power is too large an integer", expected="at most 2^62")
        return np.power(base, exponent) if estimate.ndim else base**exponent

    def _equality(self, node: Binary, left: Value, right: Value) -> Value:
        if isinstance(left, tuple) != isinstance(right, tuple):
            left, right = _as_number(left), _as_number(right)
        if isinstance(left, tuple) != isinstance(right, tuple) or _is_truth(left) != _is_truth(right):
            raise self._faults.at(node, f"'{node.operator}' compares {_kind(left)} with {_kind(right)}")
        if not isinstance(left, tuple):
            return _COMPARE[node.operator](left, right)
        if len(left) != len(right):
            raise self._faults.at(node, "tuples of different length are compared", expected=len(left), got=len(right))
        equal: Value = True
        for one, other in zip(left, right, strict=True):
            equal = np.logical_and(equal, np.equal(one, other))
        if not isinstance(equal, np.ndarray):
            equal = bool(equal)
        return equal if node.operator == "==" else np.logical_not(equal)

    def _index(self, node: Index, scope: Scope) -> Value:
        base, index = self.value(node.base, scope), self.value(node.index, scope)
        if not isinstance(base, tuple):
            raise self._faults.at(node.base, "only a tuple has an index", got=_kind(base))
        if type(index) is not int or not 0 <= index < len(base):
            raise self._faults.at(node.index, "index outside its tuple", expected=f"0..{len(base) - 1}", got=index)
        return base[index]

    def _call(self, node: Call, scope: Scope) -> Value:
        if node.function.lower() != "abs" or len(node.arguments) != 1:
            got = f"{node.function} with {len(node.arguments)} arguments"
            raise self._faults.at(node, "unknown function", expected="abs(x)", got=got)
        return abs(self._number(node.arguments[0], self.value(node.arguments[0], scope)))

    def _number(self, node: Expression, value: Value) -> Value:
        value = _as_number(value)
        if isinstance(value, tuple) or _is_truth(value):
            advice = "index it, as in s[0]" if isinstance(value, IndexTuple) else None
            what = "arithmetic on something that is not a number"
            raise self._faults.at(node, what, expected="a number", got=_kind(value), advice=advice)
        return value

    def _truth(self, node: Expression, value: Value) -> Value:
        if not _is_truth(value):
            raise self._faults.at(node, "not a truth value", expected="true, false or a comparison", got=_kind(value))
        return value


def edges_of(
    predicate: Predicate,
    source_shape: tuple[int, ...],
    shape: tuple[int, ...],
    evaluator: Evaluator,
) -> IntArray:
    """Return the edges a filtered bundle's predicate allows.

    Parameters
    ----------
    predicate : Predicate
        The condition on a source and a destination index tuple.
    source_shape, shape : tuple of int
        Shapes of the source and the destination layer.
    evaluator : Evaluator
        Knows the constants.

    Returns
    -------
    int64 array, (edges, 2)
        Rows (destination node, source node), ordered by destination and then by source.
    """
    sources, nodes = int(np.prod(source_shape)), int(np.prod(shape))
    rows = max(1, _EDGES_PER_BLOCK // sources)
    found = []
    for first in range(0, nodes, rows):
        destination = np.repeat(np.arange(first, min(first + rows, nodes), dtype=np.int64), sources)
        source = np.tile(np.arange(sources, dtype=np.int64), len(destination) // sources)
        scope = {
            predicate.source: IndexTuple(np.unravel_index(source, source_shape)),
            predicate.destination: IndexTuple(np.unravel_index(destination, shape)),
        }
        truth = evaluator.value(predicate.condition, scope)
        evaluator._truth(predicate.condition, truth)
        keep = np.broadcast_to(np.asarray(truth, dtype=bool), source.shape)
        found.append(np.stack([destination[keep], source[keep]], axis=1))
    return np.concatenate(found)


def _take(value: Value, keep: NDArray[np.bool_]) -> Value:
    return IndexTuple(index[keep] for index in value)


def _as_number(value: Value) -> Value:
    return value[0] if isinstance(value, IndexTuple) and len(value) == 1 else value


def _truncated(left: Value, right: Value) -> Value:
    if isinstance(left, np.ndarray) or isinstance(right, np.ndarray):
        return np.trunc(np.true_divide(left, right)).astype(np.int64)
    quotient = abs(left) // abs(right)
    return quotient if (left < 0) == (right < 0) else -quotient


def _divide(left: Value, right: Value) -> Value:
    integers = _is_integer(left) and _is_integer(right)
    return _truncated(left, right) if integers else left / right


def _is_integer(value: Value) -> bool:
    return value.dtype.kind == "i" if isinstance(value, np.ndarray) else isinstance(value, int)


def _is_truth(value: Value) -> bool:
    return value.dtype.kind == "b" if isinstance(value, np.ndarray) else isinstance(value, bool | np.bool_)


def _kind(value: Value) -> str:
    if isinstance(value, tuple):
        return f"a tuple of {len(value)}"
    if _is_truth(value):
        return "a truth value"
    return "an integer" if _is_integer(value) else "a real number"
