"""The stored galaxies nearest to an image: exact, with file, position and label, over SQLite and PostgreSQL."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from click.testing import CliRunner
from tiny_model import tiny_model

from galclass.cli import cli
from galclass.database import Database, Images, NewImage, open_database
from galclass.database import nearest as module
from galclass.database.labels import add_human_label
from galclass.database.nearest import nearest_stored
from galclass.errors import DatabaseError, ModelError
from galclass.scoring import Scorer


def picture(seed: int) -> bytes:
    rng = np.random.default_rng(seed)
    return bytes(cv2.imencode(".png", rng.integers(0, 256, (64, 64, 3), dtype=np.uint8))[1])


@pytest.fixture(scope="module")
def scorer() -> Scorer:
    return Scorer(tiny_model(0))


def filled(database: Database, count: int = 12) -> None:
    new = (NewImage(f"g{n}", picture(n), f"files/g{n}.png", ra=10.0 + n, dec=-1.5) for n in range(count))
    Images(database).add(new)


def test_the_nearest_are_those_of_all_cosines(
    database: Database, scorer: Scorer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_ROWS", 5)
    filled(database)
    Images(database).add([NewImage("bad", b"no image")])
    add_human_label(database, "g3", "spiral", "me")
    told: list[tuple[int, int]] = []
    asked = picture(100)
    found = nearest_stored(database, scorer, asked, where="x", count=12, advance=lambda *counts: told.append(counts))
    vectors = np.stack([one.embedding for one in scorer.score([picture(n) for n in range(12)])])
    (own,) = scorer.embed([asked])
    cosines = vectors @ own / np.linalg.norm(vectors, axis=1) / np.linalg.norm(own)
    assert [one.object_id for one in found] == [f"g{n}" for n in np.argsort(-cosines)]
    np.testing.assert_allclose([one.similarity for one in found], np.sort(cosines)[::-1], atol=1e-5)
    one = next(one for one in found if one.object_id == "g3")
    assert (one.file, one.ra, one.dec, one.label) == ("files/g3.png", 13.0, -1.5, "spiral")
    assert sum(count for count, _ in told) == 13
    assert nearest_stored(database, scorer, asked, where="x", count=3) == found[:3]


def test_the_image_itself_is_left_out(database: Database, scorer: Scorer) -> None:
    filled(database, 4)
    found = nearest_stored(database, scorer, picture(2), where="x")
    assert {one.object_id for one in found} == {"g0", "g1", "g3"}


def test_nothing_stored_and_no_image_are_told(database: Database, scorer: Scorer) -> None:
    with pytest.raises(DatabaseError, match="no image is stored.*images add"):
        nearest_stored(database, scorer, picture(0), where="x")
    with pytest.raises(ModelError, match="x: not an image"):
        nearest_stored(database, scorer, b"no image", where="x")


def test_the_command_shows_files_and_positions(tmp_path: Path) -> None:
    with open_database(f"sqlite:///{tmp_path}/ws/galclass.db", migrate=True) as made:
        filled(made, 3)
    (tmp_path / "mine.png").write_bytes(picture(50))
    (tmp_path / "tiny.onnx").write_bytes(tiny_model(0))
    words = ["similar", str(tmp_path / "mine.png"), "--model", str(tmp_path / "tiny.onnx"), "--count", "2"]
    done = CliRunner().invoke(cli, [*words, "--images-from", "database", "--workspace", str(tmp_path / "ws")])
    assert done.exit_code == 0, done.output
    assert "files/g" in done.output
    assert "-1.50000" in done.output
    assert done.output.count("files/g") == 2
