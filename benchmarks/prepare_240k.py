"""The prepare stage on 240,000 JPEGs of 424 px.

Measures the rate on one and two cores, decoding alone, private memory, kill -9 and resume, and reading back. Goals: on
2 cores at least 1.8 times one core's rate; at most 1.3 times the time of decoding alone; private memory (USS) under
1 GB; batches are read at least 10 times faster than a trainer uses them.

    python benchmarks/prepare_240k.py [--count 240000] [--folder FOLDER] [--container zip|folder] [--size-px 64]

The set is made of the bundled sample's files under new ids, and so lies in the page cache as far as that goes. Prints
the disk's write speed. The folder needs about 3.3 GB for the set and 6.1 GB for the store at 64 px.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import zipfile
from pathlib import Path

import numpy as np

from galclass.prepare.store import Store

ROOT = Path(__file__).resolve().parent.parent
LABELS = ("Er", "Ei", "Ec", "Se", "Sc", "Sb", "SBc", "SBb")
CLI = [sys.executable, "-c", "from galclass.cli import main; main()"]
DECODE_ALONE = """
import sys, zipfile, simplejpeg
from pathlib import Path
images, part, parts, side = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
if images.is_dir():
    for path in sorted(images.iterdir())[part::parts]:
        simplejpeg.decode_jpeg(path.read_bytes(), min_height=side, min_width=side)
else:
    with zipfile.ZipFile(images) as archive:
        for name in archive.namelist()[part::parts]:
            simplejpeg.decode_jpeg(archive.read(name), min_height=side, min_width=side)
"""


def make_set(folder: Path, count: int, container: str) -> Path:
    """Repeat the sample's files under new ids; return the images' path. The catalog is `catalog.csv` beside it."""
    with zipfile.ZipFile(ROOT / "data/sample/images_gz2.zip") as archive:
        files = [archive.read(name) for name in sorted(archive.namelist()) if name.endswith(".jpg")]
    lines = ["object_id,asset_id,label"]
    lines += [f"5877{k:014d},{k},{LABELS[k % len(LABELS)]}" for k in range(count)]
    (folder / "catalog.csv").write_text("\n".join(lines) + "\n")
    images = folder / ("images.zip" if container == "zip" else "images")
    if container == "zip":
        with zipfile.ZipFile(images, "w") as archive:  # stored: JPEG does not compress
            for k in range(count):
                archive.writestr(f"images/{k}.jpg", files[k % len(files)])
    else:
        images.mkdir()
        for k in range(count):
            (images / f"{k}.jpg").write_bytes(files[k % len(files)])
    return images


def command(folder: Path, images: Path, workspace: str, size_px: int, processes: int) -> list[str]:
    settings = {
        "prepare.images": str(images),
        "prepare.catalog": str(folder / "catalog.csv"),
        "prepare.size_px": size_px,
        "prepare.processes": processes,
        "prepare.duplicates": "keep",  # the sample's files come again and again under other ids
    }
    flags = [flag for key, value in settings.items() for flag in ("--set", f"{key}={json.dumps(value)}")]
    return [*CLI, "prepare", "--no-progress", "--workspace", str(folder / workspace), *flags]


def timed_run(arguments: list[str], kill_after_s: float | None = None) -> tuple[float, float, str]:
    """Run a command; return seconds, the largest USS of it and its children in MB, and what it printed."""
    begin = time.monotonic()
    process = subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True, start_new_session=True)
    peak = [0.0]
    stop = threading.Event()

    def watch() -> None:
        while not stop.wait(2.0):  # reading the memory map takes a while itself
            peak[0] = max(peak[0], sum(uss_mb(pid) for pid in family(process.pid)))

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        printed, _ = process.communicate(timeout=kill_after_s)
    except subprocess.TimeoutExpired:
        os.kill(process.pid, signal.SIGKILL)
        printed, _ = process.communicate()
    stop.set()
    watcher.join()
    return time.monotonic() - begin, peak[0], printed.strip()


def family(pid: int) -> list[int]:
    """Return a process and its children."""
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:
        children = []
    if not children:  # a kernel without that file: look for the parent of each process
        children = [p.name for p in Path("/proc").iterdir() if p.name.isdigit() and parent_of(p) == pid]
    return [pid, *map(int, children)]


def parent_of(process: Path) -> int:
    try:
        return int((process / "stat").read_text().rpartition(")")[2].split()[1])
    except OSError:
        return -1


def uss_mb(pid: int) -> float:
    """Return a process's private memory."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        try:
            lines = Path(f"/proc/{pid}/smaps").read_text().splitlines()
        except OSError:
            return 0.0
    return sum(int(line.split()[1]) for line in lines if line.startswith("Private_")) / 1024


def decode_alone(images: Path, side: int, processes: int) -> float:
    """Return the seconds that reading and decoding take with so many processes and nothing else."""
    begin = time.monotonic()
    parts = [
        subprocess.Popen([sys.executable, "-c", DECODE_ALONE, str(images), str(k), str(processes), str(side)])
        for k in range(processes)
    ]
    for part in parts:
        part.wait()
    return time.monotonic() - begin


def disk_write_mb_s(folder: Path) -> float:
    block, path = os.urandom(1 << 20), folder / "speed"
    begin = time.monotonic()
    with path.open("wb") as file:
        for _ in range(1024):
            file.write(block)
        file.flush()
        os.fsync(file.fileno())
    seconds = time.monotonic() - begin
    path.unlink()
    return 1024 / seconds


def read_back(prepared: Path, batch: int = 128) -> tuple[float, float]:
    """Return images/s of random batches: whole stored cutouts, and the model's input alone."""
    store = Store.open(prepared)
    order = np.random.default_rng(1).permutation(len(store))
    batches = [np.sort(order[k : k + batch]) for k in range(0, len(order), batch)]
    rates = []
    for read in (store.cutouts, store.central):
        begin = time.monotonic()
        for rows in batches:
            read(rows)
        rates.append(len(order) / (time.monotonic() - begin))
    return rates[0], rates[1]


def measure(folder: Path, chosen: argparse.Namespace) -> None:
    begin = time.monotonic()
    images = make_set(folder, chosen.count, chosen.container)
    side = 212 if chosen.size_px > 51 else 106
    print(f"{chosen.count} images in a {chosen.container}, just written (in {time.monotonic() - begin:.0f} s)")
    print(f"disk: {disk_write_mb_s(folder):.0f} MB/s written and synced; {os.cpu_count()} cores")
    bare = {n: decode_alone(images, side, n) for n in (1, 2)}
    seconds, memory = {}, {}
    for processes in (1, 2):
        seconds[processes], memory[processes], printed = timed_run(
            command(folder, images, f"ws{processes}", chosen.size_px, processes)
        )
        print(printed, flush=True)
        if processes == 1:
            shutil.rmtree(folder / "ws1")
        for name, found in (("decoding alone", bare[processes]), ("prepare", seconds[processes])):
            print(f"  {processes} process(es), {name:15s} {found:7.1f} s, {chosen.count / found:7.0f} images/s")
        print(f"  prepare / decoding alone: {seconds[processes] / bare[processes]:.2f}; USS {memory[processes]:.0f} MB")
    print(f"2 processes / 1: {seconds[1] / seconds[2]:.2f} (decoding alone: {bare[1] / bare[2]:.2f})")
    again, _, _ = timed_run(command(folder, images, "ws2", chosen.size_px, 2))
    print(f"second run: {again:.1f} s")
    whole, central = read_back(folder / "ws2/prepared")
    print(f"read back, random batches of 128: {whole:.0f} stored cutouts/s, {central:.0f} model inputs/s")
    killed = command(folder, images, "ws3", chosen.size_px, 2)
    until, _, _ = timed_run(killed, kill_after_s=seconds[2] / 2)
    shutil.rmtree(folder / "ws2")
    rest, _, printed = timed_run(killed)
    print(f"kill -9 after {until:.1f} s; resumed in {rest:.1f} s: {printed}")


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--count", type=int, default=240_000)
    options.add_argument("--folder", type=Path, help="where to work (default: a temporary folder)")
    options.add_argument("--container", choices=("zip", "folder"), default="zip")
    options.add_argument("--size-px", type=int, default=64)
    chosen = options.parse_args()
    with tempfile.TemporaryDirectory(dir=chosen.folder) as name:
        measure(Path(name), chosen)


if __name__ == "__main__":
    main()
