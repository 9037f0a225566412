import pytest

from galclass.errors import TopologyError
from galclass.topology.check import load_topology
from galclass.topology.named import TOPOLOGY_NAMES, named_topology
from galclass.topology.parse import parse
from galclass.topology.print_text import print_text
from galclass.topology.tree import Binary, Bundle, Constant, Layer, Number, Position, Share, ShareMember, Unary


@pytest.mark.parametrize(
    ("text", "line", "column", "expected", "got"),
    [
        ("input A [3", 1, 11, "']'", "the end of the text"),
        ("input A [3];\nhidden B [4] fom A all;", 2, 18, "'from'", "'A'"),
        ("input A -3;", 1, 9, "'['", "'-'"),
        ("hidden B [4] from A where (s, d) > s[0] == d[0];", 1, 34, "'=>'", "'>'"),
        ("hidden B [4] from A convolve { KernelShape = [1] Stride = [1] }", 1, 50, "';'", "'Stride'"),
        ("hidden B [4] from A sideways;", 1, 21, "'all'", "'sideways'"),
        ("hidden B [4] from A max;", 1, 24, "'pool'", "';'"),
        ("share { A }", 1, 11, "','", "'}'"),
        ("const = 3;", 1, 7, "a name", "'='"),
        ("input A [$];", 1, 10, "a number", "'$'"),
        ("layer A [3];", 1, 1, "'input'", "'layer'"),
        ("/* no end", 1, 1, "'input'", "'/'"),
        ("input A [3] from B all;", 1, 13, "';'", "'from'"),
    ],
)
def test_a_syntax_error_says_where_what_was_expected_and_what_stands_there(text, line, column, expected, got):
    with pytest.raises(TopologyError) as caught:
        parse(text)
    error = caught.value
    assert (error.line, error.column) == (line, column)
    assert expected in str(error.expected)
    assert error.got == got
    shown, caret = str(error).splitlines()[-2:]
    assert shown.strip() == text.splitlines()[line - 1].strip()
    assert caret.index("^") == column + 1  # two spaces of indentation


def test_the_caret_stands_right_under_a_line_with_tabs():
    with pytest.raises(TopologyError) as caught:
        parse("\t\tinput A ?;")
    shown, caret = str(caught.value).splitlines()[-2:]
    assert shown[caret.index("^")] == "?"


def test_lines_are_counted_by_line_feeds_alone():
    with pytest.raises(TopologyError) as caught:
        parse("input A [2];\x0c\r\n// \u2028\r\noops A;\r\n")
    assert caught.value.line == 3
    assert caught.value.source_line == "oops A;"


def test_keywords_are_accepted_in_any_case_and_names_are_not_folded():
    program = parse("INPUT a [2]; Output A [1] From a ALL; Const T = TRUE; const F = False;")
    assert [statement.name for statement in program.statements] == ["a", "A", "T", "F"]


def test_keywords_serve_as_layer_names_where_a_name_must_stand():
    network = load_topology(
        "input pool [4]; hidden max [2] from pool max pool { KernelShape = [3]; } output all [1] from max all;"
    )
    assert [layer.name for layer in network.layers] == ["pool", "max", "all"]


def test_comments_and_missing_semicolons_after_blocks_are_accepted():
    text = """
    // a line; with { things
    const { X = 2 /* inside
    two lines */ ; Y = X * 3 }
    input { A [X]; B [Y] };
    hidden { H [2] { from A all; from B all } G [2] from A mean pool { KernelShape = [1] } }
    output Z [1] { from H all; from G all; };
    """
    program = parse(text)
    layers = [statement for statement in program.statements if isinstance(statement, Layer)]
    assert [(layer.kind, layer.name) for layer in layers] == [
        ("input", "A"),
        ("input", "B"),
        ("hidden", "H"),
        ("hidden", "G"),
        ("output", "Z"),
    ]


def test_nodes_know_their_positions():
    program = parse("input A [2];\n  hidden B [2]\n    from A all;")
    layer = program.statements[1]
    assert isinstance(layer, Layer)
    assert layer.position == Position(2, 10)
    assert layer.bundles[0].position == Position(3, 5)


def test_positions_take_no_part_in_comparison():
    assert parse("input A [2];") == parse("\n\n  input  A  [ 2 ] ;")


def test_expressions_bind_as_in_c():
    statements = parse("const X = 1 + 2 * -3; const Y = (1 + 2) * 3;").statements
    two_times = Binary("*", Number(2), Unary("-", Number(3)))
    assert statements == (
        Constant("X", Binary("+", Number(1), two_times)),
        Constant("Y", Binary("*", Binary("+", Number(1), Number(2)), Number(3))),
    )


def test_the_three_forms_of_sharing():
    statements = parse("share { H1, H2 } share { A => H1, B => H2 }; share { 1 => H1, 1 => H2 }").statements
    assert statements == (
        Share((ShareMember("H1"), ShareMember("H2"))),
        Share((ShareMember("H1", "A"), ShareMember("H2", "B"))),
        Share((ShareMember("H1", "1"), ShareMember("H2", "1"))),
    )


def test_auto_shapes_and_activations():
    layer = parse("hidden H auto rlinear from A all;").statements[0]
    assert layer == Layer("hidden", "H", None, "rlinear", (Bundle("A", "all"),))


EVERYTHING = """
const { X = 28; W = [0.5, -1.0, 1e-3]; T = !(1 < 2) || true && false; }
input { A [X, 2 * (X - 1)]; B auto; }
hidden H [4] tanh { from A where (s, d) => s[0] - (d[0] - 1) == -1 || abs(s[1] % 3) != 2 { Weights = W; } from B all; }
hidden C [2] from A convolve { KernelShape = [X, X]; Sharing = [false, T]; MapCount = [1, 2]; Weights = [1, 2.5]; }
hidden R [2] from C response norm { KernelShape = [1]; Alpha = 0.0001; Beta = .75; }
output Z auto softmax from R max pool { KernelShape = [1]; }
share { A => H, B => H }
"""


@pytest.mark.parametrize("text", [EVERYTHING, *map(named_topology, TOPOLOGY_NAMES)])
def test_text_to_tree_to_text_to_tree_is_the_identity(text):
    tree = parse(text)
    printed = print_text(tree)
    assert parse(printed) == tree
    assert print_text(parse(printed)) == printed
