"""A command in a process of its own, and Ctrl-C while something that it waits for never comes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable

GOES_ON = "Interrupted; run the same command again to resume."
ENDS_WITHIN_S = 20
"""Far below what a stalled command would wait for, and far above what a busy machine needs."""


def start(*arguments: str, first: str = "") -> subprocess.Popen[str]:
    """Start a command as the terminal does, in a process group that gets Ctrl-C as a whole; `first` runs before it."""
    command = [sys.executable, "-c", f"{first}\nfrom galclass.cli import main; main()", *arguments]
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, encoding="utf-8", process_group=0
    )


def press_ctrl_c(process: subprocess.Popen[str]) -> tuple[int, str]:
    """Interrupt the process group; return the exit status and what the command said on its error stream."""
    os.killpg(process.pid, signal.SIGINT)
    try:
        _, errors = process.communicate(timeout=ENDS_WITHIN_S)
    finally:
        process.kill()
    return process.returncode, errors.strip()


def wait_until(condition: Callable[[], object]) -> None:
    """Wait for a condition, a busy machine's time at most."""
    until = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.02)
