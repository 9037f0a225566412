"""Two processes in one folder: the second is refused, and only as long as the first is there."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest
from prepare.made_sources import configured
from train.drawn_galaxies import quick, write_prepared

from galclass.errors import StoreError, TrainingError
from galclass.folder_lock import alone_in
from galclass.prepare.stage import prepare
from galclass.train import train

HOLDER = """
import sys
from pathlib import Path
from galclass.folder_lock import alone_in
with alone_in(Path(sys.argv[1]), RuntimeError("refused")):
    print("holds", flush=True)
    sys.stdin.read()
"""


def test_a_process_that_was_killed_holds_nothing(tmp_path: Path) -> None:
    command = [sys.executable, "-c", HOLDER, str(tmp_path / "folder")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "holds\n"
        with pytest.raises(ValueError, match="mine"), alone_in(tmp_path / "folder", ValueError("mine")):
            pass
        holder.send_signal(signal.SIGKILL)
        holder.wait()
    with alone_in(tmp_path / "folder", ValueError("mine")):
        assert list((tmp_path / "folder").iterdir()) == []


def test_two_do_not_prepare_or_train_in_one_workspace(tmp_path: Path) -> None:
    write_prepared(tmp_path / "prepared", ["Er", "Sen"] * 12)
    (tmp_path / "images").mkdir()
    (tmp_path / "labels.csv").touch()
    with (
        alone_in(tmp_path / "training", ValueError("mine")),
        pytest.raises(TrainingError, match="another process trains"),
    ):
        train(quick(tmp_path), progress=False)
    with (
        alone_in(tmp_path / "prepared", ValueError("mine")),
        pytest.raises(StoreError, match="another process prepares"),
    ):
        prepare(configured(tmp_path, tmp_path), progress=False)
