"""A scorer by the name of a model, as a user writes it: registered, in a file, or the one in the package."""

from __future__ import annotations

import os
from pathlib import Path

from galclass.config import load_config
from galclass.cutouts import LOCAL, DecodeLimits
from galclass.database.connection import open_database, parse_url
from galclass.database.registry import Registry
from galclass.errors import DatabaseError
from galclass.scoring import IN_PACKAGE, Scorer


def open_scorer(
    model: str | Path = IN_PACKAGE,
    *,
    database: str | None = None,
    workspace: str | Path | None = None,
    threads: int = 1,
    limits: DecodeLimits = LOCAL,
) -> Scorer:
    """Load a model by name.

    Parameters
    ----------
    model : str or path
        "galaxy@production", "galaxy@2" or "galaxy" (its latest version) of a database, the path of an .onnx file, or
        "package": the model in the package.
    database : str, optional
        URL of the database; left out, GALCLASS_DATABASE of the environment, else the SQLite file of the workspace.
    workspace : path, optional
        Where it is not `./workspace`.
    threads, limits
        As for `Scorer`.

    Raises
    ------
    ModelError, RegistryError
        If the model is not there or not sound.
    DatabaseError
        If the database cannot be reached; a SQLite file that is not there is not made.

    Examples
    --------
    >>> open_scorer("galaxy@production", workspace="workspace").score(["68.jpg"])    # doctest: +SKIP
    """
    if str(model) == IN_PACKAGE:
        return Scorer(threads=threads, limits=limits)
    if isinstance(model, Path) or str(model).endswith(".onnx"):
        return Scorer(Path(model), threads=threads, limits=limits)
    url = _url(database, workspace)
    with open_database(url) as opened:
        return Registry(opened).get(model).scorer(threads=threads, limits=limits)


def _url(database: str | None, workspace: str | Path | None) -> str:
    named = database or (os.environ.get("GALCLASS_DATABASE") if workspace is None else None)
    url = named or load_config(None, {} if workspace is None else {"workspace": str(workspace)}).database_url
    parsed = parse_url(url)
    if parsed.get_backend_name() == "sqlite" and parsed.database and not Path(parsed.database).exists():
        raise DatabaseError(f"no database at {parsed.database}", advice="name one with database= or workspace=")
    return url
