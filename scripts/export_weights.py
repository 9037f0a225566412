"""Export the newest averaged weights of an unfinished run, to check its progress.

    python scripts/export_weights.py workspace/teacher --config configs/teacher.toml --output now.onnx [--half]
        [--checkpoint workspace/teacher/training/checkpoint.pt] [--set train.views=1]

`--half` keeps the weights as float16 in the file (half the size); onnxruntime computes in float32 all the same.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import onnx
import torch
from onnx import TensorProto, helper, numpy_helper

from galclass.config import load_config
from galclass.cutouts import CutoutParameters
from galclass.scoring.probe import make_probe
from galclass.scoring.signature import Signature
from galclass.train.calibrated import calibrated_model
from galclass.train.checkpoint import replace_file
from galclass.train.dataset import open_training_data
from galclass.train.device import prepared_machine
from galclass.train.export import export_onnx, with_signature
from galclass.train.trainer import Trainer

LEAST_NUMBERS = 256
"""Smaller tensors stay as they are."""


def halved(content: bytes) -> bytes:
    """Return the same graph with its large float32 weights as float16, each cast back before it is used."""
    model = onnx.load_from_string(content)
    casts = []
    for tensor in list(model.graph.initializer):
        values = numpy_helper.to_array(tensor)
        if tensor.data_type != TensorProto.FLOAT or values.size < LEAST_NUMBERS:
            continue
        stored = f"{tensor.name}_half"
        model.graph.initializer.remove(tensor)
        model.graph.initializer.append(numpy_helper.from_array(values.astype("float16"), stored))
        casts.append(helper.make_node("Cast", [stored], [tensor.name], to=TensorProto.FLOAT))
    for place, node in enumerate(casts):
        model.graph.node.insert(place, node)
    return model.SerializeToString(deterministic=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("workspace", type=Path, help="holds prepared/ and training/checkpoint.pt")
    parser.add_argument("--config", type=Path, required=True)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--checkpoint", type=Path, help="another one than the workspace's")
    parser.add_argument("--half", action="store_true")
    parser.add_argument("--set", nargs="+", default=[], metavar="KEY=VALUE", help="as in galclass train")
    options = parser.parse_args()
    config = load_config(options.config, options.set)
    config = replace(config, train=replace(config.train, initial_weights=None))
    path = options.checkpoint or options.workspace / "training" / "checkpoint.pt"
    state = torch.load(path, map_location="cpu", weights_only=True)
    with prepared_machine(config.train):
        trainer = Trainer(open_training_data(options.workspace / "prepared"), config.train, seed=config.seed)
        trainer.load_state(state)
        trainer.renew_answering()
        trainer.best.load_state_dict(trainer.answering.state_dict())
        module, signature = calibrated_model(trainer, config)
    content = export_onnx(module, signature, options.output)
    if options.half:
        content = halved(content)
        content = with_signature(content, replace(signature, probe=make_probe(content, _parameters(signature))))
        replace_file(options.output, lambda file: file.write_bytes(content))
    at = trainer.at
    print(f"epoch {at.iteration + 1}, step {at.step}: {options.output}, {len(content) / 1e6:.1f} MB")


def _parameters(signature: Signature) -> CutoutParameters:
    return CutoutParameters(size_px=signature.size_px, crop_fraction=signature.crop_fraction)


if __name__ == "__main__":
    main()
