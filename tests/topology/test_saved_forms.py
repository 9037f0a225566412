"""Net# as it was saved and typed: the forms that trained networks, logs and people wrote."""

import numpy as np
import pytest

from galclass.errors import TopologyError
from galclass.topology.check import load_topology
from galclass.topology.parse import parse
from galclass.topology.print_text import print_text

HASH = "'#' does not begin a comment"


def fault(text):
    with pytest.raises(TopologyError) as caught:
        load_topology(text)
    return caught.value


def initial(text):
    return {parameter.key: parameter.initial for parameter in load_topology(text).parameters}


@pytest.mark.parametrize(
    ("text", "what"),
    [
        (
            "input A [2]; output Z [2] { Biases = [1]; from A all; }",
            "Biases has a wrong number.*each of 2 nodes, got 1",
        ),
        ("input A [2]; output Z [2] { Biases = 3; from A all; }", "Biases has a wrong value.*tuple of numbers, got 3"),
        ("input A [2]; output Z [2] { Biases = B; from A all; }", "unknown constant 'B'"),
        ("input A [2]; output Z [2] { Weights = [1]; from A all; }", "a layer has no attribute 'Weights'.*own braces"),
        ("input A [2]; output Z [1] { Biases = [1]; Biases = [1]; from A all; }", "Biases is given twice"),
        ("input A [2]; output Z [1] { Biases = [1]; }", "layer 'Z' has no bundle"),
        ("input A [2]; output Z [1] from A all { Biases = [1]; }", "has no attribute 'Biases'.*belong to the layer"),
        (
            "input A [2]; output Z [2] from A all { Weights = [1, 2]; }",
            "Weights has a wrong number.*2 x 2 pairs.*got 2",
        ),
        ("input A [2]; output Z [1] from A all { Weights = [1, true]; }", "Weights has a wrong value"),
        ("input A [2]; output Z [1] from A all { Weights = [1, 1e39]; }", r"Weights\[1\] does not fit a float32"),
        (
            "input A [2]; output Z [1] { Biases = [1]; from A convolve { KernelShape = [2]; Weights = [1, 2, 3]; } }",
            "1 kernels of 2, as the layer has Biases, weights = 2, got 3",
        ),
        (
            "input A [2]; hidden P 1 { Biases = [1]; from A max pool { KernelShape = [2]; } } output Z [1] from P all;",
            "a layer of pools and response norms has no biases",
        ),
        ("input A [2]; output Z [1] from A max pool { KernelShape = [2]; Weights = [1]; }", "no attribute 'Weights'"),
        ("input A [2^-1]; output Z [1] from A all;", "wrong shape"),
        ("input A [2^2^2^2^2]; output Z [1] from A all;", "not a finite number"),
        ("input A [2^63]; output Z [1] from A all;", "too large an integer"),
        ("input A [0^-1]; output Z [1] from A all;", "not a finite number"),
        ("input A [4, 4]; output Z [4] from A where (s, d) => s < 2;", r"a tuple of 2\). Index it, as in s\[0\]"),
        ("input A [4, 4]; output Z [4] from A where (s, d) => s == 2;", "compares a tuple of 2 with an integer"),
        ("const T = [3]; input A [T + 1]; output Z [1] from A all;", "arithmetic on something that is not a number"),
        ("const H = 100 *** 2; input A [H]; output Z [1] from A all;", r"line 1, column 16: syntax error.*got '\*'"),
        ("input A [4]; *** output Z [1] from A all;", r"line 1, column 14: syntax error.*got '\*'"),
        ("input A [2]; /*\n*/ *** b\noutput Z [1] from A all;", r"line 2, column 4: syntax error.*got '\*'"),
        (
            """input A [1, 4, 4];
            hidden C [4, 4, 4] from A convolve {
              KernelShape = [1, 2, 2]; Stride = [1, 1, 1]; *** Sharing = [false, true, true]; MapCount = 4;
            }
            output Z [1] from C all;""",
            r"line 3, column 60: syntax error.*got '\*'",
        ),
        ("# net\ninput A [2]; output Z [1] from A all;", f"line 1, column 1: {HASH}.*Comments begin with //"),
        ("input A [2]; # two\noutput Z [1] from A all;", f"line 1, column 14: {HASH}"),
    ],
)
def test_a_wrong_saved_form_is_refused_with_one_sentence(text, what):
    with pytest.raises(TopologyError, match=f"(?s){what}"):
        load_topology(text)


def test_weights_and_biases_are_read_from_constants_in_every_kind_of_bundle():
    text = """
      const { WH = [1, -2, 3, 4, 5, 6]; BH = [0.5, -.25, 1e-3]; WF = [7, 8]; WC = [1, 2]; BC = [9]; BM = [1, 1, 1] }
      input A [2];
      hidden H [3] sigmoid { Biases = BH; from A all { Weights = WH; } }
      hidden F [2] { from A where (s, d) => s == d { Weights = WF; }; Biases = [3, 4] }
      hidden C [2] { from H convolve { KernelShape = [2]; Weights = WC; } Biases = BC; }
      hidden M [3] { BIASES = BM; from H all; from H convolve { KernelShape = [1]; Weights = [5]; } }
      output Z [1] { from H all; from F all; from C all; from M all; }
    """
    values = initial(text)
    assert values["H/0/weights"] == (1, -2, 3, 4, 5, 6)
    assert values["H/bias"] == (0.5, -0.25, 0.001)
    assert values["F/0/weights"] == (7, 8)
    assert values["F/bias"] == (3, 4)
    assert values["C/0/weights"] == (1, 2)
    assert values["C/bias"] == (9,)
    assert values["M/0/weights"] is None
    assert values["M/1/weights"] == (5,)
    assert values["M/bias"] == (1, 1, 1)
    assert values["Z/bias"] is None


def test_a_long_list_of_numbers_is_read_as_a_short_one_is():
    listed = "[1, -2, +3, .5, 5., 1e2, -1.5E-3, 0,\n\n 9]"
    text = f"input A [9]; output Z [1] from A all {{ Weights = {listed}; }}"
    assert initial(text)["Z/0/weights"] == (1, -2, 3, 0.5, 5, 100, -0.0015, 0, 9)
    commented = text.replace("\n\n", "// one\n")
    assert initial(commented) == initial(text)
    assert parse(print_text(parse(text))) == parse(text)
    assert fault(text.replace("output", "\noutput").replace(" from", " fom")).line == 2
    assert fault(f"{text}\noops").line == 4


@pytest.mark.parametrize(
    ("text", "shape"),
    [("28^2", (784,)), ("2 * 3^2", (18,)), ("2^3^2 / 2", (256,)), ("10 + -2^2", (6,)), ("(1 + 1)^2", (4,))],
)
def test_a_power_binds_before_signs_and_products_and_from_the_right(text, shape):
    program = f"input A [{text}]; output Z [1] from A all;"
    assert load_topology(program).inputs[0].shape == shape
    assert parse(print_text(parse(program))) == parse(program)


def test_an_index_of_one_dimension_is_a_number():
    text = "input A [60]; output Z [3] from A where (s, d) => {} ;"
    for short, long in [
        ("s < 50", "s[0] < 50"),
        ("s == 2", "s[0] == 2"),
        ("s == d", "s[0] == d[0]"),
        ("abs(s - d) <= 1 && s % 2 == 0", "abs(s[0] - d[0]) <= 1 && s[0] % 2 == 0"),
        ("d != 0 && s^2 / d < 4", "d[0] != 0 && s[0] * s[0] / d[0] < 4"),
    ]:
        one, other = (load_topology(text.format(condition)).output.bundles[0] for condition in (short, long))
        assert np.array_equal(one.edges, other.edges)


def test_the_forms_of_logs_and_of_people_in_a_hurry_are_read():
    text = """
***** Net definition *****
  const N = 20
  const { M = 3 K = [2] }
  input Data 10;
  hidden Full3 N sigmoid { // Depth 1
    from Data all;
  }
  hidden Full4 100 from Full3 all;
  output Result [M] softmax { // Depth 0
    from Full4 all;
  }
***** End net definition *****
"""
    for logged in (text, text.replace("*****", "\n \t *** "), text.replace("\n", "\r\n")):
        network = load_topology(logged)
        assert [layer.shape for layer in network.layers] == [(10,), (20,), (100,), (3,)]
        assert parse(print_text(parse(logged))) == parse(logged)


def test_every_fault_of_a_file_is_listed_with_its_place():
    text = """input A [4, 4];
hidden B [9] rlinear from A convolve { KernelShape = [2, 2] Stride = [1, 1]; }
hidden C [9] relu from A convolve { KernelShape = [5, 5]; Foo = 1; }
hidden D [4] from Missing all;
hidden E [4] from B all;
# a note
hidden F [N] from A all;
output Z [3] softmax from E al;
"""
    error = fault(text)
    listed = [line for line in str(error).splitlines() if line.startswith("line ")]
    places = [line.split(":")[0] for line in listed]
    assert places == [
        "line 2, column 61",
        "line 3, column 8",
        "line 3, column 37",
        "line 3, column 59",
        "line 4, column 14",
        "line 6, column 1",
        "line 7, column 11",
        "line 8, column 29",
    ]
    assert "unknown layer 'B'" not in str(error)
    assert "no output layer" not in str(error)


def test_a_declaration_without_its_end_is_told_at_its_end():
    error = fault("input A [4]\nhidden B [2] from A all\noutput Z [1] from B all;")
    assert str(error).count("got the end of the declaration") == 2
    assert (error.line, error.column) == (1, 12)


def test_a_fault_of_a_constant_is_listed_once_however_many_use_it():
    error = fault("const N = 1 / 0;\ninput A [N];\nhidden B [N] from A all;\noutput Z [N] from B all;")
    assert str(error).count("division by zero") == 1


def test_a_text_of_many_faults_lists_a_hundred():
    text = "input A [2];\n" + "hidden ? [1];\n" * 300 + "output Z [1] from A all;"
    assert str(fault(text)).count("syntax error") == 100
