"""Faults for the cluster tests, in every Python process of a node: bytes at the end of an image say which.

POISON kills the process that decodes it; ONCE only the first process; GATE waits for a file named `open`; HOG takes
memory until the first process that does so is killed. Processes without GALCLASS_TEST_FAULTS decode it as it is.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from importlib.abc import MetaPathFinder
from importlib.machinery import PathFinder
from pathlib import Path

TARGET = "galclass.cutouts.decode"


def _first(folder: Path, name: str) -> bool:
    try:
        (folder / name).touch(exist_ok=False)
    except FileExistsError:
        return False
    return True


def _act(data: bytes, folder: Path) -> None:
    if data.endswith(b"POISON") or (data.endswith(b"ONCE") and _first(folder, "once")):
        os.kill(os.getpid(), signal.SIGKILL)
    if data.endswith(b"GATE"):
        (folder / f"waiting-{os.getpid()}").touch()
        while not (folder / "open").exists():
            time.sleep(0.02)
    if data.endswith(b"HOG") and _first(folder, "hog"):
        blocks = []
        while True:
            blocks.append(b"x" * (100 << 20))
            time.sleep(0.02)


class _Finder(MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name != TARGET:
            return None
        spec = PathFinder.find_spec(name, path)
        load = spec.loader.exec_module

        def exec_module(module):
            load(module)
            decode, folder = module.decode, Path(os.environ["GALCLASS_TEST_FAULTS"])

            def faulty(data, *arguments, **options):
                _act(data, folder)
                return decode(data, *arguments, **options)

            module.decode = faulty

        spec.loader.exec_module = exec_module
        return spec


if os.environ.get("GALCLASS_TEST_FAULTS"):
    sys.meta_path.insert(0, _Finder())
