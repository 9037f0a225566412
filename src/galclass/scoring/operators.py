"""Which operators a model's graph may have: those whose work grows only with their data.

A running operator cannot be interrupted: onnxruntime checks its terminate flag between two. So operators that loop by
themselves (recurrent layers, box suppression, regions of interest), decode or sort texts or images, or draw random
numbers are excluded, and windows that overlap without bound are refused. The others take, for the memory that models
may have, about as long as the largest matrix product in it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from itertools import zip_longest
from typing import NamedTuple

from galclass.scoring.onnx_fields import LARGEST_TYPE, TEXT_TYPE

MAX_OVERLAP = 128 * 128
"""Most windows of a pooling or convolution that cover one value."""

_WINDOWS = frozenset({"AveragePool", "LpPool", "MaxPool", "Conv", "ConvInteger", "QLinearConv", "ConvTranspose"})
_CONVOLUTIONS = frozenset({"Conv", "ConvInteger", "ConvTranspose"})
_WEIGHTS_AT = {"QLinearConv": 3}
_LARGEST_STEP = 1 << 31
_CONSTANT_TEXTS = frozenset({"value_string", "value_strings"})

OPERATORS = _WINDOWS | frozenset({
    "Abs", "Acos", "Acosh", "Add", "And", "ArgMax", "ArgMin", "Asin", "Asinh", "Atan", "Atanh",
    "BatchNormalization", "BitShift", "BitwiseAnd", "BitwiseNot", "BitwiseOr", "BitwiseXor", "Cast", "CastLike", "Ceil",
    "Celu", "CenterCropPad", "Clip", "Compress", "Concat", "Constant", "ConstantOfShape", "Cos", "Cosh", "CumProd",
    "CumSum", "DepthToSpace", "DequantizeLinear", "Div", "Dropout", "DynamicQuantizeLinear", "Einsum", "Elu",
    "Equal", "Erf", "Exp", "Expand", "EyeLike", "Flatten", "Floor", "Gather", "GatherElements", "GatherND", "Gelu",
    "Gemm", "GlobalAveragePool", "GlobalLpPool", "GlobalMaxPool", "Greater", "GreaterOrEqual", "GridSample",
    "GroupNormalization", "HardSigmoid", "HardSwish", "Hardmax", "Identity", "If", "InstanceNormalization", "IsInf",
    "IsNaN", "LRN", "LayerNormalization", "LeakyRelu", "Less", "LessOrEqual", "Log", "LogSoftmax",
    "LpNormalization", "MatMul", "MatMulInteger", "Max", "Mean", "MeanVarianceNormalization", "Min", "Mish", "Mod",
    "Mul", "Neg", "NonZero", "Not", "OneHot", "Or", "PRelu", "Pad", "Pow", "QLinearMatMul", "QuantizeLinear",
    "RMSNormalization", "Range", "Reciprocal", "ReduceL1", "ReduceL2", "ReduceLogSum", "ReduceLogSumExp",
    "ReduceMax", "ReduceMean", "ReduceMin", "ReduceProd", "ReduceSum", "ReduceSumSquare", "Relu", "Reshape",
    "Resize", "Round", "Scatter", "ScatterElements", "ScatterND", "Selu", "Shape", "Shrink", "Sigmoid", "Sign",
    "Sin", "Sinh", "Size", "Slice", "Softmax", "Softplus", "Softsign", "SpaceToDepth", "Split", "Sqrt", "Squeeze",
    "Sub", "Sum", "Swish", "Tan", "Tanh", "ThresholdedRelu", "Tile", "TopK", "Transpose", "Trilu", "Unsqueeze",
    "Upsample", "Where", "Xor",
})  # fmt: skip
"""The allowed operators."""


class Node(NamedTuple):
    """One operator of a graph.

    Attributes
    ----------
    operator : str
    inputs : tuple of bytes
        Names of its inputs.
    outputs : tuple of bytes
        Names of its outputs.
    numbers : mapping of str to tuple of int
        Its attributes; integers with their values.
    """

    operator: str
    inputs: tuple[bytes, ...]
    outputs: tuple[bytes, ...]
    numbers: Mapping[str, tuple[int, ...]]

    @property
    def kernel(self) -> tuple[int, ...]:
        """Sides of its window, from its attribute; empty if it has none."""
        return self.numbers.get("kernel_shape", ())

    @property
    def weights(self) -> bytes:
        """Name of a convolution's weights."""
        index = _WEIGHTS_AT.get(self.operator, 1)
        return self.inputs[index] if len(self.inputs) > index else b""

    @property
    def is_convolution(self) -> bool:
        """Whether its window is that of its weights; if it states one itself, onnxruntime compares the two."""
        return self.operator in _CONVOLUTIONS or self.operator in _WEIGHTS_AT


def _is_number(element_type: int) -> bool:
    """Return whether a type of elements is numeric; onnxruntime cuts larger type numbers to 32 bits."""
    return 0 < element_type <= LARGEST_TYPE and element_type != TEXT_TYPE


def fault_of(node: Node, kernel: tuple[int, ...]) -> str | None:
    """Return why an operator is refused, to follow "it has"; None if it is harmless.

    Parameters
    ----------
    node : Node
    kernel : tuple of int
        Sides of its window; empty if they are not known.
    """
    if node.operator not in OPERATORS:
        return f"the operator {node.operator[:40]!r}"
    if node.operator == "Cast" and not all(_is_number(to) for to in node.numbers.get("to", ())):
        return "a Cast to strings"
    if node.operator == "Constant" and not _CONSTANT_TEXTS.isdisjoint(node.numbers):
        return "a Constant of strings"  # CastLike could turn later tensors into texts
    if node.operator not in _WINDOWS:
        return None
    if not kernel:
        return f"a {node.operator} whose window is not known before it runs"
    strides = () if node.operator == "ConvTranspose" else node.numbers.get("strides", ())[: len(kernel)]
    steps = (step if 0 < step <= _LARGEST_STEP else 1 for step in strides)
    overlap = math.prod(-(-side // step) for side, step in zip_longest(kernel, steps, fillvalue=1))
    return None if overlap <= MAX_OVERLAP else f"a {node.operator} with windows of {' x '.join(map(str, kernel))}"
