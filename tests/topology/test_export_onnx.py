import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from galclass.errors import TopologyError
from galclass.topology.check import load_topology
from galclass.topology.compile import compile_network
from galclass.topology.export_onnx import export_onnx


def session_of(model):
    return onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])


def test_the_original_has_the_same_values_for_any_number_of_examples(tmp_path):
    module = compile_network(load_topology("original"), init_wts_diameter=None, activated=True)
    path = tmp_path / "original.onnx"
    export_onnx(module.network, module.numpy_arrays(), path, input_name="cutouts", output_name="probabilities")
    session = session_of(path.read_bytes())
    assert [(put.name, put.shape) for put in session.get_inputs()] == [("cutouts", ["n", 3, 50, 50])]
    assert [(put.name, put.shape) for put in session.get_outputs()] == [("probabilities", ["n", 13])]
    for examples in (1, 5):
        x = torch.rand(examples, 3, 50, 50)
        (got,) = session.run(None, {"cutouts": x.numpy()})
        np.testing.assert_allclose(got, module(x).detach().numpy(), atol=1e-5)
    assert list(tmp_path.iterdir()) == [path]


def test_logits_can_be_exported_instead():
    module = compile_network(load_topology("original"), init_wts_diameter=None)
    x = torch.rand(2, 3, 50, 50)
    (got,) = session_of(export_onnx(module.network, module.numpy_arrays(), activated=False)).run(None, {"x": x.numpy()})
    np.testing.assert_allclose(got, module(x).detach().numpy(), atol=1e-4)


def test_shared_weights_are_stored_once():
    text = "input A [50]; hidden H [50] from A all; hidden G [50] from H all; output Z [1] from G all; share { H, G }"
    module = compile_network(load_topology(text))
    model = onnx.load_from_string(export_onnx(module.network, module.numpy_arrays()))
    assert sum(list(array.dims) == [50, 50] for array in model.graph.initializer) == 1


def test_missing_and_misshapen_weights_are_named():
    network = load_topology("input A [2]; output Z [3] from A all;")
    with pytest.raises(TopologyError, match=r"Z/0/weights: weights are missing"):
        export_onnx(network, {"Z/bias": np.zeros(3)})
    with pytest.raises(TopologyError, match=r"Z/0/weights: .*expected \(3, 2\), got \(2, 3\)"):
        export_onnx(network, {"Z/0/weights": np.zeros((2, 3)), "Z/bias": np.zeros(3)})
