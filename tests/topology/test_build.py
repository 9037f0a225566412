import pytest

from galclass.errors import TopologyError
from galclass.topology.build import input_layer
from galclass.topology.check import check, load_topology
from galclass.topology.parse import parse


def original():
    pool = {"stride": (1, 2, 2), "padding": (True, True, True)}
    return (
        input_layer((3, 50, 50))
        .conv((3, 6, 6), 64, stride=(1, 2, 2), sharing=(False, True, True))
        .response_norm((1, 1, 1))
        .max_pool((1, 2, 2), **pool)
        .conv((1, 5, 5), 2, stride=(1, 2, 2), lower_pad=(0, 1, 1), sharing=(False, True, True))
        .response_norm((1, 1, 1))
        .max_pool((1, 2, 2), **pool)
        .full(128)
        .full(128)
        .output(13)
    )


def test_the_chain_builds_the_original_network():
    assert original().network() == load_topology("original")


def test_reading_the_printed_text_back_gives_the_same_tree_and_network():
    net = original()
    assert parse(str(net)) == net.program
    assert check(parse(str(net))) == net.network()


def test_the_builder_example_of_the_reference_has_its_shapes():
    net = (
        input_layer((3, 50, 50))
        .conv((3, 5, 5), 48, stride=(1, 2, 2), lower_pad=(0, 1, 1))
        .response_norm((1, 4, 4), stride=(1, 2, 2))
        .max_pool((1, 3, 3), stride=(1, 1, 1))
        .full(256)
        .full(256)
        .output(6)
    )
    assert list(net.shapes.values()) == [(3, 50, 50), (48, 24, 24), (48, 11, 11), (48, 9, 9), (256,), (256,), (6,)]
    assert net.network().weight_count == 1066566


def test_pools_step_by_their_kernel_and_names_count_up():
    net = input_layer((1, 8, 8), name="sky").mean_pool((1, 2, 2)).max_pool((1, 2, 2)).full(3, name="H")
    assert net.shapes == {"sky": (1, 8, 8), "pool1": (1, 4, 4), "pool2": (1, 2, 2), "H": (3,)}


def test_given_weights_with_negative_numbers_survive_printing():
    net = input_layer((2,)).conv((1,), weights=(-1.5, 2.0)).output(1)
    assert parse(str(net)) == net.program
    assert net.network().parameters[0].initial == (-1.5,)


def test_a_step_that_does_not_fit_says_so_at_once():
    with pytest.raises(TopologyError, match=r"KernelShape\[1\] is larger than InputShape\[1\]"):
        input_layer((3, 4, 4)).conv((3, 5, 5))
    with pytest.raises(TopologyError, match="expected 3 components"):
        input_layer((3, 4, 4)).max_pool((2, 2))


def test_nothing_follows_the_output_and_names_are_unique():
    with pytest.raises(TopologyError, match="nothing can follow the output layer"):
        input_layer((2,)).output(2).full(3)
    with pytest.raises(TopologyError, match="layer 'H' is declared twice"):
        input_layer((2,)).full(3, name="H").full(3, name="H")
