"""Small networks worked by hand: one for every convention that the public guide leaves open, and for the rest too.

Each is computed three ways: by the reference, by the compiled module and by its ONNX export.
"""

import numpy as np
import onnxruntime
import pytest
import torch

from galclass.topology.check import load_topology
from galclass.topology.compile import NetworkModule, initialise
from galclass.topology.export_onnx import export_onnx
from galclass.topology.reference import evaluate_reference


def assert_gives(text, x, expected, arrays=None, task="regression"):
    """Check the network's output for one example; weights neither given in the text nor in `arrays` are 0."""
    network = load_topology(text, task=task)
    module = NetworkModule(network, activated=True).double()
    initialise(module, 0.0)
    with torch.no_grad():
        for key, value in (arrays or {}).items():
            module.arrays[key].copy_(torch.tensor(value, dtype=torch.float64).view(module.arrays[key].shape))
    values = {key: array.detach().numpy() for key, array in module.arrays.items()}
    x = np.asarray([x], dtype=np.float64)
    np.testing.assert_allclose(evaluate_reference(network, values, x)[0], expected, rtol=1e-12)
    np.testing.assert_allclose(module(torch.from_numpy(x)).detach().numpy()[0], expected, rtol=1e-12)
    session = onnxruntime.InferenceSession(export_onnx(network, values), providers=["CPUExecutionProvider"])
    shape = (-1, *network.inputs[0].shape) if len(network.inputs) == 1 else (1, -1)
    (got,) = session.run(None, {"x": x.reshape(shape).astype(np.float32)})
    np.testing.assert_allclose(got[0], expected, rtol=1e-5)


def one_bundle(shape_in, shape_out, bundle):
    """A network whose output layer is one bundle from the input, linear."""
    return f"input A {shape_in}; output Z {shape_out} linear from A {bundle}"


def test_convolution_weights_are_row_major_with_the_bias_last():
    text = one_bundle("[2, 3]", "[1, 2]", "convolve { KernelShape = [2, 2]; Weights = [1, 2, 3, 4, 100]; }")
    # [0 1 2; 3 4 5]: 0*1 + 1*2 + 3*3 + 4*4 + 100 and one column on
    assert_gives(text, [0, 1, 2, 3, 4, 5], [127, 137])


def test_maps_come_before_unshared_positions_and_channel_is_map_times_positions_plus_position():
    text = one_bundle(
        "[3, 1]",
        "[6, 1]",
        "convolve { KernelShape = [1, 1]; Sharing = [false, true]; MapCount = 2;"
        " Weights = [1, 0,  10, 0,  100, 0,  2, 0,  20, 0,  200, 0]; }",
    )
    # kernels: map 0 at positions 0, 1, 2, then map 1 at positions 0, 1, 2
    assert_gives(text, [1, 2, 3], [1, 20, 300, 2, 40, 600])


def test_a_depthwise_convolution_keeps_that_channel_order_for_the_layer_that_follows():
    text = """
    input A [2, 2];
    hidden H [4, 1] linear from A convolve {
      KernelShape = [1, 2]; Sharing = [false, true]; MapCount = 2; Weights = [1, 1, 0,  1, -1, 0,  2, 2, 0,  2, -2, 0];
    }
    output Z [1] linear from H all;
    """
    # H = [1+2, 3-4, 2*(1+2), 2*(3-4)] = [3, -1, 6, -2]
    assert_gives(text, [1, 2, 3, 4], [3 * 1 - 1 * 10 + 6 * 100 - 2 * 1000], {"Z/0/weights": [1, 10, 100, 1000]})


def test_unshared_positions_are_row_major():
    weights = ", ".join(f"{w}, 0" for w in (1, 2, 3, 4))
    text = one_bundle(
        "[2, 2]", "[2, 2]", f"convolve {{ KernelShape = [1, 1]; Sharing = false; Weights = [{weights}]; }}"
    )
    assert_gives(text, [1, 10, 100, 1000], [1, 20, 300, 4000])


def test_an_unshared_kernel_wider_than_a_node_has_its_own_weights_at_each_position():
    text = one_bundle("[3]", "[2]", "convolve { KernelShape = [2]; Sharing = [false]; Weights = [1, 2, 5,  3, 4, 6]; }")
    assert_gives(text, [1, 10, 100], [1 + 20 + 5, 30 + 400 + 6])


def test_map_counts_along_a_later_dimension_multiply_that_dimension():
    text = one_bundle(
        "[2, 1]", "[2, 2]", "convolve { KernelShape = [1, 1]; MapCount = [1, 2]; Weights = [1, 0, 10, 0]; }"
    )
    assert_gives(text, [3, 5], [3, 30, 5, 50])


def test_maps_of_two_dimensions_are_ordered_row_major():
    text = one_bundle(
        "[1, 1]", "[2, 2]", "convolve { KernelShape = [1, 1]; MapCount = [2, 2]; Weights = [1, 0, 2, 0, 3, 0, 4, 0]; }"
    )
    assert_gives(text, [1], [1, 2, 3, 4])


def test_an_odd_remainder_leaves_its_extra_node_at_the_upper_end():
    # I 6, K 2, S 2 with K 3 S 3 on 5: remainders 0 and 2; K 2 S 2 on 5: remainder 1 stays at the top
    one = "convolve { KernelShape = [2]; Stride = [2]; Weights = [1, 1, 0]; }"
    assert_gives(one_bundle("[5]", "[2]", one), [1, 10, 100, 1000, 10000], [11, 1100])
    two = "convolve { KernelShape = [3]; Stride = [3]; Weights = [1, 1, 1, 0]; }"
    assert_gives(one_bundle("[5]", "[1]", two), [1, 10, 100, 1000, 10000], [1110])
    three = "convolve { KernelShape = [4]; Stride = [4]; Weights = [1, 1, 1, 1, 0]; }"
    assert_gives(one_bundle("[7]", "[1]", three), [1, 10, 100, 1000, 10000, 100000, 1000000], [11110])


def test_a_lower_pad_puts_the_first_kernel_at_minus_pad_and_leaves_the_remainder_at_the_top():
    bundle = "convolve { KernelShape = [3]; Stride = [2]; LowerPad = [1]; Weights = [1, 2, 3, 0]; }"
    # positions -1 and 1: 2*1 + 3*10, 10 + 2*100 + 3*1000
    assert_gives(one_bundle("[5]", "[2]", bundle), [1, 10, 100, 1000, 10000], [32, 3210])


def test_a_pad_of_zero_given_is_not_a_centred_remainder():
    bundle = "convolve { KernelShape = [3]; Stride = [3]; LowerPad = [0]; Weights = [1, 1, 1, 0]; }"
    assert_gives(one_bundle("[5]", "[1]", bundle), [1, 10, 100, 1000, 10000], [111])


def test_an_upper_pad_adds_positions_at_the_top():
    bundle = "convolve { KernelShape = [2]; UpperPad = [1]; Weights = [1, 2, 0]; }"
    assert_gives(one_bundle("[3]", "[3]", bundle), [1, 10, 100], [21, 210, 100])


def test_padding_centres_an_even_kernel_on_its_lower_middle_node():
    bundle = "convolve { KernelShape = [4]; Padding = true; Weights = [1, 2, 3, 4, 0]; }"
    # the central node of 4 is number 1: one zero below, two above
    expected = [2 + 30 + 400, 1 + 20 + 300 + 4000, 10 + 200 + 3000, 100 + 2000]
    assert_gives(one_bundle("[4]", "[4]", bundle), [1, 10, 100, 1000], expected)


def test_padding_places_kernels_on_every_stride_th_node():
    bundle = "convolve { KernelShape = [3]; Stride = [2]; Padding = [true]; Weights = [1, 2, 3, 0]; }"
    assert_gives(one_bundle("[4]", "[2]", bundle), [1, 10, 100, 1000], [2 + 30, 10 + 200 + 3000])


def test_max_pools_ignore_padded_cells():
    bundle = "max pool { KernelShape = [3]; Padding = true; }"
    assert_gives(one_bundle("[3]", "[3]", bundle), [-5, -7, -3], [-5, -3, -3])


def test_mean_pools_divide_by_the_number_of_real_cells():
    bundle = "mean pool { KernelShape = [3]; Padding = true; }"
    assert_gives(one_bundle("[3]", "[3]", bundle), [3, 6, 9], [4.5, 6, 7.5])


@pytest.mark.parametrize(("full", "ends"), [("true", 3), ("false", 2)])
def test_response_norm_averages_over_the_full_kernel_or_over_its_real_nodes(full, ends):
    bundle = (
        "response norm { KernelShape = [3]; Padding = true; Alpha = 2; Beta = 0.75; Offset = 1.5;"
        f" AvgOverFullKernel = {full}; }}"
    )
    expected = [
        1 * (1.5 + 2 / ends * (1 + 4)) ** -0.75,
        2 * (1.5 + 2 / 3 * (1 + 4 + 16)) ** -0.75,
        4 * (1.5 + 2 / ends * (4 + 16)) ** -0.75,
    ]
    assert_gives(one_bundle("[3]", "[3]", bundle), [1, 2, 4], expected)


def test_response_norm_of_an_even_kernel_norms_its_lower_middle_node():
    bundle = "response norm { KernelShape = [4]; Alpha = 4; Beta = 1; Offset = 1; }"
    # node 1 of 4 is the centre
    assert_gives(one_bundle("[5]", "[2]", bundle), [1, 2, 3, 4, 5], [2 / (1 + 30), 3 / (1 + 54)])


def test_response_norm_across_maps_and_of_single_nodes():
    across = "response norm { KernelShape = [3, 1]; Padding = [true, false]; Alpha = 3; Beta = 0.5; Offset = 1; }"
    expected = [1 / 6**0.5, 2 / 15**0.5, 3 / 14**0.5]
    assert_gives(one_bundle("[3, 1]", "[3, 1]", across), [1, 2, 3], expected)
    single = "response norm { KernelShape = [1]; Alpha = 0.0001; Beta = 0.75; }"
    assert_gives(one_bundle("[2]", "[2]", single), [-100, 300], [-100 / 2**0.75, 300 / 10**0.75])


def test_full_weights_are_destination_major():
    arrays = {"Z/0/weights": [1, 2, 3, 4, 5, 6], "Z/bias": [100, 200]}
    assert_gives("input A [3]; output Z [2] linear from A all;", [1, 10, 100], [421, 854], arrays)


def test_filtered_weights_are_grouped_by_destination_in_source_order():
    text = one_bundle("[3]", "[2]", "where (s, d) => s[0] != d[0] { Weights = [1, 2, 3, 4]; }")
    # edges: 0 <- 1, 0 <- 2, 1 <- 0, 1 <- 2
    assert_gives(text, [1, 10, 100], [10 + 200 + 7, 3 + 400 + 8], {"Z/bias": [7, 8]})


def test_integer_division_and_remainder_truncate_toward_zero():
    text = one_bundle("[5]", "[1]", "where (s, d) => (s[0] - 3) / 2 == 0 && (s[0] - 3) % 2 != 1 { Weights = [1, 1]; }")
    # (s-3)/2 is -1, -1, 0, 0, 0 and (s-3)%2 is -1, 0, -1, 0, 1: nodes 2 and 3
    assert_gives(text, [1, 10, 100, 1000, 10000], [1100])


def test_bundles_are_summed_before_the_activation_with_one_bias_a_node():
    text = """
    input A [2]; input B [1];
    output Z [2] rlinear { from A convolve { KernelShape = [1]; Weights = [2, 5]; } from B all; }
    """
    # the kernel's bias 5 is where each node's bias starts
    assert_gives(text, [1, -9, 3], [2 * 1 + 5 + 30, 0], {"Z/1/weights": [10, 2]})
    network = load_topology(text)
    assert {spec.key: spec.size for spec in network.parameters} == {"Z/0/weights": 1, "Z/1/weights": 2, "Z/bias": 2}


def test_several_inputs_take_the_features_in_the_order_of_declaration():
    text = "input A [2]; output Z [1] linear { from B all; from A all; } input B [1];"
    assert_gives(text, [1, 2, 3], [10 * 3 + 100 + 2000], {"Z/0/weights": [10], "Z/1/weights": [100, 1000]})


@pytest.mark.parametrize(
    ("activation", "expected"),
    [
        ("sigmoid", [1 / (1 + np.exp(2)), 0.5, 1 / (1 + np.exp(-0.25))]),
        ("linear", [-2, 0, 0.25]),
        ("softmax", np.exp([-2, 0, 0.25]) / np.exp([-2, 0, 0.25]).sum()),
        ("rlinear", [0, 0, 0.25]),
        ("square", [4, 0, 0.0625]),
        ("sqrt", [0, 0, 0.5]),
        ("srlinear", np.log1p(np.exp([-2, 0, 0.25]))),
        ("abs", [2, 0, 0.25]),
        ("tanh", np.tanh([-2, 0, 0.25])),
        ("brlinear", [0, 0, 0.25]),
    ],
)
def test_activations(activation, expected):
    text = f"input A [3]; output Z [3] {activation} from A where (s, d) => s == d {{ Weights = [1, 1, 1]; }}"
    assert_gives(text, [-2, 0, 0.25], expected)


def test_brlinear_is_bounded_by_one():
    assert_gives("input A [1]; output Z [1] brlinear from A all;", [3], [1], {"Z/0/weights": [1]})


def test_layers_with_weights_default_to_sigmoid_in_classification_and_to_linear_in_regression():
    text = "input A [1]; output Z [1] from A all;"
    assert_gives(text, [2], [1 / (1 + np.exp(-2))], {"Z/0/weights": [1]}, task="multi_class")
    assert_gives(text, [2], [2], {"Z/0/weights": [1]}, task="regression")


def test_layers_of_pools_and_norms_default_to_linear():
    text = "input A [2]; output Z [1] from A mean pool { KernelShape = [2]; }"
    assert_gives(text, [-10, 4], [-3], task="multi_class")
