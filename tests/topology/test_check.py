import pytest

from galclass.errors import TopologyError
from galclass.topology.check import check, load_topology
from galclass.topology.named import TORCH_MODULES
from galclass.topology.parse import parse


def fault(text, **options):
    with pytest.raises(TopologyError) as caught:
        check(parse(text), **options)
    return caught.value


CONV = "input A [4, 4]; output Z [9] from A convolve { %s }"
FAULTS = {
    "no output": ("input A [2];", 1, "there is no output layer"),
    "no input": ("output Z [2] from Z all;", 1, "there is no input layer"),
    "two outputs": (
        "input A [2];\noutput Y [1] from A all;\noutput Z [1] from A all;",
        3,
        "exactly one output layer (got 'Z' too)",
    ),
    "twice the layer": ("input A [2];\ninput A [3]; output Z [1] from A all;", 2, "layer 'A' is declared twice"),
    "twice the constant": ("const X = 1;\nconst X = 2; input A [2]; output Z [1] from A all;", 2, "constant 'X'"),
    "unknown layer": (
        "input pixels [2];\noutput Z [1] from pixel all;",
        2,
        "unknown layer 'pixel' (expected one of pixels, Z). Perhaps 'pixels' is meant",
    ),
    "own source": ("input A [2];\nhidden H [2] from H all; output Z [1] from A all;", 2, "cannot be its own source"),
    "output as source": (
        "input A [2]; output Z [1] from A all;\nhidden H [2] from Z all;",
        2,
        "'Z' cannot be a source",
    ),
    "cycle": (
        "input A [2];\nhidden H [2] { from A all; from J all; }\nhidden I [2] from H all; hidden J [2] from I all;"
        "output Z [1] from J all;",
        2,
        "cycle: H -> I -> J -> H",
    ),
    "shape of zero": ("input A [0]; output Z [1] from A all;", 1, "wrong shape (expected positive integers, got [0])"),
    "shape of reals": ("input A [2.0]; output Z [1] from A all;", 1, "wrong shape"),
    "empty shape": ("input A []; output Z [1] from A all;", 1, "wrong shape"),
    "unknown activation": (
        "input A [2]; output Z [1] relu from A all;",
        1,
        "unknown activation 'relu' (expected one of",
    ),
    "unknown constant": ("input A [N]; output Z [1] from A all;", 1, "unknown constant 'N'"),
    "circular constant": (
        "const N = M + 1; const M = N; input A [N]; output Z [1] from A all;",
        1,
        "depends on itself",
    ),
    "division by zero": ("const N = 1 / 0; input A [N]; output Z [1] from A all;", 1, "division by zero"),
    "truth in arithmetic": (
        "const N = true + 1; input A [N]; output Z [1] from A all;",
        1,
        "a number, got a truth value",
    ),
    "missing attribute": (CONV % "Stride = [1, 1];", 1, "attribute KernelShape is missing"),
    "missing beta": (
        "input A [2]; output Z [2] from A response norm { KernelShape = [1]; Alpha = 1; }",
        1,
        "attribute Beta is missing",
    ),
    "unknown attribute": (CONV % "KernalShape = [2, 2];", 1, "Perhaps 'KernelShape' is meant"),
    "attribute of another kind": (
        "input A [2]; output Z [2] from A max pool { KernelShape = [1]; MapCount = 2; }",
        1,
        "a 'max pool' bundle has no attribute 'MapCount'",
    ),
    "attribute twice": (CONV % "KernelShape = [2, 2]; kernelshape = [2, 2];", 1, "KernelShape is given twice"),
    "wrong arity": (CONV % "KernelShape = [2, 2, 2];", 1, "expected 2 components, as InputShape has, got 3"),
    "no tuple": (CONV % "KernelShape = 2;", 1, "a tuple of positive integers, got 2"),
    "wrong sharing": (CONV % "KernelShape = [2, 2]; Sharing = [true, 1];", 1, "Sharing has a wrong value"),
    "stride over kernel": (
        CONV % "KernelShape = [2, 2]; Stride = [1, 3];",
        1,
        "Stride[1] is larger than KernelShape[1]",
    ),
    "kernel over input": (CONV % "KernelShape = [5, 2];", 1, "expected at most 4, got 5"),
    "input shape": (CONV % "InputShape = [3, 5]; KernelShape = [2, 2];", 1, "16 nodes ([4, 4]), got 15 nodes ([3, 5])"),
    "lower pad": (CONV % "KernelShape = [2, 2]; LowerPad = [0, 1];", 1, "LowerPad[1] must be less than half"),
    "upper pad": (CONV % "KernelShape = [3, 3]; UpperPad = [0, 2];", 1, "UpperPad[1] must be at most half"),
    "padding and pads": (
        CONV % "KernelShape = [3, 3]; Padding = true; LowerPad = [1, 1];",
        1,
        "Padding excludes LowerPad and UpperPad",
    ),
    "shape mismatch": (
        CONV % "KernelShape = [3, 3];",
        1,
        "expected 4 nodes ([2, 2], from the geometry), got 9 nodes ([9]",
    ),
    "number of weights": (
        CONV % "KernelShape = [2, 2]; Weights = [1, 2, 3, 4];",
        1,
        "expected 1 kernels of 1 + 4 weights = 5, got 4",
    ),
    "number of edge weights": (
        "input A [2]; output Z [2] from A where (s, d) => s == d { Weights = [1]; }",
        1,
        "one for each of 2 edges, got 1",
    ),
    "no edges": ("input A [2]; output Z [2] from A where (s, d) => s[0] > 5;", 1, "connects no node of 'A'"),
    "too many pairs": (
        "input A [40000]; output Z [40000] from A where (s, d) => s == d;",
        1,
        "evaluated for 1,600,000,000 pairs of nodes",
    ),
    "no truth": ("input A [2]; output Z [2] from A where (s, d) => s[0] + 1;", 1, "not a truth value"),
    "index outside": ("input A [2]; output Z [2] from A where (s, d) => s[1] == 0;", 1, "expected 0..0, got 1"),
    "same index names": ("input A [2]; output Z [2] from A where (s, s) => s[0] == 0;", 1, "both index tuples"),
    "zero in a predicate": (
        "input A [2]; output Z [2] from A where (s, d) => s[0] / d[0] == 0;",
        1,
        "division by zero",
    ),
    "unknown function": ("input A [2]; output Z [2] from A where (s, d) => max(s[0]) == 0;", 1, "expected abs(x)"),
    "negative alpha": (
        "input A [2]; output Z [2] from A response norm { KernelShape = [1]; Alpha = -1; Beta = 1; }",
        1,
        "Alpha must not be negative",
    ),
    "zero offset": (
        "input A [2]; output Z [2] from A response norm { KernelShape = [1]; Alpha = 1; Beta = 1; Offset = 0; }",
        1,
        "Offset must be positive",
    ),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_says_what_and_where(name):
    text, line, message = FAULTS[name]
    error = fault(text)
    assert message in str(error)
    assert error.line == line
    assert str(error).splitlines()[-1].strip() == "^"


def test_the_caret_points_at_the_attribute_that_is_wrong():
    text = "input A [4];\noutput Z [2] from A convolve {\n  KernelShape = [2];\n  Stride = [3];\n}"
    error = fault(text)
    assert (error.line, error.column) == (4, 3)


def test_all_faults_are_told_at_once_in_the_order_of_the_text():
    text = """input A [4, 4];
    hidden H [9] from A convolve { KernelShape = [3, 3]; }
    hidden I [9] relu from A max pool { Stride = [1, 1]; }
    output Z [1] { from H all; from I all; }"""
    error = fault(text)
    told = str(error)
    assert told.index("from the geometry") < told.index("unknown activation") < told.index("KernelShape is missing")
    assert (error.line, error.column) == (2, 18)


def test_a_division_by_zero_behind_a_guard_is_never_computed():
    text = "input A [4]; output Z [2] from A where (s, d) => d[0] != 0 && s[0] / d[0] >= 2;"
    network = check(parse(text))
    assert network.output.bundles[0].edges.tolist() == [[1, 2], [1, 3]]


def test_constants_may_be_declared_after_their_use_and_hold_every_kind_of_value():
    text = """
    input A [N * 2, M]; const { N = M + 1; M = 7 / 2; } const K = [M, M]; const S = true;
    output Z [N * 2 - M + 1, 1] from A convolve { KernelShape = K; Sharing = S; MapCount = 1; }
    """
    network = check(parse(text))
    assert network.inputs[0].shape == (8, 3)
    assert network.output.shape == (6, 1)


def test_auto_sizes_come_from_the_options():
    program = parse("input A auto; hidden H auto from A all; output Z auto from H all;")
    sizes = {}
    for task in ("multi_class", "binary", "regression"):
        n_classes = 13 if task == "multi_class" else None
        network = check(program, input_nodes=37, hidden_nodes=50, task=task, n_classes=n_classes)
        sizes[task] = [layer.nodes for layer in network.layers]
    assert sizes == {"multi_class": [37, 50, 13], "binary": [37, 50, 2], "regression": [37, 50, 1]}
    assert check(program, input_nodes=37, n_classes=3).by_name["H"].nodes == 100


def test_one_auto_input_takes_the_features_that_the_others_leave():
    network = check(parse("input A [30]; input B auto; output Z [1] { from A all; from B all; }"), input_nodes=37)
    assert [layer.nodes for layer in network.inputs] == [30, 7]


@pytest.mark.parametrize(
    ("text", "options", "message"),
    [
        ("input A auto; output Z [1] from A all;", {}, "size of an auto input is not known"),
        ("input A auto; input B auto; output Z [1] from A all;", {"input_nodes": 5}, "leave only one input auto"),
        ("input A [9]; input B auto; output Z [1] from A all;", {"input_nodes": 9}, "no features are left"),
        ("input A [2]; output Z auto from A all;", {}, "size of an auto output is not known"),
        ("input A [2]; output Z [3] from A all;", {"n_classes": 4}, "expected 4 nodes, got 3 nodes"),
        ("input A [2]; output Z [3] from A all;", {"input_nodes": 7500}, "expected 7500 nodes, got 2 nodes"),
        ("input A [2]; output Z [3] from A all;", {"task": "ranking"}, "unknown task"),
    ],
)
def test_sizes_that_do_not_fit_the_options_are_faults(text, options, message):
    assert message in str(fault(text, **options))


def test_layers_are_put_in_an_order_in_which_sources_come_first():
    text = "output Z [1] from I all; hidden I [2] from H all; hidden H [2] from A all; input A [2];"
    assert [layer.name for layer in check(parse(text)).layers] == ["A", "H", "I", "Z"]


def test_a_topology_is_loaded_from_a_file_and_its_faults_name_the_file(tmp_path):
    good, bad = tmp_path / "good.net", tmp_path / "bad.net"
    good.write_text("input A [2]; output Z [1] from A all;")
    bad.write_text("input A [2]; output Z [1] from B all;")
    assert load_topology(good).weight_count == 3
    assert load_topology(str(good)).weight_count == 3
    with pytest.raises(TopologyError, match=r"bad\.net.*line 1.*unknown layer 'B'"):
        load_topology(bad)


def test_an_unknown_name_is_met_with_the_known_ones():
    with pytest.raises(TopologyError, match=r"no topology 'orignal' .*original.*[Pp]erhaps 'original' is meant"):
        load_topology("orignal")


def test_a_network_written_in_torch_is_told_from_net_sharp():
    with pytest.raises(TopologyError, match=r"^residual is a torch module, not Net# .*original"):
        load_topology("residual")
    torch_modules = pytest.importorskip("galclass.train.networks").RESIDUAL_SIZES
    assert tuple(torch_modules) == TORCH_MODULES


def test_a_file_that_is_no_text_is_refused(tmp_path):
    path = tmp_path / "binary.net"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(TopologyError, match="cannot be read as UTF-8"):
        load_topology(path)
