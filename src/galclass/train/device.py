"""Where training runs: CPU threads, a GPU if there is one, and several processes started by torchrun."""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor
from torch import distributed as dist

from galclass.config import TrainConfig
from galclass.errors import TrainingError

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
"""Parameters of mallopt(3)."""

_LARGEST_BLOCK_BYTES = 2**30


@dataclass(frozen=True)
class Workers:
    """Which of the processes that train together this is; a single one is rank 0 of 1."""

    rank: int = 0
    count: int = 1

    @property
    def leads(self) -> bool:
        """Whether this process validates and writes files."""
        return self.rank == 0

    def share(self, total: int) -> slice:
        """Return this process's part of a batch of `total` rows."""
        return slice(total * self.rank // self.count, total * (self.rank + 1) // self.count)

    def wait(self) -> None:
        """Wait until all processes have come here."""
        self.add_up([torch.zeros(1)])

    def add_up(self, tensors: Iterable[Tensor]) -> None:
        """Sum tensors over the processes, in place."""
        if self.count > 1:
            for tensor in tensors:
                dist.all_reduce(tensor)


def pick_device(acceleration: str) -> torch.device:
    """Return the device for "auto", "cpu" or "gpu".

    Raises
    ------
    TrainingError
        If a GPU is requested and there is none.
    """
    if acceleration == "cpu" or (acceleration == "auto" and not torch.cuda.is_available()):
        return torch.device("cpu")
    if not torch.cuda.is_available():
        raise TrainingError(
            "there is no CUDA GPU",
            where="train.acceleration",
            got=acceleration,
            advice='use "auto" or "cpu", or install the CUDA build of torch',
        )
    return torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))


def advice_on_threads(threads: int) -> str:
    """Return a remark for training on a busy machine; empty if it is not busy.

    Threads that wait for each other are delayed by each one that another program keeps from running.

    Parameters
    ----------
    threads : int
        As configured; 0: all cores.
    """
    if not hasattr(os, "getloadavg"):
        return ""
    running, cores = os.getloadavg()[0], default_threads()
    if threads == 1 or (threads or cores) == 1 or running < cores / 2:
        return ""
    return (
        f"This machine is busy (load {running:.1f} on {cores} cores): {threads or cores} threads wait for each other; "
        "`--set train.threads=1` is often faster"
    )


@contextmanager
def prepared_machine(config: TrainConfig) -> Iterator[Workers]:
    """Set threads and determinism for a run, join the other processes if torchrun started several; undo at the end."""
    threads, strict = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    torch.set_num_threads(config.threads or default_threads())
    torch.use_deterministic_algorithms(config.deterministic)
    _keep_freed_memory()
    workers = Workers(int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1")))
    joins = workers.count > 1 and not dist.is_initialized()
    if joins:
        dist.init_process_group("cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo")
    try:
        yield workers
    finally:
        if joins:
            dist.destroy_process_group()
        torch.set_num_threads(threads)
        torch.use_deterministic_algorithms(strict)


def _keep_freed_memory() -> None:
    """Make glibc reuse large freed blocks instead of handing them back to the system.

    A training step allocates and frees the same tensors over and over; by default each is mapped anew and the system
    zeroes its pages again, which takes a third to a half of the step for a small network on a virtual machine.
    """
    if sys.platform != "linux":
        return
    libc = ctypes.CDLL(None)
    if hasattr(libc, "gnu_get_libc_version"):
        libc.mallopt(_M_MMAP_THRESHOLD, _LARGEST_BLOCK_BYTES)
        libc.mallopt(_M_TRIM_THRESHOLD, _LARGEST_BLOCK_BYTES)


def default_threads() -> int:
    """Return the number of cores this process may use, or OMP_NUM_THREADS if it is set."""
    asked = os.environ.get("OMP_NUM_THREADS", "")
    return int(asked) if asked.isdigit() and int(asked) > 0 else len(os.sched_getaffinity(0))
