"""Trained networks written back as Net#."""

from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner

from galclass.cli.topology import topology as command
from galclass.config import TrainConfig
from galclass.errors import TrainingError
from galclass.morphology import CLASSES
from galclass.topology.check import load_topology
from galclass.topology.compile import compile_network
from galclass.train.build import build_network
from galclass.train.checkpoint import save_checkpoint
from galclass.train.netsharp import export_netsharp

FULL_OUTPUT = """
input pixels [3, 24, 24];
hidden conv [4, 10, 10] rlinear from pixels convolve { KernelShape = [3, 6, 6]; Stride = [1, 2, 2]; MapCount = 4; }
hidden hid auto rlinear from conv all;
output Class auto softmax from hid all;
"""
SHARED_OUTPUTS = [
    FULL_OUTPUT.replace("hid auto", f"hid [{len(CLASSES)}]").replace(
        "from hid all;", f"from last all;\nhidden last [{len(CLASSES)}] rlinear from hid all;\nshare {{ {members} }}"
    )
    for members in ("last, Class", "hid => last, last => Class", "1 => last, 1 => Class")
]
OWN_OUTPUT = FULL_OUTPUT.replace("from hid all;", "{ from hid all; from conv where (s, d) => s[0] == d % 4; }")


def checkpoint_of(path: Path, *, text: str = FULL_OUTPUT, keep: bool = True, votes: bool = False) -> torch.nn.Module:
    config = TrainConfig(topology=text, num_hidden_nodes=7, type="regression" if votes else "multiClass", views=1)
    network = build_network(config, 24, seed=2, vote_head=votes).eval()
    state = {"best": network.state_dict(), "observation": None, "netsharp": network.netsharp, "pixel_scale": "1"}
    if not keep:
        del state["netsharp"]
    save_checkpoint(path, state)
    return network


def test_what_net_sharp_cannot_say_is_refused_and_writes_nothing(tmp_path: Path) -> None:
    path, output = tmp_path / "checkpoint.pt", tmp_path / "out.ns"
    with pytest.raises(TrainingError, match="there is no such checkpoint"):
        export_netsharp(path, output)
    path.write_bytes(b"no checkpoint")
    with pytest.raises(TrainingError, match="it is not a training checkpoint"):
        export_netsharp(path, output)
    save_checkpoint(path, {"best": {}, "observation": None, "netsharp": None})
    with pytest.raises(TrainingError, match="cannot be described in Net#.*not residual, lite0"):
        export_netsharp(path, output)
    with pytest.raises(TrainingError, match="cannot be described in Net#"):
        export_netsharp(path, output, "residual")
    with pytest.raises(TrainingError, match="an ONNX file contains folded weights.*checkpoint.pt"):
        export_netsharp(tmp_path / "model.onnx", output)
    checkpoint_of(path, votes=True)
    with pytest.raises(TrainingError, match="the classes follow from the votes"):
        export_netsharp(path, output)
    assert not output.exists()


def test_a_residual_network_has_no_text() -> None:
    assert build_network(TrainConfig(), 64, seed=1, vote_head=False).netsharp is None


@pytest.mark.parametrize("text", [FULL_OUTPUT, OWN_OUTPUT, *SHARED_OUTPUTS])
def test_the_text_gives_the_outputs_of_the_network(tmp_path: Path, text: str) -> None:
    network = checkpoint_of(tmp_path / "checkpoint.pt", text=text)
    output = tmp_path / "out.ns"
    arguments = ["export", str(tmp_path / "checkpoint.pt"), "--output", str(output)]
    result = CliRunner().invoke(command, arguments, catch_exceptions=False)
    again = load_topology(output)
    assert result.output == f"wrote {output}: {again.weight_count:,} weights\n"
    assert output.read_text().startswith("// pixels enter as 1\n")
    x = torch.from_numpy(np.random.default_rng(1).normal(size=(3, 3, 24, 24)).astype(np.float32))
    with torch.no_grad():
        expected = network(x).logits
        assert torch.allclose(compile_network(again).eval()(x), expected, atol=1e-6)
    assert float(expected.std()) > 1e-3


def test_a_checkpoint_without_text_is_read_with_its_topology(tmp_path: Path) -> None:
    path, output = tmp_path / "checkpoint.pt", tmp_path / "out.ns"
    checkpoint_of(path, keep=False)
    with pytest.raises(TrainingError, match="name the topology with --topology"):
        export_netsharp(path, output)
    export_netsharp(path, output, FULL_OUTPUT.replace("auto rlinear", "[7] rlinear"))
    assert load_topology(output).by_name["hid"].shape == (7,)
