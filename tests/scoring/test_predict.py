"""Files and folders: streamed in order, in one process or several, into CSV or Parquet."""

from __future__ import annotations

import csv
import os
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as parquet
import pytest
from interrupts import press_ctrl_c, start
from tiny_model import tiny_model

from galclass.errors import ArchiveError, ModelError
from galclass.image_files import find_images
from galclass.scoring import ROW_COLUMNS, Scorer, files
from galclass.scoring.files import predict_files
from galclass.scoring.predict import predict_to

WHEN_INTERRUPTED = "Interrupted; no file was written, and the same command will start over."


def killed_by(folder: Path, object_id: str) -> Path:
    """Return a folder of the import path with which a scoring process is killed by an image."""
    place = folder / "path"
    place.mkdir()
    (place / "sitecustomize.py").write_text(
        f"""
import sys
if "galclass.scoring.process" in sys.orig_argv:
    import os, signal
    from galclass.scoring import Scorer
    score = Scorer.score
    def killed(self, images, *, object_ids, **more):
        if {object_id!r} in object_ids:
            os.kill(os.getpid(), signal.SIGKILL)
        return score(self, images, object_ids=object_ids, **more)
    Scorer.score = killed
"""
    )
    return place


@pytest.fixture
def folder(tmp_path: Path, galaxies: dict[str, bytes]) -> Path:
    """Seventy galaxies in nested folders, one broken image and one text file."""
    for number, (key, data) in enumerate(galaxies.items()):
        place = tmp_path / "images" / ("deep/er" if number % 2 else ".")
        place.mkdir(parents=True, exist_ok=True)
        (place / f"{key}.jpg").write_bytes(data)
    (tmp_path / "images" / "broken.png").write_bytes(b"no image")
    (tmp_path / "images" / "notes.txt").write_text("not looked at")
    return tmp_path / "images"


def test_a_missing_path_is_named(tmp_path: Path) -> None:
    with pytest.raises(ArchiveError, match="nowhere"):
        list(find_images([tmp_path / "nowhere"]))


def test_folders_are_searched_to_the_bottom_for_images_only(folder: Path) -> None:
    found = list(find_images([folder]))
    assert len(found) == 71
    assert not any(image.name.endswith(".txt") for image in found)


def test_a_named_file_is_tried_whatever_its_suffix(folder: Path, scorer: Scorer) -> None:
    ((_, answer),) = predict_files(find_images([folder / "notes.txt"]), scorer)
    assert answer.error is not None


def test_a_file_that_cannot_be_read_is_a_reject(tmp_path: Path, scorer: Scorer) -> None:
    ((_, answer),) = predict_files([tmp_path / "gone.jpg"], scorer)
    assert str(answer.error) == "unreadable: No such file or directory"


def test_csv_has_the_file_first_and_the_columns_of_the_contract(folder: Path, scorer: Scorer, tmp_path: Path) -> None:
    output = tmp_path / "out" / "predictions.csv"
    summary = predict_to(find_images([folder]), scorer, output)
    with output.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert tuple(rows[0]) == ("file", *ROW_COLUMNS)
    assert (summary.total, summary.rejected, len(rows)) == (71, 1, 71)
    broken = next(row for row in rows if row["object_id"] == "broken")
    assert broken["error"].startswith("not_an_image")
    assert broken["predicted_class"] == broken["predicted_Er"] == ""
    assert os.listdir(output.parent) == ["predictions.csv"]


def test_parquet_holds_the_same_values_and_empty_files_have_columns(
    folder: Path, scorer: Scorer, tmp_path: Path
) -> None:
    predict_to(find_images([folder]), scorer, tmp_path / "p.parquet")
    table = parquet.read_table(tmp_path / "p.parquet")
    assert table.column_names == ["file", *ROW_COLUMNS]
    assert table.num_rows == 71
    predict_to([], scorer, tmp_path / "none.parquet")
    assert parquet.read_table(tmp_path / "none.parquet").schema == table.schema


def test_another_suffix_is_an_error_before_any_work(folder: Path, scorer: Scorer, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"\.csv or \.parquet"):
        predict_to(find_images([folder]), scorer, tmp_path / "p.xlsx")


def test_a_run_that_stops_leaves_the_old_file(folder: Path, scorer: Scorer, tmp_path: Path) -> None:
    output = tmp_path / "p.csv"
    output.write_text("old")

    def stop(count: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        predict_to(find_images([folder]), scorer, output, advance=stop)
    assert output.read_text() == "old"
    assert sorted(os.listdir(tmp_path)) == ["images", "p.csv"]


@pytest.mark.slow
def test_two_processes_give_the_same_in_the_same_order(folder: Path, scorer: Scorer) -> None:
    one = list(predict_files(find_images([folder]), scorer, processes=1))
    two = list(predict_files(find_images([folder]), scorer, processes=2))
    assert [path for path, _ in one] == [path for path, _ in two]
    assert [answer.probabilities for _, answer in one] == [answer.probabilities for _, answer in two]


@pytest.mark.slow
def test_a_file_that_kills_its_process_is_an_error_row_and_the_others_are_scored(
    folder: Path, scorer: Scorer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    killer = next(path for path in find_images([folder]) if not str(path).endswith("broken.png"))
    monkeypatch.setenv("PYTHONPATH", str(killed_by(tmp_path, killer.object_id)))
    found = list(predict_files(find_images([folder]), scorer, processes=2))
    whole = list(predict_files(find_images([folder]), scorer, processes=1))
    assert [image for image, _ in found] == [image for image, _ in whole]
    errors = {one.object_id: one.error.code for _, one in found if one.error}
    assert errors == {"broken": "not_an_image", killer.object_id: "crashed"}
    for (_, one), (_, expected) in zip(found, whole, strict=True):
        assert one.probabilities == expected.probabilities or one.object_id == killer.object_id
    output = tmp_path / "p.csv"
    model = tmp_path / "tiny.onnx"
    model.write_bytes(tiny_model())
    process = start("predict", "--model", str(model), str(folder), "--processes", "2", "--output", str(output))
    process.communicate(timeout=120)
    assert process.returncode == 3
    with output.open(newline="") as file:
        rows = {row["object_id"]: row for row in csv.DictReader(file)}
    assert len(rows) == 71
    assert rows[killer.object_id]["error"] == "crashed: the process that decoded this file crashed"


@pytest.mark.slow
def test_so_it_is_on_one_core_if_the_files_are_many(
    folder: Path, scorer: Scorer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    killer = next(path for path in find_images([folder]) if not str(path).endswith("broken.png"))
    monkeypatch.setenv("PYTHONPATH", str(killed_by(tmp_path, killer.object_id)))
    monkeypatch.setattr(files, "WORTH_PROCESSES", 71)
    found = list(predict_files(find_images([folder]), scorer, processes=1))
    errors = {one.object_id: one.error.code for _, one in found if one.error}
    assert (len(found), errors) == (71, {"broken": "not_an_image", killer.object_id: "crashed"})


def test_processes_that_cannot_begin_are_one_error(
    folder: Path, scorer: Scorer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "sitecustomize.py").write_text("import os, signal\nos.kill(os.getpid(), signal.SIGKILL)\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setattr("galclass.__file__", str(tmp_path / "galclass" / "__init__.py"))
    with pytest.raises(ModelError, match="a scoring process ended before it began"):
        list(predict_files(find_images([folder]), scorer, processes=2))


@pytest.mark.slow
def test_ctrl_c_ends_processes_that_wait_for_a_file(tmp_path: Path, galaxies: dict[str, bytes]) -> None:
    (tmp_path / "images").mkdir()
    for key, data in galaxies.items():
        (tmp_path / "images" / f"{key}.jpg").write_bytes(data)
    os.mkfifo(tmp_path / "slow.jpg")  # reading it waits for ever
    model, output = tmp_path / "tiny.onnx", tmp_path / "out" / "p.csv"
    output.parent.mkdir()
    model.write_bytes(tiny_model())
    paths = [str(tmp_path / "images"), str(tmp_path / "slow.jpg")]
    process = start("predict", "--model", str(model), *paths, "--processes", "2", "--output", str(output))
    with (tmp_path / "slow.jpg").open("wb"):  # opened once somebody reads it
        status, told = press_ctrl_c(process)
    assert (status, told.splitlines()[-1]) == (130, WHEN_INTERRUPTED)
    assert "Traceback" not in told
    assert os.listdir(output.parent) == []


def test_a_name_that_is_no_utf8_is_written_with_replacement_characters(
    tmp_path: Path, galaxies: dict[str, bytes], scorer: Scorer
) -> None:
    odd = os.fsencode(tmp_path) + b"/odd\xff.jpg"
    with open(odd, "wb") as file:
        file.write(next(iter(galaxies.values())))
    predict_to(find_images([tmp_path]), scorer, tmp_path / "p.csv")
    assert "odd\ufffd" in (tmp_path / "p.csv").read_text()


def test_the_command_exits_with_3_when_a_file_is_rejected(folder: Path, tmp_path: Path) -> None:
    model = tmp_path / "tiny.onnx"
    model.write_bytes(tiny_model())
    command = [sys.executable, "-c", "from galclass.cli import main; main()", "predict", "--model", str(model)]
    done = subprocess.run([*command, str(folder)], capture_output=True, text=True)
    assert done.returncode == 3, done.stderr
    assert "71 files, 1 rejected" in done.stdout
    (folder / "broken.png").unlink()
    assert subprocess.run([*command, str(folder)], capture_output=True).returncode == 0
    done = subprocess.run([*command, str(tmp_path / "nowhere")], capture_output=True, text=True)
    assert (done.returncode, "nowhere" in done.stderr) == (1, True)
