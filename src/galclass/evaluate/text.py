"""Confusion matrices with per-class error as plain text, as the original workflow prints them."""

from __future__ import annotations

import numpy as np

from galclass.evaluate.metrics import Classification


def tables_as_text(tables: dict[str, Classification]) -> str:
    """Return every confusion matrix (rows true, columns predicted) with each row's error rate."""
    return "\n\n".join(_one_table(title, table) for title, table in tables.items())


def _one_table(title: str, table: Classification) -> str:
    width = max(6, *(len(name) + 1 for name in table.names))
    header = " " * width + "".join(name.rjust(width) for name in table.names) + "   error"
    rows = [
        name.ljust(width) + "".join(str(count).rjust(width) for count in counts) + _rate(error)
        for name, counts, error in zip(table.names, table.confusion, table.class_error, strict=True)
    ]
    overall = f"overall error {1 - table.accuracy.value:.3f} of {table.count} objects"
    return "\n".join([f"{title} (rows true, columns predicted)", header, *rows, overall])


def _rate(error: float) -> str:
    return "       -" if np.isnan(error) else f"{error:8.3f}"
