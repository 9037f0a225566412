"""What the help shows is what the code does: constants that the command line repeats, to import no database."""

from __future__ import annotations

from galclass.cli import options
from galclass.database import services, tokens
from galclass.database.procedure import DEFAULT_MODEL


def test_the_choices_and_defaults_of_the_help_are_those_of_the_database() -> None:
    assert options.LATEST == services.LATEST
    assert options.ROLES == tokens.ROLES
    assert options.PRODUCTION_MODEL == DEFAULT_MODEL
