"""The label desk: 20 chosen labels compared with 20 random ones, and how long a label takes.

    python benchmarks/label_desk.py precision [--artifacts FOLDER]
    python benchmarks/label_desk.py refit

`precision` takes the 703 galaxies of data/sample; mergers are those that Galaxy Zoo 2 marks (m). FOLDER holds star and
artifact images of the size of the sample's central 296 px (`labels.csv` with the column `file`): 78 of them, a tenth,
are mixed with the galaxies. For each seed one half is labelled, the other ranked; both arms fit the same head.
"""

from __future__ import annotations

import argparse
import csv
import tempfile
import zipfile
from pathlib import Path
from statistics import median
from time import perf_counter

import numpy as np
from numpy.typing import NDArray

from galclass.database import open_database
from galclass.database.desk_labels import give_label
from galclass.database.label_desk import LabelDesk
from galclass.database.schema import embeddings, images
from galclass.database.types import now
from galclass.scoring import Scorer
from galclass.scoring.choosing import Labelled, can_fit, choose, standardised
from galclass.scoring.heads import fit_head

SAMPLE = Path(__file__).resolve().parents[1] / "data" / "sample"
SEEDS, LABELS, RANKED = 5, 20, 50
ARTIFACTS = 78


def embedded(data: list[bytes], frame_px: int | None) -> NDArray[np.float32]:
    """Return the embeddings of pictures by the model in the package, (n, d)."""
    found = Scorer().score(data, frame_px=frame_px)
    return np.stack([one.embedding for one in found if one.embedding is not None])


def galaxies() -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Return the embeddings of the sample, and which of them are marked as mergers."""
    with (SAMPLE / "gz2_filename_mapping.csv").open() as file:
        asset_of = {row["objid"]: row["asset_id"] for row in csv.DictReader(file)}
    with (SAMPLE / "gz2_hart16.csv").open() as file:
        classes = {
            asset_of[row["dr7objid"]]: row["gz2_class"] for row in csv.DictReader(file) if row["dr7objid"] in asset_of
        }
    with zipfile.ZipFile(SAMPLE / "images_gz2.zip") as archive:
        names = [name for name in sorted(archive.namelist()) if Path(name).stem in classes]
        data = [archive.read(name) for name in names]
    return embedded(data, None), np.array(["(m)" in classes[Path(name).stem] for name in names])


def ranks(vectors: NDArray[np.float32], rows: list[int], is_target: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Return how probable each object is of the target by these labels, (n,); all equal without a label of it."""
    labels = ["target" if is_target[row] else "other" for row in rows]
    if can_fit([labels.count("target"), labels.count("other")]):
        return fit_head(vectors[rows], labels, ["target", "other"], confidence=False).probabilities(vectors)[:, 0]
    found = [row for row in rows if is_target[row]]
    if not found:
        return np.zeros(len(vectors), dtype=np.float32)
    directions = standardised(vectors)
    others = [row for row in rows if not is_target[row]]
    alike: NDArray[np.float32] = directions @ (directions[found].mean(axis=0) - directions[others].mean(axis=0))
    return alike


def chosen(vectors: NDArray[np.float32], is_target: NDArray[np.bool_]) -> list[int]:
    """Label the first of the queue until there are enough labels."""
    rows: list[int] = []
    directions = standardised(vectors)
    for _ in range(LABELS):
        codes = np.array([not is_target[row] for row in rows], dtype=np.int64)
        known = Labelled(np.array(rows, dtype=np.int64), codes)
        probabilities = None
        if can_fit(np.bincount(codes, minlength=2).tolist()):
            names = ["other" if code else "target" for code in codes]
            head = fit_head(vectors[rows], names, ["target", "other"], confidence=False)
            probabilities = head.probabilities(vectors)
        queue = choose(directions, known, 0, 2, probabilities=probabilities)
        rows.append(queue[len(rows) % len(queue)].row)  # as at the desk, where the two kinds take turns
    return rows


def precision(name: str, vectors: NDArray[np.float32], is_target: NDArray[np.bool_]) -> None:
    """Print the precision at 50 of both arms for each seed."""
    results: dict[str, list[tuple[float, int]]] = {"queue": [], "random": []}
    for seed in range(SEEDS):
        drawn = np.random.default_rng(seed).permutation(len(vectors))
        pool, held = np.array_split(drawn, 2)
        arms = {"queue": pool[chosen(vectors[pool], is_target[pool])], "random": pool[:LABELS]}
        for arm, rows in arms.items():
            values = ranks(vectors, rows.tolist(), is_target)[held]
            best = held[np.argsort(-values, kind="stable")[:RANKED]]
            results[arm].append((float(is_target[best].mean()), int(is_target[rows].sum())))
    print(f"\n{name}: {int(is_target.sum())} of {len(vectors)}")
    for arm, found in results.items():
        values = "  ".join(f"{value:.2f} ({count:2})" for value, count in found)
        print(f"  {arm:6}  {values}  mean {np.mean([value for value, _ in found]):.3f}")


def refit(count: int = 10_000) -> None:
    """Print how long a state of the desk takes with so many embeddings."""
    rng = np.random.default_rng(0)
    vectors = rng.normal(0, 1, (count, 192)).astype("<f4")
    moment = now()
    with tempfile.TemporaryDirectory() as folder, open_database(str(Path(folder) / "desk.db")) as database:
        rows = [{"object_id": f"g{n:05}", "img": b"x", "sha256": str(n), "added_at": moment} for n in range(count)]
        seen = [
            {"model_sha256": "m", "object_id": f"g{n:05}", "img_sha256": str(n), "embedding": one.tobytes()}
            for n, one in enumerate(vectors)
        ]
        with database.write() as connection:
            connection.execute(images.insert(), rows)
            connection.execute(embeddings.insert().values(embedded_at=moment), seen)
        desk = LabelDesk(database)
        desk.state("m", "d", "ring", by="me")
        for labels in (6, 20, 60, 200):
            for n in range(labels):
                give_label(database, "d", f"g{n:05}", "ring" if vectors[n, 0] > 0 else "no ring", "me")
            took, whole = [], []
            for turn in range(7):  # the head is kept until a label changes
                give_label(database, "d", "g00000", "ring" if turn % 2 else "no ring", "me")
                started = perf_counter()
                took.append(desk.state("m", "d", "ring", by="me").refit_ms)
                whole.append(1e3 * (perf_counter() - started))
            times = f"refit {median(took):.0f} ms, with the database {median(whole):.0f} ms"
            print(f"{labels:4} labels, {count:,} embeddings: {times}")


def main() -> None:
    """Measure what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("what", choices=["precision", "refit"])
    parser.add_argument("--artifacts", type=Path)
    arguments = parser.parse_args()
    if arguments.what == "refit":
        refit()
        return
    vectors, mergers = galaxies()
    precision("mergers", vectors, mergers)
    if arguments.artifacts:
        with (arguments.artifacts / "labels.csv").open() as file:
            files = [row["file"] for row in csv.DictReader(file)]
        drawn = np.random.default_rng(0).permutation(len(files))[:ARTIFACTS]
        others = embedded([(arguments.artifacts / files[n]).read_bytes() for n in sorted(drawn)], 424)
        is_target = np.arange(len(vectors) + len(others)) >= len(vectors)
        precision("artifacts", np.concatenate([vectors, others]), is_target)


if __name__ == "__main__":
    main()
