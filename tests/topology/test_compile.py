import copy

import numpy as np
import pytest
import torch

from galclass.errors import TopologyError
from galclass.topology.check import load_topology
from galclass.topology.compile import NetworkModule, compile_network
from galclass.topology.compile.fusion import PooledNorm, growth_limit
from galclass.topology.compile.pooling import ResponseNorm, inverse_power
from galclass.topology.network import ConvBundle
from galclass.topology.plan import conv_plan
from galclass.topology.reference import evaluate_reference

FUSED = """
input A [2, 6];
hidden C [2, 6] rlinear from A convolve { KernelShape = [1, 1]; Sharing = [false, true]; Weights = [1, 0, 1, 0]; }
hidden N [2, 6] from C response norm { KernelShape = [1, 1]; Alpha = 0.01; Beta = 0.75; }
hidden P [2, 3] from N max pool { KernelShape = [1, 2]; Stride = [1, 2]; }
output Z [6] linear from P where (s, d) => d[0] == s[0] * 3 + s[1] { Weights = [1, 1, 1, 1, 1, 1]; }
"""


def reference_of(module, x):
    arrays = {key: array.detach().numpy() for key, array in module.arrays.items()}
    return evaluate_reference(module.network, arrays, x, activated=module.activated)


def random_module(text, **options):
    module = compile_network(load_topology(text), init_wts_diameter=2.0, generator=torch.Generator().manual_seed(2))
    x = np.random.default_rng(4).normal(size=(3, module.network.input_nodes))
    return module.double(), x


def test_an_input_of_another_size_is_refused_with_both_sizes():
    module = compile_network(load_topology("original"))
    with pytest.raises(TopologyError, match=r"expected 7500 features per example, got \(2, 3, 49, 50\)"):
        module(torch.zeros(2, 3, 49, 50))


def test_flat_and_shaped_inputs_give_the_same():
    module = compile_network(load_topology("original"))
    x = torch.rand(2, 3, 50, 50)
    assert torch.equal(module(x), module(x.flatten(1)))


def test_logits_by_default_and_probabilities_when_activated():
    module = compile_network(load_topology("original"), init_wts_diameter=None)
    x = torch.rand(4, 3, 50, 50)
    logits = module(x)
    module.activated = True
    assert logits.shape == (4, 13)
    assert torch.allclose(module(x), torch.softmax(logits, dim=1))


def test_channels_last_gives_the_same_values():
    module = compile_network(load_topology("original"), init_wts_diameter=None)
    x = torch.rand(2, 3, 50, 50)
    expected = module(x)
    got = module.to(memory_format=torch.channels_last)(x.to(memory_format=torch.channels_last))
    assert torch.allclose(got, expected, atol=1e-5)


def test_a_state_read_back_gives_the_same_module_and_copies_keep_their_sharing():
    text = "input A [2]; hidden H [2] from A all; hidden G [2] from H all; output Z [1] from G all; share { H, G }"
    one, two = (compile_network(load_topology(text)) for _ in range(2))
    two.load_state_dict(one.state_dict())
    x = torch.rand(3, 2)
    assert torch.equal(one(x), two(x))
    assert len(list(copy.deepcopy(one).parameters())) == len(list(one.parameters())) == 4


def test_layers_that_do_not_reach_the_output_are_kept_but_not_computed():
    text = "input A [2]; hidden H [2] from A all; hidden Idle [5] from A all; output Z [1] from H all;"
    module = compile_network(load_topology(text))
    module(torch.rand(1, 2)).sum().backward()
    assert module.arrays["Idle/0/weights"].grad is None
    assert module.arrays["H/0/weights"].grad is not None
    assert sum(parameter.numel() for parameter in module.parameters()) == module.network.weight_count


def test_an_output_fed_by_the_input_alone_and_empty_batches_work():
    module = compile_network(load_topology("input A [2]; output Z [3] from A all;"))
    assert module(torch.zeros(0, 2)).shape == (0, 3)


PLANS = {
    "volume": ("[4, 5, 6]", "KernelShape = [2, 3, 3]; Stride = [1, 2, 1]; MapCount = [2, 1, 1];", True),
    "padded volume": ("[4, 5, 6]", "KernelShape = [2, 3, 3]; Padding = true; MapCount = [1, 2, 1];", True),
    "four shared dimensions": ("[3, 3, 4, 4]", "KernelShape = [2, 2, 2, 2]; MapCount = 2;", False),
    "one dimension of four in the batch": ("[3, 3, 4, 4]", "KernelShape = [1, 2, 2, 2]; MapCount = 2;", True),
    "channels and a volume": ("[3, 3, 4, 4]", "KernelShape = [3, 2, 2, 2]; Sharing = false;", False),
    "channels, groups, plane": (
        "[3, 2, 4, 4]",
        "KernelShape = [3, 1, 2, 2]; Sharing = [true, false, true, true];",
        True,
    ),
    "locally connected": ("[2, 5, 5]", "KernelShape = [2, 3, 3]; Sharing = [true, false, false];", False),
    "half shared": ("[2, 5, 5]", "KernelShape = [2, 3, 3]; Stride = [1, 2, 2]; Sharing = [true, false, true];", False),
    "wide upper pad": ("[2, 5, 5]", "KernelShape = [2, 4, 2]; UpperPad = [0, 2, 1];", True),
}


@pytest.mark.parametrize("name", PLANS)
def test_every_kind_of_convolution_equals_the_reference(name):
    shape, attributes, planned = PLANS[name]
    text = f"input A {shape}; output Z [%d] from A convolve {{ {attributes} }}"
    nodes = _nodes_of(text)
    module, x = random_module(text % nodes)
    bundle = module.network.output.bundles[0]
    assert isinstance(bundle, ConvBundle)
    assert (conv_plan(bundle) is not None) == planned
    np.testing.assert_allclose(module(torch.from_numpy(x)).detach().numpy(), reference_of(module, x), atol=1e-10)


def _nodes_of(text):
    with pytest.raises(TopologyError) as caught:
        load_topology(text % 1000003)
    return int(str(caught.value.expected).split()[0])


WINDOWS = [
    ("[3, 4, 4, 5]", "KernelShape = [2, 2, 2, 2]; Stride = [1, 2, 1, 2];"),
    ("[3, 4, 4, 5]", "KernelShape = [3, 3, 1, 3]; Padding = true;"),
    ("[6, 7]", "KernelShape = [3, 4]; UpperPad = [1, 2]; Stride = [2, 3];"),
    ("[9]", "KernelShape = [4]; Stride = [3]; LowerPad = [1];"),
    ("[5, 4, 4]", "KernelShape = [3, 1, 1];"),
    ("[7, 8]", "KernelShape = [4, 5]; Stride = [4, 5];"),
]


@pytest.mark.parametrize(("shape", "attributes"), WINDOWS)
@pytest.mark.parametrize("kind", ["max pool", "mean pool", "response norm"])
def test_windows_of_any_arity_equal_the_reference(shape, attributes, kind):
    extra = "Alpha = 0.7; Beta = 0.75; AvgOverFullKernel = false;" if kind == "response norm" else ""
    text = f"input A {shape}; output Z [%d] from A {kind} {{ {attributes} {extra} }}"
    module, x = random_module(text % _nodes_of(text))
    np.testing.assert_allclose(module(torch.from_numpy(x)).detach().numpy(), reference_of(module, x), atol=1e-10)


@pytest.mark.parametrize("beta", [0.75, 0.5, 1.0, 0.6])
def test_inverse_powers_by_roots_equal_the_general_power(beta):
    x = torch.linspace(1.0, 50.0, 40, dtype=torch.float64)
    assert torch.allclose(inverse_power(x, beta), x**-beta, rtol=1e-13)


def test_the_square_root_has_a_finite_gradient_at_and_below_zero():
    module = NetworkModule(load_topology("input A [3]; output Z [3] sqrt from A mean pool { KernelShape = [1]; }"))
    module.activated = True
    x = torch.tensor([[-1.0, 0.0, 4.0]], requires_grad=True)
    module(x).sum().backward()
    assert x.grad is not None
    assert x.grad.tolist() == [[0.0, 0.0, 0.25]]


@pytest.mark.parametrize("scale", [1.0, 100.0])  # below and beyond the range where the norm grows
def test_pooling_before_the_norm_gives_values_and_gradients_as_declared(scale):
    module = compile_network(load_topology(FUSED)).double()
    (step, _) = module.steps
    assert isinstance(step, PooledNorm)
    x = scale * np.random.default_rng(1).normal(size=(3, 12))
    assert (np.abs(x).max() > step.limit) == (scale > 1)
    inputs = torch.from_numpy(x).requires_grad_()
    got = module(inputs)
    np.testing.assert_allclose(got.detach().numpy(), reference_of(module, x), rtol=1e-12)
    (gradient,) = torch.autograd.grad(got.sum(), inputs)
    moved = np.zeros((3, 12))
    for node in np.ndindex(moved.shape):
        step_x = np.zeros_like(x)
        step_x[node] = 1e-6 * scale
        difference = reference_of(module, x + step_x).sum() - reference_of(module, x - step_x).sum()
        moved[node] = difference / (2e-6 * scale)
    np.testing.assert_allclose(gradient.numpy(), moved, atol=1e-6)


def test_the_norm_grows_up_to_the_limit_and_falls_beyond():
    text = (
        "input A [1]; output Z [1] from A response norm { KernelShape = [1]; Alpha = 0.01; Beta = 0.75; Offset = 2; }"
    )
    norm = ResponseNorm(load_topology(text).output.bundles[0])
    limit = growth_limit(norm)
    around = norm.of_nodes(torch.tensor([0.99 * limit, limit, 1.01 * limit], dtype=torch.float64))
    assert around[0] < around[1] > around[2]


@pytest.mark.parametrize(
    "change",
    [
        ("hidden C [2, 6] rlinear", "hidden C [2, 6] tanh"),
        ("max pool", "mean pool"),
        ("KernelShape = [1, 1]; Alpha", "KernelShape = [1, 3]; Padding = [false, true]; Alpha"),
        ("output Z [6] linear from P", "hidden Y [6] from N all; output Z [6] linear from P"),
    ],
)
def test_other_arrangements_are_left_as_declared(change):
    text = FUSED.replace(*change)
    if "Y [6]" in text:
        text = text.replace(
            "output Z [6] linear from P where", "output Z [6] linear { from Y all; from P where"
        ).rstrip()
        text += " }"
    module = compile_network(load_topology(text))
    assert not any(isinstance(step, PooledNorm) for step in module.steps)


@pytest.mark.slow
def test_torch_exports_the_module_with_a_free_number_of_examples():
    module = compile_network(load_topology("original"), init_wts_diameter=None).eval()
    shapes = {"x": {0: torch.export.Dim("n")}}
    exported = torch.export.export(module, (torch.zeros(2, 3, 50, 50),), dynamic_shapes=shapes).module()
    x = torch.rand(5, 3, 50, 50) * 255
    assert torch.allclose(exported(x), module(x), atol=1e-3)
