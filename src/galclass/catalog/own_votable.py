"""A user's VOTable with more columns: its other tables, INFO, PARAM, GROUP, COOSYS and the names of fields stay."""

from __future__ import annotations

from collections.abc import Mapping
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np

_FORMATS = ("tabledata", "binary", "binary2")
_OF_FIELDS = ("name", "ID", "ref", "ucd", "utype", "xtype", "width", "precision")
_OF_TABLES = ("name", "ID", "ucd", "utype", "description")
_LISTS = ("params", "groups", "links")
_PREFIX = "galclass_"
_WIDER = {"uint16": "int32", "uint32": "int64", "uint64": "int64", "int8": "int16", "float16": "float32"}
"""The type of VOTable that holds the numbers of another."""


def read_votable(path: Path, number: int) -> Any:
    """Return a table of a VOTable file (0: the first) as astropy's, its columns by the names of their fields."""
    from astropy.io.votable import parse

    return list(parse(path).iter_tables())[max(number, 1) - 1].to_table(use_names_over_ids=True)


def write_votable(
    table: Any, path: Path | BytesIO, facts: Mapping[str, str], source: tuple[Path, int] | None = None
) -> None:
    """Write a VOTable.

    Parameters
    ----------
    table : astropy.table.Table
        With the columns of the source in front, where there is one.
    path : Path or BytesIO
        Packed if its name ends in .gz.
    facts : mapping of str to str
        Written as INFO of the table.
    source : (Path, int), optional
        A VOTable file and the number of its table that this one replaces (0: the first).
    """
    from astropy.io.votable import from_table, parse
    from astropy.io.votable.tree import Info

    tree = from_table(_with_axes(_with_types(table)))
    made = tree.get_first_table()
    if source is None:
        kept = {str(key): str(value) for key, value in table.meta.items() if isinstance(value, str | int | float)}
        facts = {**kept, **facts}
    else:
        tree = parse(source[0])
        old = list(tree.iter_tables())[max(source[1], 1) - 1]
        _take_over(old, made)
        del made.infos[:]
        made.infos.extend(info for info in old.infos if info.name not in facts)
        _replace(tree.resources, old, made)
    made.infos.extend(Info(name=name, value=text) for name, text in facts.items())
    if isinstance(path, Path):
        tree.to_xml(str(path), compressed=path.name.lower().endswith(".gz"))
    else:
        tree.to_xml(path)


def _take_over(old: Any, made: Any) -> None:
    """Copy the metadata of a table and its fields to another."""
    for ours, theirs in zip(made.fields, old.fields, strict=False):
        for name in _OF_FIELDS:
            setattr(ours, name, getattr(theirs, name))
    for name in _OF_TABLES:
        setattr(made, name, getattr(old, name))
    taken = {field.ID for field in old.fields}
    for field in made.fields[len(old.fields) :]:
        field.ID = f"{_PREFIX}{field.ID}" if field.ID in taken else field.ID
    for name in _LISTS:
        getattr(made, name).extend(getattr(old, name))
    made.format = old.format if old.format in _FORMATS else "binary2"


def _replace(resources: Any, old: Any, made: Any) -> None:
    for resource in resources:
        for position, table in enumerate(resource.tables):
            if table is old:
                resource.tables[position] = made
        _replace(resource.resources, old, made)


def _with_types(table: Any) -> Any:
    """Return the table with types that VOTable has: it knows no unsigned numbers but bytes."""
    for name in [name for name in table.colnames if table[name].dtype.kind in "uif"]:
        column = table[name]
        wider = _WIDER.get(column.dtype.newbyteorder("=").name)
        if wider == "int64" and len(column) and column.max() > np.iinfo(np.int64).max:
            wider = "str"
        if wider:
            table.replace_column(name, column.astype(wider))
    return table


def _with_axes(table: Any) -> Any:
    """Return the table with the axes of its arrays reversed: astropy writes them in the order of numpy."""
    from astropy.table import Column

    for name in [name for name in table.colnames if table[name].ndim > 2]:
        column = table[name]
        shape = (len(column), *column.shape[:0:-1])
        about = {"unit": column.unit, "description": column.description}
        table.replace_column(name, Column(np.asarray(column).reshape(shape), name=name, **about))
    return table
