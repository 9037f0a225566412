"""A real cluster of two one-core nodes on loopback, and galaxies to score on it."""

from __future__ import annotations

import os
import secrets
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from azurite import ACCOUNT_KEY, ENVIRONMENT
from cluster.nodes import Cluster, free_port, wait_for
from tiny_model import tiny_model

from galclass.config import ClusterConfig
from galclass.scoring import Scorer

os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
os.environ["RAY_AUTH_MODE"] = "token"
os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(16))  # else Ray would write one into the home folder
os.environ["RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO"] = "0"  # the new behaviour; without it Ray warns


@pytest.fixture(scope="session")
def faults(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the nodes of `cluster` look for and leave the files of `faults/sitecustomize.py`."""
    return tmp_path_factory.mktemp("faults")


@pytest.fixture
def gate(faults: Path) -> Iterator[Path]:
    """The folder in which images that end in GATE wait for a file `open`, which is there at the end."""
    for path in faults.iterdir():
        path.unlink()
    yield faults
    (faults / "open").touch()


@pytest.fixture(scope="session")
def object_store_port() -> int:
    return free_port()


@pytest.fixture(scope="session")
def azure_port() -> int:
    return free_port()


@pytest.fixture(scope="session")
def object_store(object_store_port: int, azure_port: int) -> dict[str, str]:
    """What tells obstore where the object stores are; in this process and on the nodes."""
    azure = {"AZURITE_BLOB_STORAGE_URL": f"http://127.0.0.1:{azure_port}", "AZURE_STORAGE_ACCOUNT_KEY": ACCOUNT_KEY}
    own = {"AWS_ENDPOINT": f"http://127.0.0.1:{object_store_port}", "AWS_REGION": "us-east-1"}
    own |= azure | ENVIRONMENT
    return own | {"AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing", "AWS_ALLOW_HTTP": "true"}


@pytest.fixture(scope="package")
def cluster(faults: Path, object_store: dict[str, str]) -> Iterator[Cluster]:
    """Two nodes, and this process connected to them."""
    import ray

    cluster = Cluster(faults, **object_store)
    try:
        cluster.add()
        ray.init(address=cluster.address, log_to_driver=False, logging_level="ERROR")
        wait_for(lambda: sum(node["Alive"] for node in ray.nodes()) == 2, "a second node")
        yield cluster
    finally:
        ray.shutdown()
        cluster.close()


@pytest.fixture
def settings(cluster: Cluster) -> ClusterConfig:
    return ClusterConfig(cluster.address, chunk=64, partition_rows=100, patience_s=60)


@pytest.fixture(scope="session")
def scorer() -> Scorer:
    return Scorer(tiny_model(), version=3)


@pytest.fixture(scope="session")
def galaxies(sample_folder: Path) -> dict[str, bytes]:
    """Real galaxies by asset id."""
    with zipfile.ZipFile(sample_folder / "images_gz2.zip") as archive:
        names = [name for name in sorted(archive.namelist()) if name.endswith(".jpg")][:300]
        return {Path(name).stem: archive.read(name) for name in names}


@pytest.fixture
def folder(tmp_path: Path, galaxies: dict[str, bytes]) -> Path:
    """A folder of 300 images and one that is none."""
    images = tmp_path / "images"
    images.mkdir()
    for name, data in galaxies.items():
        (images / f"{name}.jpg").write_bytes(data)
    (images / "page.jpg").write_bytes(b"<html>not found</html>")
    return images
