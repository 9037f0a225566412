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


def test_a_source_that_was_not_downloaded_says_what_to_do(tmp_path: Path, monkeypatch, capsys) -> None:
    assert run(monkeypatch, "--workspace", str(tmp_path)) == 1
    assert "galclass download" in capsys.readouterr().err
