"""A workspace with two small models, a published service, real galaxies and tokens, and its app."""

from __future__ import annotations

import itertools
import shutil
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from service.function_code import EXAMPLES, Publish, write_code
from tiny_model import tiny_model

from galclass.config import Config, load_config
from galclass.database import Database, Images, NewImage, Registry, Services, Tokens, open_database, score_pending
from galclass.service.engine import auth, published
from galclass.service.functions.publish import publish_function
from galclass.service.server.app import create_app

_NUMBERS = itertools.count(1)
SERVICE = "/v1/services/galaxy-class/1.0"


@pytest.fixture(scope="session")
def galaxies(sample_folder: Path) -> dict[str, bytes]:
    """Ten real galaxies by asset id."""
    with zipfile.ZipFile(sample_folder / "images_gz2.zip") as archive:
        names = [name for name in sorted(archive.namelist()) if name.endswith(".jpg")][:10]
        return {Path(name).stem: archive.read(name) for name in names}


@pytest.fixture(scope="session")
def galaxy(galaxies: dict[str, bytes]) -> bytes:
    """One real galaxy."""
    return next(iter(galaxies.values()))


@pytest.fixture(scope="session")
def workspace(tmp_path_factory: pytest.TempPathFactory, galaxies: dict[str, bytes]) -> Path:
    """A workspace whose database holds galaxy@1 (production), galaxy@2, galaxy-class 1.0 and ten images."""
    folder = tmp_path_factory.mktemp("template")
    config = load_config(None, {"workspace": str(folder)})
    database = open_database(config.database_url)
    registry = Registry(database)
    registry.register(tiny_model(0), metrics={"accuracy": 0.5}, card="A tiny model.")
    registry.register(tiny_model(1), aliases=())
    Services(database).publish("galaxy-class", "1.0", "galaxy", 1, "Morphology class of a galaxy image")
    items = galaxies.items()
    Images(database).add(NewImage(key, data, ra=10.0 * n, dec=5.0 * n) for n, (key, data) in enumerate(items))
    score_pending(database, "galaxy@1")
    database.close()
    return folder


@pytest.fixture
def config(tmp_path: Path, workspace: Path) -> Config:
    """A copy of the workspace for one test."""
    folder = tmp_path / "workspace"
    shutil.copytree(workspace, folder)
    return load_config(None, {"workspace": str(folder)})


@pytest.fixture
def database(config: Config) -> Iterator[Database]:
    """The workspace's database, as another process would open it."""
    database = open_database(config.database_url)
    yield database
    database.close()


@pytest.fixture(params=["sqlite", "postgresql"])
def either(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    """An empty database of either kind."""
    url = str(tmp_path / "either.db")
    if request.param == "postgresql":
        url = request.getfixturevalue("cluster").create_database(f"either_{next(_NUMBERS)}")
    with open_database(url, migrate=True) as database:
        yield database


@pytest.fixture
def client(config: Config) -> Iterator[TestClient]:
    """The app with its own loop; exceptions become responses, as in a server."""
    with TestClient(create_app(config), raise_server_exceptions=False) as client:
        yield client


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Let seconds pass for what the service remembers of services and tokens."""
    passed = 0.0

    def let_pass(seconds: float) -> None:
        nonlocal passed
        passed += seconds

    for module in (auth, published):
        monkeypatch.setattr(module, "monotonic", lambda: time.monotonic() + passed)
    return let_pass


@pytest.fixture
def tokens(database: Database) -> dict[str, dict[str, str]]:
    """Headers with a token of each role."""
    made = {role: Tokens(database).create(role, f"{role}-of-test") for role in ("reader", "publisher", "admin")}
    return {role: {"Authorization": f"Bearer {secret}"} for role, secret in made.items()}


@pytest.fixture
def code(tmp_path: Path) -> Path:
    """A folder with the module `hostile` and the package `tidy`."""
    return write_code(tmp_path / "code")


@pytest.fixture
def publish(config: Config, database: Database, code: Path) -> Publish:
    """Publish a function of these modules or of the examples: name, function, version."""

    def published(name: str, function: str, version: str = "1.0", **options: Any) -> Any:
        options = {"code": [str(code), str(EXAMPLES)], "deadline_s": 20, **options}
        return publish_function(database, config.workspace_path, name, function, version, **options)

    return published
