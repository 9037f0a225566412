"""The weights of an exported residual network, taken out of its ONNX file and put back: no pickle, no checkpoint.

The file contains plain convolutions into which normalisation was folded, named after their positions. The network's
structure is derived from their shapes, so any version of the model in the package will do.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from galclass.errors import ModelError
from galclass.extras import require
from galclass.scoring.graph import check_graph
from galclass.scoring.labels import EMBEDDING
from galclass.scoring.session import open_session, read_signature
from galclass.train.export import PixelScale
from galclass.train.networks import RESIDUAL_SIZES, ResidualBody, pool_fields
from galclass.train.symmetry import ORDER, FieldNorm, GroupConv

EPSILON = 1e-5
TOLERANCE = 1e-2
"""Largest difference between embeddings of the file and of its restored network, relative to the largest value."""

_BODY = "body."
_SCALE = re.compile(r"(\S+) \* \(0\.\.255\) ([+-]\S+)")
_PROBE = 8
_ANY_SIZE = 64
_EXPECTED = "an invariant residual network that galclass exported"

Weights = Mapping[str, Tensor]


class FrozenBody(NamedTuple):
    """A body in evaluation mode, how pixels are scaled for it, and the side of its cutouts."""

    body: ResidualBody
    scale: PixelScale
    size_px: int

    @property
    def embedding_size(self) -> int:
        """Width of the embedding."""
        return self.body.embedding_size

    def new_body(self) -> ResidualBody:
        """Return a body of the same shape with newly drawn weights."""
        return _empty_body(self.body.folded().state_dict(), self.size_px, "body")


def folded_weights(model: bytes, *, where: str) -> dict[str, Tensor]:
    """Return the body's plain convolutions by name ("0.0.weight"), as float32.

    Raises
    ------
    ModelError
        If the file does not contain the body of a residual network.
    ExtraError
        If the package onnx is not installed.
    """
    found = {
        name.removeprefix(_BODY): value for name, value in _tensors(model, where).items() if name.startswith(_BODY)
    }
    if not found:
        raise ModelError("it contains no weights to start from", where=where, expected=_EXPECTED)
    return found


def frozen_body(model: bytes, *, where: str = "model") -> FrozenBody:
    """Return a model's body in evaluation mode; its embeddings are those of the file.

    Its normalisations only add a bias: their statistics must stay fixed (evaluation mode) while it is trained.

    Raises
    ------
    ModelError
        If the model is not a residual network of this package, or the body's embeddings differ.
    """
    weights = folded_weights(model, where=where)
    session = open_session(model, where=where)
    signature = read_signature(session, where=where)
    body = _empty_body(weights, signature.size_px, where)
    for convolution, norm, kernel, bias in _pairs(body, weights, where):
        convolution.weight.data = own_weight(convolution, kernel, where)
        norm.mean.zero_()
        norm.var.fill_(1 - EPSILON)
        norm.weight.data.fill_(1)
        norm.bias.data = bias.reshape(-1, ORDER)[:, 0].clone()
    scale = _scale(signature.scale, where)
    size = signature.size_px
    probe = np.random.default_rng(0).integers(0, 256, (_PROBE, 3, size, size), dtype=np.uint8)
    (expected,) = session.run([EMBEDDING], probe)
    with torch.no_grad():
        found = body(scale.apply(torch.from_numpy(probe).float()))
    check_embeddings(found, expected, where)
    return FrozenBody(body, scale, size)


@torch.no_grad()
def restored_body(model: bytes, cutouts: NDArray[np.uint8], *, where: str = "model") -> tuple[ResidualBody, PixelScale]:
    """Return a model's body with normalisation statistics taken from cutouts, to be trained like a new one.

    Parameters
    ----------
    model : bytes
    cutouts : uint8, (n, 3, size, size)
        Of training galaxies, a few hundred; of the model's size or any other.
    where : str
        Name of the model in errors.

    Raises
    ------
    ModelError
        As `frozen_body`.
    """
    start = frozen_body(model, where=where)
    pixels = start.scale.apply(torch.from_numpy(cutouts).float())
    weights = folded_weights(model, where=where)
    body = _empty_body(weights, cutouts.shape[-1], where)
    found = restore_layers(body, weights, pixels, where=where)
    check_embeddings(found, start.body(pixels).numpy(), where)
    return body, start.scale


def topology_of(model: bytes, *, where: str = "model") -> str:
    """Return the name in `train.topology` that a model's network has.

    Raises
    ------
    ModelError
        If it has none.
    """
    body = _empty_body(folded_weights(model, where=where), _ANY_SIZE, where)
    shapes = [value.shape for value in body.state_dict().values()]
    for name, sizes in RESIDUAL_SIZES.items():
        if [value.shape for value in ResidualBody(_ANY_SIZE, *sizes).state_dict().values()] == shapes:
            return name
    raise ModelError("its network has no name in train.topology", where=where, expected=", ".join(RESIDUAL_SIZES))


def head_weights(model: bytes, *, where: str = "model") -> dict[str, Tensor]:
    """Return those heads for the 13 classes and the votes that the model has ("classes.weight")."""
    return {name: value for name, value in _tensors(model, where).items() if name.startswith(("classes.", "votes."))}


def restore_layers(body: ResidualBody, weights: Weights, pixels: Tensor, *, where: str = "model") -> Tensor:
    """Initialise the layers one by one from their statistics on scaled pixels; return these pixels' embeddings."""
    pairs = iter(_pairs(body, weights, where))
    images = pixels
    for layer in body.layers:
        _restore(*next(pairs), images, where)
        first = getattr(layer, "first", None)
        if first is not None:
            _restore(*next(pairs), first(images), where)
        images = layer(images)
    return pool_fields(images)


def own_weight(convolution: GroupConv, kernel: Tensor, where: str) -> Tensor:
    """Return the weight of a group convolution whose plain kernel is this one.

    Raises
    ------
    ModelError
        If the kernel is not equivariant under rotation.
    """
    fields_out, fields_in, length = convolution.weight.shape
    if kernel.numel() != fields_out * fields_in * length * ORDER:
        raise ModelError("its weights have other shapes", where=where, expected=_EXPECTED)
    own = kernel.reshape(fields_out, ORDER, fields_in, convolution.elements_in, -1)[:, 0]
    convolution.weight.data = own.reshape(fields_out, fields_in, length).clone()
    with torch.no_grad():
        if not torch.allclose(convolution.full_kernel(), kernel, atol=1e-5):
            raise ModelError("the model's convolutions are not equivariant", where=where, expected=_EXPECTED)
    return convolution.weight.data


def with_body(model: bytes, body: ResidualBody) -> bytes:
    """Return the model with the weights of another body of the same shape; it keeps its signature."""
    import onnx
    from onnx import numpy_helper

    made = onnx.load_from_string(model)
    new = {f"{_BODY}{name}": value.detach().numpy() for name, value in body.folded().state_dict().items()}
    for one in made.graph.initializer:
        if one.name in new:
            values = np.ascontiguousarray(new[one.name], dtype=np.float32)
            one.CopyFrom(numpy_helper.from_array(values, one.name))
    data: bytes = made.SerializeToString(deterministic=True)
    return data


def check_embeddings(found: Tensor, expected: NDArray[np.floating], where: str) -> None:
    """Check that a restored network has the file's embeddings.

    Raises
    ------
    ModelError
        If not.
    """
    gap = float(np.abs(found.numpy() - expected).max()) if found.shape == expected.shape else float("inf")
    if not gap <= TOLERANCE * float(np.abs(expected).max()):
        raise ModelError("the restored network has other embeddings", where=where, expected=_EXPECTED, got=gap)


def _restore(convolution: GroupConv, norm: FieldNorm, kernel: Tensor, bias: Tensor, images: Tensor, where: str) -> None:
    """Set a group convolution and its normalisation so that on these images their output equals the plain one's."""
    convolution.weight.data = own_weight(convolution, kernel, where)
    fields_out, fields_in, length = convolution.weight.shape
    size = (2 / (fields_in * length)) ** 0.5 / convolution.weight.data.std()  # as if newly drawn
    convolution.weight.data *= size
    given = convolution(images).transpose(0, 1).reshape(fields_out, -1)
    mean, var = given.mean(1), given.var(1, correction=0)
    norm.mean.copy_(mean.repeat_interleave(ORDER))
    norm.var.copy_(var.repeat_interleave(ORDER))
    norm.weight.data = torch.sqrt(var + EPSILON) / size
    norm.bias.data = bias.reshape(fields_out, ORDER)[:, 0] + mean / size


def _empty_body(weights: Weights, size_px: int, where: str) -> ResidualBody:
    """Return the body that the weights belong to: four units, with residual blocks after the second and third."""
    indices = sorted({int(name.split(".")[0]) for name in weights if name.split(".")[0].isdigit()})
    units = [index for index in indices if f"{index}.0.weight" in weights]
    if len(units) != 4 or indices != list(range(len(indices))) or units[:2] != [0, 1] or units[3] != indices[-1]:
        raise ModelError("it is not a residual network", where=where, expected=_EXPECTED)
    stem, middle, last, head = (len(weights[f"{index}.0.weight"]) // ORDER for index in units)
    blocks = (units[2] - units[1] - 1, units[3] - units[2] - 1)
    return ResidualBody(size_px, (stem, middle, last), blocks, head).eval()


def _pairs(body: ResidualBody, weights: Weights, where: str) -> list[tuple[GroupConv, FieldNorm, Tensor, Tensor]]:
    """Return each group convolution and normalisation, in order, with the plain weight and bias it became."""
    found = []
    for index, layer in enumerate(body.layers):
        first = getattr(layer, "first", None)
        units = [(f"{index}.0", layer)]
        if isinstance(first, nn.Module):
            units = [(f"{index}.first.0", first), (f"{index}.second", layer)]
        for name, unit in units:
            try:
                kernel, bias = weights[f"{name}.weight"], weights[f"{name}.bias"]
            except KeyError as error:
                raise ModelError("it lacks a layer", where=where, expected=_EXPECTED, got=str(error)) from error
            assert isinstance(unit.convolution, GroupConv)
            assert isinstance(unit.norm, FieldNorm)
            found.append((unit.convolution, unit.norm, kernel, bias))
    return found


def _tensors(model: bytes, where: str) -> dict[str, Tensor]:
    require("train", what="reading the weights of a model", modules=["onnx"])
    import onnx
    from onnx import numpy_helper

    check_graph(model, where=where)
    initializers = onnx.load_from_string(model).graph.initializer
    floats = [one for one in initializers if one.data_type == onnx.TensorProto.FLOAT]
    return {one.name: torch.from_numpy(numpy_helper.to_array(one).copy()) for one in floats}


def _scale(text: str, where: str) -> PixelScale:
    if text == "0..255":
        return PixelScale(1.0, 0.0)
    match = _SCALE.fullmatch(text)
    if match is None:
        raise ModelError("it does not state how pixels are scaled", where=where, got=text)
    return PixelScale(float(match[1]), float(match[2]))
