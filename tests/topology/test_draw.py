from io import StringIO
from xml.etree import ElementTree

import pytest
from click.testing import CliRunner
from rich.console import Console

from galclass.cli.topology import topology
from galclass.errors import TopologyError
from galclass.topology.check import load_topology
from galclass.topology.draw import topology_svg, topology_table
from galclass.topology.layout import BOX_HEIGHT, BOX_WIDTH, layout_of

BRANCHED = """
input A [20, 10]; input B [30];
hidden H1 [40] from A all; hidden H2 [40] from B all;
hidden Mix [8] { from H1 all; from H2 all; }
hidden P [20, 5] from A max pool { KernelShape = [1, 2]; Stride = [1, 2]; }
hidden T1 [8] from Mix all; hidden T2 [8] from T1 all; share { T1, T2 }
output Z [5] softmax { from T2 all; from P all; from H1 all; }
"""
SVG = "{http://www.w3.org/2000/svg}"


def printed(network):
    console = Console(file=StringIO(), width=140)
    console.print(topology_table(network))
    return console.file.getvalue()


def test_the_table_shows_shapes_weights_and_multiply_adds_with_their_totals():
    text = printed(load_topology("original"))
    for fact in ("64x23x23", "pixels: convolve 3x6x6, step 1x2x2", "6,976", "3,656,448", "176,077", "3,901,952"):
        assert fact in text


def test_the_table_says_with_which_layer_weights_are_shared():
    assert "shared with T1" in printed(load_topology(BRANCHED))


@pytest.mark.parametrize("text", ["original", BRANCHED])
def test_the_drawing_has_a_box_a_layer_and_a_line_a_bundle(text):
    network = load_topology(text)
    svg = ElementTree.fromstring(topology_svg(network, title="a < b"))
    assert svg.find(f"{SVG}title").text == "a < b"
    assert len(svg.findall(f"{SVG}g")) == len(network.layers)
    assert len(svg.findall(f"{SVG}path")) == sum(len(layer.bundles) for layer in network.layers)


@pytest.mark.parametrize("text", ["original", BRANCHED])
def test_boxes_never_overlap_and_lie_inside_the_drawing(text):
    layout = layout_of(load_topology(text))
    corners = list(layout.boxes.values())
    for number, (x, y) in enumerate(corners):
        assert 0 <= x <= layout.width - BOX_WIDTH
        assert 0 <= y <= layout.height - BOX_HEIGHT
        for other_x, other_y in corners[:number]:
            assert abs(x - other_x) >= BOX_WIDTH or abs(y - other_y) >= BOX_HEIGHT


def test_lines_go_down_and_pass_beside_the_boxes_between():
    layout = layout_of(load_topology(BRANCHED))
    for points in layout.edges:
        downs = [y for _, y in points]
        assert downs == sorted(downs)
        for x, y in points[1:-1]:
            for box_x, box_y in layout.boxes.values():
                assert not (box_x < x < box_x + BOX_WIDTH and box_y < y < box_y + BOX_HEIGHT)


def test_show_prints_the_table_and_writes_the_drawing(tmp_path):
    path = tmp_path / "original.svg"
    result = CliRunner().invoke(topology, ["show", "original", "--svg", str(path)])
    assert result.exit_code == 0
    assert "176,077" in result.output
    assert ElementTree.parse(path).getroot().tag == f"{SVG}svg"
    assert list(tmp_path.iterdir()) == [path]


def test_check_counts_what_is_sound(tmp_path):
    path = tmp_path / "my.net"
    path.write_text("input A auto; hidden H auto from A all; output Z auto from H all;")
    arguments = ["check", str(path), "--input-nodes", "37", "--hidden-nodes", "50", "--classes", "13"]
    result = CliRunner().invoke(topology, arguments)
    assert result.output == f"{path}: ok, 3 layers, 2,563 weights, 2,500 multiply-adds\n"


def test_check_raises_the_error_that_the_command_line_prints(tmp_path):
    path = tmp_path / "my.net"
    path.write_text("input A [2]; output Z [1] from B all;")
    result = CliRunner().invoke(topology, ["check", str(path)])
    assert isinstance(result.exception, TopologyError)
    assert "line 1, column 27: unknown layer 'B'" in str(result.exception)
