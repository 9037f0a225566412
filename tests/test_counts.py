"""Every stage's counts add up over an untidy folder and archives: files seen = used + rejected + skipped."""

from __future__ import annotations

import csv
import re
import zipfile
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import untidy
from click.testing import CliRunner, Result
from untidy import Untidy

from galclass.cli import cli
from galclass.database import Images, open_database

CONTAINERS = [
    "folder",
    "images.zip",
    "images.tar",
    "images.tar.gz",
    "images.tar.bz2",
    "images.tar.xz",
    "images.tar.zst",
]
FEW = ["folder", "images.zip", "images.tar.gz"]


@pytest.fixture(scope="module")
def galaxies(sample_folder: Path) -> list[bytes]:
    with zipfile.ZipFile(sample_folder / "images_gz2.zip") as archive:
        return [archive.read(name) for name in sorted(archive.namelist()) if name.endswith(".jpg")][:30]


@pytest.fixture
def make(tmp_path: Path, galaxies: list[bytes]) -> Callable[[str], Untidy]:
    def write(container: str) -> Untidy:
        if container == "folder":
            return untidy.folder(tmp_path / "folder", galaxies)
        if container == "images.zip":
            return untidy.zipped(tmp_path / container, galaxies)
        if container.endswith(".zst"):
            import pyarrow as pa

            plain = untidy.tarred(tmp_path / "plain.tar", galaxies)
            with pa.CompressedOutputStream(str(tmp_path / container), "zstd") as file:
                file.write(plain.path.read_bytes())
            plain.path = tmp_path / container
            return plain
        return untidy.tarred(tmp_path / container, galaxies)

    return write


def run(*words: object, status: int) -> Result:
    done = CliRunner(env={"COLUMNS": "200"}).invoke(cli, list(map(str, words)))
    assert (done.exit_code or done.return_value or 0) == status, (done.output, done.exception)
    return done


def counts(output: str, found: Untidy) -> dict[str, int]:
    """Read the line of counts; it must add up to all files there are, and the skipped ones be those that are right."""
    line = re.search(r"^files: ([\d,]+) seen = (.*)$", output, re.M)
    assert line, output
    parts = {words: int(number) for number, words in re.findall(r"(\d+) ([a-z ]+?)(?= \+|$)", line[2])}
    assert int(line[1]) == sum(parts.values()) == found.files
    assert parts["skipped"] == sum(found.skipped.values())
    for name in found.lost:
        assert name in output
    return parts


@pytest.mark.parametrize("container", CONTAINERS)
def test_predict(make, container: str, tmp_path: Path) -> None:
    found = make(container)
    done = run("predict", found.path, "--output", tmp_path / "p.csv", status=3)
    with (tmp_path / "p.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    scored = [row for row in rows if not row["error"]]
    assert sorted(row["object_id"] for row in scored) == found.ids
    bad = {row["file"].removeprefix(f"{found.path}/"): row["error"].split(":")[0] for row in rows if row["error"]}
    assert bad == found.rejected
    parts = counts(done.output, found)
    assert (parts["scored"], parts["rejected"]) == (len(scored), len(rows) - len(scored))


@pytest.mark.parametrize("container", FEW)
def test_images_add(make, container: str, tmp_path: Path) -> None:
    found = make(container)
    database, rejects = tmp_path / "images.db", tmp_path / "rejects.csv"
    words = ("images", "add", found.path, "--database", database, "--rejects", rejects)
    done = run(*words, status=3)
    parts = counts(done.output, found)
    twins = list(found.twins)
    with open_database(database) as opened:
        stored = [one.object_id for one in Images(opened).list(limit=1000)]
    assert stored == sorted(set(found.ids) - set(twins))
    assert parts["added"] == len(stored)
    with rejects.open(newline="", encoding="utf-8") as file:
        rows = {row["file"].removeprefix(f"{found.path}/"): row for row in csv.DictReader(file)}
    assert {name: row["code"] for name, row in rows.items()} == found.rejected | dict.fromkeys(
        ("g0.jpg", "twin.jpg", "deep/one.png", "deep/other.bmp"), "duplicate_image"
    )
    assert rows["g0.jpg"]["reason"] == f"the same image as twin ({found.path}/twin.jpg)"
    again = counts(run(*words, status=3).output, found)
    assert (again["added"], again["already there"]) == (0, parts["added"])
    scored = run("score", "--pending", "--database", database, "--model", _model(tmp_path, database), status=0)
    assert f"{len(stored)} images with " in scored.output
    assert ", 0 rejected" in scored.output


def _model(folder: Path, database: Path) -> str:
    from tiny_model import tiny_model

    (folder / "tiny.onnx").write_bytes(tiny_model())
    run("models", "register", folder / "tiny.onnx", "--name", "tiny", "--database", database, status=0)
    return "tiny@1"


@pytest.mark.parametrize("container", FEW)
def test_prepare(make, container: str, tmp_path: Path) -> None:
    found = make(container)
    unused = {"g5", "g6"}
    rows = "".join(f"{key},{'Er' if n % 2 else 'Sb'}\n" for n, key in enumerate(found.ids) if key not in unused)
    rejected = [Path(name).stem for name in found.rejected]
    rows += "".join(f"{key},Er\n" for key in rejected)
    (tmp_path / "catalog.csv").write_text(f"object_id,label\n{rows}")
    settings = {
        "prepare.images": f'"{found.path}"',
        "prepare.catalog": f'"{tmp_path}/catalog.csv"',
        "prepare.max_rejects": "0.9",
        "prepare.processes": "1",
        "prepare.size_px": "50",
    }
    flags = [word for key, value in settings.items() for word in ("--set", f"{key}={value}")]
    words = ("prepare", "--no-progress", "--workspace", tmp_path / "ws", *flags)
    for _ in range(2):  # made, and found made
        parts = counts(run(*words, status=3).output, found)
    index = pq.read_table(tmp_path / "ws/prepared/index.parquet")
    rejects = pq.read_table(tmp_path / "ws/prepared/rejects.parquet").to_pylist()
    assert sorted(index["object_id"].to_pylist()) == sorted(set(found.ids) - unused - set(found.twins))
    assert {row["object_id"] for row in rejects} == {*rejected, *found.twins}
    codes = {row["file"]: row["code"] for row in rejects}
    twins = {"g0.jpg", "twin.jpg", "deep/one.png", "deep/other.bmp"}
    assert codes == found.rejected | dict.fromkeys(twins, "duplicate_image")
    reason = next(row["reason"] for row in rejects if row["file"] == "deep/one.png")
    assert reason == "the same image as other (deep/other.bmp)"
    assert (parts["prepared"], parts["without a catalog row"]) == (len(index), 2)
    kept = run(*words, "--set", 'prepare.duplicates="keep"', status=3)
    counts(kept.output, found)
    assert "2 images shared by several objects" in kept.output
    index = pq.read_table(tmp_path / "ws/prepared/index.parquet").to_pylist()
    split = {row["object_id"]: row["split"] for row in index}
    assert split["g0"] == split["twin"]
    assert split["one"] == split["other"]
