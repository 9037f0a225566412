import numpy as np
import pytest
import torch

from galclass.errors import TopologyError
from galclass.topology.check import load_topology
from galclass.topology.compile import NetworkModule, compile_network, initialise
from galclass.topology.reference import evaluate_reference

TWINS = """
input A [3]; input B [3]; input C [4];
hidden H1 [2] tanh from A all; hidden H2 [2] tanh from B all; hidden H3 [2] tanh from C all;
output Z [2] {{ from H1 all; from H2 all; from H3 all; }}
{shares}
"""
CONVOLUTIONS = """
input A [4, 4];
hidden H1 [2, 3, 3] from A convolve {{ InputShape = [1, 4, 4]; KernelShape = [1, 2, 2]; MapCount = 2; {one} }}
hidden H2 [2, 3, 3] from A convolve {{ InputShape = [1, 4, 4]; KernelShape = [1, 2, 2]; MapCount = 2; {two} }}
output Z [1] {{ from H1 all; from H2 all; }}
share {{ {share} }}
"""


def keys_of(text):
    return {layer.name: layer.keys for layer in load_topology(text).layers if layer.keys}


def test_without_a_share_every_layer_has_its_own_weights():
    network = load_topology(TWINS.format(shares=""))
    assert network.weight_count == 2 * (3 + 1) * 2 + 2 * (4 + 1) + 3 * 4 + 2


def test_shared_layers_share_weights_and_biases_and_are_counted_once():
    network = load_topology(TWINS.format(shares="share { H1, H2 }"))
    assert network.by_name["H2"].keys == ("H1/0/weights", "H1/bias")
    assert network.weight_count == 2 * (3 + 1) + 2 * (4 + 1) + 3 * 4 + 2
    assert network.own_weight_count(network.by_name["H2"]) == 0


def test_shared_bundles_share_weights_only():
    assert keys_of(TWINS.format(shares="share { A => H1, B => H2 }"))["H2"] == ("H1/0/weights", "H2/bias")


def test_shared_biases_are_biases_only():
    keys = keys_of(TWINS.format(shares="share { 1 => H1, 1 => H2, 1 => H3 }"))
    assert keys["H2"] == ("H2/0/weights", "H1/bias")
    assert keys["H3"] == ("H3/0/weights", "H1/bias")


def test_two_shares_can_join_into_one():
    keys = keys_of(TWINS.format(shares="share { 1 => H3, 1 => H2 } share { 1 => H1, 1 => H2 }"))
    assert {keys[name][1] for name in ("H1", "H2", "H3")} == {"H3/bias"} or {
        keys[name][1] for name in ("H1", "H2", "H3")
    } == {"H1/bias"}


def test_shared_weights_are_one_parameter_that_collects_both_gradients():
    network = load_topology(TWINS.format(shares="share { H1, H2 }"))
    module = compile_network(network, generator=torch.Generator().manual_seed(1)).double()
    x = torch.ones(1, 10, dtype=torch.float64)
    module(x).sum().backward()
    gradient = module.arrays["H1/0/weights"].grad
    arrays = {key: array.detach().numpy() for key, array in module.arrays.items()}
    moved = dict(arrays)
    moved["H1/0/weights"] = arrays["H1/0/weights"] + np.array([[1e-6, 0, 0], [0, 0, 0]])
    slope = (
        evaluate_reference(network, moved, x.numpy(), activated=False).sum()
        - evaluate_reference(network, arrays, x.numpy(), activated=False).sum()
    ) / 1e-6
    assert gradient[0, 0].item() == pytest.approx(slope, rel=1e-5)


@pytest.mark.parametrize(
    ("share", "message"),
    [
        (
            "H1, H3",
            "unequal geometry cannot be shared: 'A => H1' and 'C => H3' (expected 3 to 2 nodes, got 4 to 2 nodes",
        ),
        ("A => H1, C => H3", "unequal geometry cannot be shared: 'A => H1' and 'C => H3'"),
        ("1 => H1, 1 => Z, 1 => Nowhere", "unknown layer 'Nowhere'"),
        ("H1, A", "layer 'A' has no weights to share"),
        ("B => H1, B => H2", "no single trainable bundle from 'B' to 'H1'"),
        ("2 => H1, 2 => H2", "biases are shared as 1 => LAYER"),
        ("H1, 1 => H2", "a share mixes"),
        ("H1, Z", "different numbers of trainable bundles (expected 1, got 3)"),
    ],
)
def test_what_cannot_be_shared_is_a_fault(share, message):
    with pytest.raises(TopologyError) as caught:
        load_topology(TWINS.format(shares=f"share {{ {share} }}"))
    assert message in str(caught.value)
    assert caught.value.line == 5


def test_convolutions_of_unequal_geometry_are_named_with_both_geometries():
    text = CONVOLUTIONS.format(one="", two="Padding = [false, false, false];", share="H1, H2").replace(
        "hidden H2 [2, 3, 3]", "hidden H2 [2, 2, 2]"
    )
    text = text.replace("Padding = [false, false, false];", "Stride = [1, 2, 2];")
    with pytest.raises(TopologyError) as caught:
        load_topology(text)
    assert "'A => H1' and 'A => H2'" in str(caught.value)
    assert "2 kernels of 1x2x2 at 1x3x3 positions, got 2 kernels of 1x2x2 at 1x2x2 positions" in str(caught.value)


def test_biases_of_a_convolution_are_not_those_of_a_full_layer():
    text = "input A [2]; hidden H [2] from A convolve { KernelShape = [1]; MapCount = 1; }"
    text += "hidden G [2] from A all; output Z [1] { from H all; from G all; } share { 1 => H, 1 => G }"
    with pytest.raises(TopologyError, match="expected 1 biases, got 2 biases"):
        load_topology(text)


def test_given_weights_are_taken_over_by_the_layer_that_shares_them():
    given = "Weights = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10];"
    network = load_topology(CONVOLUTIONS.format(one="", two=given, share="H1, H2"))
    initial = {spec.key: spec.initial for spec in network.parameters}
    assert initial["H1/0/weights"] == (1, 2, 3, 4, 6, 7, 8, 9)
    assert initial["H1/bias"] == (5, 10)


def test_shared_layers_with_different_given_weights_are_a_fault():
    one, two = "Weights = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10];", "Weights = [1, 2, 3, 4, 5, 6, 7, 8, 9, 11];"
    with pytest.raises(TopologyError, match="different Weights"):
        load_topology(CONVOLUTIONS.format(one=one, two=two, share="H1, H2"))


def test_uniform_weights_fill_their_range_biases_too():
    module = compile_network(
        load_topology("original"), init_wts_diameter=0.1, generator=torch.Generator().manual_seed(0)
    )
    for array in module.arrays.values():
        assert array.abs().max() <= 0.05
    weights = module.arrays["hid1/0/weights"]
    assert weights.min() < -0.0499
    assert weights.max() > 0.0499
    assert weights.std().item() == pytest.approx(0.1 / 12**0.5, rel=0.01)
    assert module.arrays["hid1/bias"].std().item() == pytest.approx(0.1 / 12**0.5, rel=0.2)


def test_he_weights_have_the_variance_of_their_fan_in_and_biases_are_zero():
    module = compile_network(load_topology("original"), init_wts_diameter=None)
    assert module.arrays["conv1/0/weights"].std().item() == pytest.approx((2 / 108) ** 0.5, rel=0.05)
    assert module.arrays["hid1/0/weights"].std().item() == pytest.approx((2 / 1152) ** 0.5, rel=0.02)
    assert module.arrays["hid1/bias"].abs().max() == 0


def test_the_fan_in_of_a_layer_counts_all_its_bundles():
    network = load_topology("input A [3]; input B [5]; output Z [2] { from A all; from B where (s, d) => s[0] > 2; }")
    assert [spec.fan_in for spec in network.parameters] == [5, 5, 0]


def test_a_seed_gives_the_same_weights_and_given_weights_are_never_drawn():
    text = "input A [2]; hidden H [2] from A convolve { KernelShape = [1]; Weights = [3, 4]; } output Z [2] from H all;"
    one, two = (
        compile_network(load_topology(text), generator=torch.Generator().manual_seed(7)).state_dict() for _ in range(2)
    )
    assert all(torch.equal(one[key], two[key]) for key in one)
    module = NetworkModule(load_topology(text))
    initialise(module, None)
    assert module.arrays["H/0/weights"].tolist() == [[3]]
    assert module.arrays["H/bias"].tolist() == [4]
