"""Networks that can be trained: scaled pixels in, class logits, vote logits and an embedding out.

Takes (n, 3, size, size) float32; every network is a body that returns an embedding, with linear heads on it.
`build_network` makes one by the name in the configuration. Writes nothing.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from galclass.errors import TrainingError
from galclass.morphology import CLASSES, QUESTIONS
from galclass.train.raw_votes import OtherVotes, RawHead
from galclass.train.symmetry import ORDER, FieldNorm, GroupConv, eight_views, folded_convolution

VOTE_COLUMNS: tuple[str, ...] = tuple(column for question in QUESTIONS.values() for column in question.columns)
"""The 37 answers of the vote head, in the order of its outputs."""


RESIDUAL_SIZES: dict[str, tuple[tuple[int, int, int], tuple[int, int]]] = {
    "residual": ((4, 7, 14), (1, 1)),
    "residual_large": ((4, 8, 16), (1, 1)),
}
"""Fields of the three stages and blocks of the last two, by the name in the configuration."""


class Outputs(NamedTuple):
    """The outputs of a network.

    Class logits (n, 13); logits of debiased votes (n, 37), or None; logits of debiased classes (n, 13), or None; the
    embedding (n, d); means and concentrations of the raw votes (n, 48) as `raw_votes` reads them, or None; the same of
    votes that were counted differently, or None.
    """

    logits: Tensor
    votes: Tensor | None
    debiased: Tensor | None
    embedding: Tensor
    raw: Tensor | None = None
    other: Tensor | None = None


class Network(nn.Module):
    """A body that embeds a cutout, and linear heads for the classes and, if wanted, the votes.

    Parameters
    ----------
    body : Module
        (n, 3, size, size) scaled pixels -> (n, d).
    embedding_size : int
        d.
    invariant : bool
        Whether the body itself has the same output for the eight turns and mirror images.
    views : int
        1 or 8 views pooled (mean embedding) in evaluation mode; an invariant body always takes one.
    vote_head, debiased_head : bool
        Whether there is a head for the vote fractions, and one for classes by debiased fractions (training only).
    dropout : float
        Share of the embedding dropped while training.
    classes : Module, optional
        Head for the class logits, (n, d) -> (n, 13); None makes a linear one.
    classes_from_votes : bool
        Whether the class logits follow from the vote head instead.
    raw_head : bool
        Whether there is a head for the distribution of raw votes; the class logits then follow from its means.
    other_head : bool
        Whether there is another one for votes that were counted differently (training only).
    """

    def __init__(
        self,
        body: nn.Module,
        embedding_size: int,
        *,
        invariant: bool,
        views: int,
        vote_head: bool,
        dropout: float,
        classes: nn.Module | None = None,
        debiased_head: bool = False,
        classes_from_votes: bool = False,
        raw_head: bool = False,
        other_head: bool = False,
    ) -> None:
        super().__init__()
        self.body = body
        self.embedding_size = embedding_size
        self.netsharp: str | None = None  # the text of a body made from Net#, sizes and activations written out
        self.views = 1 if invariant else views
        self.dropout = nn.Dropout(dropout)
        self.classes: nn.Module = classes or nn.Linear(embedding_size, len(CLASSES))
        self.votes = nn.Linear(embedding_size, len(VOTE_COLUMNS)) if vote_head else None
        if classes_from_votes and self.votes is not None:
            self.classes = ClassesFromVotes(self.votes)
        self.raw = RawHead(embedding_size) if raw_head else None
        if self.raw is not None:
            self.classes = ClassesFromVotes(self.raw)
        self.other = OtherVotes(embedding_size) if other_head else None
        self.debiased = nn.Linear(embedding_size, len(CLASSES)) if debiased_head else None

    def embed(self, pixels: Tensor) -> Tensor:
        """Return the embedding, pooled over the views in evaluation mode, (n, d)."""
        if self.training or self.views == 1:
            embedding: Tensor = self.body(pixels)
            return embedding
        many: Tensor = self.body(eight_views(pixels))
        return many.view(self.views, -1, self.embedding_size).mean(0)

    def forward(self, pixels: Tensor) -> Outputs:
        """Return the outputs for scaled pixels, (n, 3, size, size) float.

        Autocast changes the precision of the body alone: logarithms of votes need that of float32.
        """
        embedding = self.embed(pixels)
        with torch.autocast(pixels.device.type, enabled=False):
            return self.outputs_of(embedding.float())

    def outputs_of(self, embedding: Tensor) -> Outputs:
        """Return the outputs for embeddings, (n, d)."""
        kept = self.dropout(embedding)
        raw = self.raw(kept) if self.raw is not None else None
        return Outputs(
            logits=self.classes(kept),
            votes=self.votes(kept) if self.votes is not None else None,
            debiased=self.debiased(kept) if self.debiased is not None else None,
            embedding=embedding,
            raw=raw,
            other=self.other(kept, raw) if self.other is not None else None,
        )

    def for_inference(self) -> nn.Module:
        """Return the body as plain, fused layers for export."""
        return self.body.folded() if isinstance(self.body, ResidualBody) else self.body


class ClassesFromVotes(nn.Module):
    """Log-probabilities of the 13 classes from vote fractions, multiplied down the tree of questions.

    Parameters
    ----------
    votes : Module
        The vote head, (n, d) -> (n, 37) or more; outputs after the 37 logits are ignored.
    """

    steps: Tensor

    def __init__(self, votes: nn.Module) -> None:
        super().__init__()
        self.votes = votes
        self.register_buffer("steps", torch.tensor(_answers_on_the_way()), persistent=False)

    def forward(self, embedding: Tensor) -> Tensor:
        """Return log P, (n, 13); it sums to 1 in probability because each question's fractions do."""
        return _down_the_tree(self.votes(embedding), self.steps)


def log_classes(votes: Tensor) -> Tensor:
    """Return log-probabilities of the 13 classes, (n, 13), from a vote head's output, (n, 37) or more."""
    return _down_the_tree(votes, torch.tensor(_answers_on_the_way(), device=votes.device))


def _down_the_tree(votes: Tensor, steps: Tensor) -> Tensor:
    widths = [len(question.answers) for question in QUESTIONS.values()]
    parts = torch.split(votes[:, : len(VOTE_COLUMNS)], widths, 1)
    log_fraction = torch.cat([functional.log_softmax(part, 1) for part in parts], 1)
    return log_fraction @ steps.T


def _answers_on_the_way() -> list[list[float]]:
    """Return which of the 37 answers lead to each class, (13, 37)."""
    smooth, disk = ["t01_smooth_or_features_a01_smooth"], ["t01_smooth_or_features_a02_features_or_disk"]
    ways = [[*smooth, column] for column in QUESTIONS["t07_rounded"].columns]
    ways.append([*disk, "t02_edgeon_a04_yes"])
    for bar in ("t03_bar_a07_no_bar", "t03_bar_a06_bar"):
        bulges = QUESTIONS["t05_bulge_prominence"].columns
        ways += [[*disk, "t02_edgeon_a05_no", bar, bulge] for bulge in bulges]
    ways.append(["t01_smooth_or_features_a03_star_or_artifact"])
    return [[float(column in way) for column in VOTE_COLUMNS] for way in ways]


class _Unit(nn.Module):
    """Group convolution, normalisation, rectifier."""

    def __init__(
        self, fields_in: int, fields_out: int, kernel: int, *, stride: int = 1, padding: int = 0, lift: bool = False
    ) -> None:
        super().__init__()
        self.convolution = GroupConv(fields_in, fields_out, kernel, stride=stride, padding=padding, lift=lift)
        self.norm = FieldNorm(fields_out)

    def forward(self, images: Tensor) -> Tensor:
        return functional.relu(self.norm(self.convolution(images)), inplace=True)

    def folded(self) -> nn.Module:
        return nn.Sequential(folded_convolution(self.convolution, self.norm), nn.ReLU())


class _Residual(nn.Module):
    """Two 3 x 3 group convolutions with a shortcut; a small scale starts it near the identity."""

    def __init__(self, fields: int) -> None:
        super().__init__()
        self.first = _Unit(fields, fields, 3, padding=1)
        self.convolution = GroupConv(fields, fields, 3, padding=1)
        self.norm = FieldNorm(fields, scale=0.2)

    def forward(self, images: Tensor) -> Tensor:
        return functional.relu(images + self.norm(self.convolution(self.first(images))), inplace=True)

    def folded(self) -> nn.Module:
        return _PlainResidual(self.first.folded(), folded_convolution(self.convolution, self.norm))


class _PlainResidual(nn.Module):
    def __init__(self, first: nn.Module, second: nn.Module) -> None:
        super().__init__()
        self.first, self.second = first, second

    def forward(self, images: Tensor) -> Tensor:
        return functional.relu(images + self.second(self.first(images)))


class ResidualBody(nn.Module):
    """A small residual network over D4 fields: the embedding is the same for all turns and mirror images.

    64 px become 31, 15, 7 px; every stride preserves the symmetry. The embedding is the mean and maximum of the eight
    elements of each of `head` fields after averaging over the image.

    Parameters
    ----------
    size_px : int
        Side of the cutout, a multiple of 8 from 24 up.
    fields : tuple of int
        Fields of the three stages (eight channels each).
    blocks : tuple of int
        Residual blocks of the second and third stage.
    head : int
        Fields before pooling.
    """

    def __init__(
        self,
        size_px: int = 64,
        fields: tuple[int, int, int] = RESIDUAL_SIZES["residual"][0],
        blocks: tuple[int, int] = RESIDUAL_SIZES["residual"][1],
        head: int = 96,
    ) -> None:
        super().__init__()
        check_strides(size_px)
        stem, middle, last = fields
        self.layers = nn.Sequential(
            _Unit(3, stem, 6, stride=2, padding=1, lift=True),
            _Unit(stem, middle, 3, stride=2),
            *[_Residual(middle) for _ in range(blocks[0])],
            _Unit(middle, last, 3, stride=2),
            *[_Residual(last) for _ in range(blocks[1])],
            _Unit(last, head, 1),
        )
        self.embedding_size = 2 * head

    def forward(self, pixels: Tensor) -> Tensor:
        """Embed scaled pixels, (n, 3, size, size) -> (n, 2 head)."""
        return pool_fields(self.layers(pixels))

    def folded(self) -> nn.Module:
        """Return the same body as plain convolutions, for export."""
        layers = [layer.folded() for layer in self.layers if isinstance(layer, _Unit | _Residual)]
        return nn.Sequential(*layers, _PoolFields())


class _PoolFields(nn.Module):
    def forward(self, images: Tensor) -> Tensor:
        return pool_fields(images)


def pool_fields(images: Tensor) -> Tensor:
    """Average over the image, then take mean and maximum over each field's elements: (n, 8 f, s, s) -> (n, 2 f)."""
    elements = images.mean((2, 3)).view(-1, images.shape[1] // ORDER, ORDER)
    return torch.cat([elements.mean(2), elements.amax(2)], 1)


def check_strides(size_px: int, where: str = "prepare.size_px") -> None:
    """Check that a side in px can be halved three times with the symmetry preserved.

    Raises
    ------
    TrainingError
        If it cannot.
    """
    if size_px % 8 or size_px < 24:
        raise TrainingError(
            "the residual network cannot halve this side evenly three times",
            where=where,
            expected="a multiple of 8 from 24 up",
            got=size_px,
        )
