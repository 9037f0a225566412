"""What a command writes never replaces what it reads, by whatever path the file is named."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest
from click.testing import CliRunner
from tiny_model import tiny_model

from galclass.cli import cli
from galclass.config import config_to_toml, load_config


@pytest.fixture
def folder(tmp_path: Path, sample_folder: Path) -> Path:
    """An image, a catalog with a second name, and a database that a user called b.csv."""
    with zipfile.ZipFile(sample_folder / "images_gz2.zip") as archive:
        name = next(name for name in archive.namelist() if name.endswith(".jpg"))
        (tmp_path / "a.jpg").write_bytes(archive.read(name))
    (tmp_path / "c.csv").write_text("object_id,label\na,Er\n")
    (tmp_path / "link.csv").symlink_to("c.csv")
    (tmp_path / "tiny.onnx").write_bytes(tiny_model())
    database = ["--database", str(tmp_path / "b.csv")]
    for words in (["models", "register", str(tmp_path / "tiny.onnx")], ["images", "add", str(tmp_path / "a.jpg")]):
        assert CliRunner().invoke(cli, [*words, *database]).exit_code == 0
    return tmp_path


@pytest.mark.parametrize(
    "words",
    [
        "predict a.jpg --model tiny.onnx --catalog c.csv --output link.csv",
        "predict a.jpg --model galaxy --output b.csv",
        "images add a.jpg --catalog c.csv --rejects link.csv",
        "images add a.jpg --rejects b.csv",
        "evaluate --model tiny.onnx --catalog c.csv --images a.jpg --rejects link.csv",
        "db export b.csv",
        "db export link.csv --catalog c.csv",
        "sql SELECT/**/1 --output b.csv",
        "models export galaxy b.csv",
    ],
)
def test_an_output_that_is_an_input_is_refused(folder: Path, words: str) -> None:
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    at = [str(folder / word) if (folder / word).exists() else word for word in words.split()]
    done = CliRunner().invoke(cli, [*at, "--database", str(folder / "b.csv")])
    assert done.exit_code == 2, done.output
    assert "would replace" in done.output
    assert {path.name: path.read_bytes() for path in folder.iterdir() if path.name in before} == before


def test_rejects_go_into_a_new_folder(folder: Path) -> None:
    (folder / "x.jpg").write_bytes(b"no image")
    words = ["images", "add", str(folder / "x.jpg"), "--rejects", str(folder / "new" / "r.csv")]
    done = CliRunner().invoke(cli, [*words, "--database", str(folder / "b.csv")])
    assert done.exit_code == 3, done.output
    assert "not_an_image" in (folder / "new" / "r.csv").read_text()


def test_a_configuration_in_the_workspace_is_not_replaced_by_the_resolved_one(tmp_path: Path) -> None:
    own = tmp_path / "config.toml"
    own.write_text("# my notes\nseed = 5\n")
    words = ["run", str(own), "--workspace", str(tmp_path), "--until", "download", "--set", "prepare.sources=[]"]
    done = CliRunner().invoke(cli, words)
    assert done.exit_code == 2, done.output
    assert own.read_text().startswith("# my notes")
    own.write_text(config_to_toml(load_config(None, {"workspace": str(tmp_path), "seed": 7})))
    assert CliRunner().invoke(cli, ["run", str(own), "--until", "download"]).exit_code == 0
    assert load_config(own).seed == 7


def test_rejects_are_also_printed_where_their_file_cannot_be_written(folder: Path) -> None:
    (folder / "x.jpg").write_bytes(b"no image")
    words = ["images", "add", str(folder / "x.jpg"), "--rejects", str(folder / "a.jpg" / "r.csv")]
    done = CliRunner().invoke(cli, [*words, "--database", str(folder / "b.csv")])
    assert isinstance(done.exception, OSError)
    assert "not_an_image" in done.output
