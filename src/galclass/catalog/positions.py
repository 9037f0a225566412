"""Positions of a catalog: degrees from numbers or sexagesimal text, under one pair of names, checked.

Takes a table with `ra`, `dec` or what surveys call them, returns it with `ra`, `dec` in degrees (J2000); rows whose
position is none are left out and named, a table in another unit is an error.
"""

from __future__ import annotations

import re
from math import inf, pi
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from galclass.catalog.checks import ENOUGH, leave_out
from galclass.catalog.columns import ROW, as_float
from galclass.catalog.identifiers import BLANKS, plain_text_or_numbers
from galclass.catalog.report import CatalogReport
from galclass.errors import CatalogError

RA_NAMES = ("ra", "raj2000", "_raj2000", "ra_j2000", "ra_icrs", "alpha_j2000", "radeg", "ra_deg")
DEC_NAMES = ("dec", "dej2000", "_dej2000", "decj2000", "dec_j2000", "de_icrs", "dec_icrs", "delta_j2000", "dedeg")
_SIZE_NAMES = ("petror90_r",)
_RANGES = {"ra": ("deg", 0.0, 360.0), "dec": ("deg", -90.0, 90.0), "petroR90_r": ("arcsec", -inf, 3600.0)}
_DECIMAL_COMMA = re.compile(r"[+-]?\d+,\d+")
_SIGNS = str.maketrans({"\u2212": "-", "\u2013": "-", "\u2032": "'", "\u2033": '"', "\u02b9": "'"})
_SEXAGESIMAL = re.compile(
    r"""([+-]?)\s*(\d{1,3})(?:(\s*[hd\u00b0:]\s*|\s+)(\d{1,2}(?:\.\d*)?)(?:(?:\s*[m':]\s*|\s+)
    (\d{1,2}(?:\.\d*)?)?\s*(?:s|"|'')?)?\s*[m']?)?""".replace("\n    ", "")
)


def degrees_of(text: str, *, hours: bool) -> float:
    """Return the degrees that a text stands for.

    Parameters
    ----------
    text : str
        A decimal number (degrees), or sexagesimal: "12 30 05.5", "12:30:05.5", "12h30m05.5s", "-00d10m22s".
    hours : bool
        Whether sexagesimal text without letters counts hours.

    Raises
    ------
    ValueError
        If it is neither.
    """
    text = text.strip().translate(_SIGNS).lower()
    try:
        return float(text)
    except ValueError:
        pass
    match = _SEXAGESIMAL.fullmatch(text)
    if match is None or match[4] is None:
        raise ValueError(text)
    sign, whole, mark, minutes, seconds = match.groups()
    parts = [float(whole), float(minutes), float(seconds or 0)]
    if parts[1] >= 60 or parts[2] > 60:  # 60.0 s is what rounding makes of 59.99
        raise ValueError(text)
    in_hours = "h" in mark or (hours and not set("d\u00b0") & set(mark))
    size = (parts[0] + parts[1] / 60 + parts[2] / 3600) * (15 if in_hours else 1)
    return -size if sign == "-" else size


def with_positions(
    table: Any, where: str, units: dict[str, str], names: tuple[str | None, str | None], report: CatalogReport
) -> Any:
    """Return the table with `ra`, `dec` (deg) and `petroR90_r` (arcsec) as numbers, where it has them.

    Parameters
    ----------
    table : pyarrow.Table
    where : str
        The file, for messages.
    units : dict of str to str
        Units by the file's own word.
    names : tuple
        The columns of right ascension and declination; None looks for the usual names.
    report : CatalogReport
        Gets the rows left out.

    Raises
    ------
    CatalogError
        With every fault, if the table as a whole is in other units.
    """
    faults: list[str] = []
    bad: dict[int, str] = {}
    for wanted, usual in (
        ("ra", _one(names[0], RA_NAMES)),
        ("dec", _one(names[1], DEC_NAMES)),
        ("petroR90_r", _SIZE_NAMES),
    ):
        name = _column(table, usual, where)
        if name is None:
            continue
        values, wrong = _numbers(table[name], name, wanted, where)
        unit, low, high = _RANGES[wanted]
        is_text = pa.types.is_string(plain_text_or_numbers(table[name], where).type)
        if not is_text and units.get(name, unit).removesuffix("rees").removesuffix("ree") != unit:  # "degrees" is deg
            faults.append(f"{name} is in {units[name]}; expected {unit}")
            continue
        wrong |= _outside(values, low, high, f"expected {low:g} to {high:g} {unit}")
        known = len(values) - values.null_count
        if wrong and 2 * len(wrong) > known:
            faults.append(_whole_column(name, values, wrong, table, (low, high, unit)))
            continue
        bad |= {row: f"{name} is {reason}" for row, reason in wrong.items() if row not in bad}
        table = _replaced(table, name, wanted, values)
    faults += _suspicious(table) if not faults else []
    if faults:
        raise CatalogError("wrong positions or units\n  " + "\n  ".join(faults) + "\n ", where=where)
    mask = np.isin(np.arange(len(table)), list(bad))
    report.note("ra_below_24", len(table) if _perhaps_hours(table) else 0)
    return leave_out(table, mask, "bad_position", lambda row: bad[row], report)


def _one(name: str | None, usual: tuple[str, ...]) -> tuple[str, ...]:
    return usual if name is None else (name.lower(),)


def _column(table: Any, names: tuple[str, ...], where: str) -> str | None:
    spellings: list[tuple[str, str]] = [(name.lower(), name) for name in table.column_names]
    for wanted in names:
        found = [name for lower, name in spellings if lower == wanted]
        if len(found) > 1:
            raise CatalogError(f"duplicate columns: {' and '.join(found)} differ in case only", where=where)
        if found:
            return found[0]
    return None


def _numbers(column: Any, name: str, wanted: str, where: str) -> tuple[Any, dict[int, str]]:
    """Return float64 and the rows (from 0) that hold something else, with what they hold."""
    if pa.types.is_time(column.type):  # what a CSV reader makes of HH:MM:SS
        column = pc.cast(column, pa.string())
    column = plain_text_or_numbers(column, f"{where}, column {name}")
    if not pa.types.is_string(column.type):
        return as_float(column, name, where), {}
    values: list[float | None] = []
    wrong: dict[int, str] = {}
    for row, text in enumerate(column.to_pylist()):
        value = None
        if text is not None and text.strip().lower() not in BLANKS:
            try:
                value = float(text) if wanted == "petroR90_r" else degrees_of(text, hours=wanted == "ra")
            except ValueError:
                expected = "arcsec" if wanted == "petroR90_r" else "degrees or sexagesimal"
                point = " with a decimal point" if _DECIMAL_COMMA.fullmatch(text.strip()) else ""
                wrong[row] = f"{text!r}; expected {expected}{point}"
        values.append(value)
    return pa.array(values, pa.float64()), wrong


def _outside(values: Any, low: float, high: float, expected: str) -> dict[int, str]:
    numbers = values.to_numpy(zero_copy_only=False)
    with np.errstate(invalid="ignore"):
        rows = np.flatnonzero((numbers < low) | (numbers > high))
    return {int(row): f"{numbers[row]:g}; {expected}" for row in rows}


def _whole_column(name: str, values: Any, wrong: dict[int, str], table: Any, allowed: tuple[float, float, str]) -> str:
    low, high, unit = allowed
    row, reason = next(iter(wrong.items()))
    if values[row].as_py() is None:
        return f"{name} is text such as {reason} (row {table[ROW][row].as_py()})"
    extremes = pc.min_max(values).as_py()
    return f"{name} runs from {extremes['min']:g} to {extremes['max']:g}; expected {low:g} to {high:g} {unit}"


def _replaced(table: Any, name: str, wanted: str, values: Any) -> Any:
    index = table.column_names.index(name)
    return table.set_column(index, pa.field(wanted, pa.float64()), values)


def _perhaps_hours(table: Any) -> bool:
    """Return whether right ascensions go round the sky as hours do; a survey may have these degrees."""
    if "ra" not in table.column_names or table.num_rows < ENOUGH:
        return False
    ra = pc.min_max(table["ra"]).as_py()
    return ra["max"] is not None and ra["max"] < 24 and ra["max"] - ra["min"] > 12


def _suspicious(table: Any) -> list[str]:
    faults = []
    if {"ra", "dec"} <= set(table.column_names) and table.num_rows >= ENOUGH:
        ra, dec = (pc.min_max(table[name]).as_py() for name in ("ra", "dec"))
        radians = None not in (ra["max"], dec["max"]) and ra["max"] <= 2 * pi
        radians = radians and max(abs(dec["min"]), abs(dec["max"])) <= pi / 2
        if radians and ra["max"] - ra["min"] > 1:
            faults.append(f"ra up to {ra['max']:g} and dec up to {dec['max']:g} look like radians; expected deg")
    if "petroR90_r" in table.column_names:
        largest = pc.max(table["petroR90_r"]).as_py()
        if largest is not None and largest < 0.1:
            faults.append(f"petroR90_r up to {largest:g} looks like degrees; expected arcsec")
    return faults
