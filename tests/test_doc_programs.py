"""Every Python block of README and docs runs as it stands and prints something, in one folder with sample images."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from galclass.config import load_config
from galclass.prepare.stage import prepare

ROOT = Path(__file__).resolve().parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
_BLOCK = re.compile(r"^(<!-- not run here: .+? -->\n)?```python\n(.*?)^```", flags=re.DOTALL | re.MULTILINE)


def programs() -> list[object]:
    """The blocks without the marker, by page and number."""
    return [
        pytest.param(found[2], id=f"{page.relative_to(ROOT)}-{number}")
        for page in PAGES
        for number, found in enumerate(_BLOCK.finditer(page.read_text(encoding="utf-8")), 1)
        if not found[1]
    ]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, sample_folder: Path) -> Path:
    """The sample as the README unpacks it, thirty images of it, and a prepared workspace."""
    work = tmp_path_factory.mktemp("reader")
    with zipfile.ZipFile(sample_folder / "images_gz2.zip") as archive:
        for name in [name for name in archive.namelist() if name.endswith(".jpg")][:29]:
            archive.extract(name, work / "my_images")
        archive.extract("images/68.jpg", work / "my_images")
    for name in ("gz2_hart16.csv", "gz2_filename_mapping.csv"):
        shutil.copy(sample_folder / name, work)
    settings = {
        "workspace": str(work / "workspace"),
        "prepare.images": str(work / "my_images"),
        "prepare.catalog": str(work / "gz2_hart16.csv"),
        "prepare.mapping": str(work / "gz2_filename_mapping.csv"),
    }
    prepare(load_config(None, settings), progress=False)
    return work


@pytest.mark.parametrize("program", programs())
def test_a_program_of_the_docs_runs_as_it_stands_and_prints_something(program: str, folder: Path) -> None:
    done = subprocess.run([sys.executable, "-c", program], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()


def test_no_example_names_a_file_that_the_reader_does_not_have() -> None:
    for page in PAGES:
        for name in re.findall(r"--data-binary @(\S+)", page.read_text(encoding="utf-8")):
            assert name == "my_images/images/68.jpg", f"{page.name}: {name}"
