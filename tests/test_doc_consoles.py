"""Every console block of README and docs runs as it stands, in the order of the pages, in one folder of a reader's.

A comment `<!-- not run here: reason -->` before a block takes it out: what needs the internet, a cluster, a server of
the reader's, or minutes of training. To what runs here only the port of the server and a smaller training are added.
"""

from __future__ import annotations

import csv
import os
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
import zipfile
from collections.abc import Iterator
from pathlib import Path

import cv2
import pytest

ROOT = Path(__file__).resolve().parent.parent
ORDER = ("docs/tutorial.md", "README.md", "docs/how-to/own-labels.md", "docs/how-to/own-survey.md")
_BLOCK = re.compile(r"^(<!-- not run here: (.+?) -->\n)?```console\n(.*?)^```", flags=re.DOTALL | re.MULTILINE)
_REASONS = ("internet", "cluster", "server", "trains", "installs")
_SMALL = " --set train.num_iterations=1 --set prepare.limit=80 --set evaluate.bootstrap=20 --set download.parallel=1"
_SCRIPT = re.compile(r"^```(r|js)\n(.*?)^```", flags=re.DOTALL | re.MULTILINE)
_SCRIPTS = {"r": ("Rscript", "R"), "js": ("node", "mjs")}
"""Program and suffix of the blocks of other languages on a page whose console blocks start a server."""
_SILENT = ("python3 -m zipfile -e", "export ")
_START_S = 120


def pages() -> list[Path]:
    first = [ROOT / name for name in ORDER]
    return [*first, *(page for page in sorted((ROOT / "docs").rglob("*.md")) if page not in first)]


def blocks(page: Path) -> list[tuple[str | None, str]]:
    """The blocks of a page: the reason why one is not run, and its lines."""
    return [(found[2], found[3]) for found in _BLOCK.finditer(page.read_text(encoding="utf-8"))]


def to_run() -> list[object]:
    named = [page for page in pages() if any(reason is None for reason, _ in blocks(page))]
    return [pytest.param(page, id=str(page.relative_to(ROOT))) for page in named]


class Reader:
    """A folder with what the pages speak of, and the commands run in it."""

    def __init__(self, folder: Path, sample: Path) -> None:
        self.folder = folder
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self._server: subprocess.Popen[bytes] | None = None
        self.pages_read: list[Path] = []
        for name in ("data", "configs", "examples", "clients"):
            (folder / name).symlink_to(ROOT / name)
        with zipfile.ZipFile(sample / "images_gz2.zip") as archive:
            names = [name for name in archive.namelist() if name.endswith(".jpg")][:30]
            for name in {*names, "images/68.jpg"}:
                archive.extract(name, folder / "my_images")
        (folder / "cutouts").mkdir()
        for path in (folder / "my_images" / "images").iterdir():  # mirrored: other pictures than those of the sample
            cv2.imwrite(str(folder / "cutouts" / path.name), cv2.flip(cv2.imread(str(path)), 1))
        ids = sorted(path.stem for path in (folder / "cutouts").iterdir())
        for name, source in (("one", ids[0]), ("two", ids[1])):
            shutil.copy(folder / "cutouts" / f"{source}.jpg", folder / f"{name}.jpg")
        self._table("my_catalog.csv", ("object_id", "ra", "dec"), [(key, 180 + n, n) for n, key in enumerate(ids)])
        self._table(
            "rings.csv", ("object_id", "label"), [(key, ("ring", "no_ring")[n % 2]) for n, key in enumerate(ids)]
        )
        self._table("classes.csv", ("object_id", "label"), [(key, ("Er", "Sb")[n % 2]) for n, key in enumerate(ids)])

    def _table(self, name: str, header: tuple[str, ...], rows: list[tuple[object, ...]]) -> None:
        with (self.folder / name).open("w", newline="") as file:
            csv.writer(file).writerows([header, *rows])

    def run(self, line: str) -> str:
        """Run a line of a shell; `galclass serve` goes on until the next one or `stop`."""
        line = re.sub(r"(127\.0\.0\.1|localhost):8000", rf"\1:{self.port}", line)
        line = re.sub(r"^(galclass run \S+)", r"\1" + _SMALL, line)
        if line.startswith("galclass serve"):
            self._serve(line)
            return "served"
        done = subprocess.run(
            ["bash", "-c", line], cwd=self.folder, env=_environment(), capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"{line}\n{done.stdout[-1500:]}\n{done.stderr[-1500:]}"
        assert '{"error"' not in done.stdout, f"{line}\n{done.stdout[:500]}"
        return done.stdout + done.stderr

    def run_script(self, language: str, text: str) -> None:
        """Run a block of R or JavaScript against the server; results that do not depend on a training are as said."""
        file = self.folder / f"block.{_SCRIPTS[language][1]}"
        file.write_text(text.replace("127.0.0.1:8000", f"127.0.0.1:{self.port}"))
        command = [_SCRIPTS[language][0], str(file)]
        done = subprocess.run(command, cwd=self.folder, env=_environment(), capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{text}\n{done.stdout[-1500:]}\n{done.stderr[-1500:]}"
        assert done.stdout.strip()
        for said in re.findall(r"^# (\[\d+\] .+)$", text, flags=re.MULTILINE):
            assert said in done.stdout

    def _serve(self, line: str) -> None:
        self.stop()
        line = re.sub(r" --port \d+", "", line)
        command = ["bash", "-c", f"exec {line} --port {self.port}"]
        self._server = subprocess.Popen(command, cwd=self.folder, env=_environment(), stdout=subprocess.DEVNULL)
        deadline = time.monotonic() + _START_S
        while time.monotonic() < deadline:
            assert self._server.poll() is None, f"{line} ended"
            try:
                with urllib.request.urlopen(f"http://localhost:{self.port}/healthz", timeout=5):
                    return
            except OSError:
                time.sleep(0.2)
        raise AssertionError(f"{line} does not answer")

    def stop(self) -> None:
        """End the server."""
        if self._server is not None:
            self._server.terminate()
            try:
                self._server.wait(_START_S)
            except subprocess.TimeoutExpired:  # it ends itself after open requests; a busy machine is slow at that
                self._server.kill()
                self._server.wait()
            self._server = None


def _environment() -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("GALCLASS_")}
    return kept | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}", "OMP_NUM_THREADS": "1"}


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory, sample_folder: Path) -> Iterator[Reader]:
    one = Reader(tmp_path_factory.mktemp("reader"), sample_folder)
    yield one
    one.stop()


def test_every_block_that_is_not_run_says_a_good_reason() -> None:
    reasons = [reason for page in pages() for reason, _ in blocks(page) if reason]
    assert len(reasons) > 5
    assert [reason for reason in reasons if not any(word in reason for word in _REASONS)] == []


@pytest.mark.slow(10)
@pytest.mark.timeout(1500)
@pytest.mark.parametrize("page", to_run())
def test_the_console_blocks_of_a_page_run_as_they_stand(page: Path, reader: Reader) -> None:
    """A page builds on those before it, which are read first in whatever order the tests run."""
    for one in pages()[: pages().index(page) + 1]:
        if one not in reader.pages_read:
            reader.pages_read.append(one)
            read_page(one, reader)


def read_page(page: Path, reader: Reader) -> None:
    wanted = [block for reason, block in blocks(page) if reason is None]
    if not wanted:
        return
    if page.name == "README.md":  # what `make demo` ends with
        reader.run("galclass serve --config configs/demo.toml")
    if page.name == "publish.md":  # it speaks of a second version
        reader.run("galclass models register rings.onnx")
    for block in wanted:
        for line in block.strip().splitlines():
            said = reader.run(line).strip()
            assert said or line.startswith(_SILENT), f"{line} prints nothing"
    if page.name == "from-r-server.md":
        for language, text in _SCRIPT.findall(page.read_text(encoding="utf-8")):
            if shutil.which(_SCRIPTS[language][0]):
                reader.run_script(language, text)
    reader.stop()
    if page.name == "own-labels.md":
        reader.run("galclass models export rings rings.onnx && echo exported")
