"""Examine a database: what is in it, is it sound, and how to mend what is not."""

from __future__ import annotations

from sqlalchemy import func, select, text

from galclass.database.connection import Database
from galclass.database.procedure import Finding, check_server
from galclass.database.registry import Registry
from galclass.database.schema import images, predictions, score_queue
from galclass.errors import DatabaseError, ModelError


def examine(url: str) -> list[Finding]:
    """Check a database from the outside in; stops at the first thing that makes the rest pointless.

    Parameters
    ----------
    url : str
        It is not changed, not even migrated.
    """
    with Database(url) as database:
        try:
            missing = database.missing_migrations()
        except DatabaseError as error:
            return [Finding("connection", False, str(error), "check the URL, the server and your rights")]
        findings = [Finding("connection", True, database.url)]
        mend = "run `galclass db migrate`"
        findings.append(
            Finding("schema", not missing, f"lacks {', '.join(missing)}" if missing else "up to date", mend)
        )
        if missing:
            return findings
        return [*findings, *_content(database), *_models(database), *_place(database)]


def _content(database: Database) -> list[Finding]:
    with database.read() as connection:
        count = {
            table.name: connection.scalar(select(func.count()).select_from(table))
            for table in (images, predictions, score_queue)
        }
        faulty = connection.scalar(select(func.count()).where(predictions.c.error.is_not(None)))
    found = (
        f"{count['galaxy_images']:,} images, {count['galaxy_predictions']:,} predictions ({faulty:,} with an error), "
    )
    return [Finding("content", True, found + f"{count['galaxy_score_queue']:,} waiting to be scored")]


def _models(database: Database) -> list[Finding]:
    registry, findings = Registry(database), []
    for info in registry.list():
        try:
            difference = registry.verify(str(info.model))
        except ModelError as error:
            findings.append(Finding(f"model {info.model}", False, str(error), "restore it from a backup"))
            continue
        probe = "no probe" if difference is None else f"probe within {difference:.1e}"
        findings.append(
            Finding(f"model {info.model}", True, f"sound, {probe}, aliases: {' '.join(info.aliases) or '-'}")
        )
    default = any("production" in info.aliases for info in registry.list())
    mend = "register a model, or point the alias with `galclass models alias`"
    return [*findings, Finding("a model in production", default, "yes" if default else "none", mend)]


def _place(database: Database) -> list[Finding]:
    if database.dialect == "sqlite":
        with database.read() as connection:
            mode = str(connection.scalar(text("PRAGMA journal_mode")))
            check = str(connection.scalar(text("PRAGMA quick_check")))
        return [
            Finding(
                "journal", mode == "wal", mode, "the file lies on a file system without WAL: move it to a local disk"
            ),
            Finding("file", check == "ok", check, "restore it from a backup"),
        ]
    with database.read() as connection:
        count = connection.scalar(text("SELECT count(*) FROM pg_proc WHERE proname LIKE 'predict_galax%'")) or 0
    if not count:
        return [Finding("functions in the server", True, "not installed (the worker needs none)")]
    return [*check_server(database), Finding("functions in the server", count == 5, f"{count} of 5", "install again")]
