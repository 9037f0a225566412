"""Networks whose shapes and weight counts are known from outside."""

from math import prod

import numpy as np
import pytest
import torch

from galclass.topology.check import load_topology
from galclass.topology.compile import compile_network
from galclass.topology.named import named_topology
from galclass.topology.network import FilteredBundle
from galclass.topology.reference import evaluate_reference

DIGITS = """
input Image [29, 29];
hidden Conv1 [5, 13, 13] from Image convolve { KernelShape = [5, 5]; Stride = [2, 2]; MapCount = 5; }
hidden Conv2 [50, 5, 5] from Conv1 convolve {
  InputShape = [5, 13, 13]; KernelShape = [1, 5, 5]; Stride = [1, 2, 2]; Sharing = [false, true, true]; MapCount = 10;
}
hidden Hid3 [100] from Conv2 all;
output Digit [10] from Hid3 all;
"""
OLDER_GALAXIES = """
input pixels [3, 50, 50];
hidden conv1 [64, 24, 24] rlinear from pixels convolve {
  InputShape = [3, 50, 50]; KernelShape = [3, 5, 5]; Stride = [1, 2, 2]; LowerPad = [0, 1, 1]; MapCount = 64;
}
hidden rnorm1 [64, 12, 12] from conv1 response norm {
  InputShape = [64, 24, 24]; KernelShape = [1, 3, 3]; Stride = [1, 2, 2]; LowerPad = [0, 1, 1];
  Alpha = 0.0001; Beta = 0.75;
}
hidden pool1 [64, 6, 6] from rnorm1 max pool { InputShape = [64, 12, 12]; KernelShape = [1, 2, 2]; Stride = [1, 2, 2]; }
hidden hid1 [256] rlinear from pool1 all;
hidden hid2 [256] rlinear from hid1 all;
output Class [13] softmax from hid2 all;
"""
BUILDER_EXAMPLE = """
input pixels [3, 50, 50];
hidden conv1 [48, 24, 24] rlinear from pixels convolve {
  InputShape = [3, 50, 50]; KernelShape = [3, 5, 5]; Stride = [1, 2, 2]; LowerPad = [0, 1, 1]; MapCount = 48;
}
hidden rnorm1 [48, 11, 11] from conv1 response norm {
  InputShape = [48, 24, 24]; KernelShape = [1, 4, 4]; Stride = [1, 2, 2]; Alpha = 0.0001; Beta = 0.75;
}
hidden pool1 [48, 9, 9] from rnorm1 max pool { InputShape = [48, 11, 11]; KernelShape = [1, 3, 3]; }
hidden hid1 [256] rlinear from pool1 all;
hidden hid2 [256] rlinear from hid1 all;
output Class [6] softmax from hid2 all;
"""
FILTERED = """
input Pixels [10, 20];
hidden ByRow [10, 12] from Pixels where (s, d) => s[0] == d[0];
hidden ByCol [5, 20] from Pixels where (s, d) => abs(s[1] - d[1]) <= 1;
output Result [2] { from ByRow all; from ByCol all; }
"""
POOLED = """
input C1 [5, 24, 24];
hidden P1 [5, 12, 12] from C1 max pool { InputShape = [5, 24, 24]; KernelShape = [1, 2, 2]; Stride = [1, 2, 2]; }
hidden RN1 [5, 10, 10] from P1 response norm {
  InputShape = [5, 12, 12]; KernelShape = [1, 3, 3]; Alpha = 0.001; Beta = 0.75;
}
hidden RN2 [5, 12, 12] from P1 response norm {
  InputShape = [5, 12, 12]; KernelShape = [1, 3, 3]; Padding = [false, true, true]; Alpha = 0.001; Beta = 0.75;
}
output Out [2] { from RN1 all; from RN2 all; }
"""
VECTORS = {
    "original": (
        "original",
        [(64, 23, 23), (64, 23, 23), (64, 12, 12), (128, 5, 5), (128, 5, 5), (128, 3, 3), (128,), (128,), (13,)],
        [6976, 0, 0, 3328, 0, 0, 147584, 16512, 1677],
        176077,
    ),
    "digits": (DIGITS, [(5, 13, 13), (50, 5, 5), (100,), (10,)], [130, 1300, 125100, 1010], 127540),
    "older galaxies": (
        OLDER_GALAXIES,
        [(64, 24, 24), (64, 12, 12), (64, 6, 6), (256,), (256,), (13,)],
        [4864, 0, 0, 590080, 65792, 3341],
        664077,
    ),
    "builder example": (
        BUILDER_EXAMPLE,
        [(48, 24, 24), (48, 11, 11), (48, 9, 9), (256,), (256,), (6,)],
        [3648, 0, 0, 995584, 65792, 1542],
        1066566,
    ),
    "filtered": (FILTERED, [(10, 12), (5, 20), (2,)], [2400 + 120, 2900 + 100, 2 * 220 + 2], 5962),
    "pooled": (POOLED, [(5, 12, 12), (5, 10, 10), (5, 12, 12), (2,)], [0, 0, 0, 2 * 1220 + 2], 2442),
}


@pytest.mark.parametrize("name", VECTORS)
def test_shapes_and_weights_are_the_known_ones(name):
    text, shapes, weights, total = VECTORS[name]
    network = load_topology(text)
    layers = [layer for layer in network.layers if layer.kind != "input"]
    assert [layer.shape for layer in layers] == shapes
    assert [network.own_weight_count(layer) for layer in layers] == weights
    assert network.weight_count == total


@pytest.mark.parametrize("name", VECTORS)
def test_the_compiled_module_trains_exactly_the_known_weights(name):
    text, _, _, total = VECTORS[name]
    module = compile_network(load_topology(text))
    assert sum(parameter.numel() for parameter in module.parameters()) == total


@pytest.mark.parametrize("name", ["digits", "filtered", "pooled"])
def test_the_compiled_module_gives_the_reference_values(name):
    network = load_topology(VECTORS[name][0])
    module = compile_network(network, activated=True, generator=torch.Generator().manual_seed(3)).double()
    x = np.random.default_rng(5).normal(size=(2, network.input_nodes))
    arrays = {key: array.detach().numpy() for key, array in module.arrays.items()}
    with torch.no_grad():
        got = module(torch.from_numpy(x)).numpy()
    np.testing.assert_allclose(got, evaluate_reference(network, arrays, x), rtol=1e-10, atol=1e-10)


SMALL_ORIGINAL = (
    (named_topology("original"))
    .replace("3, 50, 50", "3, 22, 22")
    .replace("64, 23, 23", "4, 9, 9")
    .replace("64, 12, 12", "4, 5, 5")
    .replace("128, 5, 5", "8, 2, 2")
    .replace("128, 3, 3", "8, 1, 1")
    .replace("[1, 5, 5]", "[1, 3, 3]")
    .replace("MapCount = 64", "MapCount = 4")
)


@pytest.mark.parametrize("brightness", [1, 255])  # within and beyond the range where the response norm grows
def test_the_original_in_small_gives_the_reference_values(brightness):
    network = load_topology(SMALL_ORIGINAL)
    module = compile_network(network, init_wts_diameter=None, generator=torch.Generator().manual_seed(3)).double()
    x = np.random.default_rng(5).uniform(0, brightness, size=(2, network.input_nodes))
    arrays = {key: array.detach().numpy() for key, array in module.arrays.items()}
    with torch.no_grad():
        got = module(torch.from_numpy(x)).numpy()
    expected = evaluate_reference(network, arrays, x, activated=False)
    np.testing.assert_allclose(got, expected, rtol=1e-10, atol=1e-10)


def test_filtered_edges_are_counted_by_the_predicate():
    by_name = load_topology(FILTERED).by_name
    by_row, by_col = (by_name[name].bundles[0] for name in ("ByRow", "ByCol"))
    assert isinstance(by_row, FilteredBundle)
    assert isinstance(by_col, FilteredBundle)
    assert len(by_row.edges) == 10 * 20 * 12
    assert len(by_col.edges) == 5 * 10 * (20 * 3 - 2)


def test_multiply_adds_of_the_original_are_counted_by_hand():
    network = load_topology("original")
    convolutions = 64 * 23 * 23 * 108 + 128 * 5 * 5 * 25
    assert network.multiply_adds == convolutions + 1152 * 128 + 128 * 128 + 128 * 13
    assert network.input_nodes == prod((3, 50, 50))
