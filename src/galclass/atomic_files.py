"""Atomic writes of files and folders: written under a temporary name beside the target, then renamed.

The temporary name holds the process id and a random part, so that two processes, or two threads of one, never write to
the same file. It is removed when writing fails or is interrupted.
"""

from __future__ import annotations

import errno
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_KEPT_CHARACTERS = 40
"""The end of a long name that a temporary name keeps: its suffix, within the 255 bytes of a file name."""

_TO_WAIT = os.O_RDWR if os.name == "nt" else os.O_RDONLY
"""How a file is opened to wait for the disk: a file that is read-only, too; Windows waits for writers only."""

_CANNOT_WAIT = (errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP)
"""What file systems say that have no such thing (some of FUSE and 9p)."""


def temporary_name(path: Path) -> Path:
    """Return an unused hidden name in the folder of `path`, with the same suffix."""
    return path.with_name(f".{os.getpid()}-{secrets.token_hex(4)}.{path.name[-_KEPT_CHARACTERS:]}")


@contextmanager
def replacing(path: Path, *, lasting: bool = True) -> Iterator[Path]:
    """Yield a temporary path; what is written there replaces `path` when the block ends without an error.

    Parameters
    ----------
    path : Path
        The target; its folder is made if needed.
    lasting : bool
        Wait for the disk first, so that a power cut leaves the old file or the new one; without, it may leave an empty
        one. False for files of which there are many, and whose size is checked by whoever finds them. File systems that
        cannot wait do not.

    Raises
    ------
    OSError
        Naming `path` if the temporary file cannot be written or renamed.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = temporary_name(path)
    try:
        yield temporary
        if lasting:
            _wait_for_disk(temporary)
        os.replace(temporary, path)
    except OSError as error:
        if error.filename not in (None, str(temporary), temporary):
            raise
        raise _naming(path, temporary, error) from error
    finally:
        temporary.unlink(missing_ok=True)


def wait_for_disk(descriptor: int) -> None:
    """Wait until the disk has what was written to an open file; file systems that have no such thing do not."""
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in _CANNOT_WAIT:
            raise


def _wait_for_disk(path: Path) -> None:
    descriptor = os.open(path, _TO_WAIT)
    try:
        wait_for_disk(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """Yield an empty temporary folder, which becomes `path` when the block ends without an error.

    Raises
    ------
    OSError
        Naming `path` if the temporary folder cannot be made or renamed.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = temporary_name(path)
    try:
        temporary.mkdir()
        yield temporary
        os.replace(temporary, path)
    except OSError as error:
        if str(error.filename) != str(temporary):
            raise
        raise _naming(path, temporary, error) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _naming(path: Path, temporary: Path, error: OSError) -> OSError:
    """Return an error about the target, in which library messages about the temporary file name the target."""
    said = (error.strerror or str(error)).replace(str(temporary), str(path)).replace(temporary.name, path.name)
    return OSError(error.errno, said, str(path))


def write_bytes(path: Path, data: bytes, *, lasting: bool = True) -> None:
    """Write a file; `lasting` as in `replacing`."""
    with replacing(path, lasting=lasting) as temporary:
        temporary.write_bytes(data)


def write_text(path: Path, text: str, *, lasting: bool = True) -> None:
    """Write a text file in UTF-8; `lasting` as in `replacing`."""
    write_bytes(path, text.encode(), lasting=lasting)
