"""Write a packaged model's weights as a start for training: `weights_from_model.py MODEL.onnx PREPARED OUTPUT.pt`.

The output file is a state dict for `train.initial_weights`, with statistics of training cutouts of a prepared
folder. Training also takes the model file itself (`initial_weights = "package"` or a path).
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch

from galclass.train.dataset import open_training_data
from galclass.train.from_onnx import restored_body
from galclass.train.starting import CUTOUTS


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path, help="an ONNX file of a residual network")
    parser.add_argument("prepared", type=Path, help="a prepared folder of its size")
    parser.add_argument("output", type=Path)
    options = parser.parse_args()
    data = open_training_data(options.prepared)
    rows = np.random.default_rng(0).permutation(data.indices("train"))[:CUTOUTS]
    cutouts = np.ascontiguousarray(data.store.central(np.sort(rows)).transpose(0, 3, 1, 2))
    body, _ = restored_body(options.model.read_bytes(), cutouts, where=str(options.model))
    torch.save(dict(body.state_dict()), options.output)
    print(f"{options.output}: {len(body.state_dict())} tensors")


if __name__ == "__main__":
    main()
