"""Install the functions and the procedure in a server, or write their SQL: PostgreSQL (PL/Python) and T-SQL.

Return SQL text for a database, and a list of what is missing with instructions to fix it.
"""

from __future__ import annotations

import json
import os
import re
import stat
import sys
import sysconfig
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Literal

from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from galclass import __version__
from galclass.cutouts import SERVED
from galclass.database.connection import Database
from galclass.database.references import PRODUCTION, parse_reference
from galclass.database.statements import as_written
from galclass.errors import DatabaseError
from galclass.morphology import CLASSES, QUESTIONS
from galclass.scoring.prediction import vote_columns_of

ProcedureDialect = Literal["postgresql", "tsql", "tsql-rest"]

DEFAULT_URL = "https://galclass.example.org/v1/services/galaxy-class/latest"
"""The service that the procedure over REST calls, unless a server's own is named."""

_HTTPS_URL = re.compile(r"https://[A-Za-z0-9.-]+(:[0-9]{1,5})?/v1/services/[A-Za-z0-9_.-]+/[A-Za-z0-9_.+-]+")

DEFAULT_MODEL = f"galaxy@{PRODUCTION}"

_NOT_RUN = """\
-- GENERATED, NOT RUN AGAINST A SERVER: no engine that speaks this dialect was at hand when it was written."""
_IMAGES_TABLE = """\
SET ANSI_NULLS ON;
SET QUOTED_IDENTIFIER ON;
GO

IF OBJECT_ID(N'{{schema}}.galaxyImgData', N'U') IS NULL
CREATE TABLE {{schema}}.galaxyImgData (
    object_id NVARCHAR(64) NOT NULL,
    img VARBINARY(MAX) NULL,
    frame_px INT NULL,
    CONSTRAINT PK_galaxyImgData PRIMARY KEY (object_id)
);
GO"""
"""What both forms for SQL Server begin with."""

_PROLOGUE = """\
import sys
if "galclass.scoring.plpython" not in sys.modules:
    import os, site
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    site.addsitedir({path!r})
from galclass.scoring.plpython import BackEnd"""


@dataclass(frozen=True)
class Finding:
    """Something that was checked.

    Attributes
    ----------
    what : str
        The check.
    ok : bool
    found : str
        What is there.
    mend : str
        What to do where it is not ok.
    """

    what: str
    ok: bool
    found: str
    mend: str = ""


def site_packages() -> Path:
    """Return the package folder of this Python, which the server will use."""
    return Path(sysconfig.get_paths()["purelib"])


def procedure_sql(
    dialect: ProcedureDialect = "postgresql",
    *,
    schema: str | None = None,
    model: str = DEFAULT_MODEL,
    packages: Path | None = None,
    max_decode_s: float = SERVED.max_decode_s,
    url: str = DEFAULT_URL,
    classes: Sequence[str] = CLASSES,
) -> str:
    """Write the SQL that defines functions and procedure.

    Parameters
    ----------
    dialect : "postgresql", "tsql" or "tsql-rest"
        "tsql" runs Python inside SQL Server, "tsql-rest" calls a published service.
    schema : str, optional
        Where our tables are; "public" or "dbo".
    model : str
        The model used if a call names none.
    packages : Path, optional
        The site-packages folder the server reads galclass from; this Python's.

    max_decode_s : float
        Longest decode of an image by its header, in processor seconds.
    url : str
        "tsql-rest": the published service, https://HOST/v1/services/NAME/VERSION.
    classes : sequence of str
        T-SQL: the classes that have a column `predicted_<class>`; the column `probabilities` has those of any model.

    Raises
    ------
    RegistryError
        If `model` is no reference.
    DatabaseError
        If `url` is no service's.
    """
    parse_reference(model)
    if not _HTTPS_URL.fullmatch(url):
        raise DatabaseError(f"{url[:200]!r} is not a published service", expected=DEFAULT_URL)
    template = files("galclass.database").joinpath("procedures", f"{dialect}.sql").read_text(encoding="utf-8")
    quoted = _quote(schema or "public") if dialect == "postgresql" else f"[{(schema or 'dbo').replace(']', ']]')}]"
    prologue = _PROLOGUE.format(path=str(packages or site_packages()))
    values = {
        "not_run": _NOT_RUN,
        "images_table": _IMAGES_TABLE,
        "version": __version__,
        "schema": quoted,
        "schema_text": repr(quoted),
        "schema_literal": quoted.replace("'", "''"),
        "model": model,
        "prologue": prologue,
        "max_decode_s": repr(float(max_decode_s)),
        "url": url,
        "credential": url.partition("/v1/")[0],
        **_rest_columns(classes),
        "classes": json.dumps(list(classes), ensure_ascii=False).replace("'", "''"),
        "probability_columns": "\n".join(f"        {_column(leaf)} FLOAT," for leaf in classes),
        "vote_columns": ",\n".join(f"        {name} FLOAT" for name in _vote_columns()),
    }
    for name, value in values.items():
        template = template.replace(f"{{{{{name}}}}}", value)
    return template


def _column(name: str) -> str:
    """Return a class's column, in brackets where its name is no plain word."""
    column = f"predicted_{name}"
    return column if re.fullmatch(r"[A-Za-z0-9_]+", name) else f"[{column.replace(']', ']]')}]"


def _path(name: str) -> str:
    """Return where a record has a class, as the text of T-SQL; names have neither quotation marks nor backslashes."""
    key = name if re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name) else f'"{name}"'
    return f"$.probabilities.{key}".replace("'", "''")


def _rest_columns(classes: Sequence[str]) -> dict[str, str]:
    """Return the columns of the procedure over REST: what it selects, and where each lies in a record."""
    stems = [stem for question in QUESTIONS.values() for stem in question.columns]
    bounds = {"": "fraction", "_low": "low", "_high": "high"}
    paths = {
        f"{stem}_{kind}{bound}": f"$.{key}.{stem}.{part}"
        for kind, key in (("debiased", "vote_fractions"), ("raw", "raw_vote_fractions"))
        for stem in stems
        for bound, part in bounds.items()
    }
    return {
        "selected_probabilities": "\n".join(f"        one.{_column(leaf)}," for leaf in classes),
        "selected_votes": ",\n".join(f"        one.{name}" for name in paths),
        "probability_paths": "\n".join(f"        {_column(leaf)} FLOAT '{_path(leaf)}'," for leaf in classes),
        "vote_paths": ",\n".join(f"        {name} FLOAT '{path}'" for name, path in paths.items()),
    }


def _vote_columns() -> list[str]:
    stems = [stem for question in QUESTIONS.values() for stem in question.columns]
    return [*vote_columns_of(stems, "debiased"), *vote_columns_of(stems, "raw")]


def install_procedure(
    database: Database,
    *,
    model: str = DEFAULT_MODEL,
    packages: Path | None = None,
    max_decode_s: float = SERVED.max_decode_s,
) -> list[Finding]:
    """Check that the server can run galclass, define functions and procedure, and load the scorer; all or nothing.

    Functions of an earlier installation are replaced in the same transaction; their owners and grants are kept.

    Raises
    ------
    DatabaseError
        If something is missing; says what and how to fix it.
    """
    findings = check_server(database, packages=packages)
    missing = [f"{one.what}: {one.found}. {one.mend}" for one in findings if not one.ok]
    if missing:
        raise DatabaseError("the functions cannot be installed\n  " + "\n  ".join(missing), where=database.url)
    with database.write() as connection:
        sql = procedure_sql(schema=_schema(connection), model=model, packages=packages, max_decode_s=max_decode_s)
        try:
            connection.exec_driver_sql(as_written(connection, sql))
        except DBAPIError as error:
            raise _not_installed(error, database.url) from error
        loaded = _try_import(connection, packages or site_packages(), database.url)
    return [*findings, loaded]


def _not_installed(error: DBAPIError, where: str) -> DatabaseError:
    cause = str(error.orig).splitlines()
    return DatabaseError(
        "the functions cannot be installed; the existing ones are unchanged",
        where=where,
        got=" ".join(cause[:3]),
        advice="a view that uses predict_galaxies must be dropped first and recreated afterwards"
        if "depend" in str(error.orig)
        else None,
    )


def check_server(database: Database, *, packages: Path | None = None) -> list[Finding]:
    """Check whether the server has PL/Python and can read our packages, and whether we may create functions.

    Raises
    ------
    DatabaseError
        If the database is not PostgreSQL.
    """
    if database.dialect != "postgresql":
        raise DatabaseError(
            "functions are installed only in PostgreSQL",
            where=database.url,
            advice="on SQLite every connection that galclass opens has them",
        )
    folder = packages or site_packages()
    with database.read() as connection:
        version = str(connection.scalar(text("SHOW server_version"))).split(".")[0]
        available = connection.scalar(text("SELECT 1 FROM pg_available_extensions WHERE name = 'plpython3u'"))
        superuser = bool(connection.scalar(text("SELECT rolsuper FROM pg_roles WHERE rolname = current_user")))
        local = connection.scalar(text("SELECT inet_server_addr()")) is None
    package = f"apt-get install postgresql-plpython3-{version}"
    without = "managed servers do not have it: use `galclass score --pending --watch`, which does the same"
    found = [
        Finding("language plpython3u", bool(available), "there" if available else "not there", f"{package}; {without}"),
        Finding(
            "right to create PL/Python functions", superuser, "superuser" if superuser else "no superuser",
            "ask a superuser to run the output of `galclass db install-procedure --dry-run`",
        ),
    ]  # fmt: skip
    closed = first_closed(folder) if local else None
    found.append(
        Finding(
            f"server may read {folder}", closed is None, "yes" if closed is None else f"{closed} is closed to others",
            "install galclass where the server's user may read it, such as /opt/galclass, and run it from there",
        )
    )  # fmt: skip
    loose = first_writable(folder) if local else None
    found.append(
        Finding(
            f"nobody else may write {folder}", loose is None, "yes" if loose is None else f"{loose} is open to others",
            "code there runs as the server: remove others' write permission with `chmod o-w`",
        )
    )  # fmt: skip
    return found


def first_writable(folder: Path) -> Path | None:
    """Return the first folder in which any user may replace the packages; a sticky folder above them is safe."""
    for part in [folder / "galclass", folder, *folder.parents]:
        mode = os.stat(part).st_mode if part.exists() else 0
        if mode & stat.S_IWOTH and (part in (folder, folder / "galclass") or not mode & stat.S_ISVTX):
            return part
    return None


def first_closed(folder: Path) -> Path | None:
    """Return the first folder on the way that users outside owner and group may not enter; None where all are open."""
    for part in [*reversed(folder.parents), folder]:
        if not part.exists() or not os.stat(part).st_mode & stat.S_IXOTH:
            return part
    return None


def _schema(connection: Connection) -> str:
    found = connection.scalar(
        text("SELECT relnamespace::regnamespace::text FROM pg_class WHERE oid = 'galaxy_models'::regclass")
    )
    return str(found).strip('"').replace('""', '"')


def _try_import(connection: Connection, folder: Path, where: str) -> Finding:
    """Load the scorer in a back end, as the functions will.

    Raises
    ------
    DatabaseError
        If the server cannot, with the likely reason.
    """
    prologue = _PROLOGUE.format(path=str(folder))
    try:
        statement = f"DO LANGUAGE plpython3u $galclass$\n{prologue}\n$galclass$"
        connection.exec_driver_sql(as_written(connection, statement))
    except DBAPIError as error:
        version = ".".join(map(str, sys.version_info[:2]))
        raise DatabaseError(
            "the server cannot load galclass",
            where=where,
            got=" ".join(str(error.orig).splitlines()[:3]),
            advice=f"the server's PL/Python must be Python {version}, as here, and must be able to read {folder}",
        ) from error
    return Finding("the scorer loads in the server", True, str(folder))


def _quote(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
