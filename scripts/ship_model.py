"""Put a trained and evaluated model into the package, with its card.

    python scripts/ship_model.py workspace/shipped

Copies training/model.onnx to src/galclass/scoring/shipped/galaxy.onnx and writes galaxy.card.md and galaxy.card.json
beside it from the run's own figures, the card into docs/, and the object ids of each split into configs/shipped_ids/.
Refuses a model over 5 MB and figures of another file. Run scripts/write_fitted_ids.py afterwards.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import sys
from pathlib import Path

from galclass.errors import ModelError
from galclass.evaluate.card import model_card
from galclass.prepare.store import Store
from galclass.scoring import Scorer
from galclass.scoring.probe import check_probe

ROOT = Path(__file__).resolve().parent.parent
TARGET = ROOT / "src" / "galclass" / "scoring" / "shipped"
IDS = ROOT / "configs" / "shipped_ids"
LARGEST_BYTES = 5_000_000


def ship(workspace: Path) -> None:
    model = workspace / "training" / "model.onnx"
    metrics = json.loads((workspace / "evaluation" / "metrics.json").read_text())
    scorer = Scorer(model)
    check_probe(scorer)
    if metrics["made_from"]["model_sha256"] != scorer.sha256:
        raise ModelError(
            "the figures are of another model", where=str(workspace), advice="run `galclass evaluate` again"
        )
    if model.stat().st_size > LARGEST_BYTES:
        raise ModelError("too large to ship", where=str(model), expected=LARGEST_BYTES, got=model.stat().st_size)
    split = metrics["made_from"]["split"]
    card = {
        "sha256": scorer.sha256,
        "trained": dict(scorer.signature.trained),
        "split": split,
        "tables": metrics["tables"],
        "expected_calibration_error": metrics["expected_calibration_error"],
        "volunteers": metrics["volunteers"],
        "natural": metrics["natural"],
        "trust": metrics["trust"],
        "votes": metrics["votes"],
        "raw_votes": metrics["raw_votes"],
        "seeds": metrics.get("seeds"),
    }
    shutil.copyfile(model, TARGET / "galaxy.onnx")
    text = model_card(scorer.signature, scorer.sha256, metrics, split)
    (TARGET / "galaxy.card.md").write_text(text)
    (ROOT / "docs" / "model-card.md").write_text(text)
    write_ids(workspace / "prepared", dict(scorer.signature.trained["split_ids_sha256"]))
    (TARGET / "galaxy.card.json").write_text(json.dumps(card, indent=1, sort_keys=True) + "\n")
    print(f"shipped {scorer.sha256[:12]}, {model.stat().st_size / 1e6:.1f} MB, {TARGET}")


def write_ids(prepared: Path, expected: dict[str, str]) -> None:
    """Write one file of sorted object ids for each split, whose sha256 is that in the card."""
    index = Store.open(prepared).index.select(["object_id", "split"]).to_pydict()
    IDS.mkdir(exist_ok=True)
    for split, sha256 in expected.items():
        pairs = zip(index["object_id"], index["split"], strict=True)
        text = "\n".join(sorted(object_id for object_id, own in pairs if own == split))  # in two sources: twice
        if hashlib.sha256(text.encode()).hexdigest() != sha256:
            raise ModelError("the model was trained on another split", where=f"{prepared}: {split}", expected=sha256)
        (IDS / f"{split}.txt").write_text(text)


if __name__ == "__main__":
    ship(Path(sys.argv[1]))
