"""Write a packaged model's weights as a start for training: `weights_from_model.py MODEL.onnx PREPARED OUTPUT.pt`.

An exported residual network holds plain convolutions into which normalisation was folded. Each is turned back into a
group convolution and a normalisation that together give what it gave, on training cutouts of a prepared folder; the
file that is written is a state dict for `train.initial_weights`. Heads are not kept.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import onnx
import torch
from onnx import numpy_helper
from torch import Tensor, nn

from galclass.config import config_from_dict
from galclass.errors import ModelError
from galclass.scoring.session import open_session, read_signature
from galclass.train.build import build_network, pixel_scale
from galclass.train.dataset import open_training_data
from galclass.train.networks import RESIDUAL_SIZES, ResidualBody, pool_fields
from galclass.train.symmetry import ORDER, FieldNorm, GroupConv

CUTOUTS = 512
"""Training cutouts whose statistics the normalisations get."""

EPSILON = 1e-5
TOLERANCE = 1e-2


def restore(convolution: GroupConv, norm: FieldNorm, kernel: Tensor, bias: Tensor, images: Tensor) -> None:
    """Set a group convolution and its normalisation so that on these images they give what the plain one gives."""
    fields_out, fields_in, length = convolution.weight.shape
    own = kernel.reshape(fields_out, ORDER, fields_in, convolution.elements_in, -1)[:, 0]
    convolution.weight.data = own.reshape(fields_out, fields_in, length).clone()
    if not torch.allclose(convolution.full_kernel(), kernel, atol=1e-5):
        raise ModelError("the model's convolutions do not turn", expected="an invariant residual network")
    size = (2 / (fields_in * length)) ** 0.5 / convolution.weight.data.std()  # as if newly drawn: steps are as long
    convolution.weight.data *= size
    given = convolution(images).transpose(0, 1).reshape(fields_out, -1)
    mean, var = given.mean(1), given.var(1, correction=0)
    norm.mean.copy_(mean.repeat_interleave(ORDER))
    norm.var.copy_(var.repeat_interleave(ORDER))
    norm.weight.data = torch.sqrt(var + EPSILON) / size
    norm.bias.data = bias.reshape(fields_out, ORDER)[:, 0] + mean / size


def restored(body: ResidualBody, plain: dict[str, Tensor], pixels: Tensor) -> Tensor:
    """Restore the layers one after the other, and return the embedding of the scaled pixels."""
    images = pixels
    for place, layer in enumerate(body.layers):
        names = [f"body.{place}.first.0", f"body.{place}.second"] if hasattr(layer, "first") else [f"body.{place}.0"]
        weights = [(plain[f"{name}.weight"], plain[f"{name}.bias"]) for name in names]
        first = layer.first if len(names) == 2 else layer
        restore(first.convolution, first.norm, *weights[0], images)
        if len(names) == 2:
            restore(layer.convolution, layer.norm, *weights[1], first(images))
        images = layer(images)
    return pool_fields(images)


@torch.no_grad()
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path, help="an ONNX file of a residual network")
    parser.add_argument("prepared", type=Path, help="a prepared folder of its size")
    parser.add_argument("output", type=Path)
    options = parser.parse_args()
    data = open_training_data(options.prepared)
    session = open_session(options.model.read_bytes(), where=str(options.model))
    topology = read_signature(session, where=str(options.model)).trained["config"]["train"]["topology"]
    if topology not in RESIDUAL_SIZES:
        raise ModelError("not a residual network", where=str(options.model), got=topology)
    config = config_from_dict({"train": {"topology": topology}})
    network = build_network(config.train, data.size_px, seed=0, vote_head=False).eval()
    rows = np.random.default_rng(0).choice(data.indices("train"), CUTOUTS, replace=False)
    cutouts = np.ascontiguousarray(data.store.central(np.sort(rows)).transpose(0, 3, 1, 2))
    stored = onnx.load(options.model).graph.initializer
    plain = {one.name: torch.from_numpy(numpy_helper.to_array(one).copy()) for one in stored}
    assert isinstance(network.body, ResidualBody)
    found = restored(network.body, plain, pixel_scale(config.train).apply(torch.from_numpy(cutouts).float()))
    (expected,) = session.run(["embedding"], cutouts)
    gap = float(np.abs(found.numpy() - expected).max())
    if gap > TOLERANCE * float(np.abs(expected).max()):
        raise ModelError("the restored network answers otherwise", where=str(options.model), got=gap)
    state: dict[str, nn.Parameter | Tensor] = dict(network.body.state_dict())
    torch.save(state, options.output)
    print(f"{options.output}: {len(state)} tensors, embeddings to {gap:.1e}")


if __name__ == "__main__":
    main()
