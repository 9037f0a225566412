"""From a training's checkpoint to the Net# text of its network with the trained weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from galclass.atomic_files import write_text
from galclass.errors import TrainingError
from galclass.morphology import CLASSES
from galclass.topology.check import load_topology
from galclass.topology.named import TORCH_MODULES, topology_text
from galclass.topology.parse import parse
from galclass.topology.print_text import print_text
from galclass.topology.saved import with_weights
from galclass.train.checkpoint import load_state_of_any_run

_ELSEWHERE = (*TORCH_MODULES, "lite0")


def export_netsharp(checkpoint: Path, output: Path, topology: str | None = None) -> int:
    """Write the best network of a checkpoint as Net# with its weights.

    Parameters
    ----------
    checkpoint : Path
        `training/checkpoint.pt` of any run.
    output : Path
        File to write, atomically.
    topology : str, optional
        Text, file or name for a checkpoint that does not contain its Net# text.

    Returns
    -------
    int
        Number of weights written.

    Raises
    ------
    TrainingError
        If there is no such checkpoint, it is damaged, or Net# cannot describe the network.
    TopologyError
        If the weights do not fit the topology, or are not finite.
    """
    if checkpoint.suffix.lower() == ".onnx":
        raise TrainingError(
            "an ONNX file contains folded weights, not those of the topology",
            where=str(checkpoint),
            expected="the checkpoint.pt of the training that made it",
        )
    state = load_state_of_any_run(checkpoint)
    if topology in _ELSEWHERE or (topology is None and state.get("netsharp") is None):
        raise TrainingError(
            "the network cannot be described in Net#",
            where=str(checkpoint),
            expected="a network trained from a Net# topology, not residual, lite0 or timm",
            advice="for a checkpoint of an older version name the topology with --topology",
        )
    text = str(state["netsharp"]) if topology is None else topology_text(topology)[0]
    network = load_topology(text, n_classes=len(CLASSES))
    written = print_text(with_weights(parse(text), network, _arrays(state["best"], network.output.keys, checkpoint)))
    write_text(output, f"{_header(state)}{written}")
    return network.weight_count


def _arrays(best: dict[str, Any], output_keys: tuple[str, ...], checkpoint: Path) -> dict[str, Any]:
    arrays = {key.removeprefix("body.arrays."): value.numpy() for key, value in best.items() if "body.arrays." in key}
    if not arrays.keys() & set(output_keys):
        if "classes.weight" not in best:
            raise TrainingError(
                "the classes follow from the votes, not from an output layer of the topology",
                where=str(checkpoint),
                expected='a training with train.type = "multiClass"',
            )
        parts = {"weights": "classes.weight", "bias": "classes.bias"}
        arrays |= {key: best[parts[key.rpartition("/")[2]]].numpy() for key in output_keys}
    return arrays


def _header(state: dict[str, Any]) -> str:
    scale = state.get("pixel_scale")
    return f"// pixels enter as {scale}\n" if scale else ""
