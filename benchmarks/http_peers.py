"""galclass compared with LitServe and `mlflow models serve`, in one run, with the same model, image and worker count.

Two rows for each peer: "pillow" as its own documentation would write it, "scorer" with galclass's scorer inside.
The peers are in a separate environment:

    python -m venv peers && peers/bin/pip install litserve mlflow . onnxruntime pillow
    python benchmarks/http_peers.py --peers peers/bin/python [--model FILE.onnx] [--workers 2] [--seconds 10]
"""

from __future__ import annotations

import argparse
import json
import subprocess
import tempfile
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from http_server import ROOT, Load, example_image, free_port, galclass_server, running, wrk

from galclass.scoring import shipped_model

PEERS = ROOT / "benchmarks" / "peers"


@contextmanager
def litserve(python: str, kind: str, model: Path, workers: int) -> Iterator[str]:
    """Run LitServe; yields the URL to post to."""
    port = free_port()
    command = [python, str(PEERS / "litserve_app.py"), kind, str(model), str(port), str(workers)]
    with running(command, f"http://127.0.0.1:{port}/health"):
        yield f"http://127.0.0.1:{port}/predict"


@contextmanager
def mlflow(python: str, kind: str, model: Path, workers: int) -> Iterator[str]:
    """Run `mlflow models serve`; yields the URL to post to."""
    port = free_port()
    with tempfile.TemporaryDirectory() as folder:
        saved = str(Path(folder) / "model")
        subprocess.run(
            [python, str(PEERS / "mlflow_model.py"), kind, str(model), saved], check=True, capture_output=True
        )
        command = [python, "-m", "mlflow", "models", "serve", "-m", saved, "--env-manager", "local"]
        command += ["-h", "127.0.0.1", "-p", str(port), "-w", str(workers)]
        with running(command, f"http://127.0.0.1:{port}/ping"):
            yield f"http://127.0.0.1:{port}/invocations"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peers", required=True, help="Python of the peers' environment")
    parser.add_argument("--model", type=Path, help="an ONNX model (default: the one in the package)")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--seconds", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--clients", type=int, default=16)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        model = folder / "model.onnx"
        model.write_bytes(options.model.read_bytes() if options.model else shipped_model())
        measure(options, folder, model)


def measure(options: argparse.Namespace, folder: Path, model: Path) -> None:
    image, text = example_image(), b64encode(example_image()).decode()
    bodies = {
        "raw": image,
        "litserve": json.dumps({"image": text}).encode(),
        "mlflow": json.dumps({"dataframe_split": {"columns": ["image"], "data": [[text]]}}).encode(),
    }
    for kind, body in bodies.items():
        (folder / kind).write_bytes(body)

    def load(url: str, kind: str) -> Load:
        content_type = "image/jpeg" if kind == "raw" else "application/json"
        wrk(url, folder / kind, 64, 3, content_type)  # every process has its model loaded
        rounds = [
            wrk(url, folder / kind, options.clients, options.seconds, content_type) for _ in range(options.rounds)
        ]
        return sorted(rounds, key=lambda one: one.per_s)[len(rounds) // 2]

    print(f"{options.workers} workers, {options.clients} clients, medians of {options.rounds} x {options.seconds} s")
    print("server    inside   requests/s  p50 ms  p99 ms  refused  galclass is")
    with galclass_server(model.read_bytes(), options.workers) as (url, _):
        ours = load(url, "raw")
    show("galclass", "scorer", ours, ours)
    for peer, serve in (("litserve", litserve), ("mlflow", mlflow)):
        for inside in ("pillow", "scorer"):
            with serve(options.peers, inside, model, options.workers) as url:
                show(peer, inside, load(url, peer), ours)


def show(server: str, inside: str, one: Load, ours: Load) -> None:
    ratio = ours.per_s / one.per_s
    refused = one.refused + one.broken
    print(
        f"{server:9s} {inside:8s} {one.per_s:10.1f} {one.p50_ms:7.2f} {one.p99_ms:7.2f} {refused:8d}  {ratio:.2f} times"
    )


if __name__ == "__main__":
    main()
