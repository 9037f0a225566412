"""A workspace with real galaxies and small models, and the real server on it as a process that can be killed."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
import zipfile
from itertools import islice
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from tiny_model import tiny_model

from galclass.catalog import read_catalog
from galclass.config import Config, config_to_toml, load_config
from galclass.database import Database, Images, NewImage, Registry, Services, Tokens, open_database, score_pending

GALAXIES = 60
"""Objects in the catalog of the tests: more than one page of 50."""

HOSTILE_ID = '"><img src=x onerror=alert(1)>'
"""An object id that a careless page would run."""

VOTES = ("t01_smooth_or_features_a01_smooth", "t01_smooth_or_features_a02_features_or_disk", "t03_bar_a06_bar")

FIGURE = [0.6, 0.5, 0.7]
METRICS = {
    "tables": {
        "4 groups": {
            "count": 30,
            "names": ["Elliptical", "Spiral", "BarredSpiral", "Artifact"],
            "confusion": [[10, 2, 0, 0], [3, 9, 1, 0], [0, 2, 3, 0], [0, 0, 0, 0]],
            "class_error": {"Elliptical": 0.167, "Spiral": 0.308, "BarredSpiral": 0.4, "Artifact": None},
            "majority_rate": 0.43,
            "accuracy": FIGURE,
            "balanced_accuracy": FIGURE,
            "macro_f1": FIGURE,
        }
    },
    "reliability": {"confidence": [0.3, 0.6, 0.9], "accuracy": [0.25, 0.6, 0.95], "count": [5, 15, 10]},
}
"""What a registered evaluation looks like; the figures are made up and only drawn."""


class Site:
    """A workspace, its tokens, and the server process.

    Parameters
    ----------
    folder : Path
        Empty folder for the workspace.
    sample : Path
        The bundled sample.
    """

    def __init__(self, folder: Path, sample: Path) -> None:
        self.folder = folder
        self.port = _free_port()
        self.url = f"http://127.0.0.1:{self.port}/"
        self.pictures = folder / "pictures"
        config = load_config(None, {"workspace": str(folder / "workspace"), "serve.port": self.port})
        self.config_path = folder / "galclass.toml"
        self.config_path.write_text(config_to_toml(config))
        self.token = _fill(config, self.pictures, sample)
        self._process: subprocess.Popen[bytes] | None = None

    def database(self) -> Database:
        """Open the workspace's database, as another process would."""
        return open_database(load_config(self.config_path).database_url)

    def start(self, **settings: object) -> None:
        """Start the server and wait until it answers; settings are those of `[serve]`."""
        flags = [f"--set=serve.{key}={json.dumps(value)}" for key, value in settings.items()]
        code = "from galclass.cli import main; main()"
        command = [sys.executable, "-c", code, "serve", "--config", str(self.config_path), *flags]
        environment = os.environ | {"OMP_NUM_THREADS": "1"}
        with (self.folder / "server.log").open("ab") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log, env=environment)
        deadline = time.monotonic() + 150
        while not self._answers():
            if time.monotonic() > deadline or self._process.poll() is not None:
                raise RuntimeError((self.folder / "server.log").read_text()[-2000:])
            time.sleep(0.1)

    def kill(self) -> None:
        """End the server at once, as a crash would."""
        if self._process is not None:
            self._process.send_signal(signal.SIGKILL)
            self._process.wait()
            self._process = None

    def _answers(self) -> bool:
        try:
            with urllib.request.urlopen(self.url + "healthz", timeout=2) as answer:
                return bool(answer.status == 200)
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            return False


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _fill(config: Config, pictures: Path, sample: Path) -> str:
    """Put galaxies, models, a service and predictions into the workspace; gives an admin's token."""
    pictures.mkdir(parents=True)
    with zipfile.ZipFile(sample / "images_gz2.zip") as archive:
        names = (name for name in sorted(archive.namelist()) if name.endswith(".jpg"))
        data = {Path(name).stem: archive.read(name) for name in islice(names, GALAXIES - 1)}
    for key, value in data.items():
        (pictures / f"{key}.jpg").write_bytes(value)
    data[HOSTILE_ID] = next(iter(data.values()))
    database = open_database(config.database_url)
    registry = Registry(database)
    registry.register(tiny_model(0, votes=VOTES), metrics=METRICS, card="A tiny model.\nIt knows nothing.")
    registry.register(tiny_model(1), aliases=())
    Services(database).publish("galaxy-class", "1.0", "galaxy", 1, "Morphology class of a galaxy image")
    Images(database).add(NewImage(key, value, ra=10.0 + n, dec=0.1 * n) for n, (key, value) in enumerate(data.items()))
    score_pending(database, "galaxy@1")
    token = Tokens(database).create("admin", "admin-of-test")
    database.close()
    _write_index(config.workspace_path / "prepared", sample, set(data))
    return token


def _write_index(folder: Path, sample: Path, keys: set[str]) -> None:
    """Write the prepared index that the examples come from, with file keys as object ids."""
    catalog = read_catalog(sample / "gz2_hart16.csv", mapping=sample / "gz2_filename_mapping.csv")
    rows = [row for row in catalog.to_pylist() if row["asset_id"] in keys]
    for row in rows:
        row |= {"object_id": row["asset_id"], "split": "test"}
    folder.mkdir(parents=True)
    pq.write_table(pa.Table.from_pylist(rows), folder / "index.parquet")
