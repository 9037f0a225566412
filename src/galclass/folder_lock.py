"""One process at a time in a folder: of two that write the same files, the second is refused.

The lock is on the folder itself, so that nothing is left behind, and ends with the process, however that ends.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def alone_in(folder: Path, refused: Exception) -> Iterator[None]:
    """Keep other processes that ask for the same folder out until the block ends.

    Where the system or the file system has no such locks, nobody is kept out.

    Parameters
    ----------
    folder : Path
        Made if needed.
    refused : Exception
        Raised if another process has it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if sys.platform == "win32":
        yield
        return
    import fcntl

    descriptor = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise refused from None
        except OSError:  # a network file system without locks on folders
            pass
        yield
    finally:
        os.close(descriptor)
