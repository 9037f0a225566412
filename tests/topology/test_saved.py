import numpy as np
import pytest

from galclass.errors import TopologyError
from galclass.topology.check import load_topology
from galclass.topology.parse import parse
from galclass.topology.print_text import print_text
from galclass.topology.reference import evaluate_reference
from galclass.topology.saved import resolved, with_weights
from galclass.topology.tree import Constant

EVERY_KIND = """
const { hid_biases = 3; Old = [1, 2]; }
input A [1, 6, 6];
hidden conv [2, 5, 5] rlinear from A convolve {
  InputShape = [1, 6, 6]; KernelShape = [1, 2, 2]; MapCount = 2; Weights = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10];
}
hidden own [5, 5] tanh from A convolve { InputShape = [6, 6]; KernelShape = [2, 2]; Sharing = [false, true]; }
hidden norm [2, 5, 5] from conv response norm { KernelShape = [1, 1, 1]; Alpha = 0.1; Beta = 0.75; }
hidden pool [2, 3, 3] from norm max pool { KernelShape = [1, 2, 2]; Stride = [1, 2, 2]; Padding = true; }
hidden hid [hid_biases] { Biases = [1, 1, 1]; from pool all; from own where (s, d) => s[0] == d; }
hidden H1 auto from hid all { Weights = [1, 2, 3, 4, 5, 6]; }
hidden H2 [2] sigmoid from hid all;
hidden C1 [2] from hid convolve { KernelShape = [2]; }
hidden C2 [2] from hid convolve { KernelShape = [2]; }
hidden mixed [2] { from H1 all; from hid convolve { KernelShape = [2]; } }
output Z auto { from H1 all; from H2 all; from C1 all; from C2 all; from mixed all; }
share { H1, H2 }
share { hid => C1, hid => C2 }
"""


def network_of(text):
    return load_topology(text, hidden_nodes=2, n_classes=4)


def drawn(network):
    generator = np.random.default_rng(3)
    scales = {spec.key: 10.0 ** generator.integers(-30, 3, spec.shape) for spec in network.parameters}
    return {key: (generator.normal(size=scale.shape) * scale).astype(np.float32) for key, scale in scales.items()}


@pytest.mark.parametrize(
    ("change", "what"),
    [
        (lambda arrays: arrays.pop("hid/bias"), "hid/bias: weights are missing"),
        (lambda arrays: arrays.update({"hid/bias": np.zeros(2)}), "hid/bias: weights have a wrong shape"),
        (lambda arrays: arrays.update({"hid/bias": np.array([1, np.nan, 1])}), "cannot express infinity or NaN"),
        (lambda arrays: arrays.update({"hid/bias": np.array([1, 1e39, 1])}), "cannot express infinity or NaN"),
    ],
)
@pytest.mark.filterwarnings("ignore:overflow")
def test_weights_that_do_not_fit_are_refused(change, what):
    network = network_of(EVERY_KIND)
    arrays = drawn(network)
    change(arrays)
    with pytest.raises(TopologyError, match=what):
        with_weights(parse(EVERY_KIND), network, arrays)


def test_weights_come_back_exactly_as_float32_from_every_kind_of_bundle():
    network = network_of(EVERY_KIND)
    arrays = drawn(network)
    arrays["Z/bias"][:] = [-0.0, 1e-45, -3.4028235e38, 16777217]
    text = print_text(with_weights(parse(EVERY_KIND), network, arrays))
    again = load_topology(text)  # needs no sizes: they are written out
    assert {layer.name: layer for layer in again.layers} == {layer.name: layer for layer in network.layers}
    assert {spec.key for spec in again.parameters} == set(arrays)
    for spec in again.parameters:
        read = np.array(spec.initial, dtype=np.float32).reshape(spec.shape)
        assert np.array_equal(read.view(np.uint32), arrays[spec.key].view(np.uint32)), spec.key


def test_the_written_network_gives_the_same_outputs():
    network = network_of(EVERY_KIND)
    generator = np.random.default_rng(4)
    arrays = {spec.key: generator.normal(size=spec.shape).astype(np.float32) for spec in network.parameters}
    again = load_topology(print_text(with_weights(parse(EVERY_KIND), network, arrays)))
    values = {spec.key: np.reshape(np.array(spec.initial), spec.shape) for spec in again.parameters}
    values = {key: value.astype(np.float32) for key, value in values.items()}
    x = generator.normal(size=(3, 36))
    expected = evaluate_reference(network, arrays, x)
    assert np.ptp(expected) > 0.1
    assert np.array_equal(evaluate_reference(again, values, x), expected)


SHARING = """
input A [6];
input B [6];
hidden C [5] from A convolve { KernelShape = [2]; }
hidden D [5] from B convolve { KernelShape = [2]; }
hidden E [5] tanh from A convolve { KernelShape = [2]; }
output Z [4] { from C all; from D all; from E all; }
"""


@pytest.mark.parametrize(
    "shares",
    [
        "share { C, D }",
        "share { A => C, B => D } share { 1 => C, 1 => D }",
        "share { 1 => C, 1 => D }",
        "share { C, D, E }",
        "share { A => C, B => D }",
        "share { A => C, A => E } share { 1 => C, 1 => D, 1 => E }",
        "",
    ],
)
def test_every_array_is_written_once(shares):
    network = network_of(SHARING + shares)
    arrays = drawn(network)
    program = with_weights(parse(SHARING + shares), network, arrays)
    numbers = sum(len(s.value.items) for s in program.statements if isinstance(s, Constant))
    assert numbers == network.weight_count
    again = load_topology(print_text(program))
    assert {spec.key for spec in again.parameters} == set(arrays)
    for spec in again.parameters:
        assert np.array_equal(np.array(spec.initial, np.float32).reshape(spec.shape), arrays[spec.key]), spec.key


def test_written_out_sizes_and_activations_need_no_options():
    text = print_text(resolved(parse(EVERY_KIND), network_of(EVERY_KIND)))
    assert load_topology(text, task="regression", hidden_nodes=9).by_name["H1"].shape == (2,)
    assert load_topology(text, task="regression").output.activation == "sigmoid"
