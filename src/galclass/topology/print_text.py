"""From a tree to Net# text, which parses to the same tree."""

from __future__ import annotations

from galclass.topology.tree import (
    Binary,
    Boolean,
    Bundle,
    Call,
    Constant,
    Expression,
    Index,
    Layer,
    Name,
    Number,
    Program,
    Share,
    ShareMember,
    Statement,
    Tuple,
    Unary,
)

_PRECEDENCE = {
    "||": 1,
    "&&": 2,
    "==": 3,
    "!=": 3,
    "<": 4,
    "<=": 4,
    ">": 4,
    ">=": 4,
    "+": 5,
    "-": 5,
    "*": 6,
    "/": 6,
    "%": 6,
    "^": 8,
}
_UNARY, _POSTFIX = 7, 9


def print_text(program: Program) -> str:
    """Return a program as Net# text, one declaration per paragraph.

    Parameters
    ----------
    program : Program
        From `parse` or a builder.

    Returns
    -------
    str
        Text that parses to an equal tree; comments and grouping of the original text are gone.
    """
    return "\n".join(map(_statement, program.statements)) + "\n"


def print_expression(expression: Expression, within: int = 0) -> str:
    """Return an expression as text, in parentheses where it binds less tightly than its context (`within`)."""
    match expression:
        case Number(value=value):
            return repr(value)
        case Boolean(value=value):
            return "true" if value else "false"
        case Name(name=name):
            return name
        case Tuple(items=items):
            return f"[{', '.join(map(print_expression, items))}]"
        case Call(function=function, arguments=arguments):
            return f"{function}({', '.join(map(print_expression, arguments))})"
        case Index(base=base, index=index):
            return f"{print_expression(base, _POSTFIX)}[{print_expression(index)}]"
        case Unary(operator=operator, operand=operand):
            return _enclosed(f"{operator}{print_expression(operand, _UNARY)}", _UNARY, within)
        case Binary(operator=operator, left=left, right=right):
            binds = _PRECEDENCE[operator]
            sides = (_POSTFIX, _UNARY) if operator == "^" else (binds, binds + 1)
            text = f"{print_expression(left, sides[0])} {operator} {print_expression(right, sides[1])}"
            return _enclosed(text, binds, within)


def _enclosed(text: str, binds: int, within: int) -> str:
    return f"({text})" if binds < within else text


def _statement(statement: Statement) -> str:
    match statement:
        case Constant(name=name, value=value):
            return f"const {name} = {print_expression(value)};"
        case Share(members=members):
            return f"share {{ {', '.join(map(_member, members))} }}"
        case Layer():
            return _layer(statement)


def _member(member: ShareMember) -> str:
    return member.layer if member.source is None else f"{member.source} => {member.layer}"


def _layer(layer: Layer) -> str:
    shape = "auto" if layer.shape is None else print_expression(layer.shape)
    head = f"{layer.kind} {layer.name} {shape}"
    if layer.activation is not None:
        head += f" {layer.activation}"
    if layer.kind == "input":
        return f"{head};"
    if len(layer.bundles) == 1 and not layer.attributes:
        return f"{head} {_bundle(layer.bundles[0], '')}"
    items = [f"  {attribute.name} = {print_expression(attribute.value)};" for attribute in layer.attributes]
    items += [f"  {_bundle(bundle, '  ')}" for bundle in layer.bundles]
    return "\n".join([f"{head} {{", *items, "}"])


def _bundle(bundle: Bundle, indent: str) -> str:
    text = f"from {bundle.source} {bundle.kind}"
    if bundle.predicate is not None:
        predicate = bundle.predicate
        text += f" ({predicate.source}, {predicate.destination}) => {print_expression(predicate.condition)}"
    if bundle.kind in ("all", "where") and not bundle.attributes:
        return f"{text};"
    lines = [f"{indent}  {a.name} = {print_expression(a.value)};\n" for a in bundle.attributes]
    return f"{text} {{\n{''.join(lines)}{indent}}}"
