"""Tables as the commands print them: ids are never cut off, and off a terminal every column is whole."""

from __future__ import annotations

import sys

from rich.console import Console
from rich.table import Table

from galclass.cli.terminal import printable

__all__ = ["Table", "console", "show_table"]

WIDTH_OF_A_PIPE = 1_000_000
"""So wide that no table is fitted to it."""

_IDS = ("object_id", "asset_id", "file", "rejected file")


def console() -> Console:
    """Return the console of standard output; what is printed is no markup."""
    return Console(markup=False, width=None if sys.stdout.isatty() else WIDTH_OF_A_PIPE)


def show_table(table: Table, on: Console | None = None) -> None:
    """Print a table of text; on a terminal long cells go on in the next line, and ids that are short stay in one.

    Parameters
    ----------
    table : Table
    on : Console, optional
        That of standard output where left out.
    """
    on = on or console()
    table = _printable(table)
    for column in table.columns:
        column.overflow = "fold"
        longest = max((len(str(cell)) for cell in column.cells), default=0)
        column.no_wrap = column.header in _IDS and longest <= on.width // 3
    on.print(table)


def _printable(table: Table) -> Table:
    """Return the table with the same frame, and every text in it shown as it is."""
    shown = Table(
        title=table.title,
        caption=None if table.caption is None else printable(str(table.caption)),
        box=table.box,
        show_header=table.show_header,
        show_footer=table.show_footer,
    )
    for column in table.columns:
        header, footer = printable(str(column.header)), printable(str(column.footer))
        shown.add_column(header, footer, justify=column.justify, style=column.style)
    for row, cells in zip(table.rows, zip(*(column.cells for column in table.columns), strict=True), strict=True):
        shown.add_row(*(printable(str(cell)) for cell in cells), end_section=row.end_section)
    return shown
