from __future__ import annotations

import hashlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from random import Random
from threading import Barrier
from typing import TypeVar

import numpy as np
import pytest
from image_builders import bmp
from sqlalchemy import select, text

from galclass.cutouts import LOCAL
from galclass.database import Database, Images, NewImage, open_database
from galclass.database import content as content_module
from galclass.database.bulk import add_catalog, add_images
from galclass.database.content import NO_CUTOUT
from galclass.database.images import AddSummary
from galclass.database.labels import NewLabel, add_labels
from galclass.database.positions import CatalogRow, read_objects
from galclass.database.schema import images as images_table
from galclass.database.sky import separation_arcsec
from galclass.database.types import now
from galclass.errors import DatabaseError

Result = TypeVar("Result")


def test_images_are_added_once(database: Database, galaxies: dict[str, bytes]) -> None:
    images = Images(database)
    first = images.add(NewImage(key, data) for key, data in galaxies.items())
    again = images.add(NewImage(key, galaxies.get(key, b"x")) for key in [*galaxies, "new", "new"])
    assert (first.added, first.already_there, first.rejects) == (70, 0, ())
    assert (again.added, again.already_there, again.rejects) == (1, 71, ())
    assert images.count() == 71
    key = next(iter(galaxies))
    assert images.get(key) == galaxies[key]
    assert images.get("nowhere") is None


def test_another_image_of_the_same_object_is_a_reject(database: Database) -> None:
    images = Images(database)
    images.add([NewImage("a", b"first", "one/a.jpg")])
    summary = images.add([NewImage("a", b"second", "two/a.jpg"), NewImage("b", b"x"), NewImage("b", b"y")])
    assert (summary.added, summary.already_there) == (1, 0)
    assert [(reject.file, reject.code) for reject in summary.rejects] == [
        ("two/a.jpg", "same_id_other_image"),
        ("b", "same_id_other_image"),
    ]
    assert "from one/a.jpg" in summary.rejects[0].reason
    assert (images.get("a"), images.get("b")) == (b"first", b"x")


def test_the_same_image_with_another_frame_is_a_reject(database: Database) -> None:
    images, picture = Images(database), bmp(bytes(120 * 360), 120, 120, 24)
    images.add([NewImage("full", picture), NewImage("part", picture, frame_px=424)])
    for same in (None, 120, 121):
        assert images.add([NewImage("full", picture, frame_px=same)]).already_there == 1
    assert images.add([NewImage("part", picture)]).already_there == 1
    summary = images.add([NewImage("full", picture, "a.jpg", 424), NewImage("part", picture, frame_px=700)])
    assert (summary.added, summary.already_there) == (0, 0)
    assert [str(reject) for reject in summary.rejects] == [
        "a.jpg: same_id_other_frame: object_id full is stored as a full frame, not 424",
        "part: same_id_other_frame: object_id part is stored with frame_px 424, not 700",
    ]
    assert [one.frame_px for one in images.list()] == [None, 424]


def test_an_image_inserted_without_its_sha256_is_compared_by_its_bytes(database: Database) -> None:
    images = Images(database)
    with database.write() as connection:
        row = {"object_id": "a", "img": b"by hand", "added_at": now()}
        connection.execute(images_table.insert().values(**row))
        connection.execute(images_table.insert().values(**row | {"object_id": "elsewhere", "img": None}))
    summary = images.add([NewImage("a", b"by hand"), NewImage("a", b"other"), NewImage("elsewhere", b"x")])
    assert (summary.added, summary.already_there, len(summary.rejects)) == (0, 2, 1)


def test_positions_fill_what_has_none(database: Database) -> None:
    images = Images(database)
    images.add([NewImage("a", b"a"), NewImage("b", b"b", ra=1.0, dec=2.0)])
    images.place([("a", 180.0, 0.5), ("b", 180.0, 0.5), ("nowhere", 180.0, 0.5)])
    assert [(one.object_id, one.ra, one.dec) for one in images.list()] == [("a", 180.0, 0.5), ("b", 1.0, 2.0)]


def test_positions_of_a_corrected_catalog_that_are_not_stored_are_counted(database: Database) -> None:
    Images(database).add([NewImage("a", b"a", ra=180.0, dec=0.5), NewImage("b", b"b")])
    rows = [CatalogRow("a", 180.0001, 0.5, None, {}), CatalogRow("b", 10.0, 0.5, None, {})]
    assert add_catalog(database, rows, "first.csv").elsewhere == 0
    moved = [CatalogRow("a", 180.01, 0.5, None, {}), CatalogRow("b", 10.0, 0.5, None, {})]
    assert "1 positions are not the stored ones, which stay" in str(add_catalog(database, moved, "second.csv"))
    assert Images(database).list()[0].ra == 180.0


def test_labels_that_a_catalog_no_longer_has_are_counted(database: Database) -> None:
    Images(database).add([NewImage("a", b"a"), NewImage("b", b"b")])
    add_catalog(database, [CatalogRow(key, None, None, "Sb", {}) for key in "ab"], "mine.csv")
    blank = [CatalogRow("a", None, None, None, {}), CatalogRow("b", None, None, "Er", {})]
    assert add_catalog(database, blank, "other.csv").former == 0
    summary = add_catalog(database, blank, "mine.csv")
    assert (summary.labels, summary.former) == (1, 1)
    assert "1 rows without a label had one when a catalog of this name was added; it stays" in str(summary)


def test_more_than_a_chunk_is_added(database: Database) -> None:
    added = Images(database).add(NewImage(f"{number:04}", b"x") for number in range(1000))
    assert added.added == 1000
    page = Images(database).list(limit=3, after="0500")
    assert [one.object_id for one in page] == ["0501", "0502", "0503"]
    assert (page[0].size_bytes, page[0].sha256) == (1, hashlib.sha256(b"x").hexdigest())


def test_ids_stay_text(database: Database) -> None:
    Images(database).add([NewImage("587722981742084144", b"x"), NewImage("007", b"x")])
    assert [one.object_id for one in Images(database).list()] == ["007", "587722981742084144"]


@pytest.mark.parametrize(("ra", "dec"), [(180.0, 0.0), (0.001, 10.0), (359.999, -10.0), (77.0, 89.999), (12.0, -89.99)])
def test_a_cone_search_finds_what_brute_force_finds(database: Database, ra: float, dec: float) -> None:
    rng = np.random.default_rng(7)
    positions = np.column_stack(
        [(ra + rng.normal(0, 0.05, 400)) % 360, np.clip(dec + rng.normal(0, 0.05, 400), -90, 90)]
    )
    Images(database).add(
        NewImage(f"{number:03}", b"x", ra=float(a), dec=float(d)) for number, (a, d) in enumerate(positions)
    )
    Images(database).add([NewImage("no position", b"x")])
    distances = separation_arcsec(positions[:, 0], positions[:, 1], ra, dec)
    expected = {f"{number:03}" for number in range(400) if distances[number] <= 120}
    found = Images(database).cone_search(ra, dec, 120, limit=1000)
    assert {one.object_id for one in found} == expected
    assert expected
    order = [distances[int(one.object_id)] for one in found]
    assert order == sorted(order)


def test_distances_agree_with_astropy() -> None:
    from astropy.coordinates import SkyCoord

    rng = np.random.default_rng(1)
    ra, dec = rng.uniform(0, 360, 50), rng.uniform(-90, 90, 50)
    expected = SkyCoord(ra, dec, unit="deg").separation(SkyCoord(10, 20, unit="deg")).arcsec
    np.testing.assert_allclose(separation_arcsec(ra, dec, 10, 20), expected, rtol=1e-9)


@pytest.mark.parametrize("cone", [(400, 0, 1), (0, 91, 1), (0, 0, 0), (0, 0, -5)])
def test_no_cone_is_an_error(database: Database, cone: tuple[float, float, float]) -> None:
    with pytest.raises(DatabaseError, match="cone out of range"):
        Images(database).cone_search(*cone)


def test_a_catalog_gives_object_ids_by_file(sample_folder: Path) -> None:
    objects = read_objects(sample_folder / "gz2_hart16.csv", sample_folder / "gz2_filename_mapping.csv")
    assert len(objects) == 703
    one = objects["68"]
    assert one.object_id == "587722981746540704"
    assert one.label


def test_equal_pixels_are_one_picture_and_what_has_no_cutout_is_compared_by_bytes(
    database: Database, galaxies: dict[str, bytes]
) -> None:
    images, (data, other) = Images(database), list(galaxies.values())[:2]
    commented = data[:2] + b"\xff\xfe\0\x06note" + data[2:]
    images.add([NewImage("old", data, "old.jpg"), NewImage("broken", b"x", "broken.jpg")])
    new = [NewImage("old", commented), NewImage("a", commented, file="a.jpg"), NewImage("b", other)]
    summary = images.add([*new, NewImage("c", b"x"), NewImage("d", b"y")], keep_duplicates=False)
    assert (summary.added, summary.already_there) == (2, 1)
    assert [(reject.file, reject.reason) for reject in summary.rejects] == [
        ("a.jpg", "the same image as old (old.jpg)"),
        ("c", "the same image as broken (broken.jpg)"),
    ]
    with database.read() as connection:
        query = select(images_table.c.object_id).where(images_table.c.pixels_sha256 == NO_CUTOUT)
        assert sorted(connection.scalars(query)) == ["broken", "d"]


@pytest.fixture
def tried(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """The images whose cutout was asked for, in order."""
    asked: list[bytes] = []
    cut = content_module.flagged_cutout

    def flagged_cutout(data: bytes, *rest: object, **options: object) -> object:
        asked.append(data)
        return cut(data, *rest, **options)

    monkeypatch.setattr(content_module, "flagged_cutout", flagged_cutout)
    return asked


def test_an_image_without_a_cutout_is_decoded_once(
    database: Database, galaxies: dict[str, bytes], tmp_path: Path, tried: list[bytes]
) -> None:
    whole, other = list(galaxies.values())[:2]
    (tmp_path / "cut.jpg").write_bytes(whole[: len(whole) // 2])
    assert add_images(database, [tmp_path / "cut.jpg"], {}).added == 1
    assert tried == [whole[: len(whole) // 2]]
    Images(database).add([NewImage("by hand", b"x")])
    for number in range(2):
        assert Images(database).add([NewImage(f"{number}", other + bytes(number))], keep_duplicates=False)
    assert tried[1:] == [b"x", other, other + b"\0"]


def test_stored_images_are_decoded_within_the_limits_of_the_call(
    database: Database, galaxies: dict[str, bytes], tmp_path: Path
) -> None:
    (key, data), (_, other) = list(galaxies.items())[:2]
    images = Images(database)
    images.add([NewImage(key, data)])
    (tmp_path / "other.jpg").write_bytes(other)
    strict = LOCAL.with_seconds(1e-6)
    assert [one.code for one in add_images(database, [tmp_path / "other.jpg"], {}, limits=strict).rejects] == [
        "too_costly"
    ]
    assert images.add([NewImage("new", other)], keep_duplicates=False, limits=strict).added == 1
    query = select(images_table.c.pixels_sha256)
    with database.read() as connection:
        assert list(connection.scalars(query)) == [None, None]
    add_images(database, [tmp_path / "other.jpg"], {})
    with database.read() as connection:
        assert {len(value) for value in connection.scalars(query)} == {64}


def at_once(url: str, work: Callable[[Database, int], Result]) -> list[Result]:
    """Run a function in four connections that begin together."""
    barrier = Barrier(4)

    def one(number: int) -> Result:
        with open_database(url) as database:
            barrier.wait(60)
            return work(database, number)

    with ThreadPoolExecutor(4) as pool:
        return list(pool.map(one, range(4)))


def shuffled(seed: int) -> list[str]:
    return Random(seed).sample([f"{number:03}" for number in range(200)], 200)


@pytest.mark.parametrize("keep", [True, False])
@pytest.mark.parametrize("kind", ["one image of each id", "one id of each image", "another image of each id"])
def test_those_who_add_the_same_at_once_count_each_image_once(
    database: Database, url: str, kind: str, keep: bool
) -> None:
    def add(own: Database, number: int) -> AddSummary:
        prefix = f"{number}-" if kind == "one id of each image" else ""
        ending = str(number) if kind == "another image of each id" else ""
        new = [NewImage(f"{prefix}{key}", f"{key}{ending}".encode()) for key in shuffled(number)]
        return Images(own).add(new, keep_duplicates=keep)

    done = at_once(url, add)
    left = {"one image of each id": (600, 0), "one id of each image": (0, 600), "another image of each id": (0, 600)}
    added, there, rejects = 200, *left[kind]
    if kind == "one id of each image" and keep:
        added, rejects = 800, 0
    assert sum(one.added for one in done) == Images(database).count() == added
    assert (sum(one.already_there for one in done), sum(len(one.rejects) for one in done)) == (there, rejects)


def test_those_who_write_the_same_positions_and_labels_at_once_do_not_wait_for_each_other(
    database: Database, url: str
) -> None:
    Images(database).add([NewImage(key, key.encode()) for key in shuffled(0)])

    def write(own: Database, number: int) -> int:
        Images(own).place([(key, 10.0, 20.0) for key in shuffled(number)])
        return add_labels(own, [NewLabel(key, "Er", "c.csv") for key in shuffled(number)])

    assert at_once(url, write) == [200] * 4
    with database.read() as connection:
        assert connection.scalar(text("SELECT count(*) FROM galaxy_labels")) == 200
