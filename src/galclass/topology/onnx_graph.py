"""A growing ONNX graph: nodes and constants with fresh names."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

OPSET = 17  # the first with everything used here in its present form
IR_VERSION = 8  # the version of that opset; readers refuse newer ones, not older


class OnnxGraph:
    """Nodes and constants in the order in which they are added."""

    def __init__(self) -> None:
        self.nodes: list[Any] = []
        self.constants: list[Any] = []
        self._shared: dict[tuple[Any, ...], str] = {}

    def add(self, operator: str, *inputs: str, output: str | None = None, **attributes: Any) -> str:
        """Add a node and return the name of its output."""
        from onnx import helper

        name = output or f"v{len(self.nodes)}"
        self.nodes.append(helper.make_node(operator, list(inputs), [name], name=f"n{len(self.nodes)}", **attributes))
        return name

    def constant(self, value: ArrayLike, dtype: type[np.generic] = np.float32) -> str:
        """Return the name of a constant, added once however often it is requested."""
        from onnx import numpy_helper

        array = np.ascontiguousarray(value, dtype=dtype)
        key = (array.shape, array.dtype.str, array.tobytes())
        if key not in self._shared:
            self._shared[key] = f"c{len(self.constants)}"
            self.constants.append(numpy_helper.from_array(array, self._shared[key]))
        return self._shared[key]

    def reshape(self, x: str, shape: Sequence[int]) -> str:
        """Reshape to (n, *shape); the first dimension is whatever is left over."""
        return self.add("Reshape", x, self.constant([-1, *shape], np.int64))

    def cut(self, x: str, parts: dict[int, tuple[int, int, int]]) -> str:
        """Take (first, end, step) of the given dimensions of (n, ...), counted without n."""
        if not parts:
            return x
        firsts, ends, steps = zip(*parts.values(), strict=True)
        axes = [1 + d for d in parts]
        return self.add("Slice", x, *(self.constant(v, np.int64) for v in (firsts, ends, axes, steps)))

    def serialised(self, input_shape: Sequence[int], output_nodes: int, input_name: str, output_name: str) -> bytes:
        """Return the whole model as bytes, checked; the number of examples is free."""
        import onnx
        from onnx import TensorProto, helper

        x = helper.make_tensor_value_info(input_name, TensorProto.FLOAT, ["n", *input_shape])
        y = helper.make_tensor_value_info(output_name, TensorProto.FLOAT, ["n", output_nodes])
        graph = helper.make_graph(self.nodes, "topology", [x], [y], self.constants)
        opset = [helper.make_opsetid("", OPSET)]
        model = helper.make_model(graph, opset_imports=opset, ir_version=IR_VERSION, producer_name="galclass")
        onnx.checker.check_model(model, full_check=True)
        return bytes(model.SerializeToString())
