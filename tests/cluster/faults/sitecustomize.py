"""Faults for the cluster tests, in every Python process of a node: bytes at the end of an image say which.

POISON kills the process that decodes it; ONCE only the first process; GATE waits for a file named `open`; HOG takes
memory until the first process that does so is killed. A file named `hold` lets training wait for `open` after HELD
epochs. Processes without GALCLASS_TEST_FAULTS decode and train as they are.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from importlib.abc import MetaPathFinder
from importlib.machinery import PathFinder
from pathlib import Path

HELD = 3


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
        _wait(folder)
    if data.endswith(b"HOG") and _first(folder, "hog"):
        blocks = []
        while True:
            blocks.append(b"x" * (100 << 20))
            time.sleep(0.02)


def _wait(folder: Path) -> None:
    (folder / f"waiting-{os.getpid()}").touch()
    while not (folder / "open").exists():
        time.sleep(0.02)


def _spoil_decode(module, folder: Path) -> None:
    decode = module.decode

    def faulty(data, *arguments, **options):
        _act(data, folder)
        return decode(data, *arguments, **options)

    module.decode = faulty


def _hold_training(module, folder: Path) -> None:
    run_iteration = module.Trainer.run_iteration

    def held(trainer, after_step):
        if trainer.at.iteration == HELD and (folder / "hold").exists():
            _wait(folder)
        return run_iteration(trainer, after_step)

    module.Trainer.run_iteration = held


CHANGES = {"galclass.cutouts.decode": _spoil_decode, "galclass.train.trainer": _hold_training}


class _Finder(MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name not in CHANGES:
            return None
        spec = PathFinder.find_spec(name, path)
        load = spec.loader.exec_module

        def exec_module(module):
            load(module)
            CHANGES[name](module, Path(os.environ["GALCLASS_TEST_FAULTS"]))

        spec.loader.exec_module = exec_module
        return spec


if os.environ.get("GALCLASS_TEST_FAULTS"):
    sys.meta_path.insert(0, _Finder())
