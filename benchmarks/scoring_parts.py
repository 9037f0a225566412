"""Shared by the scoring benchmarks: the images, the prototype's network, and the prototype's pipeline.

The network has 188,028 weights and takes 50 x 50 px; it is the same ONNX graph for the prototype's pipeline (full
decode with Pillow, resize, onnxruntime) and for ours, so that only the pipeline differs.
"""

from __future__ import annotations

import io
import zipfile
from itertools import cycle, islice
from pathlib import Path

import numpy as np
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

from galclass.cutouts import CutoutParameters
from galclass.scoring import METADATA_KEY, Signature

SIZE_PX = 50
EMBEDDING = 128
SAMPLE = Path(__file__).resolve().parent.parent / "data" / "sample" / "images_gz2.zip"


def images(count: int) -> list[bytes]:
    """So many 424 x 424 px JPEGs, the sample's over and over."""
    with zipfile.ZipFile(SAMPLE) as archive:
        names = [name for name in sorted(archive.namelist()) if name.endswith(".jpg")]
        kinds = [archive.read(name) for name in names]
    return list(islice(cycle(kinds), count))


def network() -> bytes:
    """A convolutional network of 188,028 random weights with our inputs, outputs and signature."""
    rng = np.random.default_rng(0)
    nodes = [
        helper.make_node("Cast", ["cutouts"], ["as_float"], to=TensorProto.FLOAT),
        helper.make_node("Mul", ["as_float", "scale"], ["x0"]),
    ]
    weights = {"scale": np.float32(1 / 255)}
    channels = (3, 32, 64, 128)
    for layer in range(3):
        shape = (channels[layer + 1], channels[layer], 3, 3)
        weights[f"w{layer}"] = rng.normal(0, 0.08, shape).astype(np.float32)
        weights[f"b{layer}"] = np.zeros(channels[layer + 1], np.float32)
        nodes += [
            helper.make_node(
                "Conv", [f"x{layer}", f"w{layer}", f"b{layer}"], [f"c{layer}"], pads=[1] * 4, strides=[2, 2]
            ),
            helper.make_node("Relu", [f"c{layer}"], [f"x{layer + 1}"]),
        ]
    for name, shape in (("w3", (128, 128)), ("w4", (128, 556)), ("w5", (556, 13))):
        weights[name] = rng.normal(0, 0.05, shape).astype(np.float32)
    nodes += [
        helper.make_node("GlobalAveragePool", ["x3"], ["pooled"]),
        helper.make_node("Flatten", ["pooled"], ["flat"]),
        helper.make_node("MatMul", ["flat", "w3"], ["m3"]),
        helper.make_node("Relu", ["m3"], ["embedding"]),
        helper.make_node("MatMul", ["embedding", "w4"], ["m4"]),
        helper.make_node("Relu", ["m4"], ["r4"]),
        helper.make_node("MatMul", ["r4", "w5"], ["logits"]),
        helper.make_node("Softmax", ["logits"], ["probabilities"], axis=-1),
    ]
    graph = helper.make_graph(
        nodes,
        "prototype",
        [helper.make_tensor_value_info("cutouts", TensorProto.UINT8, ["n", 3, SIZE_PX, SIZE_PX])],
        [
            helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["n", 13]),
            helper.make_tensor_value_info("embedding", TensorProto.FLOAT, ["n", EMBEDDING]),
        ],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in weights.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    parameters = CutoutParameters(size_px=SIZE_PX)
    signature = Signature(SIZE_PX, parameters.crop_fraction, parameters.sha256, EMBEDDING)
    helper.set_model_props(model, {METADATA_KEY: signature.to_json()})
    return model.SerializeToString()


def weight_count() -> int:
    """Trainable weights of the network."""
    from onnx import load_from_string

    graph = load_from_string(network()).graph
    return sum(int(np.prod(tensor.dims)) for tensor in graph.initializer if tensor.dims)


class Prototype:
    """The prototype's scoring: full decode and resize with Pillow, a batch of 64 through onnxruntime."""

    def __init__(self, model: bytes) -> None:
        import onnxruntime  # after galclass, which switches its telemetry off

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        self._session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])

    def score(self, data: list[bytes]) -> np.ndarray:
        """Return the probabilities, (n, 13)."""
        pixels = np.stack([self._cutout(one) for one in data])
        return self._session.run(["probabilities"], {"cutouts": pixels})[0]

    @staticmethod
    def _cutout(data: bytes) -> np.ndarray:
        with Image.open(io.BytesIO(data)) as image:
            box = (110, 110, 314, 314)
            cut = image.convert("RGB").crop(box).resize((SIZE_PX, SIZE_PX), Image.Resampling.LANCZOS)
        return np.asarray(cut).transpose(2, 0, 1)
