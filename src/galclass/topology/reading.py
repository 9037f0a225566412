"""Find every syntax fault of a Net# text: after a fault, reading continues at the next declaration.

`parse` stops at the first fault. Here the text is then cut where a line, or what follows `;` or `}`, begins with a
keyword of a declaration, and each piece is read separately at its own position in the text.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from difflib import get_close_matches
from itertools import pairwise

from galclass.errors import TopologyError
from galclass.topology.faults import MOST_LISTED, fault_at
from galclass.topology.parse import parse
from galclass.topology.tree import Position, Program, Statement

_KEYWORDS = "const|input|hidden|output|share"
_COMMENT = re.compile(r"//[^\n]*|/\*.*?\*/|^[ \t]*\*\*\*[^\n]*|(?P<hash>#[^\n]*)", re.DOTALL | re.M)
_DECLARATION = re.compile(rf"(?:^|[;}}])\s*\b(?P<start>(?:{_KEYWORDS})\b)(?!\s*[=\[,)}}])", re.I | re.M)
_QUOTED = re.compile(r"'(\w+)'")
_NAME = re.compile(r"[A-Za-z_]\w*")


@dataclass(frozen=True)
class Reading:
    """The result of reading a text with faults.

    Parameters
    ----------
    program : Program
        The declarations that could be read.
    faults : tuple of TopologyError
        The first fault of each declaration that could not, with line and column.
    unread : frozenset of str
        Every name in a declaration with a fault.
    """

    program: Program
    faults: tuple[TopologyError, ...] = ()
    unread: frozenset[str] = frozenset()


def read(text: str) -> Reading:
    """Read Net# text, continuing after faults.

    Parameters
    ----------
    text : str
        The whole program.
    """
    try:
        return Reading(parse(text))
    except TopologyError as error:
        first = error
    plain, faults = _without_comments(text)
    statements: list[Statement] = []
    unread: set[str] = set()
    for start, end in _pieces(plain):
        if len(faults) > MOST_LISTED:
            break
        try:
            statements.extend(parse(_in_place(plain, start, end)).statements)
        except TopologyError as error:
            faults.append(_in_text(text, error, ends=end == len(plain)))
            unread.update(_NAME.findall(plain, start, end))
    return Reading(Program(tuple(statements), text=text), tuple(faults or [first]), frozenset(unread))


def _without_comments(text: str) -> tuple[str, list[TopologyError]]:
    """Return the text with blanks for its comments, and a fault for each comment that begins with `#`."""
    faults: list[TopologyError] = []
    for match in _COMMENT.finditer(text):
        if match["hash"] and len(faults) <= MOST_LISTED:
            position = _position(text, match.start())
            advice = "comments begin with // or are enclosed in /* and */"
            faults.append(fault_at(text, position, "'#' does not begin a comment in Net#", got="'#'", advice=advice))
    return _COMMENT.sub(lambda match: re.sub(r"[^\n]", " ", match[0]), text), faults


def _pieces(plain: str) -> list[tuple[int, int]]:
    starts = [match.start("start") for match in _DECLARATION.finditer(plain)]
    return list(pairwise([0, *[start for start in starts if start], len(plain)]))


def _in_place(plain: str, start: int, end: int) -> str:
    """Return one piece after as many lines and blanks as precede it, so that positions are those in the text."""
    position = _position(plain, start)
    return "\n" * (position.line - 1) + " " * (position.column - 1) + plain[start:end]


def _position(text: str, offset: int) -> Position:
    return Position(text.count("\n", 0, offset) + 1, offset - text.rfind("\n", 0, offset))


def _in_text(text: str, error: TopologyError, *, ends: bool) -> TopologyError:
    """Return the fault of a piece (the text's last one if `ends`) with the source line of the whole text."""
    position = Position(error.line or 1, error.column or 1)
    got = "the end of the declaration" if error.got == "the end of the text" and not ends else error.got
    advice = error.advice or _meant(error)
    return fault_at(text, position, error.what, expected=error.expected, got=got, advice=advice)


def _meant(error: TopologyError) -> str | None:
    """Return the expected word that a misspelled one is likely to be."""
    word, words = _QUOTED.fullmatch(str(error.got)), _QUOTED.findall(str(error.expected))
    close = get_close_matches(word[1].lower(), words, 1) if word else []
    return f"did you mean {close[0]!r}?" if close else None
