"""The train stage: takes `prepared/`, writes a model; the only package besides topology/compile that imports torch.

Writes `training/`: history.csv, checkpoint.pt, model.onnx (with its signature), config.toml, trained.json.
Read `stage` first, then `trainer`.
"""

from galclass.train.export import export_onnx
from galclass.train.stage import TrainSummary, train

__all__ = ["TrainSummary", "export_onnx", "train"]
