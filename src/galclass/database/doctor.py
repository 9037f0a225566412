"""Examine a database: its contents, its integrity, and how to fix any problems."""

from __future__ import annotations

from sqlalchemy import func, select, text

from galclass.database.connection import Database
from galclass.database.models import ModelInfo
from galclass.database.procedure import Finding, check_server
from galclass.database.registry import Registry
from galclass.database.schema import images, predictions, score_queue
from galclass.database.space import Space, space_of
from galclass.errors import DatabaseError, GalclassError

_MAY_INSERT = """
SELECT DISTINCT CASE WHEN a.grantee = 0 THEN 'PUBLIC' ELSE pg_get_userbyid(a.grantee)::text END AS role
FROM pg_class c CROSS JOIN LATERAL aclexplode(coalesce(c.relacl, acldefault('r', c.relowner))) a
WHERE c.oid = 'galaxy_models'::regclass AND a.privilege_type = 'INSERT' ORDER BY role"""
_WITHOUT_VOTES = """
SELECT count(*) FROM pg_proc WHERE proname = 'predict_galaxies'
AND pg_get_function_result(oid) NOT LIKE '%raw_vote_fractions%'"""
_WITHOUT_PATH = """
SELECT p.proname FROM pg_proc p WHERE p.proname IN ('galaxy_images_enqueue', 'galaxy_models_refuse_update',
'predict_galaxy_class', 'predict_galaxy_group', 'predict_galaxy_json', 'predict_galaxies')
AND NOT EXISTS (SELECT 1 FROM unnest(p.proconfig) setting WHERE setting LIKE 'search_path=%') ORDER BY 1"""


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
            return [Finding("connection", False, str(error), "check the URL, the server and your privileges")]
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
        except GalclassError as error:
            findings.append(Finding(f"model {info.model}", False, str(error), _mend_model(info)))
            continue
        probe = "no probe" if difference is None else f"probe within {difference:.1e}"
        findings.append(
            Finding(f"model {info.model}", True, f"sound, {probe}, aliases: {' '.join(info.aliases) or '-'}")
        )
    default = any("production" in info.aliases for info in registry.list())
    mend = "register a model, or point the alias with `galclass models alias`"
    return [*findings, Finding("a model in production", default, "yes" if default else "none", mend)]


def _mend_model(info: ModelInfo) -> str:
    first = (
        f"point {', '.join(info.aliases)} at another version with `galclass models alias`, then "
        if info.aliases
        else ""
    )
    return f"it is not opened: restore it from a backup, or {first}`galclass models delete {info.model}`"


def _inserters(database: Database) -> Finding:
    """Name the roles that may insert models, whose models run wherever predictions are made."""
    with database.read() as connection:
        roles = connection.scalars(text(_MAY_INSERT)).all()
    return Finding(
        "roles that may insert models",
        "PUBLIC" not in roles,
        ", ".join(roles),
        "REVOKE INSERT ON galaxy_models FROM PUBLIC: a model is a program that runs where predictions are made",
    )


def _room(space: Space) -> Finding:
    size, free = f"{space.size_bytes / 1e6:,.1f} MB", f"{space.free_bytes / 1e6:,.1f} MB"
    if space.incremental:
        return Finding("room", True, f"{size}, of which {free} are free and returned to the disk while it is served")
    needed = f"{2 * (space.size_bytes - space.free_bytes) / 1e6:,.1f} MB"
    advice = f"`galclass db vacuum` frees it, once, with {needed} of free disk, and no writer meanwhile"
    return Finding("room", True, f"{size}, of which {free} are free and kept: {advice}")


def _place(database: Database) -> list[Finding]:
    if database.dialect == "sqlite":
        with database.read() as connection:
            mode = str(connection.scalar(text("PRAGMA journal_mode")))
            check = str(connection.scalar(text("PRAGMA quick_check")))
            space = space_of(connection)
        return [
            Finding(
                "journal", mode == "wal", mode, "the file is on a file system without WAL: move it to a local disk"
            ),
            Finding("file", check == "ok", check, "restore it from a backup"),
            _room(space),
        ]
    with database.read() as connection:
        count = connection.scalar(text("SELECT count(*) FROM pg_proc WHERE proname LIKE 'predict_galax%'")) or 0
        loose = connection.scalars(text(_WITHOUT_PATH)).all()
        older = connection.scalar(text(_WITHOUT_VOTES)) or 0
    mend = "run `galclass db migrate`, then `galclass db install-procedure` as a superuser"
    findings = [
        _inserters(database),
        Finding("search_path of functions", not loose, f"not fixed for {', '.join(loose)}" if loose else "fixed", mend),
    ]
    if not count:
        return [*findings, Finding("functions in the server", True, "not installed (the worker needs none)")]
    found_there = f"{count} of 5" + (", of an older version: predict_galaxies returns no votes" if older else "")
    found = Finding("functions in the server", count == 5 and not older, found_there, "install again")
    return [*findings, *check_server(database), found]
