"""`galclass prepare`: one line, and the exit status says whether something was rejected."""

from __future__ import annotations

import sys
import zipfile
from pathlib import Path

import pytest

from galclass.cli import main


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> object:
    monkeypatch.setattr(sys, "argv", ["galclass", "prepare", "--no-progress", *arguments])
    with pytest.raises(SystemExit) as ended:
        main()
    return ended.value.code


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
