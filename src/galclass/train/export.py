"""A trained network -> one ONNX file that takes stored cutouts and returns calibrated predictions.

The graph takes uint8 "cutouts" (n, 3, size, size) and includes scaling, views, pooling, temperature and softmax;
outputs are "probabilities" (n, 13), "embedding" (n, d), with a vote head "vote_fractions" (n, 37, 3), and with a head
for raw votes "raw_votes" (n, 37) and "raw_concentrations" (n, 11).
"""

from __future__ import annotations

import copy
import tempfile
import warnings
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.jit._trace import TracerWarning

from galclass.cutouts import CutoutParameters
from galclass.scoring.labels import RAW_CONCENTRATIONS, RAW_VOTES
from galclass.scoring.probe import make_probe
from galclass.scoring.signature import METADATA_KEY, Signature
from galclass.train.checkpoint import replace_file
from galclass.train.losses import question_columns
from galclass.train.networks import Network
from galclass.train.raw_votes import concentrations, mean_votes
from galclass.train.symmetry import eight_views

OPSET = 18
"""ONNX operator set of the file: 18 is supported by every onnxruntime since 1.14."""

_Z90 = 1.6449
"""Half-width of a 90 % interval in standard deviations."""


@dataclass(frozen=True)
class PixelScale:
    """Scaling of 0..255 before the first layer: factor * value + offset."""

    factor: float
    offset: float

    def __str__(self) -> str:
        return f"{self.factor:.8g} * (0..255) {self.offset:+.8g}"

    def apply(self, pixels: Tensor) -> Tensor:
        """Scale float pixels."""
        return pixels if (self.factor, self.offset) == (1.0, 0.0) else pixels * self.factor + self.offset


class ExportModule(nn.Module):
    """The whole graph: uint8 cutouts in, calibrated predictions out.

    Parameters
    ----------
    network : Network
        Trained, on the CPU.
    scale : PixelScale
        As in training.
    temperature : float
        Divides the class logits.
    vote_concentration : sequence of float
        Concentration of each question's Dirichlet distribution, from the validation split; empty without a vote head.
    """

    concentration: Tensor

    def __init__(
        self, network: Network, scale: PixelScale, temperature: float, vote_concentration: tuple[float, ...] = ()
    ) -> None:
        super().__init__()
        network = copy.deepcopy(network).cpu().eval()
        self.body = network.for_inference().eval()
        self.classes, self.votes, self.raw = network.classes, network.votes, network.raw
        self.views, self.embedding_size = network.views, network.embedding_size
        self.scale = scale
        self.temperature = temperature
        widths = [columns.stop - columns.start for columns in question_columns()]
        spread = [value for value, width in zip(vote_concentration, widths, strict=False) for _ in range(width)]
        self.register_buffer("concentration", torch.tensor(spread))

    def forward(self, cutouts: Tensor) -> tuple[Tensor, ...]:
        """Return the outputs for uint8 cutouts, (n, 3, size, size)."""
        pixels = self.scale.apply(cutouts.to(torch.float32))
        if self.views == 1:
            embedding = self.body(pixels)
        else:
            many = self.body(eight_views(pixels))
            embedding = many.view(self.views, -1, self.embedding_size).mean(0)
        probabilities = torch.softmax(self.classes(embedding) / self.temperature, 1)
        given: tuple[Tensor, ...] = (probabilities, embedding)
        if self.votes is not None:
            given += (self.vote_fractions(self.votes(embedding)),)
        if self.raw is not None:
            raw = self.raw(embedding)
            given += (mean_votes(raw), concentrations(raw))
        return given

    def vote_fractions(self, logits: Tensor) -> Tensor:
        """Return fraction, low and high end of the 90 % interval of each answer, (n, 37, 3)."""
        fraction = torch.cat([torch.softmax(logits[:, columns], 1) for columns in question_columns()], 1)
        spread = torch.sqrt(fraction * (1 - fraction) / (self.concentration + 1)) * _Z90
        low, high = torch.clamp(fraction - spread, min=0), torch.clamp(fraction + spread, max=1)
        return torch.stack([fraction, low, high], 2)


def export_onnx(module: ExportModule, signature: Signature, path: Path) -> bytes:
    """Write the graph with its signature, which includes the graph's output for the probe image.

    Parameters
    ----------
    module : ExportModule
        Network, scaling, calibration.
    signature : Signature
        Its JSON goes into the file's metadata; the probe is filled in here.
    path : Path
        Written to a temporary file beside it, then renamed.

    Returns
    -------
    bytes
        The file's content; equal inputs give equal bytes.
    """
    graph = _graph(module.eval(), signature.size_px)
    parameters = CutoutParameters(size_px=signature.size_px, crop_fraction=signature.crop_fraction)
    data = with_signature(graph, replace(signature, probe=make_probe(graph, parameters)))
    replace_file(path, lambda file: file.write_bytes(data))
    return data


def with_signature(model: bytes, signature: Signature) -> bytes:
    """Replace the signature inside ONNX bytes."""
    import onnx

    graph = onnx.load_from_string(model)
    del graph.metadata_props[:]
    entry = graph.metadata_props.add()
    entry.key, entry.value = METADATA_KEY, signature.to_json()
    onnx.checker.check_model(graph)
    data: bytes = graph.SerializeToString(deterministic=True)
    return data


def _graph(module: ExportModule, size_px: int) -> bytes:
    example = torch.zeros(2, 3, size_px, size_px, dtype=torch.uint8)
    names = ["probabilities", "embedding"] + (["vote_fractions"] if module.votes is not None else [])
    names += [RAW_VOTES, RAW_CONCENTRATIONS] if module.raw is not None else []
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        # the tracing exporter is marked as legacy; its graph is smaller and the same every time
        warnings.simplefilter("ignore", DeprecationWarning)
        warnings.filterwarnings("ignore", "Constant folding", UserWarning)  # onnxruntime folds when it loads
        warnings.simplefilter("ignore", TracerWarning)  # the shapes are the same for every batch
        file = Path(folder) / "graph.onnx"
        torch.onnx.export(
            module,
            (example,),
            file,
            dynamo=False,
            opset_version=OPSET,
            input_names=["cutouts"],
            output_names=names,
            dynamic_axes={name: {0: "n"} for name in ["cutouts", *names]},
        )
        return file.read_bytes()
