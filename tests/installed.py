"""Environments that hold the wheel and exactly the distributions that it asks for, without the network.

The wheel is installed by pip, once; what it requires is linked from the environment of the tests, file by file where
distributions share a folder, so that nothing else can be imported.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from importlib.metadata import Distribution, distribution, distributions
from pathlib import Path

from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parent.parent
_PIP = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet"]


def build_wheel(folder: Path) -> Path:
    """Build the wheel with the installed hatchling."""
    command = [*_PIP, "wheel", str(ROOT), "--no-deps", "--no-build-isolation", "--no-index", "--wheel-dir", str(folder)]
    subprocess.run(command, check=True, cwd=folder)
    (wheel,) = folder.glob("*.whl")
    return wheel


@dataclass(frozen=True)
class Installed:
    """An environment: its Python, and a folder outside the repository to run in."""

    python: Path
    work: Path

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run `galclass` as its users do, with nothing in the environment that shows the way to this checkout."""
        return subprocess.run(
            [str(self.python.with_name("galclass")), *arguments],
            cwd=self.work, env=self.environment(), capture_output=True, text=True, timeout=200, check=False,
        )  # fmt: skip

    def environment(self) -> dict[str, str]:
        """Return the environment variables of its programs."""
        return {"PATH": f"{self.python.parent}:/usr/bin:/bin", "HOME": str(self.work), "OMP_NUM_THREADS": "1"}


def install(wheel: Path, folder: Path, extras: Iterable[str] = ()) -> Installed:
    """Make an environment with the wheel and the closure of what it and the extras require.

    Raises
    ------
    PackageNotFoundError
        If something is required that the environment of the tests lacks.
    """
    python = folder / "bin" / "python"
    shutil.copytree(_first_environment(wheel), folder, symlinks=True)
    entry = folder / "bin" / "galclass"
    shebang, _, program = entry.read_text().partition("\n")
    assert shebang.startswith("#!"), shebang
    entry.write_text(f"#!{python}\n{program}")
    packages = next(folder.glob("lib/python*/site-packages"))
    (own,) = distributions(name="galclass", path=[str(packages)])
    for one in _closure(own, set(extras)):
        _link(one, packages)
    work = folder / "work"
    work.mkdir()
    return Installed(python, work)


@cache
def _first_environment(wheel: Path) -> Path:
    """Install the wheel by pip and compile it, once: the other environments are copies."""
    folder = wheel.with_name("env")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
    target = ["--python", str(folder / "bin" / "python")]
    subprocess.run([*_PIP, *target, "install", "--no-deps", "--no-index", str(wheel)], check=True)
    return folder


def _closure(own: Distribution, extras: set[str]) -> list[Distribution]:
    found: dict[str, Distribution] = {}
    waiting = [(own, extras)]
    seen: set[tuple[str, str]] = set()
    while waiting:
        one, wanted = waiting.pop()
        for text in one.requires or []:
            required = Requirement(text)
            applies = [extra for extra in ("", *wanted) if _applies(required, extra)]
            name = re.sub(r"[-_.]+", "-", required.name).lower()
            new = {(name, extra) for extra in ("", *required.extras)} - seen
            if not applies or not new or name == "galclass":
                continue
            seen |= new
            found[name] = distribution(required.name)
            waiting.append((found[name], set(required.extras)))
    return list(found.values())


def _applies(required: Requirement, extra: str) -> bool:
    return required.marker is None or required.marker.evaluate({"extra": extra})


@cache
def _shared() -> set[str]:
    """Folders at the top that several distributions put files into."""
    tops = Counter(top for one in distributions() for top in {Path(str(file)).parts[0] for file in one.files or []})
    return {top for top, count in tops.items() if count > 1}


def _link(one: Distribution, packages: Path) -> None:
    for file in one.files or []:
        parts = Path(str(file)).parts
        if parts[0] in ("..", "__pycache__") or file.suffix == ".pth":
            continue
        name = Path(str(file)) if parts[0] in _shared() else Path(parts[0])
        target = packages / name
        if not target.is_symlink() and not target.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            target.symlink_to(Path(str(one.locate_file(name))))
