"""Databases of both kinds, empty and filled."""

from __future__ import annotations

import itertools
import os
import shutil
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from tiny_model import tiny_model

from galclass.database import Database, Images, NewImage, Registry, open_database

# What scoring needs in a server, copied where this checkout is closed to it.
PACKAGES = ("numpy", "numpy.libs", "onnxruntime", "cv2", "opencv_python_headless.libs", "simplejpeg")
PACKAGES += ("simplejpeg.libs", "PIL", "pillow.libs", "flatbuffers", "google", "packaging")
_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def galaxies(sample_folder: Path) -> dict[str, bytes]:
    """Seventy real galaxies by asset id: more than one chunk."""
    with zipfile.ZipFile(sample_folder / "images_gz2.zip") as archive:
        names = [name for name in sorted(archive.namelist()) if name.endswith(".jpg")][:70]
        return {Path(name).stem: archive.read(name) for name in names}


@pytest.fixture(scope="session")
def packages() -> Iterator[Path]:
    """A folder with galclass and what it scores with, that the server's user may read."""
    import galclass
    from galclass.database.procedure import first_closed, site_packages

    source = Path(galclass.__file__).parent
    if first_closed(site_packages()) is None and first_closed(source) is None:
        yield site_packages()
        return
    folder = Path(tempfile.mkdtemp(prefix="galclass-test-packages-", dir="/var/tmp"))  # one of each worker's own
    folder.chmod(0o755)
    for name in PACKAGES:
        if (site_packages() / name).exists():
            shutil.copytree(site_packages() / name, folder / name, copy_function=link_or_copy)
    shutil.copytree(source, folder / "galclass", copy_function=link_or_copy)
    yield folder
    shutil.rmtree(folder)


def link_or_copy(source: str, target: str) -> None:
    """Link a file, which takes no time, or copy it from another file system."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copy(source, target)


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of an empty database, of either kind."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'galclass.db'}"
    return str(request.getfixturevalue("cluster").create_database(f"test_{next(_numbers)}"))


@pytest.fixture
def database(url: str) -> Iterator[Database]:
    """A migrated, empty database of either kind."""
    with open_database(url, migrate=True) as opened:
        yield opened


@pytest.fixture
def filled(database: Database, galaxies: dict[str, bytes]) -> Database:
    """A database with a model and seventy images."""
    Registry(database).register(tiny_model())
    Images(database).add(NewImage(key, data) for key, data in galaxies.items())
    return database
