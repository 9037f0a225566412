"""The commands over models, images, predictions and the database, as a user types them."""

from __future__ import annotations

import os
import re
import sqlite3
import zipfile
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from interrupts import GOES_ON, press_ctrl_c, start
from tiny_model import tiny_model

from galclass.cli import cli
from galclass.errors import GalclassError


@pytest.fixture
def galclass(tmp_path: Path):
    """Run a command on a workspace of its own."""

    def run(*words: str) -> Result:
        return CliRunner(env={"COLUMNS": "200"}).invoke(cli, [*words, "--workspace", str(tmp_path / "workspace")])

    return run


@pytest.fixture
def model(tmp_path: Path) -> Path:
    (tmp_path / "tiny.onnx").write_bytes(tiny_model())
    return tmp_path / "tiny.onnx"


@pytest.fixture
def archive(tmp_path: Path, sample_folder: Path) -> Path:
    """A zip of eight galaxies and one that is cut off: its header is sound, its pixels are missing."""
    path = tmp_path / "images.zip"
    with zipfile.ZipFile(sample_folder / "images_gz2.zip") as sample, zipfile.ZipFile(path, "w") as small:
        for name in [name for name in sorted(sample.namelist()) if name.endswith(".jpg")][:8]:
            small.writestr(os.path.basename(name), sample.read(name))
        small.writestr("broken.jpg", sample.read(name)[:2000])
    return path


def test_from_a_model_file_to_predictions_in_sql(galclass, model: Path, archive: Path, tmp_path: Path) -> None:
    assert "galaxy@1 (production)" in galclass("models", "register", str(model)).output
    assert "9 images added" in galclass("images", "add", str(archive), "--frame-px", "424").output
    scored = galclass("score", "--pending")
    assert scored.exit_code == 3
    assert "9 images with galaxy@1, 1 rejected" in scored.output
    assert "rejected broken: truncated: " in scored.output
    query = "select object_id, error from galaxy_predictions where error is not null"
    assert f'galclass sql "{query}"' in scored.output
    assert "truncated" in galclass("sql", query).output
    assert "nothing to do" in galclass("score", "--pending").output
    query = "select object_id, predict_galaxy_class(img) from galaxy_images limit 5"
    assert "predict_galaxy_class(img)" in galclass("sql", query).output
    assert "9 predictions" in galclass("db", "export", str(tmp_path / "p.parquet")).output
    assert "9 images in the database" in galclass("images", "list").output
    doctor = galclass("db", "doctor")
    assert doctor.exit_code == 0
    assert "MISSING" not in doctor.output


def test_models_are_listed_moved_exported_verified_and_deleted(galclass, model: Path, tmp_path: Path) -> None:
    galclass("models", "register", str(model))
    other = tmp_path / "other.onnx"
    other.write_bytes(tiny_model(1))
    galclass("models", "register", str(other), "--promote")
    assert "galaxy@1 (production)" in galclass("models", "rollback", "galaxy").output
    assert "galaxy@2 (production)" in galclass("models", "alias", "galaxy", "production", "2").output
    assert "sound" in galclass("models", "verify", "galaxy@1").output
    assert "production: 1 -> 2" in galclass("models", "show", "galaxy").output
    galclass("models", "export", "galaxy@1", str(tmp_path / "copy.onnx"))
    assert (tmp_path / "copy.onnx").read_bytes() == model.read_bytes()
    assert isinstance(galclass("models", "delete", "galaxy@2").exception, GalclassError)
    assert "deleted galaxy@1" in galclass("models", "delete", "galaxy@1").output
    assert "galaxy" in galclass("models", "list").output


def test_the_model_in_the_package_is_registered_by_name(galclass) -> None:
    galclass("db", "migrate")
    missing = galclass("sql", "select predict_galaxy_class(x'00')")
    assert "galclass models register package" in str(missing.exception)
    assert "galclass models register package" in str(galclass("models", "show", "galaxy").exception)
    assert "galaxy@1 (production)" in galclass("models", "register", "package").output
    assert "sound, probe reproduced" in galclass("models", "verify", "galaxy").output


@pytest.mark.parametrize(
    "words",
    [
        "models list", "models show galaxy", "services list", "tokens list", "images list", "db doctor",
        "db export p.csv", "predict x.jpg --model galaxy",
    ],
)  # fmt: skip
def test_looking_makes_no_database(galclass, tmp_path: Path, words: str) -> None:
    done = galclass(*words.split())
    assert done.exit_code == 1
    assert f"no database at {tmp_path}/workspace/galclass.db" in str(done.exception)
    assert not (tmp_path / "workspace").exists()


def test_a_statement_that_reads_makes_no_database(galclass, tmp_path: Path) -> None:
    assert "no database at" in str(galclass("sql", "select 1").exception)
    assert not (tmp_path / "workspace").exists()


def test_a_doctor_finds_an_empty_registry(galclass) -> None:
    assert "applied 0001_tables" in galclass("db", "migrate").output
    assert "up to date" in galclass("db", "migrate").output
    doctor = galclass("db", "doctor")
    assert doctor.exit_code == 1
    assert "MISSING a model in production" in doctor.output


def test_the_sql_of_both_servers_is_printed(galclass) -> None:
    assert "sp_execute_external_script" in galclass("db", "install-procedure", "--dialect", "tsql").output
    dry = galclass("db", "install-procedure", "--dry-run")
    assert "LANGUAGE plpython3u" in dry.output
    assert dry.exit_code == 0


def test_a_statement_that_writes_needs_the_flag(galclass) -> None:
    galclass("db", "migrate")
    assert isinstance(galclass("sql", "create table x (a integer)").exception, GalclassError)
    assert "done" in galclass("sql", "create table x (a integer)", "--write").output


def test_watching_waits_for_more_images_until_ctrl_c(galclass, model: Path, archive: Path, monkeypatch) -> None:
    assert "galaxy@1 (production)" in galclass("models", "register", str(model)).output
    assert "9 images added" in galclass("images", "add", str(archive)).output

    def interrupted(self: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("galclass.database.listen.Waker.wait", interrupted)
    watched = galclass("score", "--pending", "--watch")
    assert watched.exit_code == 1  # click's; `galclass.cli.main` makes 130 of it
    assert "Aborted" in watched.output
    assert "nothing to do" in galclass("score", "--pending").output  # all were scored before it waited


@pytest.mark.parametrize("limit", [("--memory", "63"), ("--memory", str(1 << 21)), ("--deadline", "101")])
def test_limits_of_a_function_out_of_their_range_are_refused(galclass, limit: tuple[str, str]) -> None:
    done = galclass("publish", "times", "--version", "1.0", "--function", "json:dumps", *limit)
    assert isinstance(done.exception, GalclassError)
    assert "a limit is out of its range (expected a deadline of up to 100 s, and from 64 MiB)" in str(done.exception)


def test_embed_keeps_to_the_limit_of_decode_work(galclass, model: Path, archive: Path) -> None:
    assert galclass("models", "register", str(model)).exit_code == 0
    assert galclass("images", "add", str(archive)).exit_code in (0, 3)
    done = galclass("db", "embed", "--model", "galaxy", "--set", "images.max_decode_s=0.001")
    assert done.exit_code == 0, done.output
    total, failed = re.search(r"of (\d+) stored, (\d+) without a cutout", done.output).groups()
    assert total == failed != "0"


SAYS_WHEN_IT_WRITES = """
from galclass.database.connection import Database
write = Database.write
def told(self):
    print("writes", flush=True)
    return write(self)
Database.write = told
"""


@pytest.mark.parametrize("words", [("score", "--pending", "--model", "galaxy"), ("images", "add", "ARCHIVE")])
def test_ctrl_c_ends_a_command_that_waits_for_a_locked_file(
    galclass, model: Path, archive: Path, tmp_path: Path, words: tuple[str, ...]
) -> None:
    assert galclass("models", "register", str(model)).exit_code == 0
    assert galclass("images", "add", str(archive)).exit_code in (0, 3)
    database = tmp_path / "workspace" / "galclass.db"
    holder = sqlite3.connect(database, isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    words = tuple(str(archive) if word == "ARCHIVE" else word for word in words)
    process = start(*words, "--workspace", str(tmp_path / "workspace"), first=SAYS_WHEN_IT_WRITES)
    try:
        assert process.stdout.readline() == "writes\n"
        status, told = press_ctrl_c(process)
    finally:
        holder.close()
    assert (status, told.splitlines()[-1]) == (130, GOES_ON)
    assert "Traceback" not in told


SAYS_WHEN_IT_OPENS = """
from sqlite3 import dbapi2
connect = dbapi2.connect
def told(*arguments, **named):
    print("opens", flush=True)
    return connect(*arguments, **named)
dbapi2.connect = told
"""


@pytest.mark.parametrize(
    "words", [("serve", "--port", "1"), ("images", "list"), ("sql", "select 1"), ("db", "vacuum"), ("score",)]
)
def test_ctrl_c_ends_a_command_that_cannot_even_read_the_file(galclass, tmp_path: Path, words: tuple[str, ...]) -> None:
    assert galclass("db", "migrate").exit_code == 0
    holder = sqlite3.connect(tmp_path / "workspace" / "galclass.db", isolation_level=None)
    holder.execute("PRAGMA locking_mode = EXCLUSIVE")
    holder.execute("BEGIN EXCLUSIVE")
    holder.execute("CREATE TABLE mine (a)")
    process = start(*words, "--workspace", str(tmp_path / "workspace"), first=SAYS_WHEN_IT_OPENS)
    try:
        assert process.stdout.readline() == "opens\n"
        status, told = press_ctrl_c(process)
    finally:
        holder.close()
    assert status == 130
    assert "Traceback" not in told
    assert told.splitlines()[-1].startswith(("Interrupted", "Stopped."))


def test_ctrl_c_ends_a_vacuum_that_waits_for_a_writer(galclass, tmp_path: Path) -> None:
    assert galclass("db", "migrate").exit_code == 0
    holder = sqlite3.connect(tmp_path / "workspace" / "galclass.db", isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    says = "from galclass.database import space\nalone = space._run_alone\n"
    says += "def told(*given):\n    print('vacuums', flush=True)\n    alone(*given)\nspace._run_alone = told\n"
    process = start("db", "vacuum", "--workspace", str(tmp_path / "workspace"), first=says)
    try:
        assert process.stdout.readline() == "vacuums\n"
        assert press_ctrl_c(process) == (130, "Interrupted.")
    finally:
        holder.close()
