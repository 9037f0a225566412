"""Every kind of bundle: trained for some steps, exported, and read back to the same outputs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from galclass.config import TrainConfig
from galclass.errors import TopologyError
from galclass.morphology import CLASSES
from galclass.topology.check import load_topology
from galclass.topology.compile import compile_network
from galclass.train.build import build_network
from galclass.train.checkpoint import save_checkpoint
from galclass.train.netsharp import export_netsharp

SIZE = 12
CONVOLVE = "convolve { KernelShape = [3, 4, 4]; Stride = [1, 2, 2]; MapCount = 4; }"
POOL = "KernelShape = [1, 2, 2]; Stride = [1, 2, 2];"
FIRST = f"hidden first [4, 5, 5] rlinear from pixels {CONVOLVE}"
LAST = "output Class auto softmax from last all;"

KINDS = {
    "full": "hidden last [9] tanh from pixels all;",
    "filtered": "hidden last [6, 6] sigmoid from pixels where (s, d) => s[1] / 2 == d[0] && s[2] / 2 == d[1];",
    "convolutional": f"hidden last [4, 5, 5] rlinear from pixels {CONVOLVE}",
    "padded": """hidden last [2, 12, 12] rlinear from pixels convolve {
        InputShape = [3, 12, 12]; KernelShape = [3, 3, 3]; Padding = [false, true, true]; MapCount = 2; }""",
    "own kernel at each place": """hidden last [2, 5, 5] tanh from pixels convolve {
        InputShape = [3, 12, 12]; KernelShape = [3, 4, 4]; Stride = [1, 2, 2]; MapCount = 2; Sharing = false; }""",
    "shared in one direction": """hidden last [2, 5, 5] tanh from pixels convolve {
        InputShape = [3, 12, 12]; KernelShape = [3, 4, 4]; Stride = [1, 2, 2]; MapCount = 2;
        Sharing = [true, true, false]; }""",
    "max pool": f"{FIRST} hidden last [4, 2, 2] from first max pool {{ {POOL} }}",
    "mean pool": f"{FIRST} hidden last [4, 2, 2] from first mean pool {{ {POOL} }}",
    "response norm over maps": f"""{FIRST} hidden last [4, 5, 5] from first response norm {{
        KernelShape = [3, 1, 1]; Padding = true; Alpha = 0.3; Beta = 0.75; }}""",
    "response norm in a map": f"""{FIRST} hidden last [4, 5, 5] from first response norm {{
        KernelShape = [1, 3, 3]; Padding = true; Alpha = 0.3; Beta = 0.5; Offset = 2; AvgOverFullKernel = true; }}""",
    "layers that share": """hidden one [8] tanh from pixels all; hidden two [8] sigmoid from pixels all;
        hidden last [7] { from one all; from two all; } share { one, two }""",
    "bundles that share": f"""{FIRST} hidden second [4, 5, 5] tanh from pixels {CONVOLVE}
        hidden last [7] {{ from first all; from second all; }}
        share {{ pixels => first, pixels => second }}""",
    "biases that are shared": f"""{FIRST} hidden second [4, 5, 5] tanh from pixels {CONVOLVE}
        hidden last [7] {{ from first all; from second all; }}
        share {{ 1 => first, 1 => second }}""",
    "two bundles of one layer": f"{FIRST} hidden last [7] tanh {{ from pixels all; from first all; }}",
}


def trained(text: str, path: Path) -> torch.nn.Module:
    """Fit a network of the text for some steps to drawn classes, and save its checkpoint."""
    network = build_network(TrainConfig(topology=text, views=1), SIZE, seed=3, vote_head=False)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    generator = torch.Generator().manual_seed(5)
    x = torch.randn(16, 3, SIZE, SIZE, generator=generator)
    classes = torch.randint(len(CLASSES), (16,), generator=generator)
    optimizer = torch.optim.SGD(network.parameters(), lr=0.05)
    for _ in range(5):
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(network(x).logits, classes).backward()
        optimizer.step()
    after = network.state_dict()
    assert all(not torch.equal(after[name], before[name]) for name, _ in network.named_parameters())
    state = {"best": after, "observation": None, "netsharp": network.netsharp, "pixel_scale": "1"}
    save_checkpoint(path, state)
    return network.eval()


@pytest.mark.parametrize("kind", KINDS)
def test_a_trained_network_of_each_kind_comes_back(tmp_path: Path, kind: str) -> None:
    before, share, members = KINDS[kind].partition("share {")
    text = f"input pixels [3, {SIZE}, {SIZE}];\n{before}\n{LAST}\n{share}{members}"
    network = trained(text, tmp_path / "checkpoint.pt")
    count = export_netsharp(tmp_path / "checkpoint.pt", tmp_path / "out.ns")
    again = load_topology(tmp_path / "out.ns")
    assert count == again.weight_count == sum(value.numel() for value in network.parameters())
    x = torch.from_numpy(np.random.default_rng(1).normal(size=(4, 3, SIZE, SIZE)).astype(np.float32))
    with torch.no_grad():
        expected, got = network(x).logits, compile_network(again).eval()(x)
    assert float(expected.std()) > 1e-3
    assert torch.allclose(got, expected, atol=1e-6)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_weight_without_a_number_is_named_and_nothing_is_written(tmp_path: Path, value: float) -> None:
    text = f"input pixels [3, {SIZE}, {SIZE}];\n{KINDS['max pool']}\n{LAST}"
    network = trained(text, tmp_path / "checkpoint.pt")
    state = {"best": network.state_dict(), "observation": None, "netsharp": network.netsharp, "pixel_scale": "1"}
    name = next(key for key in state["best"] if "first" in key)
    state["best"][name][(0,) * state["best"][name].ndim] = value
    save_checkpoint(tmp_path / "checkpoint.pt", state)
    with pytest.raises(TopologyError, match="first/.*: Net# cannot express infinity or NaN"):
        export_netsharp(tmp_path / "checkpoint.pt", tmp_path / "out.ns")
    assert not (tmp_path / "out.ns").exists()
