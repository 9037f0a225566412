"""`galclass prepare`: one line, and the exit status says whether something was rejected."""

from __future__ import annotations

import os
import sys
import zipfile
from pathlib import Path

import click
import pyarrow.parquet as pq
import pytest
from interrupts import GOES_ON, press_ctrl_c, start

from galclass.cli import cli, main


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> object:
    monkeypatch.setattr(sys, "argv", ["galclass", "prepare", "--no-progress", *arguments])
    with pytest.raises(SystemExit) as ended:
        main()
    return ended.value.code


def test_every_command_that_reads_a_catalog_takes_the_same_columns() -> None:
    flags = ("--id-column", "--label-column", "--file-column", "--ra-column", "--dec-column", "--table")
    for words in (["prepare"], ["images", "add"], ["download", "cutouts"], ["score"]):
        command: click.Command = cli
        for word in words:
            assert isinstance(command, click.Group)
            found = command.get_command(click.Context(command), word)
            assert found is not None
            command = found
        taken = {flag for parameter in command.params for flag in parameter.opts}
        assert taken >= {*flags, "--catalog-format", "--catalog"}, words


def test_flags_name_the_images_and_the_columns(tmp_path: Path, sample_folder: Path, monkeypatch, capsys) -> None:
    with zipfile.ZipFile(sample_folder / "images_gz2.zip") as archive:
        names = sorted(name for name in archive.namelist() if name.endswith(".jpg"))[:6]
        (tmp_path / "images").mkdir()
        for number, name in enumerate(names):
            (tmp_path / "images" / f"g{number}.jpg").write_bytes(archive.read(name))
    rows = [f"0{number},a/g{number}.jpg,Sb,12 00 0{number},+01 00 00" for number in range(6)]
    (tmp_path / "c.csv").write_text("\n".join(["nr,picture,kind,alpha,delta", *rows]) + "\n")
    paths = (
        "--workspace",
        str(tmp_path / "ws"),
        "--images",
        str(tmp_path / "images"),
        "--catalog",
        str(tmp_path / "c.csv"),
    )
    columns = ("--id-column", "NR", "--file-column", "picture", "--label-column", "kind")
    assert run(monkeypatch, *paths, *columns, "--ra-column", "alpha", "--dec-column", "delta") == 0
    assert "6 cutouts, 0 rejects, 6 with a label" in capsys.readouterr().out
    index = pq.read_table(tmp_path / "ws" / "prepared" / "index.parquet").sort_by("object_id")
    assert index["object_id"].to_pylist() == [f"0{number}" for number in range(6)]
    assert index["ra"][1].as_py() == pytest.approx(180 + 15 / 3600)
    assert run(monkeypatch, *paths, "--id-column", "number") == 1
    assert "columns are missing: number" in capsys.readouterr().err


def test_flags_for_one_catalog_do_not_go_with_several_sources(tmp_path: Path, monkeypatch, capsys) -> None:
    (tmp_path / "c.toml").write_text('[[prepare.sources]]\nname = "a"\nimages = "i"\ncatalog = "c"\n')
    for flag in ("--id-column", "--catalog"):
        assert run(monkeypatch, "--config", str(tmp_path / "c.toml"), flag, "x") == 2
        assert f"{flag}: for one catalog only" in capsys.readouterr().err


@pytest.mark.parametrize(("bad", "status"), [(False, 0), (True, 3)])
def test_the_exit_status_tells_of_rejects(
    tmp_path: Path, sample_folder: Path, monkeypatch, capsys, bad: bool, status: int
) -> None:
    with zipfile.ZipFile(sample_folder / "images_gz2.zip") as archive:
        names = sorted(name for name in archive.namelist() if name.endswith(".jpg"))[:12]
        files = {Path(name).stem: archive.read(name) for name in names}
    if bad:
        files[next(iter(files))] = b"<html>gone</html>"
    (tmp_path / "images").mkdir()
    for key, data in files.items():
        (tmp_path / "images" / f"{key}.jpg").write_bytes(data)
    rows = [f"{key},{'Er' if k % 2 else 'Sb'}" for k, key in enumerate(files)]
    (tmp_path / "labels.csv").write_text("\n".join(["object_id,label", *rows]) + "\n")
    settings = (f'prepare.images="{tmp_path}/images"', f'prepare.catalog="{tmp_path}/labels.csv"')
    flags = [flag for text in (*settings, "prepare.max_rejects=0.5") for flag in ("--set", text)]
    assert run(monkeypatch, "--workspace", str(tmp_path / "ws"), *flags) == status
    assert f"{12 - bad} cutouts, {int(bad)} rejects" in capsys.readouterr().out


def test_the_summary_says_how_many_have_a_label_and_which_columns_there_are(
    tmp_path: Path, sample_folder: Path, monkeypatch, capsys
) -> None:
    (tmp_path / "images").mkdir()
    with zipfile.ZipFile(sample_folder / "images_gz2.zip") as archive:
        for number, name in enumerate([name for name in sorted(archive.namelist()) if name.endswith(".jpg")][:12]):
            (tmp_path / "images" / f"{number}.jpg").write_bytes(archive.read(name))
    catalog = tmp_path / "labels.csv"
    settings = (f'prepare.images="{tmp_path}/images"', f'prepare.catalog="{catalog}"')
    flags = [flag for text in settings for flag in ("--set", text)]
    catalog.write_text("object_id,kind\n" + "".join(f"{number},Sb\n" for number in range(12)))
    for _ in range(2):  # made, and found made
        assert run(monkeypatch, "--workspace", str(tmp_path / "ws"), *flags) == 0
        told = capsys.readouterr().out
        assert "12 cutouts, 0 rejects, 0 with a label" in told
        assert "no labels in the columns object_id, kind: name theirs with label_column" in told
    catalog.write_text("object_id,label\n" + "".join(f"{number},{'Sb' * (number > 2)}\n" for number in range(12)))
    assert run(monkeypatch, "--workspace", str(tmp_path / "ws"), *flags) == 0
    assert "12 cutouts, 0 rejects, 9 with a label, nothing to cut" in capsys.readouterr().out


def test_a_source_that_was_not_downloaded_says_what_to_do(tmp_path: Path, monkeypatch, capsys) -> None:
    assert run(monkeypatch, "--workspace", str(tmp_path)) == 1
    assert "galclass download" in capsys.readouterr().err


_READS_FOR_EVER = """
import sys
if "galclass.prepare.worker" in sys.orig_argv:
    from galclass.prepare import chunks
    def read(*_):
        with open({pipe!r}, "rb") as pipe:
            pipe.read()
    chunks.fill_chunk = read
"""


def test_ctrl_c_ends_workers_that_wait_for_a_file(
    tmp_path: Path, sample_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    (tmp_path / "path").mkdir()
    (tmp_path / "path" / "sitecustomize.py").write_text(_READS_FOR_EVER.format(pipe=str(pipe)))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "path"))
    with zipfile.ZipFile(sample_folder / "images_gz2.zip") as archive:
        name = next(name for name in archive.namelist() if name.endswith(".jpg"))
        (tmp_path / "images").mkdir()
        (tmp_path / "images" / "g.jpg").write_bytes(archive.read(name))
    (tmp_path / "c.csv").write_text("object_id,label,file\n1,Sb,g.jpg\n")
    images = ("--images", str(tmp_path / "images"), "--catalog", str(tmp_path / "c.csv"))
    process = start("prepare", "--workspace", str(tmp_path / "ws"), *images)
    with pipe.open("wb"):  # opened once a worker reads it
        status, told = press_ctrl_c(process)
    assert (status, told.splitlines()[-1]) == (130, GOES_ON)
    assert "Traceback" not in told
    assert not (tmp_path / "ws" / "prepared" / "index.parquet").exists()
