"""Save an MLflow pyfunc model as its documentation shows; `mlflow models serve` then serves it."""

from __future__ import annotations

import base64
import sys
from pathlib import Path

import mlflow.pyfunc
import pandas as pd
from pillow_model import load


class GalaxyModel(mlflow.pyfunc.PythonModel):
    """Galaxy images, base64 in a data frame, to classes."""

    def __init__(self, kind: str) -> None:
        self.kind = kind

    def load_context(self, context: mlflow.pyfunc.PythonModelContext) -> None:
        """Load the model once."""
        self.model = load(self.kind, context.artifacts["model"])

    def predict(self, context: mlflow.pyfunc.PythonModelContext, model_input: pd.DataFrame) -> list[dict[str, object]]:
        """Classify one image."""
        return [self.model.predict(base64.b64decode(text)) for text in model_input["image"]]


if __name__ == "__main__":
    kind, model, target = sys.argv[1:4]
    here = Path(__file__).resolve().parent
    mlflow.pyfunc.save_model(
        target,
        python_model=GalaxyModel(kind),
        artifacts={"model": model},
        code_paths=[str(here / "pillow_model.py"), str(here / "mlflow_model.py")],
        pip_requirements=[],
    )
