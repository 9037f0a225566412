"""The model as the peers' documentation would run it: Pillow decodes, numpy lays out, onnxruntime predicts."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import onnxruntime
from PIL import Image


class PillowModel:
    """Image bytes to a class and its probabilities, without galclass."""

    def __init__(self, path: str | Path) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self.session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        signature = json.loads(self.session.get_modelmeta().custom_metadata_map["galclass_signature"])
        self.classes = signature["classes"]
        self.size_px = signature["input"]["size_px"]
        self.crop_fraction = signature["input"]["crop_fraction"]

    def predict(self, data: bytes) -> dict[str, object]:
        """Classify one image."""
        image = Image.open(io.BytesIO(data)).convert("RGB")
        side = round(image.width * self.crop_fraction)
        left = (image.width - side) // 2
        cutout = image.crop((left, left, left + side, left + side)).resize((self.size_px, self.size_px))
        planes = np.asarray(cutout, dtype=np.uint8).transpose(2, 0, 1)[np.newaxis]
        (values,) = self.session.run(["probabilities"], {"cutouts": np.ascontiguousarray(planes)})
        probabilities = dict(zip(self.classes, values[0].tolist(), strict=True))
        return {"predicted_class": max(probabilities, key=probabilities.get), "probabilities": probabilities}


class ScorerModel:
    """The same with galclass's scorer inside."""

    def __init__(self, path: str | Path) -> None:
        from galclass.scoring import Scorer

        self.scorer = Scorer(Path(path))

    def predict(self, data: bytes) -> dict[str, object]:
        """Classify one image."""
        return self.scorer.score([data])[0].as_json()


def load(kind: str, path: str | Path) -> PillowModel | ScorerModel:
    """Make the model of a row: "pillow" or "scorer"."""
    return PillowModel(path) if kind == "pillow" else ScorerModel(path)
