"""Memory of the server over many requests: wrk in slices, resident memory after each.

A run in parts: start with `--serve`, which prints a URL and a process id and serves until Ctrl-C, and give both to
further calls.

Usage: python benchmarks/http_memory.py [--requests 200000] [--model FILE.onnx] [--workers 1] | --serve | --url --pid
"""

from __future__ import annotations

import argparse
import contextlib
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

from http_server import example_image, galclass_server, memory_mib, wrk

from galclass.scoring import shipped_model

CLIENTS = 16


@contextlib.contextmanager
def served(options: argparse.Namespace) -> Iterator[tuple[str, int]]:
    """Use the given server, or start one."""
    if options.url:
        yield options.url, options.pid
        return
    model = options.model.read_bytes() if options.model else shipped_model()
    with galclass_server(model, options.workers) as found:
        yield found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--requests", type=int, default=200_000)
    parser.add_argument("--seconds", type=int, default=10, help="length of a slice")
    parser.add_argument("--serve", action="store_true")
    parser.add_argument("--url")
    parser.add_argument("--pid", type=int)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, served(options) as (url, pid):
        if options.serve:
            print(f"--url {url} --pid {pid}", flush=True)
            signal.pause()
        image = Path(folder) / "image.jpg"
        image.write_bytes(example_image())
        print(f"requests {0:8d}  refused {0:4d}  memory {memory_mib(pid):7.1f} MiB", flush=True)
        done = refused = 0
        while done < options.requests:
            load = wrk(url, image, CLIENTS, options.seconds)
            done, refused = done + load.requests, refused + load.refused + load.broken
            print(f"requests {done:8d}  refused {refused:4d}  memory {memory_mib(pid):7.1f} MiB", flush=True)


if __name__ == "__main__":
    main()
