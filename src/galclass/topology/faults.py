"""Faults of a topology, collected into one `TopologyError`.

A fault has a position in the text; several are collected and raised together so that a user can fix them in one go.
"""

from __future__ import annotations

import re

from galclass.errors import TopologyError
from galclass.topology.tree import Node, Position

MOST_LISTED = 100
"""Largest number of faults listed in one message."""

_MOST_COMPARED = 200


def fault_at(
    text: str,
    position: Position,
    what: str,
    *,
    expected: object = None,
    got: object = None,
    advice: str | None = None,
) -> TopologyError:
    """Return the error at a position of a Net# text, with its line and a caret under the column.

    Parameters
    ----------
    text : str
        The whole Net# text; may be empty (a tree that was built, not parsed), then no source line is shown.
    position : Position
        Where the fault is.
    what, expected, got, advice
        The facts, as in `galclass.errors.GalclassError`.
    """
    lines = text.split("\n")  # as the parser counts, not at form feeds and the like
    source_line = (
        re.sub(r"\s", " ", lines[position.line - 1]).rstrip() if text and position.line <= len(lines) else None
    )
    return TopologyError(
        what,
        line=position.line,
        column=position.column,
        source_line=source_line,
        expected=expected,
        got=got,
        advice=advice,
    )


class FollowingFault(TopologyError):
    """A fault that only follows from a declaration that could not be read: never listed."""


class Faults:
    """Collect the faults of one text and raise them as one error.

    Parameters
    ----------
    text : str
        The Net# text that the positions refer to.
    """

    def __init__(self, text: str) -> None:
        self.text = text
        self.found: list[TopologyError] = []

    def at(
        self,
        node: Node,
        what: str,
        *,
        expected: object = None,
        got: object = None,
        advice: str | None = None,
    ) -> TopologyError:
        """Return (not raise, not collect) the error for a node."""
        return fault_at(self.text, node.position, what, expected=expected, got=got, advice=advice)

    def add(self, error: TopologyError) -> None:
        """Collect an error, unless it only follows from another one or is the same as one collected before."""
        known = {(other.line, other.column, str(other)) for other in self.found[-_MOST_COMPARED:]}
        if not isinstance(error, FollowingFault) and (error.line, error.column, str(error)) not in known:
            self.found.append(error)

    def raise_if_any(self) -> None:
        """Raise the collected errors, in the order of the text: a single one as it is, several as one list.

        Raises
        ------
        TopologyError
            If anything was collected; `line` and `column` are those of the first fault.
        """
        if not self.found:
            return
        ordered = sorted(self.found, key=lambda error: (error.line or 0, error.column or 0))
        if len(ordered) == 1:
            raise ordered[0]
        listed = "\n".join(str(error) for error in ordered[:MOST_LISTED])
        if len(ordered) > MOST_LISTED:
            listed += f"\nand {len(ordered) - MOST_LISTED} more"
        joined = TopologyError(f"{len(ordered)} faults in the topology:\n{listed}")
        joined.line, joined.column = ordered[0].line, ordered[0].column
        joined.source_line = ordered[0].source_line
        raise joined
