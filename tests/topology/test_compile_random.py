"""Random networks: the compiled module against the index-by-index evaluator, forward and backward.

The programs are written out by formulas of their own, so that the checker's sizes are tested as well.
"""

from dataclasses import dataclass
from math import prod

import numpy as np
import onnxruntime
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from galclass.topology.check import check, load_topology
from galclass.topology.compile import NetworkModule
from galclass.topology.export_onnx import export_onnx
from galclass.topology.parse import parse
from galclass.topology.print_text import print_text
from galclass.topology.reference import evaluate_reference

ACTIVATIONS = ["sigmoid", "linear", "softmax", "rlinear", "square", "srlinear", "abs", "tanh", "brlinear", "sqrt"]


@dataclass(frozen=True)
class Windows:
    """The text of a geometry's attributes and the number of positions they must give."""

    text: str
    positions: tuple[int, ...]


def numbers(values) -> str:
    return f"[{', '.join(str(value).lower() for value in values)}]"


@st.composite
def windows(draw, shape: tuple[int, ...]) -> Windows:
    kernel = [draw(st.integers(1, min(size, 3))) for size in shape]
    stride = [draw(st.integers(1, size)) for size in kernel]
    text = f"InputShape = {numbers(shape)}; KernelShape = {numbers(kernel)}; Stride = {numbers(stride)};"
    mode = draw(st.sampled_from(["none", "padding", "pads", "lower"]))
    dims = list(zip(shape, kernel, stride, strict=True))
    if mode == "padding":
        padded = [draw(st.booleans()) for _ in shape]
        text += f" Padding = {numbers(padded)};"
        return Windows(
            text, tuple((i - 1) // s + 1 if p else (i - k) // s + 1 for (i, k, s), p in zip(dims, padded, strict=True))
        )
    lower, upper = [0] * len(shape), [0] * len(shape)
    if mode in ("pads", "lower"):
        lower = [draw(st.integers(0, (k - 1) // 2)) for k in kernel]
        text += f" LowerPad = {numbers(lower)};"
    if mode == "pads":
        upper = [draw(st.integers(0, k // 2)) for k in kernel]
        text += f" UpperPad = {numbers(upper)};"
    pads = zip(dims, lower, upper, strict=True)
    return Windows(text, tuple((i + low + up - k) // s + 1 for (i, k, s), low, up in pads))


@st.composite
def views(draw, shape: tuple[int, ...]) -> tuple[int, ...]:
    """An InputShape for a layer of this shape: the same, or any other with as many nodes."""
    return shape if draw(st.booleans()) else draw(factored(prod(shape), draw(st.integers(1, 4))))


@st.composite
def factored(draw, nodes: int, arity: int) -> tuple[int, ...]:
    """A shape of so many nodes; big factors are likely to stay whole."""
    shape = []
    for _ in range(arity - 1):
        factor = draw(st.sampled_from([f for f in range(1, nodes + 1) if nodes % f == 0 and f <= 6]))
        shape.append(factor)
        nodes //= factor
    return tuple(draw(st.permutations([*shape, nodes])))


@st.composite
def convolutions(draw, source: str, source_shape: tuple[int, ...]) -> tuple[str, tuple[int, ...]]:
    shape = draw(views(source_shape))
    window = draw(windows(shape))
    sharing = [draw(st.booleans()) for _ in shape]
    maps = [draw(st.integers(1, 3)), *(draw(st.sampled_from([1, 1, 1, 2])) for _ in shape[1:])]
    text = f"from {source} convolve {{ {window.text} Sharing = {numbers(sharing)}; MapCount = {numbers(maps)}; }}"
    return text, tuple(m * d for m, d in zip(maps, window.positions, strict=True))


@st.composite
def pools_and_norms(draw, source: str, source_shape: tuple[int, ...]) -> tuple[str, tuple[int, ...]]:
    shape = draw(views(source_shape))
    window = draw(windows(shape))
    kind = draw(st.sampled_from(["max pool", "mean pool", "response norm"]))
    extra = ""
    if kind == "response norm":
        beta, full = draw(st.sampled_from([0.75, 0.5, 1, 1.3])), draw(st.sampled_from(["true", "false"]))
        extra = f"Alpha = {draw(st.floats(0.1, 2.0))}; Beta = {beta}; Offset = 1.5; AvgOverFullKernel = {full};"
    return f"from {source} {kind} {{ {window.text} {extra} }}", window.positions


CONDITIONS = [
    "s[0] == d[0]",
    "abs(s[0] - d[0]) <= 1",
    "s[0] % 2 == d[0] % 2 || s[0] == 0",
    "!(s[0] > d[0])",
    "d[0] != 0 && s[0] / d[0] < 2 || d[0] == 0",
]


@st.composite
def dense(draw, source: str) -> str:
    if draw(st.booleans()):
        return f"from {source} all;"
    return f"from {source} where (s, d) => {draw(st.sampled_from(CONDITIONS))};"


@st.composite
def layers(draw, name: str, sources: dict[str, tuple[int, ...]]) -> tuple[str, tuple[int, ...]]:
    """The text of a hidden layer and its shape."""
    source = draw(st.sampled_from(sorted(sources)))
    kind = draw(st.sampled_from(["dense", "convolution", "convolution", "pool"]))
    if kind == "dense":
        shape, bundle = (draw(st.integers(1, 12)),), draw(dense(source))
    else:
        strategy = convolutions if kind == "convolution" else pools_and_norms
        bundle, shape = draw(strategy(source, sources[source]))
    bundles = [bundle]
    if draw(st.integers(0, 3)) == 0:
        bundles.append(draw(dense(draw(st.sampled_from(sorted(sources))))))
    activation = draw(st.sampled_from(["", *ACTIVATIONS]))
    shape = draw(views(shape))
    return f"hidden {name} {numbers(shape)} {activation} {{ {' '.join(bundles)} }}", shape


@st.composite
def programs(draw) -> str:
    """A whole program: one or two inputs, one to three hidden layers, an output."""
    sources, lines = {}, []
    for number in range(draw(st.sampled_from([1, 1, 2]))):
        shape = draw(st.sampled_from([(7,), (4, 6), (2, 5, 5), (3, 4, 6), (2, 3, 3, 4), (12,), (1, 7, 7)]))
        sources[f"I{number}"] = shape
        lines.append(f"input I{number} {numbers(shape)};")
    for number in range(draw(st.integers(1, 3))):
        text, shape = draw(layers(f"H{number}", sources))
        if prod(shape) > 150:
            continue
        sources[f"H{number}"] = shape
        lines.append(text)
    last = list(sources)[-1]
    activation = draw(st.sampled_from(ACTIVATIONS))
    lines.append(f"output Out [{draw(st.integers(1, 4))}] {activation} from {last} all;")
    return "\n".join(lines)


EXAMPLES = settings(
    max_examples=120, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck)
)


def random_module(text: str, seed: int):
    network = load_topology(text)
    rng = np.random.default_rng(seed)
    arrays = {spec.key: rng.normal(size=spec.shape) / np.sqrt(1 + spec.fan_in) for spec in network.parameters}
    module = NetworkModule(network).double()
    with torch.no_grad():
        for key, parameter in module.arrays.items():
            parameter.copy_(torch.from_numpy(arrays[key]))
    return network, arrays, module, rng.normal(size=(2, network.input_nodes))


@given(text=programs(), seed=st.integers(0, 999), activated=st.booleans())
@EXAMPLES
def test_compiled_values_equal_the_reference(text, seed, activated):
    network, arrays, module, x = random_module(text, seed)
    module.activated = activated
    expected = evaluate_reference(network, arrays, x, activated=activated)
    with torch.no_grad():
        got = module(torch.from_numpy(x)).numpy()
    np.testing.assert_allclose(got, expected, rtol=1e-10, atol=1e-10)


@given(text=programs(), seed=st.integers(0, 999))
@EXAMPLES
def test_gradients_equal_finite_differences_of_the_reference(text, seed):
    if " sqrt " in text:
        return  # its slope at 0 is infinite: tested by itself
    network, arrays, module, x = random_module(text, seed)
    inputs = torch.from_numpy(x).requires_grad_()
    rng = np.random.default_rng(seed + 1)
    pull = rng.normal(size=(len(x), network.output.nodes))
    (module(inputs) * torch.from_numpy(pull)).sum().backward()
    step = 1e-6
    towards = {key: rng.normal(size=value.shape) for key, value in arrays.items()}
    towards_x = rng.normal(size=x.shape)

    def loss(distance):
        moved = {key: arrays[key] + distance * towards[key] for key in arrays}
        return (evaluate_reference(network, moved, x + distance * towards_x, activated=False) * pull).sum()

    slope = (loss(step) - loss(-step)) / (2 * step)
    exact = 0.0 if inputs.grad is None else (inputs.grad.numpy() * towards_x).sum()
    for key, parameter in module.arrays.items():
        exact += 0.0 if parameter.grad is None else (parameter.grad.numpy() * towards[key]).sum()
    assert slope == pytest.approx(exact, rel=2e-4, abs=2e-5)


@given(text=programs(), seed=st.integers(0, 999), activated=st.booleans())
@EXAMPLES
def test_onnx_values_equal_the_reference(text, seed, activated):
    network, arrays, _, x = random_module(text, seed)
    model = export_onnx(network, arrays, activated=activated)
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    shape = network.inputs[0].shape if len(network.inputs) == 1 else (network.input_nodes,)
    (got,) = session.run(["y"], {"x": x.reshape(-1, *shape).astype(np.float32)})
    expected = evaluate_reference(network, arrays, x, activated=activated)
    np.testing.assert_allclose(got, expected, rtol=2e-4, atol=2e-4)


@given(text=programs())
@EXAMPLES
def test_printing_and_reading_random_programs_is_the_identity(text):
    tree = parse(text)
    assert parse(print_text(tree)) == tree
    assert check(parse(print_text(tree))) == check(tree)
