"""The number of weights of random definitions against one counted connection by connection."""

from __future__ import annotations

from itertools import product
from math import prod

from hypothesis import given, settings
from hypothesis import strategies as st

from galclass.topology.check import load_topology

CONDITIONS = {
    "s[0] == d[0]": lambda s, d: s[0] == d[0],
    "abs(s[0] - d[0]) <= 1": lambda s, d: abs(s[0] - d[0]) <= 1,
    "s[0] % 2 == d[0] % 2 || s[0] == 0": lambda s, d: s[0] % 2 == d[0] % 2 or s[0] == 0,
    "!(s[0] > d[0])": lambda s, d: not s[0] > d[0],
}


def numbers(values: object) -> str:
    return str(list(values)).lower()  # type: ignore[call-overload]


@st.composite
def convolved(draw: st.DrawFn) -> tuple[str, int]:
    """A definition with one convolution, and its weights as the set of (kernel, offset) and of kernels."""
    shape = draw(st.sampled_from([(9,), (4, 6), (2, 5, 5), (3, 4, 6)]))
    kernel = [draw(st.integers(1, min(size, 3))) for size in shape]
    stride = [draw(st.integers(1, size)) for size in kernel]
    padded = [draw(st.booleans()) for _ in shape]
    shared = [draw(st.booleans()) for _ in shape]
    maps = [draw(st.integers(1, 3)), *(draw(st.sampled_from([1, 1, 2])) for _ in shape[1:])]
    starts = [  # padded, every node may be a centre
        range(0, i if p else i - k + 1, s) for i, k, s, p in zip(shape, kernel, stride, padded, strict=True)
    ]
    weights, destination = set(), [len(one) * m for one, m in zip(starts, maps, strict=True)]
    for which in product(*(range(m) for m in maps)):
        for position in product(*starts):
            own = (which, tuple(None if one else at for one, at in zip(shared, position, strict=True)))
            weights.add((own, "bias"))
            weights |= {(own, offset) for offset in product(*(range(k) for k in kernel))}
    text = (
        f"input I {numbers(shape)};\nhidden H {numbers(destination)} from I convolve {{ InputShape = {numbers(shape)};"
        f" KernelShape = {numbers(kernel)}; Stride = {numbers(stride)}; Padding = {numbers(padded)};"
        f" Sharing = {numbers(shared)}; MapCount = {numbers(maps)}; }}\noutput O [2] from H all;"
    )
    return text, len(weights) + 2 * prod(destination) + 2


@st.composite
def filtered(draw: st.DrawFn) -> tuple[str, int]:
    source = draw(st.sampled_from([(5,), (3, 4), (2, 3, 2)]))
    destination = draw(st.sampled_from([(4,), (3, 2)]))
    condition = draw(st.sampled_from(sorted(CONDITIONS)))
    nodes = [list(product(*(range(size) for size in shape))) for shape in (source, destination)]
    pairs = {(s, d) for s in nodes[0] for d in nodes[1] if CONDITIONS[condition](s, d)}
    text = (
        f"input I {numbers(source)};\nhidden H {numbers(destination)} from I where (s, d) => {condition};\n"
        "output O [3] from H all;"
    )
    return text, len(pairs) + len(nodes[1]) + 3 * len(nodes[1]) + 3


@given(case=st.one_of(convolved(), filtered()))
@settings(max_examples=150, deadline=None, derandomize=True, database=None)
def test_the_number_of_weights_is_that_of_the_connections(case: tuple[str, int]) -> None:
    text, expected = case
    assert load_topology(text).weight_count == expected, text
