"""The README keeps its word: its Python runs, its commands exist, its links lead somewhere."""

from __future__ import annotations

import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from galclass.cli import cli

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, flags=re.DOTALL)


def test_the_python_example_runs_as_it_stands(tmp_path: Path, sample_folder: Path) -> None:
    folder = tmp_path / "my_images"
    folder.mkdir()
    with zipfile.ZipFile(sample_folder / "images_gz2.zip") as archive:
        for name in [name for name in archive.namelist() if name.endswith(".jpg")][:3]:
            (folder / Path(name).name).write_bytes(archive.read(name))
    (code,) = blocks("python")
    assert code.count("\n") <= 8
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == 3


def test_every_galclass_command_of_the_readme_exists() -> None:
    named = set(
        re.findall(r"galclass ([a-z]+)", "\n".join([*blocks("console"), *re.findall(r"`(galclass [^`]+)`", README)]))
    )
    assert {"predict", "run", "sql"} <= named
    assert named <= set(cli.list_commands(None))  # type: ignore[arg-type]


def test_every_make_target_of_the_readme_exists() -> None:
    makefile = (ROOT / "Makefile").read_text()
    for target in set(re.findall(r"make ([a-z-]+)", README)):
        assert re.search(rf"^{target}:", makefile, flags=re.MULTILINE), target


@pytest.mark.parametrize("target", sorted(set(re.findall(r"\]\(([^)#]+)\)", README))))
def test_every_link_leads_to_a_file(target: str) -> None:
    assert (ROOT / target).exists()
