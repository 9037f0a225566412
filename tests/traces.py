"""What a program does to the network and to files, as the kernel sees it (strace)."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

CALLS = "connect,sendto,sendmsg,sendmmsg,bind,open,openat,openat2,creat,mkdir,mkdirat,rename,renameat,renameat2,"
CALLS += "link,linkat,symlink,symlinkat,mknod,mknodat,unlink,unlinkat,rmdir,truncate"
_INTERNET = re.compile(r"(connect|sendto|sendmsg|sendmmsg)\(.*sa_family=AF_INET6?,.*")
_LOOPBACK = re.compile(r'inet_addr\("127\.|inet_pton\(AF_INET6, "(::1|::ffff:127\.)')
_MADE = re.compile(r"O_CREAT|O_WRONLY|O_RDWR|O_TRUNC|^(creat|mkdir|rename|link|symlink|mknod|unlink|rmdir|truncate)")
_NAME = re.compile(r'(?:\w+<([^>]*)>, )?"((?:[^"\\]|\\.)*)"')  # -y prints the folder of a descriptor
_FAILED = re.compile(r"= -1 E\w+")


@dataclass(frozen=True)
class Trace:
    """What was seen of a program and all its children.

    Attributes
    ----------
    internet : tuple of str
        Calls that address another host; the loopback's are left out.
    written : tuple of str
        Absolute names of what was opened for writing, made, renamed or removed; /dev and /proc are left out.
    """

    internet: tuple[str, ...]
    written: tuple[str, ...]

    def outside(self, *folders: Path) -> list[str]:
        """Return what was written elsewhere than below these folders."""
        return [name for name in self.written if not any(Path(name).is_relative_to(folder) for folder in folders)]


def strace() -> str:
    """Find strace, or skip with the reason."""
    found = shutil.which("strace")
    if found is None:
        pytest.skip("strace is not installed: make test-deps")
    if subprocess.run([found, "-o", "/dev/null", "true"], capture_output=True).returncode:
        pytest.skip("this machine does not permit tracing (ptrace), as in a container without SYS_PTRACE")
    return found


def command(log: Path) -> list[str]:
    """Return the words before a command that is to be traced into `log`."""
    return [strace(), "-f", "-y", "-qq", "-s", "4096", "-e", f"trace={CALLS}", "-e", "signal=none", "-o", str(log)]


def read(log: Path, cwd: Path) -> Trace:
    """Read what strace wrote of a program that was started in `cwd`."""
    calls = [line.split(maxsplit=1)[1] for line in log.read_text(errors="replace").splitlines() if " " in line]
    done = [call for call in calls if not _FAILED.search(call)]
    internet = [call for call in calls if _INTERNET.match(call) and not _LOOPBACK.search(call)]
    found = [pair for call in done if _MADE.search(call) for pair in _NAME.findall(call)[:2]]
    names = [os.path.normpath(cwd / folder / name) for folder, name in found]
    return Trace(tuple(internet), tuple(name for name in names if not name.startswith(("/dev/", "/proc/"))))


def traced(
    arguments: Sequence[str], *, cwd: Path, log: Path, environment: Mapping[str, str]
) -> tuple[Trace, subprocess.CompletedProcess[str]]:
    """Run this Python with arguments under strace."""
    done = subprocess.run(
        [*command(log), sys.executable, *arguments],
        cwd=cwd, env=dict(environment), capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    return read(log, cwd), done


@contextmanager
def attached(pid: int, log: Path) -> Iterator[None]:
    """Trace a process that runs already, for the length of the block, or skip."""
    words = command(log)
    words.remove("-qq")  # it says when it is attached
    tracer = subprocess.Popen([*words, "-p", str(pid)], stderr=subprocess.PIPE, text=True)
    assert tracer.stderr is not None
    try:
        said = tracer.stderr.readline()
        if "attached" not in said:
            pytest.skip(f"this machine does not permit tracing a process that runs: {said.strip()}")
        yield
    finally:
        tracer.send_signal(signal.SIGINT)  # it lets the process go on
        tracer.communicate(timeout=20)
