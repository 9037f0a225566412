"""Text from files, catalogs and databases on a terminal: what would steer it is shown, not obeyed."""

from __future__ import annotations

import re

import click

_STEERS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069]")
"""Control characters but line breaks and tabs, and marks that turn the direction of text."""


def printable(text: str) -> str:
    r"""Return text with each character that steers a terminal as its escape, ``\x1b``."""
    return _STEERS.sub(lambda one: one[0].encode("unicode_escape").decode(), text)


def say(text: object, *, err: bool = False) -> None:
    """Print text that holds names, ids or reasons of others' making."""
    click.echo(printable(str(text)), err=err)
